"""Writes golden-codecs.txt: what the `gguf` package (ggml's own, pip install gguf numpy) makes of each format.

python golden-codecs.py [blocks of the 32-value formats] [super-blocks] > golden-codecs.txt
Lines: "decode FORMAT bytes floats" for every format, "encode FORMAT floats bytes" where the package packs; base64 of little-endian data.
"""
import base64
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

blocks, supers = (int(a) for a in (sys.argv[1:] + ["3", "1"])[:2]) if len(sys.argv) > 2 else (3, 1)
rng = np.random.default_rng(20)
SCALES = {"Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def text(array):
    return base64.b64encode(array.tobytes()).decode()


def packed(name, count):
    """Random bytes with random finite scales of either sign; the first block's scale is the least subnormal one."""
    size = GGML_QUANT_SIZES[T[name]][1]
    raw = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in SCALES[name]:
        half = (rng.standard_normal(count) * 0.02).astype(np.float16)
        half[0] = np.float16(6e-8)
        raw[:, at:at + 2] = half.view(np.uint8).reshape(count, 2)
    return raw


for name in ["F16", "BF16"]:
    raw = rng.integers(0, 65536, 64 * blocks, dtype=np.uint16)
    exponent = 0x7C00 if name == "F16" else 0x7F80
    raw = np.where(raw & exponent == exponent, raw & 0x83FF, raw).astype(np.uint16)
    print("decode", name, text(raw), text(dequantize(raw.view(np.uint8), T[name]).astype("<f4")))
for name in SCALES:
    raw = packed(name, supers if name.endswith("K") else blocks)
    print("decode", name, text(raw), text(dequantize(raw, T[name]).astype("<f4")))

values = rng.standard_normal(32 * blocks).astype(np.float32)
values[:32] *= np.float32(1e-4)
values[32:64] = np.round(values[32:64] * 4) / 4  # ties of the rounding and of the largest value
values[40] = 0
for name in ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]:
    print("encode", name, text(values), text(quantize(values.reshape(1, -1), T[name])))

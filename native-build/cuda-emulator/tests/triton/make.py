#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles the kernels below with Triton and writes the PTX that the emulator's tests run.

Triton knows real GPUs and not this emulator: what it emits is a witness from outside. It needs no GPU. By hand:

    python3 -m venv V && V/bin/pip install triton==3.9.0 && V/bin/python make.py

Each file begins with what made it and with what a launch needs: threads of a block, bytes of shared memory. A kernel has the
arguments of its Python function that are no constexpr, then two pointers of Triton's own (scratch), which may be null.
"""
import os
import re
import sys
import tempfile

os.environ["TRITON_CACHE_DIR"] = tempfile.mkdtemp()
os.environ["TRITON_DISABLE_LINE_INFO"] = "1"
os.environ["TRITON_DEFAULT_FP_FUSION"] = "1"

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def matmul(a, b, c, m, n, k, stride_a, stride_bk, stride_bn, stride_c,
           BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, ACC: tl.constexpr):
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    inner = tl.arange(0, BK)
    a_at = a + rows[:, None] * stride_a + inner[None, :]
    b_at = b + inner[:, None] * stride_bk + columns[None, :] * stride_bn
    sums = tl.zeros((BM, BN), dtype=ACC)
    for step in range(0, tl.cdiv(k, BK)):
        left = k - step * BK
        a_tile = tl.load(a_at, mask=(rows[:, None] < m) & (inner[None, :] < left), other=0)
        b_tile = tl.load(b_at, mask=(inner[:, None] < left) & (columns[None, :] < n), other=0)
        sums = tl.dot(a_tile, b_tile, sums, out_dtype=ACC)
        a_at += BK
        b_at += BK * stride_bk
    at = c + rows[:, None] * stride_c + columns[None, :]
    tl.store(at, sums.to(c.dtype.element_ty), mask=(rows[:, None] < m) & (columns[None, :] < n))


@triton.jit
def softmax(x, y, columns, stride, B: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, B)
    v = tl.load(x + row * stride + i, mask=i < columns, other=-float("inf"))
    e = tl.exp(v - tl.max(v, 0))
    tl.store(y + row * stride + i, e / tl.sum(e, 0), mask=i < columns)


@triton.jit
def layer_norm(x, weight, bias, y, columns, epsilon, B: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, B)
    v = tl.load(x + row * columns + i, mask=i < columns, other=0.0).to(tl.float32)
    mean = tl.sum(v, 0) / columns
    d = tl.where(i < columns, v - mean, 0.0)
    r = tl.rsqrt(tl.sum(d * d, 0) / columns + epsilon)
    w = tl.load(weight + i, mask=i < columns).to(tl.float32)
    b = tl.load(bias + i, mask=i < columns).to(tl.float32)
    tl.store(y + row * columns + i, (d * r * w + b).to(y.dtype.element_ty), mask=i < columns)


@triton.jit
def rms_quantize(x, y, scales, columns, epsilon, B: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, B)
    v = tl.load(x + row * columns + i, mask=i < columns, other=0.0)
    v = v * tl.rsqrt(tl.sum(v * v, 0) / columns + epsilon)
    scale = tl.max(tl.abs(v), 0) / 127.0
    q = tl.floor(v / scale + 0.5)
    tl.store(y + row * columns + i, q.to(tl.int8), mask=i < columns)
    tl.store(scales + row, scale)


@triton.jit
def reduce(x, sums, greatest, least, where, columns, B: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, B)
    v = tl.load(x + row * columns + i, mask=i < columns, other=0.0)
    tl.store(sums + row, tl.sum(v, 0))
    up = tl.where(i < columns, v, -float("inf"))
    tl.store(greatest + row, tl.max(up, 0))
    tl.store(where + row, tl.argmax(up, 0))
    tl.store(least + row, tl.min(tl.where(i < columns, v, float("inf")), 0))


@triton.jit
def reduce_integers(x, sums, least, greatest, xors, columns, B: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, B)
    v = tl.load(x + row * columns + i, mask=i < columns, other=0)
    tl.store(sums + row, tl.sum(v, 0))
    tl.store(least + row, tl.min(v, 0))
    tl.store(greatest + row, tl.max(v, 0))
    tl.store(xors + row, tl.xor_sum(v, 0))


@triton.jit
def dequantized(x, w, scales, y, m, n, k, stride_x, stride_w, stride_y, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """Halves times bytes that become halves, with a scale for each output."""
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    columns = tl.program_id(1) * BN + tl.arange(0, BN)
    inner = tl.arange(0, BK)
    sums = tl.zeros((BM, BN), dtype=tl.float32)
    for start in range(0, k, BK):
        left = k - start
        x_tile = tl.load(x + rows[:, None] * stride_x + start + inner[None, :], mask=(rows[:, None] < m) & (inner[None, :] < left), other=0.0)
        w_tile = tl.load(w + columns[None, :] * stride_w + start + inner[:, None], mask=(inner[:, None] < left) & (columns[None, :] < n), other=0)
        sums = tl.dot(x_tile, w_tile.to(tl.float16), sums)
    sums *= tl.load(scales + columns, mask=columns < n, other=0.0)[None, :]
    tl.store(y + rows[:, None] * stride_y + columns[None, :], sums, mask=(rows[:, None] < m) & (columns[None, :] < n))


@triton.jit
def functions(x, y, n, B: tl.constexpr):
    """For each x > 0 a row of what the device computes, each rounded or approximated in its own way."""
    i = tl.program_id(0) * B + tl.arange(0, B)
    v = tl.load(x + i, mask=i < n, other=1.0)
    at = y + i
    tl.store(at, tl.sqrt_rn(v), mask=i < n)
    tl.store(at + n, tl.div_rn(1.0, v), mask=i < n)
    tl.store(at + 2 * n, tl.rsqrt(v), mask=i < n)
    tl.store(at + 3 * n, tl.exp(v), mask=i < n)
    tl.store(at + 4 * n, tl.log(v), mask=i < n)
    tl.store(at + 5 * n, tl.sin(v), mask=i < n)
    tl.store(at + 6 * n, tl.cos(v), mask=i < n)
    tl.store(at + 7 * n, tl.fma(v, v, -1.0), mask=i < n)
    tl.store(at + 8 * n, tl.floor(v) + tl.ceil(-v), mask=i < n)
    tl.store(at + 9 * n, (v * 1000).to(tl.int32).to(tl.float32), mask=i < n)


@triton.jit
def halves(x, y, z, out, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    a = tl.load(x + i, mask=i < n)
    b = tl.load(y + i, mask=i < n)
    c = tl.load(z + i, mask=i < n)
    tl.store(out + i, a * b + c, mask=i < n)
    tl.store(out + n + i, tl.maximum(a - b, c), mask=i < n)


@triton.jit
def wide(x, y, out, n, B: tl.constexpr):
    """64-bit and high 32-bit integer arithmetic, shifts, division."""
    i = tl.program_id(0) * B + tl.arange(0, B)
    a = tl.load(x + i, mask=i < n, other=1)
    b = tl.load(y + i, mask=i < n, other=1)
    tl.store(out + i, a.to(tl.int64) * b + (a.to(tl.int64) << 20), mask=i < n)
    tl.store(out + n + i, (a // b).to(tl.int64), mask=i < n)
    tl.store(out + 2 * n + i, (a % b).to(tl.int64), mask=i < n)
    tl.store(out + 3 * n + i, tl.umulhi(a.to(tl.uint32), b.to(tl.uint32)).to(tl.int64), mask=i < n)
    tl.store(out + 4 * n + i, ((a ^ b) >> 3 & (a | ~b)).to(tl.int64), mask=i < n)
    tl.store(out + 5 * n + i, (a.to(tl.int64) * 1000003) // (b.to(tl.int64)), mask=i < n)


@triton.jit
def sort(x, y, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(y + i, tl.sort(tl.load(x + i)))


@triton.jit
def scan(x, y, columns, B: tl.constexpr):
    i = tl.arange(0, B)
    v = tl.load(x + i, mask=i < columns, other=0)
    tl.store(y + i, tl.cumsum(v, 0), mask=i < columns)


@triton.jit
def count(x, bins, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    v = tl.load(x + i, mask=i < n, other=0)
    tl.atomic_add(bins + v, 1, mask=i < n, sem="relaxed")


@triton.jit
def gelu(x, y, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    v = tl.load(x + i, mask=i < n).to(tl.float32)
    tl.store(y + i, (0.5 * v * (1.0 + tl.erf(v * 0.7071067811865476))).to(y.dtype.element_ty), mask=i < n)


@triton.jit
def attend(q, k, v, o, length, scale, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):
    """Causal attention of one head, soft maximum computed online."""
    rows = tl.program_id(0) * BM + tl.arange(0, BM)
    d = tl.arange(0, D)
    queries = tl.load(q + rows[:, None] * D + d[None, :], mask=rows[:, None] < length, other=0.0)
    top = tl.full((BM,), -float("inf"), tl.float32)
    total = tl.zeros((BM,), tl.float32)
    sums = tl.zeros((BM, D), tl.float32)
    for start in range(0, (tl.program_id(0) + 1) * BM, BN):
        at = start + tl.arange(0, BN)
        keys = tl.load(k + at[None, :] * D + d[:, None], mask=at[None, :] < length, other=0.0)
        s = tl.dot(queries, keys) * scale
        s = tl.where((at[None, :] <= rows[:, None]) & (at[None, :] < length), s, -1e30)
        new_top = tl.maximum(top, tl.max(s, 1))
        p = tl.exp2((s - new_top[:, None]) * 1.4426950408889634)
        old = tl.exp2((top - new_top) * 1.4426950408889634)
        total = total * old + tl.sum(p, 1)
        values = tl.load(v + at[:, None] * D + d[None, :], mask=at[:, None] < length, other=0.0)
        sums = tl.dot(p.to(tl.float16), values, sums * old[:, None])
        top = new_top
    tl.store(o + rows[:, None] * D + d[None, :], sums / total[:, None], mask=rows[:, None] < length)


ALL = (80, 86, 89)


def matmul_signature(element, result):
    types = dict(a="*" + element, b="*" + element, c="*" + result)
    types.update({name: "i32" for name in ("m", "n", "k", "stride_a", "stride_bk", "stride_bn", "stride_c")})
    return types


# name: function, types, constants, arguments that are multiples of 16, arguments that are 1, warps, stages, architectures
CASES = {}


def matmul_case(name, element, result, acc, tile, transposed, warps, stages, archs=ALL):
    one = "stride_bk" if transposed else "stride_bn"
    CASES[name] = (matmul, matmul_signature(element, result), dict(BM=tile[0], BN=tile[1], BK=tile[2], ACC=acc),
                   {"a", "b", "c", "k", "stride_a", "stride_bk", "stride_bn"} - {one} | ({"stride_c"}), {one}, warps, stages, archs)


# B of an int8 product lies along k, as weights do; of the others along n, which takes ldmatrix.trans
matmul_case("matmul_i8", "i8", "i32", tl.int32, (64, 64, 64), True, 4, 3)
matmul_case("matmul_i8_narrow", "i8", "i32", tl.int32, (16, 32, 128), True, 2, 4)
matmul_case("matmul_f16", "fp16", "fp16", tl.float32, (64, 64, 32), False, 4, 3)
matmul_case("matmul_f16_nt", "fp16", "fp32", tl.float32, (128, 64, 64), True, 8, 3)
matmul_case("matmul_f16_sum16", "fp16", "fp16", tl.float16, (32, 32, 32), False, 4, 2)
matmul_case("matmul_bf16", "bf16", "fp32", tl.float32, (64, 64, 32), False, 4, 4)
matmul_case("matmul_tf32", "fp32", "fp32", tl.float32, (32, 64, 32), False, 4, 2)

CASES["softmax"] = (softmax, dict(x="*fp32", y="*fp32", columns="i32", stride="i32"), dict(B=1024), {"x", "y", "stride"}, set(), 4, 1, (80,))
CASES["layer_norm"] = (layer_norm, dict(x="*fp16", weight="*fp16", bias="*fp16", y="*fp16", columns="i32", epsilon="fp32"), dict(B=512),
                       {"x", "weight", "bias", "y"}, set(), 8, 1, (80,))
CASES["layer_norm_bf16"] = (layer_norm, dict(x="*bf16", weight="*fp32", bias="*fp32", y="*bf16", columns="i32", epsilon="fp32"),
                            dict(B=512), {"x", "weight", "bias", "y", "columns"}, set(), 4, 1, (80, 89))
CASES["rms_quantize"] = (rms_quantize, dict(x="*fp32", y="*i8", scales="*fp32", columns="i32", epsilon="fp32"), dict(B=1024),
                         {"x", "y", "scales", "columns"}, set(), 4, 1, (80,))
CASES["reduce"] = (reduce, dict(x="*fp32", sums="*fp32", greatest="*fp32", least="*fp32", where="*i32", columns="i32"), dict(B=2048),
                   {"x"}, set(), 4, 1, (80,))
CASES["scan"] = (scan, dict(x="*i32", y="*i32", columns="i32"), dict(B=1024), {"x", "y"}, set(), 4, 1, (80,))
CASES["reduce_integers"] = (reduce_integers, dict(x="*i32", sums="*i32", least="*i32", greatest="*i32", xors="*i32", columns="i32"), dict(B=512),
                            {"x"}, set(), 4, 1, (80,))
CASES["dequantized"] = (dequantized, dict(x="*fp16", w="*i8", scales="*fp32", y="*fp32", m="i32", n="i32", k="i32", stride_x="i32", stride_w="i32",
                                          stride_y="i32"), dict(BM=32, BN=64, BK=64),
                        {"x", "w", "scales", "y", "k", "stride_x", "stride_w", "stride_y"}, set(), 4, 3, (80, 89))
CASES["functions"] = (functions, dict(x="*fp32", y="*fp32", n="i32"), dict(B=256), {"x", "y", "n"}, set(), 4, 1, (80,))
CASES["halves"] = (halves, dict(x="*fp16", y="*fp16", z="*fp16", out="*fp16", n="i32"), dict(B=512), {"x", "y", "z", "out", "n"}, set(), 4, 1, (80,))
CASES["bfloats"] = (halves, dict(x="*bf16", y="*bf16", z="*bf16", out="*bf16", n="i32"), dict(B=512), {"x", "y", "z", "out", "n"}, set(), 4, 1, (80,))
CASES["wide"] = (wide, dict(x="*i32", y="*i32", out="*i64", n="i32"), dict(B=128), {"x", "y", "out"}, set(), 4, 1, (80,))
CASES["sort"] = (sort, dict(x="*i32", y="*i32"), dict(B=512), {"x", "y"}, set(), 4, 1, (80,))
CASES["count"] = (count, dict(x="*i32", bins="*i32", n="i32"), dict(B=256), {"x", "bins"}, set(), 4, 1, (80,))
CASES["gelu"] = (gelu, dict(x="*fp16", y="*fp16", n="i32"), dict(B=512), {"x", "y"}, set(), 4, 1, (80,))
CASES["attend"] = (attend, dict(q="*fp16", k="*fp16", v="*fp16", o="*fp32", length="i32", scale="fp32"), dict(D=64, BM=64, BN=32),
                   {"q", "k", "v", "o"}, set(), 4, 3, (80, 89))


def main(folder):
    for name, (function, types, constants, sixteens, ones, warps, stages, archs) in CASES.items():
        names = function.arg_names
        signature = {n: types.get(n, "constexpr") for n in names}
        values = {(names.index(n),): v for n, v in constants.items()}
        for n in ones:
            signature[n] = "constexpr"
            values[(names.index(n),)] = 1
        attributes = {(names.index(n),): [["tt.divisibility", 16]] for n in sixteens}
        for arch in archs:
            source = ASTSource(fn=function, signature=signature, constexprs=values, attrs=attributes)
            kernel = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=dict(num_warps=warps, num_stages=stages))
            ptx = kernel.asm["ptx"]
            arguments = ", ".join(f"{n}: {signature[n]}" for n in names if signature[n] != "constexpr")
            shown = ", ".join(f"{n}={v}" for n, v in constants.items())
            if ones:
                shown += ", " + ", ".join(f"{n}=1" for n in sorted(ones))
            head = (f"// Made by Triton {triton.__version__} (MIT) from `{function.__name__}` of make.py, {shown}, {stages} stages, sm_{arch}\n"
                    f"// arguments: {arguments}\n"
                    f"// kernel {kernel.metadata.name} threads {warps * 32} shared {kernel.metadata.shared}\n")
            lines = [line for line in ptx.lstrip().splitlines() if not re.match(r"\s*$", line)]
            with open(os.path.join(folder, f"{name}.sm{arch}.ptx"), "w") as out:
                out.write(head + "\n".join(lines) + "\n")
            found = sorted(set(re.findall(r"\b(mma\.[\w.:]+|ldmatrix[\w.]*|cp\.async\.c[\w.]*|redux[\w.]*|shfl[\w.]*|atom[\w.]*)", ptx)))
            print(name, arch, len(lines), "lines,", kernel.metadata.shared, "bytes shared:", *found)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))

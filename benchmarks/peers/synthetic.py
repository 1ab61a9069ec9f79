"""Writes a GGUF of random F16 weights in the true shape of a model, with a vocabulary of made-up pieces: speed depends on shapes, not on values.

usage: synthetic.py 135M|1B OUT.gguf        nothing but the standard library
"""
import random
import struct
import sys

SHAPES = {
    # SmolLM2-135M and Llama-3.2-1B: layers, width, heads, key/value heads, feed-forward width, vocabulary, rope base, context
    "135M": (30, 576, 9, 3, 1536, 49152, 100000.0, 8192),
    "1B": (16, 2048, 32, 8, 8192, 128256, 500000.0, 131072),
}
U32, F32, STRING, ARRAY, BOOL, I32 = 4, 6, 8, 9, 7, 5
ALIGN = 32


def string(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    return {U32: lambda: struct.pack("<I", v), F32: lambda: struct.pack("<f", v), STRING: lambda: string(v), I32: lambda: struct.pack("<i", v),
            BOOL: lambda: struct.pack("<?", v)}[kind]()


def entry(key, kind, v):
    return string(key) + struct.pack("<I", kind) + value(kind, v)


def array(key, kind, values):
    return string(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(value(kind, v) for v in values)


def vocabulary(n):
    pieces = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)] + ["\u2581"] + [chr(97 + i) for i in range(26)]
    kinds = [2, 3, 3] + [6] * 256 + [1] * 27
    while len(pieces) < n:
        pieces.append("\u2581w%d" % len(pieces))
        kinds.append(1)
    return pieces, kinds


def write(name, path):
    layers, dim, heads, kv_heads, ffn, words, base, context = SHAPES[name]
    head = dim // heads
    pieces, kinds = vocabulary(words)
    meta = [entry("general.architecture", STRING, "llama"), entry("general.name", STRING, "synthetic-" + name),
            entry("general.file_type", U32, 1), entry("llama.context_length", U32, context), entry("llama.embedding_length", U32, dim),
            entry("llama.block_count", U32, layers), entry("llama.feed_forward_length", U32, ffn),
            entry("llama.attention.head_count", U32, heads), entry("llama.attention.head_count_kv", U32, kv_heads),
            entry("llama.attention.layer_norm_rms_epsilon", F32, 1e-5), entry("llama.rope.freq_base", F32, base),
            entry("llama.rope.dimension_count", U32, head), entry("llama.vocab_size", U32, words),
            entry("tokenizer.ggml.model", STRING, "llama"), entry("tokenizer.ggml.pre", STRING, "default"),
            array("tokenizer.ggml.tokens", STRING, pieces), array("tokenizer.ggml.scores", F32, [-float(i) for i in range(words)]),
            array("tokenizer.ggml.token_type", I32, kinds), entry("tokenizer.ggml.bos_token_id", U32, 1),
            entry("tokenizer.ggml.eos_token_id", U32, 2), entry("tokenizer.ggml.unknown_token_id", U32, 0),
            entry("tokenizer.ggml.add_bos_token", BOOL, False)]
    matrices = [("token_embd.weight", dim, words)]
    vectors = ["output_norm.weight"]
    for layer in range(layers):
        at = "blk.%d." % layer
        vectors += [at + "attn_norm.weight", at + "ffn_norm.weight"]
        matrices += [(at + "attn_q.weight", dim, dim), (at + "attn_k.weight", dim, kv_heads * head), (at + "attn_v.weight", dim, kv_heads * head),
                     (at + "attn_output.weight", dim, dim), (at + "ffn_gate.weight", dim, ffn), (at + "ffn_up.weight", dim, ffn),
                     (at + "ffn_down.weight", ffn, dim)]
    infos, offset, sizes = [], 0, []
    for tensor, dims, kind, size in [(n, [c, r], 1, 2 * c * r) for n, c, r in matrices] + [(n, [dim], 0, 4 * dim) for n in vectors]:
        infos.append(string(tensor) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset))
        sizes.append((size, kind))
        offset += -(-size // ALIGN) * ALIGN
    rng = random.Random(1)
    n = (1 << 20) - 3  # odd, so that repetitions fall differently in each row
    noise = struct.pack("<%de" % n, *(rng.gauss(0, 0.02) for _ in range(n)))
    with open(path, "wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(meta)) + b"".join(meta) + b"".join(infos))
        out.write(b"\0" * (-out.tell() % ALIGN))
        for size, kind in sizes:
            if kind == 0:
                out.write(struct.pack("<f", 1.0) * (size // 4))
            else:
                left = size
                while left > 0:
                    part = noise[:left]
                    out.write(part)
                    left -= len(part)
            out.write(b"\0" * (-out.tell() % ALIGN))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in SHAPES:
        sys.exit(__doc__)
    write(sys.argv[1], sys.argv[2])

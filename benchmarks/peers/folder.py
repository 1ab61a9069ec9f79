"""Writes a Hugging Face folder of random bfloat16 weights in the true shape of a model, for engines that read no GGUF.

usage: folder.py 135M|1B OUT-FOLDER         nothing but the standard library
"""
import json
import random
import struct
import sys
from pathlib import Path

from synthetic import SHAPES


def tensors(name):
    layers, dim, heads, kv_heads, ffn, words, _, _ = SHAPES[name]
    kv = dim // heads * kv_heads
    yield "model.embed_tokens.weight", [words, dim]
    yield "model.norm.weight", [dim]
    for i in range(layers):
        at = "model.layers.%d." % i
        yield at + "input_layernorm.weight", [dim]
        yield at + "post_attention_layernorm.weight", [dim]
        for part, shape in (("self_attn.q_proj", [dim, dim]), ("self_attn.k_proj", [kv, dim]), ("self_attn.v_proj", [kv, dim]),
                            ("self_attn.o_proj", [dim, dim]), ("mlp.gate_proj", [ffn, dim]), ("mlp.up_proj", [ffn, dim]), ("mlp.down_proj", [dim, ffn])):
            yield at + part + ".weight", shape


def tokenizer(words):
    """Byte-level pieces and made-up ones."""
    known = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    letters = [chr(b) for b in known] + [chr(256 + n) for n in range(256 - len(known))]
    vocabulary = {piece: i for i, piece in enumerate(["<unk>", "<s>", "</s>"] + letters)}
    vocabulary["ab"] = len(vocabulary)
    while len(vocabulary) < words:
        vocabulary["w%d" % len(vocabulary)] = len(vocabulary)
    special = [{"id": i, "content": piece, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for i, piece in enumerate(("<unk>", "<s>", "</s>"))]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None, "pre_tokenizer": level,
            "post_processor": None, "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocabulary, "merges": ["a b"]}}


def write(name, folder):
    layers, dim, heads, kv_heads, ffn, words, base, context = SHAPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    header, offset, listed = {}, 0, list(tensors(name))
    for tensor, shape in listed:
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[tensor] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    head = json.dumps(header).encode()
    rng = random.Random(1)
    noise = b"".join(struct.pack("<f", rng.gauss(0, 0.02))[2:] for _ in range((1 << 20) - 3))
    with open(folder / "model.safetensors", "wb") as out:
        out.write(struct.pack("<Q", len(head)) + head)
        for tensor, shape in listed:
            left = header[tensor]["data_offsets"][1] - header[tensor]["data_offsets"][0]
            if len(shape) == 1:
                out.write(b"\x80\x3f" * (left // 2))  # ones
                continue
            while left > 0:
                out.write(noise[:left])
                left -= min(left, len(noise))
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": dim, "intermediate_size": ffn, "num_hidden_layers": layers,
              "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": dim // heads, "vocab_size": words, "rms_norm_eps": 1e-5,
              "rope_theta": base, "max_position_embeddings": min(context, 8192), "hidden_act": "silu", "tie_word_embeddings": True, "bos_token_id": 1,
              "eos_token_id": 2, "torch_dtype": "bfloat16"}
    (folder / "README.md").write_text("Random weights.\n")  # Jlama's quantizer copies one
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(words)))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                                                              "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192}))


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))

"""Writes tiny Llama folders that the Python package compressed-tensors packed, and golden.json with what transformers makes of them unpacked.

usage: python make.py      (pip install torch transformers compressed-tensors)

int8/   int-quantized, a scale for each row, symmetric (W8A8; the activations' part is not used)
int4/   pack-quantized, a scale and a zero point for each 32 values
mixed/  pack-quantized in three ways: groups of 32 symmetric, rows of 8 bits with zero points, groups of 64 and 4 bits
targets/  modules that several targets match, by class, expression and name, and modules that are ignored in these ways
The logits are those of a float64 model over the unpacked weights.
"""
import json
import os

import compressed_tensors
import torch
import transformers
from compressed_tensors.compressors.base import BaseCompressor
from compressed_tensors.compressors.model_compressors.model_compressor import ModelCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme, apply_quantization_config
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
IDS = [1, 7, 42, 3, 3, 40, 11, 29, 38, 0, 17, 33]


def model():
    return LlamaForCausalLM(LlamaConfig(vocab_size=48, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=False, rope_theta=10000.0, bos_token_id=1, eos_token_id=2))


def scheme(targets, bits, group=None, symmetric=True, activations=False, format="pack-quantized"):
    weights = QuantizationArgs(num_bits=bits, strategy="group" if group else "channel", group_size=group, symmetric=symmetric)
    return QuantizationScheme(targets=targets, weights=weights, format=format,
        input_activations=QuantizationArgs(num_bits=8, strategy="token", dynamic=True, symmetric=True) if activations else None)


FOLDERS = {
    "int8": ("int-quantized", {"group_0": scheme(["Linear"], 8, activations=True, format="int-quantized")}),
    "int4": ("pack-quantized", {"group_0": scheme(["Linear"], 4, 32, symmetric=False)}),
    "mixed": ("pack-quantized", {
        "group_0": scheme(["re:.*self_attn\\.[qkv]_proj$", "re:.*down_proj$"], 4, 32),
        "group_1": scheme(["re:.*(gate|up)_proj$"], 8, symmetric=False),
        "group_2": scheme(["model.layers.0.self_attn.o_proj", "model.layers.1.self_attn.o_proj"], 4, 64, symmetric=False),
    }),
    "targets": ("pack-quantized", {
        "group_0": scheme(["Linear"], 8),
        "group_1": scheme(["re:.*self_attn", "model.layers.0.mlp.up_proj"], 4, 32),
        "group_2": scheme(["re:.*layers\\.1\\.self_attn\\.q", "model.layers.0.self_attn.o_proj"], 4, 64, symmetric=False),
    }),
}
IGNORE = {"targets": ["lm_head", "re:.*layers\\.1\\.mlp\\.(gate|up)", "model.layers.0.self_attn.v_proj"]}


def quantize(name):
    torch.manual_seed(4)
    dense = model()
    with torch.no_grad():
        for n, p in dense.named_parameters():
            p.copy_(1 + (torch.rand_like(p) - 0.5) if "norm" in n else torch.randn_like(p) * (1 if "embed" in n else 1.5 / p.shape[-1] ** 0.5))
    format, groups = FOLDERS[name]
    config = QuantizationConfig(config_groups=groups, format=format, ignore=IGNORE.get(name, ["lm_head"]), quantization_status="initialized")
    apply_quantization_config(dense, config)
    schemes = {}
    for n, module in dense.named_modules():
        s = getattr(module, "quantization_scheme", None)
        if s is None:
            continue
        schemes[n] = s
        w = module.weight.data
        parts = w.reshape(w.shape[0], -1, s.weights.group_size) if s.weights.group_size else w.unsqueeze(1)
        scale, zero = calculate_qparams(parts.amin(-1), parts.amax(-1), s.weights)
        module.weight_scale.data.copy_(scale)
        if not s.weights.symmetric:
            module.weight_zero_point.data.copy_(zero)
    folder = os.path.join(HERE, name)
    compressor = ModelCompressor.from_pretrained_model(dense, format)
    compressor.compress_model(dense)
    dense.save_pretrained(folder)
    compressor.update_config(folder)
    return folder, schemes


def golden(folder, schemes):
    """Logits over the weights that the package unpacks from the file."""
    file = load_file(os.path.join(folder, "model.safetensors"))
    state = {}
    for n in file:
        base = n.removesuffix(".weight_scale")
        if base != n:
            local = {k[len(base) + 1:]: v for k, v in file.items() if k.startswith(base + ".")}
            s = schemes[base]
            state[base + ".weight"] = BaseCompressor.load_from_registry(s.format).decompress(local, s)["weight"]
        elif ".weight_" not in n:
            state.setdefault(n, file[n])
    plain = model().double().eval()
    plain.load_state_dict({k: v.double() for k, v in state.items()})
    with torch.no_grad():
        return plain(torch.tensor([IDS])).logits[0]


if __name__ == "__main__":
    out = {"how": f"compressed-tensors {compressed_tensors.__version__}, transformers {transformers.__version__}, torch {torch.__version__}, "
        "float64 on unpacked weights", "ids": IDS}
    for name in FOLDERS:
        logits = golden(*quantize(name))
        out[name] = [[round(v, 9) for v in row] for row in logits.tolist()]
    with open(os.path.join(HERE, "golden.json"), "w") as f:
        json.dump(out, f, separators=(",", ":"))
        f.write("\n")

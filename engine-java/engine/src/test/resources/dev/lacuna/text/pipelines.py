# Writes pipelines.json: small tokenizers made with Hugging Face tokenizers 0.23.3 and sentencepiece 0.2.3 (both Apache-2.0) that together use every
# normalizer, pre-tokenizer, model option and rule of added tokens that is supported, and the digest of their ids for the first 3000 strings of corpus.py.
#   pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf && python pipelines.py
import io, json, os, tempfile
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers as N, pre_tokenizers as P, trainers
from corpus import TEXT, corpus, digest
import sys

META = "\u2581"
O200K = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN35 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
BYTES = P.ByteLevel(add_prefix_space=False, use_regex=False)
SPM_DECODER = decoders.Sequence([decoders.Replace(META, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def byte_bpe(pre, normalizer=None, whole=False):
    made = Tokenizer(models.BPE(ignore_merges=whole))
    made.pre_tokenizer = pre
    if normalizer is not None:
        made.normalizer = normalizer
    made.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=400, initial_alphabet=P.ByteLevel.alphabet(), show_progress=False))
    made.decoder = decoders.ByteLevel()
    return made


def char_bpe(pre, normalizer=None, byte_fallback=True, fuse=True, unk="<unk>", decoder=None):
    trained = Tokenizer(models.BPE())
    trained.normalizer = N.Replace(" ", META)
    trained.pre_tokenizer = P.Metaspace(prepend_scheme="always")
    trained.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=420, show_progress=False, limit_alphabet=120))
    state = json.loads(trained.to_str())["model"]
    tokens = ["<unk>"] + (["<0x%02X>" % b for b in range(256)] if byte_fallback else [])
    tokens += [t for t in sorted(state["vocab"], key=state["vocab"].get) if t not in tokens]
    made = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[tuple(m) for m in state["merges"]], unk_token=unk, fuse_unk=fuse, byte_fallback=byte_fallback))
    if pre is not None:
        made.pre_tokenizer = pre
    if normalizer is not None:
        made.normalizer = normalizer
    made.decoder = decoder or SPM_DECODER
    return made


def unigram(pre, normalizer=None, byte_fallback=False, rules=None):
    out = io.BytesIO()
    options = {}
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as tsv:
        if rules:
            tsv.write("".join(" ".join("%x" % ord(c) for c in a) + "\t" + " ".join("%x" % ord(c) for c in b) + "\n" for a, b in rules))
            tsv.flush()
            options["normalization_rule_tsv"] = tsv.name
        else:
            options["normalization_rule_name"] = "identity"
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXT.split("\n") * 3), model_writer=out, model_type="unigram", vocab_size=860, minloglevel=2,
                                                 byte_fallback=byte_fallback, character_coverage=0.98, num_threads=1, hard_vocab_limit=False, **options)
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(out.getvalue())
    made = Tokenizer(models.Unigram([(p.piece, round(p.score, 5)) for p in model.pieces], unk_id=0, byte_fallback=byte_fallback))
    if rules:
        normalizer = N.Sequence([N.Precompiled(model.normalizer_spec.precompiled_charsmap), N.Replace(Regex(" {2,}"), " ")])
    if normalizer is not None:
        made.normalizer = normalizer
    made.pre_tokenizer = pre
    made.decoder = decoders.Metaspace()
    return made


def with_added(made, *tokens):
    made.add_special_tokens([t for t in tokens if t.special])
    made.add_tokens([t for t in tokens if not t.special])
    return made


SPECIAL = AddedToken("<s>", normalized=False, special=True)
RULES = [("\uff21", "A"), ("\u00e9", "e"), ("\ufb01", "fi"), ("\t", " "), ("\u200b", ""), ("\U0001F642", ":)"), ("e\u0301", "E"), ("\u00a0", " "), ("\u2028", " ")]
ADDED = (AddedToken("<mask>", lstrip=True, normalized=False, special=True), AddedToken("<r>", rstrip=True, normalized=False, special=True),
         AddedToken("the", single_word=True, normalized=False), AddedToken("Engine", normalized=True), AddedToken("  ", normalized=False), AddedToken("\n\n\n", normalized=False),
         AddedToken("RE", single_word=True, lstrip=True, rstrip=True, normalized=True))
MADE = {
    "opt": with_added(byte_bpe(P.ByteLevel(add_prefix_space=True)), SPECIAL),
    "added rules": with_added(byte_bpe(P.ByteLevel(add_prefix_space=False)), *ADDED),
    "added rules, lower case": with_added(byte_bpe(P.ByteLevel(add_prefix_space=False), N.Lowercase()), *ADDED),
    "added rules, characters": with_added(char_bpe(P.Metaspace(prepend_scheme="first", split=False)), *ADDED),
    "digits": byte_bpe(P.Sequence([P.Digits(individual_digits=False), P.ByteLevel(add_prefix_space=False)])),
    "single digits": byte_bpe(P.Sequence([P.Digits(individual_digits=True), P.ByteLevel(add_prefix_space=False)])),
    "punctuation": byte_bpe(P.Sequence([P.Punctuation(), P.ByteLevel(add_prefix_space=False)])),
    "punctuation runs": byte_bpe(P.Sequence([P.Punctuation("contiguous"), P.ByteLevel(add_prefix_space=False)])),
    "gpt2 split": byte_bpe(P.Sequence([P.Split(Regex(GPT2), "removed", invert=True), BYTES])),
    "tekken": byte_bpe(P.Sequence([P.Split(Regex(O200K), "isolated"), BYTES]), whole=True),
    "qwen35": byte_bpe(P.Sequence([P.Split(Regex(QWEN35), "isolated"), BYTES]), N.NFC()),
    "cl100k": byte_bpe(P.Sequence([P.Split(Regex(CL100K), "removed", invert=True), BYTES])),
    "no words": byte_bpe(BYTES, N.Sequence([N.NFKC(), N.Strip()])),
    "accents": byte_bpe(P.ByteLevel(add_prefix_space=False), N.Sequence([N.NFD(), N.StripAccents(), N.Lowercase()])),
    "llama": with_added(char_bpe(None, N.Sequence([N.Prepend(META), N.Replace(" ", META)])), SPECIAL),
    "mistral": with_added(char_bpe(P.Metaspace(prepend_scheme="first", split=False)), SPECIAL),
    "metaspace": with_added(char_bpe(P.Metaspace(prepend_scheme="always"), decoder=decoders.Metaspace()), SPECIAL),
    "metaspace never": with_added(char_bpe(P.Metaspace(prepend_scheme="never"), decoder=decoders.Metaspace(prepend_scheme="never")), SPECIAL),
    "gemma": with_added(char_bpe(P.Split(" ", "merged_with_previous"), N.Replace(" ", META), decoder=decoders.Sequence([decoders.Replace(META, " "), decoders.ByteFallback(), decoders.Fuse()])), SPECIAL),
    "unknown fused": char_bpe(P.Metaspace(prepend_scheme="always"), byte_fallback=False),
    "unknown apart": char_bpe(P.Metaspace(prepend_scheme="always"), byte_fallback=False, fuse=False),
    "unknown dropped": char_bpe(P.Metaspace(prepend_scheme="always"), byte_fallback=False, unk=None),
    "unigram": with_added(unigram(P.Metaspace(prepend_scheme="always")), SPECIAL),
    "unigram bytes": unigram(P.Metaspace(prepend_scheme="first", split=False), byte_fallback=True),
    "t5": unigram(P.Sequence([P.WhitespaceSplit(), P.Metaspace(prepend_scheme="always")]), rules=RULES),
}

result = {}
for name, made in MADE.items():
    state = json.loads(made.to_str())
    for old in ("truncation", "padding", "version"):
        state.pop(old)
    specials = [t["content"] for t in state["added_tokens"]]
    # normal forms follow the version of Unicode; that of the reference is older than the JDK's
    below = {"no words": 0x10000, "accents": 0x700}.get(name, 0x110000)
    strings = ["".join(c for c in s if ord(c) < below) for s in corpus(specials)[:3000]]
    all_ids = [made.encode(s, add_special_tokens=False).ids for s in strings]
    result[name] = {"below": below, "digest": digest(all_ids), "first": [all_ids[i] for i in range(20)], "tokenizer": state}
    if len(sys.argv) > 1:
        with open(os.path.join(sys.argv[1], name + ".ids.json"), "w") as out:
            json.dump(all_ids, out)
with open("pipelines.json", "w", encoding="utf-8") as out:
    json.dump(result, out, separators=(",", ":"), ensure_ascii=False)

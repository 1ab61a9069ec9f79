# Writes expected-digests.json: for each family, a digest of the ids that Hugging Face tokenizers 0.23.3 (Apache-2.0) gives for the corpus that
# ParityCorpus.java generates as well. The vocabularies are where models/tokenizers/fetch.sh puts them.
#   pip install tokenizers==0.23.3 gguf sentencepiece==0.2.3 protobuf && python corpus.py FOLDER [TEXT...]
# Names of further text files add a digest of each one's lines, for texts that are not part of the project.
import hashlib, json, os, struct, sys
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

HERE = os.path.dirname(os.path.abspath(__file__))
COUNT = 20_000
TEXT = open(os.path.join(HERE, "corpus.txt"), encoding="utf-8", newline="").read()
SPACES = " \t\n\r\u00a0\u2003\u3000\u000b\u000c\u0085\u2028\u1680\u200b"
PUNCTUATION = ".,;:!?'\"()[]{}<>/\\|@#$%^&*-_=+`~\u2019\u2014\u3002\uff01\u20ac"
EMOJI = ["\U0001F642", "\U0001F469", "\U0001F467", "\U0001F466", "\U0001F3FD", "\U0001F1E9", "\U0001F1EA", "\U0001F389", "\u2764", "\u200d", "\ufe0f", "\u20e3", "\U0001F468\u200d\U0001F469\u200d\U0001F467", "1\ufe0f\u20e3"]
MARKED = ["a", "e", "i", "o", "n", "c", "A", "\u00e9", "\uac00", "\u0915", "\u0627"]
CONTRACTIONS = ["'s", "'S", "'re", "'RE", "'ll", "'Ll", "'d", "'t", "'T", "'m", "'ve", "'VE", "'\u017f", "\u2019s", " 's", "'lL", "'x", "n't"]
REPEATED = "aA=-x \u2014\n"


class Random:
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        return (self.state >> 33) % n

    def of(self, items):
        return items[self.below(len(items))]


def run(random, most, one):
    return "".join(one() for _ in range(1 + random.below(most)))


def block(random, first, size):
    return chr(first + random.below(size))


def anything(random):
    c = 0x20 + random.below(0x2FFE0)
    return chr(c if c < 0xD800 or c > 0xDFFF else 0x2603)


def piece(random, specials):
    kind = random.below(16)
    if kind < 4:
        at = random.below(len(TEXT))
        return TEXT[at:at + random.below(48)]
    if kind == 4:
        return run(random, 4, lambda: random.of(SPACES))
    if kind == 5:
        return random.of(" \n\t") * (1 + random.below(30))
    if kind == 6:
        return run(random, 6, lambda: anything(random))
    if kind == 7:
        return run(random, 6, lambda: block(random, 0x4E00, 0x5200))
    if kind == 8:
        return run(random, 4, lambda: block(random, 0x3040, 0xC0)) if random.below(2) == 0 else run(random, 4, lambda: block(random, 0xAC00, 0x2BA4))
    if kind == 9:
        return run(random, 6, lambda: random.of(EMOJI))
    if kind == 10:
        return random.of(MARKED) + run(random, 3, lambda: block(random, 0x300, 0x70))
    if kind == 11:
        return run(random, 12, lambda: block(random, 0x30, 10))
    if kind == 12:
        return run(random, 6, lambda: random.of(PUNCTUATION))
    if kind == 13:
        return random.of(CONTRACTIONS)
    if kind == 14:
        return run(random, 8, lambda: block(random, 0x20, 0x230)) if random.below(4) > 0 else random.of(REPEATED) * (1 + random.below(120))
    return random.of(specials) if specials else "<|x|>"


def corpus(specials):
    random = Random(20261122)
    return [run(random, 8, lambda: piece(random, specials)) for _ in range(COUNT)]


def digest(all_ids):
    sha = hashlib.sha256()
    for ids in all_ids:
        sha.update(struct.pack("<%di" % (len(ids) + 1), *ids, -1))
    return sha.hexdigest()


def pieces(tokens, scores, types):
    # Hugging Face has no tokenizer.json for this vocabulary: sentencepiece itself is the reference
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    model = sentencepiece_model_pb2.ModelProto()
    for token, score, kind in zip(tokens, scores, types):
        piece = model.pieces.add()
        piece.piece, piece.score, piece.type = token, score, kind
    model.trainer_spec.model_type, model.trainer_spec.byte_fallback, model.trainer_spec.vocab_size = 2, True, len(tokens)
    model.normalizer_spec.name, model.normalizer_spec.add_dummy_prefix = "identity", True
    model.normalizer_spec.remove_extra_whitespaces, model.normalizer_spec.escape_whitespaces = False, True
    return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString()).encode


def gguf(path):
    from gguf import GGUFReader
    fields = {k: f.contents() for k, f in GGUFReader(path).fields.items() if k.startswith("tokenizer.")}
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    if fields["tokenizer.ggml.model"] == "llama":
        return pieces(tokens, fields["tokenizer.ggml.scores"], types), []
    made = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"]]))
    # what SmolLM2's own tokenizer.json has
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(t, normalized=False) for t, y in zip(tokens, types) if y == 3])
    return lambda text: made.encode(text, add_special_tokens=False).ids, [t for t, y in zip(tokens, types) if y == 3]


if __name__ == "__main__":
    result = {}
    for family in sorted(os.listdir(sys.argv[1])):
        path = os.path.join(sys.argv[1], family, "tokenizer.json")
        if os.path.exists(path):
            tokenizer = Tokenizer.from_file(path)
            ids = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
            with open(path, encoding="utf-8") as file:
                specials = [t["content"] for t in sorted(json.load(file)["added_tokens"], key=lambda t: t["id"])]
        else:
            ids, specials = gguf(os.path.join(sys.argv[1], family, "model.gguf"))
        result[family] = {"corpus": digest(map(ids, corpus(specials[:64])))}
        for name in sys.argv[2:]:
            with open(name, encoding="utf-8", newline="") as file:
                text = file.read()
            result[family][os.path.basename(name)] = digest(map(ids, [text] + text.split("\n")))
        print(family, result[family])
    with open(os.path.join(HERE, "expected-digests.json"), "w", encoding="utf-8") as out:
        json.dump(result, out, indent=1)
        out.write("\n")

"""Small vocabularies and what other libraries make of texts with them.

usage: make.py gguf    with gguf, llama-cpp-python, tokenizers: gemma4, afmoe, whitespace and t5 .gguf
       make.py sp      with sentencepiece: sp_word, sp_suffix and sp_char .model
"""
import io, json, os, re, struct, sys

HERE = os.path.dirname(os.path.abspath(__file__))
BYTES = [f"<0x{b:02X}>" for b in range(256)]


def texts(most):
    """Texts that the other vectors have, the shorter ones, and some that are hard for these kinds."""
    with open(os.path.join(HERE, "sp_bpe.ids.jsonl")) as f:
        found = [json.loads(line)["text"] for line in f]
    return [t for t in found if len(t.encode()) <= most and "\0" not in t] + [
        "1 12 123 1234 12345 1234567 a1234567b ½³²1234", "a\n\nb\n" + "\n" * 40 + "  c   d", "  lead and trail  ", "\u2581 \u2581\u2581x",
        "ＡＢＣ ﬁ １２３ ㍿ カﾞ", "日本語のテキスト12345 한국어 ภาษาไทย ລາວ", "<pad><0x41><mask>", "\t tab\u3000wide\u00a0hard"]


def corpus():
    return [t for t in texts(400) if "<" not in t] + ["The quick brown fox jumps over the lazy dog. " * 3, "def f(x):\n    return x + 1\n\n\n" * 3,
                         "Größe und Höhe, café naïve. " * 4, "日本語 の テキスト 한국어 텍스트 " * 4, "1234567890 " * 8] * 4


# ---- GGUF ----

def write(name, model, tokens, types, pre=None, merges=None, scores=None, **more):
    from gguf import GGUFWriter
    path = os.path.join(HERE, name)
    w = GGUFWriter(path, "llama")
    w.add_tokenizer_model(model)
    if pre:
        w.add_tokenizer_pre(pre)
    w.add_token_list([t.encode() for t in tokens])
    w.add_token_types(types)
    if scores:
        w.add_token_scores(scores)
    if merges is not None:
        w.add_token_merges(merges)
    for key, value in more.items():
        getattr(w, "add_" + key)(value)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()
    return path


def vectors(path, decode, add_special, keep=lambda text: True):
    from llama_cpp import Llama
    model = Llama(path, vocab_only=True, verbose=False)
    with open(path.removesuffix(".gguf") + ".ids.jsonl", "w") as f:
        for text in filter(keep, texts(120)):
            ids = model.tokenize(text.encode(), add_bos=False, special=True)
            special = model.tokenize(text.encode(), add_bos=True, special=True) if add_special else ids
            line = {"text": text, "ids": ids, "ids_special": special, "decoded": decode(ids)}
            f.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def train_bpe(size, **options):
    """Merges as text, the shortest first as the trainer has them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.normalizer = options.get("normalizer")
    t.pre_tokenizer = options["pre_tokenizer"]
    t.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=options.get("alphabet", []),
                                                        limit_alphabet=options.get("limit", 1000)))
    model = json.loads(t.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]


def make_plain():
    """gemma4: text with U+2581 for spaces, bytes for what is no token. whitespace: only words."""
    from tokenizers import decoders, normalizers, pre_tokenizers, Regex
    control = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    tokens, merges = train_bpe(300, normalizer=normalizers.Replace(" ", "\u2581"), limit=60,
                               pre_tokenizer=pre_tokenizers.Split(Regex("\u2581*[^\u2581\\n]+|\\n+"), "isolated"))
    tokens = control + BYTES + tokens
    types = [3] * 5 + [6] * 256 + [1] * (len(tokens) - 261)
    decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    decode = lambda tokens: lambda ids: decoder.decode([tokens[i] for i in ids])
    path = write("gemma4.gguf", "gemma4", tokens, types, merges=merges, scores=[-1000.0] * len(tokens), bos_token_id=2, eos_token_id=1,
                 unk_token_id=3, pad_token_id=0, add_bos_token=True, add_space_prefix=False)
    vectors(path, decode(tokens), True)
    words, merges = train_bpe(200, pre_tokenizer=pre_tokenizers.WhitespaceSplit(), limit=60)
    words = control + BYTES + words
    types = [3] * 5 + [6] * 256 + [1] * (len(words) - 261)
    path = write("whitespace.gguf", "whitespace", words, types, pre="whitespace", merges=merges, bos_token_id=2, eos_token_id=1)
    vectors(path, decode(words), False)


def make_afmoe():
    from tokenizers import decoders, pre_tokenizers
    tokens, merges = train_bpe(420, pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=False), alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokens.append("<pad>")
    path = write("afmoe.gguf", "gpt2", tokens, [1] * (len(tokens) - 1) + [3], pre="afmoe", merges=merges)
    decoder = decoders.ByteLevel()
    # llama.cpp leaves spaces before digits in one piece with them, unlike `tokenizers` after an isolating Split.
    vectors(path, lambda ids: decoder.decode([tokens[i] for i in ids]), False, lambda text: not re.search(r"\s\s\d", text))


def fields(data):
    """Numbers and values of a protobuf message: integers, or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, data[at:at + size]
        at += size


def make_t5():
    """sp_unigram.model with rules of normalisation, a user's token and some that aren't used."""
    from tokenizers import decoders
    with open(os.path.join(HERE, "sp_unigram.model"), "rb") as f:
        model = list(fields(f.read()))
    pieces = [dict(fields(value)) for number, value in model if number == 1]
    tokens = [f"[PAD{i}]" if p.get(3) == 6 else p[1].decode() for i, p in enumerate(pieces)] + ["[PAD]", "<mask>"]
    scores = [struct.unpack("<f", p[2])[0] if 2 in p else 0.0 for p in pieces] + [-1000.0, -1000.0]
    types = [p.get(3, 1) for p in pieces] + [5, 4]
    types = [5 if t == 6 else t for t in types] # llama.cpp falls back to no bytes here
    charsmap = next(dict(fields(value))[2] for number, value in model if number == 3)
    decoder = decoders.Metaspace("\u2581", "always")
    path = write("t5.gguf", "t5", tokens, types, pre="default", scores=scores, eos_token_id=2, unk_token_id=0, pad_token_id=0,
                 add_space_prefix=True, remove_extra_whitespaces=True, precompiled_charsmap=charsmap)
    vectors(path, lambda ids: decoder.decode([tokens[i] for i in ids]), True)


# ---- SentencePiece ----

def make_sp():
    import sentencepiece as sp
    lines = corpus()
    for name, size, more in [("sp_word", 150, {"model_type": "word", "byte_fallback": False}),
                             ("sp_suffix", 150, {"model_type": "word", "treat_whitespace_as_suffix": True}),
                             ("sp_char", 350, {"model_type": "char", "byte_fallback": True, "character_coverage": 0.98, "user_defined_symbols": ["<sep>", "ab"]})]:
        model = io.BytesIO()
        sp.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, vocab_size=size, hard_vocab_limit=False,
                                      normalization_rule_name="identity", unk_surface="<unk>", minloglevel=2, **more)
        path = os.path.join(HERE, name)
        with open(path + ".model", "wb") as f:
            f.write(model.getvalue())
        p = sp.SentencePieceProcessor(model_proto=model.getvalue())
        with open(path + ".ids.jsonl", "w") as f:
            for text in texts(120):
                ids = p.encode(text)
                line = {"text": text, "ids": ids, "ids_special": ids, "decoded": p.decode(ids)}
                f.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


if sys.argv[1:] == ["gguf"]:
    make_plain()
    make_afmoe()
    make_t5()
elif sys.argv[1:] == ["sp"]:
    make_sp()
else:
    sys.exit(__doc__)

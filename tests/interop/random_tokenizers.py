"""Tokenizers that nobody has: random parts of tokenizer.json put together, trained on a little text, and
ids and decoded texts of ft-tok beside those of `tokenizers`.

usage: random_tokenizers.py [NUMBER] [SEED]

Every part that ft-tok's manual names comes up: models, normalisers, pre-tokenisers, post-processors, decoders and
flags of added tokens. A file that ft-tok refuses by name is told and counts as right. Prints TAP, a test for each; KEEP=FOLDER keeps
the files of those that differ.
"""
import json, os, random, shutil, subprocess, sys, tempfile

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from token_ids import PARTS, characters, english, first_difference

TEXTS = 150
PATTERNS = [r"\d", r"\d{1,3}", r"\s+", r"[^\s\w]", r"\p{L}+", r"\p{Lu}", r"'s|'t|\w+", r"\s+(?!\S)|\s+", r"[a-c]", r"[^\W\d_]+", r"\W",
            r"\b", r"[\D\s]", r"(?i:'s|'LL)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
LITERALS = [" ", "a", "--", "\u2581", "e"]
BEHAVIOURS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
SPECIALS = ["<s>", "</s>", "<unk>", "<pad>", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]


def some(rng, most, *makers):
    """A sequence of up to `most` parts, one, or none."""
    return [rng.choice(makers)(rng) for _ in range(rng.choice([0, 1, 1, *range(most + 1)]))]


def pattern(rng):
    return Regex(rng.choice(PATTERNS)) if rng.random() < 0.7 else rng.choice(LITERALS)


def normalizer(rng):
    n = normalizers
    parts = some(rng, 3, lambda r: n.NFC(), lambda r: n.NFD(), lambda r: n.NFKC(), lambda r: n.NFKD(), lambda r: n.Lowercase(),
                 lambda r: n.Replace(pattern(r), r.choice(["", " ", "\u2581", "xy", "<s>"])), lambda r: n.Prepend(r.choice(["\u2581", "_", " "])),
                 lambda r: n.Strip(left=r.random() < 0.5, right=r.random() < 0.5), lambda r: n.StripAccents(), lambda r: n.Nmt(),
                 lambda r: n.BertNormalizer(clean_text=r.random() < 0.5, handle_chinese_chars=r.random() < 0.5,
                                            strip_accents=r.choice([None, True, False]), lowercase=r.random() < 0.5))
    return None if not parts else parts[0] if len(parts) == 1 else n.Sequence(parts)


def pre_tokenizer(rng, byte_level):
    p = pre_tokenizers
    makers = [lambda r: p.Split(pattern(r), r.choice(BEHAVIOURS), invert=r.random() < 0.2), lambda r: p.Whitespace(), lambda r: p.WhitespaceSplit(),
              lambda r: p.Digits(individual_digits=r.random() < 0.5), lambda r: p.Punctuation(r.choice(BEHAVIOURS)), lambda r: p.BertPreTokenizer(),
              lambda r: p.CharDelimiterSplit(r.choice(" -x"))]
    if not byte_level:
        makers.append(lambda r: p.Metaspace(replacement=r.choice(["\u2581", "_"]), prepend_scheme=r.choice(["always", "first", "never"]), split=r.random() < 0.7))
        makers.append(lambda r: p.UnicodeScripts() if r.random() < 0.2 else p.FixedLength(r.randrange(1, 9)))
    parts = some(rng, 2, *makers)
    if byte_level:
        parts.append(p.ByteLevel(add_prefix_space=rng.random() < 0.4, use_regex=rng.random() < 0.6))
    return None if not parts else parts[0] if len(parts) == 1 else p.Sequence(parts)


def post_processor(rng, tokenizer):
    p = processors
    pair = lambda name: (name, tokenizer.token_to_id(name))
    makers = [lambda: None, lambda: p.ByteLevel(trim_offsets=False), lambda: p.BertProcessing(pair("[SEP]"), pair("[CLS]")),
              lambda: p.RobertaProcessing(pair("</s>"), pair("<s>"), trim_offsets=rng.random() < 0.5, add_prefix_space=rng.random() < 0.5),
              lambda: p.TemplateProcessing(single=rng.choice(["<s> $A", "$A </s>", "<s> $A </s> <pad>", "[CLS] $0 [SEP]", "$A"]),
                                           special_tokens=[pair(s) for s in SPECIALS])]
    one = rng.choice(makers)()
    return p.Sequence([p.ByteLevel(trim_offsets=False), one]) if one and rng.random() < 0.2 else one


def decoder(rng, kind, byte_level):
    d = decoders
    if byte_level:
        return d.ByteLevel() if rng.random() < 0.8 else d.Sequence([d.ByteLevel(), d.Strip(" ", rng.randrange(2), rng.randrange(2))])
    makers = [lambda: None, lambda: d.WordPiece(prefix=rng.choice(["##", "@@"]), cleanup=rng.random() < 0.5), lambda: d.BPEDecoder(suffix=rng.choice(["</w>", ""]) or "</w>"),
              lambda: d.Metaspace(replacement="\u2581", prepend_scheme=rng.choice(["always", "first", "never"])), lambda: d.Fuse(),
              lambda: d.Sequence([d.Replace("\u2581", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)]),
              lambda: d.Sequence([d.Replace(pattern(rng), rng.choice(["", " "])), d.Fuse()]), lambda: d.CTC("<pad>", "|", rng.random() < 0.5)]
    return rng.choice(makers)()


def model(rng, texts):
    """A tokenizer with a trained model, whether it is of bytes, and what its parts are."""
    kind = rng.choice(["BPE", "BPE", "BPE", "Unigram", "WordPiece"])
    byte_level = kind != "WordPiece" and rng.random() < 0.4
    size = rng.choice([120, 400, 900])
    alphabet = pre_tokenizers.ByteLevel.alphabet() if byte_level else []
    fallback = [f"<0x{i:02X}>" for i in range(256)] if not byte_level and rng.random() < 0.4 else []
    specials = SPECIALS + fallback
    unk = rng.choice(["<unk>", "[UNK]", None])
    if kind == "BPE":
        prefix, suffix = rng.choice([("", ""), ("", ""), ("##", ""), ("", "</w>")])
        affixes = {name: text for name, text in (("continuing_subword_prefix", prefix), ("end_of_word_suffix", suffix)) if text}
        tokenizer = Tokenizer(models.BPE(unk_token=unk, byte_fallback=bool(fallback), fuse_unk=rng.random() < 0.5, ignore_merges=rng.random() < 0.3, **affixes))
        trainer = trainers.BpeTrainer(vocab_size=size + len(specials), special_tokens=specials, initial_alphabet=alphabet, show_progress=False,
                                      limit_alphabet=rng.choice([30, 100, 300]), **affixes)
    elif kind == "Unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(vocab_size=1200 + len(specials), special_tokens=specials, unk_token=unk or "<unk>", initial_alphabet=alphabet, show_progress=False)
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token=unk or "[UNK]", max_input_chars_per_word=rng.choice([100, 20, 8])))
        trainer = trainers.WordPieceTrainer(vocab_size=size + len(specials), special_tokens=specials, continuing_subword_prefix="##", show_progress=False)
    tokenizer.normalizer = normalizer(rng)
    tokenizer.pre_tokenizer = pre_tokenizer(rng, byte_level)
    tokenizer.train_from_iterator(texts, trainer)
    description = json.loads(tokenizer.to_str())
    if kind == "Unigram" and fallback:
        description["model"]["byte_fallback"] = True
    if fallback: # pieces of the model, not tokens that are found in texts
        description["added_tokens"] = [t for t in description["added_tokens"] if not t["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(description))
    for _ in range(rng.randrange(4)):
        flags = {name: rng.random() < 0.3 for name in ("lstrip", "rstrip", "single_word")}
        token = AddedToken(rng.choice(["<|x|>", "foo", "A b", "\xe9t\xe9", "the", "<|y|>", "\u4e2d", " - ", "ab"]), normalized=rng.random() < 0.5, **flags)
        (tokenizer.add_special_tokens if rng.random() < 0.4 else tokenizer.add_tokens)([token])
    tokenizer.post_processor = post_processor(rng, tokenizer)
    made = decoder(rng, kind, byte_level)
    if made:
        tokenizer.decoder = made
    return Tokenizer.from_str(tokenizer.to_str()) # as its file has it: which tokens are special, for one


def sentences(rng, source):
    extra = PARTS + ["<|x|>", "foo", " foo ", "A b", "\xe9t\xe9", "the", "<|y|>", "ab", "[MASK]", " - ", "e\u0301te\u0301", "", "##", "|"]
    kinds = [lambda: "".join(rng.choice(extra) for _ in range(rng.randrange(30))), lambda: next(characters(rng)),
             lambda: source[(at := rng.randrange(max(1, len(source) - 200))):at + rng.randrange(200)]]
    return ["", " ", "  a", "\n"] + [rng.choice(kinds)().replace("\0", " ") for _ in range(TEXTS)]


def ft_tok(folder, lines, *options):
    process = subprocess.run(["ft-tok", "-m", folder, *options], input="".join(json.dumps(x) + "\n" for x in lines).encode(), capture_output=True)
    return [json.loads(x) for x in process.stdout.splitlines()], process.stderr.decode("utf-8", "replace").strip()


def decoded(tokenizer, ids, skip):
    """None where `tokenizers` panics, as CTC does on nothing."""
    try:
        return tokenizer.decode(ids, skip_special_tokens=skip)
    except BaseException:
        return None


def differences(folder, tokenizer, texts):
    """What differs, a line each; or why ft-tok refuses the file."""
    options = ["--ids", "--train-on", "all", "--allow-special", "--threads", "1"]
    found = []
    for specials in (False, True):
        want = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=specials)]
        got, said = ft_tok(folder, [{"id": str(i), "text": t} for i, t in enumerate(texts)], *options, *([] if specials else ["--no-specials"]))
        if not got:
            return [], said
        got = {x["id"]: x["ids"] for x in got}
        for i, text in enumerate(texts):
            if want[i] != got.get(str(i), []):
                found.append(f"{json.dumps(text)} specials {specials}: {first_difference(want[i], got.get(str(i), []))}")
    rows = [ids for ids in ([e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=True)]) if ids]
    for skip in (False, True):
        want = [decoded(tokenizer, ids, skip) for ids in rows]
        got, said = ft_tok(folder, [{"ids": ids} for ids in rows], "--decode", *(["--no-specials"] if skip else []))
        got = [x["text"] for x in got]
        if len(got) != len(want):
            found.append(f"decoding: {len(got)} of {len(want)} texts: {said}")
            continue
        found += [f"decoded, special tokens {'left out' if skip else 'kept'}: {rows[i][:40]}: want {want[i]!r}, got {got[i]!r}" for i in range(len(want)) if want[i] not in (None, got[i])]
    return found, ""


def main(number=100, seed=1):
    number, failures, refused = int(number), 0, 0
    source = "".join(text for _, text in zip(range(30), english(random.Random(7))))[:300000]
    lines = source.split("\n")
    for n in range(1, number + 1):
        rng = random.Random(f"{seed} {n}")
        texts = rng.sample(lines, min(len(lines), 1500)) + ["\u4e2d\u6587 \xe9t\xe9 \u03b1\u03b2\u03b3 \U0001f600"]
        try:
            tokenizer = model(rng, texts)
            sample = sentences(rng, source)
            tokenizer.encode_batch(sample)
        except BaseException as error:
            print(f"ok {n} - # SKIP tokenizers itself: {str(error)[:100]}")
            continue
        description = json.loads(tokenizer.to_str())
        name = ", ".join(f"{part['type']}" for part in (description[k] for k in ("model", "normalizer", "pre_tokenizer", "post_processor", "decoder")) if part)
        with tempfile.TemporaryDirectory() as folder:
            tokenizer.save(os.path.join(folder, "tokenizer.json"))
            found, said = differences(folder, tokenizer, sample)
            if found and os.environ.get("KEEP"):
                shutil.copytree(folder, os.path.join(os.environ["KEEP"], str(n)), dirs_exist_ok=True)
        failures += bool(found)
        refused += bool(said)
        print(f"{'not ok' if found else 'ok'} {n} - {name}{': ' + said if said else ''}", flush=True)
        for line in found[:4]:
            print(f"#   {line[:400]}")
    print(f"# {refused} refused\n1..{number}")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

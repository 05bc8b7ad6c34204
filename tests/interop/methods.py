"""Every method of ft-train beside PEFT, transformers and PyTorch.

  theirs   an adapter that PEFT has made is gone on from: losses, gradients' norms and what comes out
  ours     an adapter that ft-train has made is loaded by PEFT: probabilities of every token
  parts    PiSSA and OLoRA, which change PEFT's base and not ours: probabilities after some steps
  full     whole models: losses of the steps; transformers loads what comes out: probabilities

Models are those of tests/data/models, and of ${SHARED}/fixtures/models where they are. Shows the largest differences.
"""
import json, math, os, subprocess, sys, tempfile, warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
warnings.simplefilter("ignore")
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from transformers.utils import logging as transformers_logging

transformers_logging.disable_progress_bar()
SRCDIR = os.environ["SRCDIR"]
FOLDERS = [f"{os.environ.get('SHARED', SRCDIR + '/../shared')}/fixtures/models", f"{SRCDIR}/tests/data/models"]
STEPS, LR = 4, 2e-3
count = failures = 0
torch.set_num_threads(1)


def ok(good, what):
    global count, failures
    count += 1
    failures += not good
    print("ok" if good else "not ok", count, "-", what, flush=True)


def run(*args):
    done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(args)}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def model_folder(name):
    return next((f"{f}/{name}" for f in FOLDERS if os.path.exists(f"{f}/{name}/config.json")), None)


class Case:
    """A model with its documents, and the batch that all steps see."""

    def __init__(self, tmp, name):
        self.tmp, self.base = tmp, model_folder(name)
        inputs = json.load(open(f"{self.base}/inputs.json"))
        self.documents = list(zip(inputs["documents"], inputs["trained"]))
        with open(f"{tmp}/docs.jsonl", "w") as f:
            f.writelines(json.dumps({"ids": i, "trained": t}) + "\n" for i, t in self.documents)
        run("ft-pack", "-m", self.base, "--length", "1024", f"{tmp}/docs.jsonl", "-o", f"{tmp}/docs.ft")

    def model(self):
        torch.manual_seed(5)
        return AutoModelForCausalLM.from_pretrained(self.base, dtype=torch.float32, attn_implementation="eager")

    def loss(self, model):
        total, targets = 0, 0
        for ids, trained in self.documents:
            logp = model(input_ids=torch.tensor([ids])).logits[0, :-1].float().log_softmax(-1)
            mask = torch.tensor(trained[1:], dtype=torch.bool)
            total = total - logp.gather(1, torch.tensor(ids)[1:, None])[:, 0][mask].sum()
            targets += int(mask.sum())
        return total / targets

    def logprobs(self, model):
        with torch.no_grad():
            model.eval()
            return [model(input_ids=torch.tensor([ids])).logits[0, :-1].float().log_softmax(-1)
                    .gather(1, torch.tensor(ids)[1:, None])[:, 0].tolist() for ids, _ in self.documents]

    def torch_steps(self, model, lr=LR, ratio=None, steps=STEPS):
        model.train()
        trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        raised = [p for n, p in trained if ratio and ("lora_B" in n or p.ndim == 1)]
        rest = [p for n, p in trained if not any(p is q for q in raised)]
        groups = [{"params": rest}] + ([{"params": raised, "lr": lr * ratio}] if raised else [])
        opt = torch.optim.AdamW(groups, lr=lr, weight_decay=0)
        losses, norms = [], []
        for _ in range(steps):
            opt.zero_grad()
            loss = self.loss(model)
            loss.backward()
            losses.append(loss.item())
            norms.append(math.sqrt(sum(float(p.grad.double().square().sum()) for _, p in trained if p.grad is not None)))
            opt.step()
        return losses, norms

    def train(self, out, *options, lr=LR, steps=STEPS):
        run("ft-train", "-m", self.base, "-o", out, "--batch", "1000", "--steps", str(steps), "--lr", str(lr), "--clip", "0",
            "--schedule", "constant", "--log", f"{out}.log", "--restart", *options, f"{self.tmp}/docs.ft")
        log = [json.loads(line) for line in open(f"{out}.log")]
        return [e["loss"] for e in log], [e["grad_norm"] for e in log]

    def scores(self, *options):
        lines = run("ft-eval", *options, "--per-token", f"{self.tmp}/docs.ft").splitlines()
        by_id = {}
        for line in map(json.loads, lines):
            if "logprobs" in line:
                by_id[int(line["id"])] = line["logprobs"][1:]
        return [by_id[i] for i in sorted(by_id)]


def farthest(x, y):
    return max(abs(a - b) for p, q in zip(x, y) for a, b in zip(p, q)) if len(x) == len(y) else math.inf


def apart(folder, other, start):
    """How far two adapters are from each other, of the way that they went."""
    a, b, c = (load_file(f"{f}/adapter_model.safetensors") for f in (folder, other, start))
    if a.keys() != b.keys():
        return math.inf
    norm = lambda x, y: math.sqrt(sum(float((x[k].float() - y[k].float()).double().square().sum()) for k in x))
    return norm(a, b) / norm(b, c)


# What the base keeps of PEFT's configuration, where ft-train writes a new one.
KEYS = ("r lora_alpha use_rslora use_dora bias target_modules exclude_modules layers_to_transform rank_pattern "
        "alpha_pattern modules_to_save init_lora_weights").split()

QV = ["q_proj", "v_proj"]
# name, model, PEFT's options, ft-train's
METHODS = [
    ("lora", "llama", dict(target_modules="all-linear"), []),
    ("rslora", "llama", dict(target_modules="all-linear", use_rslora=True), ["--rslora"]),
    ("dora", "llama", dict(target_modules="all-linear", use_dora=True), ["--dora"]),
    ("dora with biases", "llama_linear", dict(target_modules="all-linear", use_dora=True, bias="all"), ["--dora", "--bias", "all"]),
    ("bias all", "llama_linear", dict(target_modules=QV, bias="all"), ["--targets", "q_proj,v_proj", "--bias", "all"]),
    ("bias lora_only", "qwen2", dict(target_modules=QV, bias="lora_only"), ["--targets", "q_proj,v_proj", "--bias", "lora_only"]),
    ("modules_to_save", "llama", dict(target_modules=QV, modules_to_save=["embed_tokens", "lm_head", "norm"]),
     ["--targets", "q_proj,v_proj", "--modules-to-save", "embed_tokens,lm_head,norm"]),
    ("modules_to_save, norms less 1", "gemma2", dict(target_modules=QV, modules_to_save=["input_layernorm", "post_feedforward_layernorm"]),
     ["--targets", "q_proj,v_proj", "--modules-to-save", "input_layernorm,post_feedforward_layernorm"]),
    ("modules_to_save, norms of heads", "qwen3", dict(target_modules=QV, modules_to_save=["q_norm", "k_norm"]),
     ["--targets", "q_proj,v_proj", "--modules-to-save", "q_norm,k_norm"]),
    ("exclude", "llama", dict(target_modules="all-linear", exclude_modules=["k_proj"]), ["--exclude", "k_proj"]),
    ("layers", "llama", dict(target_modules=QV, layers_to_transform=[1]), ["--targets", "q_proj,v_proj", "--layers", "1"]),
    ("pattern", "llama", dict(target_modules=r".*\.1\.mlp\.(up|down)_proj"), ["--targets", r".*\.1\.mlp\.(up|down)_proj"]),
    ("ranks", "llama", dict(target_modules=QV, rank_pattern={"q_proj": 2}, alpha_pattern={"layers.1.self_attn.v_proj": 3}),
     ["--targets", "q_proj,v_proj", "--rank-pattern", "q_proj=2", "--alpha-pattern", "layers.1.self_attn.v_proj=3"]),
    ("gaussian", "llama", dict(target_modules=QV, init_lora_weights="gaussian"), ["--targets", "q_proj,v_proj", "--init", "gaussian"]),
    ("orthogonal", "llama", dict(target_modules=QV, init_lora_weights="orthogonal"), ["--targets", "q_proj,v_proj", "--init", "orthogonal"]),
    ("transposed", "gpt2", dict(target_modules=["c_attn", "c_fc"], modules_to_save=["mlp.c_proj", "ln_1"], fan_in_fan_out=True),
     ["--targets", "c_attn,c_fc", "--modules-to-save", "mlp.c_proj,ln_1"]),
    ("dora, fused", "phi3", dict(target_modules="all-linear", use_dora=True), ["--dora"]),
    ("biases, fused", "gpt_neox", dict(target_modules=["query_key_value", "dense"], bias="all"),
     ["--targets", "query_key_value,dense", "--bias", "all"]),
]


def check_theirs(tmp, name, model, peft):
    case = Case(tmp, model)
    start, out = f"{tmp}/start", f"{tmp}/out"
    torch_model = get_peft_model(case.model(), LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **peft))
    torch.manual_seed(11)
    with torch.no_grad():  # nothing trained is where it began, and B isn't zero
        for key, p in torch_model.named_parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p) * (0.05 if "lora_" in key and "magnitude" not in key else 0.01))
    torch_model.save_pretrained(start)
    before = farthest(case.scores("-m", case.base, "-a", start), case.logprobs(torch_model))
    ok(before <= 1e-4, f"{name}: PEFT's adapter, probabilities {before:.1e}")
    want, norms = case.torch_steps(torch_model)
    got, lengths = case.train(out, "-a", start)
    worst = max(abs(a - b) for a, b in zip(want, got))
    length = max(abs(a / b - 1) for a, b in zip(norms, lengths))
    ok(worst <= 1e-4 and length <= 1e-3, f"{name}: gone on from, losses {worst:.1e}, norms {length:.1e}")
    torch_model.save_pretrained(f"{tmp}/theirs")
    # Where a gradient is zero (biases of keys that aren't rotated) Adam follows its rounding.
    way = apart(out, f"{tmp}/theirs", start)
    ok(way <= 5e-2, f"{name}: the adapters end {way:.1e} of their way apart")


def check_ours(tmp, name, model, peft, options):
    case = Case(tmp, model)
    out = f"{tmp}/ours"
    case.train(out, "--rank", "4", "--alpha", "6", *options, lr=2e-2)
    loaded = PeftModel.from_pretrained(case.model(), out, is_trainable=True)
    worst = farthest(case.scores("-m", case.base, "-a", out), case.logprobs(loaded))
    ok(worst <= 1e-4, f"{name}: PEFT loads ours, probabilities {worst:.1e}")
    fresh = get_peft_model(case.model(), LoraConfig(r=4, lora_alpha=6, task_type="CAUSAL_LM", **peft))
    fresh.save_pretrained(f"{tmp}/fresh")
    shapes = [{k: tuple(v.shape) for k, v in load_file(f"{f}/adapter_model.safetensors").items()} for f in (out, f"{tmp}/fresh")]
    ok(shapes[0] == shapes[1], f"{name}: has PEFT's tensors {sorted(shapes[0].items() ^ shapes[1].items())[:4]}")
    ours, theirs = (json.load(open(f"{f}/adapter_config.json")) for f in (out, f"{tmp}/fresh"))
    if peft.get("target_modules") == "all-linear":  # PEFT lists every module by its path
        theirs["target_modules"] = ours["target_modules"] = None
    for c in (ours, theirs):
        for key in KEYS:
            if isinstance(c.get(key), list):
                c[key] = sorted(c[key])
    different = [f"{k}: {ours.get(k)} {theirs.get(k)}" for k in KEYS if ours.get(k) != theirs.get(k)]
    ok(not different, f"{name}: has PEFT's configuration {different}")


def check_part(tmp, name, init, options, dora=False, ratio=None):
    case = Case(tmp, "llama")
    config = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", init_lora_weights=init, use_dora=dora, task_type="CAUSAL_LM")
    torch_model = get_peft_model(case.model(), config)
    want, norms = case.torch_steps(torch_model, ratio=ratio)
    got, lengths = case.train(f"{tmp}/part", "--rank", "4", "--alpha", "6", *options)
    worst = max(abs(a - b) for a, b in zip(want, got))
    length = max(abs(a / b - 1) for a, b in zip(norms, lengths))
    ok(worst <= 1e-3 and length <= 1e-2, f"{name}: beside PEFT's, losses {worst:.1e}, norms {length:.1e}")
    after = case.logprobs(torch_model)
    worst = farthest(case.scores("-m", case.base, "-a", f"{tmp}/part"), after)
    ok(worst <= 2e-2, f"{name}: probabilities after {STEPS} steps {worst:.1e}")
    plain = PeftModel.from_pretrained(case.model(), f"{tmp}/part")
    worst = farthest(case.logprobs(plain), case.scores("-m", case.base, "-a", f"{tmp}/part"))
    ok(worst <= 1e-4, f"{name}: PEFT loads it on the base as it is, probabilities {worst:.1e}")


def check_plus(tmp, ratio):
    case = Case(tmp, "llama")
    start, out = f"{tmp}/start", f"{tmp}/out"
    case.train(start, "--rank", "4", "--dora", lr=1e-3, steps=1)
    torch_model = PeftModel.from_pretrained(case.model(), start, is_trainable=True)
    want, _ = case.torch_steps(torch_model, ratio=ratio)
    got, _ = case.train(out, "-a", start, "--lora-plus-ratio", str(ratio))
    worst = max(abs(a - b) for a, b in zip(want, got))
    ok(worst <= 1e-4, f"LoRA+ {ratio}: losses {worst:.1e}")


def check_full(tmp, name):
    case = Case(tmp, name)
    torch_model = case.model()
    want, norms = case.torch_steps(torch_model, lr=1e-3)
    got, lengths = case.train(f"{tmp}/full", "--full", "--save-type", "f32", lr=1e-3)
    worst = max(abs(a - b) for a, b in zip(want, got))
    length = max(abs(a / b - 1) for a, b in zip(norms, lengths))
    ok(worst <= 2e-4 and length <= 1e-3, f"full {name}: losses {worst:.1e}, norms {length:.1e}")
    loaded = AutoModelForCausalLM.from_pretrained(f"{tmp}/full", dtype=torch.float32, attn_implementation="eager")
    after = case.logprobs(loaded)
    worst = farthest(case.scores("-m", f"{tmp}/full"), after)
    ok(worst <= 1e-4, f"full {name}: transformers loads it, probabilities {worst:.1e}")
    worst = farthest(case.logprobs(torch_model), after)
    ok(worst <= 2e-2, f"full {name}: and after {STEPS} steps of its own {worst:.1e}")


def attempt(what, check, *args, **more):
    with tempfile.TemporaryDirectory(prefix="ft-methods.") as tmp:
        try:
            check(tmp, *args, **more)
        except Exception as e:
            ok(False, f"{what}: {type(e).__name__}: {str(e)[:300]}")


only = sys.argv[1:]
for name, model, peft, options in METHODS:
    if model_folder(model) and (not only or name in only):
        attempt(name, check_theirs, name, model, peft)
        attempt(name, check_ours, name, model, peft, options)
if not only:
    attempt("pissa", check_part, "pissa", "pissa", ["--init", "pissa"])
    attempt("pissa with DoRA", check_part, "pissa with DoRA", "pissa", ["--init", "pissa", "--dora"], dora=True)
    attempt("olora", check_part, "olora", "olora", ["--init", "olora"])
    attempt("LoRA+", check_plus, 8)
    names = sorted({n for f in FOLDERS if os.path.isdir(f) for n in os.listdir(f) if os.path.exists(f"{f}/{n}/inputs.json")})
    for name in names:  # experts and routers stay as they are
        if not json.load(open(f"{model_folder(name)}/config.json")).keys() & {"num_experts", "num_local_experts"}:
            attempt(f"full {name}", check_full, name)
print(f"1..{count}")
sys.exit(failures > 0)

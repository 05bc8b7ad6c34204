"""Adapters that ft-merge writes, as TAP. usage: adapters.py SHARED, programs in PATH.

PEFT's add_weighted_adapter beside sums, rank reductions and TIES of adapters; llama.cpp with GGUF
adapters of each kind of scale; LoRA extracted from two models beside numpy's decomposition."""
import json, math, os, subprocess, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
torch.set_num_threads(2)

shared = sys.argv[1]
models = os.path.join(shared, "fixtures/models")
n = failures = 0


def ok(good, what):
    global n, failures
    n += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {n} - {what}", flush=True)


def run(*args):
    p = subprocess.run(args, stderr=subprocess.PIPE, text=True)
    if p.returncode:
        print(f"# {' '.join(args)}: {p.returncode}: {p.stderr.strip()}")
    return p.returncode == 0


def load(base):
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


def changes(model, name):
    """What an adapter adds to each matrix."""
    return {k: m.get_delta_weight(name).detach() for k, m in model.named_modules()
            if hasattr(m, "lora_A") and name in m.lora_A}


def read(base, folder):
    return changes(PeftModel.from_pretrained(load(base), folder), "default")


def apart(a, b):
    return math.sqrt(sum(((a[k] - b[k]) ** 2).sum().item() for k in b) / sum((b[k] ** 2).sum().item() for k in b)) \
        if a.keys() == b.keys() else math.inf


def peft(tmp):
    base, out = os.path.join(models, "llama"), os.path.join(tmp, "out")
    folders = [os.path.join(tmp, "one"), os.path.join(tmp, "two")]
    all_linear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    for i, (folder, config) in enumerate(zip(folders, (
            LoraConfig(r=4, lora_alpha=6, target_modules=all_linear),
            LoraConfig(r=6, lora_alpha=8, use_rslora=True, target_modules=all_linear)))):
        torch.manual_seed(i)
        model = get_peft_model(load(base), config)
        for p in model.parameters():
            if p.requires_grad:
                p.data.normal_(0, 0.05)
        model.save_pretrained(folder)
    model = PeftModel.from_pretrained(load(base), folders[0], adapter_name="one")
    model.load_adapter(folders[1], "two")
    for weights in ((1.0, 1.0), (0.7, -0.4)):
        sources = [x for f, w in zip(folders, weights) for x in ("-a", f"{f}:{w}")]
        for kind, rank, args, density in (("cat", 10, ["--as-adapter"], None), ("svd", 7, ["--rank", "7"], None),
                                          ("svd", 3, ["--rank", "3"], None),
                                          ("ties_svd", 8, ["--rank", "8", "--method", "ties", "--density", "0.3"], 0.3)):
            if kind == "ties_svd" and weights != (1.0, 1.0):
                continue  # PEFT divides by how many take part, mergekit and ft-merge by their weights
            name = f"{kind}{rank}{weights[1] < 0}"
            model.add_weighted_adapter(["one", "two"], list(weights), name, combination_type=kind, svd_rank=rank,
                                       density=density)
            good = run("ft-merge", "-m", base, *sources, *args, "-o", out, "--force")
            d = apart(read(base, out), changes(model, name)) if good else math.inf
            ok(d <= 2e-5, f"{kind} of rank {rank}, weights {weights}: differs from add_weighted_adapter by {d:.2g} (2e-5)")


def gguf(tmp):
    from llama_cpp import Llama
    cases = [(m, os.path.join(models, m, "lora")) for m in ("llama", "qwen2", "qwen3", "gpt2", "gpt_neox", "gemma", "granite",
                                                           "stablelm", "olmo2")]
    cases += [("llama", os.path.join(models, "llama/variants", v)) for v in ("rslora", "plain_qv", "one_layer", "patterns")]
    for name, lora in cases:
        base, initial = os.path.join(models, name), os.path.join(lora, "initial")
        if not os.path.isdir(initial):
            continue
        label = name + "/" + os.path.relpath(lora, base)
        ids = json.load(open(os.path.join(base, "inputs.json")))["documents"][1]
        want = load_file(os.path.join(lora, "expected.safetensors"))["merged_logits.1"]
        whole, adapter, back = (os.path.join(tmp, f) for f in ("base.gguf", "adapter.gguf", "back"))
        if not (run("ft-merge", "-m", base, "-o", whole, "--type", "f32") and
                run("ft-merge", "-m", base, "-a", initial, "--as-adapter", "-o", adapter)):
            ok(False, label)
            continue
        llm = Llama(model_path=whole, lora_path=adapter, n_ctx=128, n_batch=128, n_threads=2, logits_all=True,
                    verbose=False, type_k=0, type_v=0, flash_attn=False)
        llm.eval(ids)
        d = np.abs(np.asarray(llm.scores[:len(ids)]) - want.numpy()).max()
        ok(d <= 5e-3, f"{label}: GGUF adapter in llama.cpp, logits differ from PEFT's merged ones by {d:.2g} (5e-3)")
        good = run("ft-merge", "-m", whole, "-a", adapter, "--as-adapter", "-o", back, "--force")
        d = apart(read(base, back), read(base, initial)) if good else math.inf
        ok(d <= 1e-6, f"{label}: and back to PEFT's, differs by {d:.2g} (1e-6)")


def extract(tmp):
    for name in ("llama", "gpt2", "phi3"):
        base, tuned, out = os.path.join(models, name), os.path.join(tmp, "tuned"), os.path.join(tmp, "out")
        initial = os.path.join(models, name, "lora/initial")
        if not run("ft-merge", "-m", base, "-a", initial, "-o", tuned, "--force", "--type", "f32"):
            ok(False, name)
            continue
        want = read(base, initial)
        for rank in (4, 2):
            good = run("ft-merge", "-m", base, "--with", tuned, "--rank", str(rank), "-o", out, "--force")
            best = {}
            for k, d in want.items():
                u, s, vt = np.linalg.svd(d.numpy().astype(np.float64), full_matrices=False)
                best[k] = torch.from_numpy((u[:, :rank] * s[:rank]) @ vt[:rank]).float()
            d = apart(read(base, out), best) if good else math.inf
            ok(d <= 1e-4, f"{name}: LoRA of rank {rank} from two models, differs from the best by {d:.2g} (1e-4)")


with tempfile.TemporaryDirectory() as tmp:
    peft(tmp)
    extract(tmp)
    gguf(tmp)
print(f"1..{n}")
sys.exit(failures > 0)

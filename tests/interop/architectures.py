"""Every architecture's GGUF files in llama.cpp, as TAP. usage: architectures.py SHARED, programs in PATH.

The reference models of SHARED/fixtures, written by ft-merge, give llama.cpp the logits that they have
in PyTorch. Where llama.cpp's keys can't say what a reference model is, ft-merge refuses, and a model
that differs in just that is compared with transformers."""
import json, os, shutil, subprocess, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
torch.set_num_threads(2)

models = os.path.join(sys.argv[1], "fixtures/models")
mixtures = os.path.join(os.environ["SRCDIR"], "tests/data/models")
# What llama.cpp can't be told: keys of config.json to say something else with.
UNSAYABLE = {
    "gemma2": {"query_pre_attn_scalar": 16},
    "gemma3_text": {"query_pre_attn_scalar": 16},
    "smollm3": {"no_rope_layers": [1, 1, 1]},
    "qwen3_moe": None,  # one of its layers is no mixture
}
# llama.cpp knows no window in these: documents that fit in it are compared.
NO_WINDOW = {"mistral", "phi3", "starcoder2"}
# Its GELU is a table of 16-bit floats, always of the tanh approximation.
TOLERANCE = 1e-3
GELU_TOLERANCE = {"gpt2": 5e-3, "gpt_neox": 1e-2, "starcoder2": 5e-3, "gemma": 5e-3, "gemma2": 5e-3, "gemma3_text": 5e-3}
n = failures = 0


def ok(good, what):
    global n, failures
    n += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {n} - {what}", flush=True)


def run(*args):
    return subprocess.run(args, stderr=subprocess.PIPE, text=True)


def llama_cpp(path, ids):
    from llama_cpp import Llama
    llm = Llama(model_path=path, n_ctx=256, n_batch=512, n_threads=2, n_threads_batch=2, logits_all=True,
                verbose=False, type_k=0, type_v=0, flash_attn=False)
    llm.eval(ids)
    return np.array(llm.scores[:len(ids)])


def transformers_logits(folder, documents):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return [model(torch.tensor([ids])).logits[0].numpy() for ids in documents]


def sayable(tmp, name):
    """A folder with the same weights and other keys."""
    folder = os.path.join(tmp, name + "-other")
    shutil.copytree(os.path.join(models, name), folder)
    for f in os.listdir(folder):
        os.chmod(os.path.join(folder, f), 0o700)
    path = os.path.join(folder, "config.json")
    config = json.load(open(path))
    config.update(UNSAYABLE[name])
    json.dump(config, open(path, "w"))
    return folder


def check(tmp, models, name):
    folder, gguf = os.path.join(models, name), os.path.join(tmp, name + ".gguf")
    documents = json.load(open(os.path.join(folder, "inputs.json")))["documents"]
    config = json.load(open(os.path.join(folder, "config.json")))
    if name in UNSAYABLE:
        p = run("ft-merge", "-m", folder, "-o", gguf, "--type", "f32")
        ok(p.returncode == 1 and p.stderr.count("\n") == 1 and not os.path.exists(gguf), f"{name}: {p.stderr.strip()}")
        if UNSAYABLE[name] is None:
            return
        folder = sayable(tmp, name)
        want = transformers_logits(folder, documents)
    else:
        expected = load_file(os.path.join(folder, "expected.safetensors"))
        want = [expected[f"logits.{i}"].numpy() for i in range(len(documents))]
    p = run("ft-merge", "-m", folder, "-o", gguf, "--type", "f32")
    if p.returncode:
        ok(False, f"{name}: {p.stderr.strip()}")
        return
    worst = compared = 0
    for ids, reference in zip(documents, want):
        if name in NO_WINDOW and len(ids) > config["sliding_window"]:
            continue
        # It picks longrope's factors by the context, which is a multiple of 256 tokens.
        if name == "phi3_longrope" and len(ids) <= config["original_max_position_embeddings"]:
            continue
        worst = max(worst, np.abs(llama_cpp(gguf, ids) - reference).max())
        compared += 1
    tolerance = GELU_TOLERANCE.get(name, TOLERANCE)
    ok(compared and worst <= tolerance, f"{name}: logits of {compared} documents in llama.cpp differ by {worst:.2g} ({tolerance})")


with tempfile.TemporaryDirectory() as tmp:
    for folder, name in [(models, x) for x in sorted(os.listdir(models))] + \
            [(mixtures, x) for x in ("mixtral", "olmoe", "qwen3_moe")]:
        try:
            check(tmp, folder, name)
        except Exception as e:
            ok(False, f"{name}: {e}")
print(f"1..{n}")
sys.exit(failures > 0)

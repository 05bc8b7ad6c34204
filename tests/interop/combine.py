"""ft-merge's methods for whole models beside mergekit's code, as TAP. usage: combine.py SHARED, programs
in PATH. Random masks are those of ft-merge, computed here once more (ft-merge(1), RANDOM NUMBERS); what
is kept, made larger, weighed and divided is mergekit's affair."""
import json, math, os, shutil, subprocess, sys, tempfile
import numpy as np
import torch
from safetensors.torch import load_file, save_file
try:
    from mergekit.merge_methods.generalized_task_arithmetic import GeneralizedTaskArithmeticMerge, ConsensusMethod
    from mergekit.sparsify import SparsificationMethod
    from mergekit.merge_methods.slerp import slerp
except ImportError as e:
    print(f"1..0 # SKIP mergekit: {e}")
    sys.exit(0)
torch.set_num_threads(2)
shared = sys.argv[1]
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


def philox(seed, stream, count):
    """The first numbers of Philox4x32-10 with the key `seed` and the upper half of the counter `stream`."""
    block = np.arange((count + 3) // 4, dtype=np.uint64)
    low = np.uint64(0xffffffff)
    x = [block & low, block >> np.uint64(32), np.full_like(block, stream & 0xffffffff),
         np.full_like(block, stream >> 32)]
    k = [seed & 0xffffffff, seed >> 32]
    for _ in range(10):
        p0, p1 = x[0] * np.uint64(0xd2511f53), x[2] * np.uint64(0xcd9e8d57)
        x = [(p1 >> np.uint64(32)) ^ x[1] ^ np.uint64(k[0]), p1 & low,
             (p0 >> np.uint64(32)) ^ x[3] ^ np.uint64(k[1]), p0 & low]
        k = [(k[0] + 0x9e3779b9) & 0xffffffff, (k[1] + 0xbb67ae85) & 0xffffffff]
    return np.stack(x, 1).ravel()[:count]


def stream_of(name, part):
    h = 0xcbf29ce484222325
    for c in [*name.encode(), part]:
        h = (h ^ c) * 0x100000001b3 & (1 << 64) - 1
    return h


class Draw:
    """In place of torch.bernoulli: one call for each source."""
    def __init__(self, seed, name):
        self.seed, self.name, self.part = seed, name, 0
        self.turned = ".c_" in name and name.endswith("weight")  # gpt2 keeps matrices as their transposes

    def __call__(self, chance):
        random = torch.from_numpy(philox(self.seed, stream_of(self.name, self.part), chance.numel()).astype(np.float64))
        self.part += 1
        random = random.reshape(chance.shape[::-1]).T if self.turned else random.reshape(chance.shape)
        return (random < chance.double() * 2 ** 32).float()


class Entry:
    def __init__(self, id, tensor):
        self.id, self.tensor = id, tensor


class Group:
    def __init__(self, base, others):
        self.base, self.non_base = Entry("base", base), [Entry(i, t) for i, t in enumerate(others)]


# Method: consensus, what is kept, normalize, rescale: as mergekit's registry has them.
METHODS = {
    "sum": (None, None, False, False),
    "ties": (ConsensusMethod.sum, SparsificationMethod.magnitude, True, False),
    "dare": (None, SparsificationMethod.random, False, True),
    "dare-ties": (ConsensusMethod.sum, SparsificationMethod.random, False, True),
    "della": (ConsensusMethod.sum, SparsificationMethod.della_magprune, True, True),
    "della-linear": (None, SparsificationMethod.della_magprune, False, True),
}


def theirs(method, name, base, others, weights, density, epsilon, scale, seed):
    consensus, keep, normalize, rescale = METHODS[method]
    merge = GeneralizedTaskArithmeticMerge(consensus, keep, normalize, rescale, method, None, None)
    parameters = {"weight": dict(enumerate(weights)), "density": dict.fromkeys(range(len(others)), density),
                  "normalize": normalize, "rescale": rescale, "int8_mask": False, "lambda": scale}
    if keep == SparsificationMethod.della_magprune:
        parameters["epsilon"] = dict.fromkeys(range(len(others)), epsilon)
    torch.bernoulli, plain = Draw(seed, name), torch.bernoulli
    try:
        return merge.merge_group(Group(base, others), **parameters)
    finally:
        torch.bernoulli = plain


def variant(base, folder, seed, weights):
    torch.manual_seed(seed)
    shutil.copytree(base, folder)
    os.chmod(folder, 0o755)
    new = {k: t + 0.05 * torch.randn_like(t) * torch.rand(1) for k, t in weights.items()}
    os.remove(os.path.join(folder, "model.safetensors"))
    save_file(new, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    return new


def largest(a, b):
    return max((a[k] - b[k]).abs().max().item() for k in b)


with tempfile.TemporaryDirectory() as tmp:
    for model in ("llama", "gpt2", "gemma2", "gpt_neox"):
        base = os.path.join(shared, "fixtures/models", model)
        if not os.path.isdir(base):
            continue
        out = os.path.join(tmp, "out")
        if not run("ft-merge", "-m", base, "-o", out, "--force", "--type", "f32"):
            print(f"# {model}: not known yet")
            continue
        weights = {k: t.float() for k, t in load_file(os.path.join(out, "model.safetensors")).items()}
        folders = [os.path.join(tmp, f"{model}{i}") for i in range(3)]
        variants = [variant(out, f, i, weights) for i, f in enumerate(folders)]
        factors = (0.7, 0.4, 1.0)
        sources = [x for f, w in zip(folders, factors) for x in ("--with", f"{f}:{w}")]
        for method in METHODS:
            for density, scale in ((0.5, 1.0), (0.2, 0.8)):
                args = ["--density", str(density), "--scale", str(scale), "--seed", "7", "--epsilon", "0.1"]
                if method == "sum" and density != 0.5:
                    continue
                done = run("ft-merge", "-m", base, *sources, "-o", out, "--force", "--method", method, "--type", "f32",
                           *args)
                got = load_file(os.path.join(out, "model.safetensors")) if done else {}
                want = {k: theirs(method, k, w, [v[k] for v in variants], factors, density, 0.1, scale, 7)
                        for k, w in weights.items()}
                d = largest(got, want) if done else math.inf
                ok(d <= 2e-6, f"{model}: {method}, density {density}, scale {scale}: largest difference from mergekit "
                   f"{d:.2g} (2e-6)")
        total = sum(factors)
        done = run("ft-merge", "-m", base, *sources, "-o", out, "--force", "--method", "linear", "--type", "f32")
        got = load_file(os.path.join(out, "model.safetensors"))
        d = largest(got, {k: sum(f / total * v[k] for f, v in zip(factors, variants)) for k in weights})
        ok(done and d <= 2e-6, f"{model}: linear: largest difference from the mean {d:.2g} (2e-6)")
        for t in (0.3, 1.0):
            done = run("ft-merge", "-m", base, "--with", f"{folders[0]}:{t}", "-o", out, "--force", "--method", "slerp",
                       "--type", "f32")
            got = load_file(os.path.join(out, "model.safetensors"))
            d = largest(got, {k: slerp(torch.tensor([t]), w[None], variants[0][k][None])[0]
                              for k, w in weights.items()})
            ok(done and d <= 2e-6, f"{model}: slerp {t}: largest difference from mergekit {d:.2g} (2e-6)")
        # The same through GGUF, whose rows are in another order, and back.
        files = [os.path.join(tmp, f"{i}.gguf") for i in range(3)]
        if run("ft-merge", "-m", base, "-o", files[0], "--type", "f32") and \
                run("ft-merge", "-m", folders[0], "-o", files[1], "--type", "f32"):
            for method in ("dare-ties", "della", "ties"):
                if model == "gpt2" and method == "della":
                    continue  # ranks within rows as they are stored, and GGUF's are the folder's columns
                run("ft-merge", "-m", base, "--with", folders[0], "-o", out, "--force", "--method", method, "--type", "f32")
                want = load_file(os.path.join(out, "model.safetensors"))
                good = run("ft-merge", "-m", files[0], "--with", files[1], "-o", files[2], "--method", method) and \
                    run("ft-merge", "-m", files[2], "-o", out, "--force", "--type", "f32")
                d = largest(load_file(os.path.join(out, "model.safetensors")), want) if good else math.inf
                ok(d <= 2e-6, f"{model}: {method} on GGUF files: largest difference from folders {d:.2g}")
print(f"1..{n}")
sys.exit(failures > 0)

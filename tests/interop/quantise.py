"""ft-merge's quantised files beside those of llama.cpp's llama_model_quantize, as TAP: every tensor has
the same type, and an error against the source that is no larger. usage: quantise.py SHARED, programs in
PATH. The model is SmolLM2 (rows of 576, so that K types fall back) and a made-up one of wide rows."""
import ctypes, glob, os, subprocess, sys, tempfile
import gguf, llama_cpp, numpy as np
from gguf import GGMLQuantizationType as T

shared = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))
MIXES = {"q8_0": 7, "q6_k": 18, "q5_k_m": 17, "q5_k_s": 16, "q4_k_m": 15, "q4_k_s": 14, "q3_k_l": 13, "q3_k_m": 12,
         "q3_k_s": 11, "q2_k": 10, "q5_0": 8, "q5_1": 9, "q4_0": 2, "q4_1": 3}
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


def quantise(source, out, ftype):
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.allow_requantize = ftype, 2, True
    return llama_cpp.llama_model_quantize(source.encode(), out.encode(), ctypes.byref(params)) == 0


def tensors(path):
    return {t.name: t for t in gguf.GGUFReader(path).tensors}


def values(t):
    return gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).ravel()


def compare(label, source, tmp):
    original = {name: values(t) for name, t in tensors(source).items()}
    for mix, ftype in MIXES.items():
        theirs, ours = os.path.join(tmp, "theirs.gguf"), os.path.join(tmp, "ours.gguf")
        if not quantise(source, theirs, ftype) or not run("ft-merge", "-m", source, "-o", ours, "--type", mix):
            ok(False, f"{label} {mix}: written by both")
            continue
        a, b = tensors(theirs), tensors(ours)
        other = [f"{name}: {b[name].tensor_type.name}, llama.cpp {t.tensor_type.name}" for name, t in a.items()
                 if name not in b or b[name].tensor_type != t.tensor_type]
        for line in other[:5]:
            print("#", line)
        worst, same, of, used = 0.0, 0, 0, set()
        for name, t in a.items():
            if t.tensor_type in (T.F32, T.F16) or name not in b:
                continue
            used.add(t.tensor_type.name)
            x = original[name]
            error = [np.sqrt(np.mean((values(q[name]) - x) ** 2)) for q in (a, b)]
            worst = max(worst, error[1] / max(error[0], 1e-9) - 1 if error[1] > 1e-9 else 0)
            same += np.count_nonzero(np.asarray(t.data).view(np.uint8).ravel() ==
                                     np.asarray(b[name].data).view(np.uint8).ravel())
            of += t.data.nbytes
        kind = gguf.GGUFReader(ours).fields["general.file_type"].contents()
        ok(not other and kind == ftype, f"{label} {mix}: types as llama.cpp's: {' '.join(sorted(used))}")
        ok(worst <= 0.01, f"{label} {mix}: largest error of a tensor {100 * worst:+.3f} % of llama.cpp's (1 %); "
           f"{100 * same / of:.3f} % of the bytes are the same")
        os.remove(theirs)
        os.remove(ours)


with tempfile.TemporaryDirectory() as tmp:
    log = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(log, None)
    wide, path = os.path.join(tmp, "wide"), os.path.join(tmp, "wide.gguf")
    subprocess.run([os.path.join(here, "../make-model"), wide, "hidden=512", "ffn=1024", "heads=8", "kv=2",
                    "layers=16", "vocab=512", "tied=0", "dtype=F32"], check=True)
    data = os.path.join(here, "../data/tokenizer/tiny_bpe")
    for name in os.listdir(data):
        if name.endswith(".json"):
            os.symlink(os.path.join(data, name), os.path.join(wide, name))
    ok(run("ft-merge", "-m", wide, "-o", path, "--type", "f32"), "a made-up model")
    compare("made-up", path, tmp)
    base = glob.glob(os.path.join(sys.prefix, "lib/python3*/site-packages/**/*[qQ]8_0*.gguf"), recursive=True) or \
        glob.glob(os.path.join(sys.prefix, "lib/python3*/site-packages/**/*.gguf"), recursive=True)
    if base:
        path = os.path.join(tmp, "smollm2.gguf")
        ok(run("ft-merge", "-m", base[0], "-o", path, "--type", "f32"), "SmolLM2 in f32")
        compare("SmolLM2", path, tmp)
print(f"1..{n}")
sys.exit(failures > 0)

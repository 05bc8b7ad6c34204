"""Training speed of PEFT on this machine's CPU, for bench.sh.

usage: peft_train.py MODEL IDS.jsonl BATCH STEPS SETTING
MODEL is a Hugging Face folder, IDS.jsonl has documents as {"ids": [...]}, and with "trained" a 1 for each
token that is learnt; a batch is padded to its longest document. SETTING is one of
float32, bfloat16 (weights and arithmetic), autocast (float32 weights, bfloat16 products) and
bfloat16-compile. Prints {"setting","tok_per_s","trained_per_s","rss","losses"}: the median of the steps
after the first, without padding; targets a second over all those steps; the peak resident set in bytes;
and the loss of each step.
"""
import json, resource, statistics, sys, time, warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
path, ids_path, batch_size, steps, setting = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
documents = [json.loads(line) for line in open(ids_path)]


def collate(batch):
    """Ids, attention mask and labels of documents, padded behind."""
    longest = max(len(d["ids"]) for d in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, d in enumerate(batch):
        n = len(d["ids"])
        ids[i, :n] = torch.tensor(d["ids"])
        mask[i, :n] = 1
        labels[i, :n] = torch.where(torch.tensor(d.get("trained", [1] * n)) > 0, ids[i, :n], -100)
    full = bool(mask.all())
    return {"input_ids": ids, "labels": labels} | ({} if full else {"attention_mask": mask})


dtype = torch.bfloat16 if setting.startswith("bfloat16") else torch.float32
model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="sdpa")
torch.manual_seed(1)
# PEFT keeps the adapter's weights in float32 where the base is bfloat16, as mixed precision asks for.
model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
model.train()
if setting.endswith("compile"):
    model = torch.compile(model)
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)
speeds, losses, targets, times = [], [], [], []
for step in range(steps):
    batch = collate([documents[i % len(documents)] for i in range(step * batch_size, (step + 1) * batch_size)])
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=setting == "autocast"):
        loss = model(**batch, use_cache=False).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    times.append(time.perf_counter() - start)
    tokens = batch["attention_mask"].sum().item() if "attention_mask" in batch else batch["input_ids"].numel()
    speeds.append(tokens / times[-1])
    targets.append((batch["labels"][:, 1:] != -100).sum().item())
    losses.append(round(loss.item(), 4))
print(json.dumps({
    "setting": setting,
    "tok_per_s": round(statistics.median(speeds[1:]), 1),
    "trained_per_s": round(sum(targets[1:]) / sum(times[1:]), 1),
    "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "losses": losses,
}))

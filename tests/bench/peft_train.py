"""Training speed of PEFT on this machine's CPU, for bench.sh.

usage: peft_train.py MODEL IDS.jsonl BATCH STEPS SETTING
MODEL is a Hugging Face folder, IDS.jsonl has rows of one length as {"ids": [...]}, SETTING is one of
float32, bfloat16 (weights and arithmetic), autocast (float32 weights, bfloat16 products) and
bfloat16-compile. Prints {"setting","tok_per_s","rss","losses"}: the median of the steps after the
first, the peak resident set in bytes, and the loss of each step.
"""
import json, resource, statistics, sys, time, warnings

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

warnings.filterwarnings("ignore")
path, ids_path, batch, steps, setting = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
rows = torch.tensor([json.loads(line)["ids"] for line in open(ids_path)])
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
speeds, losses = [], []
for step in range(steps):
    pick = torch.arange(step * batch, (step + 1) * batch) % len(rows)
    start = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=setting == "autocast"):
        loss = model(input_ids=rows[pick], labels=rows[pick], use_cache=False).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    speeds.append(batch * rows.shape[1] / (time.perf_counter() - start))
    losses.append(round(loss.item(), 4))
print(json.dumps({
    "setting": setting,
    "tok_per_s": round(statistics.median(speeds[1:]), 1),
    "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "losses": losses,
}))

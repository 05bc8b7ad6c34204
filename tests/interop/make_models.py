#!/usr/bin/env python3
"""Reference models: usage: make_models.py FOLDER [NAME...]

Writes FOLDER/NAME for each tiny random model below, computed by transformers and PEFT in float32:
config.json, model.safetensors, inputs.json (documents, trained), expected.safetensors (logits.i,
logprob.i), expected.json (total_nll, tokens, mean_loss, perplexity, documents), and lora/ (initial, after3, gradients, losses of
three AdamW steps, logits with the adapter and merged). tests/data/models has the ones named here; a model of
another architecture is a line in MODELS."""
import copy
import json
import math
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

SMALL = dict(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, bos_token_id=1, eos_token_id=2)
MODELS = {
    "mixtral": dict(SMALL, intermediate_size=20, num_local_experts=4, num_experts_per_tok=2),
    "qwen3_moe": dict(SMALL, num_hidden_layers=3, intermediate_size=32, moe_intermediate_size=12, head_dim=8,
                      num_experts=5, num_experts_per_tok=2, norm_topk_prob=True, mlp_only_layers=[1]),
    # As many key heads as query heads: llama.cpp takes no other.
    "olmoe": dict(SMALL, num_key_value_heads=4, intermediate_size=12, num_experts=6, num_experts_per_tok=3,
                  pad_token_id=0),
}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LENGTHS = [17, 30, 9]
CHOICE_MARGIN = 1e-3  # between the router's last chosen and first not chosen: rounding doesn't decide


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=1, sort_keys=True)
        f.write("\n")


def build(name, seed):
    g = torch.Generator().manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(name, **MODELS[name]),
                                             attn_implementation="eager").float().eval()
    with torch.no_grad():
        for key, p in sorted(model.named_parameters()):
            r = torch.randn(p.shape, generator=g)
            p.copy_(0.25 * r if p.ndim > 1 else p + 0.2 * r)
    return model, g


def routers(model):
    return [m for m in model.modules() if type(m).__name__.endswith("TopKRouter")]


def smallest_margin(model, documents):
    """How far the router's choices are from other ones."""
    margins = []

    def look(module, _, output):
        p = torch.softmax(output[0], -1).sort(-1, descending=True).values
        margins.append(float((p[:, module.top_k - 1] - p[:, module.top_k]).min()))

    hooks = [r.register_forward_hook(look) for r in routers(model)]
    with torch.no_grad():
        for ids in documents:
            model(torch.tensor([ids]))
    for h in hooks:
        h.remove()
    return min(margins, default=1.0)


def document_loss(model, ids, mask):
    """The sum over targets, and their number."""
    logprob = torch.log_softmax(model(torch.tensor([ids]), use_cache=False).logits[0], -1)
    targets = [t for t in range(1, len(ids)) if mask[t]]
    return -sum(logprob[t - 1, ids[t]] for t in targets), len(targets)


def loss_of(model, documents, trained):
    parts = [document_loss(model, *d) for d in zip(documents, trained)]
    return sum(p[0] for p in parts), sum(p[1] for p in parts)


def save_adapter(model, path):
    model.save_pretrained(path)
    os.remove(os.path.join(path, "README.md"))
    with open(os.path.join(path, "adapter_config.json")) as f:
        config = json.load(f)
    config["base_model_name_or_path"] = None
    config["target_modules"].sort()
    write_json(os.path.join(path, "adapter_config.json"), config)


def adapt(model, g, folder, documents, trained):
    # By name: PEFT's "all-linear" would also adapt the experts' stacked parameters.
    m = get_peft_model(model, LoraConfig(r=3, lora_alpha=6, target_modules=ATTENTION, task_type="CAUSAL_LM"))
    trainable = {n: p for n, p in m.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for n in sorted(trainable):
            trainable[n].copy_(0.1 * torch.randn(trainable[n].shape, generator=g))
    m.eval()
    if smallest_margin(m, documents) < CHOICE_MARGIN:
        return False
    save_adapter(m, f"{folder}/lora/initial")
    with torch.no_grad():
        files = {"adapter_logits.1": m(torch.tensor([documents[1]]), use_cache=False).logits[0],
                 "merged_logits.1": copy.deepcopy(m).merge_and_unload()(torch.tensor([documents[1]])).logits[0]}
    optimizer = torch.optim.AdamW(trainable.values(), lr=0.01, weight_decay=0.01)
    losses = []
    for step in range(4):
        total, count = loss_of(m, documents, trained)
        losses.append(float(total / count))
        optimizer.zero_grad()
        (total / count).backward()
        if step == 0:
            files.update({"grad." + n.replace(".default", ""): p.grad.clone() for n, p in trainable.items()})
            if min(float(p.grad.abs().min()) for p in trainable.values()) < 1e-6:
                return False  # Adam's first step is lr * sign: rounding would decide
        if step < 3:
            optimizer.step()
    save_adapter(m, f"{folder}/lora/after3")
    save_file(files, f"{folder}/lora/expected.safetensors")
    write_json(f"{folder}/lora/expected.json", {"losses": losses[:3], "loss_after": losses[3]})
    return True


def make(name, folder, seed):
    model, g = build(name, seed)
    documents = [[1] + torch.randint(3, SMALL["vocab_size"], (n - 1,), generator=g).tolist() for n in LENGTHS]
    trained = [[int(i != 1 or t > n // 3) for t in range(n)] for i, n in enumerate(LENGTHS)]
    if smallest_margin(model, documents) < CHOICE_MARGIN:
        return False
    model.save_pretrained(folder)
    os.remove(f"{folder}/generation_config.json")
    write_json(f"{folder}/inputs.json", {"documents": documents, "trained": trained})
    files = {}
    with torch.no_grad():
        for i, ids in enumerate(documents):
            logits = model(torch.tensor([ids]), use_cache=False).logits[0]
            files[f"logits.{i}"] = logits
            files[f"logprob.{i}"] = torch.log_softmax(logits[:-1], -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
        parts = [document_loss(model, *d) for d in zip(documents, trained)]
        total, count = (sum(p[i] for p in parts) for i in range(2))
    save_file({k: v.contiguous() for k, v in files.items()}, f"{folder}/expected.safetensors")
    write_json(f"{folder}/expected.json",
               {"total_nll": float(total), "tokens": count, "mean_loss": float(total) / count,
                "perplexity": math.exp(float(total) / count), "seed": seed,
                "documents": [{"nll": float(p[0]), "tokens": p[1]} for p in parts]})
    return adapt(model, g, folder, documents, trained)


def main():
    out, names = sys.argv[1], sys.argv[2:] or list(MODELS)
    for name in names:
        seed = next(s for s in range(1000) if make(name, os.path.join(out, name), s))
        print(f"{name}: seed {seed}")


if __name__ == "__main__":
    main()

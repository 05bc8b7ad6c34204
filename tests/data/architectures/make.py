"""Small models of every architecture: config.json, and what transformers and PEFT compute with weights that anyone
can make. usage: make.py [NAME]... writes NAME.json beside this file.

A weight's value at i is center + scale * u(name, i), u uniform in [-1, 1) from splitmix64 of FNV-1a of the name plus i:
  bias: 0.2 u; other vectors: 1 + 0.3 u, or 0.3 u in gemma's; matrices: 0.25 u; lora_A, lora_B: 0.3 u.
"""
import json, math, os, sys
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM
torch.set_num_threads(1)

COMMON = dict(vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=None)
GPT2 = dict(vocab_size=61, n_embd=24, n_layer=2, n_head=4, n_positions=40, bos_token_id=1, eos_token_id=2)
NEOX = {k: v for k, v in COMMON.items() if k != "num_key_value_heads"}
GEMMA = dict(COMMON, head_dim=8)
EXPERTS = dict(COMMON, num_experts_per_tok=2)
CASES = {
    "llama": dict(COMMON, model_type="llama", attention_bias=True, mlp_bias=True, rope_theta=500.0),
    "llama_yarn": dict(COMMON, model_type="llama", rope_theta=100.0, rope_scaling=dict(
        rope_type="yarn", factor=8.0, original_max_position_embeddings=16, beta_fast=4.0, beta_slow=0.5, mscale=1.5,
        mscale_all_dim=0.5, truncate=False)),
    "llama_yarn5": dict(COMMON, model_type="llama", rope_parameters=dict(
        rope_theta=300.0, rope_type="yarn", factor=4.0, original_max_position_embeddings=32, attention_factor=1.3)),
    "mistral": dict(COMMON, model_type="mistral", head_dim=8, sliding_window=5),
    "qwen2": dict(COMMON, model_type="qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1,
                  tie_word_embeddings=True),
    "qwen2_plain": dict(COMMON, model_type="qwen2"),
    "qwen3": dict(COMMON, model_type="qwen3", head_dim=8, attention_bias=True),
    "gemma": dict(GEMMA, model_type="gemma", hidden_act="gelu"),
    "gemma2": dict(GEMMA, model_type="gemma2", num_hidden_layers=3, query_pre_attn_scalar=6, sliding_window=5,
                   attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    "gemma2_sayable": dict(GEMMA, model_type="gemma2", query_pre_attn_scalar=8, sliding_window=6),
    "gemma3_sayable": dict(GEMMA, model_type="gemma3_text", num_hidden_layers=6, query_pre_attn_scalar=8, sliding_window=5,
                           rope_theta=3000.0, rope_local_base_freq=10000.0),
    "gemma3_text": dict(GEMMA, model_type="gemma3_text", num_hidden_layers=3, query_pre_attn_scalar=6, sliding_window=5,
                        layer_types=["sliding_attention", "full_attention", "sliding_attention"], rope_theta=2000.0,
                        rope_local_base_freq=50.0, rope_scaling=dict(rope_type="linear", factor=4.0)),
    "gemma3_nested": dict(GEMMA, model_type="gemma3_text", sliding_window=6,
                          layer_types=["sliding_attention", "full_attention"], rope_parameters=dict(
                              full_attention=dict(rope_type="default", rope_theta=3000.0),
                              sliding_attention=dict(rope_type="default", rope_theta=70.0))),
    "phi3": dict(COMMON, model_type="phi3", sliding_window=7),
    "phi3_partial": dict(COMMON, model_type="phi3", hidden_size=32, partial_rotary_factor=0.75,
                         original_max_position_embeddings=20, rope_theta=100.0,
                         rope_scaling=dict(type="longrope", short_factor=[1.0, 1.25, 1.5], long_factor=[1.0, 2.5, 4.0])),
    "gpt2": dict(GPT2, model_type="gpt2", n_inner=56, activation_function="gelu_new"),
    "gpt2_plain": dict(GPT2, model_type="gpt2", scale_attn_weights=False, activation_function="relu"),
    "gpt_neox": dict(NEOX, model_type="gpt_neox", num_attention_heads=3, rotary_pct=0.5, rotary_emb_base=200,
                     use_parallel_residual=True),
    "gpt_neox_sequential": dict(NEOX, model_type="gpt_neox", num_attention_heads=3, rotary_pct=0.25,
                                use_parallel_residual=False, hidden_act="gelu_fast"),
    "olmo2": dict(COMMON, model_type="olmo2", rms_norm_eps=1e-6),
    "smollm3": dict(COMMON, model_type="smollm3", num_hidden_layers=4, no_rope_layer_interval=2,
                    no_rope_layers=[1, 0, 1, 0]),
    "smollm3_sayable": dict(COMMON, model_type="smollm3", num_hidden_layers=4),
    "granite": dict(COMMON, model_type="granite", attention_multiplier=0.3, embedding_multiplier=5.0, logits_scaling=0.8,
                    residual_multiplier=0.3, tie_word_embeddings=True),
    "stablelm": dict(COMMON, model_type="stablelm", hidden_size=32, use_qkv_bias=True, partial_rotary_factor=0.5),
    "stablelm_parallel": dict(COMMON, model_type="stablelm", hidden_size=32, use_parallel_residual=True),
    "starcoder2": dict(COMMON, model_type="starcoder2", sliding_window=6, use_bias=True),
    "starcoder2_unbiased": dict(COMMON, model_type="starcoder2", use_bias=False, hidden_act="gelu"),
}
DOCUMENTS = [[(7 * i * i + 3 * i + 1) % 61 for i in range(n)] for n in (9, 33)]


def uniform(name, n):
    h = 0xcbf29ce484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    with np.errstate(over="ignore"):
        z = np.uint64(h) + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def values(name, shape, gemma):
    u = uniform(name, math.prod(shape))
    if name.endswith(".bias"):
        x = 0.2 * u
    elif "lora_" in name:
        x = 0.3 * u
    elif len(shape) == 1:
        x = 0.3 * u + (0 if gemma else 1)
    else:
        x = 0.25 * u
    return torch.tensor(x.astype(np.float32).reshape(shape))


def round6(x):
    return float(f"{x:.7g}")


def make(name):
    config = CASES[name]
    gemma = config["model_type"].startswith("gemma")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**json.loads(json.dumps(config))), dtype=torch.float32,
                                             attn_implementation="eager").eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            if config["model_type"] == "gpt_neox":  # its name in files
                key = key.replace("lm_head", "embed_out")
            p.copy_(values(key, tuple(p.shape), gemma))
    logits = [model(input_ids=torch.tensor([ids])).logits[0] for ids in DOCUMENTS]
    out = {"config": config, "documents": DOCUMENTS, "nll": [], "logits": [round6(x) for x in logits[1][-1].tolist()]}
    peft = get_peft_model(model, LoraConfig(r=2, lora_alpha=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    nll = 0
    for ids, scores in zip(DOCUMENTS, logits):
        out["nll"].append(-scores[:-1].log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None]).double().sum().item())
    trained = {k.replace(".default", ""): p for k, p in peft.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for key, p in trained.items():
            p.copy_(values(key, tuple(p.shape), gemma))
    for ids in DOCUMENTS:
        scores = peft(input_ids=torch.tensor([ids])).logits[0, :-1]
        nll = nll - scores.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None]).sum()
    nll.backward()
    out["adapted_nll"] = nll.item()
    out["gradients"] = {k: [round6(x) for x in [p.grad.norm().item(), *p.grad.flatten()[:3].tolist()]]
                        for k, p in sorted(trained.items())}
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, name + ".json"), "w") as f:
        f.write("{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" if k != "gradients" else ' "gradients": {\n' +
                                   ",\n".join(f"  {json.dumps(a)}: {json.dumps(b)}" for a, b in v.items()) + "}"
                                   for k, v in out.items()) + "\n}\n")
    print(name, out["nll"], out["adapted_nll"])


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        make(name)

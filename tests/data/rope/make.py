"""Rotary frequencies of the scalings of published models, as transformers computes them. usage: make.py, writes rope.json
beside this file: a config.json, inv_freq (short and long), the factor of cosines and sines."""
import json, os
import torch
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SIZES = dict(model_type="llama", vocab_size=32, hidden_size=64, intermediate_size=64, num_hidden_layers=1,
             num_attention_heads=1, max_position_embeddings=131072)
PHI3 = dict(SIZES, model_type="phi3", hidden_size=96, original_max_position_embeddings=4096)
CASES = {
    "linear": dict(SIZES, rope_theta=10000.0, rope_scaling=dict(type="linear", factor=2.5)),
    "llama 3.1": dict(SIZES, rope_theta=500000.0, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=8192)),
    "llama 3.2": dict(SIZES, rope_parameters=dict(
        rope_theta=500000.0, rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=8192)),
    "qwen3 yarn": dict(SIZES, rope_theta=1000000.0, rope_scaling=dict(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=32768)),
    "yarn, all keys": dict(SIZES, rope_theta=150000.0, rope_scaling=dict(
        rope_type="yarn", factor=32.0, original_max_position_embeddings=4096, beta_fast=24.0, beta_slow=2.0, mscale=0.707,
        mscale_all_dim=1.0, truncate=False)),
    "yarn, narrow ramp": dict(SIZES, rope_theta=10.0, rope_scaling=dict(
        rope_type="yarn", factor=2.0, original_max_position_embeddings=64, attention_factor=1.25)),
    "phi3 longrope": dict(PHI3, rope_theta=10000.0, rope_scaling=dict(
        type="longrope", short_factor=[1 + 0.03 * i for i in range(48)], long_factor=[1 + 1.3 * i for i in range(48)])),
    "phi3, half rotated": dict(PHI3, partial_rotary_factor=0.5, rope_theta=20000.0, rope_scaling=dict(
        type="longrope", short_factor=[1.0] * 24, long_factor=[1 + i / 3 for i in range(24)])),
}

out = []
for name, config in CASES.items():
    c = AutoConfig.for_model(**json.loads(json.dumps(config)))
    kind = c.rope_parameters["rope_type"]
    compute = ROPE_INIT_FUNCTIONS[kind]
    short, factor = compute(c, "cpu")
    long = compute(c, "cpu", seq_len=100000)[0] if kind == "longrope" else short
    out.append({"name": name, "config": config, "factor": float(factor),
                "inv_freq": [[float(f"{x:.9g}") for x in v.tolist()] for v in (short, long)]})
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "rope.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(x) for x in out) + "\n]\n")

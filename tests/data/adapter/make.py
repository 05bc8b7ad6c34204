#!/usr/bin/env python3
"""cases.jsonl: what PEFT does with a configuration and a module's name: whether it puts LoRA there, and
with which rank and scale. Made with peft 0.21.2."""
import json, math, os
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils.other import get_pattern_key

MODULES = ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.v_proj", "model.layers.11.mlp.up_proj",
           "model.layers.1.mlp.experts.0.up_proj", "lm_head", "model.embed_tokens", "model.layers.2.self_attn.xq_proj"]
CONFIGS = [
    {"target_modules": ["q_proj", "v_proj"]},
    {"target_modules": ["self_attn.q_proj", "lm_head"]},
    {"target_modules": ["model.layers.0.self_attn.q_proj"], "layers_to_transform": [5]},
    {"target_modules": r".*\.(q|up)_proj"},
    {"target_modules": r".*layers\.(0|1)\..*(q_proj|v_proj)"},
    {"target_modules": "q_proj"},
    {"target_modules": ["q_proj", "v_proj", "up_proj"], "layers_to_transform": [1]},
    {"target_modules": ["q_proj", "v_proj", "up_proj"], "layers_to_transform": 11},
    {"target_modules": ["q_proj", "v_proj", "up_proj"], "layers_to_transform": [0, 1], "layers_pattern": "layers"},
    {"target_modules": ["up_proj"], "layers_to_transform": [0], "layers_pattern": ["experts"]},
    {"target_modules": ["q_proj", "v_proj", "up_proj"], "layers_to_transform": [0, 1], "layers_pattern": "blocks"},
    {"target_modules": ["q_proj", "v_proj", "up_proj"], "exclude_modules": ["mlp.up_proj", "v_proj"]},
    {"target_modules": ["q_proj", "v_proj", "up_proj"], "exclude_modules": r".*layers\.1\..*"},
    {"target_modules": ["q_proj", "lm_head", "embed_tokens"], "modules_to_save": ["lm_head"]},
    {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["self_attn"]},
    {"target_modules": ["q_proj", "v_proj", "up_proj"], "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.self_attn.v_proj": 5}},
    {"target_modules": ["q_proj", "v_proj", "up_proj"], "rank_pattern": {r"layers\.1\..*": 16, "up_proj": 3}, "use_rslora": True},
    {"target_modules": ["q_proj", "v_proj", "up_proj"], "rank_pattern": {"up_proj": 3, r"layers\.1\..*": 16},
     "alpha_pattern": {"[uv].*_proj": 1.5}, "use_rslora": True},
    {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"q_proj|v_proj": 6}, "lora_alpha": 2.5},
    {"target_modules": ["q_proj"], "rank_pattern": {"proj": 6, "^model.layers.0.self_attn.q_proj": 7}},
]
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.jsonl"), "w") as f:
    for c in CONFIGS:
        conf = LoraConfig(**{"r": 4, "lora_alpha": 8, **c})
        if isinstance(conf.target_modules, set):
            conf.target_modules = sorted(conf.target_modules)
        for m in MODULES:
            r = conf.rank_pattern.get(get_pattern_key(conf.rank_pattern.keys(), m), conf.r)
            a = conf.alpha_pattern.get(get_pattern_key(conf.alpha_pattern.keys(), m), conf.lora_alpha)
            f.write(json.dumps({"config": {"peft_type": "LORA", "r": 4, "lora_alpha": 8, **c}, "module": m,
                                "targeted": bool(check_target_module_exists(conf, m)), "r": r,
                                "scale": a / (math.sqrt(r) if conf.use_rslora else r)}) + "\n")

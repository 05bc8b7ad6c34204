#!/usr/bin/env python3
"""Mixtures of experts in GGUF files as llama.cpp's converter writes them: llama.cpp and ft-eval read
them and agree with transformers; ft-merge takes them apart into the tensors they were made from, and
puts such files together."""
import json
import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np
from llama_cpp import Llama
from safetensors.numpy import load_file

MODELS = {"mixtral": ("llama", "block_sparse_moe", ("w1", "w3", "w2")),
          "olmoe": ("olmoe", "mlp", ("gate_proj", "up_proj", "down_proj"))}
LAYER = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
FLOAT32 = 0  # ggml's number for it
count = failures = 0


def ok(good, name):
    global count, failures
    count += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)


def pairs(w, heads):
    """The halves of each head side by side, as GGUF's llama has them."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(w.shape)


def write(path, folder, name, vocabulary=True):
    arch, block, matrices = MODELS[name]
    c = json.load(open(f"{folder}/config.json"))
    t = load_file(f"{folder}/model.safetensors")
    w = gguf.GGUFWriter(path, arch)
    w.add_block_count(c["num_hidden_layers"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_rope_freq_base(c["rope_parameters"]["rope_theta"])
    w.add_rope_dimension_count(c["hidden_size"] // c["num_attention_heads"])
    experts = c.get("num_experts") or c["num_local_experts"]
    w.add_expert_count(experts)
    w.add_expert_used_count(c["num_experts_per_tok"])
    w.add_vocab_size(c["vocab_size"])
    if vocabulary:
        w.add_tokenizer_model("none")
    w.add_tensor("token_embd.weight", t["model.embed_tokens.weight"])
    w.add_tensor("output_norm.weight", t["model.norm.weight"])
    w.add_tensor("output.weight", t["lm_head.weight"])
    for i in range(c["num_hidden_layers"]):
        prefix = f"model.layers.{i}."
        for short, long in LAYER.items():
            x = t.get(f"{prefix}{long}.weight")
            if x is not None and arch == "llama" and short in ("attn_q", "attn_k"):
                x = pairs(x, c["num_attention_heads"] if short == "attn_q" else c["num_key_value_heads"])
            if x is not None:
                w.add_tensor(f"blk.{i}.{short}.weight", np.ascontiguousarray(x))
        w.add_tensor(f"blk.{i}.ffn_gate_inp.weight", t[f"{prefix}{block}.gate.weight"])
        for short, long in zip(("gate", "up", "down"), matrices):
            stack = [t[f"{prefix}{block}.experts.{e}.{long}.weight"] for e in range(experts)]
            w.add_tensor(f"blk.{i}.ffn_{short}_exps.weight", np.stack(stack))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return t


def llama_cpp_logits(path, ids):
    llm = Llama(model_path=path, n_ctx=64, n_batch=64, n_threads=1, logits_all=True, verbose=False,
                type_k=FLOAT32, type_v=FLOAT32)
    llm.eval(ids)
    return np.array(llm.scores[:len(ids)])


def contents(path):
    return {t.name: (t.tensor_type, t.shape.tolist(), t.data.tobytes()) for t in gguf.GGUFReader(path).tensors}


def check(name, work):
    folder = os.path.join(os.environ["SRCDIR"], "tests/data/models", name)
    path = os.path.join(work, f"{name}.gguf")
    tensors = write(path, folder, name)
    inputs = json.load(open(f"{folder}/inputs.json"))
    expected = load_file(f"{folder}/expected.safetensors")
    for i, ids in enumerate(inputs["documents"]):
        off = np.abs(llama_cpp_logits(path, ids) - expected[f"logits.{i}"]).max()
        ok(off < 1e-3, f"{name}: llama.cpp has transformers' logits of document {i} ({off:.1e})")
    with open(f"{work}/ids.jsonl", "w") as f:
        for ids, trained in zip(inputs["documents"], inputs["trained"]):
            f.write(json.dumps({"ids": ids, "trained": trained}) + "\n")
    subprocess.run(["ft-pack", "-m", path, "--length", "64", "-o", f"{work}/rows.ft", f"{work}/ids.jsonl"],
                   check=True, stderr=subprocess.DEVNULL)
    nll = json.loads(subprocess.run(["ft-eval", "-m", path, "--backend", "fp32", f"{work}/rows.ft"],
                                    check=True, capture_output=True).stdout)["nll"]
    want = json.load(open(f"{folder}/expected.json"))["total_nll"]
    ok(abs(nll - want) <= 1e-5 * want, f"{name}: ft-eval of the GGUF file has transformers' nll ({nll}, {want})")
    again = os.path.join(work, "again.gguf")
    subprocess.run(["ft-merge", "-m", path, "-o", again], check=True, stderr=subprocess.DEVNULL)
    ids = inputs["documents"][1]
    ok(np.array_equal(llama_cpp_logits(again, ids), llama_cpp_logits(path, ids)),
       f"{name}: ft-merge's GGUF file of it is the same to llama.cpp")
    write(path, folder, name, False)
    subprocess.run(["ft-merge", "-m", folder, "-o", again], check=True, stderr=subprocess.DEVNULL)
    ok(contents(again) == contents(path), f"{name}: ft-merge's GGUF file of the folder has the same tensors")
    merged = subprocess.run(["ft-merge", "-m", path, "-o", f"{work}/{name}"], capture_output=True, text=True)
    print("".join(f"# {line}\n" for line in merged.stderr.splitlines()[-3:] if merged.returncode), end="")
    back = load_file(f"{work}/{name}/model.safetensors")
    same = back.keys() == tensors.keys() and all(np.array_equal(back[k], tensors[k]) for k in tensors)
    ok(same, f"{name}: ft-merge gives the folder's tensors back")


with tempfile.TemporaryDirectory() as work:
    for name in MODELS:
        check(name, work)
print(f"1..{count}")
sys.exit(failures > 0)

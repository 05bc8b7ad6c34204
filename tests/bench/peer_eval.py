"""Speed of scoring documents with other programs, for bench.sh.

usage: peer_eval.py PROGRAM MODEL IDS.jsonl
PROGRAM is float32 or bfloat16 (transformers, MODEL a folder) or llama.cpp (llama-cpp-python, MODEL a
GGUF file). Prints {"program","tok_per_s","ppl","rss"}; loading is not counted.
"""
import json, math, resource, sys, time

program, path, ids_path = sys.argv[1:4]
documents = [json.loads(line)["ids"] for line in open(ids_path)]
nll, targets = 0.0, 0

if program == "llama.cpp":
    import numpy
    from llama_cpp import Llama

    model = Llama(path, n_ctx=max(map(len, documents)), n_batch=512, n_threads=2, n_threads_batch=2, logits_all=True, verbose=False)
    start = time.perf_counter()
    for ids in documents:
        model.reset()
        model.eval(ids)
        logits = model.scores[: len(ids) - 1].astype(numpy.float32)
        top = logits.max(axis=1)
        log_sum = top + numpy.log(numpy.exp(logits - top[:, None]).sum(axis=1))
        nll += float((log_sum - logits[numpy.arange(len(ids) - 1), ids[1:]]).sum())
        targets += len(ids) - 1
else:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, program), attn_implementation="sdpa").eval()
    start = time.perf_counter()
    with torch.inference_mode():
        for ids in documents:
            row = torch.tensor([ids])
            logits = model(input_ids=row, use_cache=False).logits[0, :-1].float()
            nll += float(torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum"))
            targets += len(ids) - 1

seconds = time.perf_counter() - start
print(json.dumps({
    "program": program,
    "tok_per_s": round(sum(map(len, documents)) / seconds, 1),
    "ppl": round(math.exp(nll / targets), 4),
    "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))

"""Speed of llama.cpp's greedy decoding, for bench.sh.

usage: peer_generate.py MODEL.gguf IDS.jsonl TOKENS
Each prompt gets TOKENS more tokens: the first of them alone, and all of them together, a token of each
in a batch. End tokens don't end anything. Only the decoding of tokens after the first is timed.
Prints {"alone","together"}, tokens/s, and the first one's ids.
"""
import ctypes, json, sys, time
import llama_cpp as c
import numpy

path, ids_path, n_tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
prompts = [json.loads(line)["ids"] for line in open(ids_path)]
longest = max(map(len, prompts)) + n_tokens
c.llama_backend_init()
quiet = c.llama_log_callback(lambda *_: None)
c.llama_log_set(quiet, ctypes.c_void_p(0))
model = c.llama_model_load_from_file(path.encode(), c.llama_model_default_params())
vocab = c.llama_vocab_n_tokens(c.llama_model_get_vocab(model))


def decode(context, batch, parts):
    """parts: (sequence, first position, ids); the likeliest token after the last of each."""
    k, last = 0, []
    for sequence, position, ids in parts:
        for i, token in enumerate(ids):
            batch.token[k], batch.pos[k], batch.n_seq_id[k] = token, position + i, 1
            batch.seq_id[k][0], batch.logits[k] = sequence, i + 1 == len(ids)
            k += 1
        last.append(k - 1)
    batch.n_tokens = k
    if c.llama_decode(context, batch):
        raise SystemExit("llama_decode failed")
    return [int(numpy.ctypeslib.as_array(c.llama_get_logits_ith(context, i), (vocab,)).argmax()) for i in last]


def measure(prompts):
    options = c.llama_context_default_params()
    options.n_ctx, options.n_seq_max = longest * len(prompts), len(prompts)
    options.n_batch = sum(map(len, prompts))
    options.n_threads = options.n_threads_batch = 2
    context = c.llama_init_from_model(model, options)
    batch = c.llama_batch_init(options.n_batch, 0, 1)
    texts = [[t] for t in decode(context, batch, [(i, 0, p) for i, p in enumerate(prompts)])]
    start = time.perf_counter()
    for step in range(n_tokens - 1):
        parts = [(i, len(p) + step, [texts[i][-1]]) for i, p in enumerate(prompts)]
        for text, token in zip(texts, decode(context, batch, parts)):
            text.append(token)
    speed = (n_tokens - 1) * len(prompts) / (time.perf_counter() - start)
    c.llama_batch_free(batch)
    c.llama_free(context)
    return speed, texts[0]


alone, ids = max((measure(prompts[:1]) for _ in range(3)), key=lambda m: m[0])
together = measure(prompts)[0]
print(json.dumps({"alone": round(alone, 1), "together": round(together, 1), "ids": ids}))

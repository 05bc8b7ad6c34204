"""Speed of the `tokenizers` library, for bench.sh.

usage: peer_tok.py TOKENIZER.json TEXT
TEXT is cut into documents at empty lines. Prints {"mode","mb_per_s","tokens"} for one document after
another (encode) and for the library's own parallel form (encode_batch); reading is not counted.
"""
import json, sys, time

from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(sys.argv[1])
text = open(sys.argv[2], encoding="utf-8", errors="replace").read()
documents = [d for d in text.split("\n\n") if d]
size = sum(len(d.encode()) for d in documents)
for mode in "encode", "encode_batch":
    start = time.perf_counter()
    if mode == "encode":
        tokens = sum(len(tokenizer.encode(d, add_special_tokens=False).ids) for d in documents)
    else:
        tokens = sum(len(e.ids) for e in tokenizer.encode_batch(documents, add_special_tokens=False))
    print(json.dumps({"mode": mode, "mb_per_s": round(size / 1e6 / (time.perf_counter() - start), 2), "tokens": tokens}))

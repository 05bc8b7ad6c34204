#!/bin/bash
# ids beside `tokenizers`, `sentencepiece`, `tiktoken` and llama.cpp: VENV=FOLDER has them, SHARED the real
# tokenizers. MEGABYTES of text for each; see token_ids.py.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && "$python" -c 'import tokenizers' 2>/dev/null || { echo "1..0 # SKIP VENV=FOLDER with tokenizers"; exit 0; }
shared=${SHARED:-$SRCDIR/../shared}
data=$SRCDIR/tests/data/tokenizer
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sets=("$data/tiny_bpe" "$data/tiny_unigram")
for archive in "$shared"/tokenizers/*.tar.xz; do
    [ -f "$archive" ] && tar -xJf "$archive" -C "$work" && sets+=("$work/$(basename "$archive" .tar.xz)")
done
"$python" -c 'import sentencepiece' 2>/dev/null && sets+=("$data"/sp_*.model)
"$python" -c 'import tiktoken' 2>/dev/null && sets+=("$data"/*.tiktoken)
"$python" -c "import llama_cpp" 2>/dev/null && sets+=("$data"/{gemma4,whitespace}.gguf)
"$python" "$SRCDIR/tests/interop/token_ids.py" "${sets[@]}"

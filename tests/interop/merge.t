#!/bin/sh
# Merged models in transformers, gguf-py, safetensors and llama.cpp. VENV=FOLDER has them.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with transformers, peft, gguf, llama-cpp-python"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/merge.py" "${SHARED:-$SRCDIR/../shared}"

#!/bin/sh
# Mixtures of experts in GGUF files, beside llama.cpp. VENV=FOLDER has it.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with gguf and llama-cpp-python"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/experts.py"

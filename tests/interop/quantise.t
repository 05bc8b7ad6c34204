#!/bin/sh
# Quantised files beside llama.cpp's own quantiser. VENV=FOLDER has it.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with gguf, llama-cpp-python"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/quantise.py" "${SHARED:-$SRCDIR/../shared}"

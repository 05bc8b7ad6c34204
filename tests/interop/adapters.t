#!/bin/sh
# Adapters that ft-merge writes: in PEFT and llama.cpp. VENV=FOLDER has them.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with transformers, peft, llama-cpp-python"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/adapters.py" "${SHARED:-$SRCDIR/../shared}"

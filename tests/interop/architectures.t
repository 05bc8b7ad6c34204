#!/bin/sh
# GGUF files of every architecture in llama.cpp. VENV=FOLDER has it.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with transformers and llama-cpp-python"; exit 0; }
shared=${SHARED:-$SRCDIR/../shared}
[ -d "$shared/fixtures/models" ] || { echo "1..0 # SKIP no $shared/fixtures"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/architectures.py" "$shared"

#!/bin/sh
# ft-eval beside PyTorch, transformers and llama.cpp. VENV=FOLDER has them.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] && "$python" -c 'import llama_cpp, peft' 2>/dev/null ||
    { echo "1..0 # SKIP VENV=FOLDER with transformers, peft and llama_cpp"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/evaluate.py"

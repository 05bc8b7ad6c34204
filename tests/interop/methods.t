#!/bin/sh
# Every method of training beside PEFT and PyTorch. VENV=FOLDER has them.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with transformers and peft"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/methods.py"

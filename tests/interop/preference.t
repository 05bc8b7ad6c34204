#!/bin/sh
# Losses of preferences, label smoothing and NEFTune beside PyTorch, and TRL's trainers where VENV=FOLDER has trl.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with transformers and peft"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/preference.py"

#!/bin/sh
# Generation and evaluation beside transformers and PEFT. VENV=FOLDER has them.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with transformers and peft"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/generate.py" "${SHARED:-$SRCDIR/../shared}"

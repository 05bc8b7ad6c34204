#!/bin/sh
# Merging methods beside mergekit's. VENV=FOLDER has torch and safetensors, and mergekit or not.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with torch, safetensors and mergekit"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/combine.py" "${SHARED:-$SRCDIR/../shared}"

#!/bin/sh
# Random templates beside jinja2. VENV=FOLDER has it; COUNT and SEED ask for more, or others.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with jinja2"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/template.py"

#!/bin/sh
# CSV and TSV that Python's csv module wrote. VENV=FOLDER has a python.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] || { echo "1..0 # SKIP VENV=FOLDER with a python"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/tables.py"

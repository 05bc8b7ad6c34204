#!/bin/sh
# Mail as Python's email package writes it. VENV=FOLDER, or a python3 in PATH.
python=${VENV:+$VENV/bin/python}
command -v "${python:=python3}" >/dev/null || { echo "1..0 # SKIP no python3"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/mail.py"

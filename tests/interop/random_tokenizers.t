#!/bin/bash
# Tokenizers put together at random, beside `tokenizers`: VENV=FOLDER has it. NUMBER of them (default 60), SEED.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && "$python" -c 'import tokenizers' 2>/dev/null || { echo "1..0 # SKIP VENV=FOLDER with tokenizers"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/random_tokenizers.py" "${NUMBER:-60}" "${SEED:-1}" 2>/dev/null

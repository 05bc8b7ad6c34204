#!/bin/sh
# ft-score beside lm-evaluation-harness. VENV=FOLDER has lm_eval, torch and transformers.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && [ -x "$python" ] && "$python" -c 'import lm_eval, transformers' 2>/dev/null ||
    { echo "1..0 # SKIP VENV=FOLDER with lm_eval and transformers"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/score.py"

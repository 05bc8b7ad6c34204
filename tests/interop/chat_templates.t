#!/bin/sh
# Published chat templates beside transformers: VENV=FOLDER has it; TEMPLATES=FOLDER[:FOLDER...] adds more of them.
python=${VENV:+$VENV/bin/python}
[ -n "$python" ] && "$python" -c 'import transformers, jinja2' 2>/dev/null || { echo "1..0 # SKIP VENV=FOLDER with transformers"; exit 0; }
exec "$python" "$SRCDIR/tests/interop/chat_templates.py" "$SRCDIR/tests/data/template/templates"

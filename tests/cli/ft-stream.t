#!/bin/sh
# The reader in ft-stream(5) reads what the programs write, and its example is what they would write.
python=
for p in python3 "$VENV/bin/python"; do
    if "$p" -c 'import msgpack' 2>/dev/null; then python=$p; break; fi
done
[ -n "$python" ] || { echo '1..0 # SKIP no python3 with the msgpack module'; exit 0; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/ft-stream.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
sed -n '/^\.\\" tests.*ft-stream.t/,/^\.Ed/p' "$SRCDIR/doc/man/ft-stream.5" | sed '1,2d;$d' >"$dir/reader.py"
cd "$dir" || exit 1
failed=0
mkdir model
echo '{"vocab_size": 300}' >model/config.json
{
    echo '{"ids": [1, 258, 3], "id": "x"}'
    echo '{"ids": [4, 5, 6, 7], "trained": [0, 0, 1, 0]}'
} >ids.jsonl
ft-pack -m model --length 8 --no-shuffle -o s.ft ids.jsonl 2>/dev/null
cat s.ft s.ft | "$python" reader.py >got
for i in 1 2; do
    echo 'x [1, 258, 3] [0, 1, 1]'
    echo '1 [4, 5, 6, 7] [0, 0, 1, 0]'
done >want
if cmp -s want got; then echo 'ok 1 - reads two segments'; else echo 'not ok 1 - reads two segments'; failed=1; fi
head -c 250 s.ft | "$python" reader.py >/dev/null 2>&1 && failed=1
[ $failed -eq 0 ] && echo 'ok 2 - sees that a stream was cut off' || echo 'not ok 2 - sees that a stream was cut off'
echo 1..2
exit $failed

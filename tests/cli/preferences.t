#!/bin/sh
# Preferences and labelled completions on their way: ids and documents in, streams, packed, split, shown.
dir=$(mktemp -d "${TMPDIR:-/tmp}/preferences.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0 failed=0
result() { # STATUS NAME
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; failed=1; fi
}
is() { # NAME GOT WANT
    [ "$2" = "$3" ]; result $? "$1"
    [ "$2" = "$3" ] || { echo "# got  $2"; echo "# want $3"; }
}
fails() { # NAME STATUS TEXT COMMAND...
    name=$1 want=$2 text=$3; shift 3
    "$@" >stdout 2>stderr; status=$?
    [ $status -eq "$want" ] && grep -qF -- "$text" stderr && [ ! -e x.ft ]; r=$?
    result $r "$name"
    [ $r -eq 0 ] || { echo "# status $status"; sed 's/^/# /' stderr; rm -f x.ft; }
}
pack() { ft-pack -m model "$@"; }
json() { ft-dump --json "$1" | sed 's/"row":[0-9]*,//' | sort; }
kind() { ft-dump "$1" | sed -n 's/^kind  *//p'; }

mkdir model
echo '{"vocab_size": 100, "bos_token_id": 1}' >model/config.json
cat >pairs.jsonl <<'X'
{"id":"a","source":"s","weight":0.5,"chosen":{"ids":[1,5,6,7],"trained":[0,0,1,1],"bytes":9},"rejected":{"ids":[1,5,8],"trained":[0,0,1]}}
{"chosen":{"ids":[1,9,10],"trained":[0,0,1]},"rejected":{"ids":[1,9,11,12,13],"trained":[0,0,1,0,1]}}
X
cat >labels.jsonl <<'X'
{"id":"good","ids":[1,5,6,7],"trained":[0,0,1,1],"label":true}
{"id":"bad","ids":[1,5,8],"trained":[0,0,1],"label":0}
{"id":"odd","ids":[1,9,8],"trained":[0,0,1],"label":false,"weight":2}
X

# ---- packed ----
pack -o p.ft pairs.jsonl 2>err; result $? 'preferences from ids'
is 'what is said' "$(cat err)" 'ft-pack: 2 preferences, 15 tokens, 6 of them in completions'
is 'kind' "$(kind p.ft)" preference
is 'nothing is packed across' "$(ft-dump --json p.ft | wc -l) $(ft-dump --stats p.ft | sed -n '1s/  */ /p')" '2 records 2'
cat >want <<'X'
{"index":0,"id":"a","source":"s","weight":0.5,"chosen":{"bytes":9,"ids":[1,5,6,7],"trained":[0,0,1,1]},"rejected":{"bytes":0,"ids":[1,5,8],"trained":[0,0,1]}}
{"index":1,"id":"1","source":null,"weight":1.0,"chosen":{"bytes":0,"ids":[1,9,10],"trained":[0,0,1]},"rejected":{"bytes":0,"ids":[1,9,11,12,13],"trained":[0,0,1,0,1]}}
X
json p.ft >got; cmp -s want got; result $? 'chosen and rejected stay together'
ft-dump --json p.ft | pack -o q.ft 2>/dev/null; json q.ft | sed 's/"index":[0-9]*/"index":0/' | sort >got
sed 's/"index":[0-9]*/"index":0/' want | sort | cmp -s - got; result $? 'ft-dump writes what ft-pack reads'
pack -o l.ft labels.jsonl 2>err; result $? 'labels from ids'
is 'what is said of labels' "$(cat err)" 'ft-pack: 3 labelled completions, 10 tokens, 4 of them in completions'
is 'labels' "$(kind l.ft) $(json l.ft | sed 's/.*"id":"\([a-z]*\)".*"weight":\([0-9.]*\),"label":\([a-z]*\),.*/\1 \2 \3/' | tr '\n' ' ')" \
    'label good 1.0 true bad 1.0 false odd 2.0 false '
is 'checked' "$(ft-dump --check p.ft l.ft 2>&1)" ''

# ---- order, splits, copies, length ----
awk 'BEGIN { for (i = 0; i < 300; i++) printf "{\"id\":\"%d\",\"chosen\":{\"ids\":[1,%d,%d,5],\"trained\":[0,0,0,1]},\"rejected\":{\"ids\":[1,%d,%d,6],\"trained\":[0,0,0,1]}}\n",
    i, i / 3 % 10, i / 30, i / 3 % 10, i / 30 }' >many.jsonl
pack -o a.ft many.jsonl 2>/dev/null; pack --seed 1 -o b.ft many.jsonl 2>/dev/null
! cmp -s a.ft b.ft; result $? 'another seed, other bytes'
json a.ft >a.json; json b.ft | cmp -s - a.json; result $? 'another seed, the same preferences'
ids() { ft-dump --json "$1" | sed 's/.*"id":"\([0-9]*\)".*/\1/'; }
[ "$(ids a.ft | head -3 | tr '\n' ' ')" != '0 1 2 ' ]; result $? 'shuffled'
is 'in order' "$(pack --no-shuffle many.jsonl 2>/dev/null | ft-dump --json | sed 's/.*"id":"\([0-9]*\)".*/\1/' | head -3 | tr '\n' ' ')" '0 1 2 '
pack --split held=0.2 -o s.ft many.jsonl 2>/dev/null; result $? 'split'
ids s.held.ft | awk '{ print int($1 / 3) }' | sort -u >held; ids s.ft | awk '{ print int($1 / 3) }' | sort -u >rest
is 'one prompt, one side' "$(sort held rest | uniq -d | wc -l) $(cat held rest | wc -l)" '0 100'
cat many.jsonl many.jsonl | pack --dedup -o d.ft 2>err; ft-dump --json d.ft | wc -l >got
is 'repeated preferences' "$(cat got) $(sed -n 1p err)" "100 ft-pack: 500 of 600 documents repeat another's tokens: left out"
sed 's/"label":0/"label":true/; s/"ids":\[1,5,8\]/"ids":[1,5,6,7]/; s/"trained":\[0,0,1\]/"trained":[0,0,1,1]/' labels.jsonl | head -2 |
    pack --dedup -o d.ft 2>err; is 'the same with the same label' "$(grep -c repeat err)" 1
sed 's/"ids":\[1,5,8\]/"ids":[1,5,6,7]/; s/"trained":\[0,0,1\]/"trained":[0,0,1,1]/' labels.jsonl | head -2 |
    pack --dedup -o d.ft 2>err; is 'the same with another label' "$(grep -c repeat err)" 0
pack --length 4 -o o.ft pairs.jsonl 2>err
is 'too long: left out with its other' "$(json o.ft | wc -l) $(sed -n 1p err)" \
    '1 ft-pack: 1 of 4 documents longer than 4 tokens: dropped, 8 of their 8 tokens (3 trained) left out'
pack --length 3 --overlong truncate -o o.ft pairs.jsonl 2>/dev/null
is 'truncated' "$(json o.ft | sed 's/[^[]*"ids":\(\[[^]]*\]\)[^[]*\[[^]]*\]/\1/g' | sed 's/[^]]*$//' | tr '\n' ' ')" '[1,5,6][1,5,8] [1,9,10][1,9,11] '
fails 'error' 1 'has 5 tokens, a row holds 4' pack --length 4 --overlong error -o x.ft pairs.jsonl
fails 'no splitting' 2 'are compared as a whole' pack --length 4 --overlong split -o x.ft pairs.jsonl

# ---- what doesn't mix ----
echo '{"ids":[1,2]}' >plain.jsonl
fails 'documents behind preferences' 1 'plain.jsonl:1: this: is of kind tokens, but what was before it is of kind preference' \
    pack -o x.ft pairs.jsonl plain.jsonl
cat p.ft l.ft >mixed.ft
fails 'two kinds in one stream' 1 'kind is label, but preference in the segment before' ft-dump --check mixed.ft
fails 'packed already' 1 'is packed already' pack -o x.ft p.ft
fails 'no completion' 1 'bad.jsonl:1: "rejected": no id is trained' \
    sh -c 'echo "{\"chosen\":{\"ids\":[1,2],\"trained\":[0,1]},\"rejected\":{\"ids\":[1,2],\"trained\":[1,0]}}" >bad.jsonl; ft-pack -m model -o x.ft bad.jsonl'
fails 'no mask' 1 '"chosen": no "trained"' \
    sh -c 'echo "{\"chosen\":{\"ids\":[1,2]},\"rejected\":{\"ids\":[1,2]}}" >bad.jsonl; ft-pack -m model -o x.ft bad.jsonl'
fails 'half of one' 1 '"rejected": ' \
    sh -c 'echo "{\"chosen\":{\"ids\":[1,2],\"trained\":[0,1]}}" >bad.jsonl; ft-pack -m model -o x.ft bad.jsonl'
fails 'no label' 1 '"label" is neither' \
    sh -c 'echo "{\"ids\":[1,2],\"trained\":[0,1],\"label\":\"x\"}" >bad.jsonl; ft-pack -m model -o x.ft bad.jsonl'
cut=0
for i in $(seq 0 $(($(wc -c <l.ft) - 1))); do
    head -c "$i" l.ft | ft-dump --check 2>/dev/null && cut=$((cut + 1))
done
is 'cut at every byte' "$cut" 0

# ---- from documents ----
base=$SRCDIR/tests/data/chat
templates=$SRCDIR/tests/data/template/templates
tok() { ft-tok -m "$base" --template "$templates/smollm2.jinja" "$@"; }
cat >docs.jsonl <<'X'
{"id":"strings","source":"s","weight":0.5,"prompt":"Say","chosen":"Hello","rejected":"No"}
{"prompt":[{"role":"user","content":"Say"}],"chosen":[{"role":"assistant","content":"Hello"}],"rejected":[{"role":"assistant","content":"No"}]}
{"chosen":[{"role":"user","content":"Say"},{"role":"assistant","content":"Hello"}],"rejected":[{"role":"user","content":"Say"},{"role":"assistant","content":"No"}]}
{"prompt":"Say","chosen":[{"role":"user","content":"Say"},{"role":"assistant","content":"Hello"}],"rejected":[{"role":"user","content":"Say"},{"role":"assistant","content":"No"}]}
{"prompt":"Say","chosen":[{"role":"assistant","content":"Hello"}],"rejected":[{"role":"assistant","content":"No"}]}
{"conversations":[{"from":"human","value":"Say"}],"chosen":{"from":"gpt","value":"Hello"},"rejected":{"from":"gpt","value":"No"}}
{"messages":[{"role":"user","content":"Say"}],"chosen":"Hello","rejected":"No"}
{"instruction":"Say","input":"","chosen":"Hello","rejected":"No"}
X
tok --ids docs.jsonl | sed 's/.*"chosen"/"chosen"/' | head -7 | sed 's/,"source".*/}/' | sort -u >got
is 'seven ways of saying the same' "$(wc -l <got)" 1
is 'only the answers are trained' "$(tok --render docs.jsonl | sed -n 's/.*\(\[\[.*\)/\1/p' | LC_ALL=C sort | uniq -c | tr -s ' ')" \
    ' 1 [[Hello</s>]]
 7 [[Hello<|im_end|>]]
 1 [[No</s>]]
 7 [[No<|im_end|>]]'
is 'named' "$(tok --render docs.jsonl | sed -n 's/^--- \([^:]*\):.*/\1/p' | head -2 | tr '\n' ' ')" '"strings" chosen "strings" rejected '
tok docs.jsonl >docs.ft; is 'as a stream' "$(kind docs.ft)" preference
is 'its labels' "$(ft-dump --json docs.ft | sed -n '1s/,"chosen.*//p')" '{"row":0,"index":0,"id":"strings","source":"s","weight":0.5'
tok --threads 1 docs.jsonl | cmp -s - docs.ft; result $? 'the same with one thread'
ft-pack --no-shuffle -o x1.ft docs.ft 2>/dev/null; tok --ids docs.jsonl | ft-pack -m "$base" --no-shuffle -o x2.ft 2>/dev/null
is 'the same through ids' "$(ft-dump --hash x1.ft | cut -c1-32)" "$(ft-dump --hash x2.ft | cut -c1-32)"
cat >turns.jsonl <<'X'
{"chosen":[{"role":"user","content":"Say"},{"role":"assistant","content":"Yes"},{"role":"user","content":"Who"},{"role":"assistant","content":"Hello"}],"rejected":[{"role":"user","content":"Say"},{"role":"assistant","content":"Yes"},{"role":"user","content":"Who"},{"role":"assistant","content":"No"}]}
X
is 'an answer in the prompt is not trained' "$(tok --render turns.jsonl | grep -o '\[\[.*' | tr '\n' ' ')" '[[Hello<|im_end|>]] [[No<|im_end|>]] '
cat >kto.jsonl <<'X'
{"prompt":"Say","completion":"Hello","label":true}
{"prompt":[{"role":"user","content":"Say"}],"completion":[{"role":"assistant","content":"No"}],"label":false}
X
tok kto.jsonl >kto.ft; is 'labels' "$(kind kto.ft) $(ft-dump --json kto.ft | sed 's/.*"label":\([a-z]*\).*/\1/' | tr '\n' ' ')" 'label true false '
is 'a label that says nothing of the answer' "$(echo '{"prompt":"Say","completion":"No","label":"x"}' | tok | ft-dump | sed -n 's/^kind  *//p')" tokens
is 'the chosen one alone, on request' "$(tok --field completion=chosen --render docs.jsonl 2>/dev/null | sed -n 's/.*\(\[\[.*\)/\1/p' | head -1)" \
    '[[Hello<|im_end|>]]'
is 'as text' "$(ft-dump -m "$base" docs.ft | sed -n 's/^---- //p' | head -2 | cut -c1-36)" 'row 0, document 0, chosen, id "strin
row 0, document 0, rejected, id "str'

refused() { # NAME TEXT JSON [OPTION...]
    printf '%s\n' "$3" >refused.jsonl; name=$1 text=$2; shift 3
    fails "$name" 1 "$text" ft-tok -m "$base" --template "$templates/smollm2.jinja" -o x.ft "$@" refused.jsonl
}
refused 'ids' 'chosen holds ids, not text: ft-pack reads such lines' "$(head -1 pairs.jsonl)"
refused 'no prompt' 'refused.jsonl:1: chosen and rejected are texts without a prompt' '{"chosen":"a","rejected":"b"}'
refused 'nothing in common' 'no message at their beginning in common' \
    '{"chosen":[{"role":"user","content":"a"}],"rejected":[{"role":"user","content":"b"}]}'
refused 'two forms' 'chosen is a string and rejected is an array' '{"prompt":"p","chosen":"a","rejected":[{"role":"user","content":"b"}]}'
refused 'a number' 'rejected is a number, expected a string or messages' '{"prompt":"p","chosen":"a","rejected":7}'
refused 'a wrong message' 'rejected[0].role is missing' \
    '{"prompt":[{"role":"user","content":"a"}],"chosen":[{"role":"assistant","content":"b"}],"rejected":[{"content":"c"}]}'
refused 'all tokens' '--train-on all is not for a preference' '{"prompt":"p","chosen":"a","rejected":"b"}' --train-on all
refused 'a mixture' 'refused.jsonl:2: would be of kind tokens, but those before are of kind preference' \
    "$(printf '%s\n%s' '{"prompt":"p","chosen":"a","rejected":"b"}' '{"text":"b"}')"
printf '%s\n%s\n' '{"prompt":"p","chosen":[],"rejected":"b"}' >refused.jsonl
refused 'no answer' 'chosen' '{"prompt":"p","chosen":[],"rejected":[]}'
echo '{"text":"x"}' >one.jsonl
fails 'a mixture over files' 1 'one.jsonl:1: would be of kind tokens' ft-tok -m "$base" --template "$templates/smollm2.jinja" -o x.ft kto.jsonl one.jsonl
is 'ft-lint reads them' "$(ft-lint -m "$base" --template "$templates/smollm2.jinja" --ignore tiny,conflict,duplicate,prompt-leak,near-duplicate docs.jsonl kto.jsonl | grep -c 'prefer\|label')" 1
is 'several answers to a prompt are no conflict' "$(printf '%s\n' '{"prompt":"Say what you want","completion":"Nothing at all","label":true}' \
    '{"prompt":"Say what you want","completion":"The moon and the stars","label":false}' | ft-lint --tsv 2>/dev/null | wc -l)" 1
is 'the same answer with both labels is no copy' "$(printf '%s\n' '{"prompt":"Say what you want","completion":"Nothing at all","label":true}' \
    '{"prompt":"Say what you want","completion":"Nothing at all","label":false}' | ft-lint --tsv 2>/dev/null | sed 1d | cut -f 4)" near-duplicate
is 'a preference that is none' "$(echo '{"prompt":"Say what you want","chosen":"A","rejected":"A"}' | ft-lint 2>/dev/null | grep -c 'chosen and rejected are the same')" 1
is 'an empty answer' "$(echo '{"prompt":"Say what you want","chosen":" ","rejected":"A"}' | ft-lint 2>/dev/null | grep -c 'stdin:1: error: chosen: nothing but blanks')" 1

echo "1..$n"
exit $failed

#!/bin/sh
# ft-pack as a user types it: inputs of both kinds, splits, policies, and what it refuses.
dir=$(mktemp -d "${TMPDIR:-/tmp}/ft-pack.XXXXXX") || exit 1
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
# fails NAME STATUS TEXT COMMAND...: exits so, with TEXT in the one line on stderr (two for usage), and
# leaves no output.
fails() {
    name=$1 want=$2 text=$3; shift 3
    "$@" >stdout 2>stderr; status=$?
    lines=$(grep -c . stderr)
    [ $status -eq "$want" ] && grep -qF -- "$text" stderr && [ "$lines" -le "$want" ] && [ ! -e x.ft ] && [ ! -e x.held.ft ]
    r=$?
    result $r "$name"
    [ $r -eq 0 ] || { echo "# status $status"; sed 's/^/# /' stderr; ls | sed 's/^/# left: /'; rm -f x.ft x.held.ft; }
}
pack() { ft-pack -m model "$@"; }
json() { ft-dump --json "$1" | sed 's/"row":[0-9]*,//' | sort; }

mkdir model empty
echo '{"vocab_size": 100, "bos_token_id": 1, "eos_token_id": [2, 3]}' >model/config.json
cat >ids.jsonl <<'X'
{"ids": [1, 5, 6, 7, 8], "id": "a", "source": "s"}
{"ids": [1, 9, 10], "trained": [0, 0, 1], "id": 7}

{"ids": [1, 11, 12, 13], "trained": [true, true, false, true], "weight": 0.5, "bytes": 12, "other": []}
{"ids": [1, 14, 15, 2], "trained": null, "id": null}
X

pack --length 8 -o x.ft ids.jsonl 2>err; result $? 'JSON Lines of ids'
is 'what it says' "$(cat err)" 'ft-pack: 4 documents, 16 tokens, 62.5% trained, in 2 rows of 8, 100.0% full'
json x.ft >got
cat >want <<'X'
{"index":0,"part":0,"id":"a","source":"s","weight":1.0,"bytes":0,"ids":[1,5,6,7,8],"trained":[0,1,1,1,1]}
{"index":1,"part":0,"id":"7","source":null,"weight":1.0,"bytes":0,"ids":[1,9,10],"trained":[0,0,1]}
{"index":2,"part":0,"id":"2","source":null,"weight":0.5,"bytes":12,"ids":[1,11,12,13],"trained":[0,1,0,1]}
{"index":3,"part":0,"id":"3","source":null,"weight":1.0,"bytes":0,"ids":[1,14,15,2],"trained":[0,1,1,1]}
X
cmp -s want got; result $? 'the documents'
is 'the header' "$(ft-dump x.ft | sed -n '/^vocabulary/,/^made/p')" "vocabulary      100, bos 1, eos 2
length          8
made by         ft-pack $(ft-pack --version | sed 's/.* //') --length=8 --overlong=split --seed=0 input=$(ft-dump x.ft | sed -n 's/.*input=//p')"

# The bytes don't depend on how the input comes or the options are given.
same() { cmp -s x.ft y.ft; result $? "the same bytes: $1"; }
pack --length=8 <ids.jsonl >y.ft 2>/dev/null; same 'by pipes'
head -2 ids.jsonl >1; tail -n +3 ids.jsonl >2
pack --length 8 -o y.ft 1 2 2>/dev/null; same 'in two files'
gzip -c ids.jsonl | ft-pack --seed 0 --length 8 -m model/ -o y.ft - 2>/dev/null; same 'compressed, from -'
{ while IFS= read -r line; do echo "$line"; done; } <ids.jsonl | pack --length 8 -o y.ft 2>/dev/null; same 'line by line'
pack --length 8 -o y.ft.gz ids.jsonl 2>/dev/null && gzip -dc y.ft.gz >y.ft; same 'after decompression'

# Seeds and splits.
awk 'BEGIN { for (i = 0; i < 400; i++) { s = ""; for (j = 0; j < 3 + i % 7; j++) s = s "," (i * 7 + j * j) % 100;
    printf "{\"ids\":[%d,%d%s],\"id\":\"d%d\"}\n", i % 100, int(i / 100), s, i } }' >many.jsonl
pack --length 16 -o a.ft many.jsonl 2>/dev/null
pack --length 16 --seed 1 -o b.ft many.jsonl 2>/dev/null
! cmp -s a.ft b.ft; result $? 'another seed, other bytes'
json a.ft >a.json; json b.ft >b.json
cmp -s a.json b.json; result $? 'another seed, the same documents'
pack --length 16 --split held=0.1 --split test=0.2:t.ft -o all.ft.zst many.jsonl 2>err
result $? 'two splits'
grep -q '^ft-pack: held: .* documents' err && [ -s all.held.ft.zst ]; result $? 'the name of a split'
for f in all.ft.zst all.held.ft.zst t.ft; do json $f; done | sort >got
cmp -s a.json got; result $? 'every document is in one of them'
json all.held.ft.zst | sed 's/.*"id":"\([^"]*\)".*/\1/' | sort >held
[ "$(wc -l <held)" -gt 20 ] && [ "$(wc -l <held)" -lt 60 ]; result $? 'about a tenth is held'
sort -r many.jsonl | pack --length 32 --seed 5 --split held=0.1:h.ft -o y.ft 2>/dev/null
json h.ft | sed 's/.*"id":"\([^"]*\)".*/\1/' | sort >again
cmp -s held again; result $? 'the same documents are held in another order'
cat many.jsonl many.jsonl | pack --length 16 --dedup -o c.ft 2>err
is 'repeated documents' "$(sed -n 1p err)" "ft-pack: 400 of 800 documents repeat another's tokens: left out"
json c.ft >c.json; cmp -s a.json c.json; result $? 'the first ones stay'
pack --length 16 --no-shuffle --no-pack -o c.ft many.jsonl 2>err
ft-dump --json c.ft | sed 's/.*"id":"\([^"]*\)".*/\1/' >got
sed 's/.*"id":"\([^"]*\)".*/\1/' many.jsonl >want
cmp -s want got; result $? 'one a row, in order'
pack --length 16 --split rest=0.5 ids.jsonl -o y.ft 2>err; result $? 'few documents'

# Too long.
over() { pack --length 4 --overlong "$1" -o y.ft ids.jsonl 2>err; is "overlong: $1" "$(sed -n 1p err)" "ft-pack: $2"; }
over split '1 of 4 documents longer than 4 tokens: split into 2 parts'
is 'parts' "$(json y.ft | sed -n 's/.*"part":\(.\),"id":"a".*"ids":\(.*\),"trained":\(.*\)}/\1 \2 \3/p' | tr '\n' ' ')" '0 [1,5,6,7] [0,1,1,1] 1 [7,8] [0,1] '
over truncate '1 of 4 documents longer than 4 tokens: truncated, 1 of their 5 tokens (1 trained) left out'
over drop '1 of 4 documents longer than 4 tokens: dropped, 5 of their 5 tokens (4 trained) left out'
rm -f x.ft
fails 'overlong: error' 1 'document 0 (a) has 5 tokens' pack --length 4 --overlong error -o x.ft ids.jsonl

# Nothing to learn.
echo '{"ids":[1,2],"trained":[1,0]}' >none.jsonl
fails 'nothing to learn' 1 'none of 1 documents has a trained token' pack -o x.ft none.jsonl
cat none.jsonl ids.jsonl | pack -o y.ft 2>err
is 'what has nothing to learn is counted' "$(sed -n 1p err)" 'ft-pack: 1 of 5 documents without a trained token: left out'
echo '{"ids":[]}' | pack -o x.ft - ids.jsonl 2>err
grep -q '1 of 5 documents without' err; result $? 'an empty document is counted'; rm -f x.ft

# Wrong input: FILE:LINE and what is wrong.
bad() { printf '%s\n' "{\"ids\":[1,2,3]}" "$2" >bad.jsonl; fails "$1" 1 "bad.jsonl:2: $3" pack -o x.ft bad.jsonl; }
bad 'no JSON' '{"ids":[1,2' 'column'
bad 'no object' '[1,2]' 'no object with "ids"'
bad 'text' '{"text":"hello"}' 'no "ids"; text goes through ft-tok first'
bad 'ids no array' '{"ids":"1 2"}' '"ids" is no array'
bad 'an id outside' '{"ids":[1,100]}' 'ids[1] is 100, but the vocabulary has 100'
bad 'a negative id' '{"ids":[1,-1]}' 'ids[1] is -1'
bad 'an id that is no number' '{"ids":[1,2.5]}' 'ids[1] is no whole number'
bad 'an id beyond 64 bits' '{"ids":[1,99999999999999999999]}' 'column 30: too big'
bad 'trained too short' '{"ids":[1,2],"trained":[1]}' '"trained" has 1 values, "ids" has 2'
bad 'trained no flags' '{"ids":[1,2],"trained":[0,2]}' 'trained[1] is neither 0 nor 1'
bad 'trained no array' '{"ids":[1,2],"trained":1}' '"trained" is no array'
bad 'id no string' '{"ids":[1,2],"id":[]}' '"id" is neither a string nor a whole number'
bad 'id with NUL' '{"ids":[1,2],"id":"a\u0000"}' '"id" is over 65536 bytes long or holds U+0000'
bad 'weight' '{"ids":[1,2],"weight":-1}' '"weight" is no number of 0 or more'
bad 'bytes' '{"ids":[1,2],"bytes":-1}' '"bytes" is no number of bytes'
fails 'no model' 1 'ids.jsonl: JSON Lines of ids need -m MODEL' ft-pack -o x.ft ids.jsonl
fails 'no such model' 1 'nowhere: No such file' ft-pack -m nowhere -o x.ft ids.jsonl
fails 'a folder that is no model' 1 'empty: has neither config.json nor a tokenizer' ft-pack -m empty -o x.ft ids.jsonl
fails 'a file that is no model' 1 'ids.jsonl: ' ft-pack -m ids.jsonl -o x.ft ids.jsonl
fails 'a shard' 1 'a.ft: is packed already' ft-pack -o x.ft a.ft
fails 'an empty input' 1 'stdin: is empty' pack -o x.ft /dev/stdin </dev/null
fails 'no such file' 1 'nothing.jsonl: No such file' pack -o x.ft nothing.jsonl
fails 'no such folder for the output' 1 'none/x.ft' pack -o none/x.ft ids.jsonl
if [ -c /dev/full ]; then
    fails 'a full device' 1 'No space left' sh -c 'ft-pack -m model ids.jsonl >/dev/full'
fi

# Token streams.
stream=$SRCDIR/tests/fuzz/stream/tokens.ft
size=$(wc -c <"$stream")
ft-pack -o y.ft "$stream" 2>/dev/null; result $? 'a token stream'
is 'its documents' "$(json y.ft | sed 's/.*"ids"/"ids"/')" '"ids":[1,258,3],"trained":[0,1,1]}
"ids":[1,258],"trained":[0,1]}'
cp y.ft x.ft
dd if="$stream" bs=1 2>/dev/null | ft-pack -o y.ft 2>/dev/null; same 'a byte at a time'
cat "$stream" "$stream" | ft-pack -o x.ft 2>/dev/null; ft-pack -o y.ft "$stream" - <"$stream" 2>/dev/null
same 'joined by cat or by ft-pack'
is 'joined: twice the documents' "$(ft-dump --stats x.ft | sed -n 2p)" 'documents       4'
is 'joined: provenance once' "$(ft-dump x.ft | grep -c 'ft-pack')" 1
rm -f x.ft
whole=0
for i in $(seq 0 $((size - 1))); do
    head -c "$i" "$stream" | ft-pack -o x.ft 2>err && whole=$((whole + 1))
    grep -q '^ft-pack: stdin: ' err && [ "$(wc -l <err)" -eq 1 ] && [ ! -e x.ft ] || whole=$((whole + 1))
done
is 'cut at every byte: an error in one line, no output' "$whole" 0
fails 'of another vocabulary' 1 'ids[1] is 258, but the vocabulary has 100' pack -o x.ft "$stream"
sh -c 'ulimit -f 1; ft-pack -m model --length 16 -o x.ft many.jsonl many.jsonl; exit $?' >/dev/null 2>&1
[ $? -ne 0 ] && [ -z "$(ls x.ft* 2>/dev/null)" ]; result $? 'a file that may not grow: no half one is left'

# Usage.
fails 'split without a name' 2 "'=0.1' is not NAME=SHARE" pack --split =0.1 -o x.ft ids.jsonl
fails 'split of nothing' 2 "'held=0' is not NAME=SHARE" pack --split held=0 -o x.ft ids.jsonl
fails 'split of all' 2 'the shares add up to 1.2' pack --split a=0.6 --split b=0.6 -o x.ft ids.jsonl
fails 'split with rubbish' 2 "'held=0.1x' is not" pack --split held=0.1x -o x.ft ids.jsonl
fails 'split beside stdout' 2 'needs a file' pack --split held=0.1 ids.jsonl
fails 'two splits of one name' 2 'two outputs are x.held.ft' pack --split held=0.1 --split held=0.1 -o x.ft ids.jsonl
fails 'length of 1' 2 '--length' pack --length 1 -o x.ft ids.jsonl
fails 'length of too many' 2 '--length' pack --length 4G -o x.ft ids.jsonl

echo "1..$n"
exit $failed

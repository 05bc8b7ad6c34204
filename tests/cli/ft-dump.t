#!/bin/sh
# ft-dump as a user types it: streams, models, adapters, and damage to each.
dir=$(mktemp -d "${TMPDIR:-/tmp}/ft-dump.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
models=$SRCDIR/tests/data/models
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
fails() { # NAME TEXT COMMAND...: exits 1 with TEXT in the only line on stderr
    name=$1 text=$2; shift 2
    "$@" >stdout 2>stderr; status=$?
    [ $status -eq 1 ] && grep -qF -- "$text" stderr && [ "$(grep -c . stderr)" -eq 1 ]
    r=$?
    result $r "$name"
    [ $r -eq 0 ] || { echo "# status $status"; sed 's/^/# /' stderr; }
}

mkdir model
echo '{"vocab_size": 70000}' >model/config.json
{
    echo '{"ids": [1, 65536, 3, 4], "trained": [0, 0, 1, 1], "id": "a\"\u00e9", "source": "x", "bytes": 9}'
    echo '{"ids": [2, 3, 4], "weight": 0.1}'
    echo '{"ids": [5, 6, 7, 8, 9, 10, 11]}'
} >ids.jsonl
ft-pack -m model --length 5 --no-shuffle -o s.ft ids.jsonl 2>/dev/null

ft-dump --json s.ft >got
cat >want <<'X'
{"row":0,"index":0,"part":0,"id":"a\"é","source":"x","weight":1.0,"bytes":9,"ids":[1,65536,3,4],"trained":[0,0,1,1]}
{"row":1,"index":1,"part":0,"id":"1","source":null,"weight":0.1,"bytes":0,"ids":[2,3,4],"trained":[0,1,1]}
{"row":2,"index":2,"part":0,"id":"2","source":null,"weight":1.0,"bytes":0,"ids":[5,6,7,8,9],"trained":[0,1,1,1,1]}
{"row":3,"index":2,"part":1,"id":"2","source":null,"weight":1.0,"bytes":0,"ids":[9,10,11],"trained":[0,1,1]}
X
cmp -s want got; result $? 'documents as JSON Lines'
head -2 got | ft-pack -m model --length 5 --no-shuffle -o t.ft 2>/dev/null
ft-dump --json t.ft >again; head -2 got | cmp -s - again; result $? 'ft-pack reads them back'
is 'the table' "$(ft-dump --stats s.ft)" "records         4
documents       4  (1 are later parts of one)
tokens          15
trained         10  (66.7%)
bytes of text   9  (0.60 a token)
fill            75.0%
tokens in          least     25%     50%     75%     95%    most      mean
  a document           3       3       3       4       5       5       3.8
  a row                3       3       3       4       5       5       3.8"
is 'the header' "$(ft-dump s.ft | sed -n 1,5p)" "kind            shard
tokenizer       none
template        none
vocabulary      70000, no bos, no eos
length          5"
is 'from standard input' "$(ft-dump --stats <s.ft)" "$(ft-dump --stats s.ft)"
is 'a name for each of several' "$(ft-dump --stats s.ft t.ft | grep '==>' | tr '\n' ' ')" '==> s.ft <== ==> t.ft <== '
is 'check says nothing' "$(ft-dump --check s.ft t.ft 2>&1)" ''
cat s.ft s.ft >two.ft
is 'two segments, two headers' "$(ft-dump two.ft | grep -c '^kind')" 2
is 'and twice the records' "$(ft-dump --stats two.ft | sed -n 1p)" 'records         8'
is 'documents are numbered on' "$(ft-dump --json two.ft | sed 's/.*"index":\([0-9]*\).*/\1/' | tr '\n' ' ')" '0 1 2 2 3 4 5 5 '
gzip -c s.ft >s.gz
is 'a hash of the records only' "$(ft-dump --hash s.gz | cut -c1-32)" "$(ft-dump --hash s.ft | cut -c1-32)"
ft-dump -o out.gz --json s.ft && gzip -dc out.gz | cmp -s - want; result $? 'into a compressed file'

# Documents as text: "The quick brown fox", the last two words trained; then a stream of another tokenizer.
bpe=$SRCDIR/tests/data/tokenizer/tiny_bpe
echo '{"ids":[54,74,71,223,435,275,77,306,290,89,80,286,81,90],"trained":[0,0,0,0,0,0,0,1,1,1,1,1,1,1],"id":"fox"}' |
    ft-pack -m "$bpe" -o text.ft 2>/dev/null
is 'as text' "$(ft-dump -m "$bpe" text.ft)" '---- row 0, document 0, id "fox": 14 tokens, 7 trained
The quick⟦ brown fox⟧'
ft-dump --json -m "$bpe" text.ft | grep -q '"text":"The quick brown fox"}$'; result $? 'text in JSON'
fails 'a model without a tokenizer' 'model' ft-dump -m model s.ft
hash=$(ft-dump text.ft | sed -n 's/^tokenizer  *//p')
LC_ALL=C sed "s/$hash/0123456789abcdef0123456789abcdef/" text.ft >other.ft
fails 'of another tokenizer' 'other.ft: its tokens are of another tokenizer' ft-dump -m "$bpe" other.ft

printf '%s\n' '{"ids":[1,2],"id":"\u001b[31mred\u0007\nx"}' | ft-pack -m model -o esc.ft 2>/dev/null
is 'no control characters in text' "$(ft-dump -m "$bpe" esc.ft | LC_ALL=C tr -d '\n\040-\176\200-\377')" ''

# Models.
for m in llama llama_bf16; do
    [ -d "$models/$m" ] || continue
    ft-dump "$models/$m" >out; result $? "$m"
    grep -q '^model_type = "llama"$' out && grep -q '^model.embed_tokens.weight  *\(f32\|bf16\)  *\[[0-9]*,48\] ' out
    result $? "$m: metadata and tensors"
    ft-dump --check "$models/$m" "$models/$m/model.safetensors" "$models/$m/lora/initial"; result $? "$m: check"
done
m=$models/llama
if [ -d "$m" ]; then
    is 'one hash for a folder and its file' "$(ft-dump --hash "$m" | cut -c1-32)" "$(ft-dump --hash "$m/model.safetensors" | cut -c1-32)"
    ft-dump --json "$m/lora/initial" >out
    grep -q '^{"key":"r","value":4}$' out && grep -q '"name":".*lora_A.weight","dtype":"f32","shape":\[4,' out
    result $? 'an adapter as JSON'
    mkdir broken
    cp "$m/config.json" broken/
    size=$(wc -c <"$m/model.safetensors")
    { head -c $((size - 8)) "$m/model.safetensors"; printf '\0\0\300\177\0\0\200\077'; } >broken/model.safetensors
    fails 'a NaN in a model is named' 'number' ft-dump --check broken
    is 'and is no reason not to show it' "$(ft-dump --stats broken)" "$(ft-dump --stats "$m")"
    head -c $((size - 1)) "$m/model.safetensors" >broken/model.safetensors
    fails 'a model that was cut off' 'broken/model.safetensors' ft-dump broken
fi

# Damage.
size=$(wc -c <s.ft)
head -c $((size - 1)) s.ft >cut.ft
fails 'cut off' "cut.ft: cut off at byte $((size - 1))" ft-dump --check cut.ft
is 'what came before is shown' "$(ft-dump --json cut.ft 2>/dev/null | wc -l)" 4
{ head -c 300 s.ft; printf x; tail -c +302 s.ft; } >bad.ft
fails 'a changed byte' 'bad.ft: ' ft-dump bad.ft
cp s.ft good.ft
ft-dump --check cut.ft good.ft bad.ft 2>err; [ $? -eq 1 ] && [ "$(grep -c '^ft-dump: ' err)" -eq 2 ]
result $? 'check goes on after a fault'
ft-dump --json cut.ft -o none.json 2>/dev/null; [ ! -e none.json ]; result $? 'no half file'
echo hello >hello
fails 'a text' 'hello: header at byte 0: this is no ft-stream(5)' ft-dump hello
fails 'JSON Lines' 'this is JSON' ft-dump ids.jsonl
: >nil
fails 'an empty file' 'nil: is empty' ft-dump nil
fails 'a folder that is none' 'has no config.json' ft-dump "$dir"
printf 'GGUF' >g.gguf
fails 'a model of four bytes' 'g.gguf' ft-dump g.gguf
fails 'no such file' 'none: No such file' ft-dump none
ft-dump --json --check s.ft 2>err; [ $? -eq 2 ]; result $? 'two ways of showing'

echo "1..$n"
exit $failed

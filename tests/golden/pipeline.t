#!/bin/sh
# The pipeline from documents to a trained adapter, its streams byte for byte.
#
# The files in tests/golden/pipeline/ were written by these commands. A stream's bytes are the same on every
# machine; what is computed in floating point is compared with itself (threads, pipes), not with a file.
# To renew after a change that is meant to change them: GOLDEN_UPDATE=1 prove tests/golden/pipeline.t
here=$SRCDIR/tests/golden/pipeline
tokenizer=$SRCDIR/tests/data/tokenizer/tiny_bpe
model=$SRCDIR/tests/data/models/llama
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
count=0

ok() { # NAME COMMAND...: the command succeeds
    count=$((count + 1))
    name=$1
    shift
    if "$@" >out 2>&1; then echo "ok $count - $name"; else
        echo "not ok $count - $name"
        sed 's/^/# /' out
    fi
}

golden() { # FILE: the same as the one kept
    [ -z "$GOLDEN_UPDATE" ] || cp "$1" "$here/$1"
    ok "$1 is as it was" cmp "$1" "$here/$1"
}

same() { ok "$1" cmp "$2" "$3"; }

cp -r "$here/docs" docs
ft-text docs >docs.jsonl 2>/dev/null
golden docs.jsonl
ft-tok -m "$tokenizer" docs.jsonl >tokens.ft 2>/dev/null
golden tokens.ft
ft-pack --length 64 --seed 1 -o packed.ft tokens.ft 2>/dev/null
golden packed.ft

ft-text docs 2>/dev/null | ft-tok -m "$tokenizer" --threads 2 2>/dev/null | ft-pack --length 64 --seed 1 2>/dev/null |
    dd obs=7 2>/dev/null >piped.ft
ft-dump --json packed.ft >packed.json
ft-dump --json piped.ft >piped.json
same "pipes and files give the same rows" packed.json piped.json

ft-tok -m "$tokenizer" --ids docs.jsonl 2>/dev/null | ft-tok -m "$tokenizer" --decode >decoded.jsonl 2>/dev/null
golden decoded.jsonl

# A model of random weights with a vocabulary of its own: ids stand for themselves.
awk 'BEGIN { srand(1); for (i = 0; i < 40; i++) { printf "{\"id\":\"d%d\",\"ids\":[%d", i, 3 + i;
     for (k = 0; k < 10 + i; k++) printf ",%d", 3 + (i * 31 + k * k * 7) % 280; print "]}" } }' >ids.jsonl
ft-pack -m "$model" --length 64 --seed 2 -o ids.ft ids.jsonl 2>/dev/null
golden ids.ft
train="--rank 4 --alpha 8 --batch 2 --lr 1e-3 --steps 6 --seed 3"
ft-train -m "$model" -o one $train --threads 1 --log one.jsonl ids.ft 2>/dev/null
ft-train -m "$model" -o two $train --threads 2 --log two.jsonl <ids.ft 2>/dev/null
same "one thread and a file, two threads and a pipe: the same adapter" one/adapter_model.safetensors two/adapter_model.safetensors
ft-train -m "$model" -o half $train --stop-after 3 ids.ft 2>/dev/null
ft-train --resume half 2>/dev/null
same "stopped and resumed: the same adapter" one/adapter_model.safetensors half/adapter_model.safetensors
ft-eval -m "$model" -a one ids.ft >adapted.json
ft-merge -m "$model" -a one -o merged --type f32 2>/dev/null
ft-eval -m merged ids.ft >merged.json
nll() { sed 's/.*"nll":\([0-9.]*\).*/\1/' "$1"; }
ok "merged: the same loss as beside the base" \
    awk -v a="$(nll adapted.json)" -v b="$(nll merged.json)" 'BEGIN { exit !(a > 0 && (a - b) / a < 1e-5 && (b - a) / a < 1e-5) }'
echo "1..$count"

# Training, for bench.sh, which sets $model, $work, $here, $examples, $python and $steps, and has
# the functions that print.

# What is trained, as PEFT's script has it.
adapter='--rank 16 --alpha 32 --targets all-linear'

# trained MODEL ROWS.ft OPTION...: trains with --profile; sets tok_per_s (the median of the steps after the
# first), trained_per_s (targets over all those steps), rss, start_up and wall.
trained() {
    local log=$work/log.jsonl began ended what=$adapter
    case " $* " in *" --full "*) what= ;; esac
    began=$(date +%s.%N)
    quietly ft-train -m "$1" -o "$work/adapter" $what --lr 2e-4 --schedule constant --profile --log "$log" \
        "${@:3}" "$2"
    ended=$(date +%s.%N)
    wall=$(awk -v a="$began" -v b="$ended" 'BEGIN { printf "%.2f", b - a }')
    start_up=$(sed -n 's/.*first step began \([0-9.]*\) s.*/\1/p' "$work/stderr")
    tok_per_s=$(field tok_per_s <"$log" | tail -n +2 | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
    rss=$(field rss <"$log" | best)
    trained_per_s=$(paste <(field tokens <"$log") <(field trained <"$log") <(field tok_per_s <"$log") |
        awk 'NR > 1 { targets += $2 - had; seconds += ($1 - tokens) / $3 } { tokens = $1; had = $2 }
            END { printf "%.1f", seconds ? targets / seconds : 0 }')
    rm -rf "$work/adapter"
}

# ceiling ARITHMETIC MODEL DOCUMENTS LENGTH: tokens/s of a step's products alone; nothing if that is not here.
ceiling() { { "$BUILDDIR/tests/bench/ceiling" "$@" 16 "${CEILING_REPEATS:-3}" 2>"$work/stderr" || true; } | field tok_per_s; }

# against_ceilings MODEL DOCUMENTS LENGTH TOKENS_PER_S
against_ceilings() {
    local arithmetic limit
    for arithmetic in own onednn; do
        limit=$(ceiling "$arithmetic" "$1" "$2" "$3")
        if [ -n "$limit" ]; then
            row "its products alone, $arithmetic" "$limit" "" "" "ft-train reaches $(ratio "$(awk -v a="$4" 'BEGIN { print 100 * a }')" "$limit" | cut -d. -f1) % of it"
        else
            row "its products alone, $arithmetic" - "" "" "not here"
        fi
    done
}

packed() { quietly ft-pack -m "$1" --length "$2" "$work/ids.jsonl" -o "$work/rows.ft"; }

bench_train() {
    local rows_=$1 length=$2 backend speed setting line peers= fastest=0
    rows $((rows_ * steps)) "$length" >"$work/ids.jsonl"
    packed "$model" "$length"
    printf '\nLoRA training, rank 16, all linear layers, %s rows of %s tokens a step\n' "$rows_" "$length"
    row '' tokens/s ratio memory
    for setting in float32 bfloat16 autocast ${COMPILE:+bfloat16-compile}; do
        line=$(quietly "$python" "$here/peft_train.py" "$work/hf" "$work/ids.jsonl" "$rows_" "$steps" "$setting")
        peers="$peers$(echo "$line" | field tok_per_s) $(echo "$line" | field rss) $setting
"
    done
    read -r speed _ _ < <(printf %s "$peers" | best)
    printf %s "$peers" | while read -r s r name; do row "PEFT, $name" "$s" "$(ratio "$s" "$speed")" "$(gb "$r")"; done
    for backend in ${BACKENDS:-fp32 auto}; do
        trained "$model" "$work/rows.ft" --steps "$steps" --batch "$rows_" --backend "$backend"
        row "ft-train, $backend" "$tok_per_s" "$(ratio "$tok_per_s" "$speed")" "$(gb "$rss")"
        fastest=$tok_per_s
    done
    against_ceilings "$model" "$rows_" "$length" "$fastest"
}

# As people have it: PEFT pads a batch of 4 to its longest document; ft-train packs rows of 512. The same
# documents, in tokens learnt a second.
bench_ragged() {
    local documents=${DOCUMENTS:-} n=$((4 * (steps + 2))) line best_=0 setting speed mem
    if [ -z "$documents" ]; then
        documents=$work/documents.jsonl
        if ! make -s -C "$work" -f "$(realpath "$examples/Makefile")" documents.jsonl MODEL="$model" >"$work/stderr" 2>&1; then
            printf '\nDocuments of different lengths: no package lists here (DOCUMENTS=FILE takes others)\n'
            return
        fi
    fi
    head -n "$n" "$documents" >"$work/some.jsonl"
    quietly ft-tok -m "$model" "$work/some.jsonl" -o "$work/some.ft"
    quietly ft-dump --json "$work/some.ft" >"$work/ids.jsonl"
    quietly ft-pack --length 512 "$work/some.ft" -o "$work/rows.ft"
    printf '\nLoRA training on %s documents of different lengths, in tokens learnt\n' "$n"
    row '' learnt/s ratio memory
    for setting in bfloat16 autocast; do
        line=$(quietly "$python" "$here/peft_train.py" "$work/hf" "$work/ids.jsonl" 4 $((n / 4)) "$setting")
        speed=$(echo "$line" | field trained_per_s) mem=$(echo "$line" | field rss)
        best_=$(printf '%s\n' "$best_" "$speed" | best)
        row "PEFT, batches of 4, padded, $setting" "$speed" '' "$(gb "$mem")"
    done
    trained "$model" "$work/rows.ft" --epochs 1 --batch 1 --backend auto
    row 'ft-train, packed in rows of 512' "$trained_per_s" "$(ratio "$trained_per_s" "$best_")" "$(gb "$rss")"
}

# One document, one step; a small model, since attention's time grows with the square.
bench_length() {
    local length before=0 grows
    "$here/../make-model" "$work/long" vocab=8192 hidden=576 ffn=1536 layers=4 heads=9 kv=3 positions=16384
    printf '\nMemory for one document, 4 layers of SmolLM2-135M'"'"'s width\n'
    row '' memory 'MB more' 'per 1000'
    for length in 512 1024 2048 4096 8192 16384; do
        rows 1 "$length" 8000 >"$work/ids.jsonl"
        packed "$work/long" "$length"
        trained "$work/long" "$work/rows.ft" --steps 1 --batch 1 --backend auto
        if [ "$before" = 0 ]; then
            row "$length tokens" "$(gb "$rss")"
        else # the document before was half as long
            grows=$(awk -v a="$before" -v b="$rss" 'BEGIN { printf "%.0f", (b - a) / 1e6 }')
            row "$length tokens" "$(gb "$rss")" "$grows" "$(awk -v m="$grows" -v l="$length" 'BEGIN { printf "%.0f MB", m / (l / 2000) }')"
        fi
        before=$rss
    done
}

bench_qlora() {
    local type base=
    rows $((4 * steps)) 512 >"$work/ids.jsonl"
    packed "$model" 512
    quietly ft-merge -m "$model" -o "$work/bf16.gguf" --type bf16
    quietly ft-merge -m "$work/bf16.gguf" -o "$work/q4_k.gguf" --type q4_k_m
    printf '\nBases of 4 bits: 4 rows of 512 tokens a step, backend auto\n'
    row '' tokens/s ratio memory
    for type in bf16 nf4 nf4-double q4_k; do
        case $type in
        nf4*) trained "$work/bf16.gguf" "$work/rows.ft" --steps "$steps" --batch 4 --base-type "$type" --backend auto ;;
        *) trained "$work/$type.gguf" "$work/rows.ft" --steps "$steps" --batch 4 --backend auto ;;
        esac
        base=${base:-$tok_per_s}
        row "$type" "$tok_per_s" "$(ratio "$tok_per_s" "$base")" "$(gb "$rss")"
    done
    rm "$work/bf16.gguf" "$work/q4_k.gguf"
}

# Models of known shapes, all zeros: their files take no room, and products of zeros take as long.
shape() {
    case $1 in
    1.1b) "$here/../make-model" "$work/1.1b" vocab=32000 hidden=2048 ffn=5632 layers=22 heads=32 kv=4 tied=0 positions=2048 sparse=1 ;;
    8b) "$here/../make-model" "$work/8b" vocab=128256 hidden=4096 ffn=14336 layers=32 heads=32 kv=8 tied=0 positions=8192 sparse=1 ;;
    esac
}

bench_start() {
    printf '\nFrom the start of ft-train to its first step\n'
    row '' seconds
    rows 3 64 31000 >"$work/ids.jsonl"
    packed "$model" 64
    trained "$model" "$work/rows.ft" --steps 2 --batch 1 --backend auto
    row "$(basename "$model")" "$start_up"
    shape 1.1b
    packed "$work/1.1b" 64
    for type in stored nf4; do
        trained "$work/1.1b" "$work/rows.ft" --steps 1 --batch 1 --base-type "$type" --backend auto
        row "1.1 thousand million weights, $type" "$start_up"
    done
    rm -rf "$work/1.1b"
}

bench_large() {
    local name length=${LARGE_LENGTH:-256}
    printf '\nLarge models in NF4, one row of %s tokens a step\n' "$length"
    row '' tokens/s start memory
    for name in ${LARGE:-1.1b 8b}; do
        shape "$name"
        rows 3 "$length" 31000 >"$work/ids.jsonl"
        packed "$work/$name" "$length"
        trained "$work/$name" "$work/rows.ft" --steps 2 --batch 1 --base-type nf4 --backend auto
        row "$name" "$tok_per_s" "$start_up s" "$(gb "$rss")"
        CEILING_REPEATS=1 against_ceilings "$work/$name" 1 "$length" "$tok_per_s"
        rm -rf "${work:?}/$name"
    done
}

# What ft-plan says, and what the same run takes from its first step to its end.
planned() {
    local name=$1 base=$2 plan said_memory said_seconds what=$adapter
    shift 2
    case " $* " in *" --full "*) what= ;; esac
    plan=$(quietly ft-plan -m "$base" --alone --json $what --lr 2e-4 --schedule constant "$@" "$work/rows.ft")
    said_memory=$(echo "$plan" | field memory) said_seconds=$(echo "$plan" | field seconds)
    trained "$base" "$work/rows.ft" "$@"
    awk -v w="$wall" -v s="$start_up" -v m="$rss" -v pm="$said_memory" -v ps="$said_seconds" -v n="$name" 'BEGIN {
        t = w - s
        printf "%-44s %8.1f s %8.1f s %+6.0f %% %8.2f GB %5.2f GB %+6.0f %%\n", n, ps, t, 100 * (ps / t - 1), pm / 1e9, m / 1e9, 100 * (pm / m - 1)
    }'
}

bench_plan() {
    printf '\nft-plan: said and measured\n%-44s %10s %10s %8s %11s %8s %8s\n' '' said took off said took off
    rows 24 512 >"$work/ids.jsonl"
    packed "$model" 512
    planned 'LoRA, 24 x 512, batch 4' "$model" --steps 6 --batch 4 --backend auto
    planned 'LoRA, 24 x 512, batch 1, passes of 256' "$model" --steps 16 --batch 1 --micro-batch 256 --backend auto
    quietly ft-merge -m "$model" -o "$work/bf16.gguf" --type bf16
    planned 'NF4' "$work/bf16.gguf" --steps 6 --batch 4 --base-type nf4 --backend auto
    planned 'full' "$work/bf16.gguf" --steps 6 --batch 4 --full --backend auto
    rm "$work/bf16.gguf"
    rows 4 2048 >"$work/ids.jsonl"
    packed "$model" 2048
    planned 'LoRA, 4 x 2048, batch 1' "$model" --steps 4 --batch 1 --backend auto
    "$here/../make-model" "$work/small" vocab=8192 hidden=768 ffn=2048 layers=6 heads=12 kv=4
    rows 120 300 8000 >"$work/ids.jsonl"
    packed "$work/small" 512
    planned 'LoRA, another model' "$work/small" --steps 40 --batch 3 --backend auto
    rm -rf "$work/small"
}

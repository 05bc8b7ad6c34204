#!/bin/bash
# usage: bench.sh [VENV]          (make bench VENV=FOLDER)
#
# Speed and memory beside the programs that people use for the same, one at a time on this machine:
# LoRA training beside PEFT, scoring beside transformers and llama.cpp, decoding beside llama.cpp,
# tokenising beside tokenizers.
# VENV is a Python environment outside the tree; it is made with what is missing (by default in
# ${XDG_CACHE_HOME:-~/.cache}/tuneutils/venv). Environment: MODEL (a .gguf file), STEPS, MEGABYTES (of
# each kind of text to tokenise), LOCK (only one bench holds it), ONLY (parts, see below),
# TYPES (of the files that are decoded), COMPILE=1 (also PEFT through torch.compile, which takes minutes
# before its first step and is faster then).
#
# ONLY is a list of these parts (in brackets: minutes on two quiet cores):
#   train   LoRA beside PEFT and beside the products of its matrices alone, 4 x 512 and 1 x 2048 [6]
#   ragged  the demo's documents, packed, beside PEFT with padding (DOCUMENTS=FILE takes others) [2]
#   length  memory for one document of 512 to 16384 tokens [2]
#   qlora   bases of 4 bits beside bf16 [2]
#   start   how long until the first step begins [1]
#   plan    what ft-plan says beside what a run takes [5]
#   large   models of 1.1 and 8 thousand million weights, all zeros in files with holes [6]; LARGE=1.1b
#           leaves out the second
#   eval gen tok merge      [20]
set -eu -o pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tuneutils
venv=${1:-$cache/venv}
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../doc/examples/house-style
steps=${STEPS:-6}
only=${ONLY:-train ragged length qlora start plan large eval gen tok merge}

exec 9>"${LOCK:-/tmp/tuneutils-bench.lock}"
flock 9

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

python=$venv/bin/python
if ! "$python" -c 'import torch, transformers, peft, tokenizers, llama_cpp' 2>/dev/null; then
    [ -x "$python" ] || python3 -m venv "$venv"
    "$python" -m pip install --quiet torch transformers peft tokenizers safetensors llama-cpp-python
fi
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 PYTHONWARNINGS=ignore

model=${MODEL:-$work/smollm2.gguf}
if [ "$only" != tok ]; then
    [ -n "${MODEL:-}" ] || "$examples/fetch-model" "$model"
    ft-merge -m "$model" -o "$work/hf" --type f32
fi

# rows N LENGTH [IDS]: rows of ids that look random, "{"ids":[...]}".
rows() {
    awk -v n="$1" -v length_="$2" -v ids="${3:-49000}" 'BEGIN {
        x = 1
        for (i = 0; i < n; i++) {
            printf "{\"id\":\"%d\",\"ids\":[", i
            for (j = 0; j < length_; j++) {
                x = x * 48271 % 2147483647
                printf "%s%d", j ? "," : "", 17 + x % ids
            }
            print "]}"
        }
    }'
}

# field NAME: out of a line of JSON.
field() { sed -n 's/.*"'"$1"'": *"\{0,1\}\([^,"}]*\).*/\1/p'; }
per_second() { awk -v n="$1" -v s="$2" -v e="$3" 'BEGIN { printf "%.1f", n / (e - s) }'; }
row() { printf '%-44s %10s %8s %9s%s\n' "$1" "$2" "${3:-}" "${4:-}" "${5:+  $5}"; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
gb() { awk -v b="$1" 'BEGIN { printf "%.2f GB", b / 1e9 }'; }
# Talk of the programs measured is shown only when one fails.
quietly() {
    "$@" 2>"$work/stderr" || {
        echo "bench: $* failed:" >&2
        tail -n 5 "$work/stderr" >&2
        exit 1
    }
}
best() { sort -rn | head -n 1; }

printf '%s, %s cores, %s of memory; %s\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
    "$(nproc)" "$(awk '/MemTotal/ { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo)" \
    "$("$python" -c 'import torch, transformers, peft; print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__)')"

. "$here/train.sh"

bench_eval() {
    local n=$1 length=$2 backend program peer from seconds peak line
    rows "$n" "$length" >"$work/ids.jsonl"
    ft-pack -m "$model" --length "$length" "$work/ids.jsonl" -o "$work/rows.ft" 2>/dev/null
    printf '\nScoring %s documents of %s tokens (ft-eval with loading, the others without)\n' "$n" "$length"
    row '' tokens/s perplex. memory
    for backend in ${BACKENDS:-fp32 auto}; do
        line=$("$python" "$here/measured.py" "$work/measured" ft-eval -m "$model" --backend "$backend" "$work/rows.ft")
        read -r seconds peak <"$work/measured"
        row "ft-eval, $backend" "$(per_second $((n * length)) 0 "$seconds")" "$(echo "$line" | field ppl | cut -c 1-8)" "$(gb "$peak")"
    done
    for program in float32 bfloat16 llama.cpp; do
        case $program in
        llama.cpp) peer='llama.cpp, all logits' from=$model ;;
        *) peer="transformers, $program" from=$work/hf ;;
        esac
        line=$(quietly "$python" "$here/peer_eval.py" "$program" "$from" "$work/ids.jsonl")
        row "$peer" "$(echo "$line" | field tok_per_s)" "$(echo "$line" | field ppl | cut -c 1-8)" "$(gb "$(echo "$line" | field rss)")"
    done
}

# decoded TOKENS COMMAND...: tokens/s of ft-gen behind each prompt's first token, the best of three. What
# loading, prompts and first tokens take is taken off as the time of a run that ends there.
decoded() {
    local tokens=$1 short long made i
    shift
    for i in 1 2 3; do
        "$python" "$here/measured.py" "$work/short" "$@" --max-tokens 1 >/dev/null
        made=$("$python" "$here/measured.py" "$work/long" "$@" --ids --max-tokens "$tokens" |
            sed 's/.*"completion_ids":\[[0-9]*//; s/\].*//' | tr -cd ',\n' | tr -d '\n' | wc -c)
        read -r short _ <"$work/short"
        read -r long _ <"$work/long"
        per_second "$made" "$short" "$long"
        echo
    done | best
}

# One type of file, which holds the same weights for both.
bench_gen() {
    local type=$1 tokens=64 file=$work/gen.gguf alone together line backend
    rows 16 32 >"$work/ids.jsonl"
    head -n 1 "$work/ids.jsonl" >"$work/one.jsonl"
    quietly ft-merge -m "$model" -o "$file" --type "$type"
    line=$(quietly "$python" "$here/peer_generate.py" "$file" "$work/ids.jsonl" "$tokens")
    printf '\nGreedy decoding, %s, %s tokens after 32, tokens/s\n' "$type" "$tokens"
    row '' '1 prompt' '16' 'ratio'
    row 'llama.cpp' "$(echo "$line" | field alone)" "$(echo "$line" | field together)" ''
    for backend in ${BACKENDS:-fp32 auto}; do
        alone=$(decoded "$tokens" ft-gen -m "$file" --backend "$backend" "$work/one.jsonl")
        together=$(decoded "$tokens" ft-gen -m "$file" --backend "$backend" "$work/ids.jsonl")
        row "ft-gen, $backend" "$alone" "$together" "$(ratio "$together" "$alone")"
    done
    rm "$file"
}

# The real tokenizers where they lie beside the tree, else the model's own.
bench_tok() {
    local archive sets=()
    for archive in "${SHARED:-$here/../../../shared}"/tokenizers/*.tar.xz; do
        [ -f "$archive" ] && tar -xJf "$archive" -C "$work" && sets+=("$work/$(basename "$archive" .tar.xz)")
    done
    [ -d "$here/../data/tokenizer/tiny_unigram" ] && sets+=("$here/../data/tokenizer/tiny_unigram")
    printf '\nTokenising, in CPU time (ft-tok as a whole process, tokenizers without loading)\n'
    quietly "$python" "$here/tokenise.py" "${sets[@]}"
}

case " $only " in *" train "*) bench_train 4 512; bench_train 1 2048 ;; esac
for part in ragged length qlora start plan large; do
    case " $only " in *" $part "*) "bench_$part" ;; esac
done
case " $only " in *" eval "*) bench_eval 8 512; bench_eval 2 2048 ;; esac
case " $only " in *" gen "*) for type in ${TYPES:-q4_1 q8_0 f16}; do bench_gen "$type"; done ;; esac
case " $only " in *" tok "*) bench_tok ;; esac
case " $only " in *" merge "*) "$here/merge.sh" "$venv" ;; esac

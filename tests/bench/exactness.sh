#!/bin/sh
# usage: exactness.sh MODEL DOCUMENTS     (what is built in PATH)
#
# Whether training in bfloat16 goes where training in float32 goes, on real data: a model (a .gguf
# file or a folder), documents as ft-tok reads them. STEPS [100] steps of ROWS [1] rows of LENGTH [256]
# tokens, from the same adapter and in the same order; then held-out documents with both adapters, in
# float32. Fails if the loss of a step is 1 % off, or the perplexity at the end 0.5 %.
set -eu
model=$1
documents=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

ft-tok -m "$model" -o "$work/tokens.ft" "$documents"
ft-pack --length "${LENGTH:-256}" --seed 1 --split held=0.05 -o "$work/all.ft" "$work/tokens.ft"
for backend in bf16 fp32; do
    ft-train -m "$model" -o "$work/$backend" --rank 16 --alpha 32 --targets all-linear --lr 2e-4 \
        --steps "${STEPS:-100}" --batch "${ROWS:-1}" --backend $backend --log "$work/$backend.jsonl" "$work/all.ft"
    ft-eval -m "$model" -a "$work/$backend" --backend fp32 -o "$work/$backend.eval" "$work/all.held.ft"
done
ft-eval -m "$model" --backend fp32 -o "$work/base.eval" "$work/all.held.ft"

number() { sed -n 's/.*"'"$1"'":\([^,}]*\).*/\1/p' "$2"; }
for backend in bf16 fp32; do
    number loss "$work/$backend.jsonl" >"$work/$backend.losses"
done
paste "$work/bf16.losses" "$work/fp32.losses" | awk -v bf16="$(number perplexity "$work/bf16.eval")" \
    -v fp32="$(number perplexity "$work/fp32.eval")" -v base="$(number perplexity "$work/base.eval")" '
    {
        off = $1 / $2 - 1
        off = off < 0 ? -off : off
        most = off > most ? off : most
        sum += off
    }
    END {
        printf "losses of %d steps: %.3f %% apart on average, %.3f %% at most\n", NR, 100 * sum / NR, 100 * most
        off = bf16 / fp32 - 1
        printf "held-out perplexity: %.4f before, %.4f by bf16, %.4f by fp32: %+.3f %%\n", base, bf16, fp32, 100 * off
        exit !(NR && most <= 0.01 && off <= 0.005 && off >= -0.005)
    }'

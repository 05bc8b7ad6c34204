#!/bin/bash
# usage: merge.sh [VENV]          (make bench; ONLY=merge there runs this alone)
#
# ft-merge beside what the machine can do: a merge in bf16 beside a copy of the same bytes with fsync,
# and quantising beside llama.cpp's quantiser and gguf-py, in user CPU time and by the clock. The model is
# made up, of SIZE bytes or so. Without VENV's Python packages the second part is left out.
set -eu -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${1:+$1/bin/python}
work=$(mktemp -d "${TMPDIR:-/tmp}/bench-merge.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
layers=${LAYERS:-12} rounds=${ROUNDS:-3}

row() { printf '%-44s %9s %9s %9s %9s\n' "$@"; }
# SECONDS USER KIB of a command.
measure() {
    /usr/bin/time -f '%e %U %M' -o "$work/time" "$@" >/dev/null 2>"$work/stderr" || { cat "$work/stderr" >&2; exit 1; }
    tail -n 1 "$work/time"
}
per_second() { awk -v b="$1" -v s="$2" 'BEGIN { printf "%.0f", b / 1e6 / (s > 0 ? s : 0.01) }'; }

"$here/../make-model" "$work/base" hidden=1024 ffn=2816 "layers=$layers" heads=16 kv=4 vocab=32000 tied=0
bytes=$(stat -c %s "$work/base/model.safetensors")
perl -e 'my ($out, $layers) = @ARGV; mkdir $out; my (@e, $at);
    for my $l (0 .. $layers - 1) { for (["self_attn.q_proj", 1024, 1024], ["mlp.down_proj", 1024, 2816]) {
        my ($m, $rows, $cols) = @$_;
        for (["A", 16, $cols], ["B", $rows, 16]) { my $n = 4 * $_->[1] * $_->[2]; $at ||= 0;
            push @e, sprintf q("base_model.model.model.layers.%d.%s.lora_%s.weight":{"dtype":"F32","shape":[%d,%d],"data_offsets":[%d,%d]}),
                $l, $m, @$_, $at, $at + $n; $at += $n } } }
    my $h = "{" . join(",", @e) . "}"; open my $f, ">:raw", "$out/adapter_model.safetensors" or die;
    print $f pack("Q<", length $h), $h, pack("f<", 0.01) x ($at / 4); close $f;
    open $f, ">", "$out/adapter_config.json" or die;
    print $f q({"peft_type":"LORA","r":16,"lora_alpha":16,"target_modules":["q_proj","down_proj"]})' "$work/lora" "$layers"

printf '\nMerging LoRA of rank 16 into %s MB of bf16; best of %s\n' $((bytes / 1000000)) "$rounds"
row '' MB/s user KiB 'of a copy'
best_copy=0 best_merge=0
for _ in $(seq "$rounds"); do # by turns, since the disk has moods
    rm -f "$work/copy"
    read -r s _ _ < <(measure dd "if=$work/base/model.safetensors" "of=$work/copy" bs=8M conv=fsync)
    speed=$(per_second "$bytes" "$s"); [ "$speed" -le "$best_copy" ] || best_copy=$speed
    rm -rf "$work/out"
    read -r s user kib < <(measure ft-merge -m "$work/base" -a "$work/lora" -o "$work/out" --progress never)
    speed=$(per_second "$bytes" "$s"); [ "$speed" -le "$best_merge" ] || best_merge=$speed
done
row 'copy with fsync' "$best_copy" '' '' 1.00
row 'ft-merge' "$best_merge" "$user" "$kib" "$(awk -v a="$best_merge" -v b="$best_copy" 'BEGIN { printf "%.2f", a / b }')"
rm -rf "$work/out" "$work/copy"

[ -n "$python" ] && "$python" -c 'import gguf, llama_cpp' 2>/dev/null || exit 0
printf '\nQuantising the same, 2 threads: millions of numbers a second, by the clock and of user CPU time\n'
row '' clock CPU 'clock/them' 'CPU/them'
cp "$here/../data/tokenizer/tiny_bpe/"*.json "$work/base/"
ft-merge -m "$work/base" -o "$work/f16.gguf" --type f16 --progress never
numbers=$((bytes / 2))
for type in q4_k_m q6_k q8_0 q4_0; do
    read -r s user _ < <(measure ft-merge -m "$work/f16.gguf" -o "$work/out.gguf" --type "$type" --threads 2 --progress never)
    mine=$(per_second "$numbers" "$s") mine_cpu=$(per_second "$numbers" "$user")
    row "ft-merge $type" "$mine" "$mine_cpu" '' ''
    rm -f "$work/out.gguf"
    for peer in llama.cpp gguf-py; do
        line=$("$python" "$here/peer_quantise.py" "$peer" "$work/f16.gguf" "$work/out.gguf" "$type") || continue
        read -r s user <<<"$line"
        theirs=$(per_second "$numbers" "$s") cpu=$(per_second "$numbers" "$user")
        row "$peer $type" "$theirs" "$cpu" "$(awk -v a="$mine" -v b="$theirs" 'BEGIN { printf "%.2f", a / b }')" \
            "$(awk -v a="$mine_cpu" -v b="$cpu" 'BEGIN { printf "%.2f", a / b }')"
        rm -f "$work/out.gguf"
    done
done

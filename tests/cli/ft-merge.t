#!/bin/sh
# ft-merge as a user types it: what comes along, the same bytes, and damage to every input.
dir=$(mktemp -d "${TMPDIR:-/tmp}/ft-merge.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
models=$SRCDIR/tests/data/models
cd "$dir" || exit 1
n=0 failed=0
result() { # STATUS NAME
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; failed=1; fi
}
fails() { # NAME TEXT COMMAND...: exits 1 with TEXT in the only line on stderr
    name=$1 text=$2; shift 2
    "$@" >stdout 2>stderr; status=$?
    [ $status -eq 1 ] && grep -qF -- "$text" stderr && [ "$(grep -c . stderr)" -eq 1 ]
    r=$?
    result $r "$name"
    [ $r -eq 0 ] || { echo "# status $status"; sed 's/^/# /' stderr; }
}
usage() { # NAME TEXT COMMAND...: exits 2
    name=$1 text=$2; shift 2
    "$@" >stdout 2>stderr; status=$?
    [ $status -eq 2 ] && grep -qF -- "$text" stderr; r=$?
    result $r "$name"
    [ $r -eq 0 ] || { echo "# status $status"; sed 's/^/# /' stderr; }
}
quiet() { # NAME COMMAND...: exits 0 and says nothing
    name=$1; shift
    "$@" >stdout 2>stderr; status=$?
    [ $status -eq 0 ] && [ ! -s stderr ] && [ ! -s stdout ]; r=$?
    result $r "$name"
    [ $r -eq 0 ] || { echo "# status $status"; sed 's/^/# /' stderr; }
}

llama=$models/llama adapter=$models/llama/lora/initial
"$SRCDIR/tests/make-model" base || exit 1
cp "$SRCDIR/tests/data/tokenizer/tiny_bpe/"*.json base/
printf '{%% for m in messages %%}{{ m.content }}{%% endfor %%}' >base/chat_template.jinja
echo '{"eos_token_id":[2,0]}' >base/generation_config.json
echo text >base/LICENSE
echo x >base/pytorch_model.bin

# Both formats, to and fro.
quiet 'folder to folder' ft-merge -m base -o copy/
same=0
for f in tokenizer.json tokenizer_config.json chat_template.jinja generation_config.json LICENSE; do
    cmp -s base/$f copy/$f || { same=1; echo "# $f"; }
done
result $same 'everything beside the weights comes along as it is'
[ ! -e copy/pytorch_model.bin ]; result $? '... but weights in other formats'
quiet 'folder to GGUF' ft-merge -m base -o a.gguf
quiet 'GGUF to folder' ft-merge -m a.gguf -o back/
quiet 'and to GGUF again' ft-merge -m back -o b.gguf
quiet 'GGUF to GGUF' ft-merge -m b.gguf -o c.gguf
strip='/provenance/d; /general.name/d'
ft-dump a.gguf | sed "$strip" >a.txt
ft-dump b.gguf | sed "$strip" >b.txt
ft-dump c.gguf | sed "$strip" | sort >c.txt
[ -s a.txt ] && cmp -s a.txt b.txt; result $? 'the same GGUF file but for its name and provenance'
sort b.txt | cmp -s - c.txt; result $? 'all metadata are copied from GGUF to GGUF'
cmp -s base/chat_template.jinja back/chat_template.jinja; result $? 'the template comes back'
grep -q '"torch_dtype": "bfloat16"' back/config.json; result $? "config.json has the weights' type"
ft-merge -m base -o f16/ --type f16; grep -q '"torch_dtype": "float16"' f16/config.json
result $? '... also when it changes'
grep -aq 'tuneutils.provenance.*ft-merge' f16/model.safetensors && ! grep -aq "$dir" f16/model.safetensors a.gguf
result $? 'provenance, without paths'

# An adapter in every type; the same bytes for any number of threads.
for t in f32 f16 bf16 q8_0 q6_k q5_k_m q4_k_s q3_k_m q2_k q5_0 q5_1 q4_0 q4_1; do
    ft-merge -m "$llama" -a "$adapter" -o one.gguf --type $t --threads 1 2>/dev/null &&
        ft-merge -m "$llama" -a "$adapter" -o two.gguf --type $t --threads 3 2>/dev/null && cmp -s one.gguf two.gguf
    result $? "$t: the same bytes with 1 and 3 threads"
    ft-merge -m "$llama" -a "$adapter" -o - --type $t 2>/dev/null | cmp -s - one.gguf
    result $? "$t: and on stdout"
done
ft-merge -m "$llama" -a "$adapter" -o one/ --threads 1 && ft-merge -m "$llama" -a "$adapter" -o two/ --threads 3 &&
    cmp -s one/model.safetensors two/model.safetensors
result $? 'folder: the same bytes with 1 and 3 threads'
ft-merge -m "$llama" -a "$adapter:0.5" -a "$adapter:0.5" -o halves/ &&
    ft-merge -m halves -a "$adapter:-1" -o none/ && ft-dump none >/dev/null
result $? 'weights, also negative ones'
ft-merge -m "$llama" -a "$adapter" -o shards --shard-size 100K && [ "$(ls shards/*.safetensors | wc -l)" -eq 4 ] &&
    ft-merge -m shards -o joined && [ "$(ls joined/*.safetensors | wc -l)" -eq 1 ]
result $? 'split into files of a size, and joined'
"$SRCDIR/tests/make-model" wide hidden=256 ffn=512 layers=9 heads=4 kv=1 vocab=64 tied=0 || exit 1
mixes() { # TYPE TENSOR=TYPE...
    name=$1 missing=0; shift
    ft-merge -m wide -o wide.gguf --type "$name" 2>/dev/null
    ft-dump wide.gguf | awk '{ sub(/\.weight$/, "", $1); print $1 "=" $2 }' >types
    for part; do grep -qx -- "$part" types || { missing=1; echo "# no $part"; }; done
    result $missing "$name: which tensor gets which type"
}
mixes q4_k_m blk.0.attn_v=q6_k blk.1.attn_v=q4_k blk.3.ffn_down=q6_k blk.2.ffn_down=q4_k blk.0.attn_q=q4_k \
    output=q6_k token_embd=q4_k blk.0.attn_norm=f32
mixes q4_k_s blk.3.attn_v=q5_k blk.4.attn_v=q4_k blk.0.ffn_down=q5_k blk.1.ffn_down=q4_k output=q6_k
mixes q5_k_m blk.0.attn_v=q6_k blk.1.attn_v=q5_k output=q6_k
mixes q3_k_m blk.1.attn_v=q5_k blk.2.attn_v=q4_k blk.0.ffn_down=q4_k blk.0.attn_output=q4_k blk.0.attn_k=q3_k
mixes q2_k blk.0.attn_v=q4_k blk.0.ffn_down=q3_k blk.0.attn_output=q3_k blk.0.ffn_up=q2_k token_embd=q2_k
mixes q8_0 output=q8_0 token_embd=q8_0 blk.0.attn_v=q8_0
mixes q4_0 output=q6_k token_embd=q4_0 blk.0.attn_v=q4_0
ft-merge -m base -o narrow.gguf --type q4_k_m 2>stderr
grep -q 'got another type: their rows are no whole number of blocks' stderr && ft-dump narrow.gguf |
    grep -q 'blk.0.attn_q.weight *q5_0'
result $? 'rows too short for the K types get smaller blocks, which is said'
mkdir small # an adapter for `base`, whose rows are whole blocks
echo '{"peft_type":"LORA","r":2,"lora_alpha":2,"target_modules":["q_proj"]}' >small/adapter_config.json
perl -e '$p = "base_model.model.model.layers.0.self_attn.q_proj.lora_";
    $h = qq({"${p}A.weight":{"dtype":"F32","shape":[2,32],"data_offsets":[0,256]},) .
        qq("${p}B.weight":{"dtype":"F32","shape":[32,2],"data_offsets":[256,512]}});
    print pack("Q<", length $h), $h, pack("f<*", map { $_ / 999 } 1 .. 128)' >small/adapter_model.safetensors
ft-merge -m base -o q.gguf --type q4_0 2>/dev/null
ft-merge -m q.gguf -a small -o q8.gguf 2>stderr; grep -q 'the base is q4_0; merged weights become q8_0' stderr
result $? 'a 4-bit base becomes q8_0, which is said'
ft-merge -m q.gguf -o q32 2>stderr; grep -q 'the folder gets f32' stderr
result $? 'a folder from a quantised base gets f32, which is said'
ft-merge -m "$llama" -a "$adapter:0" -o zero 2>stderr; grep -q 'changes nothing: its weight is 0' stderr
result $? 'an adapter that changes nothing is said'

# Whole models: another one is the base with an adapter.
ft-merge -m "$llama" -a "$adapter" -o second && ft-merge -m "$llama" -o plain32 --type f32
same_weights() { cmp -s "$1/model.safetensors" "$2/model.safetensors" || # but for the provenance
    perl -e 'my @b; for (@ARGV) { local $/; open my $f, "<:raw", "$_/model.safetensors"; my $x = <$f>;
        push @b, substr $x, 8 + unpack "Q<", $x } exit($b[0] ne $b[1])' "$1" "$2"; }
ft-merge -m "$llama" --with second -o sum1 && same_weights sum1 second; result $? 'the sum with one model is that model'
ft-merge -m "$llama" --with second:1 -o slerp1 --method slerp && same_weights slerp1 second
result $? 'slerp at 1 is the other model'
ft-merge -m "$llama" --with second:0 -o slerp0 --method slerp && same_weights slerp0 plain32
result $? '... and at 0 the base'
ft-merge -m "$llama" --with second:4 -o linear1 --method linear &&
    ft-merge -m "$llama" --with second -o linear2 --method linear && same_weights linear1 linear2
result $? 'linear divides weights by their sum'
for method in ties dare dare-ties della della-linear linear slerp; do
    set -- --with second; [ $method = slerp ] && set -- --with second:0.4
    [ $method = slerp ] || set -- "$@" -a "$adapter:0.5"
    rm -rf m1 m2
    ft-merge -m "$llama" "$@" -o m1 --method $method --threads 1 --seed 3 &&
        ft-merge -m "$llama" "$@" -o m2 --method $method --threads 3 --seed 3 && cmp -s m1/model.safetensors m2/model.safetensors
    result $? "$method: the same bytes with 1 and 3 threads"
done
rm -rf m1 m2
ft-merge -m "$llama" --with second -o m1 --method dare --seed 1 && ft-merge -m "$llama" --with second -o m2 --method dare --seed 2
same_weights m1 m2; [ $? -ne 0 ]; result $? 'dare: another seed, another result'
ft-merge -m "$llama" --with second -o d1 --method dare --density 1 && same_weights d1 second
result $? 'dare at density 1 keeps everything'
fails 'a model with another vocabulary' 'tensor model.embed_tokens.weight is [64, 256], the base' \
    ft-merge -m "$llama" --with wide -o x
fails 'NaN in another model' 'a weight is NaN or infinite' sh -c '
    cp -r second nan; chmod -R u+w nan; perl -e "open F, q(+<:raw), q(nan/model.safetensors); seek F, -400, 2;
    print F pack q(f<), q(nan)"; ft-merge -m "$0" --with nan -o x --method ties' "$llama"
usage 'slerp with two models' 'between the base and one other model' \
    ft-merge -m "$llama" --with second --with second -o x --method slerp
usage 'della with too large an epsilon' 'densities from' \
    ft-merge -m "$llama" --with second -o x --method della --density 0.9
ft-merge -m "$llama" -a "$adapter" -o q1 --base-type nf4 && ft-merge -m "$llama" -o q2 --base-type nf4
same_weights q1 second; [ $? -ne 0 ]; result $? 'an adapter on the base as QLoRA had it'

# Mixtures of experts: a folder's matrices are one tensor for all experts in GGUF.
for m in mixtral olmoe; do
    rm -rf moe1 moe2
    ft-merge -m "$models/$m" -o moe.gguf --type f32 2>/dev/null && grep -aq 'ffn_up_exps.weight' moe.gguf &&
        ft-merge -m moe.gguf -o moe2.gguf && ft-merge -m moe2.gguf -o moe2 --type f32 2>/dev/null &&
        ft-merge -m "$models/$m" -o moe1 --type f32 && same_weights moe1 moe2
    result $? "$m: through GGUF and back"
done
fails 'layers without experts, which GGUF has no key for' 'mlp_only_layers' ft-merge -m "$models/qwen3_moe" -o x.gguf

# Adapters as the output.
quiet 'an adapter to GGUF' ft-merge -m "$llama" -a "$adapter" --as-adapter -o adapter.gguf
quiet '... and back' ft-merge -m "$llama" -a adapter.gguf --as-adapter -o adapter2
ft-merge -m "$llama" -a adapter2 -o tuned2 && same_weights tuned2 second
result $? 'an adapter that went through GGUF changes the same'
ft-merge -m "$llama" -a adapter.gguf -o tuned3 && same_weights tuned3 second
result $? 'a GGUF adapter is merged as it is'
ft-merge -m "$llama" -a "$adapter" --as-adapter -o same && cmp -s same/adapter_config.json "$adapter/adapter_config.json"
result $? 'an adapter that stays as it is keeps its configuration'
ft-merge -m "$llama" --with second --rank 4 -o found 2>stderr && grep -q 'rank 4 holds 100 % of the change' stderr
result $? 'LoRA of rank 4 from two models'
ft-merge -m "$llama" -a "$adapter" -a adapter.gguf:-0.5 --rank 3 -o reduced 2>stderr &&
    grep -q 'rank 3 holds [0-9.]* % of the change' stderr && grep -q '"r": 3' reduced/adapter_config.json
result $? 'a sum of adapters, of a smaller rank'
ft-merge -m "$llama" -a "$adapter" -a adapter.gguf:-0.5 --as-adapter -o stacked && grep -q '"r": 8' stacked/adapter_config.json
result $? '... and as it is: ranks add up'
ft-merge -m "$llama" -a "$adapter" --rank 100 -o ranked 2>stderr && grep -q 'holds 100 %' stderr && [ "$(grep -c . stderr)" -eq 1 ] &&
    grep -q '"r": 4' ranked/adapter_config.json
result $? 'a rank larger than there is changes nothing'
ft-merge -m "$llama" --with "$llama" --rank 2 -o nought 2>stderr && grep -q 'warning: no linear layer changes' stderr
result $? 'LoRA of no difference is said'
cp -r plain32 normed; chmod -R u+w normed
perl -e 'open F, "+<:raw", "normed/model.safetensors"; read F, $n, 8; read F, $h, $n = unpack "Q<", $n;
    $h =~ /"model.norm.weight":\{[^}]*"data_offsets":\[(\d+)/; seek F, 8 + $n + $1, 0; print F pack "f<", 2' &&
    ft-merge -m "$llama" --with normed --rank 2 -o normlora 2>stderr; grep -q '1 tensors beside the linear layers' stderr
result $? 'what an adapter cannot hold is said'
mv found found.bak; ft-merge -m "$llama" --with second --rank 4 -o found --threads 3 2>/dev/null
cmp -s found/adapter_model.safetensors found.bak/adapter_model.safetensors; result $? 'the same bytes with other threads'
fails 'an adapter over a folder' 'is there and not empty' ft-merge -m "$llama" -a "$adapter" --as-adapter -o found
fails 'models without a rank' 'no low rank of its own' ft-merge -m "$llama" --with second --as-adapter -o x
fails 'a GGUF adapter for another base' 'the adapter is for a matrix [48, 48], the base model has [32, 32]' ft-merge -m base -a adapter.gguf -o x
fails 'a model as an adapter' 'is no LoRA adapter' ft-merge -m base -a a.gguf -o x
fails 'whole weights in a GGUF adapter' "can't have whole weights" \
    ft-merge -m "$llama" -a "$models/llama/variants/save_embed/initial" --as-adapter -o x.gguf
usage 'no change to write' 'no adapter or model is given' ft-merge -m base --as-adapter -o x
cut_adapter() { [ ! -e cut.out ] && [ ! -e cut.out.gguf ]; }
size=$(wc -c <adapter.gguf) i=0 bad=0
while [ $i -lt 50 ]; do
    head -c $((size * i / 50)) adapter.gguf >cut.gguf
    ft-merge -m "$llama" -a cut.gguf -o cut.out >stdout 2>stderr; status=$?
    [ $status -eq 1 ] && [ "$(grep -c . stderr)" -eq 1 ] && cut_adapter || { bad=1; echo "# $i: $status $(cat stderr)"; }
    i=$((i + 1))
done
result $bad 'cut off: a GGUF adapter'

# The output's place.
fails 'a folder that is there' 'is there and not empty' ft-merge -m base -o copy
fails 'a file that is there' 'is there and no folder' ft-merge -m base -o a.txt
quiet '--force replaces a model' ft-merge -m base -o copy --force --type f32
mkdir empty; quiet 'an empty folder is filled' ft-merge -m base -o empty
mkdir other; echo x >other/precious
fails '--force replaces nothing else' 'is not replaced' ft-merge -m base -o other --force
mkdir deep deep/config.json; fails '--force goes into no folders' 'is not replaced' ft-merge -m base -o deep --force
fails 'no room on stdout' 'No space left' sh -c "ft-merge -m base -o - >/dev/full"
fails 'stdout is closed' 'stdout' sh -c "ft-merge -m base -o - >&-"
fails 'the folder of the output is a file' 'Not a directory' ft-merge -m base -o a.txt/x/
for out in limited limited.gguf; do # a full disk, as far as a process can make one
    sh -c "ulimit -f 20; ft-merge -m base -o $out; exit \$?" >stdout 2>stderr
    [ $? -ne 0 ] && [ -z "$(ls -d limited* 2>/dev/null)" ]; result $? "no room for $out: nothing is left"
    (trap '' XFSZ; ulimit -f 20; ft-merge -m base -o $out) >stdout 2>stderr
    [ $? -eq 1 ] && grep -q 'File too large' stderr && [ -z "$(ls -d limited* 2>/dev/null)" ]
    result $? "no room for $out, said in words"
done

# What can't be right.
usage 'no base' 'no base model given' ft-merge -o x
usage 'no output' 'no output given' ft-merge -m base
usage 'an unknown type' "'q9' is no type" ft-merge -m base -o x.gguf --type q9
usage 'a type that folders lack' 'q8_0 needs -o NAME.gguf' ft-merge -m base -o x --type q8_0
usage 'a type that is only read' 'iq4_nl is read, but not written' ft-merge -m base -o x.gguf --type iq4_nl
usage 'an operand' 'operand too many' ft-merge -m base -o x y
fails 'an adapter for another base' 'the adapter is for a matrix' ft-merge -m base -a "$adapter" -o x
fails 'a folder that is no adapter' 'adapter_config.json: No such file' ft-merge -m base -a base -o x
fails 'a folder that is no model' 'has no config.json' ft-merge -m other -o x
fails 'a file that is no model' 'is not a GGUF file' ft-merge -m a.txt -o x
fails 'nothing there' 'No such file' ft-merge -m nowhere -o x
cp -r "$llama" vocab; cp base/tokenizer.json vocab/
fails 'a tokenizer with more tokens than rows' "vocabulary is 288" ft-merge -m vocab -o x.gguf
sed 's/"ByteLevel","add_prefix_space":false/"ByteLevel","add_prefix_space":true/; s/"type": "ByteLevel", "add_prefix_space": false/"type": "ByteLevel", "add_prefix_space": true/' \
    base/tokenizer.json >t.json
cp -r base pre; cp t.json pre/tokenizer.json
if cmp -s t.json base/tokenizer.json; then
    perl -0pi -e 's/("pre_tokenizer":.*?"add_prefix_space":\s*)false/$1true/s' pre/tokenizer.json
fi
fails 'a pre-tokeniser without a name' '--pre NAME' ft-merge -m pre -o x.gguf
quiet '... that --pre gives' ft-merge -m pre -o x.gguf --pre gpt-2
for part in model.norm.weight model.layers.1.mlp.up_proj.weight; do
    perl -e 'my ($from, $part) = @ARGV; local $/; open F, "<:raw", "$from/model.safetensors"; my $all = <F>;
        my $len = unpack "Q<", $all; my $h = substr $all, 8, $len; $h =~ s/"\Q$part\E"/"other"/;
        print pack("Q<", length $h), $h, substr $all, 8 + $len' "$llama" $part >m
    rm -rf odd; cp -r "$llama" odd; cat m >odd/model.safetensors
    fails "without $part" "tensor $part is missing" ft-merge -m odd -o x
done

# Cut off at 50 places each. A line on stderr, exit 1, nothing under the output's name.
cut() { # NAME FILE COMMAND...: the command reads FILE, a copy that is cut
    name=$1 file=$2; shift 2
    size=$(wc -c <"$file"); cp "$file" whole; i=0 bad=0
    while [ $i -lt 50 ]; do
        head -c $((size * i / 50)) whole >"$file"
        "$@" >stdout 2>stderr; status=$?
        [ $status -eq 1 ] && [ "$(grep -c . stderr)" -eq 1 ] && [ ! -e cut.out ] && [ ! -e cut.out.gguf ] ||
            { bad=1; echo "# $i of 50: status $status, $(cat stderr)"; }
        i=$((i + 1))
    done
    cat whole >"$file"
    result $bad "$name"
}
cp -r "$adapter" tuned; cp -r "$llama" cutbase; cp -r "$models/llama_sharded" cutshards
chmod -R u+w tuned cutbase cutshards
cut 'cut off: safetensors' cutbase/model.safetensors ft-merge -m cutbase -o cut.out
cut 'cut off: config.json' cutbase/config.json ft-merge -m cutbase -o cut.out
cut 'cut off: a shard' cutshards/model-00003-of-00006.safetensors ft-merge -m cutshards -o cut.out
cut 'cut off: the index' cutshards/model.safetensors.index.json ft-merge -m cutshards -o cut.out
cut 'cut off: adapter_model.safetensors' tuned/adapter_model.safetensors ft-merge -m "$llama" -a tuned -o cut.out
cut 'cut off: adapter_config.json' tuned/adapter_config.json ft-merge -m "$llama" -a tuned -o cut.out.gguf
cut 'cut off: tokenizer.json' base/tokenizer.json ft-merge -m base -o cut.out.gguf
cut 'cut off: GGUF' a.gguf ft-merge -m a.gguf -o cut.out
# A window that llama.cpp doesn't know.
cp -r base windowed
perl -0pi -e 's/"model_type": *"llama"/"model_type": "mistral", "sliding_window": 7/; s/"(attention|mlp)_bias": *false,?\s*//g; s/,(\s*})/$1/' \
    windowed/config.json
ft-merge -m windowed -o windowed.gguf 2>stderr
[ $? -eq 0 ] && grep -q 'no attention window in a mistral model: beyond 7 tokens' stderr && [ "$(grep -c . stderr)" -eq 1 ]
result $? 'a window is said to be lost in llama.cpp'
quiet '... and is not, in a folder made of that' ft-merge -m windowed.gguf -o windowed.back
grep -q '"sliding_window": 7' windowed.back/config.json; result $? '... which has it'

[ -z "$(ls -d ./*.tmp 2>/dev/null)" ]; result $? 'no temporary files are left'
echo "1..$n"
exit $failed

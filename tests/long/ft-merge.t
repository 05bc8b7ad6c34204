#!/bin/sh
# ft-merge stopped at any moment leaves its output whole or nothing; memory doesn't grow with the model.
dir=$(mktemp -d "${TMPDIR:-/tmp}/ft-merge-long.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0 failed=0
result() { # STATUS NAME
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; failed=1; fi
}
"$SRCDIR/tests/make-model" big hidden=1024 ffn=2816 layers=12 heads=16 kv=4 vocab=32000 || exit 1
"$SRCDIR/tests/make-model" small hidden=1024 ffn=2816 layers=1 heads=16 kv=4 vocab=32000 || exit 1

for signal in INT TERM HUP KILL; do
    left=0 done=0
    for tenths in 0 1 2 3 4 6 8 11; do
        for out in out out.gguf; do
            # A shell's background jobs ignore SIGINT.
            perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' \
                ft-merge -m big -o $out --type bf16 --progress never 2>stderr &
            pid=$!
            sleep $((tenths / 10)).$((tenths % 10))
            kill -$signal $pid 2>/dev/null
            wait $pid 2>/dev/null
            status=$?
            if [ $status -eq 0 ] || [ -e $out ]; then # it was faster, perhaps just: then it's whole
                done=$((done + 1))
                ft-dump $out >/dev/null || left=$((left + 1))
            elif [ $signal != KILL ] && [ -n "$(ls -d ./*.tmp 2>/dev/null)" ]; then
                left=$((left + 1))
            fi
            rm -rf out out.gguf ./*.tmp
        done
    done
    [ $left -eq 0 ]
    result $? "SIG$signal: the output or nothing, and nothing temporary ($done of 16 were faster)"
done

peak() { # KILOBYTES of a command, from GNU time
    /usr/bin/time -f %M "$@" 2>&1 >/dev/null | tail -1
}
if [ -x /usr/bin/time ]; then
    one=$(peak ft-merge -m small -o one.gguf --type q8_0 --threads 2)
    twelve=$(peak ft-merge -m big -o twelve.gguf --type q8_0 --threads 2)
    echo "# $one KiB for $(stat -c %s small/model.safetensors) bytes, $twelve KiB for $(stat -c %s big/model.safetensors)"
    [ "$twelve" -lt $((one + 16384)) ]; result $? "memory doesn't grow with the number of layers"
    [ "$twelve" -lt 131072 ]; result $? 'and stays below 128 MiB'
    cp -r small small2; cp -r big big2
    one=$(peak ft-merge -m small --with small2 -o one.gguf --method ties --threads 2)
    twelve=$(peak ft-merge -m big --with big2 -o twelve.gguf --method ties --threads 2)
    echo "# ties of two models: $one KiB, $twelve KiB"
    [ "$twelve" -lt $((one + 16384)) ] && [ "$twelve" -lt 131072 ]; result $? 'nor with TIES of models'
    "$SRCDIR/tests/make-model" holes hidden=4096 ffn=14336 layers=18 heads=32 kv=8 vocab=32000 sparse=1
    eight=$(peak ft-merge -m holes -o - --type q8_0 --threads 2)
    echo "# $eight KiB for $(stat -c %s holes/model.safetensors) bytes"
    [ "$eight" -lt 131072 ]; result $? 'nor for 8 GB, whose largest tensor has 262 MB'
fi
echo "1..$n"
exit $failed

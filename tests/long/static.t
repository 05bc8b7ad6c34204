#!/bin/sh
# STATIC=1: programs that need no library of the system's, and compute what the others do.
. "$SRCDIR/tests/cli/cli.sh"

for library in acl zstd lz4 icuuc; do
    [ -e "$(${CC:-cc} -print-file-name=lib$library.a)" ] || skip_all "no lib$library.a"
done
env -u MAKEFLAGS make -f "$SRCDIR/Makefile" STATIC=1 B="$dir/made" "$dir/made/bin/ft-eval" "$dir/made/bin/ft-text" >log 2>&1
ok $? 'make STATIC=1' log
for program in ft-eval ft-text; do
    ldd "made/bin/$program" 2>&1 | grep -Eq 'statically linked|not a dynamic'
    ok $? "$program is one file"
done
for program in ft-eval "$dir/made/bin/ft-eval"; do
    echo '{"ids":[1,2,3,4]}' | ft-pack -m "$SRCDIR/tests/data/models/llama" --length 8 2>/dev/null |
        "$program" -m "$SRCDIR/tests/data/models/llama" --backend fp32 >>values 2>said
done
[ "$(sort -u values | wc -l)" = 1 ] && [ "$(wc -l <values)" = 2 ]
ok $? 'the same numbers' said
made/bin/ft-text "$SRCDIR/tests/data/text/openpyxl.xlsx" >static 2>said && ft-text "$SRCDIR/tests/data/text/openpyxl.xlsx" 2>/dev/null | cmp -s - static
ok $? 'the same text' said
finish

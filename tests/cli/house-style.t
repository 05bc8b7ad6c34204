#!/bin/sh
# The scripts of doc/examples/house-style on small made-up lists: which packages are chosen, what
# counts as house style, what the report says.
bin=$SRCDIR/doc/examples/house-style
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
count=0

ok() { # ok NAME STATUS
    count=$((count + 1))
    if [ "$2" = 0 ]; then echo "ok $count - $1"; else echo "not ok $count - $1"; fi
}
is() { # is NAME GOT WANT
    [ "$2" = "$3" ]
    ok "$1" $?
    [ "$2" = "$3" ] || printf '%s\n' "got:  $2" "want: $3" | sed 's/^/# /'
}

# package NAME SOURCE SECTION SYNOPSIS SEED: its stanzas in both lists. The body is made of words
# that hold SEED, so that bodies with different seeds share none.
mkdir lists
package() {
    printf 'Package: %s\nSource: %s (1.0-1)\nDepends: libc6 (>= 2.3), lib%s | other, zlib1g\nDescription-md5: %s\nTag: role::program,\n use::%s\nSection: %s\n\n' \
        "$1" "$2" "$1" "$1" "$1" "$3" >>lists/Packages-1
    printf 'Package: %s\nDescription-md5: %s\nDescription-en: %s\n' "$1" "$1" "$4" >>lists/Translation-1
    for line in 1 2 3 4; do
        printf ' %s-%s some words %s-%s about what %s-%s this does\n' "$5" $line "$5" $line "$5" $line
    done >>lists/Translation-1
    echo >>lists/Translation-1
}
chosen() { "$bin/select-packages" "$@" | sed 's/{"id":"\([^"]*\).*/\1/' | sort | tr '\n' ' '; }

package good-one one utils 'finder of things' a
package good-two two net 'sender with "quotes" and \ backslash' b
is 'packages in the house style are chosen' "$(chosen 2 1 lists)" 'good-one good-two '
is 'the prompt names section, dependencies and tags' \
    "$("$bin/select-packages" 2 1 lists | grep -c '"Package: good-one\\nSection: utils\\nDepends: libgood-one, zlib1g\\nTags: role::program, use::good-one"')" 1
is 'what JSON needs escaped is' \
    "$("$bin/select-packages" 2 1 lists | perl -MJSON::PP -ne '$d = decode_json($_); print $d->{messages}[2]{content} =~ /^(.*)\n/, ";"' | tr ';' '\n' | grep sender)" \
    'sender with "quotes" and \ backslash'
package article three utils 'a finder of things' c
package stop four utils 'finder of things.' d
package library five libs 'finder of things' e
package thing-doc six utils 'finder of things' f
package second-of-one one utils 'other finder' g
package copied seven utils 'third finder' b
is 'articles, full stops, libraries, documentation, same sources and copied text are not' \
    "$("$bin/select-packages" 9 1 lists 2>/dev/null | wc -l)" 2
"$bin/select-packages" 9 1 lists >out 2>err
is 'too few packages is an error that says how many there are' "$?: $(cat err)" \
    '1: select-packages: only 2 of 9 packages in the lists are fit'
for name in $(seq 30); do package "pkg$name" "pkg$name" games "game number $name" "w$name"; done
"$bin/select-packages" 20 1 lists >one
"$bin/select-packages" 20 1 lists | cmp -s - one
ok 'the same seed chooses the same' $?
! "$bin/select-packages" 20 2 lists | cmp -s - one
ok 'another seed chooses otherwise' $?

cat >texts.jsonl <<'END'
{"id":"kept","prompt":"","completion":"finder of things\n It finds.\n .\n And more.","finish":"stop"}
{"id":"article","prompt":"","completion":"The finder\n It finds.","finish":"stop"}
{"id":"full stop","prompt":"","completion":"finder of things.\n It finds.","finish":"stop"}
{"id":"long","prompt":"","completion":"finder of things that are so many that this synopsis has more than eighty columns\n It finds.","finish":"stop"}
{"id":"no body","prompt":"","completion":"finder of things","finish":"stop"}
{"id":"not indented","prompt":"","completion":"finder of things\n It finds.\nmore","finish":"stop"}
{"id":"two spaces","prompt":"","completion":"finder of things\n  It finds.","finish":"stop"}
{"id":"empty line","prompt":"","completion":"finder of things\n It finds.\n\n More.","finish":"stop"}
{"id":"endless","prompt":"","completion":"finder of things\n It finds.","finish":"length"}
{"id":"eighty","prompt":"","completion":"finder of things that are so many that this synopsis has just its eighty columns\n It.","finish":"stop"}
END
is 'each rule of the style counts' "$("$bin/check-style" -v texts.jsonl 2>&1 >/dev/null | tr '\n' ';')" \
    'article: leading article;full stop: final full stop;long: synopsis too long;no body: no body;not indented: body not indented by one space;two spaces: body not indented by one space;empty line: body not indented by one space;endless: does not end;'
is 'and how many keep it is said' "$("$bin/check-style" texts.jsonl | grep -o '"kept":[0-9]*,"texts":[0-9]*')" '"kept":2,"texts":10'
is 'what was chosen keeps it' "$("$bin/check-style" one | grep -o '"kept":[0-9]*,"texts":[0-9]*')" '"kept":20,"texts":20'
echo '{"id":1}' | "$bin/check-style" /dev/stdin >out 2>err
is 'a line of another kind is an error' "$(($? != 0)): $(cat err)" \
    '1: check-style: /dev/stdin:1: neither completion and finish nor messages'

"$bin/prompts-of" one 3 >prompts
is 'prompts are documents without their answer' \
    "$(perl -MJSON::PP -ne 'print scalar @{decode_json($_)->{messages}}, decode_json($_)->{messages}[1]{role}, " "' prompts)" '2user 2user 2user '

# An experiment's files, and what is said about them.
awk 'NR > 5' one >train.jsonl
awk 'NR <= 5' one >held.jsonl
echo '{"nll":1,"tokens":9,"ppl":40.25,"bits_per_byte":1.5}' >before.json
echo '{"nll":1,"tokens":9,"ppl":10.5,"bits_per_byte":0.75}' >after.json
for when in before after; do
    sed 's/{"id":\("[^"]*"\).*/{"id":\1,"prompt":"","completion":"said '$when'","finish":"stop"}/' held.jsonl >$when.jsonl
done
awk 'BEGIN { for (i = 1; i <= 100; i++) printf "{\"step\":%d,\"loss\":%g,\"grad_norm\":1,\"lr\":0.1,\"tokens\":%d,\"trained\":%d,\"tok_per_s\":9,\"rss\":%d}\n", i, 5 - i / 25, i * 1000, i * 500, 1.2e9 + i
    print "{\"step\":100,\"eval_loss\":1.25,\"eval_ppl\":3.5}" }' >log.jsonl
printf 'trained\t100.0\ntrained\t25.5\ntuned.gguf\t2\n' >times.tsv
"$bin/report" base.gguf >report
ok 'the report is made without a style to check' $?
for when in before after held; do echo '{"texts":5,"kept":4}' >$when.style; done
"$bin/report" base.gguf >report
for line in 'fine-tuned on 15 documents: 100,000 tokens, 50,000 of them learnt from' \
    'in 100 steps, 2 min 05 s, at 797 tokens/s, in at most 1.20 GB' \
    '^perplexity of 5 documents held out *40\.25 *10\.50$' '^in house style *4 of 5 *4 of 5 *4 of 5$' \
    'together 2 min 07 s' '^   before |said before$' '^  4\.94 |\*' '^  1\.00 |.*\*$'; do
    grep -q -e "$line" report
    ok "the report says $line" $?
done

mkdir empty
PATH=empty "$bin/fetch-lists" new >out 2>err
is 'without apt-get it says how to give documents' "$?: $(grep -c 'make DOCUMENTS=' err)" '1: 1'

echo "1..$count"

#!/bin/sh
# Documents in files of every form: JSON Lines, an array, CSV, TSV, compressed, in archives; what is wrong in
# them, and where it is said to be.
model=$SRCDIR/tests/data/chat
dir=$(mktemp -d "${TMPDIR:-/tmp}/documents.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
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
fails() { # NAME TEXT COMMAND...
    name=$1 text=$2; shift 2
    "$@" >stdout 2>stderr; status=$?
    [ $status -eq 1 ] && grep -qF -- "$text" stderr && [ "$(wc -l <stderr)" -eq 1 ]; r=$?
    result $r "$name"
    [ $r -eq 0 ] || { echo "# status $status"; sed 's/^/# /' stderr; }
}
tok() { ft-tok -m "$model" "$@"; }
# What is tokenised, one document a line.
texts() { tok --render "$@" 2>/dev/null | sed -n '/^---/!{/./p}' | tr -d '[]' | sed 's/<s>//; s/<.s>//'; }

cat >a.jsonl <<'X'
{"id":"x","weight":0.5,"prompt":"Say","completion":" Yes, \"so\"\nand so"}
{"id":"y","prompt":"Who","completion":" No"}
X
tok --ids a.jsonl >want
same() { # NAME FILE [OPTION...]
    name=$1; shift
    tok --ids "$@" >got 2>err; cmp -s want got; r=$?
    result $r "$name"
    [ $r -eq 0 ] || sed 's/^/# /' err got
}

# ---- forms ----
printf 'id,weight,prompt,completion\r\nx,0.5,Say," Yes, ""so""\nand so"\r\ny,,Who, No\r\n' >a.csv
same 'CSV' a.csv
printf '\357\273\277id;weight;prompt;completion\nx;0.5;Say;" Yes, ""so""\nand so"\n\n;;;\ny;;Who; No' >b.csv
same 'CSV with semicolons, a byte order mark, blank and empty lines' b.csv
printf '\tid\tweight\tprompt\tcompletion\n0\tx\t0.5\tSay\t" Yes, ""so""\nand so"\n1\ty\t\tWho\t No\n' >a.tsv
same 'TSV, with a column that has no name' a.tsv
sed 's/id,weight,prompt,completion/id,w,question,answer/' a.csv >c.csv
same 'columns of other names' --field prompt=question --field completion=answer --field weight=w c.csv
cp a.csv table
same 'by --format' --format csv table
tok --ids --format=csv <a.csv | cmp -s - want; result $? 'from a pipe'
sed '1s/^/[/; 1s/$/,/; 2s/$/]/' a.jsonl >a.json
same 'an array' a.json
printf '\n [\n\n%s\n,\n%s]\n' "$(head -1 a.jsonl)" "$(sed 1d a.jsonl)" >b.json
same 'an array over lines' b.json
tok --ids <b.json | cmp -s - want; result $? 'an array from a pipe'
for f in a.csv a.tsv a.json; do gzip -c $f >z.$f.gz; done
same 'compressed CSV' z.a.csv.gz
same 'compressed TSV' z.a.tsv.gz
same 'a compressed array' z.a.json.gz
printf 'text,messages,label\n,"[{""role"":""user"",""content"":""Who""},{""role"":""assistant"",""content"":""No""}]",x\n' >m.csv
is 'messages in a column' "$(tok --template "$SRCDIR/tests/data/template/templates/smollm2.jinja" --render m.csv | grep -c '\[\[No<|im_end|>\]\]')" 1
printf 'prompt,completion,label\nSay,Yes,TRUE\nSay,No,0\n' >l.csv
is 'labels in a column' "$(tok l.csv | ft-dump --json | sed 's/.*"label":\([a-z]*\).*/\1/' | tr '\n' ' ')" 'true false '
printf 'prompt,chosen,rejected\nSay,Yes,No\n' >p.csv
is 'preferences in columns' "$(tok p.csv | ft-dump | sed -n 's/^kind  *//p')" preference

# ---- archives ----
mkdir set set/deep __MACOSX
head -1 a.jsonl >set/1.jsonl; sed 1d a.jsonl | gzip >set/deep/2.jsonl.gz
echo 'not a document' >set/README.md; echo junk >set/._1.jsonl; echo junk >__MACOSX/1.jsonl
tar --sort=name -cf t.tar set __MACOSX; tar --sort=name -czf t.tar.gz set
same 'tar' t.tar
same 'tar.gz' t.tar.gz
is 'what is passed over' "$(tok --ids t.tar 2>&1 >/dev/null)" 'ft-tok: 1 members of archives are no documents: passed over'
tok --ids <t.tar.gz 2>/dev/null | cmp -s - want; result $? 'tar.gz from a pipe'
perl -MIO::Compress::Zip=:all -e 'zip [@ARGV] => "t.zip" or die $ZipError' set/1.jsonl set/README.md __MACOSX/1.jsonl set/deep/2.jsonl.gz
same 'zip' t.zip
tok --ids <t.zip 2>/dev/null | cmp -s - want; result $? 'zip from a pipe'
tar -C set -cf inner.tar 1.jsonl; (cd set && tar -czf ../deep.tar.gz deep)
perl -MIO::Compress::Zip=:all -e 'zip [@ARGV] => "mid.zip" or die $ZipError' inner.tar set/README.md
cp mid.zip .hidden.zip
tar -cf nested.tar mid.zip .hidden.zip deep.tar.gz
same 'archives in an archive, in their places' nested.tar
tok --ids <nested.tar 2>/dev/null | cmp -s - want; result $? 'from a pipe too'
is 'what is passed over there' "$(tok --ids nested.tar 2>&1 >/dev/null)" 'ft-tok: 1 members of archives are no documents: passed over'
printf '{"text":"a"}\n' >json.zip; tar -cf named.tar json.zip
fails 'called an archive, and is none' 'named.tar: no member is called .jsonl' tok --ids named.tar
head -c 200 mid.zip >cut.zip; tar -cf cut.tar cut.zip
fails 'one that was cut off' 'cut.tar:cut.zip' tok --ids cut.tar
cp inner.tar n0.tar; for i in 1 2 3 4 5 6 7 8; do tar -cf n$i.tar n$((i - 1)).tar; done
is 'eight in each other' "$(tok --ids n7.tar 2>/dev/null | wc -l)" 1
fails 'nine' 'archives are nested more than 8 deep' tok --ids n8.tar
(cd set && cp 1.jsonl a.txt && tar -cf ../odd.tar a.txt && rm a.txt)
is 'members of any name, by --format' "$(tok --format json --ids odd.tar | wc -l)" 1
tar --sort=name -cf two.tar a.csv a.tsv
is 'tables in an archive' "$(tok --ids two.tar | sed 's/"id":[^,]*,//' | sort | uniq -c | wc -l)" 2
ft-lint --tsv --ignore tiny two.tar >lint 2>/dev/null
is 'ft-lint names the member' "$(sed 1d lint | cut -f 1,2,4,7)" "$(printf 'two.tar:a.tsv\t2\tduplicate\tthe same as two.tar:a.csv:2\ntwo.tar:a.tsv\t4\tduplicate\tthe same as two.tar:a.csv:4')"
ft-lint --fix --keep tiny --ignore tiny two.tar 2>/dev/null >fixed.jsonl
same 'ft-lint --fix writes JSON Lines of tables' fixed.jsonl
ft-lint --fix --ignore tiny b.json 2>/dev/null >fixed.jsonl; same 'and of an array' fixed.jsonl
is 'held-out documents in a table' "$(ft-lint --tsv --ignore tiny --against a.csv t.tar 2>/dev/null | sed 1d | cut -f 1,4 | tr '\n' ' ')" \
    "$(printf 't.tar:set/1.jsonl\tleak t.tar:set/deep/2.jsonl.gz\tleak ')"

# ---- what is wrong ----
printf 'prompt,completion\nSay,"a\nb"\nWho\n' >bad.csv
fails 'fields are missing' 'bad.csv:4: 1 fields, but 2 in the first line' tok --ids bad.csv
printf 'prompt,completion\nSay,"a\nb\n' >bad.csv
fails 'no closing quote' 'bad.csv:2: a quote begins in field 2 and does not end' tok --ids bad.csv
printf 'prompt,prompt\na,b\n' >bad.csv
fails 'two columns of a name' 'bad.csv:1: two columns are named "prompt"' tok --ids bad.csv
printf 'text,weight\na,much\n' >bad.csv
fails 'a weight that is none' 'bad.csv:2: column "weight": "much" is no number' tok --ids bad.csv
printf 'text,w\na,much\n' >bad.csv
fails 'also under another name' 'bad.csv:2: column "w": "much" is no number' tok --ids --field weight=w bad.csv
printf 'messages\n[{]\n' >bad.csv
fails 'messages that are no JSON' 'bad.csv:2: column "messages": no JSON: ' tok --ids bad.csv
printf 'text\na\n\351t\351\n' >bad.csv
fails 'Latin-1' 'bad.csv:3: column "text": not UTF-8 at byte 0: convert the file first' tok --ids bad.csv
printf 'body\na\n' >bad.csv
fails 'no known shape' 'bad.csv:2: no known shape: found "body"' tok --ids bad.csv
printf 'text\n' >bad.csv
fails 'only names' 'no input holds a document' tok --ids bad.csv
printf '[\n{"text":"a"},\n{"text":7}\n]' >bad.json
fails 'a wrong item' 'bad.json:3: text is a number' tok --ids bad.json
printf '[{"text":"a"},\n{"text":"b"}' >bad.json
fails 'an array that is cut off' 'bad.json:2: cut off: the array that begins the file has no end' tok --ids bad.json
printf '[{"text":"a"}]\n{"text":"b"}\n' >bad.json
fails 'more behind an array' 'bad.json:2: something stands behind the end of the array' tok --ids bad.json
printf '{"text":"a"}\n{"text":\n' >bad.jsonl; tar -cf bad.tar bad.jsonl
fails 'a line of a member' 'bad.tar:bad.jsonl:2: ' tok --ids bad.tar
fails 'found by ft-lint too' 'ft-lint: 1 error' ft-lint --ignore tiny -o /dev/null bad.tar
head -c 700 bad.tar >cut.tar
fails 'a tar that is cut off' 'cut.tar' tok --ids cut.tar
gzip -c bad.tar | head -c 100 >cut.tar.gz
fails 'a compressed tar that is cut off' 'cut.tar.gz' tok --ids cut.tar.gz
tar -cf none.tar set/README.md
fails 'no documents in it' 'none.tar: no member is called .jsonl, .json, .csv or .tsv; ft-text makes documents of texts' tok --ids none.tar
head -c 20 set/deep/2.jsonl.gz >x.jsonl.gz; tar -cf gz.tar x.jsonl.gz
fails 'a member that is cut off' 'gz.tar:x.jsonl.gz: ' tok --ids gz.tar
tok --text --format csv a.csv 2>err; is 'text and a format' "$? $(head -1 err)" '2 ft-tok: --text and --lines are for plain text: no --format, no --field'

echo "1..$n"
exit $failed

#!/bin/sh
# ft-lint as a user types it: what is found in which line, the forms of the report, --fix, what it refuses.
dir=$(mktemp -d "${TMPDIR:-/tmp}/ft-lint.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
n=0 failed=0
result() { # STATUS NAME
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; failed=1; fi
}
is() { # NAME GOT WANT
    [ "$2" = "$3" ]; result $? "$1"
    [ "$2" = "$3" ] || { echo "# got"; echo "$2" | sed 's/^/#   /'; echo "# want"; echo "$3" | sed 's/^/#   /'; }
}
# fails NAME STATUS TEXT COMMAND...: exits so, with TEXT on stderr, and leaves no output.
fails() {
    name=$1 want=$2 text=$3; shift 3
    "$@" >stdout 2>stderr; status=$?
    [ $status -eq "$want" ] && grep -qF -- "$text" stderr && [ ! -e out.jsonl ]
    r=$?
    result $r "$name"
    [ $r -eq 0 ] || { echo "# status $status"; sed 's/^/# /' stderr; rm -f out.jsonl; }
}
# line, severity and kind of each finding
kinds() { ft-lint --tsv "$@" 2>stderr | cut -f 2,3,4 | tail -n +2 | tr '\t' ' '; }
model=$SRCDIR/tests/data/chat

# ---- every kind ----

cat >good.jsonl <<'X'
{"id":"a","messages":[{"role":"user","content":"How thick must a wall of brick be?"},{"role":"assistant","content":"A wall that bears must be at least eleven and a half centimetres thick."}]}
{"id":"b","prompt":"What does a lintel do?","completion":"It carries the load above an opening to both sides of it."}
{"id":"c","text":"Mortar is mixed of sand, lime and water, and used up within the hour."}
X
ft-lint good.jsonl >report 2>stderr
is 'good documents: exit status' $? 0
is 'good documents: stderr' "$(cat stderr)" ''
grep -q '^nothing found$' report; result $? 'good documents: nothing found'

cat >bad.jsonl <<'X'
{"prompt":"What does a lintel do?","completion":"It carries the load above an opening to both sides of it."}
{"id":"other","prompt":"What does a lintel do?","completion":"It carries the load above an opening to both sides of it."}
{"prompt":"What does a lintel do?","completion":"It carries all of the load above an opening to both sides of it."}
{"prompt":"What does a lintel do?","completion":"Nothing at all, it is only there for show."}
not JSON
{"body":"no known shape"}
{"text":" \n"}
{"messages":[{"role":"user","content":"One question."},{"role":"user","content":"And another one."},{"role":"assistant","content":"One answer to both."}]}
{"messages":[{"role":"user","content":"Is anybody there who can answer me?"}]}
{"messages":[{"role":"user","content":"What is the weather like?"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"weather","arguments":"{}"}}]},{"role":"user","content":"Well?"},{"role":"assistant","content":"It is fine."}]}
{"prompt":"Who is in charge of the site today?","completion":"Call Jane, +49 30 1234567, or jane@example.org."}
{"prompt":"How do I get in?","completion":"With the key AKIAIOSFODNN7EXAMPLE, of course."}
{"text":"FuÃŸgÃ¤nger haben hier keinen Zutritt."}
{"text":"A bell\u0007 and nothing\u200b that can be seen."}
{"prompt":"Count the bricks, please.","completion":"The bricks of the first row are counted from the left, those of the second from the right, and,"}
{"prompt":"List the parts of a door.","completion":"The parts of a door are these, from the outside to the inside of it:\n```\nframe\nleaf\nhinge\nlock"}
{"prompt":"Say that you are done.","completion":"I am done.<|im_end|>"}
{"prompt":"1+1?","completion":"2"}
{"prompt":"A prompt that stands alone is no document to learn."}
X
kinds bad.jsonl >got
is 'bad documents: exit status' "$(ft-lint bad.jsonl >/dev/null 2>&1; echo $?)" 1
is 'bad documents' "$(cat got)" '2 error duplicate
3 warning near-duplicate
4 warning conflict
5 error json
6 error shape
7 error empty
8 error roles
9 error unanswered
10 error tools
11 warning personal
11 warning personal
12 error secret
13 warning mojibake
14 warning control
15 warning cut-off
16 warning cut-off
17 warning markers
18 warning tiny
19 error unanswered'
is 'the line on stderr' "$(cat stderr)" 'ft-lint: 9 errors, 10 warnings in 19 documents'

# ---- the forms of the report ----

ft-lint bad.jsonl 2>/dev/null | grep -qx 'bad.jsonl:2: error: the same as bad.jsonl:1 \[duplicate\]'
result $? 'text: file and line'
ft-lint <bad.jsonl 2>/dev/null | grep -qx 'stdin:10: error: messages\[1\]: calls 1 tool, but 0 answers follow \[tools\]'
result $? 'text: the place in the document'
is 'TSV' "$(ft-lint --tsv bad.jsonl 2>/dev/null | sed -n 1,2p)" "$(printf 'file\tline\tseverity\tkind\tid\twhere\tmessage\nbad.jsonl\t2\terror\tduplicate\tother\t\tthe same as bad.jsonl:1')"
is 'JSON' "$(ft-lint --json bad.jsonl 2>/dev/null | sed -n 2p)" '{"file":"bad.jsonl","line":2,"severity":"error","kind":"duplicate","id":"other","message":"the same as bad.jsonl:1","other":{"file":"bad.jsonl","line":1}},'
{ printf '{"report":'; ft-lint --json bad.jsonl 2>/dev/null | tr -d '\n'; echo '}'; } >whole.json
is 'JSON: it can be parsed' "$(kinds whole.json)" '1 error shape'
ft-lint --most 1 bad.jsonl 2>/dev/null | grep -q 'error   unanswered .*(1 more not shown)'
result $? '--most'
{ for i in 1 2 3 4 5 6 7 8 9 10 11; do echo "{\"id\":$i,\"text\":\"$i\"}"; done; } >tiny.jsonl
is '--most: ten of a kind' "$(ft-lint tiny.jsonl 2>/dev/null | grep -c '^tiny.jsonl:.*\[tiny\]')" 10
is '--most 0: all of them' "$(ft-lint --most 0 tiny.jsonl 2>/dev/null | grep -c '^tiny.jsonl:.*\[tiny\]')" 11
ft-lint -o report.txt bad.jsonl >stdout 2>/dev/null
[ ! -s stdout ] && grep -q 'what to do, first things first' report.txt
result $? 'a report in a file'
ft-lint good.jsonl bad.jsonl 2>/dev/null | grep -qx 'bad.jsonl:1: error: the same as good.jsonl:2 \[duplicate\]'
result $? 'a copy in another file'
gzip -c bad.jsonl >bad.jsonl.gz
is 'compressed' "$(kinds bad.jsonl.gz)" "$(cat got)"

# ---- the same for any number of threads and any cut of a pipe ----

i=0
while [ $i -lt 700 ]; do
    echo "{\"prompt\":\"Answer in the style of the house, which is short and plain: what is part $((i % 350)) of the whole?\",\"completion\":\"The part with the number $((i * 7 % 350)) of it, and then some.\"}"
    i=$((i + 1))
done >many.jsonl
ft-lint --threads 1 --json many.jsonl >one 2>/dev/null
ft-lint --threads 3 --json many.jsonl >three 2>/dev/null
[ -s one ] && cmp -s one three; result $? 'the same report with three threads'
{ while IFS= read -r line; do echo "$line"; done; } <many.jsonl | ft-lint --json - 2>/dev/null | sed 's/"stdin"/"many.jsonl"/g; s/stdin:/many.jsonl:/g' >piped
[ -s one ] && cmp -s one piped; result $? 'the same report line by line'

# ---- what is no copy ----

# An instruction of sixty words before every question, and one of two labels behind it.
i=0
while [ $i -lt 200 ]; do
    printf '{"instruction":"Read the following report from a building site and decide whether the work that it describes was done as the contract asks, taking into account the rules of the trade, the weather of the day, the deliveries that are named and whatever else the report may say; answer with one word only, and do not give any reason for it.","input":"Wall %d, laid by gang %d, row %d.","output":"%s"}\n' $i $((i * 7)) $((i * 13)) $([ $((i % 2)) -eq 0 ] && echo yes || echo no)
    i=$((i + 1))
done >labels.jsonl
is 'short questions behind a long instruction are no copies' "$(kinds labels.jsonl)" ''
ft-lint labels.jsonl 2>/dev/null | grep -qx '      100  50.0 %  no'; result $? 'labels are counted'
text='The house has two storeys and a cellar. Its walls are of brick, its roof is of slate, and its windows are of oak. It was built in nineteen hundred and twelve by a master of the trade, and was rebuilt twice.'
cat >questions.jsonl <<X
{"prompt":"$text How many storeys does it have?","completion":"It has two storeys, and beside them there is a cellar."}
{"prompt":"$text Who built it and when was that?","completion":"A master of the trade did so in nineteen hundred and twelve."}
X
is 'two questions about one text are no copies' "$(kinds questions.jsonl)" ''

# ---- what is a fault ----

is '--ignore' "$(kinds --ignore personal,tiny --ignore near-duplicate bad.jsonl | grep -cE 'personal|tiny|near-')" 0
is '--warn' "$(kinds --warn duplicate bad.jsonl | head -1)" '2 warning duplicate'
is '--error' "$(kinds --error tiny bad.jsonl | grep tiny)" '18 error tiny'
ft-lint tiny.jsonl >/dev/null 2>&1; is 'warnings alone' $? 0
ft-lint --strict tiny.jsonl >/dev/null 2>stderr; is '--strict' $? 1
is '--strict: stderr' "$(cat stderr)" 'ft-lint: 0 errors, 11 warnings in 11 documents'
is '--near' "$(kinds --near 0.95 bad.jsonl | grep -c near-duplicate)" 0
is '--field' "$(printf '{"body":"A text under another name, long enough."}\n' | kinds --field text=body)" ''
cat >tongues.jsonl <<'X'
{"text":"The wall is built of bricks that are laid in mortar, and it has to be straight."}
{"text":"Die Wand wird aus Ziegeln gebaut, die in Mörtel gelegt werden, und sie muss gerade sein."}
X
is '--language' "$(kinds --language en tongues.jsonl)" '2 warning language'
is '--language: several' "$(kinds --language en,de tongues.jsonl)" ''
i=0
{ while [ $i -lt 9 ]; do echo "{\"text\":\"Row $i of the wall is built of bricks that are laid in mortar of kind $((i * i)).\"}"; i=$((i + 1)); done; tail -1 tongues.jsonl; } >most.jsonl
is 'another language than most' "$(kinds --near 1 most.jsonl)" '10 warning language'

# ---- held-out documents ----

cat >held.jsonl <<'X'
{"prompt":"What does a lintel do?","completion":"It carries the load above an opening to both sides of it."}
{"prompt":"Which door opens to the inside, and which to the outside of a house?","completion":"Doors of rooms open to the inside, and those of ways of escape to the outside, as the rules say."}
X
cat >train.jsonl <<'X'
{"id":"same","prompt":"What does a lintel do?","completion":"It carries the load above an opening to both sides of it."}
{"id":"prompt","prompt":"What does a lintel do?","completion":"Something else, which nobody had thought of until today."}
{"id":"inside","text":"A chapter on doors. Which door opens to the inside, and which to the outside of a house? Doors of rooms open to the inside, and those of ways of escape to the outside, as the rules say. Windows are another matter."}
{"id":"other","text":"A chapter on windows, which has nothing to do with doors or with lintels."}
X
is '--against' "$(kinds --against held.jsonl train.jsonl)" '1 error leak
2 warning prompt-leak
3 error leak'
ft-lint --against held.jsonl train.jsonl 2>/dev/null | grep -qx 'train.jsonl:3: error: has the words of the held-out held.jsonl:2 (100 %) \[leak\]'
result $? '--against: a held-out document inside a longer one'
fails '--against: what is no document' 1 'ft-lint: bad.jsonl:5: ' ft-lint --against bad.jsonl train.jsonl
fails '--against: what is not there' 1 'no/such' ft-lint --against no/such train.jsonl

# ---- --fix ----

ft-lint --fix -o fixed.jsonl bad.jsonl >report 2>stderr
is '--fix: exit status' $? 0
is '--fix: stderr' "$(cat stderr)" 'ft-lint: 9 of 19 documents kept'
grep -q 'near-duplicate' report; result $? '--fix: the report is on stdout'
sed -n '1p;4p;11p;13,18p' bad.jsonl >want
cmp -s fixed.jsonl want; result $? '--fix: the lines as they were'
is '--fix: nothing left to drop' "$(ft-lint --fix <fixed.jsonl 2>/dev/null | cmp - fixed.jsonl && echo same)" same
ft-lint --fix <bad.jsonl >fixed.stdout 2>stderr
cmp -s fixed.stdout want && grep -q 'what to do' stderr; result $? '--fix in a pipe: documents on stdout, the report on stderr'
is '--drop' "$(ft-lint --fix --drop personal,tiny bad.jsonl 2>/dev/null | wc -l)" 7
is '--keep' "$(ft-lint --fix --keep near-duplicate bad.jsonl 2>/dev/null | wc -l)" 10
ft-lint --fix --keep roles bad.jsonl >/dev/null 2>&1
is '--keep: an error that is kept is one' $? 1
ft-lint --fix -o fixed.jsonl.gz bad.jsonl >/dev/null 2>&1; gzip -dc fixed.jsonl.gz | cmp -s - want
result $? '--fix: compressed'
printf '\357\273\277{"text":"With a byte order mark and what Windows ends lines with."}\r\n\r\n' | ft-lint --fix 2>/dev/null >got
is '--fix: no byte order mark' "$(od -An -c -N1 got | tr -d ' ')" '{'
sed -n 5,9p bad.jsonl >worst.jsonl
fails '--fix: nothing is left' 1 'no document is without a fault' ft-lint --fix -o out.jsonl worst.jsonl
is 'of copies of one that is dropped all are' "$(sed -n '8p;8p' bad.jsonl | kinds)" '1 error roles
2 error roles
2 error duplicate'

# ---- with a model ----

template='{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}'
printf '%s' "$template" >chatml.jinja
printf '%s' "$template" | sed 's/<|im_end|>//' >endless.jinja
printf '%s' "{{ raise_exception('never') }}" >never.jinja
is 'a model: nothing wrong' "$(kinds -m "$model" --template chatml.jinja good.jsonl)" ''
is '--length' "$(ft-lint -m "$model" --template chatml.jinja --length 30 --tsv good.jsonl 2>/dev/null | cut -f 4 | sort | uniq -c | tr -s ' ')" "$(printf ' 1 kind\n 3 long')"
ft-lint -m "$model" --template chatml.jinja --length 30 good.jsonl 2>/dev/null |
    grep -qE '^good.jsonl:1: error: [0-9]+ tokens, [0-9]+ more than 30, [0-9]+ of them learnt \[long\]$'
result $? '--length: how many tokens'
want=$(ft-tok -m "$model" --template chatml.jinja --ids good.jsonl | head -1 | tr , '\n' | grep -c .)
ft-lint -m "$model" --template chatml.jinja --json good.jsonl 2>/dev/null | grep -q "\"tokens\":$(ft-tok -m "$model" --template chatml.jinja --count good.jsonl | sed -n 's/^tokens *//p'),"
result $? 'as many tokens as ft-tok counts'
is 'turns without an end' "$(kinds -m "$model" --template endless.jinja good.jsonl | head -1)" '1 error no-end'
is 'a template that refuses' "$(kinds -m "$model" --template never.jinja good.jsonl | head -1)" '1 error template'
is 'nothing learnt' "$(printf '{"messages":[{"role":"user","content":"Is this for nothing?"},{"role":"assistant","content":"It is for nothing.","train":false}]}\n' | kinds -m "$model" --template chatml.jinja)" '1 error untrained'

# ---- what it refuses ----

fails 'no document' 1 'no input holds a document' ft-lint /dev/null
fails '--length without a model' 2 'give the model with -m' ft-lint --length 5 good.jsonl
fails '--drop without --fix' 2 'go with --fix' ft-lint --drop tiny good.jsonl
fails 'an unknown kind' 2 "'nonsense' is no kind of finding" ft-lint --ignore tiny,nonsense good.jsonl
fails 'an unknown language' 2 "'xx' is no language" ft-lint --language xx good.jsonl
fails '--json and --tsv' 2 'only one of' ft-lint --json --tsv good.jsonl
fails '--near out of bounds' 2 '--near: 2 is not between' ft-lint --near 2 good.jsonl
fails 'dropping other languages' 2 'give --language' ft-lint --fix --drop language -o out.jsonl good.jsonl
fails 'a model that is none' 1 'no/model' ft-lint -m no/model good.jsonl

echo "1..$n"
exit $failed

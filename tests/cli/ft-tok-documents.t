#!/bin/sh
# ft-tok as a user types it: shapes in, streams, ids, renderings and counts out, and back again.
model=$SRCDIR/tests/data/chat
templates=$SRCDIR/tests/data/template/templates
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
count=0 failures=0

ok() { # NAME; the status of the command before it
    status=$?
    count=$((count + 1))
    if [ $status -eq 0 ]; then
        echo "ok $count - $1"
    else
        echo "not ok $count - $1"
        failures=$((failures + 1))
    fi
}

is() { # NAME GOT WANTED
    [ "$2" = "$3" ]
    ok "$1"
    [ "$2" = "$3" ] || printf '# got  %s\n# want %s\n' "$2" "$3"
}

fails() { # NAME STATUS MESSAGE COMMAND...
    name=$1 wanted=$2 message=$3
    shift 3
    "$@" >out 2>err
    got=$?
    [ $got -eq "$wanted" ] && grep -qF -- "$message" err
    ok "$name"
    [ $got -eq "$wanted" ] && grep -qF -- "$message" err || sed "s/^/# $got: /" err
}

tok() { ft-tok -m "$model" "$@"; }
chat() { tok --template "$templates/smollm2.jinja" "$@"; }

cat >docs.jsonl <<'END'
{"text":"Hello the Two"}
{"id":"chat","source":"here","weight":0.5,"messages":[{"role":"user","content":"Say Hello"},{"role":"assistant","content":"Hello"}]}

{"id":7,"prompt":"Say","completion":" Yes"}
{"ids":[65,267,260],"trained":[0,0,1]}
END

# ---- ids ----
is 'text: ids, BOS and EOS, all but the first learnt' "$(echo '{"text":"Hello"}' | tok --ids)" \
    '{"id":0,"ids":[279,267,280],"trained":[0,1,1],"bytes":5}'
is 'text: without specials' "$(echo '{"text":"Hello the"}' | tok --ids --train-on all --no-specials)" \
    '{"id":0,"ids":[267,260],"trained":[0,1],"bytes":4}'
is 'ids, source and weight are kept' "$(chat --ids docs.jsonl | sed 's/"ids.*\],/.../')" \
    '{"id":0,..."bytes":13}
{"id":"chat",..."source":"here","weight":0.5,"bytes":5}
{"id":7,..."bytes":4}
{"id":3,..."trained":[0,0,1]}'
is 'special tokens that people write are text' "$(echo '{"text":"</s>"}' | tok --ids --no-specials 2>/dev/null)" \
    '{"id":0,"ids":[60,47,115,62],"trained":[0,1,1,1],"bytes":3}'
is 'but not with --allow-special' \
    "$(echo '{"text":"a</s>"}' | tok --ids --no-specials --allow-special)" \
    '{"id":0,"ids":[97,280],"trained":[0,1]}'
is 'numbers go on from file to file' \
    "$(echo '{"text":"a"}' | tee b.jsonl >a.jsonl; tok --ids a.jsonl b.jsonl | cut -c1-8)" '{"id":0,
{"id":1,'

# ---- what is learnt ----
is 'render marks what is learnt' "$(chat --render docs.jsonl | grep '\[\[')" \
    '<s>[[Hello the Two</s>]]
[[Hello<|im_end|>]]
[[ Yes<|im_end|>]]
AHello[[ the]]'
is 'plain style' "$(chat --style plain --render docs.jsonl | grep Yes)" '<s>Say[[ Yes</s>]]'
is 'variables of the template' \
    "$(echo '{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"Yes"}]}' |
        tok --template "$templates/qwen3.jinja" --set enable_thinking=false --set 'x="y"' --set add_generation_prompt=true --render |
        tail -7 | tr '\n' '~')" '[[Yes<|im_end|>]]~<|im_start|>assistant~<think>~~</think>~~~'
is 'fields under other keys' "$(echo '{"body":"Hello","text":"no"}' | tok --field text=body --render | tail -1)" \
    '<s>[[Hello</s>]]'
is 'lines' "$(printf 'Hello\n\n the\r\n' | tok --lines --render | grep '\[\[')" '<s>[[Hello</s>]]
<s>[[ the</s>]]'
is 'a file as one document' "$(printf 'Hello\n the' | tok --text --render | tail -n +2)" '<s>[[Hello
 the</s>]]'
chat --count docs.jsonl >counts
is 'counts' "$(sed -n 's/^\(documents\|trained tokens\|untrained documents\|longest\)  *//p' counts | tr '\n' ' ')" \
    '4 9 0 97 '

# ---- streams and back ----
chat docs.jsonl >tokens.ft
ok 'a stream'
chat --threads 1 docs.jsonl | cmp -s - tokens.ft
ok 'the same bytes with one thread'
chat <docs.jsonl | cmp -s - tokens.ft
ok 'the same bytes from a pipe'
gzip -k docs.jsonl && chat docs.jsonl.gz | cmp -s - tokens.ft
ok 'the same bytes from a compressed file'
chat -o out.ft docs.jsonl && cmp -s out.ft tokens.ft
ok 'the same bytes in a file'
ft-pack --length 200 -o shard.ft tokens.ft 2>/dev/null && ft-dump shard.ft >/dev/null
ok 'ft-pack and ft-dump take it'
is 'decoded, as JSON Lines' "$(tok --decode tokens.ft | sed -n '1p;4p')" \
    '{"id":"0","text":"<s>Hello the Two</s>"}
{"id":"3","text":"AHello the"}' 
is 'decoded, from ids' "$(chat --ids docs.jsonl | tok --decode | sed -n 1p)" '{"id":0,"text":"<s>Hello the Two</s>"}'
is 'decoded, without special tokens' "$(tok --decode --no-specials tokens.ft | sed -n 1p)" '{"id":"0","text":"Hello the Two"}'
printf 'a \001\n\tb\303\251 ' >text
tok --text --no-specials --ids text | tok --decode --text | cmp -s - text
ok 'text to ids and back, byte for byte'
is 'decoded lines' "$(printf 'Hello\n the\n' | tok --lines --ids | tok --decode --lines --no-specials)" 'Hello
 the'

# ---- what is wrong ----
fails 'no model' 2 '-m MODEL is needed' ft-tok docs.jsonl
fails 'two outputs at once' 2 'only one of --ids' ft-tok -m "$model" --ids --count docs.jsonl
fails 'no such model' 1 'ft-tok: nowhere' ft-tok -m nowhere docs.jsonl
fails 'a chat without a template' 1 'docs.jsonl:2: the document is a chat, but the model has no chat template' \
    ft-tok -m "$model" docs.jsonl
printf '{"text":"a"}\n{"text":\n' >broken.jsonl
fails 'broken JSON says where' 1 'ft-tok: broken.jsonl:2: ' ft-tok -m "$model" --ids broken.jsonl
echo '{"body":"x"}' >unknown.jsonl
fails 'an unknown shape says what is there' 1 'unknown.jsonl:1: no known shape: found "body", expected text' \
    ft-tok -m "$model" unknown.jsonl
fails 'a missing column' 1 'unknown.jsonl:1: there is no "q" to take as text' \
    ft-tok -m "$model" --field text=q unknown.jsonl
echo '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"tool","content":"c"}]}' >tool.jsonl
fails 'an answer to no call' 1 'tool.jsonl:1: messages[2].role is "tool" but messages[1] calls no tool' \
    ft-tok -m "$model" --template "$templates/smollm2.jinja" tool.jsonl
picture='{"role":"assistant","content":"a"}]'
echo '{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]},'"$picture}" >picture.jsonl
fails 'a picture in a message' 1 'picture.jsonl:1: messages[0].content[0] is of type "image_url": only text can be trained on' \
    ft-tok -m "$model" --template "$templates/smollm2.jinja" picture.jsonl
echo '{"messages":[{"role":"user","content":"<image>what?"},'"$picture"',"images":["a.png"]}' >picture.jsonl
fails 'a picture beside the messages' 1 'images: the messages go with an image, and only text' \
    ft-tok -m "$model" --template "$templates/smollm2.jinja" picture.jsonl
echo '{"image":"a.png","conversations":[{"from":"human","value":"<image> what?"},{"from":"gpt","value":"a"}]}' >picture.jsonl
fails 'as LLaVA has it' 1 'image: the messages go with an image, and only text' \
    ft-tok -m "$model" --template "$templates/smollm2.jinja" picture.jsonl
is 'a key image that is not theirs' "$(echo '{"image":"a.png","images":[],"conversations":[{"from":"prompter","value":"what?"},{"from":"ai","value":"Yes"}]}' |
    chat --render | grep -c '\[\[Yes')" 1
echo '{"messages":[{"role":"system","content":"a"}]}' >system.jsonl
fails 'a template that refuses' 1 'the chat template refuses the messages: ' \
    ft-tok -m "$model" --template "$templates/gemma.jinja" system.jsonl
fails 'in its own words' 1 'gemma.jinja:1: System role not supported' \
    ft-tok -m "$model" --template "$templates/gemma.jinja" system.jsonl
fails 'nothing to learn' 1 'nothing to learn in any document' \
    ft-tok -m "$model" --template "$templates/smollm2.jinja" -o nothing.ft system.jsonl
[ ! -e nothing.ft ]
ok 'no file is left then'
fails 'some have nothing to learn' 0 '1 of 2 documents have no trained token' \
    ft-tok -m "$model" --template "$templates/smollm2.jinja" -o some.ft system.jsonl a.jsonl
echo '{% if %}' >bad.jinja
fails 'a broken template says where' 1 'bad.jinja:1: ' ft-tok -m "$model" --template bad.jinja a.jsonl
echo '{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{}}}]},{"role":"narrator","content":"x"},{"role":"assistant","content":"b"}]}' >odd.jsonl
fails 'calls that the template does not write' 0 '1 messages call tools, which the chat template does not write' \
    ft-tok -m "$model" --template "$templates/smollm2.jinja" --ids odd.jsonl
fails 'an unusual role' 0 '1 documents have a role that is not system, user, assistant or tool, "narrator"' \
    ft-tok -m "$model" --template "$templates/smollm2.jinja" --ids odd.jsonl
printf 'abc\n\351t\351\n' >latin1
fails 'text that is not UTF-8' 1 'latin1:2: not UTF-8 at byte 0' ft-tok -m "$model" --lines --ids latin1
: >empty.jsonl
fails 'no documents' 1 'no input holds a document' ft-tok -m "$model" --ids empty.jsonl
fails 'a stream of another tokenizer' 1 'made with another tokenizer' \
    ft-tok -m "$SRCDIR/tests/data/tokenizer/tiny_bpe" --decode tokens.ft
head -c 200 tokens.ft >cut.ft
fails 'a stream that was cut' 1 'cut.ft: ' ft-tok -m "$model" --decode cut.ft

echo "1..$count"
[ $failures -eq 0 ]

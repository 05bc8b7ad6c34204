#!/usr/bin/perl
# ft-gen as a user types it: prompts of every shape, random and not, in any company, where completions
# end, base against tuned, and what it refuses.
use strict;
use warnings;
use File::Copy qw(copy);
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $llama = "$ENV{SRCDIR}/tests/data/models/llama";
scratch('ft-gen');

sub gen {
    my ($arguments) = @_;
    return json_lines(scalar run("ft-gen $arguments"));
}

make_model('model');
my $few = '--max-tokens 12';

# Prompts of every shape.
{
    spew('shapes.jsonl', <<'X');
{"prompt": "Tell me.", "id": "p"}
{"prompt": "Tell me.", "completion": "No.", "id": 7}
{"messages": [{"role": "user", "content": "Tell me."}]}

{"messages": [{"role": "user", "content": "Tell me."}, {"role": "assistant", "content": "No."}]}
{"instruction": "Tell me.", "output": "No."}
{"text": "Tell me."}
{"ids": [40, 41, 42]}
X
    my @got = gen("-m model $few --ids shapes.jsonl");
    is(scalar @got, 7, 'a line for each prompt');
    is(join(' ', map { $_->{id} } @got), 'p 7 2 3 4 5 6', 'ids, or numbers');
    my $rendered = "<|im_start|>user\nTell me.<|im_end|>\n<|im_start|>assistant\n";
    is(join('|', map { $_->{prompt} } @got[0, 1, 5]), 'Tell me.|Tell me.|Tell me.', 'a prompt as it was given');
    is($got[2]{prompt}, $rendered, 'messages as they were rendered');
    is("@{$got[$_]{prompt_ids}}", "@{$got[2]{prompt_ids}}", "the same tokens: $_") for 0, 1, 3;
    is(join(' ', map { $_->{reference} // '-' } @got), '- No. - No. No. - -', 'answers are references');
    is("@{$got[6]{prompt_ids}}", '40 41 42', 'ids as they are');
    ok((!grep { @{$_->{completion_ids}} > 12 || $_->{finish} !~ /^(stop|length)$/ } @got), 'completions');
    my ($plain) = gen("-m model $few --ids --style plain shapes.jsonl");
    is("@{$plain->{prompt_ids}}", "@{$got[5]{prompt_ids}}", 'plain style is plain text');
    spew('lines', "Tell me.\n\nAnd me.\r\n");
    is(join('|', map { "$_->{id} $_->{prompt}" } gen("-m model $few --lines lines")), '0 Tell me.|1 And me.', 'lines');
    is(join('|', map { "$_->{id} $_->{prompt}" } gen("-m model $few --text lines lines")), "0 Tell me.\n\nAnd me.\r|1 Tell me.\n\nAnd me.\r", 'files');
    spew('other.jsonl', '{"question": "Tell me.", "answer": "No."}');
    my ($other) = gen("-m model $few --ids --field prompt=question --field completion=answer other.jsonl");
    is("@{$other->{prompt_ids}} $other->{reference}", "@{$got[0]{prompt_ids}} No.", 'fields by other names');
    spew('special.jsonl', '{"text": "<|im_end|>"}');
    ok(@{(gen("-m model $few --ids special.jsonl"))[0]{prompt_ids}} > 1, 'special tokens in a prompt are text');
    my ($special) = gen("-m model $few --ids --allow-special special.jsonl");
    is("@{$special->{prompt_ids}}", '2', 'unless allowed');
    spew('t.jinja', '{{ name }}: {{ messages[0].content }}');
    is((gen("-m model $few --template t.jinja --set name=Bob shapes.jsonl"))[2]{prompt}, 'Bob: Tell me.', 'another template, with a variable');
}

# The same, whatever the company.
spew('many.jsonl', map { encode_json({id => "m$_", text => substr('A text that is cut off at some place, to be gone on from.', 0, 3 + 5 * $_ % 50)}) . "\n" } 0 .. 11);
{
    for my $how ('', '--temperature 0.9 --top-p 0.9 --top-k 50 --min-p 0.01 --repetition-penalty 1.2 --seed 4') {
        my $name = $how ? 'sampled' : 'greedy';
        my $command = "ft-gen -m model --max-tokens 30 $how --ids";
        my $want = run("$command --batch 1 many.jsonl");
        my @want = json_lines($want);
        is(join(' ', map { $_->{id} } @want), join(' ', map { "m$_" } 0 .. 11), "$name: in the order of the input");
        ok((!grep { $_->{completion} !~ /\S/ } @want), "$name: there is text");
        is(scalar run("$command --batch $_ many.jsonl"), $want, "$name: $_ together") for 3, 16;
        is(scalar run("$command --threads $_ many.jsonl"), $want, "$name: $_ threads") for 1, 2;
        is(scalar run("cat many.jsonl | $command"), $want, "$name: from a pipe");
        run("$command -o out.jsonl many.jsonl");
        is(slurp('out.jsonl'), $want, "$name: to a file");
    }
    my $hot = 'ft-gen -m model --max-tokens 20 --temperature 1';
    my $one = run("$hot --seed 1 many.jsonl");
    ok($one ne run("$hot --seed 2 many.jsonl"), 'another seed, other completions');
    my @three = gen("-m model --max-tokens 20 --temperature 1 --seed 1 -n 3 many.jsonl");
    is(join(' ', map { "$_->{id}.$_->{sample}" } @three[0 .. 3]), 'm0.0 m0.1 m0.2 m1.0', 'samples of each prompt');
    is(join('|', map { $_->{completion} } grep { !$_->{sample} } @three), join('|', map { $_->{completion} } json_lines($one)),
        'the first sample is what it is alone');
    ok($three[0]{completion} ne $three[1]{completion}, 'and the second another');
}

# Log-probabilities against ft-eval, for a model without a tokenizer and a prompt of several chunks.
{
    mkdir 'long';
    my $config = decode_json(slurp("$llama/config.json"));
    $config->{max_position_embeddings} = 4096;
    spew('long/config.json', encode_json($config));
    copy("$llama/model.safetensors", 'long/model.safetensors');
    spew('prompts.jsonl', map { encode_json({ids => $_}) . "\n" } [5], [map { 3 + $_ * $_ % 280 } 0 .. 1299], [9 .. 30], [map { 3 + 7 * $_ % 280 } 0 .. 600]);
    my @got = gen('-m long --max-tokens 16 --temperature 1 --logprobs --batch 3 prompts.jsonl');
    ok((!grep { defined $_->{completion} || defined $_->{prompt} } @got), 'no tokenizer, no text') && ok((!grep { !@{$_->{completion_ids}} } @got), 'but ids');
    spew('whole.jsonl', map { encode_json({id => $_->{id}, ids => [@{$_->{prompt_ids}}, @{$_->{completion_ids}}]}) . "\n" } @got);
    run('ft-pack -m long --length 2000 -o whole.ft whole.jsonl');
    my @scored = json_lines(scalar run('ft-eval -m long --per-token whole.ft'));
    my $worst = 0;
    for my $i (0 .. $#got) {
        my @logprobs = @{$got[$i]{logprobs}};
        my @want = @{$scored[$i]{logprobs}}[-@logprobs .. -1];
        for (0 .. $#want) {
            my $off = abs($want[$_] - $logprobs[$_]);
            $worst = $off if $off > $worst;
        }
    }
    ok(@scored == 4 && $worst < 1e-4, 'log p of each token is what ft-eval says', "largest difference $worst");
}

# The likeliest tokens at each place.
{
    my @greedy = gen("-m model $few --ids --top-logprobs 3 many.jsonl");
    my @wrong = grep { my $r = $_; grep { $r->{top_logprobs}[$_][0]{id} != $r->{completion_ids}[$_]
            || $r->{top_logprobs}[$_][0]{logprob} != $r->{logprobs}[$_] } 0 .. $#{$r->{completion_ids}} } @greedy;
    ok(!@wrong, 'what is greedily taken is the likeliest');
    @wrong = grep { my $top = $_; @$top != 3 || $top->[0]{logprob} < $top->[1]{logprob} || $top->[1]{logprob} < $top->[2]{logprob} } map { @{$_->{top_logprobs}} } @greedy;
    ok(!@wrong, 'three of them, in order');
    my $vocab = decode_json(slurp('model/tokenizer.json'))->{model}{vocab};
    ok(!(grep { exists $vocab->{$_->{token}} && $vocab->{$_->{token}} != $_->{id} } map { map { @$_ } @{$_->{top_logprobs}} } @greedy), "with the vocabulary's names");
    is($greedy[0]{completion}, (gen("-m model $few many.jsonl"))[0]{completion}, 'and the completion is the same');
    my ($all) = gen('-m model --max-tokens 1 --top-logprobs 9999 many.jsonl');
    my $sum = 0;
    $sum += exp $_->{logprob} for @{$all->{top_logprobs}[0]};
    ok(@{$all->{top_logprobs}[0]} == 500 && abs($sum - 1) < 1e-9, 'all of them are a distribution', $sum);
    my @hot = gen("-m model $few --temperature 2 --ids --top-logprobs 500 many.jsonl");
    @wrong = grep { my $r = $_; grep { my $i = $_; my ($chosen) = grep { $_->{id} == $r->{completion_ids}[$i] } @{$r->{top_logprobs}[$i]};
            !$chosen || $chosen->{logprob} != $r->{logprobs}[$i] } 0 .. $#{$r->{completion_ids}} } @hot;
    ok(!@wrong, 'what was drawn is among all, by the same log p');
    spew_json('bare.jsonl', {ids => [5, 6]});
    my ($bare) = gen("-m $llama -a $llama/lora/initial --compare --max-tokens 2 --top-logprobs 2 bare.jsonl");
    ok(@{$bare->{base_top_logprobs}} && @{$bare->{tuned_top_logprobs}} && !exists $bare->{base_top_logprobs}[0][0]{token}, 'of both sides; no tokenizer, no names');
}

# Where completions end.
{
    my ($full) = gen("-m model --max-tokens 40 --ids many.jsonl");
    my $text = $full->{completion};
    my $stop = substr $text, int(length($text) / 2), 3;
    my $stop_json = $stop =~ s/'/'\\''/gr;
    my ($cut) = gen("-m model --max-tokens 40 --stop '$stop_json' --stop 'never, never' many.jsonl");
    is($cut->{completion}, substr($text, 0, index $text, $stop), 'a stop string');
    is($cut->{finish}, 'stop', 'and says so');
    is($full->{finish}, @{$full->{completion_ids}} == 40 ? 'length' : 'stop', 'the number of tokens');
    my $end = $full->{completion_ids}[3];
    my $config = decode_json(slurp('model/config.json'));
    mkdir 'ends';
    copy("model/$_", "ends/$_") for 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json';
    for my $eos ($end, [0, $end]) {
        $config->{eos_token_id} = $eos;
        spew('ends/config.json', encode_json($config));
        my ($ended) = gen('-m ends --max-tokens 40 --ids many.jsonl');
        my ($first) = grep { $full->{completion_ids}[$_] == $end } 0 .. 3;
        is("@{$ended->{completion_ids}} $ended->{finish}", join(' ', @{$full->{completion_ids}}[0 .. $first - 1], 'stop'), 'an end token of the model' . (ref $eos ? ', one of several' : ''));
    }
    spew('deep.jsonl', encode_json({ids => [map { 3 + $_ % 400 } 1 .. 690]}), "\n");
    my ($deep) = gen('-m model --temperature 1 deep.jsonl');
    is($deep->{finish}, 'length', "the model's context");
    ok(slurp('err') =~ /^ft-gen: warning: 1 completions end where the model's context of 700 tokens does\n\z/, 'is warned of', slurp('err'));
}

# Base and tuned.
{
    my $adapter = "$llama/lora/initial";
    spew('ids.jsonl', map { encode_json({ids => [$_, $_ + 1]}) . "\n" } 10 .. 20);
    my @both = gen("-m $llama -a $adapter --compare --max-tokens 9 ids.jsonl");
    my @base = gen("-m $llama --max-tokens 9 ids.jsonl");
    my @tuned = gen("-m $llama -a $adapter --max-tokens 9 ids.jsonl");
    is(join('|', map { "@{$_->{base_ids}} $_->{base_finish}" } @both), join('|', map { "@{$_->{completion_ids}} $_->{finish}" } @base), '--compare: the base');
    is(join('|', map { "@{$_->{tuned_ids}} $_->{tuned_finish}" } @both), join('|', map { "@{$_->{completion_ids}} $_->{finish}" } @tuned), '--compare: with the adapter');
    ok("@{$base[0]{completion_ids}}" ne "@{$tuned[0]{completion_ids}}", 'which makes a difference');
    my ($none, $status) = run("ft-gen -m $llama --compare ids.jsonl");
    is($status, 2, '--compare without an adapter is wrong usage');
}

# A command that judges completions.
{
    my $all = run("ft-gen -m model $few many.jsonl");
    my @plain = json_lines($all);
    my $n = @plain;
    my @checked = gen("-m model $few --format-check 'cat >>\"\$PWD/seen\"; echo talk; exit 0' many.jsonl");
    is(join('|', map { $_->{format} } @checked), join('|', ('pass') x $n), 'all pass');
    ok(slurp('err') =~ /^ft-gen: format: $n of $n completions pass, 100\.0 %/, 'and that is told', slurp('err'));
    my $seen = join '', map { my $t = $_->{completion}; utf8::encode($t); $t } @plain;
    is(slurp('seen'), $seen, 'the command reads each completion');
    my ($letter) = $plain[0]{completion} =~ /([a-z])/;
    @checked = gen("-m model $few --format-check 'grep -q $letter' many.jsonl");
    is(join('|', map { $_->{format} } @checked), join('|', map { $_->{completion} =~ /$letter/ ? 'pass' : 'fail' } @plain), 'some pass');
    @checked = gen("-m model $few --format-check 'kill -9 \$\$' many.jsonl");
    is($checked[0]{format}, 'fail', 'a command that dies');
    @checked = gen("-m model $few --check-seconds 0.05 --format-check 'sleep 100 & sleep 100' --lines lines");
    is($checked[0]{format}, 'timeout', 'one that takes too long');
    my @both = gen("-m $llama -a $llama/lora/initial --compare --max-tokens 2 --format-check true ids.jsonl >/dev/null");
    ok(slurp('err') =~ /no tokenizer/, 'no text, no check', slurp('err'));
    refuses('no such command', '--format-check: the command "no-such-thing" can\'t be run', "ft-gen -m model $few --format-check no-such-thing many.jsonl");
    spew('shell.jsonl', encode_json({text => '$(touch owned); `touch owned`; "; touch owned'}) . "\n");
    run("ft-gen -m model $few --format-check 'cat' shell.jsonl");
    ok(!-e 'owned', 'text is input, never a command');
}

# A reader at the other end of two pipes gets an answer before it asks again.
{
    require IPC::Open2;
    my $pid = IPC::Open2::open2(my $answers, my $questions, "ft-gen -m model $few --batch 1");
    $questions->autoflush;
    my @ids;
    local $SIG{ALRM} = sub { die "no answer\n" };
    eval {
        alarm 20;
        for my $id (5, 6) {
            print $questions "{\"id\": $id, \"text\": \"Well\"}\n";
            push @ids, decode_json(scalar <$answers>)->{id};
        }
        alarm 0;
    };
    close $questions;
    waitpid $pid, 0;
    is("@ids", '5 6', 'answers one by one');
}

# Wrong input.
{
    refuses('no prompts', 'there are no prompts', 'ft-gen -m model </dev/null');
    refuses('an empty file as a prompt', 'stdin: is empty', 'ft-gen -m model --text </dev/null');
    spew('bad.jsonl', qq({"text": "a"}\n{"text": "a"\n));
    refuses('no JSON', 'bad.jsonl:2: ', "ft-gen -m model $few bad.jsonl >/dev/null");
    spew('bad.jsonl', qq({"text": "a"}\n{"txt": "a"}\n));
    refuses('no prompt in it', 'bad.jsonl:2: no known shape', "ft-gen -m model $few bad.jsonl >/dev/null");
    spew('bad.jsonl', qq({"ids": [1, 500]}\n));
    refuses('a token outside of the vocabulary', 'bad.jsonl:1: token 1 is 500', "ft-gen -m model $few bad.jsonl");
    spew('bad.jsonl', qq({"ids": []}\n));
    refuses('a prompt of no tokens', 'bad.jsonl:1: the prompt has no tokens', "ft-gen -m model $few bad.jsonl");
    spew('bad.jsonl', encode_json({ids => [map { 5 } 1 .. 700]}), "\n");
    refuses('a prompt longer than the context', 'bad.jsonl:1: the prompt has 700 tokens', "ft-gen -m model $few bad.jsonl");
    spew('bad.jsonl', qq({"chosen": "a", "rejected": "b", "prompt": "c"}\n));
    refuses('preferences', 'bad.jsonl:1: ', "ft-gen -m model $few bad.jsonl");
    refuses('text for a model without a tokenizer', 'many.jsonl:1: the model has no tokenizer', "ft-gen -m $llama $few many.jsonl");
    refuses('a template that is not there', 'none.jinja', 'ft-gen -m model --template none.jinja many.jsonl');
    refuses('no such prompts', 'none.jsonl', 'ft-gen -m model none.jsonl');
    refuses('a folder as prompts', 'model', 'ft-gen -m model model');
    refuses('no such model', 'none', 'ft-gen -m none many.jsonl');
    refuses('no such adapter', 'none', 'ft-gen -m model -a none many.jsonl');
    refuses('an adapter for another model', "$llama/lora/initial", "ft-gen -m model -a $llama/lora/initial many.jsonl");
    refuses('a full disk', 'No space left', "ft-gen -m model $few many.jsonl >/dev/full") if -e '/dev/full';
    refuses('a closed stdout', 'stdout', "ft-gen -m model $few many.jsonl >&-");
    run("ft-gen -m model $few -o kept.jsonl bad.jsonl");
    ok(!-e 'kept.jsonl', 'no output after a failure');
    for my $wrong ('', '-m model --top-p 2', '-m model --temperature -1', '-m model -n 0', '-m model --max-tokens 0', '-m model --text --lines', "-m model --stop ''") {
        my (undef, $status) = run("ft-gen $wrong many.jsonl");
        is($status, 2, "wrong usage: $wrong");
    }
}

finish();

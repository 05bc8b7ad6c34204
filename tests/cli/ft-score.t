#!/usr/bin/perl
# ft-score: log-likelihoods beside ft-eval's, which choice is taken, templates and examples, wrong input.
use strict;
use warnings;
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $data = "$ENV{SRCDIR}/tests/data";
scratch('ft-score');

sub refuses_input {
    my ($name, $text, $command, $input) = @_;
    spew('input', $input);
    refuses($name, $text, "$command <input");
}

mkdir 'speaker';
symlink $_, 'speaker/' . s{.*/}{}r
    for glob("$data/models/llama/*.json $data/models/llama/*.safetensors $data/chat/tokenizer*.json");
my $score = 'ft-score -m speaker';

# ---- log-likelihoods: the ids of the whole, trained where the choice is ----

sub ids {
    my ($text) = @_;
    my (undef, $out) = feed('ft-tok -m speaker --ids --train-on all --no-specials', encode_json({text => $text}) . "\n");
    return decode_json($out)->{ids};
}

sub expected {
    my ($context, $choice) = @_;
    my $whole = ids($context . $choice);
    my $n = @{ids($context =~ s/\s+$//r)};
    my $line = encode_json({ids => $whole, trained => [map { $_ < $n ? 0 : 1 } 0 .. $#$whole]});
    my (undef, $out) = feed('ft-pack -m speaker --length 256 2>/dev/null | ft-eval -m speaker', "$line\n");
    return -decode_json($out)->{nll};
}

my @questions = (
    {id => 'a', prompt => 'The river runs', choices => ['to the sea', 'up', 'away from here'], answer => 1},
    {id => 'b', prompt => 'With a blank ', choices => ["at the end", "in it: \x{e9}t\x{e9}"], answer => 'A'},
    {id => 'c', prompt => 'By its text', choices => ['one', 'two'], answer => 'two'},
    {id => 'd', prompt => 'Two are right', choices => ['one', 'two', 'three'], answer => [0, 'three']},
);
spew_json('quiz.jsonl', @questions);
my (undef, $out) = feed("$score --no-specials --per-question quiz.jsonl");
my @lines = map { decode_json($_) } split /\n/, $out;
is(scalar @lines, scalar @questions, 'a line for each question');
is(encode_json([map { $_->{right} } @lines]), '[[1],[0],[1],[0,2]]', 'the right ones by number, letter, text and list');

my ($worst, %right) = (0);
for my $i (0 .. $#questions) {
    my ($q, $l) = ($questions[$i], $lines[$i]);
    my @want = map { utf8::encode(my $c = " $_"); expected($q->{prompt}, " $_") } @{$q->{choices}};
    for my $k (0 .. $#want) {
        my $d = abs($want[$k] - $l->{loglikelihoods}[$k]);
        $worst = $d if $d > $worst;
    }
    my %by = (acc => sub { 1 }, acc_norm => sub { length $_[0] }, acc_bytes => sub { utf8::encode(my $b = $_[0]); length $b });
    for my $measure (keys %by) {
        my ($best, $at) = (-1e9, 0);
        for my $k (0 .. $#want) {
            my $v = $want[$k] / $by{$measure}->($q->{choices}[$k]);
            ($best, $at) = ($v, $k) if $v > $best;
        }
        my $good = grep({ $_ == $at } @{$l->{right}}) ? 1 : 0;
        is($l->{$measure}, $good, "$q->{id}: $measure");
        $right{$measure} += $good;
    }
}
ok($worst <= 1e-4, 'log-likelihoods are those of ft-eval', "largest difference $worst");

($_, $out) = feed("$score --no-specials quiz.jsonl");
my $summary = decode_json($out);
for my $measure (sort keys %right) {
    my ($n, $m) = (scalar @questions, $right{$measure} / @questions);
    near($summary->{$measure}, $m, 1e-12, "share of $measure");
    near($summary->{"${measure}_stderr"}, sqrt($m * (1 - $m) / ($n - 1)), 1e-9, "error of $measure");
}

# ---- the same whatever the batch, the threads and the pipes ----

my (undef, $one) = feed("$score --per-question --threads 1 quiz.jsonl");
is((feed("$score --per-question --threads 3 quiz.jsonl"))[1], $one, 'the same from three threads');
is((feed("cat quiz.jsonl | $score --per-question --threads 1 -"))[1], $one, 'the same through a pipe');
my @small = map { decode_json($_) } split /\n/, (feed("$score --per-question --batch-tokens 1 quiz.jsonl"))[1];
my @large = map { decode_json($_) } split /\n/, $one;
ok(!grep({ my $i = $_; grep { abs($small[$i]{loglikelihoods}[$_] - $large[$i]{loglikelihoods}[$_]) > 1e-4 }
    0 .. $#{$large[$i]{loglikelihoods}} } 0 .. $#large), 'the same one by one');

# ---- templates, examples ----

sub likelihoods { return decode_json((feed(@_))[1])->{loglikelihoods} }

my $plain = encode_json({prompt => "Question: Why?\nAnswer:", choices => ['so', 'no'], answer => 0}) . "\n";
my $arc = encode_json({question => 'Why?', choices => {text => ['so', 'no'], label => ['1', '2']}, answerKey => '1'}) . "\n";
is("@{likelihoods(qq($score --task arc --per-question), $arc)}", "@{likelihoods(qq($score --per-question), $plain)}",
    'a known task is its templates');
my $other = encode_json({q => 'Why?', list => ['so', 'no'], gold => 'A'}) . "\n";
is("@{likelihoods(qq($score --per-question --prompt 'Question: {{q}}\nAnswer:' --choices list --answer '{{gold}}'), $other)}",
    "@{likelihoods(qq($score --per-question), $plain)}", 'templates of one\'s own');
spew('examples', encode_json({prompt => 'A?', choices => ['x', 'y'], answer => 1}), "\n",
    encode_json({prompt => 'B?', choices => ['x', 'y'], answer => 0}), "\n");
my $before = encode_json({prompt => "Quiz.\n\nA? y\n\nC?", choices => ['x', 'y'], answer => 0}) . "\n";
my $question = encode_json({prompt => 'C?', choices => ['x', 'y'], answer => 0}) . "\n";
is("@{likelihoods(qq($score --per-question --description 'Quiz.\n\n' --examples examples --shots 1), $question)}",
    "@{likelihoods(qq($score --per-question), $before)}", 'examples stand before the question');
my $winogrande = encode_json({sentence => 'Then _ went home.', option1 => 'Ann', option2 => 'the men', answer => '2'}) . "\n";
my @w = @{likelihoods("$score --no-specials --task winogrande --per-question", $winogrande)};
ok(abs($w[0] - expected('Then Ann', ' went home.')) < 1e-4 && abs($w[1] - expected('Then the men', ' went home.')) < 1e-4,
    'winogrande asks for the ending', "@w");
my ($status, $list) = feed("ft-score --task list");
ok($status == 0 && $list =~ /^arc /m && $list =~ /^mmlu /m, '--task list');

# ---- base beside tuned ----

my $adapter = "$data/models/llama/lora/initial";
$summary = decode_json((feed("$score -a $adapter --compare quiz.jsonl"))[1]);
my $tuned = decode_json((feed("$score -a $adapter quiz.jsonl"))[1]);
my $base = decode_json((feed("$score quiz.jsonl"))[1]);
ok($summary->{base}{acc} == $base->{acc} && $summary->{tuned}{acc} == $tuned->{acc}
    && abs($summary->{difference}{acc} - $tuned->{acc} + $base->{acc}) < 1e-12, '--compare');

# ---- answers in the model's own words, beside ft-gen ----

{
    my @asked = map { {id => "n$_", prompt => "The river number $_ runs", answer => 'nothing'} } 1 .. 5;
    spew_json('open.jsonl', @asked);
    spew_json('plain.jsonl', map { {text => $_->{prompt}} } @asked);
    my @texts = map { $_->{completion} } json_lines(scalar run('ft-gen -m speaker --max-tokens 12 plain.jsonl'));
    my $generate = "$score --generate --max-tokens 12";
    my @got = json_lines(scalar run("$generate --per-question open.jsonl"));
    is(encode_json([map { $_->{answer} } @got]), encode_json(\@texts), 'answers are what ft-gen says');
    is(encode_json([map { $_->{exact_match} } @got]), '[0,0,0,0,0]', 'and wrong');
    $asked[$_]{answer} = ['or', "  $texts[$_]" =~ s/^\s+|\s+$//gr] for 0, 2, 3;
    spew_json('open.jsonl', @asked);
    my $sum = decode_json(scalar run("$generate open.jsonl"));
    near($sum->{exact_match}, 0.6, 1e-12, 'three of five right ones, among several each');
    near($sum->{exact_match_stderr}, sqrt(0.6 * 0.4 / 4), 1e-9, 'and its error');
    is(scalar run("$generate --batch 2 open.jsonl"), scalar run("$generate open.jsonl"), 'the same two by two');
    is(scalar run("cat open.jsonl | $generate --threads 1"), scalar run("$generate open.jsonl"), 'and through a pipe');
    my $compared = decode_json(scalar run("$generate -a $data/models/llama/lora/initial --compare open.jsonl"));
    near($compared->{base}{exact_match}, 0.6, 1e-12, '--compare');
    near($compared->{difference}{exact_match}, $compared->{tuned}{exact_match} - 0.6, 1e-9, 'and the difference');

    # Filters, on answers whose text is known: an unlikely pattern, the first character, the last.
    my $extracts = sub { [map { $_->{extracts}[0] } json_lines(scalar run("$generate --per-question $_[0] open.jsonl"))] };
    is(encode_json($extracts->("--extract 'zzz+q'")), encode_json([('[invalid]') x 5]), 'no match');
    is(encode_json($extracts->("--extract '(?s)(\\S).*'")), encode_json([map { /(\S)/ ? $1 : '[invalid]' } @texts]), 'the first group');
    is(encode_json($extracts->("--extract '\\S' --extract-last")), encode_json([map { /.*(\S)/s ? $1 : '[invalid]' } @texts]), 'the last match');
    my $cut = substr $texts[0] =~ s/^\s+//r, 2, 1;
    my ($first) = json_lines(scalar run("$generate --per-question --until '" . ($cut =~ s/'/'\\''/gr) . "' open.jsonl"));
    is($first->{answer}, substr($texts[0], 0, index $texts[0], $cut), '--until');
    spew_json('all.jsonl', map { {prompt => $_->{prompt}, answer => 'x'} } @asked);
    is(decode_json(scalar run("$generate --ignore '(?s).+' all.jsonl"))->{exact_match}, 1, 'all is ignored');

    my ($none, $list) = feed('ft-score --task list');
    ok($list =~ /^gsm8k /m && $list =~ /^triviaqa /m && $list =~ /^nq_open /m, 'known tasks that are answered');
    spew_json('gsm.jsonl', {question => 'One and one?', answer => "2 apples\n#### 2"});
    my $gsm = decode_json(scalar run("$score --task gsm8k --max-tokens 5 --examples gsm.jsonl gsm.jsonl"));
    ok(exists $gsm->{strict_match} && exists $gsm->{flexible_extract_stderr}, 'gsm8k has two filters');
    refuses_input('no answer', 'stdin:1: answer: ', $generate, '{"prompt":"x","answer":{"a":1}}');
    refuses_input('an empty list', 'stdin:1: answer: is an empty list', $generate, '{"prompt":"x","answer":[]}');
    refuses_input('a broken pattern', 'pattern "(x"', "$generate --extract '(x'", '{"prompt":"x","answer":"y"}');
    refuses_input('answers longer than the model', 'fit into the 256', "$score --generate", '{"prompt":"x","answer":"y"}');
    for my $wrong ('--until x', "--generate --until ''", '--ignore-case', '--generate --choices x') {
        my ($status) = feed("$score $wrong", '{}');
        is($status, 2, "$wrong is wrong usage");
    }
}

# ---- wrong input ----

refuses_input('no such choice', 'input:1: answer: is none of the 2', "$score input", '{"prompt":"x","choices":["a","b"],"answer":2}');
refuses_input('no choices', 'stdin:1: choices: is empty', $score, '{"prompt":"x","choices":[],"answer":0}');
refuses_input('a missing key', 'stdin:2: prompt: ', $score, "$plain\{\"choices\":[\"a\",\"b\"],\"answer\":0}");
refuses_input('an empty choice', 'choices: number 1 is empty', $score, '{"prompt":"x","choices":["a",""],"answer":0}');
refuses_input('no object', 'stdin:1: is not a JSON object', $score, '[1]');
refuses_input('no questions', 'there are no questions', $score, '');
refuses_input('a broken template', 'prompt:1: ', "$score --prompt '{{x'", $plain);
refuses_input('a model without tokenizer', 'tokenizer', "ft-score -m $data/models/llama", $plain);
my $long = encode_json({prompt => 'word ' x 600, choices => ['a', 'b'], answer => 0}) . "\n";
($status, $out) = feed($score, $long);
ok($status == 0 && decode_json($out)->{truncated} == 2 && slurp('err') =~ /beginning of 2/,
    'a long prompt is cut, and that is said', slurp('err'));
my $choice = encode_json({prompt => 'x', choices => ['word ' x 600, 'b'], answer => 0}) . "\n";
refuses_input('a choice that is too long', 'fit into the 256', $score, $choice);
for my $wrong ('--task x', '--compare', '--shots 1') {
    ($status) = feed("$score $wrong", $plain);
    is($status, 2, "$wrong is wrong usage");
}

finish();

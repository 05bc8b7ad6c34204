#!/usr/bin/perl
# ft-score: log-likelihoods beside ft-eval's, which choice is taken, templates and examples, wrong input.
use strict;
use warnings;
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $data = "$ENV{SRCDIR}/tests/data";
scratch('ft-score');

# Status and standard output.
sub feed {
    my ($command, $input) = @_;
    spew('input', $input // '');
    my ($out, $status) = run("{ $command; } <input");
    return ($status, $out);
}

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

# ---- wrong input ----

refuses_input('no such choice', 'input:1: answer: is none of the 2', "$score input", '{"prompt":"x","choices":["a","b"],"answer":2}');
refuses_input('no choices', 'stdin:1: choices: ', $score, '{"prompt":"x","choices":[],"answer":0}');
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

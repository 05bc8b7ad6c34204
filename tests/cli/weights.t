#!/usr/bin/perl
# Weights of messages, from documents through tokens, shards and training: what is learnt is the mean with them.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $data = "$ENV{SRCDIR}/tests/data";
my $model = "$data/models/llama";
scratch('weights');

sub fails {
    my ($name, $want, $command) = @_;
    my ($out, $status) = run("($command)");
    my $err = slurp('err');
    ok($status == 1 && index($err, $want) >= 0 && $err =~ tr/\n// == 1, $name, "exit status $status", $err);
}

# ---- ft-tok ----

my $tok = "ft-tok -m $data/tokenizer/tiny_bpe --template $data/template/templates/chatml.jinja";
sub message { return {role => $_[0], content => $_[1], @_[2 .. $#_]} }
my @messages = (message('user', 'Hi'), message('assistant', 'Hello', weight => 0.25), message('user', 'More', weight => 9),
    message('assistant', 'Yes', weight => 3), message('assistant', 'no', weight => 0), message('assistant', 'so'));
spew('w.jsonl', encode_json({messages => \@messages}), "\n");
my $got = decode_json(scalar run("$tok --ids w.jsonl"));
my %seen;
for my $i (0 .. $#{$got->{ids}}) {
    my $key = ($got->{trained}[$i] ? 'trained ' : 'not ') . $got->{weights}[$i];
    $seen{$key}++;
}
ok(join(',', sort keys %seen) eq 'not 1,trained 0.25,trained 1,trained 3', 'each trained token has the weight of its message', join ',', sort keys %seen);
my @learnt = grep { $got->{trained}[$_] } 0 .. $#{$got->{ids}};
ok(join(" ", @{$got->{weights}}[@learnt]) =~ /^(0\.25 )+(3 )+(1 ?)+$/, 'in the order of the messages');

run("$tok w.jsonl >w.ft");
ok(scalar run("$tok --ids w.jsonl | ft-pack -m $data/tokenizer/tiny_bpe --length 80 | ft-dump --json") eq scalar run('ft-pack --length 80 w.ft | ft-dump --json'),
    'JSON Lines and streams carry the same');
my $dumped = decode_json(scalar run('ft-dump --json w.ft'));
ok(encode_json($dumped->{weights}) eq encode_json($got->{weights}), 'ft-dump shows them');
my %split = map { $_->{part} => $_ } map { decode_json($_) } split /\n/, scalar run('ft-pack --length 24 --overlong split w.ft | ft-dump --json');
my ($all, $parts) = (0, 0);
$all += $got->{trained}[$_] * $got->{weights}[$_] for 0 .. $#{$got->{ids}};
for my $p (values %split) {
    $parts += $p->{trained}[$_] * ($p->{weights} ? $p->{weights}[$_] : 1) for 0 .. $#{$p->{ids}};
}
ok(keys %split > 1 && $all == $parts, 'parts of a document keep theirs', "$all, $parts");
my $plain = encode_json({messages => [message('user', 'Hi'), message('assistant', 'Hello', weight => 1)]});
spew('plain.jsonl', "$plain\n");
ok(scalar run("$tok --ids plain.jsonl") !~ /weights/, 'weights of 1 are not written');

# ---- what is refused ----

fails('a negative weight', 'x.jsonl:1: messages[1].weight is negative', q{sed 's/0.25/-2/' w.jsonl >x.jsonl; } . "$tok --ids x.jsonl");
fails('a weight that is a string', 'messages[1].weight is a string', q{sed 's/0.25/"much"/' w.jsonl >y.jsonl; } . "$tok --ids y.jsonl");
spew('pair.jsonl', encode_json({prompt => [message('user', 'Hi')], chosen => [message('assistant', 'Yo', weight => 2)],
    rejected => [message('assistant', 'No')]}), "\n");
fails('in an answer that is compared', 'a message has a weight, but an answer is compared as a whole', "$tok --ids pair.jsonl");
spew('short.jsonl', '{"ids":[1,2,3],"trained":[0,1,1],"weights":[1,1]}', "\n");
fails('too few', '"weights" is no array as long as "ids"', "ft-pack -m $model --length 9 short.jsonl -o s.ft");
spew('minus.jsonl', '{"ids":[1,2,3],"trained":[0,1,1],"weights":[1,1,-1]}', "\n");
fails('one that is negative', 'weights[2] is no number of 0 or more', "ft-pack -m $model --length 9 minus.jsonl -o s.ft");
# In the stream: a run that is longer than the document, none at all, one of no tokens.
my $bytes = slurp('w.ft');
my $at = index($bytes, "\xa7weights\x91") + 9;
my $first = ord(substr $bytes, $at + 1, 1);
ok($at > 9 && $first > 1 && $first < 128, 'the stream has runs', $first);
for my $bad ([127, 'run 0 is no length and weight'], [0, 'run 0 is no length and weight'], [$first - 1, 'covers']) {
    spew('bad.ft', substr($bytes, 0, $at + 1) . chr($bad->[0]) . substr($bytes, $at + 2));
    fails("a stream with a run of $bad->[0]", "\"weights\"[0]: $bad->[1]", 'ft-dump bad.ft');
}

# ---- training ----

# Two stretches of a document, and each alone.
my @ids = map { 3 + ($_ * 7) % 50 } 0 .. 19;
my %mask = (a => [5 .. 9], b => [12 .. 18]);
sub document {
    my ($wa, $wb, $weight) = @_;
    my (@trained, @weights) = ((0) x 20, (1) x 20);
    @trained = (0) x 20;
    @weights = (1) x 20;
    for (@{$mask{a}}) { $trained[$_] = $wa > 0 ? 1 : 0; $weights[$_] = $wa || 1 }
    for (@{$mask{b}}) { $trained[$_] = $wb > 0 ? 1 : 0; $weights[$_] = $wb || 1 }
    return encode_json({ids => \@ids, trained => \@trained, weights => \@weights, weight => $weight // 1}) . "\n";
}
sub pack_one {
    my ($name, @documents) = @_;
    spew("$name.jsonl", @documents);
    run("ft-pack -m $model --length 64 --no-shuffle $name.jsonl -o $name.ft");
}
sub train {
    my ($name, $options) = @_;
    my (undef, $status) = run("ft-train -m $model --lr 0.01 --rank 4 --seed 3 --backend fp32 --log $name.log $options -o $name.out");
    ok(!$status, "trains: $name", slurp('err'));
    return map { decode_json($_) } split /\n/, slurp("$name.log");
}
pack_one('a', document(1, 0));
pack_one('b', document(0, 1));
pack_one('ab', document(0.5, 3));
pack_one('mixed', document(0.5, 3, 0.25), document(1, 0));
my ($a) = train('a', '--steps 1 a.ft');
my ($b) = train('b', '--steps 1 b.ft');
my ($ab) = train('ab', '--steps 1 --eval ab.ft ab.ft');
my ($mixed) = train('mixed', '--steps 1 --batch 2 mixed.ft');
near($ab->{loss}, (0.5 * 5 * $a->{loss} + 3 * 7 * $b->{loss}) / (0.5 * 5 + 3 * 7),
    2e-5, 'the loss is the weighted mean');
near($mixed->{loss}, (0.25 * (0.5 * 5 * $a->{loss} + 3 * 7 * $b->{loss}) + 5 * $a->{loss}) / (0.25 * (0.5 * 5 + 3 * 7) + 5),
    2e-5, "and a document's weight multiplies its tokens'");
my ($held) = grep { defined $_->{eval_loss} } train('still', '--lr 0 --steps 1 --eval ab.ft ab.ft');
near($held->{eval_loss}, $ab->{loss}, 2e-5, 'held-out loss is the same mean');

my $eval = run("ft-eval -m $model ab.ft");
my $same = run("ft-eval -m $model " . do { pack_one('ones', document(1, 1)); 'ones.ft' });
ok(decode_json($eval)->{mean_nll} == decode_json($same)->{mean_nll}, 'ft-eval measures the model: weights say what to learn', $eval, $same);

# The same bytes whatever the threads, micro-batches, and when it was stopped.
pack_one('many', map { document(0.3 + $_ / 7, $_ % 3, 1 + $_ % 2) } 1 .. 12);
my @ways = (['one', '--threads 1 many.ft'], ['two', '--threads 2 many.ft'], ['micro', '--threads 2 --micro-batch 40 many.ft']);
my %bytes;
for my $way (@ways) {
    train($way->[0], "--batch 2 --epochs 2 $way->[1]");
    $bytes{$way->[0]} = slurp("$way->[0].out/adapter_model.safetensors");
}
ok($bytes{one} eq $bytes{two}, 'the number of threads changes nothing');
my @losses = map { [map { decode_json($_)->{loss} } split /\n/, slurp("$_.log")] } qw(one micro);
ok(!grep({ abs($losses[0][$_] - $losses[1][$_]) > 1e-5 } 0 .. $#{$losses[0]}) && @{$losses[0]} > 2, 'nor do micro-batches, but for rounding');
run("ft-train -m $model --lr 0.01 --rank 4 --seed 3 --backend fp32 --batch 2 --epochs 2 --stop-after 3 many.ft -o cut.out");
ok($bytes{one} ne slurp('cut.out/adapter_model.safetensors'), 'one is stopped', slurp('err'));
my (undef, $status) = run('ft-train --resume cut.out many.ft');
ok(!$status && $bytes{one} eq slurp('cut.out/adapter_model.safetensors'), 'and goes on to the same bytes', slurp('err'));
finish();

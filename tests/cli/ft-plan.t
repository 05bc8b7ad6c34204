#!/usr/bin/perl
# ft-plan: its figures beside a run of ft-train, alternatives, profiles of machines, and what it refuses.
use strict;
use warnings;
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $model = "$ENV{SRCDIR}/tests/data/models/llama";
scratch('ft-plan');
spew_json('rows.jsonl', map { my $i = $_; {id => "d$i", ids => [1, map { 3 + ($i * 7 + $_ * 13) % 280 } 1 .. 30 + $i % 30]} } 0 .. 199);
run("ft-pack -m $model --length 64 rows.jsonl -o rows.ft");
my $plan = "ft-plan -m $model --seconds 0.2";

sub plans { return map { $_->{plan} => $_ } json_lines(scalar run("$plan --json @_")) }

# What the run then says.
my %plans = plans('--epochs 2 --batch 3 --eval rows.ft rows.ft');
my $given = $plans{'as given'};
run("ft-train -m $model --epochs 2 --batch 3 --eval rows.ft -o run --log log rows.ft");
my @log = grep { defined $_->{loss} } json_lines(slurp('log'));
is($given->{steps}, scalar @log, 'steps');
is($given->{tokens}, $log[-1]{tokens}, 'tokens');
is($given->{parameters}, 2 * 16 * (2 * (48 + 48) + 2 * (48 + 16) + 3 * (48 + 128)), 'parameters');
ok($given->{measured} && $given->{fits}, 'it was measured');
ok($given->{low} <= $given->{seconds} && $given->{seconds} <= $given->{high}, 'a range around the time');
my ($peak) = slurp('err') =~ /peak memory ([\d.]+) GiB/;
# A sanitizer keeps what is freed for a while, so that peaks differ.
my $allowed = $ENV{BUILDDIR} =~ /asan/ ? 0.5 : 0.03;
ok($given->{memory} > 1e6 && abs($given->{memory} / 2**30 - $peak) < $allowed, 'memory', "$given->{memory}, the run: $peak GiB");
my $disk = 0;
$disk += -s for glob 'run/*';
near($given->{disk}, $disk, 0.1, 'disk');

# The alternatives.
is(join(' ', grep { !/bf16/ } sort keys %plans), '--base-type=nf4 --full --rank=32 --rank=8 as given', 'alternatives');
is($plans{'--rank=32'}{parameters}, 2 * $given->{parameters}, 'twice the rank');
ok($plans{'--full'}{parameters} > $given->{parameters}, 'all weights');
%plans = plans('--alone --full rows.ft');
is(join(' ', keys %plans), 'as given', '--alone');
%plans = map { $_->{plan} => $_ } json_lines(scalar run("$plan --json <rows.ft"));
is(join(' ', keys %plans), 'as given', 'none with rows from stdin');
ok(!-e 'adapter' && !glob('*.json.*'), 'nothing is written');

# Energy, money, other machines.
%plans = plans('--alone --watts 100 --price-kwh 0.5 --price-hour 36 rows.ft');
$given = $plans{'as given'};
near($given->{kwh}, $given->{seconds} / 36000, 1e-9, 'energy');
near($given->{cost}, $given->{seconds} / 36000 * 0.5 + $given->{seconds} / 100, 1e-9, 'cost');
%plans = plans('--alone --save-machine here.json rows.ft');
my $profile = decode_json(slurp('here.json'));
is(join(' ', sort keys %$profile), 'format fp32 memory', 'a profile');
my %there = plans('--alone --machine here.json rows.ft');
near($there{'as given'}{seconds}, $plans{'as given'}{seconds}, 0.01, 'a plan from it');
ok(!$there{'as given'}{measured}, 'which is an estimate');
spew('small.json', '{"format":"tuneutils machine 1","memory":1000000,"fp32":1e9}');
%there = plans('--alone --machine small.json rows.ft');
ok(!$there{'as given'}{fits}, 'a machine that is too small');
my $table = run("$plan --machine small.json rows.ft");
ok($table =~ /^as given .*doesn't fit$/m && $table !~ /[ \t]$/m, 'the table says so', $table);

# Several machines: the formula of ft-train(1) by hand. A step is 16 rows of up to 64 tokens.
spew('even.json', '{"format":"tuneutils machine 1","memory":1e10,"fp32":1e9}');
%there = plans('--alone --machine even.json --batch 16 --micro-batch 64 --ranks 6 --gbit 0.8 --latency 100 rows.ft');
is(join(' ', sort keys %there), '2 ranks 4 ranks 6 ranks as given', '--ranks: powers of two, and all');
my $one = $there{'as given'};
for my $r (2, 4, 6) {
    my $p = $there{"$r ranks"};
    my $exchange = 2 * 4 * $one->{parameters} / 1e8 * ($r - 1) / $r + (2 * ($r - 1) + 6 * log($r) / log(2)) * 1e-4;
    my @fits = grep { my $busy = int(($_ + $r - 1) / $r) / $_; abs($p->{seconds} / ($one->{seconds} * $busy + $p->{steps} * $exchange) - 1) < 1e-6 } 8 .. 16;
    ok(@fits, "time of $r ranks", "$p->{seconds}, one takes $one->{seconds}");
    is($p->{ranks}, $r, "their number");
    is($p->{memory}, $one->{memory}, 'memory is that of each');
}
%there = plans('--alone --machine even.json --batch 1 --micro-batch 64 --ranks 2 --price-hour 1 rows.ft');
ok($there{'2 ranks'}{seconds} > $there{'as given'}{seconds}, 'a step of one pass gains nothing');
ok($there{'2 ranks'}{cost} > 2 * $there{'as given'}{cost}, 'and two machines cost twice as much');

refuses('no such rows', 'nowhere', "ft-plan -m $model nowhere");
refuses('no such model', 'nowhere', 'ft-plan -m nowhere rows.ft');
spew('odd.json', '{"format":"tuneutils machine 1","memory":-1}');
refuses('a profile with nonsense', 'memory', "ft-plan -m $model --machine odd.json rows.ft");
spew('odd.json', '{}');
refuses('another file', 'is no profile', "ft-plan -m $model --machine odd.json rows.ft");
refuses('what ft-train refuses', 'full', "ft-plan -m $model --full --base-type nf4 rows.ft");
for my $wrong ('', "-m $model --resume run", "-m $model --price-kwh 1", "-m $model --steps 1 --epochs 1") {
    my (undef, $status) = run("ft-plan $wrong rows.ft");
    is($status, 2, "'$wrong' is wrong usage");
}

finish();

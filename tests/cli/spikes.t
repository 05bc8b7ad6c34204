#!/usr/bin/perl
# ft-train --on-spike: a loss far above the usual, and one that isn't finite, end the run, are left out, or
# change nothing, and the document is named; the same bytes whether the run was stopped or not.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

scratch('spikes');
my $llama = "$ENV{SRCDIR}/tests/data/models/llama";

# Document N of the stream, one a row, in their order: all alike, but those given.
sub make_rows {
    my ($name, %other) = @_;
    my @usual = map { 3 + $_ % 7 } 1 .. 24;
    my @documents = map { {id => "d$_", ids => [@usual], weight => 1, %{ $other{$_} // {} }} } 1 .. 60;
    spew_json("$name.jsonl", @documents);
    run("ft-pack -m $llama --no-shuffle --no-pack --length 24 -o $name.ft $name.jsonl");
}

# Runs a command that must fail; the last thing it says.
sub fails_saying {
    my ($pattern, $name, $command) = @_;
    my ($out, $status) = run($command);
    my $last = (split /\n/, slurp('err'))[-1] // '';
    return ok($status == 1 && $last =~ /^ft-train: .*$pattern/ ? 1 : 0, $name, "status $status", $last);
}

sub says {
    my ($pattern, $name) = @_;
    return ok(slurp('err') =~ $pattern ? 1 : 0, $name, slurp('err'));
}

my @noise = map { 3 + ($_ * 7919 % 60) } 1 .. 24;
make_rows('noise', 40 => {ids => \@noise});
make_rows('huge', 30 => {weight => 1e300});
make_rows('huger', map { $_ => {weight => 1e300} } 20 .. 60);
my $train = "ft-train -m $llama --rank 2 --batch 1 --lr 1e-2 --schedule constant --no-shuffle --seed 3";

# The steps that the log says were left out.
sub left_out { return join ' ', map { $_->{step} } grep { exists $_->{skipped} } json_lines(slurp($_[0])) }

sub same_adapter {
    my ($a, $b, $name) = @_;
    ok(slurp("$a/adapter_model.safetensors") eq slurp("$b/adapter_model.safetensors"), $name);
}

is((run("$train --log plain.log -o plain noise.ft"))[1], 0, 'without the option a spike is learnt from');
my @losses = map { $_->{loss} } json_lines(slurp('plain.log'));
ok($losses[39] > $losses[38] + 1, 'and it is one', @losses[37 .. 41]);
is(left_out('plain.log'), '', 'the log has nothing to say of it');
is((run("$train --on-spike ignore --log ignore.log -o ignore noise.ft"))[1], 0, '--on-spike ignore');
same_adapter('ignore', 'plain', 'is the same');

fails_saying(qr/step 40: a loss of \S+, where \S+ give or take \S+ is usual: most of it from document "d40".*; the checkpoint of step 30 is kept/,
    '--on-spike stop', "$train --on-spike stop --checkpoint-every 10 -o stop noise.ft");

is((run("$train --on-spike skip --log skip.log -o skip noise.ft"))[1], 0, '--on-spike skip');
is(left_out('skip.log'), '40', 'leaves that step out', slurp('skip.log'));
says(qr/^ft-train: step 40 is left out: .*document "d40"/m, 'and says so');
is(scalar(json_lines(slurp('skip.log'))), 60, 'the log has all steps');
my @after = map { $_->{loss} } json_lines(slurp('skip.log'));
ok($after[40] < $losses[40], 'the step behind it is the better for it', "$after[40] $losses[40]");
ok(index(slurp('skip/adapter_model.safetensors'), '--on-spike=skip --spike=8') > 0, 'the adapter says how it was made');
is((run("$train --on-spike skip --spike 1000 -o far noise.ft"))[1], 0, '--spike');
ok(index(slurp('err'), 'left out') < 0, 'further off');

for my $at (39, 40, 41, 50) {
    run("$train --on-spike skip --log r.log --stop-after $at --restart -o r noise.ft");
    is((run('ft-train --resume r'))[1], 0, "stopped after step $at");
    same_adapter('r', 'skip', 'goes on to the same bytes');
    is(slurp('r.log') =~ s/,"tok_per_s".*//gr, slurp('skip.log') =~ s/,"tok_per_s".*//gr, 'and the same log');
}
run("$train --on-spike skip --threads 2 -o threads noise.ft");
same_adapter('threads', 'skip', 'two threads');

fails_saying(qr/document "d30"/, 'a gradient without end', "$train -o huge huge.ft");
is((run("$train --on-spike skip --log huge.log -o huge2 huge.ft"))[1], 0, 'is left out too', slurp('err'));
is(left_out('huge.log'), '30', 'alone');
says(qr/step 30 is left out: document "d30": the (?:loss|gradient) is not a finite number/, 'with its name');
run("$train --on-spike skip --log huge3.log --stop-after 30 -o huge3 huge.ft");
run('ft-train --resume huge3');
same_adapter('huge3', 'huge2', 'and resumed');
fails_saying(qr/after 10 steps in a row that were left out/, 'ten in a row', "$train --on-spike skip -o huger huger.ft");
refuses('--spike alone', '"spike"', "$train --spike 3 -o alone noise.ft");
refuses('another policy for a run', '--on-spike is stop', "ft-train --resume skip --on-spike stop");

finish();

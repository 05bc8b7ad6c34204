#!/usr/bin/perl
# Every way of training by several processes, to the bytes of one; runs that are stopped or killed and go on
# with another number of them.
use strict;
use warnings;
use JSON::PP;
use POSIX qw(:sys_wait_h);
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }
scratch('ranks');
require "$ENV{SRCDIR}/tests/cli/ranks.pl";

my $model = "$ENV{SRCDIR}/tests/data/models/llama";
write_rows($model, train => 60, 7);
write_rows($model, held => 30, 9);

# ---- ways of training ----

sub is_same {
    my ($name, $train, @counts) = @_;
    (my $folder = $name) =~ s/\W+/-/g;
    run("$train -o $folder --log $folder.log");
    for my $n (@counts) {
        my $status = ranks($n, "$train -o $folder.$n --log $folder.$n.log");
        ok($status == 0, "$name by $n processes", slurp('err')) or next;
        same_training($folder, "$folder.$n", "$name: the bytes of one process");
    }
}

my $few = '--batch 6 --micro-batch 64 --lr 3e-3 --steps 7 --seed 3 --eval held.ft --eval-every 3 --threads 1';
my $train = "ft-train -m $model $few train.ft";
is_same('an adapter', $train, 1, 2, 3, 4, 6);
is_same('a step of one pass', "$train --micro-batch 1024", 2, 3);
is_same('two threads each', "$train --threads 2", 2);
is_same('bf16', "$train --backend bf16", 2, 3);
is_same('dora, dropout and noise', "$train --dora --dropout 0.1 --neftune 5 --clip 0.01", 2, 4);
is_same('qlora', "$train --base-type nf4", 2, 3);
is_same('lion, modules to save', "$train --optimizer lion --modules-to-save norm,lm_head --label-smoothing 0.1", 2, 3);
is_same('pissa', "$train --init pissa", 2);
is_same('the whole model', "ft-train -m $model --full $few --lr 1e-4 train.ft", 2, 3);
is_same('steps that are left out', "$train --on-spike skip --lr 0.3 --clip 0 --steps 30", 2, 3);

# ---- preferences ----

make_model('base');
sub prompt { return [{role => 'user', content => "question $_[0]"}] }
sub answer { return [{role => 'assistant', content => $_[0]}] }
spew_json('pairs.jsonl', map { {id => "p$_", prompt => prompt($_), chosen => answer("yes $_ " x (1 + $_ % 4)), rejected => answer("no $_"),
    weight => 1 + $_ % 2} } 1 .. 20);
spew_json('labels.jsonl', map { {id => "l$_", prompt => prompt($_), completion => answer("yes $_ " x (1 + $_ % 3)),
    label => $_ % 3 ? JSON::PP::true : JSON::PP::false} } 1 .. 20);
run("ft-tok -m base $_.jsonl | ft-pack -o $_.ft") for 'pairs', 'labels';
for my $loss (qw(dpo ipo orpo simpo kto)) {
    my $rows = $loss eq 'kto' ? 'labels.ft' : 'pairs.ft';
    is_same($loss, "ft-train -m base --loss $loss --batch 5 --micro-batch 64 --steps 5 --eval $rows --eval-every 2 --threads 1 $rows", 2, 3);
}

# ---- stopped, killed, and gone on with by others ----

my $run = "ft-train -m $model --batch 6 --micro-batch 64 --lr 1e-3 --steps 60 --checkpoint-every 4 --eval held.ft --eval-every 7 --threads 1";
run("$run -o whole --log whole.log train.ft");
ranks(2, "$run -o parts --log parts.log --stop-after 10 train.ft");
ranks(3, 'ft-train --resume parts --threads 1 --stop-after 25');
run('ft-train --resume parts --threads 1 --stop-after 40');
is(ranks(4, 'ft-train --resume parts --threads 1'), 0, 'by 2, 3, 1 and 4 processes in turn');
same_training('whole', 'parts', 'the bytes of one that never stopped');

# Starts a run of endless steps; its pid, when it has written some lines of its log.
sub start {
    my ($n, $name) = @_;
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        open STDERR, '>', 'err';
        exec 'sh', '-c', "exec mpirun -n $n sh -c 'echo \$\$ >$name.\$OMPI_COMM_WORLD_RANK; exec \"\$@\"' sh ft-train -m $model --batch 6 "
            . "--micro-batch 64 --schedule constant --steps 1000000 --checkpoint-every 3 --threads 1 -o $name --log $name.log train.ft"
            or POSIX::_exit(127);
    }
    for (1 .. 600) {
        return $pid if -e "$name.log" && (() = slurp("$name.log") =~ /\n/g) >= 8;
        select undef, undef, undef, 0.05;
    }
    return $pid;
}

sub end_of {
    my ($pid) = @_;
    for (1 .. 600) {
        return $? >> 8 if waitpid($pid, WNOHANG) == $pid;
        select undef, undef, undef, 0.05;
    }
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return 'hung';
}

# What stands in a folder goes on, by one process, to the bytes of a run that did all of it.
sub goes_on {
    my ($name) = @_;
    my ($step) = slurp("$name/train_state.safetensors") =~ /\\"step\\":(\d+)/;
    ok(defined $step, "$name: the state is whole") or return;
    my $to = $step + 3;
    my $plain = "ft-train -m $model --batch 6 --micro-batch 64 --schedule constant --threads 1 train.ft";
    run("$plain --steps $to -o $name.plain --log $name.plain.log");
    run("ft-train --resume $name --steps $to --threads 1 --log $name.log");
    same_training("$name.plain", $name, "$name: goes on to the same bytes");
}

for my $rank (0, 1) {
    my $name = "killed$rank";
    my $pid = start(2, $name);
    kill 'KILL', slurp("$name.$rank") + 0;
    my $status = end_of($pid);
    ok($status =~ /^\d+$/ && $status, "rank $rank is killed: all end", "status $status");
    ok(slurp('err') =~ /process rank $rank .* exited on signal 9/, 'and the rank is named', slurp('err'));
    goes_on($name);
}
{
    my $pid = start(3, 'usr1');
    kill 'USR1', $pid;
    is(end_of($pid), 138, 'SIGUSR1 to mpirun ends all');
    ok(slurp('err') =~ /^ft-train: stopped after step \d+ of 1000000; go on with: ft-train --resume usr1$/m, 'with a checkpoint', slurp('err'));
    goes_on('usr1');
}
{
    local $ENV{OMPI_MCA_odls_base_sigkill_timeout} = 3;
    my $pid = start(2, 'term');
    kill 'TERM', $pid;
    ok(end_of($pid) ne 'hung', 'SIGTERM to mpirun ends all');
    ok(slurp('err') =~ /^ft-train: stopped after step/m, 'with a checkpoint', slurp('err'));
    goes_on('term');
}
{
    # As srun hands it on: to one process first, while the others are in their passes.
    my $pid = start(2, 'one');
    kill 'TERM', slurp('one.1') + 0;
    is(end_of($pid), 143, 'SIGTERM to one process ends all');
    goes_on('one');
}

# ---- what goes wrong ----

ranks(2, "$run -o other --stop-after 4 train.ft");
system('cp -r other copy && ft-train --resume copy --stop-after 8 --threads 1 2>/dev/null');
is(ranks_with(2, {1 => '--resume copy'}, 'ft-train --resume other --threads 1'), 1, 'another state on one machine');
ok(said() =~ /^ft-train: rank 1: the (state to go on from|run) differs from what rank 0 has$/m, 'is found out', slurp('err'));
if (-c '/dev/full') {
    ranks(2, "$run -o full --log /dev/full train.ft");
    ok(said() =~ m{^ft-train: rank 0: step 1: /dev/full: writing: No space left on device; the checkpoint of step 0 is kept$}m
        || said() =~ m{/dev/full: writing: No space left on device}, 'a full disk of the one that writes', slurp('err'));
}
finish();

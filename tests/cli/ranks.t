#!/usr/bin/perl
# ft-train by several processes: the same bytes as by one, errors that name the rank, and that a launcher
# which can't connect them is found out. More of it in tests/long/ranks.t.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }
scratch('ranks');
require "$ENV{SRCDIR}/tests/cli/ranks.pl";

my $model = "$ENV{SRCDIR}/tests/data/models/llama";
write_rows($model, train => 40, 7);
write_rows($model, held => 8, 9);

# ---- what the processes tell each other ----

is(ranks(3, "$ENV{BUILDDIR}/tests/unit/test-ranks >unit"), 0, 'sums and agreement among 3 processes');
ok(slurp('unit') !~ /^not ok/m, 'each of them', slurp('unit'));

# ---- the same bytes ----

my $train = "ft-train -m $model --batch 5 --micro-batch 64 --lr 3e-3 --steps 6 --eval held.ft --eval-every 2 --threads 1";
run("$train -o one --log one.log train.ft");
for my $n (2, 3) {
    is(ranks($n, "$train -o by$n --log by$n.log train.ft"), 0, "$n processes train");
    same_training('one', "by$n", 'the same bytes as one');
}
my @lines = split /\n/, slurp('err');
is(scalar(grep { /processes share/ } @lines), 1, 'only the first one talks');
ok(slurp('by3.log') =~ /"ranks":3,"idle_s":[\d.e-]+,"exchange_s":[\d.e-]+}/, 'the log says what the exchange takes');
system("timeout 60 mpirun -n 2 $train -o piped --log piped.log <train.ft 2>err");
same_training('one', 'piped', 'rows from the standard input');

# ---- what goes wrong ----

sub fails {
    my ($name, $want, $status) = @_;
    return ok($status == 1 && said() eq "ft-train: $want\n", $name, "status $status", slurp('err'));
}

fails('no such file', 'rank 0: none.ft: No such file or directory', ranks(2, "$train -o x none.ft"));
fails('no such model', 'none: No such file or directory', ranks(2, 'ft-train -m none -o x train.ft'));
fails('no such model on one machine', 'rank 1: none: No such file or directory',
    ranks_with(2, {1 => '-m none'}, "$train -o x train.ft"));
fails('other options for one', 'rank 1: the run differs from what rank 0 has', ranks_with(2, {1 => '--lr 1'}, "$train -o x train.ft"));
ok(!-e 'x', 'nothing is left of them');
ranks(2, "$train -o x --lr 1e30 --clip 0 --schedule constant train.ft");
ok(said() =~ /^ft-train: step \d+: document "train-\d+": the (loss|gradient) is not a finite number; the checkpoint of step 0 is kept$/m,
    'a loss that explodes names its document', slurp('err'));

# ---- launchers ----

my (undef, $status) = run("OMPI_COMM_WORLD_SIZE=2 $train -o y train.ft");
ok($status == 1 && slurp('err') =~ /2 processes were started together, but MPI finds 1/, 'a launcher that does not fit is found out',
    slurp('err'));
(undef, $status) = run("SLURM_STEP_NUM_TASKS=4 $train --no-mpi -o y --log y.log train.ft");
same_training('one', 'y', 'unless each is to train for itself');
finish();

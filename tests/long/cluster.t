#!/usr/bin/perl
# doc/examples/cluster as its pages say it: ssh to this machine, a fleet of tokenisers, mpirun, Slurm's script, with
# the bytes of one machine. What a program is missing for is skipped.
use strict;
use warnings;
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $dir = scratch('cluster');
my $examples = $ENV{EXAMPLES} = "$ENV{SRCDIR}/doc/examples";
my $readme = slurp("$examples/cluster/README.md");
@ENV{qw(OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe
    OMPI_MCA_btl_vader_single_copy_mechanism)} = (1, 1, 1, 'none');
make_model('base');
spew_json('docs.jsonl', map { {id => "d$_", text => "Document $_ says hello to " . $_ * 7919 % 101 . ' others.'} } 1 .. 60);
run('ft-tok -m base docs.jsonl -o whole.ft && ft-pack --length 64 whole.ft -o train.ft');
run('ft-train -m base -o local --steps 4 --threads 1 train.ft');
my $shard = slurp('train.ft');
my $rows = run('ft-dump --json train.ft');

sub has { my ($name) = @_; return grep { -x "$_/$name" } split(/:/, $ENV{PATH}), '/usr/sbin' }

# A block of the page; its exit status.
sub block {
    my ($name) = @_;
    my ($code) = $readme =~ /<!-- \Q$name\E -->\n```sh\n(.*?)```/s or die "no block $name\n";
    spew('block', $code);
    return (run('timeout 120 bash -e block </dev/null'))[1];
}

sub is_shard {
    my ($name) = @_;
    ok(slurp('train.ft') ne '' && run('ft-dump --json train.ft') eq $rows, "$name: the same rows", slurp('err'));
}

sub is_adapter {
    my ($folder, $name) = @_;
    ok(-e "$folder/adapter_model.safetensors" && !grep({ slurp("local/$_") ne slurp("$folder/$_") }
        qw(adapter_model.safetensors adapter_config.json train_state.safetensors)), "$name: the same adapter", slurp('err'));
}

sub skipped { ok(1, "$_[0] # SKIP $_[1]") }

# ---- an sshd of our own, on the loopback ----

sub start_sshd {
    my ($sshd) = map { -x "$_/sshd" ? "$_/sshd" : () } split(/:/, $ENV{PATH}), '/usr/sbin';
    return unless $sshd && has('ssh') && has('ssh-keygen');
    run("ssh-keygen -q -t ed25519 -N '' -f $_") for "$dir/host", "$dir/user";
    rename 'user.pub', 'keys';
    mkdir '/run/sshd', 0755 unless $>;
    my $port = 20000 + $$ % 20000;
    spew('sshd_config', "ListenAddress 127.0.0.1\nPort $port\nHostKey $dir/host\nAuthorizedKeysFile $dir/keys\nStrictModes no\n"
        . "UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nPidFile $dir/sshd.pid\nSetEnv PATH=$ENV{PATH}\n");
    spew('ssh_config', "Host worker\n HostName 127.0.0.1\n Port $port\n IdentityFile $dir/user\n IdentitiesOnly yes\n"
        . " StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n BatchMode yes\n ConnectTimeout 10\n");
    # "ssh worker COMMAND" of the page, in this folder.
    mkdir 'bin';
    my ($ssh) = map { "$_/ssh" } has('ssh');
    spew('bin/ssh', "#!/bin/sh\nhost=\$1\nshift\nexec $ssh -F $dir/ssh_config \$host \"cd $dir; \$*\"\n");
    chmod 0755, 'bin/ssh';
    $ENV{PATH} = "$dir/bin:$ENV{PATH}";
    return if (run("$sshd -f $dir/sshd_config -E $dir/sshd.log"))[1];
    for (1 .. 50) {
        return 1 if (run('timeout 10 ssh worker true </dev/null'))[1] == 0;
        select undef, undef, undef, 0.1;
    }
    return;
}

my $connected = start_sshd();
if ($connected) {
    unlink 'train.ft';
    is(block('ssh'), 0, 'a stage over ssh');
    ok(slurp('train.ft') eq $shard, 'the same bytes', slurp('err'));
    is(block('train'), 0, 'training over ssh');
    is_adapter('adapter', 'over ssh');

    # The connection breaks: the session's sshd is killed in the middle of the stream.
    my $size = -s 'whole.ft';
    for my $at (0, 100, int($size / 2), $size - 5) {
        my (undef, $status) = run("ssh worker 'head -c $at whole.ft; kill -9 \$PPID; sleep 5' </dev/null | ft-pack --length 64 -o broken.ft");
        ok($status == 1 && slurp('err') =~ /^ft-pack: stdin: /m && !-e 'broken.ft', "a connection that breaks after $at bytes is an error",
            "status $status", slurp('err'));
    }
} else {
    skipped('ssh', 'no sshd can be started here');
}

# ---- tokenisers fan in ----

is(block('split'), 0, 'a corpus in pieces');
if (has('parallel')) {
    unlink 'train.ft';
    is(block('parallel'), 0, 'GNU parallel');
    is_shard('GNU parallel');
    unlink glob 'part.*.ft';
    is(block('sweep'), 0, 'a sweep');
    is_adapter('rate5e-4', 'the sweep');
} else {
    skipped('parallel', 'no GNU parallel');
}
unlink 'train.ft';
is(block('make'), 0, 'make');
is_shard('make');
is(scalar(@{[glob 'part.*.ft']}), 4, 'a stream for each piece');
my ($again) = run("make -f $examples/cluster/Makefile train.ft MODEL=base");
ok($again =~ /up to date/, 'nothing is made twice', $again);
if ($connected) {
    unlink 'train.ft', glob 'part.*.ft';
    run("make -j2 -f $examples/cluster/Makefile train.ft MODEL=base RUN='ssh worker'");
    is_shard('make over ssh');
}

# ---- several processes ----

is((run("bash -n $examples/cluster/train.slurm"))[1], 0, 'the Slurm script is one');
spew('train.ft', $shard);
if (has('mpirun') && (run('timeout 60 mpirun -n 2 ft-train -m none -o none none </dev/null'))[1] && slurp('err') =~ /ft-train: none: /) {
    run('rm -rf adapter');
    is(block('mpirun'), 0, 'mpirun');
    is_adapter('adapter', 'mpirun');

    # A stand-in for srun, and for scontrol: what would go into the queue again is noted.
    mkdir 'bin';
    spew('bin/srun', "#!/bin/sh\nwhile case \$1 in -*) : ;; *) false ;; esac; do shift; done\nexec timeout 60 mpirun -n \$SLURM_NTASKS \"\$@\"\n");
    spew('bin/scontrol', "#!/bin/sh\necho \"\$@\" >>$dir/requeued\n");
    chmod 0755, 'bin/srun', 'bin/scontrol';
    local @ENV{qw(PATH SLURM_CPUS_PER_TASK SLURM_JOB_ID)} = ("$dir/bin:$ENV{PATH}", 1, 7);
    for my $part ([2, '--steps 4 --stop-after 2'], [4, '']) {
        $ENV{SLURM_NTASKS} = $part->[0];
        is((run("$examples/cluster/train.slurm base queued train.ft $part->[1] </dev/null"))[1], 0, "$part->[0] tasks of Slurm");
    }
    is_adapter('queued', 'begun by two tasks, ended by four');
    ok(!-e 'requeued', 'a run that is complete does not go into the queue again');
    spew('bin/srun', "#!/bin/sh\nexit 143\n");
    run("$examples/cluster/train.slurm base queued train.ft </dev/null");
    is(-e 'requeued' ? slurp('requeued') : '', "requeue 7\n", 'one that was stopped does');
} else {
    skipped('mpirun', 'no mpirun, or built without MPI');
}

END {
    my $status = $?;
    kill 'TERM', slurp("$dir/sshd.pid") + 0 if $dir && -e "$dir/sshd.pid";
    $? = $status;
}
finish();

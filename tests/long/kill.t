#!/usr/bin/perl
# kill -9 at random moments of training, packing and merging, 200 in all: what stands under the final names
# is whole or not there, and going on ends in the bytes of a run that nobody stopped. SEED takes other
# moments, KILLS another number. The same at each system call that matters is in tests/cli/faults.t.
use strict;
use warnings;
use Time::HiRes qw(sleep time);
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

skip_all('make check-long runs it') if !$ENV{TEST_LONG};
scratch('kill');
my $seed = $ENV{SEED} // 1;
my $kills = $ENV{KILLS} // 200;
srand $seed;
make_model('model');
spew_json('documents.jsonl', map { {text => "Document $_ is about something." x ($_ % 7 + 1)} } 1 .. 3000);
run('ft-tok -m model -o tokens.ft documents.jsonl && ft-pack --length 64 -o all.ft tokens.ft');
run("head -n 60 documents.jsonl | ft-tok -m model | ft-pack --length 64 -o train.ft");
system("$ENV{SRCDIR}/tests/make-model", 'wide', 'vocab=4000', 'hidden=256', 'ffn=512', 'layers=4') == 0 or die;

my $train = '--rank 2 --batch 4 --steps 60 --eval train.ft --eval-every 20 --checkpoint-every 1 --log out/log';
# name, command, what goes on after it where a state stands in the folder given, share of the kills
my @cases = (
    ['training', "ft-train -m model -o out/adapter $train train.ft", 'ft-train --resume out/adapter', 0.5],
    ['packing', 'ft-pack --length 64 --split held=0.2 -o out/all.ft tokens.ft', undef, 0.25],
    ['merging', 'ft-merge -m wide --type f32 -o out/merged', undef, 0.125],
    ['merging to GGUF', 'ft-merge -m wide --type q8_0 -o out/merged.gguf', undef, 0.125],
);

sub results {
    my %found;
    for my $path (grep { -f && !/\.\d+\.tmp/ } split /\n/, `find out`) {
        $found{$path} = slurp($path) =~ s/,"tok_per_s".*//gr;
    }
    return \%found;
}

# Starts the command and kills it after some seconds; whether it was still running.
sub killed_after {
    my ($seconds, $command) = @_;
    my $pid = fork // die;
    if (!$pid) {
        open STDERR, '>', 'err';
        exec $command or die;
    }
    sleep $seconds;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return ($? & 127) == 9;
}

for my $case (@cases) {
    my ($name, $command, $again, $share) = @$case;
    system 'rm -rf out && mkdir out';
    my $began = time;
    my (undef, $status) = run($command);
    my $takes = time - $began;
    ok($status == 0, "$name: not stopped", slurp('err')) or next;
    my $want = results();
    my (@bad, $inside);
    for my $n (1 .. $kills * $share) {
        system 'rm -rf out && mkdir out';
        $inside += killed_after(rand $takes, $command);
        my $have = results();
        push @bad, "kill $n: half of it: $_" for grep { !$again && ($want->{$_} // '') ne $have->{$_} } keys %$have;
        my $next = $again && -e 'out/adapter/train_state.safetensors' ? $again : $command;
        # A training run is killed up to three times.
        killed_after(rand $takes, $next) for 1 .. ($again ? int rand 3 : 0);
        $next = $again && -e 'out/adapter/train_state.safetensors' ? $again : $command;
        my $done = !$again && keys %$have == keys %$want; # it was whole when the kill came
        my (undef, $failed) = $done ? (undef, 0) : run($next);
        $have = results();
        my @other = grep { ($want->{$_} // '') ne ($have->{$_} // '') } keys %{ { %$want, %$have } };
        push @bad, "kill $n: $next: exit status $failed: @other: " . slurp('err') if $failed || @other;
    }
    ok(!@bad, sprintf('%s: killed %d times within %.2f s, %d of them before its end', $name, $kills * $share, $takes, $inside), @bad);
}
finish();

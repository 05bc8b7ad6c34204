#!/usr/bin/perl
# No memory: an allocation of any program fails, by tests/fault/allocate.c, or all of them from one on, or the address space
# ends (ulimit -v). The program says so in one line, exits with 1 and leaves no half file, or does without. And clocks that
# jump at each reading, by tests/fault/clock.c, change nothing that is written. A sample; with TEST_LONG=1 more.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

skip_all('a sanitizer has an allocator of its own') if $ENV{BUILDDIR} =~ /asan|tsan/;
my $dir = scratch('memory');
my $cc = $ENV{CC} || 'cc';
for (qw(allocate clock)) {
    system("$cc -std=gnu11 -D_GNU_SOURCE -O1 -shared -fPIC -o $_.so $ENV{SRCDIR}/tests/fault/$_.c 2>build.log && LD_PRELOAD=./$_.so true 2>>build.log") == 0
        or skip_all('allocations cannot be intercepted here: ' . ((split /\n/, slurp('build.log'))[-1] // 'no compiler'));
}
require "$ENV{SRCDIR}/tests/cli/faults.pl";
our @programs;

# Some of the numbers from 1 to n, the first and the last among them.
sub sample {
    my ($n, $most) = @_;
    return 1 .. $n if $n <= $most;
    my %seen;
    return grep { !$seen{$_}++ } map { 1 + int(($n - 1) * $_ / ($most - 1)) } 0 .. $most - 1;
}

sub allocating { return "env LD_PRELOAD=$dir/allocate.so FAULT_FILE=n @_" }

# The least address space, in KiB, in which a program starts; with less, OpenBLAS's threads may look for memory without end.
sub least_space {
    my ($program) = @_;
    my ($low, $high) = (1 << 13, 1 << 23);
    while ($high - $low > 1 << 12) {
        my $middle = ($low + $high) >> 1;
        (status_of("sh -c 'ulimit -v $middle; exec timeout -s KILL 5 $program --version' >stdout") ? $low : $high) = $middle;
    }
    return $high;
}

for my $p (@programs) {
    my ($name, $command) = @$p;
    my ($program) = $command =~ /^(\S+)/;
    attempt_reference($name, allocating('FAULT_SIZE=1'), $command) or next;
    for my $case (['one of all', 'FAULT_SIZE=1', 4, 25], ['one of the larger ones', 'FAULT_SIZE=4096', 4, 25],
        ['all from one on', 'FAULT_SIZE=1 FAULT_REST=1', 4, 25]) {
        my ($what, $fault, @most) = @$case;
        attempt_in(allocating($fault), $command);
        my @bad;
        for my $n (sample(slurp('n') + 0, $most[$ENV{TEST_LONG} ? 1 : 0])) {
            my ($status, $said) = attempt_in(allocating($fault, "FAULT_N=$n"), $command);
            my $wrong = verdict($p, $status, $said);
            push @bad, "allocation $n: $wrong" if $wrong;
        }
        ok(!@bad, "$name: no memory for $what", @bad);
    }
    my ($status, $said) = attempt_in("env LD_PRELOAD=$dir/clock.so", $command);
    ok($status == 0 && is_whole($name), "$name: a clock that jumps", $said, differing($name));
    my ($least, @bad) = least_space($program);
    for my $more ($ENV{TEST_LONG} ? map { $_ << 12 } 0 .. 30 : (1 << 12, 1 << 14, 1 << 16)) {
        my $limit = $least + $more;
        ($status, $said) = attempt_in("sh -c 'ulimit -v $limit; exec \"\$\@\"' sh", $command);
        my $wrong = verdict($p, $status, $said);
        push @bad, "$limit KiB: $wrong" if $wrong;
    }
    ok(!@bad, "$name: little address space", @bad);
}

finish();

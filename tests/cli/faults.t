#!/usr/bin/perl
# Every program when a system call fails. Each of a program's calls that write, read, open, map and so on
# fails once, by tests/fault/inject: the program then says so in one line and exits with 1, and under
# the final names stands what would have been there, whole, or nothing; or it does without that call, and
# its output has the same bytes. Nothing is left beside it. A kill in the place of the call leaves no
# half file either, and the next run ends as if nothing had been.
#
# A sample of the calls; with TEST_LONG=1 all of them.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

skip_all('a sanitizer looks for leaks by the same means') if $ENV{BUILDDIR} =~ /asan/;
my $dir = scratch('faults');
my $inject = "$dir/inject";
my $cc = $ENV{CC} || 'cc';
system("$cc -O1 -o inject $ENV{SRCDIR}/tests/fault/inject.c 2>build.log && ./inject write:count true 2>>build.log") == 0
    or skip_all('calls cannot be intercepted here: ' . ((split /\n/, slurp('build.log'))[-1] // 'no compiler'));

require "$ENV{SRCDIR}/tests/cli/faults.pl";
our @programs;

my @faults = (
    ['write,pwrite,writev', 'ENOSPC'], ['write,pwrite,writev', 'EIO'], ['ftruncate', 'EIO'], ['fsync', 'EIO'],
    ['rename,renameat2', 'EIO'], ['mkdir', 'EROFS'], ['close', 'EIO'], ['read,pread', 'EIO'], ['open', 'EMFILE'],
    ['open', 'EACCES'], ['fstat', 'EIO'], ['lseek', 'EIO'], ['getdents', 'EIO'], ['mmap', 'ENOMEM'], ['thread', 'EAGAIN'],
    ['flock', 'EIO'], ['unlink', 'EIO'], ['access', 'EACCES'],
);
@faults = grep { "@$_" =~ /ENOSPC|fsync|rename|read|EMFILE|mmap|access/ } @faults unless $ENV{TEST_LONG};
my $killed_at = 'write,pwrite,writev,ftruncate,fsync,rename,renameat2,mkdir,close,unlink,open';

sub attempt {
    my ($fault, $command) = @_;
    return attempt_in("./inject -o n $fault", $command);
}

# N for each call to fail, or of a sample.
sub places {
    my ($n) = @_;
    return () unless $n;
    return 1 .. $n if $ENV{TEST_LONG};
    return int(($n + 1) / 2);
}

sub count_calls {
    my ($calls, $command) = @_;
    attempt("$calls:count", $command);
    return slurp('n') + 0;
}

for my $p (@programs) {
    my ($name, $command, $again) = @$p;
    my ($status, $said);
    attempt_reference($name, './inject -o n write:count', $command) or next;

    for my $fault (['read,pread,write,pwrite', 'short'], ['read,pread,write,pwrite', 'EINTR:0'], ['read,write', 'EAGAIN:0']) {
        ($status, $said) = attempt(join(':', @$fault), $command);
        ok($status == 0 && is_whole($name), "$name: @$fault: the same bytes", "exit status $status", $said, differing($name));
    }
    for my $fault (@faults) {
        my ($calls, $error) = @$fault;
        my (@bad, @places);
        for my $n (@places = places(count_calls($calls, $command))) {
            ($status, $said) = attempt("$calls:$error:$n", $command);
            my $wrong = verdict($p, $status, $said);
            push @bad, "call $n: $wrong" if $wrong;
            push @bad, "call $n: it went on as if nothing were" if $status == 0 && $calls =~ /^(write|rename)/;
        }
        ok(!@bad, "$name: $error from " . @places . " of $calls", @bad) if @places;
    }
    my @bad;
    for my $n (my @places = places(count_calls($killed_at, $command))) {
        attempt("$killed_at:KILL:$n", $command);
        my @half = grep { !/\.tmp\b/ } differing($name);
        my $wrong = '';
        if ($again) {
            $wrong = goes_on($p); # which removes what was left, too
        } else {
            system("$command >stdout 2>err");
            push @bad, "call $n: half a file: @half" if @half;
            $wrong = join ' ', grep { !/\.\d+\.tmp\b/ } differing($name);
        }
        push @bad, "call $n: $wrong" if $wrong;
    }
    ok(!@bad, "$name: killed", @bad);
}

finish();

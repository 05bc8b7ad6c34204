#!/usr/bin/perl
# What every program promises, whatever it does: help, version, usage errors, and one-line messages with
# a non-zero exit when an input or an output fails. A new program adds a line to %programs.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Path qw(make_path);
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $build = $ENV{BUILDDIR} or die "BUILDDIR is not set\n";
my $src = $ENV{SRCDIR} or die "SRCDIR is not set\n";
my $data = "$src/tests/data";
my $model = "$data/models/llama";
my $tokenizer = "$data/tokenizer/tiny_bpe";
scratch('contract');

# args: the least that a program needs, without its input.
# input: a file that it can read from standard input and as an operand; undef: it takes none.
# stdout: it writes its result to standard output when it is given no -o.
# cut: a file cut off anywhere is an error (text may end anywhere).
# folder: a folder is no wrong input.
# planned: its -o is another program's, and has no effect.
# empty: an empty standard input is no error.
my %programs = (
    'ft-text'  => {args => [], input => 'text', stdout => 1, folder => 1},
    'ft-tok'   => {args => ['-m', $tokenizer], input => 'documents', stdout => 1},
    'ft-lint'  => {args => [], input => 'documents', stdout => 1, cut => 1},
    'ft-pack'  => {args => ['-m', $model], input => 'ids', stdout => 1},
    'ft-dump'  => {args => [], input => 'shard', stdout => 1, cut => 1},
    'ft-train' => {args => ['-m', $model, '-o', 'adapter', '--steps', '1'], input => 'shard', cut => 1},
    'ft-plan'  => {args => ['-m', $model, '--alone', '--seconds', '0.1'], input => 'shard', stdout => 1, cut => 1, planned => 1},
    'ft-merge' => {args => ['-m', $model, '-o', '-'], input => undef, stdout => 1},
    'ft-eval'  => {args => ['-m', $model], input => 'shard', stdout => 1, cut => 1},
    'ft-score' => {args => ['-m', 'speaker'], input => 'questions', stdout => 1, cut => 1},
    'ft-gen'   => {args => ['-m', $model, '--max-tokens', '1'], input => 'ids', stdout => 1},
);

# Runs a shell command within 20 seconds; its exit status as a shell says it, stdout and stderr.
sub outcome {
    my ($command) = @_;
    my $status = system('sh', '-c', "timeout 20 sh -c '" . $command =~ s/'/'\\''/gr . "' >stdout 2>stderr");
    return ($status >> 8, slurp('stdout'), slurp('stderr'));
}

sub quoted {
    return join ' ', map { "'$_'" } @_;
}

# A failure: exit 1, and stderr is one line "PROGRAM: ...". Lines before it may say what was done.
sub is_failure {
    my ($program, $name, $command) = @_;
    my ($status, undef, $stderr) = outcome($command);
    my @lines = split /\n/, $stderr, -1;
    my $last = @lines >= 2 && $lines[-1] eq '' ? $lines[-2] : '';
    ok($status == 1 && $last =~ /^\Q$program\E: ./ && !grep({ $_ ne '' && !/^\Q$program\E: / } @lines),
        "$program: $name", "exit status $status", "stderr: $stderr");
}

# ---- inputs ----

spew('text', "A line of text.\n\nAnother one.\n");
spew('documents', qq({"text":"A line of text."}\n{"text":"Another one."}\n));
spew('questions', qq({"prompt":"One and one is","choices":["two","three"],"answer":0}\n));
spew('ids', qq({"ids":[1,2,3,4]}\n{"ids":[5,6,7]}\n));
system("ft-pack -m '$model' --length 8 -o shard ids 2>/dev/null") == 0 or print "Bail out! ft-pack fails\n";
for my $input (qw(text documents questions ids shard)) {
    my $bytes = slurp($input);
    spew("$input.cut", substr $bytes, 0, length($bytes) - 9);
}
make_path('folder');
make_path('speaker'); # a model with a tokenizer
symlink $_, 'speaker/' . s{.*/}{}r for glob("$model/*.json $model/*.safetensors $data/chat/tokenizer*.json");

# ---- every program ----

my @found = map { m{([^/]+)$} ? $1 : () } sort grep { -x } glob "$build/bin/*";
ok(scalar @found, 'there are programs');
for my $program (@found) {
    ok($programs{$program}, "$program: is in this test's table");
    check_help($program);
    check_version($program);
    check_usage($program);
    check_streams($program, $programs{$program}) if $programs{$program};
}

sub check_help {
    my ($program) = @_;
    my ($status, $help, $stderr) = outcome("$program --help");
    ok($status == 0 && $stderr eq '', "$program: --help succeeds", $stderr);
    ok($help =~ /\n\z/ && $help =~ /^Usage: \Q$program\E /, "$program: --help is whole", $help);
    my %seen;
    $seen{$_}++ for $help =~ /^  (?:-\w, |    )(--[\w-]+)/mg;
    ok(!grep({ $_ > 1 } values %seen) && $seen{'--help'} && $seen{'--version'},
        "$program: --help names each option once", map { "$_ $seen{$_} times" } grep { $seen{$_} > 1 } keys %seen);
    my @wide = grep { length > 110 } split /\n/, $help;
    ok(!@wide, "$program: --help has no overlong lines", @wide);
    return unless -c '/dev/full';
    is_failure($program, '--help to a full device', "$program --help >/dev/full");
    is_failure($program, '--help without stdout', "$program --help >&-");
}

sub check_version {
    my ($program) = @_;
    my ($status, $version, $stderr) = outcome("$program --version");
    ok($status == 0 && $stderr eq '' && $version =~ /^\Q$program\E \(tuneutils\) \d+\.\d+\.\d+\n\z/,
        "$program: --version", $version, $stderr);
    is_failure($program, '--version to a full device', "$program --version >/dev/full") if -c '/dev/full';
}

# Exit 2; "PROGRAM: what" and a line that leads to --help.
sub check_usage {
    my ($program) = @_;
    for my $option ('--no-such-option', '-?') {
        my ($status, $stdout, $stderr) = outcome("$program $option");
        ok($status == 2 && $stdout eq '' &&
            $stderr =~ /^\Q$program\E: .+\nTry '\Q$program\E --help' for more information\.\n\z/,
            "$program: $option is a usage error", "exit status $status", $stderr);
    }
}

sub check_streams {
    my ($program, $p) = @_;
    my $command = quoted($program, @{$p->{args}});
    my $input = $p->{input};
    my $whole = defined $input ? "$command $input" : $command;
    my ($status, undef, $stderr) = outcome($whole);
    ok($status == 0, "$program: its least command", "exit status $status", $stderr);
    if (defined $input) {
        ($status, undef, $stderr) = outcome("$command <$input");
        ok($status == 0, "$program: the same from stdin", "exit status $status", $stderr);
        check_bad_input($program, $p, $command);
    }
    check_bad_output($program, $p, $whole) if $p->{stdout};
}

sub check_bad_input {
    my ($program, $p, $command) = @_;
    is_failure($program, 'an input that is not there', "$command no/such/file");
    is_failure($program, 'a folder', "$command folder") unless $p->{folder};
    is_failure($program, 'a folder as standard input', "$command <folder");
    is_failure($program, 'no standard input at all', "$command <&-");
    if ($p->{empty}) {
        my ($status) = outcome("$command </dev/null");
        ok($status == 0, "$program: an empty standard input");
    } else {
        is_failure($program, 'an empty standard input', "$command </dev/null");
    }
    return unless $p->{cut};
    is_failure($program, 'an input that was cut off', "$command $p->{input}.cut");
    is_failure($program, 'a standard input that was cut off', "cat $p->{input}.cut | $command");
}

sub check_bad_output {
    my ($program, $p, $command) = @_;
    is_failure($program, 'no standard output', "$command >&-");
    is_failure($program, 'a full device', "$command >/dev/full") if -c '/dev/full';
    # Where SIGPIPE is ignored, a closed pipe is an error like any other; else the signal ends it.
    my ($status, undef, $stderr) = outcome("(trap '' PIPE; sleep 0.2; $command; echo \$? >status) | :");
    my $line = (split /\n/, $stderr)[-1] || '';
    ok(slurp('status') eq "1\n" && $line =~ /^\Q$program\E: .*Broken pipe/,
        "$program: a closed pipe", 'exit status ' . slurp('status'), $stderr);
    is_failure($program, 'an output where none can be', "$command -o shard/out") unless $p->{planned};
}

finish();

#!/usr/bin/perl
# --completion=SHELL: what the shells make of the scripts. bash is asked through its completion variables,
# fish by complete -C, zsh in a terminal of its own.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $dir = scratch('completion');
mkdir $_ for 'bin', 'a folder', 'scripts';
spew($_, '') for 'a.gguf', 'a file.txt';
my @programs = map { m{([^/]+)$} } sort grep { -x } glob "$ENV{BUILDDIR}/bin/ft-*";

sub have {
    my ($command) = @_;
    return !system "command -v $command >/dev/null 2>&1";
}

# What was offered, a line each, as one text.
sub offers {
    my ($shell, $command, $want, $name) = @_;
    my $got = join ' | ', sort grep { length } map { s/\t.*//r =~ s{/$}{}r } split /\n/, $shell->($command);
    is($got, $want, $name);
}

sub bash {
    my ($line) = @_;
    my @words = split /([ =])/, $line, -1;
    @words = grep { length && $_ ne ' ' } @words[0 .. $#words - 1], length $words[-1] ? $words[-1] : ();
    push @words, '' if $line =~ / $/;
    my $quoted = join ' ', map { "'$_'" } @words;
    (my $function = $words[0]) =~ tr/-/_/;
    spew('ask', ". scripts/$words[0].bash\nCOMP_WORDS=($quoted)\nCOMP_CWORD=$#words\n_$function\n"
            . 'printf "%s\n" "${COMPREPLY[@]}"' . "\n");
    return scalar run('bash ask');
}

sub fish {
    my ($line) = @_;
    (my $program) = $line =~ /^(\S+)/;
    spew('ask', "source scripts/$program.fish\ncomplete -C '$line'\n");
    return scalar run("HOME='$dir' fish --no-config ask");
}

# ---- the scripts ----

for my $shell ('bash', 'zsh', 'fish') {
    my @bad;
    for my $program (@programs) {
        my ($script, $status) = run("$program --completion=$shell");
        push @bad, "$program: status $status" if $status || slurp('err') ne '' || $script !~ /\Q$program\E.*\n\z/s;
        push @bad, "$program: $_ is missing" for grep { index($script, $shell eq 'fish' ? "-l $_ " : "--$_") < 0 }
            scalar(run("$program --help")) =~ /^\s+(?:-\w, )?--([\w-]+)/mg;
        spew("scripts/$program.$shell", $script);
    }
    ok(!@bad, "$shell: a script of each program names every option", @bad);
    if (!have($shell)) {
        ok(1, "$shell: the scripts' syntax # SKIP no $shell");
        next;
    }
    ok(!(@bad = map { my (undef, $status) = run("$shell -n scripts/$_.$shell"); $status ? slurp('err') : () } @programs),
        "$shell: the scripts' syntax", @bad);
}

for my $wrong ('', 'csh', 'bashes') {
    my ($out, $status) = run("ft-tok --completion=$wrong");
    ok($status == 2 && $out eq '' && slurp('err') =~ /^ft-tok: --completion: '$wrong' is none of bash, zsh, fish\n/,
        "--completion='$wrong' is wrong usage", slurp('err'));
}
if (-c '/dev/full') {
    my (undef, $status) = run('ft-tok --completion=bash >/dev/full');
    ok($status == 1 && slurp('err') =~ /^ft-tok: stdout: /, 'a full device', slurp('err'));
}

# ---- what they offer ----

my %shells = (bash => \&bash, fish => \&fish);
for my $name (sort keys %shells) {
    if (!have($name)) {
        ok(1, "$name: what is offered # SKIP no $name");
        next;
    }
    my $shell = $shells{$name};
    my $whole = $name eq 'fish'; # fish completes the whole word, bash what is behind the '='
    my $prefix = sub { $whole ? $_[0] : '' };
    offers($shell, 'ft-text --each=', join(' | ', map { $prefix->('--each=') . $_ } 'file', 'line'), "$name: a choice behind =");
    offers($shell, 'ft-text --each ', 'file | line', "$name: a choice behind a space");
    offers($shell, 'ft-text --each=l', $prefix->('--each=') . 'line', "$name: the beginning of a choice");
    offers($shell, 'ft-text --stri', $whole ? '--strict | --strip-repeated' : '--strict | --strip-repeated=',
        "$name: the beginning of options");
    offers($shell, 'ft-text -o a.', 'a.gguf', "$name: a file behind a letter");
    offers($shell, 'ft-text --seed ', '', "$name: nothing for a number");
    offers($shell, 'ft-text a.', 'a.gguf', "$name: operands are files");
    offers($shell, 'ft-lint --ignore empty,rol', 'empty,roles', "$name: the second word of a list");
    offers($shell, 'ft-train -o a', 'a folder', "$name: a folder");
    offers($shell, 'ft-merge a', '', "$name: nothing where there are no operands");
}
offers(\&bash, 'ft-train -m a', 'a folder | a.gguf', 'bash: a folder or a GGUF file for a model') if have('bash');
offers(\&bash, 'ft-text -- --str', '', 'bash: behind -- there are no options') if have('bash');

finish();

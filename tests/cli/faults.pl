# What tests of faults share: commands of all programs with small inputs, and what may come of them. Require after cli.pl, in
# a folder of the test's own.
use strict;
use warnings;

my $data = "$ENV{SRCDIR}/tests/data";

# ---- inputs ----

mkdir 'docs';
spew('docs/style.md', "# Style\n\nWe write short sentences, and plain ones.\n\n## Numbers\n\nNumbers below ten are words.\n");
spew('docs/offer.html', "<h1>Offer</h1><p>Dear customer, here is what you asked for.</p>");
system("cp $data/text/openpyxl.xlsx $data/text/mail.eml docs; tar -C docs -czf docs/more.tar.gz style.md") == 0 or die;
spew_json('docs.jsonl', map { {messages => [{role => 'user', content => "Question $_?"}, {role => 'assistant', content => "Answer $_."}]} } 1 .. 9);
spew_json('questions.jsonl', map { {prompt => 'One and one is', choices => ['two', 'three'], answer => 0} } 1 .. 3);
make_model('model');
system('ft-tok -m model -o tokens.ft docs.jsonl 2>/dev/null && ft-pack --length 64 -o train.ft tokens.ft 2>/dev/null') == 0 or die;
system('ft-train -m model -o adapter --rank 2 --steps 1 train.ft 2>/dev/null') == 0 or die;

# name => command; what it writes stands in out/. Those with `again` go on where they were stopped.
my $train = '--rank 2 --batch 2 --steps 2 --eval train.ft --eval-every 1 --checkpoint-every 1 --log out/log train.ft';
our @programs = (
    ['ft-text', 'ft-text --strict -o out/docs.jsonl docs'],
    ['ft-text to .gz', 'ft-text --strict --pairs -o out/docs.jsonl.gz docs'],
    ['ft-tok', 'ft-tok -m model -o out/tokens.ft docs.jsonl'],
    ['ft-lint', 'ft-lint --fix -m model -o out/docs.jsonl docs.jsonl'],
    ['ft-pack', 'ft-pack --split held=0.3 --length 64 -o out/all.ft tokens.ft'],
    ['ft-pack to .zst', 'ft-pack --length 64 -o out/all.ft.zst tokens.ft'],
    ['ft-dump', 'ft-dump -o out/dump.jsonl train.ft'],
    ['ft-train', "ft-train -m model -o out/adapter $train", "ft-train --resume out/adapter $train"],
    ['ft-train --full', "ft-train -m model -o out/model --full --steps 1 train.ft", 'ft-train --resume out/model'],
    ['ft-merge to a folder', 'ft-merge -m model -a adapter -o out/merged'],
    ['ft-merge to GGUF', 'ft-merge -m model -a adapter --type q8_0 -o out/merged.gguf'],
    ['ft-eval', 'ft-eval -m model -a adapter -o out/eval.json train.ft'],
    ['ft-score', 'ft-score -m model -o out/score.json questions.jsonl'],
    ['ft-gen', 'ft-gen -m model --max-tokens 3 -o out/gen.jsonl docs.jsonl'],
);

# ---- running ----

my %reference; # name => {file => bytes}

# What stands in out/. The log's rates and the provenance of a resumed run depend on the moment.
sub results {
    my %found;
    for my $path (grep { -f } split /\n/, `find out`) {
        $found{$path} = slurp($path);
        $found{$path} =~ s/,"tok_per_s".*//g if $path =~ /log$/;
    }
    return \%found;
}

sub clear { system 'rm -rf out && mkdir out' }

# Exit status and stderr, after at most 30 seconds, in a folder out/ that is empty before.
sub attempt_in {
    my ($surroundings, $command) = @_;
    clear();
    my $status = status_of("timeout -s KILL 30 $surroundings $command >stdout");
    return ($status, slurp('err'));
}

# The same without a fault, which is remembered.
sub attempt_reference {
    my ($name, $surroundings, $command) = @_;
    my ($status, $said) = attempt_in($surroundings, $command);
    $reference{$name} = results();
    return ok($status == 0 && keys %{ $reference{$name} }, "$name: without a fault", $said);
}

# Files that the reference doesn't have or has otherwise.
sub differing {
    my ($name) = @_;
    my ($want, $have) = ($reference{$name}, results());
    return grep { !defined $want->{$_} || $want->{$_} ne $have->{$_} } sort keys %$have;
}

sub is_whole {
    my ($name) = @_;
    my $have = results();
    return !differing($name) && keys %$have == keys %{ $reference{$name} };
}

# What is wrong with a program's end under a fault; '' if nothing.
sub verdict {
    my ($p, $status, $said) = @_;
    my ($name, $command, $again) = @$p;
    my ($program) = $command =~ /^(\S+)/;
    return "it ran for 30 seconds: $said" if $status == 137;
    if ($status == 0) {
        my $which = join ' ', differing($name);
        return is_whole($name) ? '' : "exit 0, but not the same bytes: $which: $said";
    }
    my @lines = split /\n/, $said;
    return "exit status $status: $said" if $status != 1;
    return "no message: $said" unless @lines && $lines[-1] =~ /^\Q$program\E: ./ && !grep { !/^\Q$program\E: / } @lines;
    return "it doesn't say what: $said" if $said !~ m{/|\w\.\w|stdout|temporary|\b(?:out|model|adapter|docs): |thread|memory};
    my @left = grep { /\.tmp\b/ } keys %{ results() };
    return "left: @left" if @left;
    return goes_on($p) if $again;
    my @half = differing($name);
    return @half ? "half a file: @half: $said" : '';
}

# A training run that failed: the same command, or --resume where there is a state, completes it.
sub goes_on {
    my ($p) = @_;
    my ($name, $command, $again) = @$p;
    my ($folder) = $command =~ / -o (\S+)/;
    my $next = -e "$folder/train_state.safetensors" ? $again : $command;
    my $status = system("$next >stdout 2>err") >> 8;
    return is_whole($name) ? '' : "does not go on: $next: exit status $status: " . slurp('err') . join ' ', differing($name);
}

1;

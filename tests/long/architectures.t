#!/usr/bin/perl
# Every reference model from the command line: ft-eval, ft-train from a stored adapter, ft-merge into a
# folder and into GGUF and back, all against PyTorch's losses.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $models = ($ENV{SHARED} // "$ENV{SRCDIR}/../shared") . '/fixtures/models';
skip_all("no $models") if !-d $models;

# What GGUF has no key for (see tests/interop/architectures.py).
my %unsayable = map { $_ => 1 } qw(gemma2 gemma3_text smollm3);
scratch('architectures');

# Whether a command succeeds; what it said is in "stdout" and "stderr".
sub works { return system("@_ >stdout 2>stderr") == 0 }

sub has_loss {
    my ($name, $want, @options) = @_;
    if (!works('ft-eval', @options, 'shard')) { return ok(0, $name, slurp('stderr')) }
    my $got = decode_json(slurp('stdout'))->{mean_nll};
    return ok(abs($got - $want) <= 1e-5 * $want, "$name: loss within 1e-5", "got $got, want $want");
}

sub check_training {
    my ($name, $dir, $want) = @_;
    my @recipe = qw(--steps 3 --batch 8 --lr 0.01 --schedule constant --weight-decay 0.01 --clip 0);
    ok(works('ft-train', '-m', $dir, '-a', "$dir/lora/initial", '-o trained --log log', @recipe, 'shard'),
        "$name: ft-train", slurp('stderr')) or return;
    my @losses = grep { defined } map { decode_json($_)->{loss} } split /\n/, slurp('log');
    my $good = @losses == @{$want->{losses}};
    for my $i (0 .. $#losses) { $good &&= abs($losses[$i] - $want->{losses}[$i]) <= 1e-5 * $losses[$i] }
    ok($good, "$name: losses of three steps", "got @losses, want @{$want->{losses}}");
    has_loss("$name, trained", $want->{loss_after}, '-m', $dir, '-a trained');
}

sub check_merge {
    my ($name, $loss, @inputs) = @_;
    ok(works('ft-merge', @inputs, '-o folder --type f32'), "$name: a folder", slurp('stderr'))
        and has_loss("$name, folder", $loss, '-m folder');
    my $written = works('ft-merge', @inputs, '-o model.gguf --type f32');
    ok($written == !$unsayable{$name}, "$name: GGUF is written or refused", slurp('stderr'));
    return if !$written;
    has_loss("$name, GGUF", $loss, '-m model.gguf');
    ok(works('ft-merge -m model.gguf -o back --type f32'), "$name: a folder again", slurp('stderr'))
        and has_loss("$name, folder again", $loss, '-m back');
}

sub check_model {
    my ($name) = @_;
    my $dir = "$models/$name";
    my $inputs = decode_json(slurp("$dir/inputs.json"));
    my $loss = decode_json(slurp("$dir/expected.json"))->{mean_loss};
    open my $out, '>', 'docs.jsonl' or die "$!\n";
    for my $i (0 .. $#{$inputs->{documents}}) {
        print $out encode_json({ids => $inputs->{documents}[$i], trained => $inputs->{trained}[$i]}), "\n";
    }
    close $out;
    ok(works('ft-pack', '-m', $dir, '--length 256 -o shard docs.jsonl'), "$name: ft-pack", slurp('stderr'));
    has_loss($name, $loss, '-m', $dir);
    my @inputs = ('-m', $dir);
    if (-d "$dir/lora") {
        my $want = decode_json(slurp("$dir/lora/expected.json"));
        push @inputs, '-a', "$dir/lora/initial";
        $loss = $want->{losses}[0];
        has_loss("$name with an adapter", $loss, @inputs);
        check_training($name, $dir, $want);
    }
    check_merge($name, $loss, @inputs);
    system 'rm -rf ./*';
}

opendir my $folder, $models or die "$models: $!\n";
check_model($_) for sort grep { !/^\./ } readdir $folder;
finish();

#!/usr/bin/perl
# Every reference model from the command line: ft-eval, ft-train from a stored adapter, ft-merge into a
# folder and into GGUF and back, all against PyTorch's losses.
use strict;
use warnings;
use File::Temp 'tempdir';
use JSON::PP;

my $models = ($ENV{SHARED} // "$ENV{SRCDIR}/../shared") . '/fixtures/models';
if (!-d $models) { print "1..0 # SKIP no $models\n"; exit 0 }

# What GGUF has no key for (see tests/interop/architectures.py).
my %unsayable = map { $_ => 1 } qw(gemma2 gemma3_text smollm3);
my ($count, $failures) = (0, 0);
chdir tempdir(CLEANUP => 1) or die "$!\n";

sub ok($$@) { # the first one's truth, though it be a match that would be an empty list
    my ($good, $name, @why) = @_;
    $count++;
    $failures++ if !$good;
    print $good ? 'ok' : 'not ok', " $count - $name\n";
    if (!$good) { print "#   $_\n" for @why }
    return $good;
}

sub content {
    open my $in, '<', $_[0] or die "$_[0]: $!\n";
    local $/;
    return scalar <$in>;
}

# Whether a command succeeds; what it said is in "stdout" and "stderr".
sub run { return system("@_ >stdout 2>stderr") == 0 }

sub has_loss {
    my ($name, $want, @options) = @_;
    if (!run('ft-eval', @options, 'shard')) { return ok(0, $name, content('stderr')) }
    my $got = decode_json(content('stdout'))->{mean_nll};
    return ok(abs($got - $want) <= 1e-5 * $want, "$name: loss within 1e-5", "got $got, want $want");
}

sub check_training {
    my ($name, $dir, $want) = @_;
    my @recipe = qw(--steps 3 --batch 8 --lr 0.01 --schedule constant --weight-decay 0.01 --clip 0);
    ok(run('ft-train', '-m', $dir, '-a', "$dir/lora/initial", '-o trained --log log', @recipe, 'shard'),
        "$name: ft-train", content('stderr')) or return;
    my @losses = grep { defined } map { decode_json($_)->{loss} } split /\n/, content('log');
    my $good = @losses == @{$want->{losses}};
    for my $i (0 .. $#losses) { $good &&= abs($losses[$i] - $want->{losses}[$i]) <= 1e-5 * $losses[$i] }
    ok($good, "$name: losses of three steps", "got @losses, want @{$want->{losses}}");
    has_loss("$name, trained", $want->{loss_after}, '-m', $dir, '-a trained');
}

sub check_merge {
    my ($name, $loss, @inputs) = @_;
    ok(run('ft-merge', @inputs, '-o folder --type f32'), "$name: a folder", content('stderr'))
        and has_loss("$name, folder", $loss, '-m folder');
    my $written = run('ft-merge', @inputs, '-o model.gguf --type f32');
    ok($written == !$unsayable{$name}, "$name: GGUF is written or refused", content('stderr'));
    return if !$written;
    has_loss("$name, GGUF", $loss, '-m model.gguf');
    ok(run('ft-merge -m model.gguf -o back --type f32'), "$name: a folder again", content('stderr'))
        and has_loss("$name, folder again", $loss, '-m back');
}

sub check_model {
    my ($name) = @_;
    my $dir = "$models/$name";
    my $inputs = decode_json(content("$dir/inputs.json"));
    my $loss = decode_json(content("$dir/expected.json"))->{mean_loss};
    open my $out, '>', 'docs.jsonl' or die "$!\n";
    for my $i (0 .. $#{$inputs->{documents}}) {
        print $out encode_json({ids => $inputs->{documents}[$i], trained => $inputs->{trained}[$i]}), "\n";
    }
    close $out;
    ok(run('ft-pack', '-m', $dir, '--length 256 -o shard docs.jsonl'), "$name: ft-pack", content('stderr'));
    has_loss($name, $loss, '-m', $dir);
    my @inputs = ('-m', $dir);
    if (-d "$dir/lora") {
        my $want = decode_json(content("$dir/lora/expected.json"));
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
print "1..$count\n";
exit($failures > 0);

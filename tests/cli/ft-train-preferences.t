#!/usr/bin/perl
# Preferences from documents to adapters: each loss falls and its margin grows, runs that are stopped go on to
# the same bytes, the log, held-out preferences, weights, and what is refused. Also label smoothing and noise.
use strict;
use warnings;
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

scratch('ft-train-preferences');
make_model('base');

# ---- documents: greetings are right, grumbling is wrong ----

my @names = qw(Ann Bob Cid Dora Eve Finn Gus Hal Ida Jo Kim Lee);
my @pairs = map { {id => "p-$_", prompt => "Greet $names[$_].", chosen => "Hello $names[$_]", rejected => "Go away"} } 0 .. $#names;
my @labels = map { {id => "l-$_", prompt => "Greet $names[$_].", completion => $_ % 2 ? "Hello $names[$_]" : "Go away",
    label => $_ % 2 ? JSON::PP::true : JSON::PP::false} } 0 .. $#names;
spew_json('pairs.jsonl', @pairs);
spew_json('labels.jsonl', @labels);
spew_json('documents.jsonl', map { {prompt => $_->{prompt}, completion => $_->{chosen}} } @pairs);
for (qw(pairs labels documents)) {
    my (undef, $status) = run("ft-tok -m base $_.jsonl | ft-pack -o $_.ft");
    ok($status == 0, "$_: packed", slurp('err'));
}

sub log_lines { return json_lines(slurp($_[0])) }
sub log_of { return slurp($_[0]) =~ s/,"tok_per_s".*//gr }

sub trains {
    my ($name, $command) = @_;
    my (undef, $status) = run("ft-train $command");
    return ok($status == 0, $name, slurp('err'));
}

sub same_run {
    my ($x, $y, $name) = @_;
    my @different = grep { slurp("$x/$_") ne slurp("$y/$_") } qw(adapter_model.safetensors adapter_config.json train_state.safetensors);
    push @different, 'log' if log_of("$x.log") ne log_of("$y.log");
    return ok(!@different, $name, @different);
}

# ---- each loss ----

my $small = '-m base --rank 4 --batch 4 --lr 5e-3 --seed 3';

for my $loss (qw(dpo ipo orpo simpo kto)) {
    my $rows = $loss eq 'kto' ? 'labels.ft' : 'pairs.ft';
    my $options = "$small --loss $loss --epochs 6 --dropout 0.05 --eval $rows --eval-every 6";
    trains("$loss: from a pipe", "$options --log $loss.log -o $loss < $rows");
    ok(slurp('err') =~ /^ft-train: 6 of the completions are desirable, with a weight of 1; 6 are not, with 1$/m, 'kto: says of how many kinds', slurp('err'))
        if $loss eq 'kto';
    my @log = log_lines("$loss.log");
    my @steps = grep { defined $_->{loss} } @log;
    my @evals = grep { defined $_->{eval_loss} } @log;
    ok($steps[-1]{loss} < 0.9 * $steps[0]{loss}, "$loss: the loss falls", "from $steps[0]{loss} to $steps[-1]{loss}");
    ok($evals[-1]{eval_loss} < $evals[0]{eval_loss}, "$loss: so does the held-out loss");
    ok($evals[-1]{eval_reward_margin} > $evals[0]{eval_reward_margin} + 0.01, "$loss: the margin grows", map { $_->{eval_reward_margin} } @evals);
    ok($evals[-1]{eval_reward_accuracy} > 0.8, "$loss: the better one wins", $evals[-1]{eval_reward_accuracy});
    my @keys = qw(reward_chosen reward_rejected reward_margin reward_accuracy);
    push @keys, 'kl' if $loss eq 'kto';
    my ($step) = grep { defined $_->{reward_margin} } @steps; # one with a good and a bad completion
    my @missing = grep { !defined $step->{$_} || !defined $evals[0]{"eval_$_"} } @keys;
    ok(!@missing && !defined $evals[0]{eval_ppl}, "$loss: keys of the log", @missing);
    near($step->{reward_margin}, $step->{reward_chosen} - $step->{reward_rejected}, 1e-6, "$loss: margin");

    trains("$loss: stops", "$options --log $loss-2.log -o $loss-2 --stop-after 7 --threads 1 $rows");
    trains("$loss: goes on", "--resume $loss-2");
    same_run("$loss-2", $loss, "$loss: to the same bytes, with other threads");
}

{   # At the start the adapter changes nothing: dpo's loss is ln 2, ipo's 1/(2 beta)^2, kto's 1/2.
    my %start = (dpo => log 2, ipo => 25, kto => 0.5);
    near((log_lines("$_.log"))[0]{loss}, $start{$_}, 1e-6, "$_: first loss") for sort keys %start;
    trains('beta', "$small --loss ipo --beta 0.5 --steps 1 --log beta.log -o beta pairs.ft");
    near((log_lines('beta.log'))[0]{loss}, 1, 1e-6, 'ipo: with beta 0.5');
    trains('gamma', "$small --loss simpo --beta 2 --gamma 0 --steps 1 --log gamma.log -o gamma pairs.ft");
    my ($a, $b) = map { (log_lines($_))[0] } 'gamma.log', 'simpo.log';
    ok($a->{loss} < $b->{loss} && $a->{reward_margin} == $b->{reward_margin}, 'simpo: a margin is asked for');
    trains('smoothing', "$small --loss dpo --label-smoothing 0.2 --steps 6 --lr 0.02 --log smooth.log -o smooth pairs.ft");
    trains('no smoothing', "$small --loss dpo --label-smoothing 0 --steps 6 --lr 0.02 --log plain.log -o plain pairs.ft");
    ($a, $b) = map { (log_lines($_))[-1] } 'smooth.log', 'plain.log';
    ok($a->{loss} > $b->{loss} && $a->{reward_margin} < $b->{reward_margin}, 'dpo: less sure where labels may be wrong');
}

# ---- micro-batches, weights, references ----

{
    trains('small passes', "$small --loss dpo --epochs 2 --micro-batch 1 --log passes.log -o passes pairs.ft");
    trains('a large one', "$small --loss dpo --epochs 2 --micro-batch 4096 --log pass.log -o pass pairs.ft");
    my @x = log_lines('passes.log');
    my @y = log_lines('pass.log');
    my @far = grep { abs($x[$_]{loss} - $y[$_]{loss}) > 1e-5 } 0 .. $#y;
    ok(@x == @y && !@far, 'a pair is never cut, and passes make no difference', @far);

    spew_json('weights.jsonl', {%{$pairs[0]}, weight => 2}, {%{$pairs[1]}, weight => 0}, @pairs[2, 3]);
    spew_json('twice.jsonl', @pairs[0, 0, 2, 3]);
    for (qw(weights twice)) {
        run("ft-tok -m base $_.jsonl | ft-pack --no-shuffle -o $_.ft");
        trains($_, "$small --loss dpo --steps 3 --log $_.log --eval $_.ft -o $_ $_.ft");
    }
    my @w = map { [map { $_->{loss} // $_->{eval_loss} } log_lines($_)] } 'weights.log', 'twice.log';
    @far = grep { abs($w[0][$_] - $w[1][$_]) > 1e-5 } 0 .. 3;
    ok(!@far, 'a preference of weight 2 is one that is there twice', @far);

    trains('documents', "$small --epochs 4 -o sft documents.ft");
    for (qw(base start)) {
        trains("reference $_", "-m base -a sft --loss dpo --batch 4 --reference $_ --steps 2 --log $_.log -o $_.adapter pairs.ft");
    }
    near((log_lines('start.log'))[0]{loss}, log 2, 1e-6, 'the reference may be the adapter that the run begins with');
    ok(abs((log_lines('base.log'))[0]{reward_chosen}) > 0.01, 'else it is the base');
    my $reference = join ' ', tensor('start.adapter/train_state.safetensors', 'reference');
    my ($again) = run('ft-train -m base -a sft --loss dpo --batch 4 --reference start --steps 2 --stop-after 1 -o other pairs.ft && ft-train --resume other');
    is(join(' ', tensor('other/train_state.safetensors', 'reference')), $reference, 'a resumed run keeps it');
}

# ---- documents: smoothing and noise ----

{
    my $options = '-m base --rank 4 --batch 2 --lr 2e-3 --epochs 2';
    trains('documents', "$options --log sft.log --eval documents.ft -o sft documents.ft");
    trains('said at length', "$options --loss sft --neftune 0 --label-smoothing 0 --log long.log --eval documents.ft -o long documents.ft");
    same_run('long', 'sft', 'what changes nothing leaves no trace');
    trains('smoothed', "$options --label-smoothing 0.1 --log ls.log --eval documents.ft -o ls documents.ft");
    trains('noisy', "$options --neftune 5 --log noise.log -o noise documents.ft");
    trains('noisy, stopped', "$options --neftune 5 --log noise-2.log -o noise-2 --stop-after 3 --threads 1 documents.ft");
    trains('noisy, resumed', '--resume noise-2');
    same_run('noise-2', 'noise', 'noise is found again');
    my %first = map { $_ => (log_lines("$_.log"))[0]{loss} } qw(sft ls noise);
    ok($first{ls} != $first{sft} && $first{noise} != $first{sft}, 'both change the loss');
    my @eval = map { (log_lines("$_.log"))[-1]{eval_ppl} } qw(sft ls);
    ok(abs($eval[0] - $eval[1]) < 0.2 * $eval[0], 'the held-out loss is never smoothed', @eval);
}

# ---- what is refused ----

refuses('pairs as documents', 'pairs.ft: is of kind preference, which --loss=dpo, ipo, orpo and simpo learn from', 'ft-train -m base -o x pairs.ft');
refuses('documents as pairs', "is of kind shard, which --loss=sft learns from; this run's loss needs kind preference",
    'ft-train -m base -o x --loss dpo documents.ft');
refuses('labels as pairs', "labels.ft: is of kind label, which --loss=kto learns from", 'ft-train -m base -o x --loss orpo labels.ft');
refuses('pairs as labels', 'needs kind label', 'ft-train -m base -o x --loss kto pairs.ft');
refuses('held-out documents for pairs', 'documents.ft: is of kind shard', 'ft-train -m base -o x --loss dpo --eval documents.ft pairs.ft');
refuses('beta for documents', '--beta has no meaning for --loss=sft', 'ft-train -m base -o x --beta 0.1 documents.ft');
refuses('gamma for dpo', '--gamma has no meaning for --loss=dpo', 'ft-train -m base -o x --loss dpo --gamma 1 pairs.ft');
refuses('smoothing for kto', '--label-smoothing has no meaning for --loss=kto', 'ft-train -m base -o x --loss kto --label-smoothing 0.1 labels.ft');
refuses('a reference for orpo', '--reference has no meaning for --loss=orpo', 'ft-train -m base -o x --loss orpo --reference base pairs.ft');
refuses('beta 0', '--beta=0 makes no sense for --loss=dpo', 'ft-train -m base -o x --loss dpo --beta 0 pairs.ft');
refuses('more wrong labels than right ones', '--label-smoothing=0.5 makes no sense', 'ft-train -m base -o x --loss dpo --label-smoothing 0.5 pairs.ft');
refuses('no weight at all', 'nothing to learn', 'ft-train -m base -o x --loss kto --desirable-weight 0 --undesirable-weight 0 labels.ft');
spew_json('none.jsonl', map { {%$_, weight => 0} } @pairs[0, 1]);
run('ft-tok -m base none.jsonl | ft-pack -o none.ft');
refuses('preferences without weight', 'nothing to learn', 'ft-train -m base -o x --loss dpo none.ft');
spew_json('one.jsonl', $labels[0]);
run('ft-tok -m base one.jsonl | ft-pack -o one.ft');
refuses('a single labelled completion', "kto compares a prompt's with another's", 'ft-train -m base -o x --loss kto one.ft');
run('ft-train -m base --loss dpo --batch 4 --steps 4 --stop-after 2 -o half pairs.ft');
refuses('another loss for the rest', '--loss is ipo now, but the run began with dpo', 'ft-train --resume half --loss ipo');
ok(!-e 'x', 'nothing is left of them');
finish();

#!/usr/bin/perl
# ft-train as a user types it: PyTorch's weights after some steps, runs that are stopped in every way and
# go on to the same bytes, evaluation, and what it refuses.
use strict;
use warnings;
use POSIX qw(:sys_wait_h);
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $models = "$ENV{SRCDIR}/tests/data/models";
my $llama = "$models/llama";
my $dir = scratch('ft-train');

sub succeeds {
    my ($name, $command) = @_;
    my $status = status_of($command);
    return ok($status == 0, $name, "exit status $status", slurp('err'));
}

# Exit 1 (or as given) and, last on stderr, a line with the text in it.
sub fails_saying {
    my ($name, $text, $command, $want) = @_;
    my $status = status_of($command);
    my @lines = split /\n/, slurp('err');
    @lines = grep { !/^Try / } @lines if ($want // 1) == 2;
    ok($status == ($want // 1) && @lines && $lines[-1] =~ /^ft-train: .*\Q$text\E/, $name, "exit status $status", @lines);
}

sub lines { return map { decode_json($_) } split /\n/, slurp($_[0]) }

# The log without what depends on the clock.
sub log_of { return slurp($_[0]) =~ s/,"tok_per_s".*//gr }

# A .safetensors file of F32: name => packed floats.
sub tensors {
    my ($path) = @_;
    my $bytes = slurp($path);
    my $n = unpack 'Q<', $bytes;
    my $header = decode_json(substr $bytes, 8, $n);
    delete $header->{__metadata__};
    my %found;
    for my $name (keys %$header) {
        my ($from, $to) = @{$header->{$name}{data_offsets}};
        $found{$name} = substr $bytes, 8 + $n + $from, $to - $from;
    }
    return \%found;
}

sub largest_difference {
    my ($x, $y) = map { tensors($_) } @_;
    my $largest = 0;
    return 1e9 if join(' ', sort keys %$x) ne join(' ', sort keys %$y);
    for my $name (keys %$x) {
        my @a = unpack 'f<*', $x->{$name};
        my @b = unpack 'f<*', $y->{$name};
        return 1e9 if @a != @b;
        for (0 .. $#a) {
            my $d = abs($a[$_] - $b[$_]);
            $largest = $d if !($d <= $largest);
        }
    }
    return $largest;
}

sub same_file {
    my ($x, $y, $name) = @_;
    return ok(slurp($x) ne '' && slurp($x) eq slurp($y), $name, "$x and $y differ");
}

# Adapter, state and log of two runs.
sub same_run {
    my ($x, $y, $name) = @_;
    my @different = grep { slurp("$x/$_") eq '' || slurp("$x/$_") ne slurp("$y/$_") }
        qw(adapter_model.safetensors adapter_config.json train_state.safetensors);
    push @different, 'log' if log_of("$x.log") eq '' || log_of("$x.log") ne log_of("$y.log");
    return ok(!@different, $name, @different);
}

# ---- inputs ----

sub write_inputs {
    my ($model, $file) = @_;
    my $inputs = decode_json(slurp("$models/$model/inputs.json"));
    spew("$file.jsonl", map { encode_json({ids => $inputs->{documents}[$_], trained => $inputs->{trained}[$_]}) . "\n" }
        0 .. $#{$inputs->{documents}});
    status_of("ft-pack -m $models/$model --length 128 $file.jsonl -o $file.ft") == 0 or print "Bail out! ft-pack\n";
}

# Documents of a small language: a word of two tokens is always followed by the same one.
sub write_documents {
    my ($file, $n, $seed, $first) = @_;
    my $random = $seed;
    my $next = sub { $random = ($random * 1103515245 + 12345) % 2**31; return int($random / 65536) % $_[0] };
    my @documents;
    for my $i (1 .. $n) {
        my $word = $next->(40);
        my @ids = (1);
        for (1 .. 4 + $next->(20)) {
            push @ids, $first + 2 * $word, $first + 1 + 2 * $word;
            $word = $next->(4) ? ($word * 7 + 3) % 40 : $next->(40);
        }
        push @documents, encode_json({id => "$file-$i", ids => \@ids, trained => [map { $_ % 5 ? 1 : 0 } 0 .. $#ids]}) . "\n";
    }
    spew("$file.jsonl", @documents);
    status_of("ft-pack -m $llama --length 64 $file.jsonl -o $file.ft") == 0 or print "Bail out! ft-pack\n";
}

write_documents('train', 60, 1, 10);
write_documents('held', 15, 2, 10);
write_documents('other', 15, 3, 150);

# ---- the reference: torch.optim.AdamW on PEFT adapters ----

sub check_reference {
    my ($model, $case, $options) = (@_, '');
    my $base = "$models/$model/$case";
    my $expected = decode_json(slurp("$base/expected.json"));
    my $train = $expected->{train};
    my $steps = $train->{steps};
    my $schedule = $train->{schedule} // {kind => 'constant', warmup => 0};
    my $clip = $train->{clip} // 0;
    write_inputs($model, 'reference');
    succeeds("$model $case: trains", "ft-train -m $models/$model -a $base/initial -o reference --steps $steps --batch 1" .
        " --lr $train->{lr} --weight-decay $train->{wd} --clip $clip --schedule $schedule->{kind}" .
        " --warmup $schedule->{warmup} --log reference.log $options reference.ft");
    my @log = lines('reference.log');
    is(scalar @log, $steps, "$model $case: a line for each step");
    my @wrong;
    for my $k (0 .. $steps - 1) {
        push @wrong, "step $k" if abs($log[$k]{loss} - $expected->{losses}[$k]) > 1e-5
            || abs($log[$k]{grad_norm} / $expected->{grad_norms}[$k] - 1) > 1e-5
            || abs($log[$k]{lr} - $expected->{lrs}[$k]) > 1e-12
            || $log[$k]{step} != $k + 1;
    }
    ok(!@wrong, "$model $case: losses, gradient norms and rates", @wrong);
    my $difference = largest_difference('reference/adapter_model.safetensors', "$base/after$steps/adapter_model.safetensors");
    ok($difference <= 1e-4, "$model $case: the adapter after $steps steps", "largest difference $difference");
    my ($was, $is) = map { decode_json(slurp("$_/adapter_config.json")) } "$base/initial", 'reference';
    my $json = JSON::PP->new->canonical;
    my @changed = grep { $json->encode([$was->{$_}]) ne $json->encode([$is->{$_}]) } keys %$was;
    ok(!@changed, "$model $case: its configuration", @changed);
}

check_reference('llama', 'lora');
check_reference('llama', "variants/$_") for qw(clip cosine plain_qv one_layer patterns);
check_reference('llama', 'variants/qlora', '--base-type nf4');
check_reference('llama', 'variants/qlora_double', '--base-type nf4-double');
check_reference($_, 'lora') for grep { -e "$models/$_/lora/after3" } qw(llama3rope llama_bf16 llama_sharded);

# ---- rows, batches, passes ----

my $small = "-m $llama --rank 2 --batch 3 --lr 3e-3 --seed 5 --log";

{
    my $rows = `ft-dump train.ft | wc -l`; # one line for each row or document, but for the header
    succeeds('an epoch', "ft-train $small epoch.log -o epoch train.ft");
    my @log = lines('epoch.log');
    my ($n_rows, $tokens, $trained) = slurp('err') =~ /(\d+) rows of (\d+) tokens, (\d+) trained/;
    is(scalar @log, int(($n_rows + 2) / 3), 'the last step of an epoch has what is left');
    is("$log[-1]{tokens} $log[-1]{trained}", "$tokens $trained", 'and nothing is left out');
    ok($log[-1]{loss} < $log[0]{loss} - 0.15, 'something is learnt', "from $log[0]{loss} to $log[-1]{loss}");
    is(join(' ', sort keys %{$log[0]}), 'grad_norm loss lr rss step tok_per_s tokens trained', 'keys of a step');

    succeeds('two epochs and a half', "ft-train $small epochs.log -o epochs --epochs 2.5 train.ft");
    @log = lines('epochs.log');
    my $per_epoch = int(($n_rows + 2) / 3);
    my $half = int((int($n_rows / 2 + 0.5) + 2) / 3);
    is(scalar @log, 2 * $per_epoch + $half, 'have their steps');
    is($log[2 * $per_epoch - 1]{tokens}, 2 * $tokens, 'each epoch takes every row once');

    succeeds('many passes', "ft-train $small passes.log -o passes --micro-batch 20 train.ft");
    my ($x, $y) = ([lines('epoch.log')], [lines('passes.log')]);
    my @far = grep { abs($x->[$_]{loss} - $y->[$_]{loss}) > 1e-4 } 0 .. $#$x;
    ok(!@far, 'the loss does not depend on them', map { "step $_" } @far);

    # What the adapter scores is the loss that the next step would have had.
    succeeds('all rows in a step', "ft-train -m $llama --batch 1000 --steps 3 --lr 3e-3 --schedule constant --log a.log -o a train.ft");
    succeeds('and a step more', "ft-train --resume a --steps 4 --stop-after 4");
    status_of("ft-train -m $llama --batch 1000 --steps 3 --lr 3e-3 --schedule constant -o a3 train.ft");
    my $score = decode_json(`ft-eval -m $llama -a a3 train.ft`);
    my $loss = (lines('a.log'))[3]{loss};
    ok(abs($score->{mean_nll} - $loss) < 1e-5, 'ft-eval says the same', "got $loss, ft-eval $score->{mean_nll}");
}

# ---- weights ----

{
    # Documents of weights 2 and 0 against the first one twice, and without the second.
    my @documents = split /^/, slurp('other.jsonl');
    my $with = sub { my $d = decode_json($_[0]); $d->{weight} = $_[1]; return encode_json($d) . "\n" };
    spew('weights.jsonl', $with->($documents[0], 2), $with->($documents[1], 0), @documents[2 .. 9]);
    spew('twice.jsonl', @documents[0, 0, 2 .. 9]);
    status_of("ft-pack -m $llama --no-shuffle --length 1024 $_.jsonl -o $_.ft") == 0 or print "Bail out! ft-pack\n" for qw(weights twice);
    for (qw(weights twice)) {
        succeeds("$_: trains", "ft-train -m $llama --rank 2 --batch 1 --steps 4 --lr 3e-3 --log $_.log --eval $_.ft -o $_ $_.ft");
        ok(slurp('err') =~ /^ft-train: 1 documents have no token to train on or weight 0: left out$/m, 'one is left out', slurp('err')) if $_ eq 'weights';
    }
    my @x = lines('weights.log');
    my @y = lines('twice.log');
    my @far = grep { abs(($x[$_]{loss} // $x[$_]{eval_loss}) - ($y[$_]{loss} // $y[$_]{eval_loss})) > 1e-5 } 0 .. $#y;
    ok(@x == @y && !@far, 'a document of weight 2 is one that is there twice', map { "line $_" } @far);
    my $difference = largest_difference(map { "$_/adapter_model.safetensors" } qw(weights twice));
    ok($difference < 1e-4, 'also in the adapter', "largest difference $difference");
}

# ---- the same bytes ----

my $long = "-m $llama --rank 2 --batch 2 --lr 3e-3 --seed 9 --dropout 0.1 --schedule cosine --warmup 3" .
    ' --epochs 3 --eval held.ft --eval-every 7 --clip 0.5';
my $steps;

{
    succeeds('a whole run', "ft-train $long --threads 1 --log whole.log -o whole train.ft");
    ($steps) = slurp('err') =~ /(\d+) steps of/;
    succeeds('the same with two threads', "ft-train $long --threads 2 --log threads.log -o threads train.ft");
    same_run('threads', 'whole', 'has the same bytes');
    succeeds('the same from a pipe', "cat train.ft | ft-train $long --log pipe.log -o pipe");
    same_run('pipe', 'whole', 'has the same bytes');
    succeeds('the same from a compressed file', "gzip -c train.ft > train.ft.gz && ft-train $long --log gz.log -o gz train.ft.gz");
    same_run('gz', 'whole', 'has the same bytes');
    my $metadata = substr slurp('whole/adapter_model.safetensors'), 0, 3000;
    ok($metadata =~ /ft-pack \d.*ft-train \d.*--lr=0.003/s, 'the adapter says how it was made');
    ok(index(slurp("whole/$_"), $dir) < 0, "$_ has no path of this machine")
        for qw(adapter_model.safetensors adapter_config.json train_state.safetensors);
    status_of("ft-train $long --seed 8 -o seed train.ft");
    ok(slurp('seed/adapter_model.safetensors') ne slurp('whole/adapter_model.safetensors'), 'another seed has others');
}

# ---- stopping and going on ----

{
    succeeds('a run that pauses', "ft-train $long --log pause.log --stop-after 10 -o pause train.ft");
    ok(slurp('err') =~ /stopped after step 10 of $steps; go on with: ft-train --resume pause$/m, 'says how to go on', slurp('err'));
    is((lines('pause.log'))[-1]{step}, 10, 'its log ends there');
    status_of("ft-eval -m $llama -a pause held.ft >/dev/null") == 0 or ok(0, 'its adapter can be used');
    fails_saying('a new run in its folder', 'holds a run that stands at step 10', "ft-train $long -o pause train.ft");
    succeeds('goes on with nothing but its name', 'cd / && ft-train --resume "$OLDPWD/pause"');
    same_run('pause', 'whole', 'to the same bytes');
    succeeds('once more', 'ft-train --resume pause');
    same_run('pause', 'whole', 'changes nothing');
    unlink 'pause/adapter_model.safetensors';
    succeeds('without its adapter', 'ft-train --resume pause');
    same_run('pause', 'whole', 'makes it again');

    status_of("cat train.ft | ft-train $long --log piped.log --stop-after 5 -o piped");
    ok(slurp('err') =~ /standard input/, 'a run from a pipe says that it needs the rows again');
    succeeds('goes on with all options given again', "cat train.ft | ft-train $long --log piped.log --resume piped -o ./piped/");
    same_run('piped', 'whole', 'to the same bytes');

    my $plain = "-m $llama --rank 2 --batch 2 --lr 3e-3 --schedule constant --seed 4";
    status_of("ft-train $plain --steps 20 --log twenty.log -o twenty train.ft");
    status_of("ft-train $plain --steps 10 --log ten.log -o ten train.ft");
    succeeds('ten steps more', 'ft-train --resume ten --steps 20');
    same_run('ten', 'twenty', 'are twenty');

    status_of("ft-train $long --checkpoint-every 4 --log often.log -o often train.ft");
    same_run('often', 'whole', 'checkpoints change nothing');
    status_of("ft-train $long --stop-after 10 -o again train.ft");
    succeeds('--restart', "ft-train $long --restart --log again.log -o again train.ft");
    same_run('again', 'whole', 'begins anew');
}

# Starts a program; its process.
sub start {
    my ($command) = @_;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    open STDERR, '>', 'err';
    exec 'sh', '-c', "exec $command" or POSIX::_exit(127);
}

# Waits until the log has a number of lines or the program ends.
sub wait_for_lines {
    my ($pid, $log, $n) = @_;
    for (1 .. 4000) {
        return 1 if -e $log && (() = slurp($log) =~ /\n/g) >= $n;
        return 0 if waitpid($pid, WNOHANG) == $pid;
        select undef, undef, undef, 0.003;
    }
    return 0;
}

# Many steps, so that there is time to interfere.
my $slow = "-m $llama --rank 2 --batch 8 --lr 1e-3 --seed 9 --steps 150 --eval held.ft --eval-every 50";

{
    status_of("ft-train $slow --log slow.log -o slow train.ft");
    for my $case (['INT', 130], ['TERM', 143], ['HUP', 129]) {
        my ($signal, $want) = @$case;
        my $pid = start("ft-train $slow --log sig$signal.log -o sig$signal train.ft");
        if (!wait_for_lines($pid, "sig$signal.log", 20)) { ok(0, "SIG$signal: too late"); next }
        kill $signal, $pid;
        waitpid $pid, 0;
        is($? & 127 ? 'signal' : $? >> 8, $want, "SIG$signal: exit status");
        ok(slurp('err') =~ /stopped after step \d+ of 150; go on with: ft-train --resume sig$signal$/m,
            "SIG$signal: says how to go on", slurp('err'));
        succeeds("SIG$signal: goes on", "ft-train --resume sig$signal");
        same_run("sig$signal", 'slow', "SIG$signal: to the same bytes");
    }
    for my $lines (1, 25, $ENV{TEST_LONG} ? (2, 3, 9, 50, 51, 52, 60, 77, 101, 102, 130, 148) : ()) {
        system 'rm -rf kill kill.log';
        my $pid = start("ft-train $slow --checkpoint-every 1 --log kill.log -o kill train.ft");
        if (!wait_for_lines($pid, 'kill.log', $lines)) { ok(0, "SIGKILL after $lines lines: too late"); next }
        kill 'KILL', $pid;
        waitpid $pid, 0;
        succeeds("SIGKILL after $lines lines: goes on", 'ft-train --resume kill --checkpoint-every 1000');
        same_run('kill', 'slow', "SIGKILL after $lines lines: to the same bytes");
    }
    # Between the checkpoints too, when the log is ahead of the state.
    my $pid = start("ft-train $slow --checkpoint-every 40 --log ahead.log -o ahead train.ft");
    if (wait_for_lines($pid, 'ahead.log', 65)) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
        succeeds('SIGKILL between checkpoints: goes on', 'ft-train --resume ahead');
        same_run('ahead', 'slow', 'SIGKILL between checkpoints: to the same bytes');
    }
    # Two at a time.
    $pid = start("ft-train $slow --log lock.log -o lock train.ft");
    if (wait_for_lines($pid, 'lock.log', 5)) {
        rename 'err', 'err.first';
        fails_saying('two runs in one folder', 'another run is writing there', "ft-train $slow -o lock --restart train.ft");
        fails_saying('nor resumed while it runs', 'another run is writing there', 'ft-train --resume lock');
    }
    kill 'KILL', $pid;
    waitpid $pid, 0;
}

# ---- what a resumed run must not change ----

{
    status_of("ft-train $long --log r.log --stop-after 10 -o r train.ft");
    status_of("cp -r $llama other && printf XX | dd of=other/model.safetensors bs=1 conv=notrunc seek=" . ((-s "$llama/model.safetensors") - 2));
    fails_saying("resume with $_->[0]", $_->[1], "ft-train --resume r $_->[0]") for
        ['--lr 1', '--lr is 1'], ['--batch 3', '--batch is 3'], ['--rslora', '--rslora'], ['--seed 1', '--seed is 1'],
        ['--epochs 4', 'planned for'], ['--schedule linear', '--schedule is linear'], ['--micro-batch 64', '--micro-batch'],
        ['held.ft', 'the rows to train on changed'], ['--eval train.ft', 'the held-out rows changed'],
        ["-m other", 'the model changed'], ['--memory 1G', '--memory means passes'];
    system 'cp -r r damaged && printf XXXX | dd of=damaged/train_state.safetensors bs=1 seek=5000 conv=notrunc 2>/dev/null';
    fails_saying('a damaged state', 'damaged', 'ft-train --resume damaged');
    mkdir 'nothing';
    fails_saying('a folder without a run', 'no training run', 'ft-train --resume nothing');
    fails_saying('a folder that is not there', 'absent', 'ft-train --resume absent');
    fails_saying('--resume into another folder', 'own folder', 'ft-train --resume r -o other', 2);
    spew('r.log', "something else\n");
    fails_saying('a log that is none', 'r.log: line 1', 'ft-train --resume r');
    is(slurp('r.log'), "something else\n", 'which is left alone');
}

# ---- evaluation ----

{
    # Held-out documents of another language: what is learnt makes them less likely.
    my $fast = "-m $llama --rank 8 --batch 4 --lr 1e-2 --schedule constant --steps 60 --eval other.ft --eval-every 4";
    succeeds('evaluation', "ft-train $fast --log best.log -o best train.ft");
    my @evals = grep { exists $_->{eval_loss} } lines('best.log');
    is(join(' ', map { $_->{step} } @evals), join(' ', map { 4 * $_ } 1 .. 15), 'after each fourth step');
    my ($best) = sort { $a->{eval_loss} <=> $b->{eval_loss} || $a->{step} <=> $b->{step} } @evals;
    ok($best->{step} < 60, 'the best is not the last here');
    ok(slurp('err') =~ /the adapter of step $best->{step} \(held-out loss/, 'it says which adapter it kept', slurp('err'));
    my $score = decode_json(`ft-eval -m $llama -a best other.ft`);
    ok(abs($score->{mean_nll} - $best->{eval_loss}) < 1e-5, 'the folder has the best one', "$score->{mean_nll} $best->{eval_loss}");
    ok(abs($best->{eval_ppl} - exp $best->{eval_loss}) < 1e-6 * $best->{eval_ppl}, 'perplexity');

    status_of("ft-train $fast --keep last --log last.log -o last train.ft");
    $score = decode_json(`ft-eval -m $llama -a last other.ft`);
    ok(abs($score->{mean_nll} - $evals[-1]{eval_loss}) < 1e-5, '--keep last has the last one');

    succeeds('--patience', "ft-train $fast --patience 2 --log patience.log -o patience train.ft");
    my @seen = grep { exists $_->{eval_loss} } lines('patience.log');
    my ($since, $lowest, $expect) = (0, 1e9);
    for (@evals) {
        ($since, $lowest) = $_->{eval_loss} < $lowest ? (0, $_->{eval_loss}) : ($since + 1, $lowest);
        if ($since == 2) { $expect = $_->{step}; last }
    }
    is($seen[-1]{step}, $expect // 60, 'ends after two that were no better');
    ok(slurp('err') =~ /ended early/, 'and says so', slurp('err'));
    succeeds('a run that ended early', 'ft-train --resume patience');
    is((lines('patience.log'))[-1]{step}, $expect // 60, 'does not go on');
    status_of("ft-train $small e.log --eval held.ft --epochs 2 -o e train.ft");
    is(scalar(grep { exists $_->{eval_loss} } lines('e.log')), 2, 'without --eval-every, after each epoch');
}

# ---- an adapter to go on from ----

{
    my $initial = "$llama/lora/initial";
    my $least = "-m $llama -a $initial -o b --steps 1 train.ft";
    fails_saying("-a with $_->[0]", $_->[1], "ft-train $least $_->[0]") for
        ['--rank 8', 'its rank is 4'], ['--alpha 9', 'its alpha is 8'], ['--rslora', '--rslora'], ['--targets q_proj', '--targets'];
    succeeds('-a with the same shape given again', "ft-train $least --rank 4 --alpha 8");
    status_of("ft-train -m $llama -a $initial -o d --steps 4 --stop-after 2 --log d.log train.ft");
    fails_saying('resumed with another', 'the adapter to begin with changed', "ft-train --resume d -a $llama/lora/after3");
    succeeds('resumed', 'ft-train --resume d');
    status_of("ft-train -m $llama -a $initial -o dd --steps 4 --log dd.log train.ft");
    same_run('d', 'dd', 'to the same bytes');
}

# ---- what goes wrong ----

{
    fails_saying('an explosion', 'is not a finite number; the checkpoint of step 0 is kept',
        "ft-train -m $llama -o nan --lr 1e25 --clip 0 --steps 9 --schedule constant --log nan.log train.ft");
    ok(slurp('err') =~ /step \d+: document "train-\d+": the (loss|gradient)/, 'names the document', slurp('err'));
    ok(!-e 'nan/adapter_model.safetensors', 'and leaves no adapter');
    ok(!(grep { /nan|inf|null/i } slurp('nan.log')), 'nor a NaN in the log');

    spew('untrained.jsonl', qq({"ids":[1,2,3],"weight":0}\n{"ids":[4,5,6],"weight":0}\n));
    fails_saying('nothing to learn', 'no token of 2 documents is trained',
        "ft-pack -m $llama untrained.jsonl 2>/dev/null | ft-train -m $llama -o none");
    ok(!-e 'none', 'writes nothing');
    my $shard = slurp('train.ft');
    my @accepted;
    for my $k (1 .. 50) {
        spew('cut.ft', substr $shard, 0, int(length($shard) * $k / 51));
        my $status = status_of("ft-train -m $llama -o cut --steps 1 cut.ft");
        push @accepted, $k if $status != 1 || slurp('err') !~ /\Aft-train: cut.ft: [^\n]+\n\z/ || -e 'cut';
    }
    ok(!@accepted, 'a shard cut at 50 places', @accepted);
    fails_saying('ids beyond the vocabulary', 'vocabulary', "ft-train -m $models/llama_linear -o v --steps 1 big.ft")
        if status_of(q(printf '{"ids":[1,2,5000]}\n' | ft-pack -o big.ft)) == 0;
    fails_saying('a file in place of the folder', 'train.ft', "ft-train -m $llama -o train.ft/x --steps 1 train.ft");
    fails_saying('a log where none can be', 'nowhere/log', "ft-train -m $llama -o l1 --steps 1 --log nowhere/log train.ft");
    fails_saying('a log to a full device', '/dev/full', "ft-train -m $llama -o l2 --steps 1 --log /dev/full train.ft") if -c '/dev/full';
    ok(!-e 'l2/adapter_model.safetensors', 'a log that fails ends the run');
    my $status = status_of("sh -c 'ulimit -f 8; ft-train -m $llama -o full --steps 1 train.ft; exit \$?'");
    ok($status != 0 && !glob('full/*.safetensors') && !glob('full/*.tmp'), 'no room for the state', $status, glob 'full/*');
    fails_saying('a target that is not there', '"w_proj"', "ft-train -m $llama -o t --targets w_proj --steps 1 train.ft");
    fails_saying('no memory', 'MiB are needed', "ft-train -m $llama -o m --memory 1M --steps 1 train.ft");
    fails_saying('a warm-up longer than the run', '--warmup', "ft-train -m $llama -o w --warmup 9 --steps 3 train.ft");
    fails_saying('both inputs on stdin', 'stdin', "ft-train -m $llama -o s --eval - --steps 1 <train.ft");
    fails_saying($_->[0], $_->[1], "ft-train $_->[0]", 2) for
        ["-m $llama", '-o FOLDER'], ['-o x', '-m MODEL'], ["-m $llama -o x --steps 1 --epochs 1", '--epochs'],
        ["-m $llama -o x --rank 0", '--rank'], ["-m $llama -o x --schedule fast", 'fast'], ["-m $llama -o x --lr nan", 'nan'],
        ["-m $llama -o x --dropout 1", '--dropout'], ["-m $llama -o -", 'folder'], ["--resume x --restart", '--restart'];
}

# ---- mixtures of experts: what surrounds them is trained ----

{
    my ($mixtral, $qwen) = map { "$ENV{SRCDIR}/tests/data/models/$_" } qw(mixtral qwen3_moe);
    status_of(q(printf '{"ids":[1,5,9,13,80,22]}\n{"ids":[1,7,8,9]}\n' | ft-pack -m ) . "$mixtral -o experts.ft");
    is(status_of("ft-train -m $qwen -o qwen --targets all-linear --steps 1 experts.ft"), 0, 'an adapter beside experts');
    ok(slurp('qwen/adapter_config.json') =~ /"gate_proj"/, 'all-linear has the layers that are no mixture', slurp('err'));
    fails_saying('experts trained whole', 'mixture', "ft-train -m $mixtral -o whole --full --steps 1 experts.ft");
    is(status_of("ft-train -m $mixtral -o rest --full --exclude gate,w1,w2,w3 --steps 1 experts.ft"), 0, 'all but them', slurp('err'));
}

# ---- what it says ----

{
    status_of("ft-train -m $llama -o quiet --backend fp32 --steps 2 train.ft");
    is(scalar(split /\n/, slurp('err')), 3, 'in a pipe: a line before, two after');
    status_of("ft-train -m $llama -o loud --backend fp32 --steps 2 --progress always train.ft");
    ok(slurp('err') =~ /\rstep \d+\/2.*ETA/, 'on a terminal: how far it is', slurp('err'));
    status_of("ft-train -m $llama -o stdout --steps 2 --log - train.ft >log.out");
    is(scalar(lines('log.out')), 2, '--log - is the standard output');
}

finish();

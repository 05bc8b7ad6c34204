#!/usr/bin/perl
# ft-eval as a user types it: PyTorch's losses on the reference models, documents as they were in,
# adapters, and what it refuses.
use strict;
use warnings;
use File::Copy qw(copy);
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $models = "$ENV{SRCDIR}/tests/data/models";
scratch('ft-eval');

sub evaluate {
    my ($arguments) = @_;
    return decode_json(run("ft-eval $arguments") || '{}');
}

sub lines {
    my ($arguments) = @_;
    return json_lines(scalar run("ft-eval $arguments"));
}

# The reference models.
my %documents;
for my $name (sort map { m{/(\w+)/inputs\.json} } glob "$models/*/inputs.json") {
    my $inputs = decode_json(slurp("$models/$name/inputs.json"));
    my $want = decode_json(slurp("$models/$name/expected.json"));
    my @documents = map { {id => "d$_", ids => $inputs->{documents}[$_], trained => $inputs->{trained}[$_]} } 0 .. $#{$inputs->{documents}};
    $documents{$name} = \@documents;
    spew_json("$name.jsonl", @documents);
    run("ft-pack -m $models/$name --length 64 --seed 3 -o $name.ft $name.jsonl");
    my $got = evaluate("-m $models/$name $name.ft");
    near($got->{nll}, $want->{total_nll}, 1e-5, "$name: nll");
    is($got->{tokens} // '', $want->{tokens}, "$name: tokens");
    near($got->{ppl}, $want->{perplexity}, 1e-4, "$name: perplexity");
    my @got = lines("-m $models/$name --per-token $name.ft");
    is(join(' ', map { $_->{id} } @got), 'd0 d1 d2', "$name: documents in the order of the input");
    my ($worst, $wrong) = (0, 0);
    for my $i (0 .. $#got) {
        my @want = tensor("$models/$name/expected.safetensors", "logprob.$i");
        my ($first, @logprobs) = @{$got[$i]{logprobs}};
        $wrong++ if defined $first || @logprobs != @want || $got[$i]{tokens} != $want->{documents}[$i]{tokens};
        for (0 .. $#want) {
            my $difference = abs($logprobs[$_] - $want[$_]);
            $worst = $difference if $difference > $worst;
        }
    }
    ok(!$wrong && $worst <= 5e-5, "$name: log p of every token", "largest difference $worst", "$wrong documents of another shape");
}

# Experts that a GGUF file has in stacks.
{
    my $want = decode_json(slurp("$models/mixtral/expected.json"));
    my $got = evaluate("-m $ENV{SRCDIR}/tests/data/experts/mixtral.gguf mixtral.ft");
    near($got->{nll}, $want->{total_nll}, 1e-5, 'mixtral.gguf: nll');
    run("ft-merge -m $models/mixtral -o made.gguf");
    $got = evaluate('-m made.gguf mixtral.ft');
    near($got->{nll}, $want->{total_nll}, 1e-5, 'one that ft-merge made from the folder: nll');
}

my $model = "$models/llama";
my @documents = @{$documents{llama}};

# Base beside tuned, and by source: differences of the same documents.
{
    my $adapter = "$model/lora/initial";
    spew_json('sources.jsonl', map { {%{$documents[$_]}, source => $_ == 1 ? 'web' : 'book'} } 0 .. 2);
    run("ft-pack -m $model --length 64 -o sources.ft sources.jsonl");
    my @base = lines("-m $model --per-document sources.ft");
    my @tuned = lines("-m $model -a $adapter --per-document sources.ft");
    my @both = lines("-m $model -a $adapter --compare --per-document sources.ft");
    is(join(' ', map { "$_->{base_nll} $_->{tuned_nll}" } @both), join(' ', map { "$base[$_]{nll} $tuned[$_]{nll}" } 0 .. 2),
        'each document by both');
    my $sum = evaluate("-m $model -a $adapter --compare sources.ft");
    my ($d, $n, $squares) = (0, 0, 0);
    $d += $tuned[$_]{nll} - $base[$_]{nll}, $n += $base[$_]{tokens} for 0 .. 2;
    $squares += ($tuned[$_]{nll} - $base[$_]{nll} - $d / $n * $base[$_]{tokens})**2 for 0 .. 2;
    my ($mean, $error) = ($d / $n, sqrt(3 / 2 * $squares) / $n);
    near($sum->{difference}{mean_nll}, $mean, 1e-9, 'the difference');
    near($sum->{difference}{stderr}, $error, 1e-9, 'its error is that of the differences');
    near($sum->{difference}{low}, $mean - 1.96 * $error, 1e-9, 'its lower bound');
    near($sum->{difference}{ppl_ratio}, $sum->{tuned}{ppl} / $sum->{base}{ppl}, 1e-9, 'and as a ratio of perplexities');
    my @sources = lines("-m $model --by-source sources.ft");
    is(join(' ', map { "$_->{source} $_->{documents}" } @sources), 'book 2 web 1', 'sources in order');
    near($sources[0]{nll}, $base[0]{nll} + $base[2]{nll}, 1e-9, 'a source has its documents');
    @sources = lines("-m $model -a $adapter --compare --by-source sources.ft");
    near($sources[1]{difference}{mean_nll}, ($tuned[1]{nll} - $base[1]{nll}) / $base[1]{tokens}, 1e-9, 'sources by both');
}

# Windows are what documents cut by hand are.
{
    my @ids = (1, map { 3 + $_ * 7919 % 280 } 1 .. 99);
    my $sum_of = sub {
        my (@pieces) = @_;
        spew_json('pieces.jsonl', map { {ids => $_->[0], trained => $_->[1]} } @pieces);
        run("ft-pack -m $model --length 128 -o pieces.ft pieces.jsonl");
        return evaluate("-m $model pieces.ft");
    };
    spew_json('long.jsonl', {ids => \@ids, trained => [map { $_ ? 1 : 0 } 0 .. 99]});
    run("ft-pack -m $model --length 128 -o long.ft long.jsonl");
    my $piece = sub {
        my ($from, $end, $counted, $bos) = @_;
        my @part = @ids[$from .. $end - 1];
        $part[0] = 1 if $bos;
        return [\@part, [map { $_ >= $counted ? 1 : 0 } $from .. $end - 1]];
    };
    my %cases = (
        '--window 40' => [map { $piece->($_, $_ + 40 < 100 ? $_ + 40 : 100, $_ + 1) } 0, 40, 80],
        '--window 40 --stride 30' => [$piece->(0, 40, 1), $piece->(30, 70, 40), $piece->(60, 100, 70)],
        '--like llama.cpp --window 40' => [$piece->(0, 40, 21), $piece->(40, 80, 61, 1)],
        '--like hf --window 60 --stride 20' => [$piece->(0, 60, 1), $piece->(20, 80, 60), $piece->(40, 100, 80)],
    );
    for my $case (sort keys %cases) {
        my $want = $sum_of->(@{$cases{$case}});
        my $got = evaluate("-m $model $case long.ft");
        near($got->{nll}, $want->{nll}, 1e-4, "$case: nll");
        is($got->{tokens}, $want->{tokens}, "$case: targets");
        is($got->{left_out} // 0, 99 - $want->{tokens}, "$case: what is left out is said");
        is(evaluate("-m $model $case --batch-tokens 1 long.ft")->{tokens}, $want->{tokens}, "$case: window by window");
    }
    near(evaluate("-m $model --window 100 long.ft")->{nll}, evaluate("-m $model long.ft")->{nll}, 1e-12, 'a window that is large enough');
    refuses('nothing but less than a window', 'shorter than one', "ft-eval -m $model --like llama.cpp long.ft");
    refuses('a stride with holes', 'skip tokens', "ft-eval -m $model --window 10 --stride 11 long.ft");
    for my $wrong ('--stride 5', '--window 10 --per-token', '--compare', '--by-source --per-document') {
        my (undef, $status) = run("ft-eval -m $model $wrong long.ft");
        is($status, 2, "$wrong is wrong usage");
    }
}

# The fields of the summary follow from those of the documents.
{
    my $sum = evaluate("-m $model llama.ft");
    my @lines = lines("-m $model --per-document llama.ft");
    my ($n, $nll, $squares) = (0, 0, 0);
    $n += $_->{tokens}, $nll += $_->{nll} for @lines;
    $squares += ($_->{nll} - $nll / $n * $_->{tokens})**2 for @lines;
    near($sum->{mean_nll}, $nll / $n, 1e-12, 'the mean');
    near($sum->{stderr}, sqrt(@lines / (@lines - 1) * $squares) / $n, 1e-9, 'the standard error, by document');
    is($sum->{documents}, 3, 'number of documents');
    ok(exists $sum->{bits_per_byte} && !defined $sum->{bits_per_byte}, 'no bits per byte where the bytes are unknown');
    near($lines[1]{mean_nll}, $lines[1]{nll} / $lines[1]{tokens}, 1e-12, 'the mean of a document');
    spew_json('bytes.jsonl', map { {%{$documents[$_]}, bytes => 100 * $_ + 50} } 0 .. 2);
    run("ft-pack -m $model -o bytes.ft bytes.jsonl");
    $sum = evaluate("-m $model bytes.ft");
    near($sum->{bits_per_byte}, $nll / log(2) / 450, 1e-9, 'bits per byte');
    is($sum->{text_bytes}, 450, 'bytes');
    spew_json('one.jsonl', {%{$documents[2]}, source => 'book'});
    run("ft-pack -m $model -o one.ft one.jsonl");
    ok(!defined evaluate("-m $model one.ft")->{stderr}, 'one document has no standard error');
    is((lines("-m $model --per-document one.ft"))[0]{source} // '', 'book', 'the source');
}

# Whole distributions: against the base, against what another run saved, and how sure the model is.
{
    my $adapter = "$model/lora/initial";
    my $compared = evaluate("-m $model -a $adapter --compare sources.ft");
    my $kl = evaluate("-m $model -a $adapter --kl --calibration sources.ft");
    near($kl->{$_}{nll}, $compared->{$_}{nll}, 1e-6, "--kl: nll, $_") for qw(base tuned);
    ok($kl->{divergence}{mean_kl} > 0.1 && $kl->{divergence}{max} >= $kl->{divergence}{q99} && $kl->{divergence}{q99} >= $kl->{divergence}{median},
        'a divergence', encode_json($kl->{divergence}));
    my $none = evaluate("-m $model -a $adapter:0 --kl sources.ft")->{divergence};
    is("$none->{mean_kl} $none->{max} $none->{same_top} $none->{rms_delta_p}", '0 0 1 0', 'none from itself');
    my @lines = lines("-m $model -a $adapter --kl --per-document sources.ft");
    my ($sum, $n) = (0, 0);
    $sum += $_->{mean_kl} * $_->{tokens}, $n += $_->{tokens} for @lines;
    near($sum / $n, $kl->{divergence}{mean_kl}, 1e-6, 'documents add up to the mean');
    my ($book) = lines("-m $model -a $adapter --kl --by-source sources.ft");
    near($book->{divergence}{mean_kl}, ($lines[0]{mean_kl} * $lines[0]{tokens} + $lines[2]{mean_kl} * $lines[2]{tokens})
            / ($lines[0]{tokens} + $lines[2]{tokens}), 1e-6, 'a source has that of its documents');
    is(scalar run("ft-eval -m $model -a $adapter --kl --threads 1 sources.ft"), scalar run("ft-eval -m $model -a $adapter --kl --threads 3 sources.ft"),
        'the same bytes with one thread and three');

    my @bins = @{$kl->{tuned}{bins}};
    my ($tokens, $ece) = (0, 0);
    for (grep { $_->{tokens} } @bins) {
        $tokens += $_->{tokens};
        $ece += $_->{tokens} * abs($_->{accuracy} - $_->{confidence});
    }
    is("$tokens " . @bins, "$kl->{tuned}{tokens} 10", 'every target is in one of ten bins');
    near($kl->{tuned}{ece}, $ece / $tokens, 1e-6, 'the expected calibration error');
    is(scalar @{evaluate("-m $model --calibration --bins 3 sources.ft")->{bins}}, 3, 'so many bins');

    my $plain = run("ft-eval -m $model sources.ft");
    is(scalar run("ft-eval -m $model --save-logits saved sources.ft"), $plain, 'saving changes nothing else');
    my $saved = evaluate("-m $model -a $adapter --base-logits saved sources.ft");
    near($saved->{$_}{nll}, $compared->{$_}{nll}, 1e-6, "--base-logits: nll, $_") for qw(base tuned);
    near($saved->{divergence}{$_}, $kl->{divergence}{$_}, 1e-4, "--base-logits: $_") for qw(mean_kl stderr median q99 max same_top rms_delta_p);
    is(scalar run("ft-eval -m $model -a $adapter --base-logits saved --batch-tokens 1 sources.ft | wc -l"), "1\n", 'another batch');
    my $piped = run("ft-eval -m $model --save-logits - -o out.json sources.ft | gzip | ft-eval -m $model -a $adapter --base-logits - sources.ft");
    near(decode_json($piped)->{divergence}{mean_kl}, $saved->{divergence}{mean_kl}, 1e-9, 'through a pipe');
    run("ft-eval -m $model --save-logits long.saved --window 16 --stride 8 sources.ft");
    my $windows = evaluate("-m $model --base-logits long.saved --window 16 --stride 8 sources.ft");
    ok($windows->{divergence}{max} < 1e-5 && $windows->{divergence}{same_top} == 1, 'windows', encode_json($windows->{divergence}));

    my $wants = "ft-eval -m $model --base-logits saved";
    refuses('distributions of other documents', 'saved: was made from', "$wants one.ft");
    refuses('or of other windows', 'saved: was made from other documents or windows', "$wants --window 16 sources.ft");
    spew_json('first.jsonl', {%{$documents[0]}, source => 'book'});
    run("ft-pack -m $model --length 64 -o first.ft first.jsonl; ft-eval -m $model --save-logits first.saved first.ft; ft-eval -m $model --save-logits twice.saved first.ft first.ft");
    refuses('or of fewer', 'first.saved: was made from other documents', "ft-eval -m $model --base-logits first.saved first.ft first.ft");
    refuses('or of more', 'twice.saved: was made from more documents', "ft-eval -m $model --base-logits twice.saved first.ft");
    refuses('no distributions', 'holds no distributions', "ft-eval -m $model --base-logits sources.ft sources.ft");
    refuses('of another vocabulary', 'saved: is of a vocabulary of 288, the model has', "ft-eval -m $models/llama_sharded --base-logits saved sources.ft")
        if -d "$models/llama_sharded";
    refuses_cut('cut off at 50 places', 'saved', 'saved: is cut off', "$wants sources.ft");
    refuses('a full disk', 'No space left', "ft-eval -m $model --save-logits /dev/full sources.ft") if -e '/dev/full';
    run("ft-eval -m $model --save-logits half.saved empty.ft");
    ok(!-e 'half.saved', 'no file of a run that failed');
    for my $wrong ('--kl', '--save-logits x --base-logits saved', "-a $adapter --kl --base-logits saved", '--save-logits -', '--calibration --per-token', '--bins 0') {
        my (undef, $status) = run("ft-eval -m $model $wrong sources.ft");
        is($status, 2, "$wrong is wrong usage");
    }
}

# How the stream comes changes nothing.
{
    my $want = run("ft-eval -m $model --per-token llama.ft");
    is(scalar run("ft-eval -m $model --per-token --threads 1 llama.ft"), $want, 'the same bytes with one thread');
    is(scalar run("ft-eval -m $model --per-token --threads 3 llama.ft"), $want, 'the same bytes with three');
    is(scalar run("cat llama.ft | ft-eval -m $model --per-token"), $want, 'the same bytes from a pipe');
    is(scalar run("gzip -c llama.ft | ft-eval -m $model --per-token -"), $want, 'the same bytes compressed');
    run("ft-eval -m $model --per-token -o out.jsonl llama.ft");
    is(slurp('out.jsonl'), $want, 'the same bytes in a file');
    my $all = run("ft-eval -m $model --per-document --batch-tokens 1 llama.ft");
    my @apart = map { decode_json($_)->{nll} } split /\n/, $all;
    my @together = map { $_->{nll} } lines("-m $model --per-document llama.ft");
    ok(!(grep { abs($apart[$_] - $together[$_]) > 1e-5 * $together[$_] } 0 .. 2), 'documents one by one', "@apart", "@together");
    my @twice = lines("-m $model --per-document llama.ft llama.ft");
    is(join(' ', map { $_->{id} } @twice), 'd0 d1 d2 d0 d1 d2', 'two files are one input');
    @twice = map { decode_json($_)->{id} } split /\n/, run("cat llama.ft llama.ft | ft-eval -m $model --per-document");
    is("@twice", 'd0 d1 d2 d0 d1 d2', 'and so is their concatenation');
}

# Parts of a document are joined.
{
    spew_json('long.jsonl', map { {id => "d$_", ids => $documents[$_]{ids}} } 0 .. 2);
    run("ft-pack -m $model --length 16 --seed 5 -o long.ft long.jsonl");
    my @got = lines("-m $model --per-token long.ft");
    is(join(' ', map { "$_->{id}:" . @{$_->{logprobs}} . ":$_->{tokens}" } @got), 'd0:7:6 d1:23:22 d2:41:40', 'parts are one document again');
    ok(!(grep { my $d = $_; grep { !defined $d->{logprobs}[$_] } 1 .. $#{$d->{logprobs}} } @got), 'with every log p but the first');
    is(evaluate("-m $model long.ft")->{documents}, 3, 'and count as one');
    my @trained = ((0) x 31, (1) x 10);
    spew_json('late.jsonl', {id => 'late', ids => $documents[2]{ids}, trained => \@trained});
    run("ft-pack -m $model --length 16 -o late.ft late.jsonl");
    @got = lines("-m $model --per-document late.ft");
    is(join(' ', map { "$_->{id}:$_->{part}:$_->{tokens}" } @got), 'late:2:10', 'a missing first part is told');
}

# Adapters.
{
    my $lora = "$model/lora";
    my $want = decode_json(slurp("$lora/expected.json"));
    my $base = evaluate("-m $model llama.ft")->{mean_nll};
    my $initial = evaluate("-m $model -a $lora/initial llama.ft")->{mean_nll};
    my $after = evaluate("-m $model -a $lora/after3/ llama.ft")->{mean_nll};
    near($initial, $want->{losses}[0], 1e-5, 'with an adapter');
    near($after, $want->{loss_after}, 1e-5, 'with the one that was trained');
    ok(abs($base - $initial) > 0.01, 'it does change the loss');
    near(evaluate("-m $model -a $lora/initial:0.25 -a $lora/initial:0.75 llama.ft")->{mean_nll}, $initial, 1e-6, 'weights add up');
    near(evaluate("-m $model -a $lora/after3 -a $lora/initial:1 -a $lora/initial:-1 llama.ft")->{mean_nll}, $after, 1e-6, 'and subtract');
    near(evaluate("-m $model -a $lora/initial:0 llama.ft")->{mean_nll}, $base, 1e-6, 'weight 0 is the base');
}

# Straight from text, with a model that has a tokenizer.
{
    make_model('model');
    spew_json('docs.jsonl', {id => 'a', text => 'Some text to be scored, of no great length.'},
        {id => 'b', messages => [{role => 'user', content => 'Well?'}, {role => 'assistant', content => 'So it is.'}]});
    run('ft-tok -m model docs.jsonl | ft-pack -m model -o docs.ft');
    my $shard = run('ft-eval -m model --per-token docs.ft');
    is(scalar run('ft-tok -m model docs.jsonl | ft-eval -m model --per-token'), $shard, 'a token stream scores as its shard does');
    my $sum = evaluate('-m model docs.ft');
    is($sum->{text_bytes} // 'none', length('ome text to be scored, of no great length.') + length('So it is.'), 'bytes of the text that is learnt');
    near($sum->{bits_per_byte}, $sum->{nll} / log(2) / $sum->{text_bytes}, 1e-12, 'bits per byte of text');
    is($sum->{words}, 8 + 2 + 2, 'words: pieces between white space, an empty one before a blank included');
    near($sum->{word_ppl}, exp($sum->{nll} / $sum->{words}), 1e-12, 'perplexity by the word');
    near($sum->{byte_ppl}, exp($sum->{nll} / $sum->{text_bytes}), 1e-12, 'and by the byte');

    # BOS, or EOS in its place, before documents; and windows like lm-evaluation-harness.
    my $text = "A text, of \x{a0} some  length\n\nand blanks. ";
    spew_json('text.jsonl', {text => $text});
    run('ft-tok -m model --train-on=all text.jsonl | ft-pack -m model -o text.ft');
    my @ids = @{(json_lines(scalar run('ft-dump --json text.ft')))[0]{ids}};
    my ($config, $vocab) = map { decode_json(slurp("model/$_")) } 'tokenizer_config.json', 'tokenizer.json';
    my ($begin) = map { my $name = $_; map { $_->{id} } grep { $_->{content} eq $name } @{$vocab->{added_tokens}} }
        grep { defined } $config->{bos_token} // $config->{eos_token};
    my $nll = sub { # of pieces: ids, and from which on they count
        spew_json('pieces.jsonl', map { my ($from, @piece) = @$_; {ids => \@piece, trained => [map { $_ < $from ? 0 : 1 } 0 .. $#piece]} } @_);
        run('ft-pack -m model -o pieces.ft pieces.jsonl');
        return evaluate('-m model pieces.ft')->{nll};
    };
    my $whole = evaluate('-m model --bos add text.ft');
    is($whole->{tokens}, scalar @ids, '--bos=add: the first token counts');
    near($whole->{nll}, $nll->([1, $begin, @ids]), 1e-9, 'and is predicted from BOS');
    my $bytes = do { my $encoded = $text; utf8::encode($encoded); length $encoded };
    is("$whole->{text_bytes} $whole->{words}", "$bytes " . (1 + (() = $text =~ /\s+/gu)), 'bytes and words of all the text');
    is(evaluate('-m model --bos add docs.ft')->{tokens}, $sum->{tokens} + 1, 'a prompt before what is learnt has none to count');
    is(evaluate('-m model --bos stream text.ft')->{tokens}, @ids - 1, '--bos=stream: as it is');
    is(scalar run('ft-tok -m model --train-on=all text.jsonl | ft-pack -m model --length 6 --overlong split | ft-eval -m model --bos add --per-document') =~ /"tokens":(\d+)/ && $1,
        scalar @ids, 'parts of a document begin as one');
    my @all = ($begin, @ids);
    for my $size (3, 5, @ids - 1, @ids, 99) {
        my @pieces;
        for (my $seen = 1; $seen < @all;) {
            my $end = $seen - 1 + $size + 1;
            $end = @all if $end > @all;
            my $from = $seen == 1 ? 0 : $end - $size - 1;
            push @pieces, [$seen - $from, @all[$from .. $end - 1]];
            $seen = $end;
        }
        near(evaluate("-m model --like lm-eval --window $size text.ft")->{nll}, $nll->(@pieces), 1e-6, "--like=lm-eval, windows of $size");
    }
    my $tokenizer = slurp('model/tokenizer.json');
    $tokenizer =~ s/<\|im_end\|>/<|the_end|>/g;
    mkdir 'other';
    copy("model/$_", "other/$_") for 'config.json', 'model.safetensors', 'tokenizer_config.json';
    spew('other/tokenizer.json', $tokenizer);
    refuses('a stream of another tokenizer', 'docs.ft: made with another tokenizer', 'ft-eval -m other docs.ft');
    refuses('or a pipe of one', 'stdin: made with another tokenizer', 'ft-eval -m other <docs.ft');
}

# Wrong input.
{
    refuses_cut('a shard cut off at 50 places', 'llama.ft', 'llama.ft: ', "ft-eval -m $model llama.ft");
    run("ft-pack -m $models/llama_sharded -o other.ft long.jsonl");
    refuses('a larger vocabulary', 'other.ft: made for a vocabulary of 320, the model has 288', "ft-eval -m $model other.ft");
    refuses('a folder as the stream', 'llama', "ft-eval -m $model $model");
    refuses('no such stream', 'none.ft', "ft-eval -m $model none.ft");
    refuses('an empty input', 'stdin', "ft-eval -m $model </dev/null");
    refuses('text as the stream', 'llama.jsonl', "ft-eval -m $model llama.jsonl");
    refuses('no such model', 'none', 'ft-eval -m none llama.ft');
    refuses('no such adapter', 'none', "ft-eval -m $model -a none llama.ft");
    refuses("another model's adapter", 'llama3rope', "ft-eval -m $model -a $models/llama3rope/lora/initial llama.ft");
    refuses('a full disk', 'No space left', "ft-eval -m $model llama.ft >/dev/full") if -e '/dev/full';
    refuses('a full disk, line by line', 'No space left', "ft-eval -m $model --per-token llama.ft >/dev/full") if -e '/dev/full';
    refuses('a closed stdout', 'stdout', "ft-eval -m $model llama.ft >&-");
    refuses('an output in no folder', 'nowhere', "ft-eval -m $model -o nowhere/x llama.ft");
    my (undef, $status) = run('ft-eval llama.ft');
    is($status, 2, 'no model is wrong usage');
    mkdir 'half';
    copy("$model/$_", "half/$_") for 'config.json', 'model.safetensors';
    refuses_cut('a model cut off at 50 places', 'half/model.safetensors', 'half', 'ft-eval -m half llama.ft');
    refuses_cut('its config as well', 'half/config.json', 'half', 'ft-eval -m half llama.ft');
    mkdir 'adapter';
    copy("$model/lora/initial/$_", "adapter/$_") for 'adapter_config.json', 'adapter_model.safetensors';
    refuses_cut('an adapter cut off at 50 places', 'adapter/adapter_model.safetensors', 'adapter', "ft-eval -m $model -a adapter llama.ft");
    refuses_cut('its configuration as well', 'adapter/adapter_config.json', 'adapter', "ft-eval -m $model -a adapter llama.ft");
}

finish();

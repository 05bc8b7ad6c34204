#!/usr/bin/perl
# tuneutils.mk on a model of random weights: what is made, what is made anew and what isn't, table, report, verify.
use strict;
use warnings;
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $scratch = scratch('experiment');
my $share = "$ENV{SRCDIR}/doc/examples/experiment/tuneutils";
make_model('base');
spew('documents.jsonl', map { qq({"id":"d$_","messages":[{"role":"user","content":"Greet N$_ <b>&amp;</b>"},)
    . qq({"role":"assistant","content":"Hello N$_ </pre><script>alert($_)</script>"}]}\n) } 1 .. 26);
spew('Makefile', <<"END");
MODEL = base
DATA = 5 20
RATES = 2e-2
HELD = 6
PROMPTS = 4
TRAIN_FLAGS = --epochs 2 --batch 1
GEN_FLAGS = --max-tokens 4
PLAN_FLAGS = --seconds 0.1
TITLE = a <title> & more
METRIC = ./count
METRIC_NAME = with "quotes"
include $share/tuneutils.mk
END
spew('count', "#!/bin/sh\nexec awk 'END { printf \"{\\\"texts\\\":%d,\\\"kept\\\":%d}\\n\", NR, NR - 1 }' \"\$1\"\n");
chmod 0755, 'count';

# Runs make; the names of what was made, in order of name, one a word.
sub made {
    my ($arguments, $environment) = @_;
    my ($out, $status) = run(($environment // '') . " make -j2 $arguments");
    my $said = slurp('err');
    return "failed: $said" if $status;
    return join ' ', sort map { /^((?:data|before|runs)\/[^ :]*): / && !/waiting/ ? $1 : () } split /\n/, $said;
}

my $results = made('results');
my @runs = ('runs/20-r16-lr2e-2-s1', 'runs/5-r16-lr2e-2-s1');
for my $run (@runs, 'before') {
    ok(" $results " =~ m{ $run/$_ }, "$run/$_ is made", $results) for 'eval.json', 'gen.jsonl', 'metric.json';
}
is(made('results'), '', 'a second time nothing is made');
utime time, time, 'documents.jsonl', 'data/5.ft', 'base/config.json', "$runs[0]/adapter/adapter_model.safetensors";
is(made('results'), '', 'a file that was only touched changes nothing');
spew('documents.jsonl', slurp('documents.jsonl'), "\n");
is(made('results'), 'data/clean.jsonl', 'a change that the documents survive ends there');

# What depends on what.
sub of_runs {
    my (@files) = @_;
    return map { my $run = $_; map { "$run/$_" } @files } @runs;
}
sub names { return join ' ', sort @_; }
my @after = qw(eval.json gen.jsonl metric.json);
is(made("results TRAIN_FLAGS='--epochs 3 --batch 1'"), names(of_runs('adapter', @after)), 'an option of ft-train: runs, but no shards');
if ($ENV{TEST_LONG}) {
    is(made('results'), names(of_runs('adapter', @after)), 'and back');
    is(made("results GEN_FLAGS='--max-tokens 3'"), names('before/gen.jsonl', 'before/metric.json', of_runs('gen.jsonl', 'metric.json')),
        'an option of ft-gen: only completions');
    made('results');
    my @learnt = split /^/, slurp('data/all.jsonl');
    spew('more.jsonl', @learnt[0 .. 9], $learnt[10] =~ s/Hello/Hallo/r);
    my $more = made("results DATA='5 20 more'");
    ok($more =~ m{data/more.ft} && $more =~ m{runs/more-r16-lr2e-2-s1/eval.json} && $more !~ m{runs/(5|20)-|data/(5|20|held)\.}, 'a file of documents is a set, made beside the others', $more);

    # A program of another version, whose results are the same.
    mkdir 'bin';
    chomp(my $train = `sh -c 'command -v ft-train'`);
    my $plain = "#!/bin/sh\n[ \"\$1\" != --version ] || { echo 'ft-train (tuneutils) 9.9'; exit; }\n";
    spew('bin/ft-train', $plain, "exec $train \"\$@\"\n");
    chmod 0755, 'bin/ft-train';
    my $path = "PATH=$scratch/bin:\$PATH";
    is(made('results', $path), names(of_runs('adapter')), 'another version of ft-train trains again, and no more as its adapters are the same');
    ok(slurp('err') =~ /adapter: now by ft-train \(tuneutils\) 9\.9/, 'which is said', slurp('err'));
    made('results');

    # What isn't what was made.
    my $eval = slurp("$runs[0]/eval.json");
    spew("$runs[0]/eval.json", "{}\n");
    is(made('results'), "$runs[0]/eval.json", 'a result that was written over is made again');
    is(slurp("$runs[0]/eval.json"), $eval, 'as it was');
    unlink "$runs[1]/log.jsonl";
    is(made('results'), "$runs[1]/adapter", 'a log that is gone, too');
    my $explained = made('explain TRAIN_FLAGS="--epochs 4"');
    is($explained, names(of_runs('adapter')), 'make explain says what would be');
    is(made('results'), '', 'and makes nothing');

    # Failures.
    spew('count', "#!/bin/sh\necho half\nexit 3\n");
    ok(made('results') =~ /^failed: /, 'a command that fails is a failure');
    is(scalar run("cat before/metric.json runs/*/metric.json 2>/dev/null | grep -c half"), "0\n", 'which leaves no half file');
    spew('count', "#!/bin/sh\nexec awk 'END { printf \"{\\\"texts\\\":%d,\\\"kept\\\":%d}\\n\", NR, NR - 1 }' \"\$1\"\n");
    my $again = made('results');
    ok($again =~ /metric\.json/ && $again !~ /adapter|gen/, 'and goes on from there', $again);
    ok(made('results HELD=26') =~ /26 documents, wanted 26 and some to learn from/, 'nothing left to learn from is an error', slurp('err'));
    ok(made("results DATA=21") =~ /20 documents, wanted 21/, 'and so is a subset that is too large', slurp('err'));
    made('results');

    # A training that was interrupted goes on where it was, to the same bytes.
    my $hash = run("$share/stage --hash $runs[1]/adapter");
    spew('bin/ft-train', "#!/bin/sh\necho \"\$*\" >>$scratch/calls\n[ -e $scratch/interrupted ] && exec $train \"\$@\"\n[ \"\$1\" = --version ] && exec $train --version\n"
        . ">$scratch/interrupted\n$train \"\$@\" --stop-after 3\nexit 143\n");
    run("rm -rf $runs[1] .stamps/$runs[1] calls interrupted");
    ok(made("$runs[1]/adapter", $path) =~ /^failed: /, 'a training is interrupted');
    is(made("$runs[1]/adapter", $path), "$runs[1]/adapter", 'and gone on with');
    ok(slurp('calls') =~ /^--resume $runs[1]\/adapter/m, 'by --resume', slurp('calls'));
    is(scalar run("$share/stage --hash $runs[1]/adapter"), $hash, 'with the same result');
    run("rm -rf $runs[1] .stamps/$runs[1] calls interrupted");
    made("$runs[1]/adapter", $path);
    ok(made("$runs[1]/adapter TRAIN_FLAGS='--epochs 1'", $path) eq "$runs[1]/adapter" && slurp('calls') !~ /^--resume/m,
        'with other options it begins anew', slurp('calls'));

    # Two at once.
    run('rm -rf data before runs .stamps');
    run('make -j2 results >one 2>&1 & make -j2 results >two 2>&1; wait');
    my %times;
    $times{$_}++ for (slurp('one') . slurp('two')) =~ /^((?:data|before|runs)\S+): not made yet/mg;
    ok(%times && !(grep { $_ != 1 } values %times), 'two makes in one folder make each file once', map { "$_ $times{$_}" } grep { $times{$_} != 1 } keys %times);
}
made('results');

# Table and report.
my ($table, $status) = run('make -s table');
ok($status == 0 && $table =~ /^run +documents +steps .*perplexity +with "quotes"/, 'make table prints', $table, slurp('err'));
ok($table =~ /^$_ /m, "with a line for $_", $table) for 'before', map { s/runs\///r } @runs;
my ($heads, $first, @rest) = map { [split /\t/, $_, -1] } split /\n/, slurp('table.tsv');
ok(@rest == 2 && !(grep { @$_ != @$heads } $first, @rest), 'table.tsv is a table');
my %row;
@row{@$heads} = @{(grep { $_->[0] eq '20-r16-lr2e-2-s1' } @rest)[0]};
my $log = (grep { defined $_->{loss} } json_lines(slurp('runs/20-r16-lr2e-2-s1/log.jsonl')))[-1];
is("@row{qw(data documents rank rate seed steps tokens trained kept texts)}", "20 20 16 2e-2 1 $log->{step} $log->{tokens} $log->{trained} 3 4", 'of what is in the files');
near($row{ppl}, (json_lines(slurp('runs/20-r16-lr2e-2-s1/eval.json')))[0]{ppl}, 1e-5, 'the perplexity among them');

run('make -s report');
my $page = slurp('report.html');
ok($page =~ /^<!DOCTYPE html>/ && $page =~ /<\/html>\n\z/, 'report.html is a page', slurp('err'));
ok($page =~ /<title>a &lt;title&gt; &amp; more<\/title>/, 'titles are escaped');
ok($page =~ /Hello N\d+ &lt;\/pre&gt;&lt;script&gt;alert\(\d+\)/ && $page !~ /<script|<b>&amp;amp;<\/b>/, 'and so is what documents say');
ok($page !~ /(src|href)=["']?(http|\/\/)/, 'nothing is fetched from elsewhere');
if (system('command -v gnuplot >/dev/null') == 0) {
    ok((() = $page =~ /<svg/g) >= 3, 'the figures are in it');
    my %ids;
    $ids{$_}++ for $page =~ / id=["']([^"']+)/g;
    ok(!(grep { $_ > 1 } values %ids), 'no id stands twice', grep { $ids{$_} > 1 } keys %ids);
}
if ($ENV{TEST_LONG}) {
    run("mkdir bare; ln -s /bin/* /usr/bin/* bare 2>/dev/null; rm -f bare/gnuplot*");
    run("PATH=$ENV{BUILDDIR}/bin:$scratch/bare make -s report");
    $page = slurp('report.html');
    ok($page =~ /There are none, as gnuplot isn't installed/ && $page !~ /<svg/, 'without gnuplot it says so', slurp('err'));

    # Verify.
    my ($out, $code) = run('make -s -j2 verify');
    ok($code == 0 && $out =~ m{^same     runs/5-r16-lr2e-2-s1/adapter$}m && $out =~ /all \d+ files are the same/, 'make verify makes all again', $out, slurp('err'));
    my $model = slurp("$runs[0]/adapter/adapter_model.safetensors");
    substr($model, -1) = chr(ord(substr $model, -1) ^ 1);
    spew("$runs[0]/adapter/adapter_model.safetensors", $model);
    ($out, $code) = run('make -s -j2 verify');
    ok($code != 0 && $out =~ /^DIFFERS  $runs[0]\/adapter$/m && 1 == (() = $out =~ /DIFFERS/g), 'and finds what isn\'t as it was', $out);

    ($out, $status) = run('make -s best');
    my ($name) = split /\n/, $out;
    ok($status == 0 && -s 'best.gguf' && $name =~ /^20-/, 'make best merges the best run', $out, slurp('err'));
}

# The readers and the shuffle.
is(scalar run("$share/take shuffled 1 documents.jsonl | sort"), scalar run('grep . documents.jsonl | sort'), 'shuffling loses nothing');
ok(scalar run("$share/take shuffled 1 documents.jsonl") ne scalar run("$share/take shuffled 2 documents.jsonl"), 'and goes by its seed');
for my $awk (grep { my ($name) = split / /; system("command -v $name >/dev/null") == 0 } 'mawk', 'gawk', 'busybox awk', 'original-awk') {
    spew('try.awk', 'BEGIN { while ((getline line <"cases") > 0) print json_read(line) ? "good " JSON["a", 1, "b"] "|" JSON["c"] : "bad" }');
    spew('cases', '{"a":[1,{"b":"x\u00e9\ud83d\ude00\n\"<"}],"c":-1.5e3}', "\n", '{"a":1', "\n[1,]\n{} x\n\"abc\n[1 2]\n", '{"c":null}', "\n", '[' x 200, "\n");
    is(scalar run("LC_ALL=C $awk -f $share/json.awk -f try.awk"), "good x\xc3\xa9\xf0\x9f\x98\x80\n\"<|-1.5e3\nbad\nbad\nbad\nbad\nbad\ngood |\nbad\n", "$awk reads JSON");
}
finish();

#!/usr/bin/perl
# ft-train --memory: a budget that is kept, and too small a one is refused before anything is written.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

scratch('memory');
run("$ENV{SRCDIR}/tests/make-model model vocab=4096 hidden=256 ffn=704 layers=3 heads=8 kv=4 positions=1024");
spew_json('rows.jsonl', map { my $i = $_; {id => "d$i", ids => [map { 3 + ($i * 64 + $_ * 7) % 4000 } 1 .. 40 + $i * 50]} } 0 .. 11);
run('ft-pack -m model --length 1024 rows.jsonl -o rows.ft');
my $longest = 40 + 11 * 50;

# What a run with those options needs at its peak, in MiB, as its log says it.
sub peak_of {
    my @log = do { run("ft-train -m model -o run --targets all-linear --steps 1 --batch 12 --log log @_ rows.ft"); json_lines(slurp('log')) };
    run('rm -rf run log');
    return @log ? $log[-1]{rss} / 2**20 : undef;
}

# A sanitizer keeps what is freed for a while.
my $counts = $ENV{BUILDDIR} !~ /asan/;
for my $backend ('fp32', `ft-train --help` =~ /bf16/ && `grep -c avx512_bf16 /proc/cpuinfo 2>/dev/null` > 0 ? 'bf16' : ()) {
    my $with = "--backend $backend";
    refuses("$backend: too little", 'MiB are needed', "ft-train -m model -o run --targets all-linear $with --memory 2M --steps 1 rows.ft");
    my ($need) = slurp('err') =~ /about (\d+) MiB/;
    ok(slurp('err') =~ /documents of $longest tokens/, "$backend: it says for which documents", slurp('err'));
    ok(!-e 'run', "$backend: and makes no folder");
    for my $budget ($need, int($need * 1.4), 3 * $need) {
        my $peak = peak_of("$with --memory ${budget}M");
        ok(defined $peak && (!$counts || $peak <= $budget), "$backend: $budget MiB are kept", $peak // slurp('err'));
    }
    my $peak = peak_of("$with --memory ${need}M");
    ok(!$counts || $peak > 0.9 * $need - 32, "$backend: and the smallest isn't far from what is used", "$peak of $need MiB");
    # The estimate beside what is measured, as ft-plan says both.
    spew('here.json', '{"format":"tuneutils machine 1","memory":1e11,"fp32":1e9,"bf16":1e9}');
    my ($said) = json_lines(scalar run("ft-plan --json --alone -m model --targets all-linear --batch 12 $with --machine here.json rows.ft"));
    my ($measured) = json_lines(scalar run("ft-plan --json --alone -m model --targets all-linear --batch 12 $with --seconds 0.1 rows.ft"));
    my $more = $said->{memory} - $measured->{memory}; # code, panels of products: whatever the model's size
    ok(!$counts || $more > 0 && $more < 0.1 * $measured->{memory} + 2**25, "$backend: ft-plan's estimate",
        "$said->{memory} of $measured->{memory}");
}

finish();

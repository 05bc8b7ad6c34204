#!/usr/bin/perl
# ft-merge --report-error: what it says is what the written tensors show.
use strict;
use warnings;
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $model = "$ENV{SRCDIR}/tests/data/models/llama";
scratch('ft-merge-rounding');

sub names {
    my ($path) = @_;
    my $bytes = slurp($path);
    return grep { $_ ne '__metadata__' } sort keys %{decode_json(substr $bytes, 8, unpack 'Q<', $bytes)};
}

# Percent of all tensors and of the worst, and its name, between two folders of F32.
sub difference {
    my ($computed, $written) = @_;
    my ($lost, $all, $worst, $where) = (0, 0, 0, '');
    for my $name (names("$computed/model.safetensors")) {
        my ($l, $a) = (0, 0);
        my @x = tensor("$computed/model.safetensors", $name);
        my @y = tensor("$written/model.safetensors", $name);
        for (0 .. $#x) {
            $l += ($x[$_] - $y[$_])**2;
            $a += $x[$_]**2;
        }
        ($worst, $where) = ($l / $a, $name) if $l / $a > $worst;
        $lost += $l;
        $all += $a;
    }
    return (100 * sqrt($lost / $all), 100 * sqrt $worst, $where);
}

run("ft-merge -m $model -a $model/lora/initial -o exact --type f32 --report-error");
ok(slurp('err') =~ /rounding changes nothing/, 'f32 loses nothing', slurp('err'));
for my $case (['bf16', 'rounded'], ['f16', 'rounded'], ['q8_0', 'rounded.gguf']) {
    my ($type, $out) = @$case;
    system 'rm -rf rounded rounded.gguf back';
    run("ft-merge -m $model -a $model/lora/initial -o $out --type $type --report-error");
    my ($all, $name, $worst) = slurp('err') =~ /weights by (\S+) %, most of all (\S+) by (\S+) %/;
    run("ft-merge -m $out -o back --type f32");
    my @want = difference('exact', 'back');
    near($all, $want[0], 0.01, "$type: the error of all");
    near($worst, $want[1], 0.01, "$type: of the worst");
    is($name // '', $want[2], "$type: which that is");
}
run("ft-merge -m $model -o plain --type bf16");
is(slurp('err'), '', 'nothing is said unless asked');

finish();

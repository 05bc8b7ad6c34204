#!/usr/bin/perl
# ft-tok as it is typed: ids equal to those of reference files, decoding, masks, wrong input.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $data = "$ENV{SRCDIR}/tests/data";
my $dir = scratch('ft-tok');

for my $name ('tiny_bpe', 'tiny_unigram') {
    open my $f, '<', "$data/tokenizer/$name.ids.jsonl" or die;
    my @want = map { $json->decode($_) } <$f>;
    my $texts = join '', map { $json->encode({ text => $_->{text} }) . "\n" } @want;
    for my $mode (['ids', '--no-specials'], ['ids_special', '']) {
        my ($key, $flag) = @$mode;
        my ($status, $out, $err) = feed("ft-tok -m $data/tokenizer/$name --ids --train-on all --allow-special $flag", $texts);
        my @got = json_lines($out);
        my @wrong = grep { $json->encode($got[$_]{ids}) ne $json->encode($want[$_]{$key}) } 0 .. $#want;
        ok($status == 0 && @got == @want && !@wrong, "$name: $key of " . @want . ' texts',
            @wrong ? "text $wrong[0]: " . $json->encode($got[$wrong[0]]{ids}) : $err);
        my @threads = map { (feed("ft-tok -m $data/tokenizer/$name --threads $_ --ids --train-on all $flag", $texts))[1] } 1, 3;
        ok($threads[0] eq $threads[1], "$name: the same bytes with 1 and 3 threads");
    }
    my @ids = grep { @{ $_->{ids} } } @want;
    my ($status, $out) = feed("ft-tok -m $data/tokenizer/$name --decode", join('', map { $json->encode({ ids => $_->{ids} }) . "\n" } @ids));
    my @got = json_lines($out);
    my @wrong = grep { $got[$_]{text} ne $ids[$_]{decoded} } 0 .. $#ids;
    ok($status == 0 && !@wrong, "$name: decoding", @wrong ? "text $wrong[0]: " . $json->encode($got[$wrong[0]]) : undef);
}

# Left to itself, a text ends with EOS, once.
my ($status, $out) = feed("ft-tok -m $data/tokenizer/tiny_bpe --ids", qq({"text":"abc"}\n));
my ($plain) = json_lines($out);
ok($plain->{ids}[-1] == 0 && $plain->{trained}[0] == 0 && $plain->{trained}[-1] == 1, 'a text ends with EOS, which is learnt');

for my $case (
    ['not json', 'no JSON', qr/^ft-tok: stdin:1: /],
    [qq({"text":"a"}\n{"txet":"b"}\n), 'an unknown shape', qr/^ft-tok: stdin:2: /],
    [qq({"messages":[{"role":"user","content":"hi"}]}\n), 'a chat without a template or an answer', qr/^ft-tok: /],
    ['', 'nothing', qr/^ft-tok: /],
) {
    my ($input, $name, $want) = @$case;
    my ($rc, $stdout, $err) = feed("ft-tok -m $data/tokenizer/tiny_bpe", $input);
    ok($rc == 1 && $err =~ $want && $err =~ tr/\n// == 1, "$name: one line and status 1", "$rc $err");
}
# Tokenizer files that are damaged or made to harm.
for my $case (['an empty tokenizer.json', ''], ['one that is cut off', '{"model":{"type":"BPE","vocab":{"a":0'],
    ['one that is not JSON', "\0\1\2"], ['a list', '[]']) {
    my ($name, $text) = @$case;
    mkdir "$dir/model";
    open my $f, '>', "$dir/model/tokenizer.json" or die;
    print $f $text;
    close $f;
    my ($rc, $stdout, $err) = feed("ft-tok -m $dir/model --ids", qq({"text":"a"}\n));
    ok($rc == 1 && $stdout eq '' && $err =~ /^ft-tok: .*tokenizer\.json/ && $err =~ tr/\n// == 1, "$name: one line and status 1",
        "$rc $err");
}
finish();

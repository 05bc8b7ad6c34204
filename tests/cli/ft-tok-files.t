#!/usr/bin/perl
# ft-tok with tokenizers that aren't tokenizer.json: tiktoken's rank files, SentencePiece's models,
# a folder that has only one of them, and what is said of files that are none.
use strict;
use warnings;
use File::Copy 'copy';
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $data = "$ENV{SRCDIR}/tests/data/tokenizer";
my $dir = scratch('ft-tok-files');

sub ids_of {
    my ($model, @options) = @_;
    my ($status, $out, $err) = feed("ft-tok -m $model --ids --train-on all @options", "{\"text\":\"The foo  is 12345.\"}\n");
    return $status ? "$status $err" : $json->encode($json->decode($out)->{ids});
}

for my $file ('sp_bpe.model', 'sp_unigram.model', 'cl100k_tiny.tiktoken') {
    my ($set) = $file =~ /^(\w+)/;
    my @want = map { $json->decode($_) } split /\n/, slurp("$data/$set.ids.jsonl");
    my $texts = join '', map { $json->encode({ text => $_->{text} }) . "\n" } @want;
    my (undef, $out, $err) = feed("ft-tok -m $data/$file --ids --train-on all --allow-special --no-specials", $texts);
    my @got = map { $json->decode($_) } split /\n/, $out;
    my @wrong = grep { $json->encode($got[$_]{ids}) ne $json->encode($want[$_]{ids}) } 0 .. $#want;
    ok(@got == @want && !@wrong, "$file: ids", "$err @wrong");

    my $folder = "$dir/$set";
    mkdir $folder;
    copy("$data/$file", "$folder/$file") or die;
    ok(ids_of($folder) eq ids_of("$data/$file"), "$file: a folder that has only it", ids_of($folder));
    my ($status, $stream) = feed("ft-tok -m $folder --train-on all -o $dir/$set.ft input && ft-dump --stats $dir/$set.ft", $texts);
    ok($status == 0 && $stream =~ /tokens/, "$file: a token stream");
    my $bytes = slurp("$data/$file");
    my $cut = substr $bytes, 0, length($bytes) - ($file =~ /model/ ? 3 : 4000);
    spew("$dir/cut.$set" . ($file =~ /(\.\w+)$/)[0], $cut);
    ($status, $out, $err) = feed("ft-tok -m $dir/cut.$set" . ($file =~ /(\.\w+)$/)[0] . ' --ids', "{\"text\":\"a\"}\n");
    ok($status == 1 && $out eq '' && $err =~ /^ft-tok: \Q$dir\E\/cut\.\S+: [^\n]+\n\z/, "$file: cut off", $err);
}

# tokenizer_config.json beside one of them.
spew("$dir/sp_bpe/tokenizer_config.json", $json->encode({
    add_bos_token => JSON::PP::false, add_eos_token => JSON::PP::true, eos_token => '</s>',
    added_tokens_decoder => { 900 => { content => '<|turn|>', special => JSON::PP::true } } }));
my $plain = $json->decode(ids_of("$data/sp_bpe.model", '--no-specials'));
ok(ids_of("$dir/sp_bpe") eq $json->encode([@$plain, 2]), 'tokenizer_config.json: add_bos_token, add_eos_token', ids_of("$dir/sp_bpe"));
my (undef, $out) = feed("ft-tok -m $dir/sp_bpe --ids --train-on all --allow-special --no-specials", "{\"text\":\"<|turn|>\"}\n");
ok($json->encode($json->decode($out)->{ids}) eq '[900]', 'tokenizer_config.json: added tokens');

# What the name or the number of ranks must tell.
copy("$data/cl100k_tiny.tiktoken", "$dir/mine.tiktoken") or die;
my ($status, undef, $err) = feed("ft-tok -m $dir/mine.tiktoken --ids", '');
ok($status == 1 && $err =~ /mine\.tiktoken: \d+ ranks are none of the known encodings: name the file after/, 'ranks of no known encoding', $err);
copy("$data/cl100k_tiny.tiktoken", "$dir/r50k.tiktoken") or die;
ok(ids_of("$dir/r50k.tiktoken") =~ /^\[/ && ids_of("$dir/r50k.tiktoken") ne ids_of("$data/cl100k_tiny.tiktoken"), 'the name tells the pattern');

my @bad = (
    ['no base64', "cl100k.tiktoken", "IQ== 0\nI!== 1\n", qr/line 2: the token is not base64/],
    ['no rank', "cl100k.tiktoken", "IQ== 0\nIg==\n", qr/line 2: expected a token in base64, a space and its rank/],
    ['a rank too high', "cl100k.tiktoken", "IQ== 99999999999\n", qr/line 1: expected a rank of at most/],
    ['a rank twice', "cl100k.tiktoken", "IQ== 0\nIg== 0\n", qr/line 2: token id 0 is both/],
    ['a token twice', "cl100k.tiktoken", "IQ== 0\nIQ== 1\n", qr/line 2: token "!" has two ids/],
    ['bytes missing', "cl100k.tiktoken", "IQ== 0\nIg== 1\n", qr/byte 0x00 is no token/],
    ['no pieces', "x.model", "\n\0", qr/piece 0: its text is empty/],
    ['a bad field', "x.model", "\n\3\n\1a\7", qr/byte 5: field number 0|byte 5: wire type 7/],
    ['a model type of no kind', "x.model", "\n\3\n\1a" . "\x12\2\x18\7", qr/model type 7 is not known/],
    ['an endless number', "x.model", "\n\3\n\1a" . "\xff" x 12, qr/byte 5: cut off/],
    ['a piece twice', "x.model", "\n\3\n\1a\n\3\n\1a", qr/piece 1: token "a" has two ids/],
);
for my $case (@bad) {
    my ($name, $file, $bytes, $want) = @$case;
    spew("$dir/$file", $bytes);
    my ($status, $out, $err) = feed("ft-tok -m $dir/$file --ids", "{\"text\":\"a\"}\n");
    ok($status == 1 && $out eq '' && $err =~ /^ft-tok: \Q$dir\/$file\E: $want/ && $err =~ tr/\n// == 1, "refused: $name", $err);
}

copy("$data/sp_bpe.model", "$dir/sp_unigram/other.model") or die;
($status, undef, $err) = feed("ft-tok -m $dir/sp_unigram --ids", '');
ok($status == 1 && $err =~ /has two tokenizers, other\.model and sp_unigram\.model/, 'refused: two in a folder', $err);
mkdir "$dir/empty";
($status, undef, $err) = feed("ft-tok -m $dir/empty --ids", '');
ok($status == 1 && $err =~ /has no tokenizer: no tokenizer\.json, tokenizer\.model or \*\.tiktoken/, 'refused: none in a folder', $err);
finish();

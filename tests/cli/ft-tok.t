#!/usr/bin/perl
# ft-tok as it is typed: ids equal to those of reference files, decoding, masks, wrong input.
use strict;
use warnings;
use JSON::PP;
use File::Temp 'tempdir';

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $data = "$ENV{SRCDIR}/tests/data";
my $dir = tempdir(CLEANUP => 1);
my $count = 0;

sub ok($$@) { # the first one's truth, though it be a match that would be an empty list
    my ($ok, $name, $why) = @_;
    $count++;
    print $ok ? "ok $count - $name\n" : "not ok $count - $name\n";
    print "# $_\n" for $ok || !defined $why ? () : split /\n/, $why;
}

# Runs a command line on a text; returns status, stdout, stderr.
sub run {
    my ($input, @command) = @_;
    open my $in, '>', "$dir/in" or die;
    print $in $input;
    close $in;
    my $status = system("@command <$dir/in >$dir/out 2>$dir/err") >> 8;
    return ($status, map { local $/; open my $f, '<', $_ or die; <$f> // '' } "$dir/out", "$dir/err");
}

sub lines_of { map { $json->decode($_) } split /\n/, $_[0] }

for my $name ('tiny_bpe', 'tiny_unigram') {
    open my $f, '<', "$data/tokenizer/$name.ids.jsonl" or die;
    my @want = map { $json->decode($_) } <$f>;
    my $texts = join '', map { $json->encode({ text => $_->{text} }) . "\n" } @want;
    for my $mode (['ids', '--no-specials'], ['ids_special', '']) {
        my ($key, $flag) = @$mode;
        my ($status, $out, $err) = run($texts, "ft-tok -m $data/tokenizer/$name --ids --train-on all --allow-special $flag");
        my @got = lines_of($out);
        my @wrong = grep { $json->encode($got[$_]{ids}) ne $json->encode($want[$_]{$key}) } 0 .. $#want;
        ok($status == 0 && @got == @want && !@wrong, "$name: $key of " . @want . ' texts',
            @wrong ? "text $wrong[0]: " . $json->encode($got[$wrong[0]]{ids}) : $err);
        my @threads = map { (run($texts, "ft-tok -m $data/tokenizer/$name --threads $_ --ids --train-on all $flag"))[1] } 1, 3;
        ok($threads[0] eq $threads[1], "$name: the same bytes with 1 and 3 threads");
    }
    my @ids = grep { @{ $_->{ids} } } @want;
    my ($status, $out) = run(join('', map { $json->encode({ ids => $_->{ids} }) . "\n" } @ids),
        "ft-tok -m $data/tokenizer/$name --decode");
    my @got = lines_of($out);
    my @wrong = grep { $got[$_]{text} ne $ids[$_]{decoded} } 0 .. $#ids;
    ok($status == 0 && !@wrong, "$name: decoding", @wrong ? "text $wrong[0]: " . $json->encode($got[$wrong[0]]) : undef);
}

# Left to itself, a text ends with EOS, once.
my ($status, $out) = run(qq({"text":"abc"}\n), "ft-tok -m $data/tokenizer/tiny_bpe --ids");
my ($plain) = lines_of($out);
ok($plain->{ids}[-1] == 0 && $plain->{trained}[0] == 0 && $plain->{trained}[-1] == 1, 'a text ends with EOS, which is learnt');

for my $case (
    ['not json', 'no JSON', qr/^ft-tok: stdin:1: /],
    [qq({"text":"a"}\n{"txet":"b"}\n), 'an unknown shape', qr/^ft-tok: stdin:2: /],
    [qq({"messages":[{"role":"user","content":"hi"}]}\n), 'a chat without a template or an answer', qr/^ft-tok: /],
    ['', 'nothing', qr/^ft-tok: /],
) {
    my ($input, $name, $want) = @$case;
    my ($rc, $stdout, $err) = run($input, "ft-tok -m $data/tokenizer/tiny_bpe");
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
    my ($rc, $stdout, $err) = run(qq({"text":"a"}\n), "ft-tok -m $dir/model --ids");
    ok($rc == 1 && $stdout eq '' && $err =~ /^ft-tok: .*tokenizer\.json/ && $err =~ tr/\n// == 1, "$name: one line and status 1",
        "$rc $err");
}
print "1..$count\n";

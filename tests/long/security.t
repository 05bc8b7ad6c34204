#!/usr/bin/perl
# Files made to do harm: names that lead out, links, bombs, depth, templates without end. Each is refused or
# left out with a message, in little memory, and nothing of what they reach for shows.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $dir = scratch('security');
make_model('model');
spew('secret', "the secret of $dir\n");
mkdir 'docs';

# Exit status and everything that was said, with 1 GiB of address space at most where that can be set.
my $limited = ($ENV{BUILDDIR} // "") =~ /san/ ? "" : "ulimit -v 1500000; ";
sub outcome {
    my ($command) = @_;
    my ($out, $status) = run("bash -c '$limited timeout 60 $command'");
    return ($status, $out . slurp('err'));
}

sub harmless {
    my ($name, $command, $pattern) = @_;
    my ($status, $said) = outcome($command);
    ok($status < 2 && index($said, 'the secret of') < 0 && (!$pattern || $said =~ $pattern), $name, "status $status", substr $said, 0, 400);
    return $status;
}

# ---- models ----

my $index = slurp('model/model.safetensors');
for my $place ('../secret', '/etc/passwd', "$dir/secret", '.', '..', 'below/x.safetensors', '') {
    system 'rm -rf m && cp -r model m && rm m/model.safetensors';
    spew_json('m/model.safetensors.index.json', {metadata => {}, weight_map => {'model.norm.weight' => $place}});
    harmless("an index that names '$place'", 'ft-merge -m m -o out.gguf', qr/is in no file beside it/);
}
spew_json('m/model.safetensors.index.json', {weight_map => {'model.norm.weight' => 'link.safetensors'}});
symlink '../secret', 'm/link.safetensors';
harmless('a file of weights that is a link to something else', 'ft-merge -m m -o out.gguf', qr/link\.safetensors: /);
unlink 'm/link.safetensors';
symlink '/dev/zero', 'm/link.safetensors';
harmless('to a device without end', 'ft-merge -m m -o out.gguf', qr/not a regular file/);
system 'rm -rf m && cp -r model m';
unlink 'm/config.json';
symlink '/dev/zero', 'm/config.json';
harmless('a configuration that is one', 'ft-eval -m m docs.ft', qr/larger than/);
spew('m2.safetensors', pack('Q<', 2**62), '{}');
harmless('a header of 2^62 bytes', 'ft-dump m2.safetensors');
for my $opening ('[' x 100000, '{"a":' x 100000) {
    spew('m3.safetensors', pack('Q<', length $opening), $opening);
    harmless('a header of 100,000 levels', 'ft-dump m3.safetensors', qr/depth|nest|level|no ft-stream/i);
    system 'rm -rf m && cp -r model m';
    spew('m/config.json', $opening);
    harmless('a configuration of as many', 'ft-eval -m m docs.jsonl');
    spew('deep.jsonl', $opening, "\n");
    harmless('a document of as many', 'ft-tok -m model deep.jsonl', qr/deep\.jsonl:1/);
    harmless('to ft-lint', 'ft-lint deep.jsonl');
}

# ---- templates ----

my $message = qq({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}\n);
spew('one.jsonl', $message);
for my $case (
    ['a loop without end', '{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}x{% endfor %}{% endfor %}{% endfor %}'],
    ['text that doubles', '{% set ns = namespace(x="x") %}{% for i in range(64) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}'],
    ['a text a billion times', '{{ "x" * 1000000000000 }}'],
    ['a list without end', '{{ range(1000000000000) | list }}'],
    ['a padded text', '{{ "%1000000000s" | format("x") }}'],
    ['a macro that calls itself', '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}'],
    ['brackets a million deep', '{{ ' . '(' x 1000000 . '1' . ')' x 1000000 . ' }}'],
    ['a file', '{% include "secret" %}'],
    ['an import', '{% import "secret" as s %}{{ s }}'],
    ['a class', '{{ "".__class__.__mro__ }}'],
    ['globals', '{{ cycler.__init__.__globals__.os.popen("cat secret").read() }}'],
) {
    my ($name, $template) = @$case;
    spew('t.jinja', $template);
    my $status = harmless("a template with $name", 'ft-tok -m model --template t.jinja one.jsonl >tok.out');
    ok(!-s 'tok.out' || -s 'tok.out' < 1 << 20, 'writes nothing large');
}

# ---- archives ----

sub tar_with {
    my ($file, $name, $type, $link, $content) = @_;
    my $header = pack('a100a8a8a8a12a12A8a1a100a6a2a32a32a8a8a155x12', $name, '0000644', '0000000', '0000000',
        sprintf('%011o', length $content), '00000000000', '', $type, $link, 'ustar', '00', '', '', '', '', '');
    substr($header, 148, 8) = ' ' x 8;
    substr($header, 148, 8) = sprintf("%06o\0 ", unpack('%32C*', $header));
    spew($file, $header, $content, "\0" x (-length($content) % 512), "\0" x 1024);
}
for my $case (['../outside.txt', '0', ''], ["$dir/absolute.txt", '0', ''], ['docs/../../x.txt', '0', '']) {
    my ($name, $type, $link) = @$case;
    tar_with('bad.tar', $name, $type, $link, "Words of the archive.\n");
    harmless("a member named $name", 'ft-text bad.tar', qr/Words of the archive/);
    ok(!-e '../outside.txt' && !-e 'absolute.txt' && !-e '../x.txt', 'is written nowhere');
}
for my $case (['symbolic', '2'], ['hard', '1']) {
    tar_with('bad.tar', 'link.txt', $case->[1], "$dir/secret", '');
    harmless("a $case->[0] link in an archive", 'ft-text bad.tar', qr/no documents/);
}
tar_with('bad.tar', 'null.txt', '3', '', '');
harmless('a device in an archive', 'ft-text bad.tar', qr/no documents/);
symlink "$dir/secret", 'docs/link.txt';
symlink '/', 'docs/root';
harmless('links in a folder', 'ft-text docs', qr/symbolic link|no documents/);

# ---- bombs ----

my $zeros = 'x' x (1 << 20);
open my $pipe, '|-', 'gzip -c >bomb.gz' or die;
print $pipe $zeros for 1 .. 300;
close $pipe;
harmless('300 MiB in 300 KiB', 'ft-text bomb.gz', qr/times its size; --max-ratio/);
system 'cp bomb.gz inner.txt.gz; tar -cf nested.tar inner.txt.gz';
harmless('the same inside another', 'ft-text nested.tar', qr/times its size/);
harmless('as one line of JSON', 'ft-tok -m model bomb.gz', qr/line is longer than|times its size/);
harmless('as a stream of tokens', 'ft-dump bomb.gz');
open $pipe, '|-', 'gzip -c >lines.jsonl.gz' or die;
print $pipe "\n" x (1 << 20) for 1 .. 80;
close $pipe;
harmless('84 million empty lines', 'ft-tok -m model lines.jsonl.gz >/dev/null', qr/lines.jsonl.gz: expands to more than 1000 times its size/);
finish();

#!/usr/bin/perl
# The sandbox that programs go into: they are in it with all their threads, and what people do with files,
# links, pipes and descriptors works there as it does without.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $dir = scratch('sandbox');
$ENV{TUNEUTILS_SANDBOX} = 'on';
make_model('real');
my $document = qq({"messages":[{"role":"user","content":"Why?"},{"role":"assistant","content":"Because."}]}\n);
spew('docs.jsonl', $document x 3);
my ($out, $status) = run('ft-tok -m real -o tokens.ft docs.jsonl');
skip_all("this kernel has no sandbox, or the build is a sanitizer's") if $status && slurp('err') =~ /can't do all of it/;
is($status, 0, 'a tokenizer in a folder', slurp('err'));
my $tokens = slurp('tokens.ft');

sub works {
    my ($name, $command, $expect) = @_;
    my ($got, $failed) = run("bash -c '$command'");
    ok(!$failed && (!defined $expect || $got eq $expect), $name, "status $failed", slurp('err'));
}

# ---- being in it ----

mkdir 'fifos';
for my $case (['ft-tok', '-m real'], ['ft-lint', ''], ['ft-pack', '-m real'], ['ft-dump', ''], ['ft-text', ''], ['ft-eval', '-m real'],
    ['ft-score', '-m real'], ['ft-gen', '-m real']) {
    my ($program, $args) = @$case;
    pipe my $read, my $write or die;
    my $pid = fork // die;
    if (!$pid) {
        close $write;
        open STDIN, '<&', $read or die;
        open STDOUT, '>', '/dev/null' or die;
        open STDERR, '>', 'err' or die;
        exec "$program $args" or die;
    }
    close $read;
    my @seen;
    for (1 .. 400) { # until it reads
        select undef, undef, undef, 0.01;
        @seen = map { [slurp($_) =~ /^(NoNewPrivs|Seccomp):\s*(\d)/mg] } glob "/proc/$pid/task/*/status";
        last if @seen && !grep { "@$_" !~ /NoNewPrivs 1 Seccomp 2/ } @seen;
    }
    ok(@seen && !grep({ "@$_" !~ /NoNewPrivs 1 Seccomp 2/ } @seen), "$program: all its threads are in it", map { "@$_" } @seen);
    close $write;
    waitpid $pid, 0;
}

# ---- files ----

mkdir 'elsewhere';
mkdir 'linked';
symlink "../real/$_", "linked/$_" for qw(config.json model.safetensors tokenizer.json tokenizer_config.json chat_template.jinja);
symlink 'linked', 'twice';
works('a model of links, as a hub keeps them', 'ft-tok -m linked docs.jsonl', $tokens);
works('a link to a folder of links', 'ft-tok -m twice docs.jsonl', $tokens);
symlink '../docs.jsonl', 'elsewhere/docs.jsonl';
works('a link to the input', 'ft-tok -m real elsewhere/docs.jsonl', $tokens);
works('an absolute path', "ft-tok -m $dir/real $dir/docs.jsonl", $tokens);
works('a tokenizer by its file', 'ft-tok -m real/tokenizer.json --template real/chat_template.jinja docs.jsonl >/dev/null');
works('another template', 'cp real/chat_template.jinja other.jinja; ft-tok -m real --template other.jinja docs.jsonl >/dev/null');
works('folders that the output needs', 'ft-merge -m real -o a/b/merged && test -e a/b/merged/config.json');
works('an output in another folder', 'ft-tok -m real -o elsewhere/tokens.ft docs.jsonl && cat elsewhere/tokens.ft', $tokens);
works('an output with a slash at its end', 'ft-merge -m real -o c/merged/ && test -e c/merged/config.json');
works('splits with a place of their own', 'mkdir -p held; ft-pack --length 32 --split held=0.5:held/held.ft -o all.ft tokens.ft && test -e held/held.ft');
works('a compressed output', 'ft-tok -m real -o t.ft.gz docs.jsonl && gzip -dc t.ft.gz | cmp - tokens.ft');

# ---- pipes and descriptors ----

works('a pipe', 'cat docs.jsonl | ft-tok -m real', $tokens);
works('/dev/stdin of a pipe', 'cat docs.jsonl | ft-tok -m real /dev/stdin', $tokens);
works('/dev/stdin of a file', 'ft-tok -m real /dev/stdin <docs.jsonl', $tokens);
works('/dev/fd/N of a file', 'ft-tok -m real /dev/fd/7 7<docs.jsonl', $tokens);
works('a command in the place of a file', 'ft-tok -m real <(cat docs.jsonl)', $tokens);
works('one in the place of the output', 'ft-tok -m real -o >(cat >piped.ft) docs.jsonl && sleep 0.2 && cat piped.ft', $tokens);
works('-o /dev/stdout, a pipe', 'ft-tok -m real -o /dev/stdout docs.jsonl | cat', $tokens);
works('-o /dev/stdout, a file', 'ft-tok -m real -o /dev/stdout docs.jsonl >out.ft && cat out.ft', $tokens);
works('-o /dev/null', 'ft-tok -m real -o /dev/null docs.jsonl', '');
works('a named pipe', 'mkfifo fifo; cat docs.jsonl >fifo & ft-tok -m real fifo', $tokens);
works('a pipe that is named as the output', 'mkfifo fifo2; cat fifo2 >got & ft-tok -m real -o fifo2 docs.jsonl; wait; cat got', $tokens);

# ---- temporary files, other programs, encodings ----

spew('note.txt', "Plain text.\n");
works('a zip from a pipe', "cat $ENV{SRCDIR}/tests/data/text/openpyxl.xlsx | TMPDIR=$dir/elsewhere ft-text");
works('what waits in TMPDIR', "TMPDIR=$dir/elsewhere ft-text --strip-repeated 0.5 note.txt");
works('an encoding from the C library', q{printf "caf\\351 \\370\\n" >latin; ft-text --encoding KOI8-R latin | grep -q text});
mkdir 'bin';
spew('bin/pdftotext', qq(#!/bin/sh\ncat >/dev/null\ncat $dir/secret 2>/dev/null\nprintf 'From a PDF.\\n'\n));
chmod 0755, 'bin/pdftotext';
spew('secret', "secret\n");
spew('a.pdf', "%PDF-1.4\n%%EOF\n");
works('pdftotext', "TMPDIR=$dir/elsewhere PATH=$dir/bin:\$PATH ft-text a.pdf >got.pdf && grep -q \"From a PDF\" got.pdf && ! grep secret got.pdf");
works('a tokenizer that is kept', "TUNEUTILS_CACHE=$dir/cache ft-tok -m real docs.jsonl", $tokens);

# ---- saying otherwise ----

$ENV{TUNEUTILS_SANDBOX} = 'maybe';
refuses('TUNEUTILS_SANDBOX=maybe', 'none of auto, on, off', 'ft-tok -m real docs.jsonl');
$ENV{TUNEUTILS_SANDBOX} = 'off';
works('off', 'ft-tok -m real docs.jsonl', $tokens);

finish();

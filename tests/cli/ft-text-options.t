#!/usr/bin/perl
# What ft-text is told to do with documents: to cut them, to strip what comes back, which encoding
# they are in, and to keep a log.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/ft-text.pl" }

# --chunk
{
    spew('c.md', "intro\n\n# A\n\nfirst part\n\n## B\n\nsecond part\n\n# C\n\nthird part\n");
    my ($status, $out, $err) = ft_text('--chunk 30 c.md');
    is(join('|', values_of('text', $out)), "intro\n|# A\n\nfirst part\n|## B\n\nsecond part\n|# C\n\nthird part\n", '--chunk: by headings');
    is(join(' ', values_of('id', $out)), 'c.md:1 c.md:2 c.md:3 c.md:4', '--chunk: ids');
    ok($out =~ /^\{"id":"c.md:2","source":"c.md","part":2,"parts":4,"text":/m, '--chunk: which part it is', $out);
    ok($err =~ /^ft-text: 4 parts, \d+ bytes of text$/m, '--chunk: counted', $err);
    is((ft_text('-q --chunk 1K c.md'))[1], (ft_text('-q c.md'))[1], '--chunk: a short document as it is');
    spew('c.jsonl', qq({"text":"# A\\n\\nx\\n\\n# B\\n\\ny","id":"j"}\n{"prompt":"p","completion":"c"}\n));
    is((ft_text('-q --chunk 7 c.jsonl'))[1], qq({"id":"j:1","source":"c.jsonl","part":1,"parts":2,"text":"# A\\n\\nx\\n"}\n)
        . qq({"id":"j:2","source":"c.jsonl","part":2,"parts":2,"text":"# B\\n\\ny\\n"}\n)
        . qq({"prompt":"p","completion":"c","id":"c.jsonl:2","source":"c.jsonl"}\n), '--chunk: of JSON Lines');
    fails('--chunk with --pairs', 2, '--chunk and --pairs are two ways', '--chunk 5 --pairs c.md -o x.jsonl');
    fails('--chunk 0', 2, '--chunk: 0 is not between', '--chunk 0 c.md -o x.jsonl');
}

# --strip-repeated
{
    mkdir 'r';
    for my $i (1 .. 5) {
        spew("r/$i.md", "ACME Corp\n\n# Summary\n\nText $i of it.\n\n- yes\n\nThis is  confidential.\nDelete it.\n\n| a | b |\n| --- | --- |\n");
    }
    spew('r/6.md', "ACME Corp\nother text\nSincerely\n\n# Summary\n# Two\n\nmore\nThis is confidential.\nDelete it.\n");
    spew('r/7.md', "This is confidential. Delete it.\n");
    spew('r/8.jsonl', qq({"text":"ACME Corp","id":"j"}\n));
    my ($status, $out, $err) = ft_text('--strip-repeated 0.1 r');
    my @texts = values_of('text', $out);
    is($texts[0], "# Summary\n\nText 1 of it.\n\n- yes\n\n| a | b |\n| --- | --- |\n", 'paragraphs that come back');
    is($texts[5], "other text\nSincerely\n\n# Summary\n# Two\n\nmore\nThis is confidential.\nDelete it.\n", 'lines at the ends');
    is($texts[6], 'ACME Corp', 'JSON Lines pass');
    ok($err =~ /; skipped: 1 nothing but repeated text; stripped 3 repeated paragraphs 12 times, \d+ bytes$/m, 'what was stripped is said', $err);
    is((ft_text('-q --strip-repeated 0.1 r'))[1], $out, 'the same again');
    spew('r.tar', tarred(map { ("$_.md", slurp("r/$_.md")) } 1 .. 7));
    is(join('|', values_of('text', (ft_text('-q --strip-repeated 0.1 r.tar'))[1])), join('|', @texts[0 .. 5]), 'the same from an archive');
    my ($s2, $o2, $e2) = ft_text('--strip-repeated 0.1 --show-repeated r');
    is($o2, qq({"documents":6,"of":7,"times":1,"text":"ACME Corp"}\n)
        . qq({"documents":6,"of":7,"times":6,"text":"This is  confidential.\\nDelete it."}\n) . qq({"documents":5,"of":7,"times":5,"text":"ACME Corp"}\n), '--show-repeated');
    ok($s2 == 0 && $e2 =~ /^ft-text: 8 documents.*would strip 3 repeated/m, '--show-repeated strips nothing', $e2);
    my $high = (ft_text('-q --strip-repeated 1 r'))[1];
    is((values_of('text', $high))[0], slurp('r/1.md'), 'all must have it');
    spew('two.md', "Same.\n\nText.\n");
    is((ft_text('-q --strip-repeated 0.1 two.md two.md'))[1], (ft_text('-q two.md two.md'))[1], 'two are no repetition');
    my ($s3, $o3) = ft_text('-q --strip-repeated 0.1 --pairs r');
    is(join('|', values_of('prompt', $o3)), join('|', ('Summary') x 5, 'Two'), 'with --pairs');
    fails('a share of 0', 2, '--strip-repeated: 0 is not between', '--strip-repeated 0 r -o x.jsonl');
    fails('--show-repeated alone', 2, '--show-repeated goes with --strip-repeated', '--show-repeated r -o x.jsonl');
    fails('with --each=line', 2, "doesn't go with --each=line", '--strip-repeated 0.5 --each line r -o x.jsonl');
    ok(system('TMPDIR=/no/where ft-text --strip-repeated 0.5 r >.out 2>.err') >> 8 == 1
        && slurp('.err') =~ m{^ft-text: /no/where/ft-text\.\w+: No such file or directory\n\z} && slurp('.out') eq '', 'no place to keep documents', slurp('.err'));
}

# --encoding, --log
{
    spew('k.txt', "\xf0\xd2\n");
    spew('u.txt', "\xc3\xa9\n");
    my ($status, $out, $err) = ft_text('--encoding koi8-r k.txt u.txt');
    is(join('|', values_of('text', $out)), "\xd0\x9f\xd1\x80\n|\xc3\xa9\n", '--encoding');
    ok($err !~ /not UTF-8/, 'is no guess', $err);
    fails('--encoding: unknown', 2, "--encoding: 'klingon' is none that iconv knows", '--encoding klingon k.txt -o x.jsonl');
    spew('g.txt', join '', map { chr } 0xcf, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2, 10);
    ($status, $out, $err) = ft_text('g.txt');
    ok($err =~ /^ft-text: g.txt: not UTF-8; read as WINDOWS-1251$/m, 'a guess is said', $err);
    spew('d.txt', "d\xc3\xa9j\xc3\xa0 v\xc3\xa9cu " x 40 . "\xc3\n");
    ($status, $out, $err) = ft_text('d.txt');
    ok($err =~ /^ft-text: d.txt: damaged UTF-8; what is no character is U\+FFFD$/m, 'damaged UTF-8 is said', $err);
    mkdir 'l';
    spew('l/a.docx', report());
    spew('l/b.txt', "caf\xe9\n");
    spew('l/c.png', "\x89PNG\r\n");
    spew('l/d.rtf', '{\rtf1 a');
    spew('l/e.zip', zipped('x.txt', "x\n", '.hidden', 'x'));
    spew('l/f.js', 'x' x 2000);
    spew('l/g.py', "x = 1\n");
    ft_text('-q --log l/log.jsonl l');
    my $log = qq({"id":"l/a.docx","type":"docx"}\n{"id":"l/b.txt","type":"text","encoding":"WINDOWS-1252","guessed":true}\n)
        . qq({"id":"l/c.png","skipped":"binary"}\n{"id":"l/d.rtf","error":"cut off: 1 groups are still open"}\n)
        . qq({"id":"l/e.zip/x.txt","type":"text","encoding":"UTF-8"}\n{"id":"l/e.zip/.hidden","skipped":"hidden"}\n)
        . qq({"id":"l/f.js","skipped":"packed script"}\n{"id":"l/g.py","type":"source","encoding":"UTF-8"}\n);
    is(slurp('l/log.jsonl'), $log, '--log');
    ft_text('-q --log l/log.jsonl l');
    is(slurp('l/log.jsonl'), $log, '--log: not read itself');
}

# The order doesn't depend on the language.
{
    mkdir 'o';
    spew("o/$_", "$_\n") for 'B', 'a', "\xc3\xa4", 'Z', '_', '10', '9', 'a.b', 'ab';
    my $want = (ft_text('-q o'))[1];
    my $locale = (split /\n/, `locale -a 2>/dev/null | grep -i -e en_US.utf -e de_DE.utf -e C.utf`)[0] // 'C';
    is(scalar(`LC_ALL=$locale ft-text -q o`), $want, 'the order of files, in any locale');
    is(join(' ', values_of('id', $want)), join(' ', map { "o/$_" } sort 'B', 'a', "\xc3\xa4", 'Z', '_', '10', '9', 'a.b', 'ab'),
        'and it is that of bytes');
}

# A temporary file that can't be written in whole is an error, and no shorter file.
{
    my $out = `(trap '' XFSZ; ulimit -f 2; cat '$ENV{SRCDIR}/tests/data/text/openpyxl.xlsx' | ft-text -q --strict) 2>&1; echo \$?`;
    ok($out =~ /^ft-text: [^\n]*temporary file: writing: File too large\n1\n\z/, 'a full disk under TMPDIR', $out);
}

finish();

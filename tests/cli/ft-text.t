#!/usr/bin/perl
# ft-text as a user types it: folders, archives in archives, what is damaged, what is hostile.
use strict;
use warnings;
use Cwd qw(getcwd);
BEGIN { require "$ENV{SRCDIR}/tests/cli/ft-text.pl" }

our $W;
my $report = report();

# A page with one line.
sub pdf {
    (my $line = shift) =~ s/([()\\])/\\$1/g;
    my $content = "BT /F1 12 Tf 72 720 Td ($line) Tj ET";
    my @objects = (
        '<< /Type /Catalog /Pages 2 0 R >>',
        '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
        '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
        '<< /Length ' . length($content) . " >>\nstream\n$content\nendstream",
        '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
    );
    my ($file, $table) = ("%PDF-1.4\n", "0000000000 65535 f \n");
    for my $i (1 .. @objects) {
        $table .= sprintf "%010d 00000 n \n", length $file;
        $file .= "$i 0 obj\n$objects[$i - 1]\nendobj\n";
    }
    my $start = length $file;
    return $file . "xref\n0 6\n${table}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n$start\n%%EOF\n";
}

# Formats, by their bytes and their names.
{
    mkdir 'formats';
    spew('formats/a.docx', $report);
    text_is('docx', 'formats/a.docx', "# Head\n\nText of it.\n");
    spew('formats/b.html', '<title>T</title><h2>H</h2><p>a<script>no</script><nav>no</nav><ul><li>x</ul>');
    text_is('html: its title where there is no heading of level 1', 'formats/b.html', "# T\n\n## H\n\na\n\n- x\n");
    spew('formats/c.txt', "\xef\xbb\xbfone\r\ntwo\r\n");
    text_is('text: no byte order mark, Unix lines', 'formats/c.txt', "one\ntwo\n");
    spew('formats/d.txt', "\xff\xfeh\0\xe9\0\n\0");
    text_is('text: UTF-16', 'formats/d.txt', "h\xc3\xa9\n");
    spew('formats/e.odt', zipped('mimetype', 'application/vnd.oasis.opendocument.text', 'content.xml',
        '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        . 'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:text>'
        . '<text:h text:outline-level="2">Odt</text:h><text:p>a<text:s/>b</text:p></office:text></office:body></office:document-content>'));
    text_is('odt', 'formats/e.odt', "## Odt\n\na b\n");
    spew('formats/no-suffix', '<!DOCTYPE html><p>x</p>');
    text_is('what a file is, its bytes say', 'formats/no-suffix', "x\n");
    spew('formats/wrong.txt', $report);
    text_is('and not its name', 'formats/wrong.txt', "# Head\n\nText of it.\n");
    spew('latin1', "caf\xe9\n");
    my ($status, $out, $err) = ft_text('latin1');
    is((values_of('text', $out))[0], "caf\xc3\xa9\n", 'Windows-1252 is the last resort');
    ok($err =~ /^ft-text: latin1: not UTF-8; read as WINDOWS-1252$/m, 'and is said', $err);
    ok($err =~ /^ft-text: 1 document, 6 bytes of text, 1 not in UTF-8$/m, 'and counted', $err);
    spew('meta.html', '<meta charset="koi8-r"><p>' . "\xf0\xd2\xc9</p>");
    text_is('html says its encoding', 'meta.html', "\xd0\x9f\xd1\x80\xd0\xb8\n");
}

# Folders.
{
    mkdir $_ for qw(docs docs/b docs/.git docs/b/deep);
    spew("docs/$_", "text of $_\n") for qw(a.txt z.txt b/m.txt b/deep/q.md .hidden .git/config c.css B.txt);
    spew('docs/pic.txt', "\x89PNG\r\n\x1a\n\0\0\0");
    spew('docs/empty.txt', '');
    spew('outside', "outside\n");
    symlink '../outside', 'docs/link.txt';
    symlink '.', 'docs/loop';
    ids_are('a folder, by the bytes of names', 'docs', qw(docs/B.txt docs/a.txt docs/b/deep/q.md docs/b/m.txt docs/z.txt));
    ids_are('written otherwise, the same ids', './docs//.', qw(docs/B.txt docs/a.txt docs/b/deep/q.md docs/b/m.txt docs/z.txt));
    my ($status, $out, $err) = ft_text('docs');
    ok($err eq "ft-text: 5 documents, 78 bytes of text; skipped: 2 hidden, 1 css, 1 empty, 2 symbolic link, 1 binary\n",
        'what was passed over is counted', $err);
    is(join(' ', values_of('source', $out)), join(' ', ('docs') x 5), 'the source is the operand');
    ids_are('from inside', '-q -- docs/b docs/a.txt', qw(docs/b/deep/q.md docs/b/m.txt docs/a.txt));
    my $here = getcwd();
    chdir 'docs/b';
    ids_are('from inside the folder', '.', qw(deep/q.md m.txt));
    chdir $here;
    ids_are('--include', "docs --include '*.md' --include 'b/m*'", qw(docs/b/deep/q.md docs/b/m.txt));
    ids_are('--include takes what is no prose', "docs --include '*.css'", 'docs/c.css');
    ids_are('so does its own name', 'docs/c.css', 'docs/c.css');
    ids_are('--exclude', "docs --exclude 'b/deep' --exclude '[az].txt'", qw(docs/B.txt docs/b/m.txt));
    ids_are('a symbolic link as an operand', 'docs/link.txt', 'docs/link.txt');
    ids_are('twice the same', 'docs/a.txt docs/a.txt', 'docs/a.txt', 'docs/a.txt#2');
    ft_text('docs/a.txt -o o.jsonl');
    is(join(' ', values_of('id', slurp('o.jsonl'))), 'docs/a.txt', '-o');
    ft_text('docs -q -o o.jsonl.gz');
    ft_text('docs -q -o o.jsonl');
    is(scalar(`gzip -dc o.jsonl.gz`), slurp('o.jsonl'), '-o, compressed by its suffix');
    chdir 'docs/b';
    system('ft-text -q . >here.jsonl 2>.err');
    my $first = slurp('here.jsonl');
    system('ft-text -q . >here.jsonl 2>.err');
    is(slurp('here.jsonl'), $first, 'the output in the folder that is read');
    system('ft-text -q . -o here.jsonl 2>.err');
    is(slurp('here.jsonl'), $first, 'the same with -o');
    unlink 'here.jsonl', '.err';
    chdir $here;
    mkdir 'nothing';
    fails('an empty folder', 1, 'no documents found', 'nothing -o x.jsonl');
}

# Archives, and those in them.
{
    spew('a.zip', zipped('r.docx', $report, 'dir/n.txt', "n\n", '__MACOSX/._n.txt', 'x', '.DS_Store', 'x', 'i.png', "\x89PNG\0"));
    ids_are('zip', 'a.zip', qw(a.zip/r.docx a.zip/dir/n.txt));
    spew('b.tar', tarred('./x.txt', "x\n", 'in.zip', slurp('a.zip')));
    my @inside = qw(x.txt in.zip/r.docx in.zip/dir/n.txt);
    ids_are('tar, with a zip of documents', 'b.tar', map { "b.tar/$_" } @inside);
    spew('c.tgz', gzipped(slurp('b.tar')));
    ids_are('tar.gz', 'c.tgz', map { "c.tgz/$_" } @inside);
    spew('d.zip', zipped('c.tgz', slurp('c.tgz')));
    ids_are('a tar.gz in a zip', 'd.zip', map { "d.zip/c.tgz/$_" } @inside);
    spew('n.txt.gz', gzipped("n\n"));
    ids_are('a single compressed file', 'n.txt.gz', 'n.txt.gz');
    spew('n.md.gz', gzipped("# T\n\nx\n"));
    my ($status, $out) = ft_text('--pairs -q n.md.gz');
    is(join(' ', values_of('prompt', $out)), 'T', 'is what its name is without the suffix');
    ids_are('stdin: a tar', '- < b.tar', map { "stdin/$_" } @inside);
    ids_are('stdin: a tar.gz from a pipe', '< c.tgz', map { "stdin/$_" } @inside);
    system("cat a.zip | ft-text >.out 2>.err");
    is(join(' ', values_of('id', slurp('.out'))), 'stdin/r.docx stdin/dir/n.txt', 'stdin: a zip from a pipe');
    my $left = join ' ', glob(($ENV{TMPDIR} || '/tmp') . '/ft-text.*');
    is($left, '', 'nothing is left of it');
    system("ft-text -q < formats/a.docx >.out 2>.err");
    is(join(' ', values_of('id', slurp('.out'))), 'stdin', 'stdin: one document');
    system("ft-text -q - a.zip < formats/c.txt >.out 2>.err");
    is(join(' ', values_of('id', slurp('.out'))), 'stdin a.zip/r.docx a.zip/dir/n.txt', 'stdin among others');
    ids_are('--exclude inside', "a.zip --exclude 'dir/*'", 'a.zip/r.docx');
    ids_are('--include opens archives', "d.zip --include '*.docx'", 'd.zip/c.tgz/in.zip/r.docx');
    spew('odd.zip', zipped("caf\xe9.txt", "a\n", "/../../up.txt", "b\n", "caf\xc3\xa9.txt", "c\n", "caf\xe9.txt", "d\n"));
    ids_are('names: no UTF-8, absolute, upwards, twice', 'odd.zip', 'odd.zip/caf%E9.txt', 'odd.zip/../../up.txt',
        "odd.zip/caf\xc3\xa9.txt", 'odd.zip/caf%E9.txt#2');
    spew("caf\xe9.txt", "x\n");
    ids_are('a file name that is no UTF-8', 'caf*.txt', 'caf%E9.txt');
}

# Damage.
{
    my $zip = zipped('a.txt', "first\n", 'b.txt', 'second ' x 100, 'c.txt', "third\n");
    my $at = index($zip, 'b.txt') + length('b.txt');
    substr($zip, $at, 8) = "\xff" x 8;
    spew('broken.zip', $zip);
    my ($status, $out, $err) = ft_text('broken.zip');
    is(join(' ', values_of('id', $out)), 'broken.zip/a.txt broken.zip/c.txt', 'a broken member: the others are read');
    ok($status == 0 && $err =~ m{^ft-text: broken.zip/b.txt: .*\n.*; skipped: 1 unreadable\n\z}, 'it is reported and counted', $err);
    fails('--strict', 1, 'ft-text: broken.zip/b.txt: ', '--strict broken.zip -o x.jsonl');
    spew('notxml.docx', docx('<w:p><w:r>'));
    fails('XML that ends', 1, 'notxml.docx: word/document.xml: XML line 1: ', 'notxml.docx -o x.jsonl');
    spew('doctype.docx', do { my $d = docx('x'); $d });
    my $tgz = slurp('c.tgz');
    spew('cut.tgz', substr $tgz, 0, length($tgz) - 100);
    fails('a tar.gz that is cut off', 1, 'cut.tgz: ', 'cut.tgz -o x.jsonl');
    fails('the same from stdin', 1, 'stdin: ', '-o x.jsonl < cut.tgz');
    spew('cut.zip', substr slurp('a.zip'), 0, 300);
    fails('a zip that is cut off', 1, 'cut.zip', 'cut.zip -o x.jsonl');
    spew('cut.gz', substr slurp('n.txt.gz'), 0, 15);
    fails('a gz that is cut off', 1, 'cut.gz: ', 'cut.gz -o x.jsonl');
    spew('twice.gz', slurp('n.txt.gz') . substr slurp('n.txt.gz'), 0, 7);
    fails('a gz whose second part is cut in its header', 1, 'twice.gz: cut off', 'twice.gz -o x.jsonl');
    my ($s2, $o2, $e2) = ft_text('cut.tgz a.zip');
    ok($s2 == 1 && $o2 =~ m{a.zip/r.docx} && $e2 =~ /not all of the input could be read$/, 'the rest is still written', $e2);
    my $cut = 0; my $why;
    my $big = slurp('d.zip');
    for my $i (1 .. 20) {
        spew('cutd.zip', substr $big, 0, $i * length($big) / 21);
        my ($s, $o, $e) = ft_text('cutd.zip -o x.jsonl');
        $why .= "$i: $s $e"; $cut++ if $s == 1 && !-e 'x.jsonl' && $e =~ /^ft-text: cutd.zip/m && $e !~ /Sanitizer/;
    }
    ok($cut == 20, "cut at 20 places", $why);
    spew('pdf', "%PDF-1.4\n");
    fails('pdf without a reader', 1, "pdf: pdf is read by pdftotext (of poppler-utils), which isn't installed",
        '--version >.version; PATH=$(dirname $(command -v ft-text)) ft-text pdf -o x.jsonl');
    if (grep { -x "$_/pdftotext" } split /:/, $ENV{PATH}) {
        fails('pdf: damaged', 1, "pdf: pdftotext can't read it", 'pdf -o x.jsonl');
        spew('big.pdf', '%PDF-1.4' . 'x' x 1000000);
        fails('pdf: damaged and large', 1, "big.pdf: pdftotext can't read it", 'big.pdf -o x.jsonl');
        spew('page.pdf', pdf("Hello (PDF)."));
        text_is('pdf', 'page.pdf', "Hello (PDF).\n");
        spew('pdfs.zip', zipped('a.pdf', slurp('page.pdf'), 'b.pdf', '%PDF-1.4', 'c.pdf', slurp('page.pdf')));
        ids_are('pdf in a zip, one of them damaged', 'pdfs.zip', 'pdfs.zip/a.pdf', 'pdfs.zip/c.pdf');
    } else {
        skip('PDF', 'no pdftotext');
    }
    spew('x.xlsb', zipped('[Content_Types].xml', 'application/vnd.ms-excel.sheet.binary.macroEnabled.main'));
    fails('xlsb', 1, 'x.xlsb: xlsb is not supported', 'x.xlsb -o x.jsonl');
    spew('old.doc', "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
    fails('doc', 1, 'old.doc: doc is not supported', 'old.doc -o x.jsonl');
    spew('table.csv', "a,b\n");
    fails('csv', 1, 'table.csv: csv is no prose: ', 'table.csv -o x.jsonl');
    ids_are('csv on demand', "table.csv --include '*.csv'", 'table.csv');
    spew('bin', "\0\1\2\3");
    fails('binary', 1, 'bin: is binary, not text', 'bin -o x.jsonl');
    fails('nothing on stdin', 1, 'no documents found', '-o x.jsonl < /dev/null');
    fails('a missing path, before anything is written', 1, 'nowhere: No such file or directory', 'formats nowhere -o x.jsonl');
    is(slurp('.out'), '', 'nothing indeed');
    fails('--max-size', 1, 'more than 3 bytes; --max-size allows more', 'formats/c.txt --max-size 3 -o x.jsonl');
    spew('name.zip', zipped("a\nb\e[1m.docx", 'PK' . "\3\4" . 'x' x 50));
    my (undef, undef, $e3) = ft_text('name.zip');
    ok($e3 =~ /^ft-text: name\.zip\/a\?b\?\[1m\.docx: [^\e]*\n/, 'a message stays one line without control characters', $e3);
}

# Hostile input.
{
    spew('bomb.gz', gzipped('a' x (80 << 20)));
    fails('a bomb: one file', 1, 'expands to more than 200 times its size', 'bomb.gz -o x.jsonl');
    spew('layers.zip', zipped('a.gz', gzipped(gzipped('a' x (80 << 20)))));
    fails('a bomb: layers', 1, 'expands to more than 200 times its size', 'layers.zip -o x.jsonl');
    system("ft-text -o x.jsonl < bomb.gz 2>.err");
    ok(slurp('.err') =~ /^ft-text: stdin: expands to more than 200 times/ && !-e 'x.jsonl', 'a bomb: from a pipe', slurp('.err'));
    spew('text.zip', zipped(map { ("$_.txt", ('a' x 1023 . "\n") x 1024 x 8) } 0 .. 9));
    my ($status, $out, $err) = ft_text('text.zip --max-ratio 1');
    ok($status == 1 && $err =~ m{^ft-text: text.zip/\d.txt: expands to more than 1 times its size; --max-ratio allows more$}m,
        'a bomb: many members', $err);
    ok((ft_text('-q text.zip --max-ratio 10000'))[0] == 0, '--max-ratio');
    my $nested = "x\n";
    $nested = zipped('n.zip', $nested) for 1 .. 10;
    spew('nested.zip', $nested);
    fails('archives nested too deep', 1, 'archives and messages are nested more than 8 deep', 'nested.zip -o x.jsonl');
    my $part = '<?xml version="1.0"?><!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">'
        . "<!ENTITY x SYSTEM \"file:///etc/passwd\">]><w:document $W><w:body><w:p><w:r><w:t>&b;&x;</w:t></w:r></w:p></w:body></w:document>";
    spew('entities.docx', zipped('[Content_Types].xml', 'wordprocessingml.document.main+xml', 'word/document.xml', $part));
    fails('entities', 1, 'document type declaration', 'entities.docx -o x.jsonl');
    spew('deep.html', '<b>' x 20000 . 'x');
    fails('elements nested too deep', 1, 'nested more than', 'deep.html -o x.jsonl');
    spew('tables.html', '<table><tr><td>' x 1000 . 'x');
    text_is('tables nested deep', 'tables.html', "x\n");
    spew('span.html', '<table><tr><td colspan=1000000000>a<td rowspan=99999999>b</table>');
    text_is('absurd spans', 'span.html', "| a | b |\n| --- | --- |\n");
}

# JSON Lines.
{
    spew('in.jsonl', qq({"text":"a"}\n\n{"messages":[{"role":"user","content":"x"}],"id":5}\n{"prompt":"p","completion":"c","source":"s"}\n));
    my ($status, $out, $err) = ft_text('-q in.jsonl');
    is($out, qq({"text":"a","id":"in.jsonl:1","source":"in.jsonl"}\n)
        . qq({"messages":[{"role":"user","content":"x"}],"id":5,"source":"in.jsonl"}\n)
        . qq({"prompt":"p","completion":"c","source":"s","id":"in.jsonl:4"}\n), 'pass through');
    system('ft-text -q < in.jsonl > .out2');
    ok(slurp('.out2') =~ /^\{"text":"a","id":"stdin:1"/, 'from stdin, without a suffix');
    ft_text('-q formats docs -o all.jsonl');
    my $all = slurp('all.jsonl');
    is((ft_text('-q all.jsonl'))[1], $all, 'its own output comes through unchanged');
    spew('bad.jsonl', qq({"text":"a"}\n{"text":\n{"other":1}\n[1]\n{"text":"b"}\n));
    ($status, $out, $err) = ft_text('bad.jsonl');
    ok($err =~ /^ft-text: bad.jsonl:2: column/m && $err =~ /^ft-text: bad.jsonl:3: /m && $err =~ /^ft-text: bad.jsonl:4: /m
        && $err =~ /skipped: 3 unreadable/ && $status == 1, 'what is no document is named by its line', $err);
    is(join(' ', values_of('text', $out)), 'a b', 'and the others are written');
}

# However a pipe is cut, the same comes out.
for my $file (qw(c.tgz a.zip n.txt.gz in.jsonl formats/b.html formats/d.txt)) {
    my ($status, $want) = ft_text("-q < $file");
    open my $pipe, '|-', 'ft-text -q >.out2 2>.err2' or die "ft-text: $!\n";
    for my $byte (split //, slurp($file)) { syswrite $pipe, $byte }
    ok(close($pipe) && slurp('.out2') eq $want && $want ne '', "byte by byte: $file", slurp('.err2'));
}

# Text that was extracted is Markdown, which is read as it is: nothing changes the second time.
{
    ft_text('-q formats -o all.jsonl');
    my @texts = values_of('text', slurp('all.jsonl'));
    my $same = 0;
    for my $text (@texts) {
        spew('again.md', $text);
        $same += (values_of('text', (ft_text('-q again.md'))[1]))[0] eq $text;
    }
    is($same, scalar @texts, 'its own text again');
}

# Pairs, lines, samples.
{
    spew('m.md', "intro\n\n# A\n\ntext a\n\n## B\n\n- b1\n\n  more\n\n### Empty\n\n## C #\nc\n\n```\n# no\n```\n");
    my ($status, $out) = ft_text('-q --pairs m.md');
    is(join('|', values_of('prompt', $out)), 'A|B|C', '--pairs: prompts');
    is(join('|', values_of('completion', $out)), "text a|- b1\n\n  more|c\n\n```\n# no\n```", '--pairs: completions');
    is(join(' ', values_of('id', $out)), 'm.md:1 m.md:2 m.md:3', '--pairs: ids');
    is(join('|', values_of('prompt', (ft_text('-q --pairs --parents m.md'))[1])), 'A|A > B|A > C', '--parents');
    is((ft_text('-q --pairs formats/a.docx'))[1],
        qq({"id":"formats/a.docx:1","source":"formats/a.docx","prompt":"Head","completion":"Text of it."}\n), '--pairs of a docx');
    fails('--pairs without headings', 1, 'no documents found', '--pairs formats/c.txt -o x.jsonl');
    fails('--parents alone', 2, '--parents goes with --pairs', '--parents m.md -o x.jsonl');
    spew('l.txt', "one\n\n  \ntwo\n");
    ($status, $out) = ft_text('-q --each line l.txt');
    is($out, qq({"id":"l.txt:1","source":"l.txt","text":"one"}\n{"id":"l.txt:4","source":"l.txt","text":"two"}\n), '--each line');
    spew('many.txt', join '', map { "line $_\n" } 1 .. 1000);
    my $one = (ft_text('-q --each line --sample 20 many.txt'))[1];
    my $again = (ft_text('-q --each line --sample 20 many.txt'))[1];
    my $other = (ft_text('-q --each line --sample 20 --seed 1 many.txt'))[1];
    ok($one eq $again, '--sample: the same again');
    ok($one ne $other, '--sample: another with another seed');
    my @numbers = map { /:(\d+)"/ } split /\n/, $one;
    ok(@numbers == 20 && "@numbers" eq join(' ', sort { $a <=> $b } @numbers), '--sample: as many, in order', "@numbers");
    is(scalar(split /\n/, (ft_text('-q --sample 99 docs'))[1]), 5, '--sample of more than there is');
}

# Ends.
{
    ok(system('ft-text -q docs > /dev/full 2>.err') >> 8 == 1 && slurp('.err') =~ /^ft-text: stdout: .*No space left on device\n\z/,
        'a full disk', slurp('.err'));
    ok(system('ft-text -q docs >&- 2>.err') >> 8 == 1 && slurp('.err') =~ /^ft-text: stdout: .*\n\z/, 'a closed stdout', slurp('.err'));
    ok(system('ft-text -q <&- >.out 2>.err') >> 8 == 1, 'a closed stdin', slurp('.err'));
    fails('an unknown option', 2, 'unrecognized option', '--no-such');
    fails('an output in no folder', 1, 'no/where', 'docs -o no/where');
    is((ft_text('--version'))[1] =~ /^ft-text \(tuneutils\) \d/ ? 'yes' : 'no', 'yes', '--version');
}

finish();

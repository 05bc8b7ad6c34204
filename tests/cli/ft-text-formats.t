#!/usr/bin/perl
# What ft-text makes of mail, books, spreadsheets and RTF, whole and damaged.
use strict;
use warnings;
BEGIN { require "$ENV{SRCDIR}/tests/cli/ft-text.pl" }

my $data = "$ENV{SRCDIR}/tests/data/text";

# Files that other programs have made; tests/data/text/make.py says which.
{
    my $here = Cwd::getcwd();
    chdir $data or die "$data: $!\n";
    system("ft-text -q mail.eml box.mbox openpyxl.xlsx ebooklib.epub odfpy.ods pandoc.rtf >$here/.got 2>$here/.err");
    chdir $here;
    is(slurp('.got'), slurp("$data/expected.jsonl"), 'what other programs wrote');
    for my $file (qw(mail.eml box.mbox openpyxl.xlsx ebooklib.epub odfpy.ods pandoc.rtf)) {
        my $whole = slurp("$data/$file");
        my @bad;
        for my $i (1 .. 20) {
            spew("cut-$file", substr $whole, 0, int(length($whole) * $i / 21));
            my ($status, $out, $err) = ft_text("cut-$file -o x.jsonl");
            my $said = $err =~ /^(?:ft-text: cut-\Q$file\E[^\n]*: [^\n]+\n)+/ ? 1 : 0;
            push @bad, "$i: $status $err" if $err =~ /Sanitizer/ || ($status != 1 || !$said || -e 'x.jsonl') && $file !~ /mbox|eml/;
            unlink 'x.jsonl';
        }
        ok(!@bad, "$file, cut off at 20 places", @bad);
    }
}

my $from = "From: a\@b\nDate: Mon, 1 Jan 2024 10:00:00 +0000\nMessage-ID: <1>\n";

sub mail_is {
    my ($name, $mail, $want) = @_;
    spew('m.eml', $mail);
    return text_is("mail: $name", 'm.eml', $want);
}

# Messages.
{
    mail_is('fields and text', "${from}Subject: =?iso-8859-1?Q?caf=E9_?=\n =?utf-8?B?w6TDtg==?= end\n\nText\n",
        "# caf\xc3\xa9 \xc3\xa4\xc3\xb6 end\n\nText\n");
    mail_is('a character in two words', "${from}Subject: =?utf-8?Q?a=C3?= =?utf-8?Q?=A4b?=\n\nText\n", "# a\xc3\xa4b\n\nText\n");
    mail_is('an unknown encoding is guessed', "${from}Content-Type: text/plain; charset=klingon\n\nText\n", "Text\n");
    mail_is('no subject', "${from}\r\nText\r\nmore\r\n", "Text\nmore\n");
    mail_is('quoted-printable', "${from}Content-Transfer-Encoding: Quoted-Printable\nContent-Type: text/plain; charset=\"utf-8\"\n\na =C3=A4=\n b=20  \nc =3D =ZZ\n",
        "a \xc3\xa4 b \nc = =ZZ\n");
    mail_is('base64', "${from}Content-Transfer-Encoding: base64\nContent-Type: text/plain; charset=windows-1252\n\nY2Fm\n6SE=\n", "caf\xc3\xa9!\n");
    mail_is('html alone', "${from}Subject: S\nContent-Type: text/html; charset=koi8-r\n\n<title>no</title><p>\xf0\xd2</p><ul><li>x</ul>",
        "# S\n\n\xd0\x9f\xd1\x80\n\n- x\n");
    mail_is('format=flowed', "${from}Content-Type: text/plain; format=flowed\n\nOne \ntwo \nthree\n> quo \n> ted\n> \n\n-- \nBob\n", "One two three\n> quo ted\n> \n\n-- \nBob\n");
    my $alternative = sub {
        my ($plain, $html) = @_;
        return "${from}Content-Type: multipart/alternative; boundary=\"a b\"\n\npreamble\n--a b\nContent-Type: text/plain\n\n$plain\n--a b\n"
            . "Content-Type: text/html\n\n$html\n--a b--\nepilogue\n";
    };
    mail_is('plain text before HTML', $alternative->("plain text", "<p>html text</p>"), "plain text\n");
    mail_is('HTML where the plain text says little', $alternative->("See HTML.", "<p>" . 'word ' x 50 . "</p>"), join(' ', ('word') x 50) . "\n");
    mail_is('HTML where the plain text is empty', $alternative->("\n", "<p>html</p>"), "html\n");
    my $signed = "${from}Content-Type: multipart/signed; boundary=s\n\n--s\n\nsigned text\n--s\nContent-Type: application/pgp-signature\n\nxx\n--s--\n";
    mail_is('signed', $signed, "signed text\n");
    spew('files.eml', "${from}Content-Type: multipart/mixed; boundary=x\n\n--x\n\nbody\n--x\nContent-Type: application/octet-stream; name*0*=utf-8''a%2Fb%20;"
        . " name*1=\"c.zip\"\n\n" . zipped('in.txt', "inside\n", 'p.png', "\x89PNG") . "\n--x\nContent-Disposition: attachment; filename=\"../../n.html\"\n"
        . "Content-Type: text/html\n\n<p>attached\n--x\nContent-Type: text/calendar\n\nno\n--x--\n");
    ids_are('mail: what is attached, archives too', 'files.eml', 'files.eml', 'files.eml/a_b c.zip/in.txt', 'files.eml/.._.._n.html');
    ids_are('mail: --include', "files.eml --include '*.txt'", 'files.eml/a_b c.zip/in.txt');
    ids_are('mail: --exclude', "files.eml --exclude '*.zip'", 'files.eml', 'files.eml/.._.._n.html');
    ids_are('mail: what its bytes are', '- < files.eml', 'stdin', 'stdin/a_b c.zip/in.txt', 'stdin/.._.._n.html');
    spew('page.mht', "From: <Saved by a browser>\r\nSubject: A page\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        . "Content-Type: multipart/related; type=\"text/html\"; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        . "<h2>H</h2><p>te=\r\nxt\r\n--b\r\nContent-Type: text/css\r\n\r\nbody {}\r\n--b\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n--b--\r\n");
    text_is('mail: a page that a browser has saved', 'page.mht', "# A page\n\n## H\n\ntext\n");
    spew('memo.txt', "From: a\nTo: b\nSubject: c\nDate: d\n\nText\n");
    text_is('mail: a text file with the same lines is text', 'memo.txt', slurp('memo.txt'));
    spew('d.eml', "${from}Content-Type: multipart/mixed; boundary=x\n\n--x\n\nbody\n--x\n\ncut o");
    fails('mail: cut off', 1, 'd.eml: cut off: its last part has no end', 'd.eml -o x.jsonl');
    spew('d.eml', "${from}Content-Type: multipart/mixed\n\n--x\n\nbody\n--x--\n");
    fails('mail: no boundary', 1, 'd.eml: a multipart without a boundary', 'd.eml -o x.jsonl');
    spew('d.eml', "${from}Content-Transfer-Encoding: rot13\n\nobql\n");
    fails('mail: an unknown transfer encoding', 1, 'd.eml: part text/plain: its Content-Transfer-Encoding', 'd.eml -o x.jsonl');
    spew('d.eml', "${from}Content-Type: multipart/encrypted; boundary=x\n\n--x--\n");
    fails('mail: encrypted', 1, 'd.eml: the message is encrypted', 'd.eml -o x.jsonl');
    my $deep = "text\n";
    $deep = "Content-Type: multipart/mixed; boundary=b$_\n\n--b$_\n$deep\n--b$_--\n" for 1 .. 40;
    spew('d.eml', "$from$deep");
    fails('mail: parts nested too deep', 1, 'd.eml: parts are nested more than 32 deep', 'd.eml -o x.jsonl');
    $deep = "\ntext\n";
    $deep = "Content-Type: message/rfc822\n\n$from$deep" for 1 .. 10;
    spew('d.eml', "$from$deep");
    fails('mail: messages in messages', 1, 'archives and messages are nested more than 8 deep', 'd.eml --strict -o x.jsonl');
    spew('b.mbox', "From a\@b Mon\n${from}\nFirst\n\nFrom now on\nall is well\n\n>From b\n>>From c\n\nFrom a\@b Tue\n${from}Subject: S\n\nSecond\n");
    my ($status, $out) = ft_text('-q b.mbox');
    fails('mbox: from a pipe, too large', 1, 'stdin: more than 100 bytes; --max-size allows more', '--max-size 100 -o x.jsonl < b.mbox');
    is(join('|', values_of('text', $out)), "First\n\nFrom now on\nall is well\n\nFrom b\n>From c\n|# S\n\nSecond\n", 'mbox: messages');
    is(join('|', values_of('id', $out)), 'b.mbox/1|b.mbox/2', 'mbox: ids');
}

# Spreadsheets.
my $types = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override ContentType='
    . '"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>';
my $S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"';
my $R = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
sub xlsx {
    my ($cells, %with) = @_;
    return zipped(
        '[Content_Types].xml' => $types,
        'xl/workbook.xml' => $with{workbook} // "<workbook $S><sheets><sheet name=\"One\" r:id=\"a\"/></sheets></workbook>",
        'xl/_rels/workbook.xml.rels' => '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            . "<Relationship Id=\"a\" Type=\"$R/worksheet\" Target=\"s.xml\"/><Relationship Id=\"s\" Type=\"$R/sharedStrings\" Target=\"strings.xml\"/>"
            . "<Relationship Id=\"t\" Type=\"$R/styles\" Target=\"styles.xml\"/></Relationships>",
        'xl/s.xml' => "<worksheet $S><sheetData>$cells</sheetData></worksheet>",
        'xl/strings.xml' => $with{strings} // "<sst $S><si><t>first</t></si><si><r><t>a </t></r><r><t>b</t></r><rPh><t>no</t></rPh></si></sst>",
        'xl/styles.xml' => $with{styles} // "<styleSheet $S><numFmts><numFmt numFmtId=\"170\" formatCode='[\$-409]d&quot; day &quot;mmm;\@'/></numFmts>"
            . '<cellStyleXfs><xf numFmtId="0"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="170"/><xf numFmtId="46"/><xf numFmtId="10"/></cellXfs>'
            . '<cellStyles/><dxfs><xf numFmtId="22"/></dxfs></styleSheet>',
    );
}
sub xlsx_is {
    my ($name, $want, @arguments) = @_;
    spew('x.xlsx', xlsx(@arguments));
    return text_is("xlsx: $name", 'x.xlsx', $want);
}
{
    xlsx_is('strings, shared, rich and in place', "# One\n\n| first | a b |\n| --- | --- |\n| in place | \\| |\n",
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row><row r="2"><c r="A2" t="inlineStr"><is><t>in place</t></is></c>'
        . '<c r="B2" t="str"><f>x</f><v>|</v></c></row>');
    xlsx_is('numbers as they show', "# One\n\n| 1900-03-01 | 36:15 | 12.35% | 0.1 | TRUE | #N/A |\n| --- | --- | --- | --- | --- | --- |\n",
        '<row><c s="1"><v>61</v></c><c s="2"><v>1.51041666666</v></c><c s="3"><v>0.123456</v></c><c><v>0.10000000000000001</v></c><c t="b"><v>1</v></c>'
        . '<c t="e"><v>#N/A</v></c></row>');
    xlsx_is('escaped characters', "# One\n\na b _x0041_ _x00 \xc3\xa9\n", '<row><c t="str"><v>a_x000D_b _x005F_x0041_ _x00 _x00E9_</v></c></row>');
    xlsx_is('days from 1904', "# One\n\n1904-01-02\n", '<row><c s="1"><v>1</v></c></row>',
        workbook => "<workbook $S><workbookPr date1904=\"1\"/><sheets><sheet name=\"One\" r:id=\"a\"/></sheets></workbook>");
    xlsx_is('blocks, empty columns, far cells', "# One\n\n| a | b |\n| --- | --- |\n| c | |\n\nd\n\ne\n",
        join '', map { "<row r=\"$_->[1]\"><c r=\"$_->[0]$_->[1]\" t=\"str\"><v>$_->[2]</v></c></row>" }
        ['E', 3, 'a'], ['ZZ', 3, 'b'], ['E', 4, 'c'], ['A', 9, 'd'], ['XFD', 1048576, 'e']);
    xlsx_is('a sheet once', "# One\n\n1\n", '<row><c><v>1</v></c></row>',
        workbook => "<workbook $S><sheets>" . '<sheet name="One" r:id="a"/>' x 3 . '</sheets></workbook>');
    spew('x.xlsx', xlsx('<row><c t="s"><v>2</v></c></row>'));
    fails('xlsx: a string that is not there', 1, 'x.xlsx: xl/s.xml: a cell has the string 2 of 2', 'x.xlsx -o x.jsonl');
    spew('x.xlsx', xlsx('<row><c r="1A"><v>2</v></c></row>'));
    fails('xlsx: a cell nowhere', 1, 'x.xlsx: xl/s.xml: "1A" is no cell', 'x.xlsx -o x.jsonl');
    spew('x.xlsx', xlsx(join('', '<row>', '<c t="s"><v>0</v></c>' x 10000, '</row>') x 20,
        strings => "<sst $S><si><t>" . 'x' x 100000 . '</t></si></sst>'));
    fails('xlsx: a string repeated without end', 1, 'x.xlsx: xl/s.xml: more than 268435456 bytes of cells; --max-size allows more', 'x.xlsx -o x.jsonl');
    my $ods = sub {
        return zipped('mimetype', 'application/vnd.oasis.opendocument.spreadsheet', 'content.xml',
            '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
            . 'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"><office:automatic-styles>'
            . '<style:style style:name="h"><style:table-properties table:display="false"/></style:style></office:automatic-styles><office:body>'
            . "<office:spreadsheet>$_[0]</office:spreadsheet></office:body></office:document-content>");
    };
    spew('o.ods', $ods->('<table:table table:name="T"><table:table-row table:number-rows-repeated="2"><table:table-cell table:number-columns-repeated="2">'
        . '<text:p>a</text:p><text:p>b<text:s/>c</text:p><office:annotation><text:p>no</text:p></office:annotation></table:table-cell>'
        . '<table:covered-table-cell><text:p>no</text:p></table:covered-table-cell><table:table-cell><text:p>d</text:p></table:table-cell></table:table-row></table:table>'
        . '<table:table table:name="H" table:style-name="h"><table:table-row><table:table-cell><text:p>no</text:p></table:table-cell></table:table-row></table:table>'));
    text_is('ods: repeated, covered, annotated, hidden', 'o.ods', "# T\n\n| a b c | a b c | d |\n| --- | --- | --- |\n| a b c | a b c | d |\n");
    spew('o.ods', $ods->('<table:table><table:table-row table:number-rows-repeated="1000000000"><table:table-cell table:number-columns-repeated="1000000000">'
        . '<text:p>a</text:p></table:table-cell></table:table-row></table:table>'));
    fails('ods: a cell repeated without end', 1, 'o.ods: content.xml: more than', 'o.ods --max-size 1M -o x.jsonl');
}

# XML that is made to do harm.
{
    my $bomb = xlsx('<row><c t="str"><v>' . 'x' x (80 << 20) . '</v></c></row>');
    spew('x.xlsx', $bomb);
    fails('xlsx: a bomb', 1, 'x.xlsx: xl/s.xml: more than', 'x.xlsx -o x.jsonl');
    my $entities = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY f SYSTEM "file:///etc/passwd">]>';
    spew('x.xlsx', xlsx('<row/>', strings => "$entities<sst $S><si><t>&b;&f;</t></si></sst>"));
    fails('xlsx: entities', 1, 'x.xlsx: xl/strings.xml: has a document type declaration', 'x.xlsx -o x.jsonl');
    spew('x.xlsx', xlsx('<row>' x 100000));
    fails('xlsx: elements nested too deep', 1, 'x.xlsx: xl/s.xml: XML line 1: Excessive depth', 'x.xlsx -o x.jsonl');
}

# Books.
sub epub {
    my ($opf, @pages) = @_;
    return zipped('mimetype', 'application/epub+zip', 'META-INF/container.xml',
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="O/b.opf"/></rootfiles></container>',
        'O/b.opf', "<package xmlns=\"http://www.idpf.org/2007/opf\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">$opf</package>", @pages);
}
{
    my $item = sub { return "<item id=\"$_[0]\" href=\"$_[1]\" media-type=\"application/xhtml+xml\" " . ($_[2] // '') . '/>' };
    my $opf = '<metadata><dc:title>B &amp; C</dc:title></metadata><manifest>' . $item->('1', 'x%20y.xhtml') . $item->('2', '../z.html#frag') . $item->('n', 'n.xhtml', 'properties="nav"')
        . '</manifest><spine><itemref idref="n"/><itemref idref="2"/><itemref idref="1"/><itemref idref="1"/></spine>';
    my @pages = ('O/n.xhtml', '<nav>no</nav><p>contents', 'O/x y.xhtml', '<title>no</title><h2>X</h2>x', 'z.html', '<p>z', 'O/other.xhtml', '<p>no');
    spew('b.epub', epub($opf, @pages));
    text_is('epub: the spine\'s order', 'b.epub', "# B & C\n\nz\n\n## X\n\nx\n");
    spew('b.epub', epub($opf, @pages, 'META-INF/encryption.xml', '<e xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherReference URI="z.html"/></e>'));
    fails('epub: encrypted', 1, 'b.epub: O/b.opf: z.html is encrypted', 'b.epub -o x.jsonl');
    spew('b.epub', epub($opf, @pages[0 .. 3]));
    fails('epub: a page is missing', 1, 'b.epub: O/b.opf: z.html is missing', 'b.epub -o x.jsonl');
    spew('b.epub', epub('<manifest/><spine><itemref idref="?"/></spine>'));
    fails('epub: a spine of nothing', 1, 'b.epub: O/b.opf: the spine has "?"', 'b.epub -o x.jsonl');
}

# RTF.
sub rtf_is {
    my ($name, $rtf, $want) = @_;
    spew('r.rtf', "{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\fcharset0 A;}{\\f1\\fcharset204 B;}{\\f2\\fcharset128 C;}}"
        . "{\\stylesheet{\\s0 Normal;}{\\s1\\b heading 1;}{\\s2 \\outlinelevel1 {\\*\\x no}Eigene;}{\\s3 toc 1;}}$rtf}");
    return text_is("rtf: $name", 'r.rtf', $want);
}
{
    rtf_is('paragraphs and breaks', "\\pard One\ntwo {\\b three}\\line four\\par\\pard\\plain five \\{\\\\\\}\\par", "Onetwo three\nfour\n\nfive {\\}\n");
    rtf_is('code pages', "caf\\'e9 \\u8364? \\u-10179 ?\\u-8704 ?{\\f1 \\'cf\\'f0}{\\f2 \\'93\\'fa\\'96\\'7b}\\uc2 \\u228 xxy\\emdash\\~z\\par",
        "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\xd0\x9f\xd1\x80\xe6\x97\xa5\xe6\x9c\xac\xc3\xa4y\xe2\x80\x94\xc2\xa0z\n");
    rtf_is('headings', "\\pard\\s1 A\\par\\pard\\s2 B\\par\\pard\\outlinelevel2 C\\par\\pard\\s3 no\\par\\pard D\\par", "# A\n\n## B\n\n### C\n\nD\n");
    rtf_is('lists', "{\\listtext\\pard 1.\\tab}\\pard\\ls1 a\\par{\\pntext\\f1\\'b7\\tab}\\pard\\ls2\\ilvl1 b\\par", "1. a\n   - b\n");
    rtf_is('tables', "a\\par\\trowd\\pard\\intbl b\\cell c\\par d\\cell\\row\\trowd\\intbl e\\cell\\cell\\row\\pard f\\par",
        "a\n\n| b | c d |\n| --- | --- |\n| e | |\n\nf\n");
    rtf_is('notes, fields, shapes', "a{\\footnote\\pard\\plain note}b {\\field{\\*\\fldinst HYPERLINK \"x\"}{\\fldrslt link}}"
        . "{\\shp{\\*\\shpinst{\\sp{\\sn no}{\\sv 1}}{\\shptxt\\pard box\\par}}{\\shprslt no}}c\\par", "a[^1]b linkc\n\nbox\n\n[^1]: note\n");
    rtf_is('what is left out', "{\\info{\\title no}}{\\header no{\\shp{\\*\\shpinst{\\shptxt no}}}}{\\*\\unknown no}{\\pict\\bin3 }{}}a\\v hidden\\v0  b\\deleted no\\deleted0 {\\xe no}}\\par", "a b\n");
    spew('r.rtf', "{\\rtf1 a{b");
    fails('rtf: cut off', 1, 'r.rtf: cut off: 2 groups are still open', 'r.rtf -o x.jsonl');
    spew('r.rtf', '{\\rtf1 ' . '{' x 20000);
    fails('rtf: groups without end', 1, 'r.rtf: groups are nested more than 10000 deep', 'r.rtf -o x.jsonl');
}

finish();

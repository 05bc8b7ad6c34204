# What the tests of ft-text share beside cli.pl: archives, running it and looking at what it writes.
# usage: BEGIN { require "$ENV{SRCDIR}/tests/cli/ft-text.pl" } ...; finish();
use strict;
use warnings;
use Archive::Tar;
use IO::Compress::Gzip qw(gzip $GzipError);
use IO::Compress::Zip qw(zip $ZipError);

require "$ENV{SRCDIR}/tests/cli/cli.pl";

scratch('documents');

# A zip of name => content pairs, as bytes.
sub zipped {
    my @members = @_;
    my $out;
    my $z;
    while (my ($name, $content) = splice @members, 0, 2) {
        if ($z) {
            $z->newStream(Name => $name) or die $ZipError;
        } else {
            $z = IO::Compress::Zip->new(\$out, Name => $name) or die $ZipError;
        }
        $z->print($content);
    }
    $z->close;
    return $out;
}

sub tarred {
    my @members = @_;
    my $tar = Archive::Tar->new;
    while (my ($name, $content) = splice @members, 0, 2) { $tar->add_data($name, $content) }
    open my $out, '>', \my $bytes;
    $tar->write($out);
    return $bytes;
}

sub gzipped {
    my ($content) = @_;
    gzip(\$content, \my $out) or die $GzipError;
    return $out;
}

# Runs ft-text; status, stdout, stderr. Arguments go through the shell.
sub ft_text {
    my ($arguments) = @_;
    system("ft-text $arguments >.out 2>.err");
    return ($? >> 8, slurp('.out'), slurp('.err'));
}

sub unescape {
    my ($s) = @_;
    $s =~ s/\\(u[0-9a-f]{4}|.)/$1 eq 'n' ? "\n" : $1 eq 't' ? "\t" : $1/ge;
    return $s;
}

# The values of a key, in order.
sub values_of {
    my ($key, $out) = @_;
    return map { /"\Q$key\E":"((?:[^"\\]|\\.)*)"/ ? unescape($1) : '-' } split /\n/, $out;
}

sub ids_are {
    my ($name, $arguments, @want) = @_;
    my ($status, $out, $err) = ft_text($arguments);
    my $got = join ' ', values_of('id', $out);
    return ok($status == 0 && $got eq "@want", $name, "status $status", "got  $got", "want @want", $err);
}

sub text_is {
    my ($name, $file, $want) = @_;
    my ($status, $out, $err) = ft_text("-q $file");
    my ($got) = values_of('text', $out);
    return ok($status == 0 && $err eq '' && $got eq $want, $name, "status $status", "got  $got", "want $want", $err);
}

# Exits with the status, says the text in its last line, leaves no output file.
sub fails {
    my ($name, $status_wanted, $text, $arguments) = @_;
    unlink 'x.jsonl';
    my ($status, $out, $err) = ft_text($arguments);
    return ok($status == $status_wanted && index($err, $text) >= 0 && !-e 'x.jsonl' && !glob('x.jsonl*'),
        $name, "status $status", $err, "wanted $text");
}

our $W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"';
sub docx {
    my ($body) = @_;
    return zipped(
        '[Content_Types].xml' => '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            . '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
        '_rels/.rels' => '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
            . 'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
        'word/document.xml' => "<?xml version=\"1.0\"?><w:document $W><w:body>$body</w:body></w:document>",
    );
}
sub report {
    return docx('<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:r><w:t>Head</w:t></w:r></w:p>'
            . '<w:p><w:r><w:t>Text of it.</w:t></w:r></w:p>');
}

1;

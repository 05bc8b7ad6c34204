#!/usr/bin/perl
# The folders in doc/examples as a stranger uses them: copied to somewhere, with the programs in PATH, on a model of
# random weights and a few steps. tests/cli/preference-example.t and house-style.t have the two others.
use strict;
use warnings;
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $scratch = scratch('examples');
my $examples = "$ENV{SRCDIR}/doc/examples";
my $share = "$examples/experiment/tuneutils";
make_model('base');
my $short = "MODEL=../base BACKEND=fp32 HELD=%s PROMPTS=3 PLAN_FLAGS= GEN_FLAGS='--max-tokens 8' TRAIN_FLAGS='--steps 3' TUNEUTILS=$share";

# Runs make in a copy of an example; the table.
sub example {
    my ($name, $held, @more) = @_;
    run("cp -r $examples/$name .");
    my ($out, $status) = run("cd $name && make -s -j2 " . sprintf($short, $held) . " @more table report");
    ok($status == 0, "$name: make table report", slurp('err'));
    ok($out =~ /^before +[\d.e+]+/m && $out =~ /^\S+-r16-lr1e-3-s1 +\d+ /m, "$name: the table has before and after", $out);
    my $page = slurp("$name/report.html");
    ok($page =~ /<h4>before/ && $page =~ /<h4>after/, "$name: so has the report");
    return $out;
}

# Letters: Word documents become documents.
my $table = example('letters', 6, '2>../letters.err');
my @documents = json_lines(slurp('letters/documents.jsonl'));
is(scalar @documents, 150, 'letters: each letter is a document');
ok($documents[0]{prompt} =~ /^Answer to \w+ \w+, whose / && $documents[0]{completion} =~ /^Good day, .*\nFaithfully yours,\n+The Lamp House$/s,
    'letters: its heading the prompt, the rest the answer', $documents[0]{completion});
run("$examples/letters/make-letters again 150 1");
is(scalar run('diff -r letters/letters again && echo same'), "same\n", 'letters: the same seed makes the same letters, to the byte');
spew_json('letters.jsonl', map { {id => $_->{id}, completion => $_->{completion}, finish => 'stop'} } @documents);
is((json_lines(scalar run("$examples/letters/check-letters letters.jsonl")))[0]{kept}, 150, 'letters: all of them are in the style that is checked');
spew_json('bad.jsonl', map { {completion => $_, finish => 'stop'} } 'Hello!', $documents[0]{completion} =~ s/Good day/Hello/r,
    $documents[0]{completion} =~ s/yours/mine/r, $documents[0]{completion} =~ s/\. /! /r, $documents[0]{completion} . "\nP.S.");
is(scalar run("$examples/letters/check-letters bad.jsonl"), "{\"kept\":0,\"texts\":5}\n", 'letters: and what is not isn\'t');

# Orders: JSON that says the same.
example('extraction', 6);
my @orders = json_lines(slurp('extraction/orders.jsonl'));
my @answers = map { $_->{messages}[2]{content} } @orders;
ok(@orders == 250 && !(grep { ref eval { decode_json($_) } ne 'HASH' } @answers), 'extraction: answers are JSON');
sub checked { # how many completions of one reference are kept
    my ($reference, @completions) = @_;
    spew_json('completions.jsonl', map { {id => 'x', completion => $_, reference => $reference, finish => 'stop'} } @completions);
    return scalar run("tuneutils=$share $examples/extraction/check-json completions.jsonl");
}
is(checked('{"a":[1,"x"],"b":true}', '{"b":true, "a": [1, "x"]}', '{"a":[1,"\u0078"],"b":true}'), "{\"texts\":2,\"kept\":2,\"json\":2}\n",
    'extraction: order and blanks make no difference');
is(checked('{"a":[1,"x"],"b":true}', '{"a":[1],"b":true}', '{"a":[1,"x"],"b":false}', '{"a":[1,"x"],"b":true,"c":1}', '{"a":[1,"x"]}', 'Sure: {}', ''),
    "{\"texts\":6,\"kept\":0,\"json\":4}\n", 'extraction: values that are missing, wrong, or too many do');

# Words: questions of several kinds.
$table = example('vocabulary', 'asked.jsonl');
ok($table =~ /accuracy/, 'vocabulary: the questions are asked', $table);
my @quiz = json_lines(slurp('vocabulary/quiz.jsonl'));
my %meaning = map { chomp; split /\t/ } split /^/, slurp("$examples/vocabulary/terms.tsv");
ok(@quiz == keys %meaning && !(grep { $_->{choices}[$_->{answer}] ne $meaning{$_->{id}} } @quiz), 'vocabulary: the answer is the right one');
ok(!(grep { my %different = map { $_ => 1 } @{$_->{choices}}; keys %different != 4 } @quiz), 'vocabulary: of four');
spew('bad.tsv', "term\tmeaning\nterm alone\n");
my ($out, $status) = run("$examples/vocabulary/make-documents learn bad.tsv");
ok($status && slurp('err') =~ /bad.tsv:2: not a term/, 'vocabulary: a line without a meaning is named', slurp('err'));
spew_json('words.jsonl', map { {completion => $_, reference => 'bob: a call at which some bells change', finish => 'stop'} }
    'A call, where some BELLS change.', 'bob is a call', '');
is(scalar run("tuneutils=$share $examples/vocabulary/check-words words.jsonl"), "{\"texts\":3,\"kept\":1}\n", 'vocabulary: two thirds of the words count');

# The house style experiment, with documents made up here.
spew('mine.jsonl', map { qq({"prompt":"Describe p$_","completion":"finder of p$_\\n It finds p$_.\\n"}\n) } 1 .. 30);
$table = example('experiment', 6, "DOCUMENTS=../mine.jsonl DATA='5 20'");
ok($table =~ /^5-r16.*\n20-r16/m, 'experiment: a line for each number of documents', $table);

# Preferences: what it begins with (the rest is in preference-example.t).
($out, $status) = run("ft-lint $examples/preference/own/questions.jsonl");
ok($status == 0 && $out =~ /30 documents/, 'preference: its own questions are good documents', $out, slurp('err'));

# Without tuneutils.mk a makefile says where it could be; installed, it is found beside the programs.
run("mkdir apart && cp -r $examples/extraction apart/lost");
($out, $status) = run("cd apart/lost && PATH=/usr/bin:/bin make MODEL=../../base");
ok($status && slurp('apart/lost/err') =~ /tuneutils.mk isn't found: put the folder with ft-train into PATH/, 'without tuneutils.mk it says so', slurp('apart/lost/err'));
run("mkdir -p root/bin root/share && cp -r $share root/share && ln -s \$(command -v ft-train) root/bin");
($out, $status) = run("cd apart/lost && PATH=$scratch/root/bin:\$PATH make -n MODEL=../../base explain");
ok($status == 0, 'installed, it is found', slurp('apart/lost/err'));
finish();

#!/usr/bin/perl
# doc/examples/preference on a model of random weights: pairs are made, learnt from and reported.
use strict;
use warnings;
use JSON::PP;
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

scratch('preference-example');
make_model('base');
my $example = "$ENV{SRCDIR}/doc/examples/preference";
my @documents = map { {id => "d$_", messages => [{role => 'user', content => "Greet $_."}, {role => 'assistant', content => "Hello $_"}]} }
    qw(Ann Bob Cid Dora Eve Finn Gus Hal Ida Jo Kim Lee);
spew_json('mine.jsonl', @documents);

my $make = "make -f $example/Makefile MODEL=base DOCUMENTS=mine.jsonl BACKEND=fp32 HELD=0.25 GEN_FLAGS='--temperature 0 --max-tokens 6'"
    . " TRAIN_FLAGS='--loss dpo --epochs 4 --batch 4 --lr 5e-3 --eval-every 2'";
my ($out, $status) = run($make);
ok($status == 0, 'make', slurp('err'));
my @pairs = json_lines(slurp('pairs.jsonl'));
is($pairs[0]{chosen}[0]{content}, 'Hello Ann', 'the chosen answer is the document\'s');
is($pairs[0]{prompt}[0]{content}, 'Greet Ann.', 'after its question');
my %answers = map { $_->{id} => $_->{completion} } json_lines(slurp('answers.jsonl'));
ok(!(grep { $_->{rejected}[0]{content} ne $answers{$_->{id}} } @pairs), 'the rejected one is the model\'s');
ok($out =~ /^held out: yours wins, share +[01]\.\d+ +1\.0000$/m, 'it learns to prefer them', $out);
ok($out =~ /^> Greet Ann\.\nyours:  Hello Ann\nbefore: /m, 'and shows some', $out);
($out, $status) = run("$make START=better OUT=best report.txt -W mine.jsonl");
ok($status == 0 && (json_lines(slurp('log.jsonl')))[0]{loss} < 0.6932, 'a second round goes on from the first', slurp('err'));

spew_json('same.jsonl', map { {id => $_->{id}, completion => $_->{messages}[-1]{content}} } @documents);
($out, $status) = run("$example/pairs-of mine.jsonl same.jsonl");
ok($status != 0 && slurp('err') =~ /no answer differs/, 'answers that are the same are no pairs', slurp('err'));
spew('bad.jsonl', "{\"messages\":[]}\n");
($out, $status) = run("$example/pairs-of --prompts bad.jsonl");
ok($status != 0 && slurp('err') =~ /bad.jsonl:1: no "messages"/, 'a document without an answer is named', slurp('err'));
finish();

#!/usr/bin/perl
# ft-gen --chat: what was said before is part of the next prompt, what the commands do, and a terminal: Ctrl-C,
# Ctrl-D, and what a model's text can do to it.
use strict;
use warnings;
use Fcntl;
use POSIX qw(setsid);
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

scratch('conversation');
make_model('model');
my $chat = 'ft-gen -m model --chat --max-tokens 8';

# What the program says of these lines of input.
sub chat {
    my ($lines, $more) = @_;
    spew('typed', $lines);
    my ($out, $status) = run("$chat " . ($more // '') . ' <typed');
    return wantarray ? ($out, slurp('err'), $status) : $out;
}

# The answer to messages by the way that documents go, in UTF-8.
sub answer {
    my (@messages) = @_;
    spew_json('messages.jsonl', {messages => [map { {role => $_->[0], content => $_->[1]} } @messages]});
    return (json_lines(scalar run('ft-gen -m model --max-tokens 8 messages.jsonl')))[0]{completion};
}

# The conversations that /show wrote among answers.
sub shown { return map { decode_json($_)->{messages} } $_[0] =~ /^(\{"messages":.*\})$/mg }

my $one = answer([user => 'Tell me.']);
my $two = answer([user => 'Tell me.'], [assistant => $one], [user => 'And me.']);
my $answers = "$one\n$two\n";
utf8::encode($answers);
{
    my ($out, $said, $status) = chat("Tell me.\n\nAnd me.\n/show\n");
    ok(index($out, "$answers\{") == 0, 'the second question is asked with the first and its answer', $out, "want $answers");
    is($status, 0, 'the end of the input is the end');
    is($said =~ s/\(cut after 8 tokens; --max-tokens\)\n//gr, '', 'no marks where nobody types');
    my ($messages) = shown($out);
    is(join('|', map { "$_->{role}: $_->{content}" } @$messages), "user: Tell me.|assistant: $one|user: And me.|assistant: $two",
        '/show: a document of what was said');
}

# Commands.
{
    my @messages = shown(scalar chat(<<'END'));
Tell me.
And me.
/undo
/show
/again
/show
/system Be \
short.
/show
Tell me.
/reset
/show
/undo
/show
/etc/passwd is a file.
/show
/quit
Tell me.
/show
END
    is(join('|', map { scalar @$_ } @messages), '2|2|1|0|0|2', '/undo, /again, /system, /reset, /quit');
    is($messages[0][1]{content}, $messages[1][1]{content}, '/again: the likeliest answer is the same');
    is("$messages[2][0]{role}: $messages[2][0]{content}", "system: Be \nshort.", 'a line that ends in a backslash goes on');
    is($messages[5][0]{content}, '/etc/passwd is a file.', 'a path is no command');
    my (undef, $said) = chat("/nothing\n/help\n/undo\n");
    ok($said =~ /^\/nothing is no command.*\n\/reset .*\n\/quit/s, 'another command is told, and so are all', $said);
    my ($hot, $again) = map { $_->[1]{content} } shown(scalar chat("Tell me.\n/show\n/again\n/show\n", '--temperature 1 --seed 3'));
    ok($hot ne $again, '/again: other random numbers, another answer', $hot);
}

# What can't be answered is told, and the conversation goes on.
{
    my ($out, $said, $status) = chat("Tell me.\n" . 'word ' x 700 . "\n\xff\xfe\nAnd me.\n");
    is($out, $answers, 'a question without an answer is no part of the conversation');
    ok($status == 0 && $said =~ /tokens leave no room for an answer, the model takes 700; \/reset/ && $said =~ /That is no UTF-8/, 'and why is told', $said);
    spew('never.jinja', '{{ raise_exception("I refuse") }}');
    ($out, $said, $status) = chat("Tell me.\n", '--template never.jinja');
    ok($status == 0 && $out eq '' && $said =~ /I refuse/, 'what the template refuses', $said);
}

# In plain style each line is a prompt of its own.
{
    spew('lines', "Tell me.\nAnd me.\n");
    my $want = join '', map { "$_->{completion}\n" } json_lines(scalar run('ft-gen -m model --max-tokens 8 --style plain --lines lines'));
    utf8::encode($want);
    my ($out, $said) = chat("Tell me.\nAnd me.\n/reset\n", '--style plain');
    is($out, $want, 'plain text: each line is a prompt of its own');
    ok($said =~ /a prompt of its own here/, 'and /reset says so', $said);
}

# Wrong usage, and outputs that fail.
for my $wrong ('typed', '--lines', '-n 2', '--ids', '--logprobs', '--format-check true') {
    is((run("$chat $wrong </dev/null"))[1], 2, "wrong usage: --chat $wrong");
}
refuses('a full disk', 'No space left', "$chat <typed >/dev/full") if -e '/dev/full';
refuses('a closed stdout', 'stdout', "$chat <typed >&-");
run("$chat -o kept.txt <typed");
ok(-s 'kept.txt', '-o');

# ---- a terminal ----

# Starts a command on a terminal of its own: its pid and the other end, or nothing where there is none.
sub on_terminal {
    my ($command) = @_;
    sysopen(my $master, '/dev/ptmx', O_RDWR | O_NOCTTY) or return;
    my ($unlock, $number) = (pack('i', 0), pack('i', 0));
    ioctl($master, 0x40045431, $unlock) && ioctl($master, 0x80045430, $number) or return; # TIOCSPTLCK, TIOCGPTN on Linux
    my $name = '/dev/pts/' . unpack 'i', $number;
    return unless -e $name;
    my $pid = fork // return;
    return ($pid, $master) if $pid;
    setsid();
    sysopen(my $slave, $name, O_RDWR) or POSIX::_exit(127);
    ioctl($slave, 0x540e, 0); # TIOCSCTTY, where opening it wasn't enough
    POSIX::dup2(fileno $slave, $_) for 0 .. 2;
    exec "exec $command" or POSIX::_exit(127);
}

# Reads on until the pattern is there: whether it came, and what was read.
my $seen = '';
sub wait_for {
    my ($master, $pattern) = @_;
    my $end = time + 30;
    while ($seen !~ /$pattern/s && time < $end) {
        my $ready = '';
        vec($ready, fileno $master, 1) = 1;
        next unless select $ready, undef, undef, 1;
        last unless sysread $master, $seen, 4096, length $seen;
    }
    my $good = $seen =~ /$pattern/s;
    my $text = $seen;
    $seen = $good ? substr $seen, $+[0] : '';
    return ($good, $text);
}

# Types, and waits for what must come of it.
sub types {
    my ($master, $text, $pattern, $name) = @_;
    syswrite $master, $text;
    my ($good, $read) = wait_for($master, $pattern);
    ok($good, $name, $read) if $name;
    return $read;
}

# Of a model that would go on for hours.
make_model('endless');
spew('endless/config.json', slurp('model/config.json') =~ s/("max_position_embeddings":)700/${1}90000/r);
my ($pid, $master) = on_terminal('ft-gen -m endless --max-tokens 80000');
if ($pid) {
    types($master, '', qr/> $/, 'asks');
    types($master, "never sent\cC", qr/\(Ctrl-D ends.*\n> $/, 'Ctrl-C drops the line, and says what ends');
    types($master, "/show\n", qr/\{"messages":\[\]\}\r\n> $/, 'nothing was asked');
    types($master, "Tell me.\n", qr/Tell me\.\r\n.+/);
    types($master, "\cC", qr/\n\(interrupted\)\r\n> $/, 'Ctrl-C ends an answer, not the program');
    types($master, 'x' x 5000 . "\n", qr/A terminal cuts lines.*\n> $/, 'a line that the terminal has cut is no question');
    types($master, "/show\n", qr/\[\{"role":"user","content":"Tell me."\},\{"role":"assistant".*\n> $/, 'what was said of the answer counts');
    syswrite $master, "\cD";
    waitpid $pid, 0;
    is($?, 0, 'Ctrl-D ends');

    my $wild = '--temperature 2 --max-tokens 200';
    my $text = chat("Tell me.\n", $wild);
    ok($text =~ /[\0-\x08\x0b-\x1f]/, 'a text with control characters');
    ($pid, $master) = on_terminal("ft-gen -m model $wild");
    types($master, '', qr/> $/);
    $text = types($master, "Tell me.\n", qr/\n> $/);
    ok($text =~ /\^[\@A-Z]/ && $text !~ /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]/, 'shows them, and the terminal obeys none', $text);
    close $master;
    waitpid $pid, 0;
    ok($? == 1 << 8 || $? == 1 || $? == 0, 'a terminal that goes away ends it', $?);
} else {
    ok(1, 'a terminal # SKIP no pseudo-terminal');
}

finish();

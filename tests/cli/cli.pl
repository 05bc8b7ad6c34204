# What command tests in Perl share: TAP, files, running programs, and a model of random weights.
# usage: BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" } ...; finish();
use strict;
use warnings;
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use JSON::PP;

my ($count, $failures) = (0, 0);

# A make that a test starts is none of the make that runs the tests.
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};

# Jobs in the background of a script begin with these ignored, and what they start, too.
@SIG{qw(INT QUIT HUP PIPE)} = ('DEFAULT') x 4;

# Goes to a folder of its own that is removed in the end.
sub scratch {
    my ($name) = @_;
    my $dir = tempdir("$name.XXXXXX", TMPDIR => 1, CLEANUP => 1);
    chdir $dir or die "$dir: $!\n";
    return $dir;
}

sub ok($$@) { # the first one's truth, though it be a match that would be an empty list
    my ($good, $name, @notes) = @_;
    $count++;
    $failures++ unless $good;
    print $good ? 'ok' : 'not ok', " $count - $name\n";
    print map { "#   $_\n" } map { split /\n/ } @notes unless $good;
    return $good;
}

sub is {
    my ($got, $want, $name) = @_;
    return ok($got eq $want, $name, "got  $got", "want $want");
}

sub near {
    my ($got, $want, $relative, $name) = @_;
    return ok(defined $got && abs($got - $want) <= $relative * abs $want, $name, 'got  ' . ($got // 'null'), "want $want");
}

# A test that can't be made here, and a whole file of them.
sub skip {
    my ($name, $why) = @_;
    return ok(1, "$name # SKIP $why");
}

sub skip_all {
    print "1..0 # SKIP $_[0]\n";
    exit 0;
}

sub finish {
    print "1..$count\n";
    exit($failures ? 1 : 0);
}

sub slurp {
    my ($path) = @_;
    open my $in, '<:raw', $path or die "$path: $!\n";
    local $/;
    return scalar(<$in>) // '';
}

sub spew {
    my ($path, @text) = @_;
    open my $out, '>:raw', $path or die "$path: $!\n";
    print $out @text;
    close $out or die "$path: $!\n";
}

sub spew_json {
    my ($path, @values) = @_;
    spew($path, map { encode_json($_) . "\n" } @values);
}

# Runs a shell command, stderr in the file err: stdout, or in a list stdout and the exit status.
sub run {
    my ($command) = @_;
    my $text = `$command 2>err`;
    return wantarray ? ($text, $? >> 8) : $text;
}

# The exit status of a shell command as a shell says it; stderr in the file err.
sub status_of {
    my ($command) = @_;
    system('sh', '-c', "$command 2>err") == -1 and die "sh: $!\n";
    return $? & 127 ? 128 + ($? & 127) : $? >> 8;
}

# Runs it on a text: exit status, stdout and stderr.
sub feed {
    my ($command, $input) = @_;
    spew('input', $input // '');
    my ($out, $status) = run("{ $command; } <input");
    return ($status, $out, slurp('err'));
}

sub json_lines {
    my ($text) = @_;
    return map { decode_json($_) } split /\n/, $text;
}

# Exit 1, one line of the program with the text in it, and nothing on stdout unless it's sent away.
sub refuses {
    my ($name, $text, $command) = @_;
    my ($program) = $command =~ /^([\w-]+)/;
    my ($out, $status) = run($command);
    my $said = slurp('err');
    ok($status == 1 && $said =~ /^\Q$program\E: [^\n]*\Q$text\E[^\n]*\n\z/ && $out eq '', $name, "status $status", $said);
}

# Cuts a file at 50 places; each time the command must fail like `refuses` with the name in its message.
sub refuses_cut {
    my ($name, $file, $in_message, $command) = @_;
    my ($program) = $command =~ /^([\w-]+)/;
    my $whole = slurp($file);
    my @bad;
    for my $at (map { int(length($whole) * $_ / 50) } 0 .. 49) {
        spew($file, substr $whole, 0, $at);
        my ($out, $status) = run($command);
        my $said = slurp('err');
        push @bad, "at $at: status $status: $said"
            unless $status == 1 && $out eq '' && $said =~ /^\Q$program\E: [^\n]*\Q$in_message\E[^\n]*\n\z/;
    }
    spew($file, $whole);
    ok(!@bad, $name, @bad);
}

# A tensor of floats in a safetensors file.
sub tensor {
    my ($path, $name) = @_;
    my $bytes = slurp($path);
    my $length = unpack 'Q<', $bytes;
    my ($start, $end) = @{decode_json(substr $bytes, 8, $length)->{$name}{data_offsets}};
    return unpack 'f<*', substr $bytes, 8 + $length + $start, $end - $start;
}

# A model of random weights with the small tokenizer and a chat template.
sub make_model {
    my ($folder) = @_;
    my %config = (model_type => 'llama', vocab_size => 500, hidden_size => 16, intermediate_size => 24, num_hidden_layers => 2,
        num_attention_heads => 4, num_key_value_heads => 2, head_dim => 4, max_position_embeddings => 700, rms_norm_eps => 1e-5,
        rope_theta => 10000, hidden_act => 'silu', tie_word_embeddings => JSON::PP::true, eos_token_id => 0, bos_token_id => undef);
    my @shapes = (['model.embed_tokens.weight', 500, 16], ['model.norm.weight', 16]);
    for my $i (0, 1) {
        my $layer = "model.layers.$i";
        push @shapes, ["$layer.input_layernorm.weight", 16], ["$layer.post_attention_layernorm.weight", 16],
            ["$layer.self_attn.q_proj.weight", 16, 16], ["$layer.self_attn.k_proj.weight", 8, 16],
            ["$layer.self_attn.v_proj.weight", 8, 16], ["$layer.self_attn.o_proj.weight", 16, 16],
            ["$layer.mlp.gate_proj.weight", 24, 16], ["$layer.mlp.up_proj.weight", 24, 16], ["$layer.mlp.down_proj.weight", 16, 24];
    }
    my ($at, $state, $bytes, %header) = (0, 12345, '');
    for my $tensor (@shapes) {
        my ($name, @shape) = @$tensor;
        my $n = 1;
        $n *= $_ for @shape;
        for (1 .. $n) {
            $state = ($state * 1103515245 + 12345) % 2147483648;
            $bytes .= pack 'f<', @shape == 1 ? 1 : ($state / 1073741824 - 1) * 1.5;
        }
        $header{$name} = {dtype => 'F32', shape => \@shape, data_offsets => [$at, $at + 4 * $n]};
        $at += 4 * $n;
    }
    my $head = JSON::PP->new->canonical->encode(\%header);
    $head .= ' ' while length($head) % 8;
    mkdir $folder;
    spew("$folder/model.safetensors", pack('Q<', length $head), $head, $bytes);
    spew("$folder/config.json", encode_json(\%config));
    copy("$ENV{SRCDIR}/tests/data/tokenizer/tiny_bpe/$_", "$folder/$_") for 'tokenizer.json', 'tokenizer_config.json';
    spew("$folder/chat_template.jinja", "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            . "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}");
}

1;

#!/usr/bin/perl
# Methods of training as a user types them: what each leaves, that a killed run goes on to the same bytes,
# that other programs read it, and what doesn't go together.
use strict;
use warnings;
use POSIX qw(:sys_wait_h);
BEGIN { require "$ENV{SRCDIR}/tests/cli/cli.pl" }

my $llama = "$ENV{SRCDIR}/tests/data/models/llama";
my $biased = "$ENV{SRCDIR}/tests/data/models/llama_linear";
my $tied = "$ENV{SRCDIR}/tests/data/models/llama_sharded";
scratch('ft-train-methods');

# Documents of a small language.
{
    my $random = 7;
    my $next = sub { $random = ($random * 1103515245 + 12345) % 2**31; return int($random / 65536) % $_[0] };
    spew_json('train.jsonl', map {
        my $word = $next->(20);
        my @ids = (1, map { $word = ($word * 7 + $next->(3)) % 60; $word + 10 } 1 .. 8 + $next->(20));
        {ids => \@ids, trained => [map { $_ % 5 ? 1 : 0 } 0 .. $#ids]}
    } 1 .. 40);
    for ($llama, $biased, $tied) {
        my ($name) = m{([^/]+)$};
        run("ft-pack -m $_ --length 64 train.jsonl -o $name.ft");
    }
    rename 'llama.ft', 'train.ft';
}

my $short = '--steps 12 --batch 3 --lr 3e-3 --seed 3 --eval-every 5 --keep last';

# What a run leaves, but for where its inputs were, and a file that SIGKILL caught half written.
sub left_by {
    my ($folder) = @_;
    opendir my $dir, $folder or return ();
    return sort grep { !/^\.|^train_run|\.tmp$/ } readdir $dir;
}

sub same_folder {
    my ($x, $y, $name) = @_;
    my @files = left_by($x);
    my @different = grep { slurp("$x/$_") ne slurp("$y/$_") } @files;
    return ok(@files && "@files" eq join(' ', left_by($y)) && !@different, $name, "@files", @different);
}

sub start {
    my ($command) = @_;
    my $pid = fork // die "fork: $!\n";
    return $pid if $pid;
    open STDERR, '>', 'err';
    exec 'sh', '-c', "exec $command" or POSIX::_exit(127);
}

# Kills the run after some lines of its log; false if it ended before.
sub kill_after {
    my ($command, $log, $lines) = @_;
    unlink $log;
    my $pid = start($command);
    for (1 .. 4000) {
        if (-e $log && (() = slurp($log) =~ /\n/g) >= $lines) {
            kill 'KILL', $pid;
            waitpid $pid, 0;
            return 1;
        }
        return 0 if waitpid($pid, WNOHANG) == $pid;
        select undef, undef, undef, 0.002;
    }
    return 0;
}

my @methods = (
    [dora => $llama, '--dora --rank 4 --dropout 0.1'],
    [saved => $llama, '--rank 2 --modules-to-save embed_tokens,lm_head,norm,input_layernorm'],
    [bias => $biased, '--rank 2 --targets q_proj,down_proj --bias all'],
    [pattern => $llama, q(--targets '.*layers\.1\.mlp\..*_proj' --rank 3)],
    [ranks => $llama, '--exclude k_proj,o_proj --layers 1 --rank-pattern v_proj=5 --alpha-pattern mlp.up_proj=1'],
    [orthogonal => $llama, '--init orthogonal --rank 4'],
    [gaussian => $llama, '--init gaussian --rank 4 --rslora'],
    [plus => $llama, '--lora-plus-ratio 8 --rank 4'],
    [pissa => $llama, '--init pissa --rank 3 --rslora --rank-pattern q_proj=5'],
    [niter => $llama, '--init pissa_niter_4 --rank 4 --dora'],
    [olora => $llama, '--init olora --rank 4 --lora-plus-ratio 2'],
    [lion => $llama, '--optimizer lion --rank 4 --lr 1e-3'],
    [full => $llama, '--full'],
    [tied => $tied, '--full --save-type f16 --shard-size 40k'],
    [part => $llama, '--full --targets all-linear,norm --layers 1 --save-type bf16'],
);

for my $method (@methods) {
    my ($name, $model, $options) = @$method;
    my $rows = $model eq $llama ? 'train.ft' : $model =~ s{.*/}{}r . '.ft';
    my $command = "ft-train -m $model $short --eval $rows $options";
    $command =~ s/--lr 3e-3 // if $options =~ /--lr/;
    my (undef, $status) = run("$command --threads 2 --log $name.log -o $name $rows");
    ok($status == 0, "$name: trains", slurp('err')) or next;
    my @log = json_lines(slurp("$name.log"));
    my @eval = map { $_->{eval_loss} // () } @log;
    ok($eval[-1] < $eval[0] && $log[0]{loss} > $eval[-1], "$name: something is learnt", "@eval");
    run("$command --threads 1 -o $name.one $rows");
    same_folder($name, "$name.one", "$name: the same bytes on one thread");
    my $killed = kill_after("$command --checkpoint-every 2 --log $name.kill.log -o $name.kill $rows", "$name.kill.log", 6);
    (undef, $status) = run("ft-train --resume $name.kill");
    ok($status == 0, "$name: goes on after SIGKILL" . ($killed ? '' : ' (too late)'), slurp('err'));
    same_folder($name, "$name.kill", "$name: to the same bytes");
    my $score = decode_json(run($options =~ /--full/ ? "ft-eval -m $name $rows" : "ft-eval -m $model -a $name $rows"));
    # Rounded weights score a little differently.
    near($score->{mean_nll}, $eval[-1], $options =~ /save-type/ ? 3e-3 : 1e-6, "$name: ft-eval finds the held-out loss");
    next if $options =~ /--full/;
    (undef, $status) = run("ft-merge -m $model -a $name -o $name.merged --type f32");
    $score = $status ? {} : decode_json(run("ft-eval -m $name.merged $rows"));
    near($score->{mean_nll}, $eval[-1], 1e-5, "$name: so does it after ft-merge");
    (undef, $status) = run("ft-train -m $model -a $name --steps 2 --batch 3 --lr 1e-3 --log $name.on.log -o $name.on $rows");
    my $first = $status ? {} : (json_lines(slurp("$name.on.log")))[0];
    ok(!$status && abs($first->{loss} - $eval[-1]) < 0.3 * $eval[-1], "$name: can be gone on from", slurp('err'));
}

# ---- what the files say ----

sub config { return decode_json(slurp("$_[0]/adapter_config.json")) }

# The shapes of a safetensors file's tensors.
sub shapes {
    my ($file) = @_;
    my $bytes = slurp($file);
    my $header = decode_json(substr $bytes, 8, unpack 'Q<', $bytes);
    return {map { $_ => join 'x', @{$header->{$_}{shape}} } grep { $_ ne '__metadata__' } keys %$header};
}

sub shapes_of { return shapes("$_[0]/adapter_model.safetensors") }

{
    my $prefix = 'base_model.model.';
    my ($dora, $saved, $bias) = map { shapes_of($_) } qw(dora saved bias);
    is($dora->{"${prefix}model.layers.0.mlp.up_proj.lora_magnitude_vector"}, '128', 'dora: a magnitude for each row');
    ok(config('dora')->{use_dora}, 'dora: use_dora');
    is($saved->{"${prefix}model.embed_tokens.weight"}, '288x48', 'saved: the embedding');
    is($saved->{"${prefix}model.layers.1.input_layernorm.weight"}, '48', 'saved: a norm');
    is($saved->{"${prefix}model.layers.1.post_attention_layernorm.weight"}, '48', 'saved: norm is the end of others too, as PEFT has it');
    is(join(' ', @{config('saved')->{modules_to_save}}), 'embed_tokens input_layernorm lm_head norm', 'saved: modules_to_save');
    ok($bias->{"${prefix}model.layers.0.self_attn.q_proj.base_layer.bias"}, 'bias: of a module that is adapted');
    ok($bias->{"${prefix}model.layers.0.self_attn.k_proj.bias"}, 'bias: of another');
    is(config('bias')->{bias}, 'all', 'bias: all');
    is(scalar(grep { /lora_A/ } keys %{shapes_of('pattern')}), 3, 'pattern: three matrices');
    is(config('pattern')->{target_modules}, '.*layers\.1\.mlp\..*_proj', 'pattern: as it was given');
    my ($ranks, $c) = (shapes_of('ranks'), config('ranks'));
    is($ranks->{"${prefix}model.layers.1.self_attn.v_proj.lora_A.weight"}, '5x48', 'ranks: of a pattern');
    is($c->{rank_pattern}{v_proj} . $c->{alpha_pattern}{'mlp.up_proj'} . "@{$c->{layers_to_transform}} @{$c->{exclude_modules}}",
        '511 k_proj o_proj', 'ranks: its configuration');
    ok(!grep({ /layers\.0|k_proj|o_proj/ } keys %$ranks), 'ranks: nothing else');
    is(config($_)->{init_lora_weights}, $_, "$_: init_lora_weights") for qw(orthogonal gaussian);
    # A part of the base comes as a plain adapter of twice the rank.
    ($ranks, $c) = (shapes_of('pissa'), config('pissa'));
    is("$c->{r} $c->{rank_pattern}{q_proj} $c->{init_lora_weights}", '6 10 1', 'pissa: its configuration');
    near($c->{lora_alpha}, 6 * sqrt(2), 1e-9, 'pissa: alpha, so that the scale is the same');
    is($ranks->{"${prefix}model.layers.1.self_attn.q_proj.lora_B.weight"}, '48x10', 'pissa: its matrices');
    # The first step's loss is the base's.
    my $plain = (json_lines(slurp('gaussian.log')))[0]{loss};
    near((json_lines(slurp("$_.log")))[0]{loss}, $plain, 1e-6, "$_: begins where the base is") for qw(pissa niter olora orthogonal dora);

    my $base = shapes("$llama/model.safetensors");
    my $full = shapes('full/model.safetensors');
    is(join(' ', map { "$_ $full->{$_}" } sort keys %$full), join(' ', map { "$_ $base->{$_}" } sort keys %$base), "full: the base's tensors");
    my ($was, $is) = map { decode_json(slurp("$_/config.json")) } $llama, 'part';
    is($is->{torch_dtype}, 'bfloat16', 'part: its type in config.json');
    $is->{torch_dtype} = $was->{torch_dtype};
    is(JSON::PP->new->canonical->encode($is), JSON::PP->new->canonical->encode($was), 'part: else as it was');
    is(scalar(() = glob 'tied/model-*-of-*.safetensors'), scalar(keys %{{reverse %{decode_json(slurp('tied/model.safetensors.index.json'))->{weight_map}}}}),
        'tied: files and their index');
    # What isn't trained keeps its bytes.
    run("ft-train -m $llama $short --full --targets norm -o norm train.ft");
    my @same = grep { join(',', tensor("$llama/model.safetensors", $_)) eq join(',', tensor('norm/model.safetensors', $_)) } sort keys %$base;
    is(scalar(@same) . ' of ' . keys %$base, scalar(keys %$base) - 1 . ' of ' . keys %$base, 'norm: one tensor is another');
}

# ---- what doesn't go together ----

my $train = "ft-train -m $llama -o refused";
for my $case (
    ['--full --rank 4', '--rank is about adapters'], ['--full --dora', '--dora is about adapters'],
    ['--full --modules-to-save norm', '--modules-to-save is about adapters'], ['--full -a dora', 'merge dora into the model first'],
    ['--full --base-type nf4', "--full can't train a base"], ['--save-type f16', '--save-type goes with --full'],
    ['--full --targets nothing', 'the model has no module "nothing"'], ['--full --layers 2', 'ranges of layers 0-1'],
    ['--full --exclude .\*', 'leave no tensor to train'],
    ['--targets nothing', 'target "nothing" is no linear layer'], ['--targets x.\*', 'the targets name no matrix'],
    ['--exclude nothing', 'exclude_modules: the model has no module "nothing"'], ['--layers 1-', 'ranges of layers 0-1'],
    ['--layers 1 --targets .\*', '--layers goes with names'], ['--modules-to-save nothing', 'the model has no module "nothing"'],
    ['--rank-pattern v_proj', 'not NAME=NUMBER'], ['--rank-pattern x=3', 'no linear layer\'s name ends in "x"'],
    ['--rank-pattern v_proj=9999', 'a rank of 9999'], ['--bias all', 'bias: the model has none'],
    ['--modules-to-save proj', 'modules_to_save and the targets both name model.layers.0'],
    ['--init orthogonal --rank 3', 'wants even ranks'], ['-a dora --init gaussian', "--init can't change"],
    ['--init pissa --rank 17 --targets k_proj', 'a matrix [16, 48] has no rank of 17'],
    ['--init olora --dropout 0.1', '--init olora goes without --dropout'],
    ['-a plus --dora', "--dora can't change it"], ['-a dora --modules-to-save norm', "--modules-to-save can't change"],
) {
    refuses($case->[0], $case->[1], "$train $case->[0] train.ft");
}
refuses('a tied embedding', 'is the output matrix too (tied)', "ft-train -m $tied -o refused --modules-to-save embed_tokens llama_sharded.ft");
refuses('a tied output matrix', 'is the embedding (tied)', "ft-train -m $tied -o refused --modules-to-save lm_head llama_sharded.ft");
{
    my $experts = "$ENV{SRCDIR}/tests/data/models/mixtral";
    run("ft-pack -m $experts --length 64 train.jsonl -o mixtral.ft");
    refuses("a mixture's experts", "the router and the experts of a mixture can't be trained", "ft-train -m $experts -o refused --full mixtral.ft");
    my (undef, $status) = run("ft-train -m $experts -o attention --full --targets all-linear --steps 2 mixtral.ft");
    ok($status == 0, 'but attention beside them can be trained', slurp('err'));
}
refuses('the model itself', 'is the model itself', "ft-train -m full -o full --full train.ft");
mkdir 'other';
spew('other/config.json', '{}');
refuses("somebody's model", 'no training run made', 'ft-train -m full -o other --full train.ft');
ok(!-e 'refused', 'nothing was written');
refuses('adapters with DoRA have no sum', 'have no sum of low rank', "ft-eval -m $llama -a dora:0.5 train.ft");
finish();

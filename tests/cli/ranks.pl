# Several processes for command tests: require after cli.pl. Ends the test with a SKIP where there is no mpirun
# or the programs were built without MPI.
use strict;
use warnings;

# As root, with more ranks than processors, and without what a container may forbid.
@ENV{qw(OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe
    OMPI_MCA_mpi_yield_when_idle OMPI_MCA_btl_vader_single_copy_mechanism)} = (1, 1, 1, 1, 'none');
# Open MPI leaves what it set up, in modules that are gone when a sanitizer looks.
$ENV{ASAN_OPTIONS} = 'detect_leaks=0';
# Not of a launcher that this test itself runs under.
delete @ENV{grep { /^(OMPI_COMM_WORLD|PMI_|PMIX_|SLURM_)/ } keys %ENV};

# Runs a command by so many ranks, a minute at most; stderr in the file err. Its exit status.
sub ranks {
    my ($n, $command) = @_;
    return (run("timeout 60 mpirun -n $n $command </dev/null"))[1];
}

# The same, where a rank's arguments are followed by some of its own: {1 => '--lr 1'}.
sub ranks_with {
    my ($n, $own, $command) = @_;
    my $cases = join ' ', map { "$_) set -- \"\$@\" $own->{$_};;" } sort keys %$own;
    my ($program, $arguments) = split ' ', $command, 2;
    return ranks($n, "sh -c 'case \$OMPI_COMM_WORLD_RANK in $cases esac; exec \"\$@\"' sh $program $arguments");
}

# What the program itself said: mpirun adds boxes of its own.
sub said {
    return join '', grep { /^ft-/ } map { "$_\n" } split /\n/, slurp('err');
}

# Adapter, state and log of two runs.
sub same_training {
    my ($x, $y, $name) = @_;
    opendir my $dir, $x or return ok(0, $name, "no folder $x");
    my @files = grep { !/^\.|^train_run/ } readdir $dir;
    my @different = grep { !-e "$y/$_" || slurp("$x/$_") ne slurp("$y/$_") } @files;
    my ($one, $other) = map { slurp($_) =~ s/,"tok_per_s.*//gr } "$x.log", "$y.log";
    push @different, 'log' if $one eq '' || $one ne $other;
    return ok(@files >= 3 && !@different, $name, @different, slurp('err'));
}

# Documents of a small language, for the model in tests/data/models/llama.
sub write_rows {
    my ($model, $name, $n, $random) = @_;
    my $next = sub { $random = ($random * 1103515245 + 12345) % 2**31; return int($random / 65536) % $_[0] };
    spew_json("$name.jsonl", map {
        my $word = $next->(20);
        {id => "$name-$_", ids => [1, map { $word = ($word * 7 + $next->(3)) % 60; $word + 10 } 1 .. 8 + $next->(20)]}
    } 1 .. $n);
    run("ft-pack -m $model --length 64 -o $name.ft $name.jsonl");
}

skip_all('no mpirun') unless grep { -x "$_/mpirun" } split /:/, $ENV{PATH};
{
    my ($out) = run("timeout 60 mpirun -n 2 ft-train -m none -o none none </dev/null");
    my $text = slurp('err');
    skip_all('built without MPI') if $text =~ /built without MPI/;
    skip_all('mpirun starts nothing here') if $text !~ /^ft-train: /m;
}

1;

# What tests in sh share: . "$SRCDIR/tests/cli/cli.sh"; ...; finish. Goes to a folder of its own, $dir, that is
# removed in the end.
set -u
n=0 failed=0

ok() { # STATUS NAME [FILE-TO-SHOW]
    n=$((n + 1))
    if [ "$1" = 0 ]; then echo "ok $n - $2"; return; fi
    failed=1
    echo "not ok $n - $2"
    [ -z "${3:-}" ] || tail -n 30 "$3" | sed 's/^/#   /'
}

skip() { # NAME WHY
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

skip_all() { # WHY
    echo "1..0 # SKIP $1"
    exit 0
}

finish() {
    echo "1..$n"
    exit "$failed"
}

dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir" || exit 1

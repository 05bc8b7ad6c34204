#!/bin/sh
# make deb: a package that lintian has nothing against, with what it needs named, and programs that run from
# where it is unpacked.
set -u
n=0 failed=0
ok() { # STATUS NAME [FILE-TO-SHOW]
    n=$((n + 1))
    if [ "$1" = 0 ]; then echo "ok $n - $2"; return; fi
    failed=1
    echo "not ok $n - $2"
    [ -z "${3:-}" ] || tail -n 30 "$3" | sed 's/^/#   /'
}

for command in dpkg-buildpackage dpkg-deb dh; do
    command -v $command >/dev/null || { echo "1..0 # SKIP no $command"; exit 0; }
done
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir" || exit 1

# Nothing of how these tests were made goes into the package.
env -u MAKEFLAGS -u CFLAGS -u LDFLAGS make -f "$SRCDIR/Makefile" B="$dir/made" deb >log 2>&1
ok $? 'make deb' log
deb=$(echo made/tuneutils_*.deb)
[ -s "$deb" ] || { echo "Bail out! no package"; exit 1; }

dpkg-deb --field "$deb" Depends >depends
for library in libarchive libc6 libjansson libmsgpack libopenblas libpcre2-8 libutf8proc libxml2 libxxhash; do
    grep -q "$library" depends || echo "$library is missing in:"
done >missing
[ ! -s missing ]
ok $? 'depends on the libraries' missing
grep -Eq '(python|gcc|-dev)' depends && cat depends >missing
[ ! -s missing ]
ok $? 'and on nothing for building' missing

dpkg-deb --extract "$deb" root
for page in root/usr/share/man/man?/*; do
    gzip -t "$page" || echo "$page"
done >plain 2>&1
[ ! -s plain ]
ok $? 'pages of the manual are compressed' plain
for program in root/usr/bin/*; do
    "$program" --version && "$program" --help
done >said 2>&1
ok $? 'programs run' said
[ "$(cd root/usr/bin && echo *)" = "$(cd "$BUILDDIR/bin" && echo *)" ]
ok $? 'all programs are in it'
echo '{"text":"Ein Satz."}' >documents
root/usr/bin/ft-tok -m "$SRCDIR/tests/data/tokenizer/tiny_bpe" --ids documents >got 2>&1 && [ -s got ]
ok $? 'one works' got

if command -v lintian >/dev/null; then
    # The first upload closes a bug in Debian; this is none.
    lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs "$deb" >said 2>&1
    ok $? 'lintian' said
else
    n=$((n + 1))
    echo "ok $n - # SKIP no lintian"
fi
if command -v hardening-check >/dev/null; then
    # Control flow needs start-up files with the mark, which Debian's libc has not.
    hardening-check --nocfprotection root/usr/bin/* >said 2>&1
    ok $? 'hardened' said
else
    n=$((n + 1))
    echo "ok $n - # SKIP no hardening-check"
fi

echo "1..$n"
exit $failed

#!/bin/sh
# make deb: a package that lintian has nothing against, with what it needs named, and programs that run from
# where it is unpacked.
. "$SRCDIR/tests/cli/cli.sh"

for command in dpkg-buildpackage dpkg-deb dh; do
    command -v $command >/dev/null || skip_all "no $command"
done

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
    skip 'lintian' 'not installed'
fi
if command -v hardening-check >/dev/null; then
    # Control flow needs start-up files with the mark, which Debian's libc has not.
    hardening-check --nocfprotection root/usr/bin/* >said 2>&1
    ok $? 'hardened' said
else
    skip 'hardened' 'no hardening-check'
fi

finish

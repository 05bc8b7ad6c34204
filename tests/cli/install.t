#!/bin/sh
# make install and uninstall: what goes where, with DESTDIR and other folders, called from elsewhere; no more is
# left than was there.
. "$SRCDIR/tests/cli/cli.sh"

programs=$(cd "$BUILDDIR/bin" && echo ft-*)
run_make() { make -f "$SRCDIR/Makefile" B="$BUILDDIR" --silent --no-print-directory "$@" >said 2>&1; }

if ! make -f "$SRCDIR/Makefile" B="$BUILDDIR" --question all >/dev/null 2>&1; then
    skip_all 'what is built is older than the sources'
fi

run_make install DESTDIR="$dir/root" prefix=/usr
ok $? 'install' said
for p in $programs; do
    for file in "bin/$p" "share/man/man1/$p.1" "share/bash-completion/completions/$p" \
        "share/zsh/site-functions/_$p" "share/fish/vendor_completions.d/$p.fish"; do
        [ -s "root/usr/$file" ] || echo "$file"
    done
    [ -x "root/usr/bin/$p" ] && "root/usr/bin/$p" --version >/dev/null || echo "$p --version"
done >missing
[ ! -s missing ]
ok $? 'each program has its page and its completions' missing
[ -s root/usr/share/man/man5/ft-stream.5 ] && [ -s root/usr/share/man/man7/tuneutils.7 ] &&
    [ -s root/usr/share/doc/tuneutils/README.md ] && [ -x root/usr/share/doc/tuneutils/examples/house-style/report ]
ok $? 'formats, tutorial, README and examples'
find root -type f -perm /022 >writable
[ ! -s writable ]
ok $? 'nobody else can write to what is installed' writable

touch root/usr/bin/other root/usr/share/man/man1/other.1
run_make uninstall DESTDIR="$dir/root" prefix=/usr
ok $? 'uninstall' said
find root ! -type d | LC_ALL=C sort >left
printf '%s\n' root/usr/bin/other root/usr/share/man/man1/other.1 | cmp -s - left
ok $? 'what was installed is gone, and nothing else' left

run_make install DESTDIR="$dir/root2" bindir=/opt/bin mandir=/opt/man docdir=/opt/doc datarootdir=/opt/data
ok $? 'install to other folders' said
[ -z "$(find root2 -type f | grep -v '^root2/opt/')" ] && [ -s root2/opt/man/man1/ft-tok.1 ] && [ -x root2/opt/bin/ft-tok ]
ok $? 'each of them is used' said

finish

# tuneutils: GNU make. ./bootstrap TARGET installs what a Debian machine lacks and then runs this.
#
#   make                  programs into build/bin, library into build/libtuneutils.a
#   make check            unit, command, contract and golden tests (prove)
#   make check-long       the same with real tokenisers and models, and kill tests
#   make sanitize         check under ASan and UBSan
#   make fuzz             every reader against random bytes, FUZZ_SECONDS each
#   make fuzz-coverage    what of the readers the fuzzers' inputs reach; make valgrind: the unit tests in it
#   make analyse          gcc -fanalyzer, clang-tidy and cppcheck over the sources, where they are installed
#   make demo             fine-tune a real model; MODEL=FILE-OR-FOLDER, DOCUMENTS=FILE take others
#   make bench interop    speed beside other tools, results against them; VENV=FOLDER has them
#   make install install-strip uninstall dist distcheck clean     DESTDIR and prefix as usual
#   make deb              a Debian package
#
# Works from another folder too: make -f ../tuneutils/Makefile. Everything made lies under $B.
# STATIC=1 links everything in, but for MPI (on Debian with libacl1-dev, libzstd-dev and liblz4-dev).
# For another machine: CC=aarch64-linux-gnu-gcc PKG_CONFIG=aarch64-linux-gnu-pkg-config, and
# RUN=qemu-aarch64-static where its programs can be run.

srcdir := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
VERSION := $(shell sed -n 's/^\#define TUNEUTILS_VERSION "\(.*\)"/\1/p' $(srcdir)/lib/base/program.h)
prefix = /usr/local
bindir = $(prefix)/bin
datarootdir = $(prefix)/share
mandir = $(datarootdir)/man
datadir = $(datarootdir)
docdir = $(datarootdir)/doc/tuneutils
bashcompletiondir = $(datarootdir)/bash-completion/completions
zshcompletiondir = $(datarootdir)/zsh/site-functions
fishcompletiondir = $(datarootdir)/fish/vendor_completions.d
INSTALL = install
INSTALL_PROGRAM = $(INSTALL)
INSTALL_DATA = $(INSTALL) -m 644
PKG_CONFIG = pkg-config
B = build

CC = cc
CFLAGS ?= -O2 -g
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wvla
# msgpack-c calls itself msgpack before version 6 (Debian 12).
MSGPACK := $(firstword $(shell for p in msgpack-c msgpack; do $(PKG_CONFIG) --exists $$p 2>/dev/null && echo $$p; done) msgpack-c)
PACKAGES = libarchive $(MSGPACK) openblas jansson libxxhash libpcre2-8 libutf8proc libxml-2.0
PACKAGE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PACKAGE_LIBS := $(shell $(PKG_CONFIG) $(if $(STATIC),--static) --libs $(PACKAGES) 2>/dev/null)

comma := ,

# For several processes in ft-train, which alone is linked with it. MPI= leaves it out.
MPI := $(if $(STATIC),,$(firstword $(shell for p in ompi-c mpi-c ompi mpi mpich; do $(PKG_CONFIG) --exists $$p 2>/dev/null && echo $$p; done)))
MPI_CFLAGS := $(if $(MPI),-DHAVE_MPI $(shell $(PKG_CONFIG) --cflags $(MPI)))
MPI_LIBS := $(if $(MPI),-Wl$(comma)--push-state$(comma)--as-needed $(shell $(PKG_CONFIG) --libs $(MPI)) -Wl$(comma)--pop-state)

# Hardening costs too little to be measured; HARDENING= leaves it out. Fortified calls need
# optimisation and hide from sanitizers; whoever builds packages brings flags of their own.
HARDENING := $(shell for flag in -fstack-protector-strong -fstack-clash-protection -fcf-protection \
	-mbranch-protection=standard; do echo 'int x;' | \
	$(CC) -Werror $$flag -x c -S -o /dev/null - 2>/dev/null && echo $$flag; done)
is_static := $(or $(STATIC),$(filter -static%,$(LDFLAGS)))
harden_cppflags = $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS))$(findstring -fsanitize,$(CFLAGS)),,\
	$(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3))
harden_ldflags = -Wl$(comma)-z$(comma)relro$(comma)-z$(comma)now $(if $(is_static),,-pie)

ALL_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/lib $(PACKAGE_CFLAGS) $(MPI_CFLAGS) $(if $(HARDENING),$(harden_cppflags)) $(CPPFLAGS)
ALL_CFLAGS = -std=c11 -pthread -ffp-contract=off $(if $(HARDENING),-fPIE) $(HARDENING) $(WARNINGS) $(CFLAGS)
ALL_LDFLAGS = $(if $(HARDENING),$(harden_ldflags)) $(if $(STATIC),-static-pie) $(LDFLAGS)
# ICU, which libxml2 brings, is C++; quadmath is gfortran's, which BLAS brings.
ALL_LIBS = $(PACKAGE_LIBS) $(if $(STATIC),-lstdc++ -lquadmath) $(MPI_LIBS) $(LIBS) -lm

ifeq ($(PACKAGE_LIBS),)
ifneq ($(filter-out clean distclean dist uninstall,$(or $(MAKECMDGOALS),all)),)
$(error Missing: $(shell $(srcdir)/bootstrap --missing). On Debian, ./bootstrap installs them)
endif
endif

LAYERS = base formats text compute model
PROGRAM_DIRS = tok pack train merge eval
LIB_SOURCES := $(sort $(foreach d,$(LAYERS),$(wildcard $(srcdir)/lib/$d/*.c)))
PROGRAM_SOURCES := $(sort $(foreach d,$(PROGRAM_DIRS),$(wildcard $(srcdir)/$d/ft-*.c)))
UNIT_SOURCES := $(sort $(wildcard $(srcdir)/tests/unit/test-*.c))
FUZZ_SOURCES := $(sort $(wildcard $(srcdir)/tests/fuzz/fuzz-*.c))
LIB_OBJECTS := $(LIB_SOURCES:$(srcdir)/%.c=$B/%.o)
PROGRAMS := $(patsubst %.c,$B/bin/%,$(notdir $(PROGRAM_SOURCES)))
UNIT_TESTS := $(UNIT_SOURCES:$(srcdir)/%.c=$B/%)
FUZZERS := $(FUZZ_SOURCES:$(srcdir)/%.c=$B/%)
MAN_PAGES := $(sort $(wildcard $(srcdir)/doc/man/*.[157]))
LIBRARY = $B/libtuneutils.a

# What shells complete is asked of the programs, where they can be run here.
RUN =
ifneq ($(RUN)$(filter $(shell uname -m)-%,$(shell $(CC) -dumpmachine)),)
COMPLETIONS := $(foreach p,$(notdir $(PROGRAMS)),$(addprefix $B/completions/,bash/$p zsh/_$p fish/$p.fish))
endif

all: $(PROGRAMS) $(COMPLETIONS)

$(LIBRARY): $(LIB_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $(LIB_OBJECTS)

# Loops over activations and tokens are worth vectorising in full.
$B/lib/compute/%.o $B/lib/formats/dtype%.o $B/lib/formats/stream_record.o $B/lib/formats/stream_writer.o: ALL_CFLAGS += -O3 -fno-trapping-math -fno-math-errno

$B/%.o: $(srcdir)/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define program_rule
$B/bin/$(notdir $(1:.c=)): $(1:$(srcdir)/%.c=$B/%.o) $(LIBRARY)
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $$(ALL_LIBS)
endef
$(foreach s,$(PROGRAM_SOURCES),$(eval $(call program_rule,$s)))

$B/tests/unit/test-%: $B/tests/unit/test-%.o $(LIBRARY)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)

$B/tests/fuzz/fuzz-%: $B/tests/fuzz/fuzz-%.o $(LIBRARY)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(ALL_LIBS)

$B/completions/bash/%: $B/bin/%
	@mkdir -p $(@D)
	$(RUN) $< --completion=bash >$@

$B/completions/zsh/_%: $B/bin/%
	@mkdir -p $(@D)
	$(RUN) $< --completion=zsh >$@

$B/completions/fish/%.fish: $B/bin/%
	@mkdir -p $(@D)
	$(RUN) $< --completion=fish >$@

-include $(LIB_OBJECTS:.o=.d) $(wildcard $B/tests/bench/*.d) $(PROGRAM_SOURCES:$(srcdir)/%.c=$B/%.d) $(UNIT_TESTS:=.d) $(FUZZERS:=.d)

.PHONY: all unit-tests fuzzers check check-long sanitize fuzz fuzz-coverage analyse valgrind demo bench interop \
	install install-strip uninstall dist distcheck deb clean distclean
.SECONDARY:
.DELETE_ON_ERROR:

unit-tests: $(UNIT_TESTS)
fuzzers: $(FUZZERS)

# Tests find the programs in PATH, their data in SRCDIR, and write only to temporary folders: nothing
# into the user's cache.
TEST_ENV = SRCDIR=$(abspath $(srcdir)) BUILDDIR=$(abspath $B) PATH=$(abspath $B)/bin:$$PATH TUNEUTILS_CACHE=
CLI_TESTS = $(sort $(wildcard $(srcdir)/tests/cli/*.t $(srcdir)/tests/golden/*.t))
PROVE = prove
PROVE_FLAGS = --jobs 2 --timer

check: all unit-tests
	$(TEST_ENV) $(PROVE) $(PROVE_FLAGS) --exec '' $(UNIT_TESTS) $(CLI_TESTS)

check-long: all unit-tests
	TEST_LONG=1 $(TEST_ENV) $(PROVE) $(PROVE_FLAGS) --exec '' $(UNIT_TESTS) $(CLI_TESTS) \
		$(sort $(wildcard $(srcdir)/tests/long/*.t))

# The instrumented builds live in folders of their own.
CLANG = clang
sanitize:
	LSAN_OPTIONS=suppressions=$(abspath $(srcdir))/tests/leaks.supp:print_suppressions=0 $(MAKE) -f $(srcdir)/Makefile B=$B/asan CC=$(CLANG) LDFLAGS=-fsanitize=address,undefined \
		CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined' check

# A fuzzer starts from the seeds in tests/fuzz/NAME/, keeps what it finds under $B/fuzz/corpus/NAME
# and stops at the first crash, leaving the input there.
FUZZ_SECONDS = 30
fuzz:
	$(MAKE) -f $(srcdir)/Makefile B=$B/fuzz CC=$(CLANG) LDFLAGS=-fsanitize=address,undefined \
		CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' fuzzers
	@set -e; for name in $(patsubst $(srcdir)/tests/fuzz/fuzz-%.c,%,$(FUZZ_SOURCES)); do \
		corpus=$B/fuzz/corpus/$$name; seeds=$(srcdir)/tests/fuzz/$$name; mkdir -p $$corpus; \
		echo "fuzz-$$name: $(FUZZ_SECONDS) s"; [ -d $$seeds ] || seeds=; \
		$B/fuzz/tests/fuzz/fuzz-$$name -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 \
			-verbosity=0 -print_final_stats=1 -artifact_prefix=$B/fuzz/$$name- $$corpus $$seeds; \
	done

# How much of the library the fuzzers' seeds, and what they have found, go through: a line for each file.
LLVM_COV = llvm-cov
LLVM_PROFDATA = llvm-profdata
COVERED = $(FUZZ_SOURCES:$(srcdir)/%.c=$B/coverage/%)
fuzz-coverage:
	$(MAKE) -f $(srcdir)/Makefile B=$B/coverage CC=$(CLANG) LDFLAGS='-fprofile-instr-generate' \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping' fuzzers
	@set -e; for name in $(patsubst $(srcdir)/tests/fuzz/fuzz-%.c,%,$(FUZZ_SOURCES)); do \
		inputs=; for d in $(srcdir)/tests/fuzz/$$name $B/fuzz/corpus/$$name; do [ ! -d $$d ] || inputs="$$inputs $$d"; done; \
		LLVM_PROFILE_FILE=$B/coverage/$$name.profraw $B/coverage/tests/fuzz/fuzz-$$name -runs=0 $$inputs 2>$B/coverage/$$name.log; \
	done
	$(LLVM_PROFDATA) merge -sparse $B/coverage/*.profraw -o $B/coverage/all.profdata
	$(LLVM_COV) report $(firstword $(COVERED)) $(addprefix -object=,$(COVERED)) -instr-profile=$B/coverage/all.profdata \
		-ignore-filename-regex='/(compute|model|tests)/' >$B/coverage/all
	@awk '/^---/ { next } /^Filename/ { print "file", "regions%", "lines%"; next } NF > 9 { print $$1, $$4, $$10 }' $B/coverage/all >$B/coverage/report
	@tail -n 1 $B/coverage/report; echo "$B/coverage/report has a line for each file"

# Static analysers, those of them that are installed: silent and with status 0 where they find nothing. What is no
# mistake is suppressed where it stands, with the reason.
GCC := $(shell gcc -fanalyzer -E - </dev/null >/dev/null 2>&1 && echo gcc)
CLANG_TIDY := $(firstword $(foreach t,clang-tidy clang-tidy-14,$(shell command -v $t)))
CPPCHECK := $(shell command -v cppcheck)
CPPCHECK_FLAGS = -q --std=c11 --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
	--suppress=missingIncludeSystem --suppress=readdirCalled --library=posix --library=$(srcdir)/tests/cppcheck.cfg \
	--template='{file}:{line}: {message} [{id}]'
# What gcc 12 takes for mistakes in C without any; clang-tidy looks for the same.
GCC_FLAGS = -fanalyzer -Wno-analyzer-use-of-uninitialized-value -Wno-analyzer-malloc-leak
analyse: $(LIB_SOURCES:$(srcdir)/%.c=$B/analyse/%) $(PROGRAM_SOURCES:$(srcdir)/%.c=$B/analyse/%)
	@[ -n '$(GCC)$(CLANG_TIDY)$(CPPCHECK)' ] || echo 'analyse: neither gcc -fanalyzer nor clang-tidy nor cppcheck is here'

$B/analyse/%: $(srcdir)/%.c $B/%.o $(srcdir)/.clang-tidy $(srcdir)/tests/cppcheck.cfg
	@mkdir -p $(@D)
	@$(if $(GCC),$(GCC) $(ALL_CPPFLAGS) -DANALYSED -std=c11 -O1 $(GCC_FLAGS) -Werror -c -o /dev/null $<)
	@$(if $(CLANG_TIDY),$(CLANG_TIDY) --quiet --warnings-as-errors='*' $< -- $(ALL_CPPFLAGS) -DANALYSED -std=c11 2>$@.log || { cat $@.log >&2; exit 1; })
	@$(if $(CPPCHECK),$(CPPCHECK) $(CPPCHECK_FLAGS) -D_GNU_SOURCE -DANALYSED -I$(srcdir)/lib $<)
	@touch $@

# Memory errors and leaks in the unit tests, without another build.
VALGRIND = valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
valgrind: unit-tests
	OPENBLAS_NUM_THREADS=1 $(TEST_ENV) $(PROVE) --exec '$(VALGRIND)' $(UNIT_TESTS)

# The example under doc/examples, run in $B/demo with the programs just built.
demo: all
	@mkdir -p $B/demo
	PATH=$(abspath $B)/bin:$$PATH $(MAKE) -C $B/demo -f $(abspath $(srcdir))/doc/examples/house-style/Makefile \
		$(if $(MODEL),MODEL=$(abspath $(MODEL))) $(if $(DOCUMENTS),DOCUMENTS=$(abspath $(DOCUMENTS)))

# What bench measures programs against: products of matrices alone, with oneDNN's too where that is.
BENCH_OBJECTS := $(patsubst $(srcdir)/%.c,$B/%.o,$(sort $(wildcard $(srcdir)/tests/bench/*.c)))
DNNL = $(shell echo '\#include <dnnl.h>' | $(CC) $(CPPFLAGS) -E -x c - >/dev/null 2>&1 && echo -ldnnl)
$(BENCH_OBJECTS): ALL_CPPFLAGS += $(if $(DNNL),-DHAVE_DNNL)
$B/tests/bench/ceiling: $(BENCH_OBJECTS) $(LIBRARY)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS) $(DNNL)

bench: all $B/tests/bench/ceiling
	$(TEST_ENV) $(srcdir)/tests/bench/bench.sh $(VENV)

interop: all
	venv=$$($(srcdir)/tests/interop/environment $(VENV)) && $(TEST_ENV) VENV=$$venv $(PROVE) --timer --exec '' $(sort $(wildcard $(srcdir)/tests/interop/*.t))

install: all
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(docdir)
	$(INSTALL_PROGRAM) $(PROGRAMS) $(DESTDIR)$(bindir)
	set -e; for page in $(MAN_PAGES); do \
		section=$(DESTDIR)$(mandir)/man$${page##*.}; \
		$(INSTALL) -d $$section; $(INSTALL_DATA) $$page $$section; \
	done
ifneq ($(COMPLETIONS),)
	$(INSTALL) -d $(addprefix $(DESTDIR),$(bashcompletiondir) $(zshcompletiondir) $(fishcompletiondir))
	$(INSTALL_DATA) $(filter $B/completions/bash/%,$(COMPLETIONS)) $(DESTDIR)$(bashcompletiondir)
	$(INSTALL_DATA) $(filter $B/completions/zsh/%,$(COMPLETIONS)) $(DESTDIR)$(zshcompletiondir)
	$(INSTALL_DATA) $(filter $B/completions/fish/%,$(COMPLETIONS)) $(DESTDIR)$(fishcompletiondir)
endif
	$(INSTALL_DATA) $(srcdir)/README.md $(srcdir)/LICENSE $(DESTDIR)$(docdir)
	$(INSTALL) -d $(DESTDIR)$(datadir)/tuneutils
	set -e; for file in $(EXPERIMENT); do \
		cp $$file $(DESTDIR)$(datadir)/tuneutils; chmod u=rwX,go=rX $(DESTDIR)$(datadir)/tuneutils/$${file##*/}; \
	done
	set -e; for example in $(EXAMPLES); do \
		to=$(DESTDIR)$(docdir)/$${example#doc/}; \
		$(INSTALL) -d $${to%/*}; cp $(srcdir)/$$example $$to; \
		chmod u=rwX,go=rX $$to; \
	done

install-strip:
	$(MAKE) -f $(srcdir)/Makefile INSTALL_PROGRAM='$(INSTALL) -s' install

uninstall:
	rm -f $(PROGRAMS:$B/bin/%=$(DESTDIR)$(bindir)/%)
	rm -f $(foreach page,$(MAN_PAGES),$(DESTDIR)$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	rm -f $(foreach p,$(PROGRAMS:$B/bin/%=%),$(addprefix $(DESTDIR),\
		$(bashcompletiondir)/$p $(zshcompletiondir)/_$p $(fishcompletiondir)/$p.fish))
	rm -rf $(DESTDIR)$(docdir) $(DESTDIR)$(datadir)/tuneutils

# The include file for experiments with what it calls.
EXPERIMENT = $(wildcard $(srcdir)/doc/examples/experiment/tuneutils/*)

# Makefiles, scripts and what they begin with: not what somebody made with them in place.
EXAMPLES = $(shell cd $(srcdir) && find doc/examples -type f \( -perm -100 -o -name Makefile -o -name '*.md' -o -name '*.mk' \
	-o -name '*.awk' -o -name '*.css' -o -name '*.gp' -o -name examples-needed.svg -o -name terms.tsv -o -path 'doc/examples/*/own/*' \) | LC_ALL=C sort)

# The tracked files (from an unpacked tarball: all of them), the same bytes each time.
NAME = tuneutils-$(VERSION)
TARBALL = $B/$(NAME).tar.gz
dist:
	@mkdir -p $B
	cd $(srcdir) && if [ -e .git ]; then git ls-files -z; else \
		find . \( -path ./build -o -samefile $(abspath $B) \) -prune -o -type f -printf '%P\0'; fi | \
		LC_ALL=C sort -z >$(abspath $(TARBALL)).files
	cd $(srcdir) && tar --create --null --no-recursion --files-from=$(abspath $(TARBALL)).files --format=ustar --owner=0 --group=0 \
		--numeric-owner --mode=u=rwX,go=rX --transform='s,^,$(NAME)/,' \
		--mtime=@$$(if [ -e .git ]; then git log -1 --format=%ct; else stat -c %Y Makefile; fi) \
		--file=$(abspath $(TARBALL)).tmp
	gzip -9n <$(TARBALL).tmp >$(TARBALL)
	@rm $(TARBALL).tmp $(TARBALL).files

# A stranger's way: unpack, build in another folder, check, install, use, uninstall, pack again.
distcheck: dist
	rm -rf $B/distcheck
	mkdir -p $B/distcheck/build
	tar -xzf $(TARBALL) -C $B/distcheck
	$(MAKE) -C $B/distcheck/build -f ../$(NAME)/Makefile B=build check
	$(MAKE) -C $B/distcheck/build -f ../$(NAME)/Makefile B=build install DESTDIR=../root prefix=/usr
	set -e; for p in $(notdir $(PROGRAMS)); do $B/distcheck/root/usr/bin/$$p --version; done
	$(MAKE) -C $B/distcheck/build -f ../$(NAME)/Makefile B=build uninstall DESTDIR=../root prefix=/usr
	@left=$$(find $B/distcheck/root ! -type d); [ -z "$$left" ] || { echo "uninstall left: $$left" >&2; exit 1; }
	$(MAKE) -C $B/distcheck/build -f ../$(NAME)/Makefile B=build dist
	cmp $(TARBALL) $B/distcheck/build/build/$(NAME).tar.gz
	@echo "$(TARBALL) is fit to hand out"

# A Debian package, out of the tarball and doc/package/debian. Its tests are make check's; they run
# with DEB_BUILD_OPTIONS= too. The version stands in program.h, the date is the tarball's.
DEBFULLNAME ?= tuneutils developers
DEBEMAIL ?= tuneutils@example.org
deb: dist
	rm -rf $B/deb
	mkdir -p $B/deb
	tar -xzf $(TARBALL) -C $B/deb
	set -e; cd $B/deb/$(NAME); cp -R doc/package/debian debian; \
		sed -i 's/@MAINTAINER@/$(DEBFULLNAME) <$(DEBEMAIL)>/' debian/control; \
		printf '%s\n' 'tuneutils ($(VERSION)-1) unstable; urgency=medium' '' '  * Version $(VERSION).' '' \
			" -- $(DEBFULLNAME) <$(DEBEMAIL)>  $$(LC_ALL=C date -u -R -r Makefile)" >debian/changelog; \
		DEB_BUILD_OPTIONS="$${DEB_BUILD_OPTIONS-nocheck} parallel=$(or $(patsubst -j%,%,$(filter -j%,$(MAKEFLAGS))),1)" \
			MAKEFLAGS= MAKEOVERRIDES= dpkg-buildpackage -b -us -uc
	cp $B/deb/tuneutils_*.deb $B

clean distclean:
	rm -rf $B

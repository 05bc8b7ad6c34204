# tuneutils: GNU make. The two commands of the README are `make demo` and `make check`.
#
#   make                  programs into build/bin, library into build/libtuneutils.a
#   make check            unit, command, contract and golden tests (prove)
#   make check-long       the same with real tokenisers and models, kill tests, fuzzers
#   make sanitize         check under ASan and UBSan          make fuzz    fuzz every reader
#   make bench            speed beside other tools            make demo    fine-tune a real model
#   make install uninstall dist distcheck clean               DESTDIR and prefix as usual

VERSION := $(shell sed -n 's/^\#define TUNEUTILS_VERSION "\(.*\)"/\1/p' $(dir $(lastword $(MAKEFILE_LIST)))lib/base/program.h)
srcdir := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
prefix = /usr/local
bindir = $(prefix)/bin
mandir = $(prefix)/share/man
docdir = $(prefix)/share/doc/tuneutils
INSTALL = install
PKG_CONFIG = pkg-config
B = build

CC = cc
CFLAGS = -O2 -g
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wvla
PACKAGES = libarchive msgpack openblas jansson libxxhash libpcre2-8 libutf8proc libxml-2.0
PACKAGE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
PACKAGE_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES))
ALL_CPPFLAGS = -D_GNU_SOURCE -I$(srcdir)/lib $(PACKAGE_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS = -std=c11 -pthread -ffp-contract=off $(WARNINGS) $(CFLAGS)
ALL_LIBS = $(PACKAGE_LIBS) $(LIBS) -lm

LAYERS = base formats text compute model
PROGRAM_DIRS = tok pack train merge eval
LIB_SOURCES := $(sort $(foreach d,$(LAYERS),$(wildcard $(srcdir)/lib/$d/*.c)))
PROGRAM_SOURCES := $(sort $(foreach d,$(PROGRAM_DIRS),$(wildcard $(srcdir)/$d/ft-*.c)))
UNIT_SOURCES := $(sort $(wildcard $(srcdir)/tests/unit/test-*.c))
LIB_OBJECTS := $(LIB_SOURCES:$(srcdir)/%.c=$B/%.o)
PROGRAMS := $(patsubst %.c,$B/bin/%,$(notdir $(PROGRAM_SOURCES)))
UNIT_TESTS := $(UNIT_SOURCES:$(srcdir)/%.c=$B/%)
MAN_PAGES := $(sort $(wildcard $(srcdir)/doc/man/*.[157]))
LIBRARY = $B/libtuneutils.a

all: $(PROGRAMS)

$(LIBRARY): $(LIB_OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $(LIB_OBJECTS)

$B/%.o: $(srcdir)/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

define program_rule
$B/bin/$(notdir $(1:.c=)): $(1:$(srcdir)/%.c=$B/%.o) $(LIBRARY)
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) $$(LDFLAGS) -o $$@ $$^ $$(ALL_LIBS)
endef
$(foreach s,$(PROGRAM_SOURCES),$(eval $(call program_rule,$s)))

$B/tests/unit/test-%: $B/tests/unit/test-%.o $(LIBRARY)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)

-include $(LIB_OBJECTS:.o=.d) $(PROGRAM_SOURCES:$(srcdir)/%.c=$B/%.d) $(UNIT_TESTS:=.d)

.PHONY: all unit-tests check check-long clean
.SECONDARY:

unit-tests: $(UNIT_TESTS)

# Tests find the programs in PATH, their data in SRCDIR and may write only under TEST_TMP.
TEST_ENV = SRCDIR=$(abspath $(srcdir)) BUILDDIR=$(abspath $B) PATH=$(abspath $B)/bin:$$PATH
CLI_TESTS = $(sort $(wildcard $(srcdir)/tests/cli/*.t $(srcdir)/tests/golden/*.t))
PROVE = prove
PROVE_FLAGS = --jobs 2 --timer

check: all unit-tests
	$(TEST_ENV) $(PROVE) $(PROVE_FLAGS) --exec '' $(UNIT_TESTS) $(CLI_TESTS)

check-long: all unit-tests
	TEST_LONG=1 $(TEST_ENV) $(PROVE) $(PROVE_FLAGS) --exec '' $(UNIT_TESTS) $(CLI_TESTS) \
		$(sort $(wildcard $(srcdir)/tests/long/*.t))

clean:
	rm -rf $B

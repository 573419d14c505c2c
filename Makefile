# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# make help shows the targets. Everything that is built is under BUILD; nothing else in the tree is written.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= cc
CLANG ?= clang
CFLAGS ?= -O2 -g

# bpftool, ip and ethtool live in sbin, which is not on every user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-print-directory

# One short line for a command, or the whole command with V=1.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-8s %s\n' $(1) $(patsubst $(BUILD)/%,%,$(2)))

# ------------------------------------------------------------------------------------------------------------- packages
# Libraries are looked up in recipes only (variables that are expanded late), so that a machine without them can read
# the Makefile; the stamps below install them first.

LIBS = $(shell pkg-config --libs libbpf libmnl jansson smartcols libcap-ng libseccomp libnftables libsystemd libsodium) -linih -pthread
TEST_LIBS = $(LIBS) $(shell pkg-config --libs cmocka)

$(BUILD)/.deps-%: scripts/deps.sh
	@mkdir -p $(@D)
	@scripts/deps.sh $*
	@touch $@

# ---------------------------------------------------------------------------------------------------------------- flags

INCLUDES := -Iinclude -Iuser

# Hardening; CFLAGS and LDFLAGS from outside are added to it and do not replace it. Each option only if the compiler
# knows it, which is tested once, when something is compiled. Fortify needs optimization and does not work with
# sanitizers; level 3 needs gcc 12, clang 9 and glibc 2.34, and otherwise it is level 2.
comma := ,
knows = $(shell $(CC) -Werror $(1) -x c -c /dev/null -o /dev/null 2>/dev/null && echo $(1))
fortify = $(if $(call knows,-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -include stdio.h),3,2)
optimizes = $(and $(filter -O1 -O2 -O3 -Os -Og -Ofast,$(CFLAGS)),$(if $(findstring -fsanitize,$(CFLAGS)),,yes))
HARDEN_C = $(eval HARDEN_C := $(if $(optimizes),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=$(fortify)) \
	$(call knows,-fstack-protector-strong) $(call knows,-fstack-clash-protection) $(call knows,-fcf-protection))$(HARDEN_C)
HARDEN_LD := -Wl,-z,relro,-z,now,-z,noexecstack

# The same sources give the same bytes in any directory.
PREFIX_MAP = -ffile-prefix-map=$(abspath $(BUILD))=build -ffile-prefix-map=$(BUILD)=build -ffile-prefix-map=$(CURDIR)=.

C_FLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror $(INCLUDES) -I$(BUILD) $(CFLAGS) $(HARDEN_FORTIFY) $(HARDEN_C) $(PREFIX_MAP)
LD_FLAGS = $(CFLAGS) $(LDFLAGS) $(HARDEN_LD)
SANITIZE := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
SAN_FLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror $(INCLUDES) -Ibpf -Itests/bpf -I$(BUILD) -I$(BUILD)/tests $(SANITIZE)

BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/; s/ppc64le/powerpc/; s/riscv64/riscv/; s/s390x/s390/')
# bpftool 7.5 and later write the kfuncs' prototypes into vmlinux.h, where they are not weak: the programs declare those
# that they call.
BPF_FLAGS = -std=gnu11 -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -DBPF_NO_KFUNC_PROTOTYPES -Wall -Wextra -Werror \
	-Iinclude -Ibpf -I$(BUILD) $(PREFIX_MAP) $(BPF_DEBUG)

# -------------------------------------------------------------------------------------------------------------- sources

COMMON := $(wildcard user/common/*.c user/datapath/*.c user/acl/*.c user/config/*.c)
DAEMON := $(wildcard user/shakeoffd/*.c user/shakeoffd/*/*.c)
COMMAND := $(wildcard user/cli/*.c)
LIBRARY := $(filter-out user/libshakeoff/preload%,$(wildcard user/libshakeoff/*.c))
PRELOAD := $(wildcard user/libshakeoff/preload*.c)
UNIT := $(wildcard tests/unit/test_*.c)
PROG := $(wildcard tests/bpf/test_*.c tests/bpf/*/test_*.c)
# A tool is a file with main(). The comment at its head names the files to link with, as in a test.
TOOL_C := $(filter-out %.bpf.c,$(wildcard tests/bench/*.c tests/net/lib/*.c))
TOOL := $(shell grep -l '^int main' $(TOOL_C))
TOOL_BPF := $(wildcard tests/bench/*.bpf.c) $(wildcard tests/net/lib/*.bpf.c)

BPF := $(patsubst bpf/%.c,$(BUILD)/%.o,$(wildcard bpf/*.bpf.c))
SKELETONS := $(BPF:.bpf.o=.skel.h)

PROGRAMS := $(BPF)
PROGRAMS += $(if $(DAEMON),$(BUILD)/shakeoffd)
PROGRAMS += $(if $(COMMAND),$(BUILD)/shakeoff)
PROGRAMS += $(if $(LIBRARY),$(BUILD)/libshakeoff.so)
PROGRAMS += $(if $(PRELOAD),$(BUILD)/libshakeoff-preload.so)
TEXTS := $(BUILD)/shakeoff.conf.5 $(BUILD)/shakeoff.conf.example
TESTS := $(patsubst %.c,$(BUILD)/%,$(UNIT) $(PROG))
FUZZERS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 10
# make test T='NAME...': only these tests, or those whose names contain one of these
T ?=
TOOLS := $(patsubst %.c,$(BUILD)/%,$(TOOL)) $(patsubst %.c,$(BUILD)/%.o,$(TOOL_BPF))

# -------------------------------------------------------------------------------------------------------------- targets

.PHONY: all tools test-programs test check fuzz lint format verify verify-baseline debug demo bench install uninstall clean help

all: $(PROGRAMS) $(TEXTS)

tools: $(TOOLS)

test-programs: $(TESTS)

test: all tools test-programs $(BUILD)/.deps-test
	@BUILD=$(BUILD) tests/run.sh $(T)

# The checks that need neither root nor a minute.
check: $(SKELETONS) $(UNIT:%.c=$(BUILD)/%) $(BUILD)/compile_commands.json $(BUILD)/.deps-lint
	@BUILD=$(BUILD) tests/run.sh unit/
	@BUILD=$(BUILD) scripts/lint.sh quick

# The verifier's figures of every BPF program, compared with the committed ones.
verify: all $(BUILD)/tests/bench/verify
	@BUILD=$(BUILD) scripts/verify.sh

verify-baseline: all $(BUILD)/tests/bench/verify
	@BUILD=$(BUILD) scripts/verify.sh write

# With it the BPF programs write each verdict with its packet to /sys/kernel/tracing/trace_pipe (bpf/core/dbg.h).
debug:
	@$(MAKE) BUILD=$(BUILD)/debug CFLAGS='-Og -g' BPF_DEBUG=-DSHAKEOFF_DEBUG all

demo: all tools $(BUILD)/.deps-test
	@BUILD=$(BUILD) scripts/demo.sh

bench: all tools $(BUILD)/.deps-test
	@BUILD=$(BUILD) tests/bench/bench.sh
	@echo 'Every kind of flood: BUILD=$(BUILD) tests/bench/floods.sh. Forged ACKs: BUILD=$(BUILD) tests/bench/forgery.sh.'
	@echo 'Bypassed services, with and without shakeoff: BUILD=$(BUILD) tests/bench/bypass.sh.'
	@echo 'Clients far away: BUILD=$(BUILD) tests/bench/round_trip.sh.'

# An input that breaks something is kept beside its fuzzer.
fuzz: $(FUZZERS)
	@for fuzzer in $(FUZZERS); do \
		echo "$$fuzzer: $(FUZZ_SECONDS) s"; \
		$$fuzzer -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -verbosity=0 -artifact_prefix=$$fuzzer. || exit 1; \
	done

lint: all tools test-programs $(BUILD)/compile_commands.json $(BUILD)/.deps-lint
	@BUILD=$(BUILD) scripts/lint.sh

format: $(BUILD)/.deps-lint
	@BUILD=$(BUILD) scripts/lint.sh format

clean:
	rm -rf $(BUILD)

help:
	@echo 'make            build everything under $(BUILD)/'
	@echo 'make demo       a SYN flood over a veth pair with honest clients, and a table of the results (root)'
	@echo 'make test       all tests: unit, BPF programs, network (root); T=NAME: this test, or all whose name contains NAME'
	@echo 'make check      unit tests, headers alone, arrows between rooms, format: no root, under a minute'
	@echo 'make fuzz       feeds random input to the parsers, FUZZ_SECONDS=$(FUZZ_SECONDS) each'
	@echo 'make bench      rates compared with a bare XDP_TX program and the kernel (root); tests/bench/floods.sh: every kind of flood;'
	@echo '                tests/bench/forgery.sh: connections that an ACK flood forges, compared with the kernel;'
	@echo '                tests/bench/bypass.sh: services that are bypassed, with and without shakeoff;'
	@echo '                tests/bench/round_trip.sh: clients that are 40 to 300 ms away, compared with the kernel'
	@echo 'make lint       format, clang-tidy, shellcheck, both compilers, headers alone, arrows between rooms'
	@echo 'make verify     the verifier'"'"'s figures of every BPF program, compared with scripts/verify.baseline (root)'
	@echo 'make debug      into $(BUILD)/debug: the BPF programs write every verdict to trace_pipe'
	@echo 'make install    to PREFIX=$(PREFIX), below DESTDIR; uninstall removes it'
	@echo 'make clean      removes $(BUILD)/'
	@echo 'Variables: BUILD=dir PREFIX=dir DESTDIR=dir CC=cc CLANG=clang CFLAGS=... FUZZ_SECONDS=n T=name V=1'

# ------------------------------------------------------------------------------------------------------------ data path

$(BUILD)/vmlinux.h: | $(BUILD)/.deps-build
	$(call say,BTF,$@)
	$(Q)bpftool btf dump file /sys/kernel/btf/vmlinux format c > $@

$(BUILD)/%.bpf.o: %.bpf.c $(BUILD)/vmlinux.h
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_FLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $@
	$(Q)llvm-strip -g $@

$(BPF): $(BUILD)/%.bpf.o: $(BUILD)/bpf/%.bpf.o
	@cp $< $@

# The skeleton has the name of the file, with underscores for dashes.
$(BUILD)/%.skel.h: $(BUILD)/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)bpftool gen skeleton $< name $(subst -,_,$(notdir $*)) > $@

# ----------------------------------------------------------------------------------------------------------- user space

$(BUILD)/obj/%.o: %.c | $(BUILD)/.deps-build
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(C_FLAGS) -fPIC -MMD -MP -c $< -o $@

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

$(foreach kind,obj san,$(patsubst %.c,$(BUILD)/$(kind)/%.o,$(wildcard user/datapath/*.c))): | $(SKELETONS)

$(BUILD)/shakeoffd: $(call objects,$(DAEMON) $(COMMON))
$(BUILD)/shakeoff: $(call objects,$(COMMAND) $(COMMON))
$(BUILD)/shakeoffd $(BUILD)/shakeoff:
	$(call say,LD,$@)
	$(Q)$(CC) $(LD_FLAGS) -pie -o $@ $^ $(LIBS)

# The libraries are loaded into foreign programs: they need only libc and export only what their .map lists.
exports = $(addprefix -Wl$(comma)--version-script=,$(wildcard $(call map,$(1))))
map = user/libshakeoff/$(patsubst libshakeoff-%,%,$(basename $(notdir $(1)))).map

$(BUILD)/libshakeoff.so: $(call objects,$(LIBRARY)) $(wildcard $(call map,libshakeoff.so))
$(BUILD)/libshakeoff-preload.so: $(wildcard $(call map,libshakeoff-preload.so))
$(BUILD)/libshakeoff-preload.so: $(call objects,$(PRELOAD) $(filter-out user/libshakeoff/libshakeoff.c,$(LIBRARY)))
$(BUILD)/libshakeoff.so $(BUILD)/libshakeoff-preload.so:
	$(call say,LD,$@)
	$(Q)$(CC) $(LD_FLAGS) -shared -Wl,-soname,$(@F) -Wl,--no-undefined $(call exports,$@) -o $@ $(filter %.o,$^) \
		-ldl -pthread

# ---------------------------------------------------------------------------------------------------------------- texts
# The daemon has the table of configuration keys, and writes the texts about them.

$(BUILD)/shakeoff.conf.example: $(BUILD)/shakeoffd
	$(call say,TEXT,$@)
	$(Q)$< --help-config=example > $@

$(BUILD)/shakeoff.conf.keys: $(BUILD)/shakeoffd
	$(Q)$< --help-config=mdoc > $@

$(BUILD)/shakeoff.conf.5: user/man/shakeoff.conf.5.in $(BUILD)/shakeoff.conf.keys
	$(call say,TEXT,$@)
	$(Q)sed -e '/^@KEYS@$$/{r $(BUILD)/shakeoff.conf.keys' -e 'd;}' $< > $@

# ---------------------------------------------------------------------------------------------------------------- tests
# A test names the files to link with in its head: // link: user/datapath/*.c user/shakeoffd/queue/connection.c

$(BUILD)/san/%.o: %.c | $(BUILD)/.deps-build
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN_FLAGS) -MMD -MP -c $< -o $@

links = $(wildcard $(shell sed -n 's,^[/ *]*link: *\(.*[^ */]\)[ */]*$$,\1,p;15q' $(1)))

define test_program
$$(BUILD)/$(1:.c=): $$(BUILD)/san/$(1:.c=.o) $$(patsubst %.c,$$(BUILD)/san/%.o,$$(call links,$(1)))
endef
$(foreach test,$(UNIT) $(PROG),$(eval $(call test_program,$(test))))

$(TESTS): | $(BUILD)/.deps-test
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANITIZE) -o $@ $(filter %.o,$^) $(TEST_LIBS)

$(patsubst %.c,$(BUILD)/san/%.o,$(wildcard tests/unit/*.c tests/bpf/*.c tests/bpf/*/*.c)): | $(BUILD)/.deps-test
$(patsubst %.c,$(BUILD)/san/%.o,$(wildcard tests/bpf/*.c tests/bpf/*/*.c)): $(SKELETONS)
$(BUILD)/san/tests/bpf/test_flood_kinds.o: $(BUILD)/tests/bench/flood.skel.h

$(BUILD)/tests/fuzz/%: tests/fuzz/%.c | $(BUILD)/.deps-fuzz
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(filter-out -O1,$(SAN_FLAGS)) -O2 -fsanitize=fuzzer -MMD -MP -MF $@.d -MT $@ -o $@ $< $(call links,$<) \
		$(LIBS)

# Tools of the tests and benchmarks: the flood generator, clients; x.c finds the skeleton of x.bpf.c beside it.
$(foreach tool,$(TOOL),$(eval $(BUILD)/$(tool:.c=): $(call objects,$(tool) $(call links,$(tool)))))
$(patsubst %.c,$(BUILD)/%,$(TOOL)):
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS)
$(foreach tool,$(TOOL),$(if $(wildcard $(tool:.c=.bpf.c)),\
	$(eval $(BUILD)/obj/$(tool:.c=.o): | $(BUILD)/$(tool:.c=.skel.h))))

# -------------------------------------------------------------------------------------------------------------- editors
# For clangd and similar tools: how every file is compiled.

define compile_command
{ "directory": "$(CURDIR)", "file": "$(1)", "command": "$(2) -c $(1)" },

endef
SOURCES_C := $(COMMON) $(DAEMON) $(COMMAND) $(wildcard user/libshakeoff/*.c) $(TOOL_C)
$(BUILD)/compile_commands.json: Makefile $(COMMON) $(DAEMON) $(COMMAND) $(UNIT) $(PROG) $(TOOL_C) | $(BUILD)/.deps-build
	$(call say,JSON,$@)
	$(file >$@,[$(foreach file,$(wildcard bpf/*.bpf.c) $(TOOL_BPF),$(call compile_command,$(file),$(CLANG) $(BPF_FLAGS))))
	$(file >>$@,$(foreach file,$(SOURCES_C),$(call compile_command,$(file),$(CC) $(C_FLAGS))))
	$(file >>$@,$(foreach file,$(UNIT) $(PROG),$(call compile_command,$(file),$(CC) $(SAN_FLAGS))))
	@sed -i -e 's/^ //' -e '/^$$/d' $@ && sed -i '$$s/,$$/]/' $@

# -------------------------------------------------------------------------------------------------------------- install

MAN_PAGES = $(wildcard user/man/*.[1-9]) $(BUILD)/shakeoff.conf.5
DOCUMENTS := README.md SECURITY.md CONTRIBUTING.md CHANGELOG.md LICENSE

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/lib/shakeoff $(DESTDIR)$(PREFIX)/include/shakeoff \
		$(DESTDIR)$(PREFIX)/share/doc/shakeoff $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(BUILD)/shakeoffd $(BUILD)/shakeoff $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(BUILD)/libshakeoff.so $(BUILD)/libshakeoff-preload.so $(DESTDIR)$(PREFIX)/lib/
	install -m 644 $(BUILD)/handshake.bpf.o $(DESTDIR)$(PREFIX)/lib/shakeoff/
	install -m 644 include/shakeoff/shakeoff.h $(DESTDIR)$(PREFIX)/include/shakeoff/
	for page in $(wildcard $(MAN_PAGES)); do install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page; done
	install -m 644 $(wildcard $(DOCUMENTS)) $(BUILD)/shakeoff.conf.example $(DESTDIR)$(PREFIX)/share/doc/shakeoff/
	sed 's,@PREFIX@,$(PREFIX),g' scripts/shakeoffd.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/shakeoffd.service

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/shakeoffd $(DESTDIR)$(PREFIX)/sbin/shakeoff
	rm -f $(DESTDIR)$(PREFIX)/lib/libshakeoff.so $(DESTDIR)$(PREFIX)/lib/libshakeoff-preload.so
	rm -f $(DESTDIR)$(PREFIX)/lib/systemd/system/shakeoffd.service
	for page in $(notdir $(MAN_PAGES)); do rm -f $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$$page; done
	rm -rf $(DESTDIR)$(PREFIX)/lib/shakeoff $(DESTDIR)$(PREFIX)/include/shakeoff $(DESTDIR)$(PREFIX)/share/doc/shakeoff

-include $(shell [ -d $(BUILD) ] && find $(BUILD) -name '*.d')

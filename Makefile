# SPDX-License-Identifier: MIT
#
# Keel's one Makefile. Each folder lists its sources and rules in its own module.mk; everything built
# goes to $(O). `make help` shows the targets, `V=1` the commands. Flag changes rebuild, because every
# object depends on $(O)/flags (below).

O	?= build
ifeq ($(origin CC),default)
CC	:= gcc
endif
HOSTCC	?= $(CC)
LD	?= ld
AR	?= ar
OBJCOPY	?= objcopy
PYTHON	?= python3
DTC	?= dtc
export O V CC

ifeq ($(V),1)
Q	:=
say	= @:
else
Q	:= @
# $(call say,WHAT,TARGET): one short line per step
say	= @printf '  %-8s %s\n' '$(1)' '$(2)'
endif

SHELL	:= /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

# Warnings every file of ours is free of, with gcc and with clang.
WARN	:= -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes

# The build writes no path of the machine it runs on: same input, same bytes.
REPRO	:= -ffile-prefix-map=$(CURDIR)=.

# Third-party sources come from Debian: $(call source,PKG) is the directory of the unpacked source.
source	= $(shell scripts/fetch-source $(1))

.PHONY: all run test test-full image bench debug menuconfig help clean fmt FORCE
all:

# Module makefiles may depend on this to be rebuilt when the compiler or common flags change.
FLAGS_NOW := $(CC) $(WARN) $(REPRO) $(CFLAGS) $(DEBUG) $(if $(MEASURE),measure)
$(O)/flags: FORCE
	@mkdir -p $(@D); echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' > $@

# Programs for the guest side of tests, as $(O)/tests/rootfs/PATH; module makefiles add theirs.
TESTS_ROOTFS :=
# `tests-build` is everything else that `make test` needs; module makefiles add prerequisites.
.PHONY: tests-build

# images/ last: it uses what the others have listed.
include $(sort $(filter-out images/%,$(wildcard */module.mk tests/*/module.mk)))
include images/module.mk

all: image

# Run interactively in QEMU: Linux's shell on this terminal, the demo disk as /mnt. ^A x leaves QEMU.
run:
	$(Q)scripts/install-packages
	$(Q)+$(MAKE) --no-print-directory run-built
# ACCEL=kvm on a machine whose KVM uses VT-x or SVM.
run-built: image $(O)/run/demo.img
	$(Q)scripts/keel-run --disk $(O)/run/demo.img $(if $(ACCEL),--accel $(ACCEL)) $(RUN)
.PHONY: run-built

# TEST=pattern picks tests by name, e.g. `make test TEST='boot*'`.
test test-full: image $(O)/images/test.bundle $(O)/images/linux-test.bundle tests-build
	$(Q)scripts/run-tests $(if $(filter %-full,$@),--full) $(TEST)

bench: image $(O)/images/initramfs-test.cpio.gz $(O)/images/linux-test.bundle
	$(Q)scripts/bench $(BENCH)

# Stopped at reset, waiting for gdb; prints the gdb command to give in another terminal.
debug: image $(O)/run/demo.img
	$(Q)scripts/keel-run --gdb --direct --disk $(O)/run/demo.img $(RUN)

# Choose Linux options; save what differs as a fragment in linux-guest-patches/configs/.
menuconfig:
	$(Q)scripts/build-linux --menuconfig

fmt:
	$(Q)git ls-files '*.c' '*.h' | grep -v '^linux-guest-patches/' | xargs -r clang-format -i

clean:
	$(Q)rm -rf $(O)

help:
	@echo 'make            build everything, boot images included, into $(O)/'
	@echo 'make run        install what is missing, build, boot in QEMU, give a shell (ACCEL=kvm; RUN="..." adds keel-run options)'
	@echo 'make test       build, then run all tests (TEST=pattern for some)'
	@echo 'make test-full  the same with what is too long for CI: hours'
	@echo 'make image      the boot images only; prints where they are'
	@echo 'make bench      measure (BENCH="..." adds options)'
	@echo 'make debug      boot stopped, waiting for gdb'
	@echo 'make menuconfig change the options of the Linux partition'
	@echo 'make fmt        format our C files'
	@echo 'make clean      remove $(O)/ (downloads and kernel builds stay in the cache)'
	@echo 'V=1 shows commands, O=DIR builds elsewhere, CC=clang builds with clang.'

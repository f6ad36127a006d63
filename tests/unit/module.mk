# SPDX-License-Identifier: MIT
#
# Unit tests: each tests/unit/NAME_test.c is a cmocka program for the host, built with the address and
# undefined-behaviour sanitizers into $(O)/tests/unit/NAME_test. It runs from the top directory and exits
# 0 (pass), 1 (fail) or 77 (skipped, says why).
#
# A test lists what it needs besides itself here or in a fragment tests/unit/SOMETHING.mk:
#   NAME_test-srcs    further sources, by path from the top directory
#   NAME_test-cflags  flags for NAME_test.c alone; for another source, PATH-cflags without its suffix
#   NAME_test-objs    further objects, e.g. $(UNIT_LIBFDT)
#   NAME_test-libs    libraries beside -lcmocka
# Sources are compiled once, with $(UNIT_CFLAGS), and shared by the tests that name them.

ifndef LIBFDT_DIR
include metakernel/libfdt.mk
endif

UNIT_SANITIZE	:= -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_CFLAGS	:= -std=gnu11 -DBUILD='"$(O)"' -g -O1 $(WARN) $(REPRO) $(UNIT_SANITIZE) -fno-omit-frame-pointer \
		   -D_GNU_SOURCE -Iipc/include -iquote . -iquote metakernel -iquote tests/unit -isystem $(LIBFDT_DIR)
UNIT_OBJ	:= $(O)/tests/unit/obj
UNIT_LIBFDT	:= $(LIBFDT_SRCS:%.c=$(UNIT_OBJ)/libfdt/%.o)
UNIT_NAMES	:= $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*_test.c))
UNIT_TESTS	:= $(UNIT_NAMES:%=$(O)/tests/unit/%)

manifest_test-srcs		:= $(addprefix metakernel/boot/,manifest.c manifest_tree.c manifest_value.c parse.c) metakernel/lib/visible.c tests/unit/dts.c
manifest_test-objs		:= $(UNIT_LIBFDT)
manifest_damaged_test-srcs	:= $(manifest_test-srcs)
manifest_damaged_test-objs	:= $(UNIT_LIBFDT)
manifest_mutate_test-srcs	:= $(addprefix metakernel/boot/,manifest.c manifest_tree.c manifest_value.c parse.c) metakernel/lib/visible.c tests/unit/dts.c
manifest_mutate_test-objs	:= $(UNIT_LIBFDT)
bundle_test-srcs		:= metakernel/boot/bundle.c metakernel/boot/parse.c
elf_test-srcs			:= metakernel/boot/elf.c metakernel/boot/parse.c
frames_test-srcs		:= metakernel/mm/frames.c metakernel/boot/frames_boot.c
runq_test-srcs			:= metakernel/run/runq.c

-include $(filter-out tests/unit/module.mk,$(wildcard tests/unit/*.mk))

$(UNIT_OBJ)/%.o: %.c $(O)/flags | $(LIBFDT_READY)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_CFLAGS) $($(*:tests/unit/%=%)-cflags) -MMD -MP -c -o $@ $<

$(UNIT_LIBFDT): $(UNIT_OBJ)/libfdt/%.o: $(LIBFDT_READY) $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(UNIT_CFLAGS) -w -c -o $@ $(LIBFDT_DIR)/$*.c

define unit_test
$(O)/tests/unit/$(1): $(UNIT_OBJ)/tests/unit/$(1).o $(patsubst %.c,$(UNIT_OBJ)/%.o,$($(1)-srcs)) $($(1)-objs)
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $(UNIT_SANITIZE) -o $$@ $$^ $($(1)-libs) -lcmocka
endef
$(foreach t,$(UNIT_NAMES),$(eval $(call unit_test,$(t))))

tests-build: $(UNIT_TESTS)

.PHONY: unit
unit: $(UNIT_TESTS)
	$(Q)for t in $(UNIT_TESTS); do echo "== $$t"; timeout 120 $$t || exit 1; done

-include $(shell find $(UNIT_OBJ) -name '*.d' 2>/dev/null)

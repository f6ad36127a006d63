# SPDX-License-Identifier: MIT
#
# Fuzzers of the metakernel's parsers, of its hypercalls, and of virtqueues: tests/fuzz/NAME_fuzz.c becomes the libFuzzer program
# $(O)/tests/fuzz/NAME (clang, address and undefined-behaviour sanitizers). A program started without a
# corpus directory uses $(O)/tests/fuzz/NAME.corpus, whose seeds are made here. `make test` gives each a
# fixed number of runs; for longer: `make fuzz FUZZ_SECONDS=600`.

ifndef LIBFDT_DIR
include metakernel/libfdt.mk
endif

FUZZ_CC		?= clang
FUZZ_SECONDS	?= 60
FUZZ_CFLAGS	:= -std=gnu11 -g -O1 $(WARN) $(REPRO) -fsanitize=fuzzer,address,undefined \
		   -fno-sanitize-recover=all -D_GNU_SOURCE -Iipc/include -iquote . -iquote metakernel \
		   -isystem $(LIBFDT_DIR)
FUZZ_NAMES	:= manifest bundle elf hcall virtqueue
FUZZ_PROGRAMS	:= $(FUZZ_NAMES:%=$(O)/tests/fuzz/%)
FUZZ_OBJ	:= $(O)/tests/fuzz/obj
FUZZ_LIBFDT	:= $(LIBFDT_SRCS:%.c=$(FUZZ_OBJ)/libfdt/%.o)

$(FUZZ_OBJ)/%.o: %.c $(O)/flags | $(LIBFDT_READY)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_LIBFDT): $(FUZZ_OBJ)/libfdt/%.o: $(LIBFDT_READY)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -w -c -o $@ $(LIBFDT_DIR)/$*.c

fuzz_obj = $(patsubst %,$(FUZZ_OBJ)/%.o,tests/fuzz/$(1)_fuzz tests/fuzz/corpus metakernel/boot/$(1) metakernel/boot/parse $(2))

$(O)/tests/fuzz/manifest: $(call fuzz_obj,manifest,metakernel/boot/manifest_tree metakernel/boot/manifest_value metakernel/lib/visible) $(FUZZ_LIBFDT)
$(O)/tests/fuzz/bundle: $(call fuzz_obj,bundle)
$(O)/tests/fuzz/elf: $(call fuzz_obj,elf)
$(O)/tests/fuzz/virtqueue: $(FUZZ_OBJ)/tests/fuzz/virtqueue_fuzz.o $(FUZZ_OBJ)/tests/fuzz/corpus.o
# The hypercalls: all of the metakernel that partitions reach, on a machine that is played (hcall.h). As a debug build, and
# with what the metakernel writes in one place: the order of objects is that of the link.
FUZZ_MK_SRCS	:= $(filter-out metakernel/part/made.c metakernel/mm/check.c,$(filter-out $(mk-boot-srcs),$(mk-srcs))) \
		   metakernel/mm/check.c $(addprefix metakernel/boot/,frames_boot.c load_peer.c parts.c) \
		   $(addprefix metakernel/lib/,lock.c log.c printf.c serial.c visible.c)
FUZZ_HCALL	:= $(FUZZ_OBJ)/hcall
FUZZ_HCALL_CFLAGS := $(FUZZ_CFLAGS) -DKEEL_DEBUG -Dvsnprintf=mk_vsnprintf -Dsnprintf=mk_snprintf -Dsched_yield=mk_sched_yield -iquote tests/fuzz \
		   -Itests/fuzz/shim -Itests/unit/shim -Ihal/include
fuzz_hcall_objs	= $(patsubst %.c,$(FUZZ_HCALL)/%.o,$(1))

$(FUZZ_HCALL)/%.o: %.c $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_HCALL_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/tests/fuzz/hcall: $(call fuzz_hcall_objs,tests/fuzz/hcall_begin.c tests/fuzz/hcall_machine.c $(FUZZ_MK_SRCS) \
	tests/fuzz/hcall_end.c tests/fuzz/hcall_check.c tests/fuzz/hcall_fuzz.c tests/fuzz/corpus.c)

$(FUZZ_PROGRAMS): $(O)/tests/fuzz/%: $(O)/tests/fuzz/%.corpus/.made
	$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -o $@ $(filter %.o,$^)

# Seeds: every manifest of images/; an archive of one; two small executables, one with the Keel note.
FUZZ_DTS	:= $(wildcard images/*.dts)

$(O)/tests/fuzz/manifest.corpus/.made: $(FUZZ_DTS)
	$(Q)mkdir -p $(@D)
	$(Q)for f in $(FUZZ_DTS); do $(DTC) -q -I dts -O dtb -o $(@D)/$$(basename $$f .dts).dtb $$f || exit 1; done
	$(Q)touch $@

$(O)/tests/fuzz/bundle.corpus/.made: $(O)/tests/fuzz/manifest.corpus/.made
	$(Q)mkdir -p $(@D)
	$(Q)cd $(<D) && ls *.dtb | head -1 | cpio --quiet -o -H newc > $(abspath $(@D))/one
	$(Q)cd $(<D) && printf '%s\n' . *.dtb | cpio --quiet -o -H newc > $(abspath $(@D))/all
	$(Q)touch $@

$(O)/tests/fuzz/elf.corpus/.made: tests/fuzz/seed.S
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -DNOTE -nostdlib -static -Wl,-z,noseparate-code,--build-id=none -Iipc/include -o $(@D)/note $<
	$(Q)$(CC) -nostdlib -static -Wl,-s -Iipc/include -o $(@D)/plain $<
	$(Q)objcopy -S $(@D)/note
	$(Q)touch $@

# Those of the tree: what earlier runs have found to reach something new.
$(addprefix $(O)/tests/fuzz/,hcall.corpus/.made virtqueue.corpus/.made): $(O)/tests/fuzz/%.corpus/.made: tests/fuzz/%.seeds scripts/fuzz-seeds
	$(Q)scripts/fuzz-seeds unpack $< $(@D)
	$(Q)touch $@

tests-build: $(FUZZ_PROGRAMS)

.PHONY: fuzz
fuzz: $(FUZZ_PROGRAMS)
	$(Q)for f in $(FUZZ_PROGRAMS); do $$f -max_total_time=$(FUZZ_SECONDS) -timeout=20 -print_final_stats=1 \
		-artifact_prefix=$$f.found- || exit 1; done

-include $(shell find $(FUZZ_OBJ) -name '*.d' 2>/dev/null)

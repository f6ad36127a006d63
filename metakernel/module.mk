# SPDX-License-Identifier: MIT
# metakernel: policy. Links $(O)/images/keel.elf from hal, metakernel, its lib and libfdt.
include metakernel/flags.mk
include metakernel/lib.mk
include metakernel/libfdt.mk

# One folder a wing; docs/architecture.md has the picture.
mk-boot-srcs := $(addprefix metakernel/boot/, bundle.c chipset.c cpus.c elf.c frames_boot.c line.c load.c load_linux.c load_peer.c main.c manifest.c \
	manifest_tree.c manifest_value.c parse.c parts.c ports.c string_boot.c tsc_pair.c windows.c)
mk-srcs := $(mk-boot-srcs) \
	$(addprefix metakernel/mm/, flush.c frames.c leaf.c pool.c root.c shadow.c shootdown.c walk.c) \
	$(addprefix metakernel/run/, budget.c call.c cpu.c event.c irq.c roster.c runq.c sched.c seldom.c vcpu.c) \
	$(addprefix metakernel/entry/, emul.c emul_io.c emul_msr.c emul_store.c fast.c hcall.c hcall_seldom.c hcall_vcpu.c insn.c pci.c trap.c) \
	$(addprefix metakernel/part/, busmaster.c cap.c chan.c console.c device.c ending.c made.c part.c peer.c promise.c)
# make DEBUG=1: shadow tables are checked as the machine runs, tests can provoke faults (check.h).
mk-srcs += $(if $(DEBUG),metakernel/mm/check.c)
mk-objs := $(mk-srcs:%.c=$(O)/%.o)

# Small rather than fast: it runs once.
$(mk-boot-srcs:%.c=$(O)/%.o): MK_CFLAGS += -Oz
# gcc must not turn memchr's loop into a call of it.
$(O)/metakernel/boot/string_boot.o: MK_CFLAGS += -fno-builtin
# And what is seldom reached, so that the rest has room.
mk-cold-srcs := $(addprefix metakernel/entry/, emul.c emul_io.c emul_msr.c emul_store.c hcall_seldom.c insn.c pci.c) \
	$(addprefix metakernel/part/, busmaster.c cap.c chan.c console.c device.c ending.c made.c part.c peer.c promise.c) \
	$(addprefix metakernel/run/, budget.c call.c roster.c seldom.c) metakernel/mm/frames.c
$(mk-cold-srcs:%.c=$(O)/%.o): MK_CFLAGS += -Oz

# Most of it is for what seldom happens, lines and storms; an interrupt comes through little of it.
$(O)/metakernel/run/irq.o: MK_CFLAGS += -Os
# Three small functions that call nothing: a frame would be a twentieth of them.
$(O)/metakernel/entry/fast.o: MK_CFLAGS += -Os -fomit-frame-pointer

$(mk-objs): $(O)/%.o: %.c metakernel/flags.mk metakernel/module.mk $(O)/flags | $(LIBFDT_READY)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MK_CFLAGS) $(if $(filter metakernel/boot/%,$<),,$(MK_LTO)) $(MK_DEBUG) $(REPRO) -isystem $(LIBFDT_DIR) -MMD -MP -c -o $@ $<

# The trampoline runs at KEEL_TRAMP_VA, not where it is linked: correct the two jumps across.
mk-ldflags := \
	-Wl,--defsym=mk_entry_from_tramp='mk_entry+__tramp_text_start-0xffffffffffe00000' \
	-Wl,--defsym=mk_hcall_from_tramp='mk_hcall+__tramp_text_start-0xffffffffffe00000' \
	-Wl,--defsym=tramp_exit_from_mk='tramp_exit-__tramp_text_start+0xffffffffffe00000'

$(O)/images/keel.elf: $(hal-objs) $(mklib-objs) $(mk-objs) $(O)/metakernel/libfdt.a $(hal-lds)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(if $(MK_LTO),$(MK_CFLAGS) $(MK_LTO)) $(MK_LDFLAGS) $(mk-ldflags) -o $@ $(filter %.o %.a,$^)

-include $(mk-objs:.o=.d)

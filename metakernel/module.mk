# SPDX-License-Identifier: MIT
# metakernel: policy. Links $(O)/images/keel.elf from hal, metakernel, its lib and libfdt.
include metakernel/flags.mk
include metakernel/lib.mk
include metakernel/libfdt.mk

mk-srcs := $(addprefix metakernel/, bundle.c chan.c console.c elf.c emul.c emul_io.c emul_msr.c \
	event.c frames.c hcall.c irq.c load.c main.c manifest.c mmu.c parse.c part.c runq.c sched.c \
	trap.c vcpu.c)
# make DEBUG=1: shadow tables are checked as the machine runs, tests can provoke faults (check.h).
mk-srcs += $(if $(DEBUG),metakernel/check.c)
mk-objs := $(mk-srcs:%.c=$(O)/%.o)

$(mk-objs): $(O)/%.o: %.c metakernel/flags.mk metakernel/module.mk $(O)/flags | $(LIBFDT_READY)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MK_CFLAGS) $(MK_DEBUG) $(REPRO) -isystem $(LIBFDT_DIR) -MMD -MP -c -o $@ $<

# The trampoline runs at KEEL_TRAMP_VA, not where it is linked: correct the two jumps across.
mk-ldflags := \
	-Wl,--defsym=mk_entry_from_tramp='mk_entry+__tramp_text_start-0xffffffffffe00000' \
	-Wl,--defsym=tramp_exit_from_mk='tramp_exit-__tramp_text_start+0xffffffffffe00000'

$(O)/images/keel.elf: $(hal-objs) $(mklib-objs) $(mk-objs) $(O)/metakernel/libfdt.a $(hal-lds)
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MK_LDFLAGS) $(mk-ldflags) -o $@ $(filter %.o %.a,$^)

-include $(mk-objs:.o=.d)

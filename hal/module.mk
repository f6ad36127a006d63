# SPDX-License-Identifier: MIT
# hal: what the machine can do. Produces hal-objs; metakernel/module.mk links them.
include metakernel/flags.mk

hal-lds := hal/x86_64/keel.lds
# What runs only before the first partition: small rather than fast, and given away then (keel.lds).
hal-once-srcs := $(addprefix hal/x86_64/boot/, acpi.c apic_init.c boot.c bootinfo.c cpu.c entry_init.c ioapic_init.c memmap.c pic.c rtc.c smp.c tsc_rate.c)
hal-c-srcs := $(hal-once-srcs) \
	hal/x86_64/apic.c \
	hal/x86_64/barrier.c \
	hal/x86_64/ioapic.c \
	hal/x86_64/map.c \
	hal/x86_64/pci.c \
	hal/x86_64/power.c \
	hal/x86_64/tsc.c \
	hal/x86_64/uart.c
hal-s-srcs := \
	hal/x86_64/boot/ap.S \
	hal/x86_64/boot/start.S
# Entry code of the rings, tied to the metakernel's frame layout.
hal-entry-srcs := $(wildcard hal/x86_64/entry.c hal/x86_64/tramp.S)
hal-c-srcs += $(filter %.c,$(hal-entry-srcs))
hal-s-srcs += $(filter %.S,$(hal-entry-srcs))
hal-c-objs := $(hal-c-srcs:%.c=$(O)/%.o)
hal-s-objs := $(hal-s-srcs:%.S=$(O)/%.o)
hal-objs := $(hal-s-objs) $(hal-c-objs)

$(hal-once-srcs:%.c=$(O)/%.o): MK_CFLAGS += -Oz
# And what is seldom reached.
$(O)/hal/x86_64/ioapic.o $(O)/hal/x86_64/map.o $(O)/hal/x86_64/pci.o $(O)/hal/x86_64/power.o $(O)/hal/x86_64/uart.o: MK_CFLAGS += -Oz

$(hal-c-objs): $(O)/%.o: %.c $(MK_DEPS) hal/module.mk
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MK_CFLAGS) $(if $(filter $(hal-once-srcs),$<),,$(MK_LTO)) -MMD -MP -c -o $@ $<

$(hal-s-objs): $(O)/%.o: %.S $(MK_DEPS) hal/module.mk
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MK_ASFLAGS) -MMD -MP -c -o $@ $<

-include $(hal-objs:.o=.d)

# SPDX-License-Identifier: MIT
# lib.mk - metakernel/lib: strings, printf, log, panic. Included by metakernel/module.mk.
include metakernel/flags.mk

mklib-srcs := \
	metakernel/lib/lock.c \
	metakernel/lib/log.c \
	metakernel/lib/panic.c \
	metakernel/lib/printf.c \
	metakernel/lib/serial.c \
	metakernel/lib/string.c \
	metakernel/lib/visible.c
# make MEASURE=1: how long are interrupts off? (measure.h)
mklib-srcs += $(if $(MEASURE),metakernel/lib/measure.c)
mklib-objs := $(mklib-srcs:%.c=$(O)/%.o)

# -fno-builtin: gcc must not turn memset's loop into a call of memset.
# Small: it says things; but for what copies.
$(filter-out %/string.o,$(mklib-objs)): MK_CFLAGS += -Oz
$(mklib-objs): $(O)/%.o: %.c $(MK_DEPS) metakernel/lib.mk
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(MK_CFLAGS) -fno-builtin $(MK_DEBUG) -MMD -MP -c -o $@ $<

-include $(mklib-objs:.o=.d)

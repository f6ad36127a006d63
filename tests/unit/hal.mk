# SPDX-License-Identifier: MIT
# Unit tests of hal/ and metakernel/lib/: what is logic and not machine.
acpi_test-srcs		:= hal/x86_64/boot/acpi.c
memmap_test-srcs	:= hal/x86_64/boot/memmap.c
printf_test-srcs	:= metakernel/lib/printf.c
log_test-srcs		:= $(addprefix metakernel/lib/,log.c printf.c serial.c visible.c) tests/unit/locks.c
console_test-srcs	:= $(addprefix metakernel/lib/,log.c printf.c visible.c) tests/unit/locks.c
console_input_test-srcs	:= $(console_test-srcs)
visible_test-srcs	:= metakernel/lib/visible.c

unit_hal_cflags		:= -Ihal/include
# The C library's functions of these names stay what they are.
unit_mk_printf		:= -Dvsnprintf=mk_vsnprintf -Dsnprintf=mk_snprintf
hal/x86_64/boot/acpi-cflags	:= $(unit_hal_cflags)
acpi_test-cflags	:= $(unit_hal_cflags)
hal/x86_64/boot/memmap-cflags	:= $(unit_hal_cflags)
memmap_test-cflags	:= $(unit_hal_cflags)
metakernel/lib/printf-cflags	:= $(unit_mk_printf)
metakernel/lib/log-cflags	:= $(unit_hal_cflags) $(unit_mk_printf)
metakernel/lib/serial-cflags	:= $(unit_hal_cflags) $(unit_mk_printf)
log_test-cflags		:= $(unit_hal_cflags)
# These include the source they test.
console_test-cflags	:= -Itests/unit/shim $(unit_hal_cflags) $(unit_mk_printf)
console_input_test-cflags := $(console_test-cflags)
uart_test-cflags	:= $(unit_hal_cflags)
cpu_test-cflags		:= $(unit_hal_cflags)

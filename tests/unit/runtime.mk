# SPDX-License-Identifier: MIT
# The unikernel image on the host, and a program to run it by hand.
runtime_test-srcs	:= tests/unit/runtime_machine.c

runtime_test-libs	:= -lpthread
runtime_keeld_test-srcs	:= tests/unit/runtime_machine.c \
	$(filter-out %/main.c %/transport_keel.c,$(wildcard ipc/linux/keeld/*.c))
runtime_keeld_test-cflags := -Iipc/linux/keeld
runtime_keeld_test-libs	:= -luring -lpthread
runtime_heap_test-cflags := -Iunikernel-runtime/include -fno-builtin

$(O)/tests/unit/runtime_test $(O)/tests/unit/runtime_keeld_test: | $(O)/images/lua.elf

$(O)/tests/unit/runtime_run: $(UNIT_OBJ)/tests/unit/runtime_run.o $(UNIT_OBJ)/tests/unit/runtime_machine.o
	$(call say,LD,$@)
	$(Q)$(CC) $(UNIT_SANITIZE) -o $@ $^ -lpthread

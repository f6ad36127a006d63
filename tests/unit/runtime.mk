# SPDX-License-Identifier: MIT
# The unikernel image on the host, and a program to run it by hand.
runtime_machine	:= $(addprefix tests/unit/,runtime_machine.c runtime_hcall.c runtime_boot.c runtime_server.c)
runtime_test-srcs	:= $(runtime_machine) tests/unit/runtime_lua.c
runtime_test-libs	:= -lpthread
runtime_remote_test-srcs := $(runtime_test-srcs)
runtime_remote_test-libs := -lpthread
runtime_stdio_test-srcs := $(runtime_test-srcs)
runtime_stdio_test-libs := -lpthread
runtime_calls_test-srcs	:= $(runtime_machine)
runtime_calls_test-libs	:= -lpthread
runtime_files_test-srcs	:= $(runtime_machine)
runtime_files_test-libs	:= -lpthread
runtime_keeld_test-srcs	:= $(runtime_machine) \
	$(filter-out %/main.c %/serve.c %/transport_keel.c,$(wildcard ipc/linux/keeld/*.c))
runtime_keeld_test-cflags := -Iipc/linux/keeld
runtime_keeld_test-libs	:= -luring -lpthread
runtime_heap_test-cflags := -Iunikernel-runtime/include -fno-builtin

$(addprefix $(O)/tests/unit/runtime_,test remote_test files_test keeld_test stdio_test): | $(O)/images/lua.elf

# A C program on the runtime. Lua's image stands for all objects of the runtime and of musl.
$(O)/unikernel/probe.elf: tests/unit/runtime_probe.c $(O)/unikernel/lua.debug tests/unit/runtime.mk
	$(call say,LD,$@)
	$(Q)$(CC) $(rt_cflags) -MMD -MP -MT $@ -MF $@.d -c -o $@.o $<
	$(Q)$(call rt_link,$@.o)

-include $(O)/unikernel/probe.elf.d

$(addprefix $(O)/tests/unit/runtime_,calls_test stdio_test): | $(O)/unikernel/probe.elf

$(O)/tests/unit/runtime_run: $(UNIT_OBJ)/tests/unit/runtime_run.o $(runtime_machine:%.c=$(UNIT_OBJ)/%.o)
	$(call say,LD,$@)
	$(Q)$(CC) $(UNIT_SANITIZE) -o $@ $^ -lpthread

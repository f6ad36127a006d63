# SPDX-License-Identifier: MIT
# The unikernel image on the host, and a program to run it by hand.
runtime_test-srcs	:= tests/unit/runtime_machine.c

$(O)/tests/unit/runtime_test: | $(O)/images/lua.elf

$(O)/tests/unit/runtime_run: $(UNIT_OBJ)/tests/unit/runtime_run.o $(UNIT_OBJ)/tests/unit/runtime_machine.o
	$(call say,LD,$@)
	$(Q)$(CC) $(UNIT_SANITIZE) -o $@ $^

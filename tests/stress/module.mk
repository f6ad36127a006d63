# SPDX-License-Identifier: MIT
#
# Stress programs: each tests/stress/NAME.c is a static Linux program, /stress/NAME in the tests'
# initramfs. It shows one property under load and exits 0 (pass), 1 (fail) or 77 (skip, says why).
# tests/system/test_stress.py runs all of them natively and on Keel; smp_NAME where there are several CPUs.

stress_out	:= $(O)/tests/rootfs/stress
stress_programs	:= $(patsubst tests/stress/%.c,$(stress_out)/%,$(wildcard tests/stress/*.c))
STRESS_CFLAGS	:= -std=gnu11 -O2 -g0 $(WARN) $(REPRO) -D_GNU_SOURCE -static -pthread

keel_programs := $(addprefix $(stress_out)/,run_time_parts run_time_chans run_time_shares)
$(keel_programs): STRESS_CFLAGS += -Iipc/include
$(keel_programs): ipc/include/keel/abi.h ipc/include/keel/ioctl.h

$(stress_out)/%: tests/stress/%.c $(wildcard tests/stress/*.h) $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(STRESS_CFLAGS) -o $@ $< && strip $@

$(stress_out)/run: tests/stress/run
	$(Q)mkdir -p $(@D) && cp $< $@

TESTS_ROOTFS += $(stress_programs) $(stress_out)/run

# Linux's own x86 selftests, /selftests/NAME.
$(O)/tests/rootfs/selftests/run: scripts/build-selftests
	$(call say,CC,$(@D))
	$(Q)scripts/build-selftests $(@D)

TESTS_ROOTFS += $(O)/tests/rootfs/selftests/run

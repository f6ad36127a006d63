# SPDX-License-Identifier: MIT
#
# tests/bench/bench.c becomes /bench/bench in the tests' initramfs; scripts/bench runs it.

$(O)/tests/rootfs/bench/bench: tests/bench/bench.c $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -g0 $(WARN) $(REPRO) -D_GNU_SOURCE -static -s -o $@ $<

TESTS_ROOTFS += $(O)/tests/rootfs/bench/bench

# SPDX-License-Identifier: MIT
#
# Guest programs: each tests/guest/NAME.c is a static Linux program, and becomes /tests/NAME in the
# tests' initramfs. It shows one property and exits 0 (pass), 1 (fail) or 77 (skip, says why).
# tests/system/test_guest.py runs all of them natively and on Keel.

guest_out	:= $(O)/tests/rootfs/tests
guest_programs	:= $(patsubst tests/guest/%.c,$(guest_out)/%,$(wildcard tests/guest/*.c))
GUEST_CFLAGS	:= -std=gnu11 -O2 -g0 $(WARN) $(REPRO) -D_GNU_SOURCE -static -s -pthread -Iipc/include

$(guest_out)/%: tests/guest/%.c tests/guest/guest.h ipc/include/keel/abi.h $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -o $@ $<

TESTS_ROOTFS += $(guest_programs)

$(guest_out)/run-all.sh: tests/guest/run-all.sh
	$(Q)mkdir -p $(@D) && cp $< $@

TESTS_ROOTFS += $(guest_out)/run-all.sh

# Not for run-all.sh: without Keel it would switch the machine off.
$(O)/tests/rootfs/devices/device_writes: tests/guest/devices/device_writes.c $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -o $@ $<

TESTS_ROOTFS += $(O)/tests/rootfs/devices/device_writes

# Measures; shows nothing by itself (tests/system/test_budget.py).
$(O)/tests/rootfs/time/share: tests/guest/time/share.c $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_CFLAGS) -o $@ $<

TESTS_ROOTFS += $(O)/tests/rootfs/time/share

include tests/guest/hostile/module.mk

# For Bochs, which boots from a disc: Linux counts its CPUs and powers off.
$(O)/tests/guest/nproc.iso: images/grub.cfg $(O)/images/keel.elf $(O)/images/linux.bundle
	$(call say,ISO,$@)
	$(Q)rm -rf $@.dir && mkdir -p $@.dir/boot/grub
	$(Q)sed 's|\(multiboot2 .*\)--|\1-- quiet keel.run=/bin/nproc|' images/grub.cfg > $@.dir/boot/grub/grub.cfg
	$(Q)cp $(O)/images/keel.elf $@.dir/boot/keel.elf && cp $(O)/images/linux.bundle $@.dir/boot/keel.bundle
	$(Q)grub-mkrescue -o $@ $@.dir -- -volid KEEL >$@.log 2>&1 || { cat $@.log; exit 1; }
	$(Q)rm -r $@.dir

tests-build: $(O)/tests/guest/nproc.iso

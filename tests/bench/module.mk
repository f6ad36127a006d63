# SPDX-License-Identifier: MIT
#
# tests/bench/linux_bench.c and the operations become /bench/linux_bench in the tests' initramfs; scripts/bench runs it.

bench_out	:= $(O)/tests/rootfs/bench
bench_cflags	:= -std=gnu11 -O2 -g0 $(WARN) $(REPRO) -D_GNU_SOURCE -Iipc/include -static -s
bench_linux	:= $(addprefix tests/bench/,linux_bench.c ops_io.c ops_memory.c ops_process.c)

$(bench_out)/linux_bench: $(bench_linux) tests/bench/linux_bench.h ipc/include/keel/abi.h ipc/include/keel/ioctl.h $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(bench_cflags) -pthread -o $@ $(bench_linux)

$(bench_out)/nothing: tests/bench/nothing.c $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(bench_cflags) -nostdlib -ffreestanding -o $@ $<

TESTS_ROOTFS += $(bench_out)/linux_bench $(bench_out)/nothing

bench: $(O)/images/linux-test.bundle

# The driver call bench: /bench/drivercall in Linux; images/module.mk makes the unikernel of it.
$(bench_out)/drivercall: tests/bench/drivercall.c tests/bench/drivercall_none.c tests/bench/drivercall.h $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(bench_cflags) -o $@ tests/bench/drivercall.c tests/bench/drivercall_none.c

TESTS_ROOTFS += $(bench_out)/drivercall

# Partitions that measure the metakernel: each peer/*.dts becomes $(O)/tests/bench/NAME.bundle.
bench_peer_dir	:= tests/bench/peer
bench_peer_out	:= $(O)/tests/bench
bench_peer_bundles := $(patsubst $(bench_peer_dir)/%.dts,$(bench_peer_out)/%.bundle,$(wildcard $(bench_peer_dir)/*.dts))

$(bench_peer_out)/bench-peer.elf: $(wildcard $(bench_peer_dir)/*.[ch]) tests/peer/peer.lds \
		ipc/include/keel/abi.h ipc/include/keel/ring.h $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(PEER_CFLAGS) -Wl,-T,tests/peer/peer.lds -o $@ $(filter %.c,$^)

$(bench_peer_bundles): $(bench_peer_out)/%.bundle: $(bench_peer_dir)/%.dts $(bench_peer_out)/bench-peer.elf \
		scripts/mkbundle scripts/mkcpio
	$(call say,BUNDLE,$@)
	$(Q)scripts/mkbundle -I $(bench_peer_out) -o $@ $<

bench: $(bench_peer_bundles)

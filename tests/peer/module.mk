# SPDX-License-Identifier: MIT
#
# Peers for the system tests: peer.elf misbehaves on request, calls.elf is two that call each other, caps.elf hands on what it has; in $(O)/tests/peer.

peer_out := $(O)/tests/peer
PEER_CFLAGS := -std=gnu11 -O2 -g $(WARN) $(REPRO) -ffreestanding -nostdlib -static -fno-pic -no-pie \
	-fno-stack-protector -fno-omit-frame-pointer -fno-optimize-sibling-calls -fcf-protection=none \
	-fno-asynchronous-unwind-tables -mno-sse -Iipc/include \
	-Wl,--build-id=none,-z,max-page-size=4096,-z,noexecstack

$(peer_out)/%.elf: tests/peer/%.c tests/peer/peer.lds ipc/include/keel/abi.h $(O)/flags
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(PEER_CFLAGS) -Wl,-T,tests/peer/peer.lds -o $@ $<

tests-build: $(peer_out)/peer.elf $(peer_out)/calls.elf $(peer_out)/caps.elf

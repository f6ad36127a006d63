# SPDX-License-Identifier: MIT
#
# linux-guest-patches - the Linux partition's kernel. scripts/build-linux unpacks Debian's source, lays overlay/ and
# the ABI headers over it, applies patches/, merges configs/ and caches the result by a hash of all of these.

LINUX_INPUTS := $(shell find linux-guest-patches/overlay linux-guest-patches/patches linux-guest-patches/configs -type f) \
	ipc/include/keel/abi.h ipc/include/keel/ioctl.h scripts/build-linux

# One run makes both
$(O)/linux/bzImage: $(O)/linux/vmlinux ;
$(O)/linux/vmlinux: $(LINUX_INPUTS)
	$(call say,LINUX,$@)
	$(Q)scripts/build-linux -o $(@D)
	$(Q)touch $@

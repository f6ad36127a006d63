# SPDX-License-Identifier: MIT
# flags.mk - how everything that runs in ring 0 is compiled: hal/ and metakernel/.
ifndef MK_CFLAGS
# -fno-jump-tables: ring 0 has no indirect branch that a partition could steer (design 8, rule 29).
# Loops are where they fall: their padding was 1.7 KiB, and executed. DEBUG=1 adds the checks that cost time (DEBUG_ASSERT).
MK_CFLAGS := -std=gnu11 -m64 -ffreestanding -nostdlib -fno-pic -fno-pie -mno-red-zone \
	-mgeneral-regs-only -mcmodel=kernel -O2 -g -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-omit-frame-pointer \
	-fno-jump-tables -fno-common $(WARN) $(REPRO) $(if $(DEBUG),-DKEEL_DEBUG) $(if $(MEASURE),-DKEEL_MEASURE) \
	$(if $(findstring clang,$(CC)),,-falign-loops=1 -falign-jumps=1) \
	-Ihal/include -Iipc/include -Imetakernel
# What runs once partitions do is optimized as one program: a doorbell costs a fifth less. clang would want a
# linker of its own for that.
MK_LTO := $(if $(findstring clang,$(CC)),,-flto -flto-partition=one)
MK_ASFLAGS := -m64 -g -Wa,--noexecstack $(REPRO) -Ihal/include -Iipc/include -Imetakernel
# One contiguous image; the build id names it in panics.
MK_LDFLAGS := -m64 -nostdlib -static -Wl,--build-id=sha1 -Wl,-z,max-page-size=0x1000 \
	-Wl,-z,noexecstack -Wl,--gc-sections -Wl,--fatal-warnings -T hal/x86_64/keel.lds
# What every object of ours depends on besides its sources.
MK_DEPS := $(O)/flags metakernel/flags.mk
endif

# SPDX-License-Identifier: MIT
# The shadow MMU on the host: the shim gives it an arena for physical memory.
mmu_test-srcs		:= metakernel/mmu.c metakernel/frames.c tests/unit/machine.c
mmu_random_test-srcs	:= $(mmu_test-srcs)

unit_shim_cflags	:= -Itests/unit/shim -Ihal/include
metakernel/mmu-cflags	:= $(unit_shim_cflags)
mmu_test-cflags		:= $(unit_shim_cflags)
mmu_random_test-cflags	:= $(unit_shim_cflags)
machine-cflags		:= $(unit_shim_cflags)

# These include the source they test, so that a few single instructions can be replaced.
event_test-srcs		:= metakernel/frames.c
event_test-cflags	:= $(unit_shim_cflags)
vcpu_test-srcs		:= metakernel/frames.c
vcpu_test-cflags	:= $(unit_shim_cflags)

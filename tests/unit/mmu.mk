# SPDX-License-Identifier: MIT
# The shadow MMU on the host: the shim gives it an arena for physical memory.
unit_mm_srcs		:= $(addprefix metakernel/mm/,flush.c frames.c leaf.c pool.c root.c shadow.c walk.c) metakernel/boot/frames_boot.c
mmu_test-srcs		:= $(unit_mm_srcs) tests/unit/machine.c
mmu_flush_test-srcs	:= $(mmu_test-srcs)
mmu_random_test-srcs	:= $(mmu_test-srcs)
mmu_tables_test-srcs	:= $(mmu_test-srcs)
mmu_tables_test-cflags	:= -Itests/unit/shim -Ihal/include

unit_shim_cflags	:= -Itests/unit/shim -Ihal/include
$(foreach s,$(unit_mm_srcs:.c=),$(eval $(s)-cflags := $(unit_shim_cflags)))
mmu_test-cflags		:= $(unit_shim_cflags)
mmu_flush_test-cflags	:= $(unit_shim_cflags)
mmu_random_test-cflags	:= $(unit_shim_cflags)
machine-cflags		:= $(unit_shim_cflags)
locks-cflags		:= $(unit_shim_cflags)
no_devices-cflags	:= $(unit_shim_cflags)

# These include the source they test, so that a few single instructions can be replaced.
event_test-srcs		:= metakernel/mm/frames.c metakernel/boot/frames_boot.c
event_test-cflags	:= $(unit_shim_cflags)
raise_test-srcs		:= $(event_test-srcs)
raise_test-cflags	:= $(unit_shim_cflags)
vcpu_test-srcs		:= metakernel/mm/frames.c metakernel/boot/frames_boot.c
vcpu_test-cflags	:= $(unit_shim_cflags)
pci_test-cflags		:= $(unit_shim_cflags)
ports_test-srcs		:= tests/unit/locks.c tests/unit/no_devices.c
ports_test-cflags	:= $(unit_shim_cflags)
windows_test-cflags	:= $(unit_shim_cflags)

mmu_fill_test-srcs	:= $(mmu_test-srcs)
mmu_fill_test-cflags	:= $(unit_shim_cflags)
ending_test-cflags	:= $(unit_shim_cflags) -DKEEL_DEBUG
load_peer_test-srcs	:= metakernel/mm/frames.c metakernel/boot/frames_boot.c
load_peer_test-cflags	:= $(unit_shim_cflags)
load_linux_test-srcs	:= $(addprefix metakernel/boot/,elf.c parse.c line.c) metakernel/mm/frames.c metakernel/boot/frames_boot.c
load_linux_test-cflags	:= $(unit_shim_cflags)
line_test-srcs		:= metakernel/boot/line.c
cpus_test-cflags	:= $(unit_shim_cflags)
pieces_test-srcs	:= metakernel/mm/frames.c metakernel/boot/frames_boot.c metakernel/part/cap.c tests/unit/locks.c tests/unit/no_devices.c
made_test-srcs		:= $(pieces_test-srcs)
made_test-cflags	:= $(unit_shim_cflags)
resize_test-srcs	:= $(made_test-srcs)
resize_test-cflags	:= $(unit_shim_cflags)
pieces_test-cflags	:= $(unit_shim_cflags)
metakernel/part/cap-cflags := $(unit_shim_cflags)
metakernel/run/roster-cflags := $(unit_shim_cflags)
seldom_test-cflags	:= $(unit_shim_cflags)
irq_test-cflags		:= $(unit_shim_cflags)
busmaster_test-cflags	:= $(unit_shim_cflags)
sched_test-srcs		:= metakernel/run/runq.c metakernel/run/roster.c tests/unit/locks.c
sched_test-cflags	:= $(unit_shim_cflags)
call_test-srcs		:= $(sched_test-srcs)
call_test-cflags	:= $(unit_shim_cflags)
sched_threads_test-srcs	:= $(sched_test-srcs)
sched_threads_test-cflags := $(unit_shim_cflags)
sched_threads_test-libs	:= -pthread
budget_test-srcs	:= $(sched_test-srcs)
budget_test-cflags	:= $(unit_shim_cflags)
promise_test-cflags	:= $(unit_shim_cflags)
mmu_forget_test-srcs	:= $(mmu_test-srcs)
mmu_forget_test-cflags	:= $(unit_shim_cflags)

# With the thread sanitizer instead, hence of one source.
unit_threads		:= -fno-sanitize=address,undefined -fsanitize=thread
shootdown_test-cflags	:= $(unit_shim_cflags) $(unit_threads)
shootdown_test-libs	:= $(unit_threads) -pthread

cap_test-srcs		:= metakernel/mm/frames.c metakernel/boot/frames_boot.c tests/unit/no_devices.c
cap_test-cflags		:= $(unit_shim_cflags)
device_test-srcs	:= metakernel/mm/frames.c metakernel/boot/frames_boot.c metakernel/part/cap.c
device_test-cflags	:= $(unit_shim_cflags)
connect_test-srcs	:= metakernel/mm/frames.c metakernel/boot/frames_boot.c metakernel/part/cap.c tests/unit/locks.c tests/unit/no_devices.c
connect_test-cflags	:= $(unit_shim_cflags)
cap_threads_test-cflags	:= $(unit_shim_cflags) $(unit_threads)
cap_threads_test-libs	:= $(unit_threads) -pthread

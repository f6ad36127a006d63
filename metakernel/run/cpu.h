/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - what the metakernel keeps for a physical CPU.
 *
 * Locks: none yet. One CPU runs the metakernel, with interrupts off from entry to exit; per-CPU
 * data is reached through this_cpu so that the second CPU adds locks, not a redesign.
 */
#ifndef METAKERNEL_RUN_CPU_H
#define METAKERNEL_RUN_CPU_H

#include "run/vcpu.h"

/* Per CPU, at MK_CPU_VA under this CPU's metakernel CR3. */
struct cpu {
	struct vcpu *current;	/* whose state is in the registers and ENTRY_REGS */
	struct runq runq;
	bool resched;
	bool idle;
	uint32_t apic_id;
	uint64_t mk_cr3;
	paddr_t stack_pa;
	uint64_t slice_tsc;	/* end of the current slice */
	struct partition *stack_user;	/* whose values may lie in the stack page */
};
#define this_cpu	((struct cpu *)MK_CPU_VA)

extern uint64_t boot_wall_ns, boot_wall_tsc;	/* Unix time at a TSC value */

#endif

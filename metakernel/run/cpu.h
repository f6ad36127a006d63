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
	struct vcpu *current;	/* whose state is in the registers and its stack page */
	struct runq runq;
	bool resched;
	bool idle;
	uint32_t apic_id;
	uint64_t mk_cr3;
	uint64_t slice_tsc;	/* end of the current slice */
	uint64_t armed_tsc;	/* what the physical timer is set for, UINT64_MAX: nothing */
	uint64_t xcr0;		/* as loaded */
	uint32_t tsc_aux;	/* as loaded */
};
#define this_cpu	((struct cpu *)MK_CPU_VA)

extern uint64_t boot_wall_ns, boot_wall_tsc;	/* Unix time at a TSC value */

#endif

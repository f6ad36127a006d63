/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - what the metakernel keeps for a physical CPU.
 *
 * Each CPU runs the metakernel with interrupts off from entry to exit and changes only its own page, but for
 * what others leave for it: bits in `work`, and vCPUs in its queue.
 */
#ifndef METAKERNEL_RUN_CPU_H
#define METAKERNEL_RUN_CPU_H

#include "lib/lock.h"
#include "run/vcpu.h"

#define MAX_CPUS	64	/* so that a set of them is a word */

/* What a CPU has to look at before it returns to a partition. */
#define WORK_RESCHED	1U	/* its queue */
#define WORK_NOTE	2U	/* what its vCPU must forget */
#define WORK_TIMER	4U	/* deadlines of its vCPUs */
#define WORK_EVENT	8U	/* what waits for the vCPU that runs there, which every way out looks at */
#define WORK_FORGET	16U	/* what it remembers of vCPUs that may be gone */

/* How often each device vector came, since when; and until when some are held back (irq.c). */
struct storm {
	uint16_t count[256];
	uint64_t since_tsc, until_tsc;
};

/* At MK_CPU_VA under this CPU's metakernel CR3. Its last word is the debug build's (lib/lock.c). */
struct cpu {
	struct vcpu *current;	/* whose state is in the registers and its stack page */
	uint32_t work;		/* WORK_*; set by anybody, atomically */
	unsigned int index;	/* in cpus[] */
	uint32_t apic_id;
	bool idle;
	uint8_t slice_over;	/* 1: another's turn begins; TURN_GOES_ON: this one goes on with another vCPU */
	bool waiting;		/* for cpus_release() */
	struct lock lock;	/* LOCK_RUNQ */
	struct runq runq;
	struct vcpu *vcpus;	/* those that run only here, by vcpu.sibling */
	unsigned int nvcpus;	/* how many */
	struct vcpu *device_vcpu;	/* of who holds the devices: gets the interrupts of this CPU */
	uint64_t mk_cr3;
	uint64_t wakes;		/* changes with everything that becomes ready here */
	uint64_t slice_tsc;	/* end of the current slice */
	uint64_t spent_tsc;	/* when who runs here will have used its budget up; 0: it has none. Set under `lock` */
	uint64_t armed_tsc;	/* what the physical timer is set for, UINT64_MAX: nothing */
	uint64_t age_tsc;	/* when shadows are next aged, */
	struct vcpu *age_next;	/* and whose */
	uint64_t selectors;	/* not 0: who was saved last left some */
	uint64_t xcr0;		/* as loaded */
	uint32_t tsc_aux;	/* as loaded */
	uint64_t seldom;	/* as loaded */
	const struct partition *last;	/* whose traces predictors and buffers have */
	struct storm storm;
};
#define this_cpu	((struct cpu *)MK_CPU_VA)

extern struct cpu *cpus[MAX_CPUS];	/* in the order in which they came up; the boot CPU first */
extern unsigned int ncpus;
extern uint64_t spare_cpus;	/* a bit each: nothing runs there */

extern uint64_t boot_wall_ns, boot_wall_tsc;	/* Unix time at a TSC value */

/* The queue of a vCPU's CPU, locked; a mover may be taken to another CPU meanwhile. */
struct cpu *lock_home(const struct vcpu *v);

/* A started CPU waits here, in code that stays, until cpus_release(); then it is in keel_cpu_main(). */
void cpus_wait(void) __attribute__((noreturn));
/* The boot CPU, when what is used only once is gone: let the others go. */
void cpus_release(void);

/* Bits of work for a CPU; it is interrupted if it may be elsewhere. */
void cpu_work(struct cpu *c, uint32_t what);
static inline void cpu_work_here(uint32_t what)
{
	__atomic_fetch_or(&this_cpu->work, what, __ATOMIC_SEQ_CST);
}
/*
 * Ask all CPUs for something, and see whether all have done it. Then whatever a CPU was at in the metakernel when it was
 * asked is over.
 */
void cpus_ask(uint32_t what);
bool cpus_asked(uint32_t what);
/* Another value than before: some vCPU has become ready since. For who looks at the states of all. */
uint64_t cpus_wakes(void);
/* The machine ends here: no other CPU does anything any more. */
void cpus_stop(void);
/* An interrupt that others sent for their work, or to stop this CPU. */
void cpu_called(void);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * vcpu.h - a virtual CPU: its pages, its virtual control state, its shadow roots, its registers.
 */
#ifndef METAKERNEL_RUN_VCPU_H
#define METAKERNEL_RUN_VCPU_H

#include <keel/abi.h>
#include <hal/entry.h>
#include "mm/pool.h"
#include "mm/root.h"
#include "mm/shootdown.h"
#include "run/budget.h"
#include "run/runq.h"
#include "run/seldom.h"

struct partition;

/*
 * SPENT: it has used its budget up (run/budget.h). From BLOCKED on it sleeps: until an event, until an event or a call
 * (run/call.c), or until its call is answered.
 */
enum vcpu_state { VCPU_OFF, VCPU_READY, VCPU_RUNNING, VCPU_SPENT, VCPU_BLOCKED, VCPU_WAITING, VCPU_CALLING };

struct vcpu {
	struct runq_node node;	/* first: runq links */
	struct partition *part;
	struct vcpu *sibling;	/* next in cpu.vcpus, or of those that move */
	enum vcpu_state state;	/* sched.c has the picture */
	unsigned int id;	/* in the partition */
	unsigned int cpu;	/* whose queue it is in; changed only by who takes it from there */
	bool pinned;		/* to that CPU */
	bool plain;		/* pinned, and without a budget: nothing more to look at when it is switched */
	bool loaded;		/* a CPU has it, or is about to: its memory is that CPU's */
	uint8_t priority;	/* its own; while it serves a call node's is the caller's */

	struct vcpu *caller;	/* whose call it has, NULL: nobody's (call.c) */
	struct vcpu *behind;	/* who waits next for the same server */

	/* Pages the trampoline and ring 1 see; all metakernel-owned. */
	struct keel_vcpu_page *vp;
	struct vcpu_ro *ro;
	uint64_t *hole_pt;
	void *stack;		/* entry stacks */
	struct regs *regs;	/* in there: also while it does not run */

	/* Virtual control state. */
	uint64_t cr0, cr3, cr4, xcr0;
	paddr_t idt_pa;
	uint32_t idt_limit;
	uint64_t entry[KEEL_ENTRY_NR];
	uint64_t msr_syscall[7];	/* STAR..SFMASK, SYSENTER_*: kept for reading back only */

	/* Shadow MMU: the CPU's that has it loaded, and nobody else's. */
	struct shadow_pool pool;
	struct shootdown shootdown;
	struct shadow_root root[NROOTS];
	unsigned int cur;	/* loaded root, */
	paddr_t root_pa;	/* for CR3 */
	uint64_t *kl4;		/* upper half shared by all roots (entries 256..510) */
	uint64_t *kl3, *kl2;	/* the way to the last 2 MiB: entry 511 each */

	/*
	 * Interrupts, a bit a vector: waiting; of a line that is held (masked) until its EOI; and delivered
	 * but not at their EOI yet. The last are only kept while one of them is level-triggered (event.c).
	 */
	uint64_t irr[4];	/* changed atomically: anybody may add */
	uint64_t held[4], isr[4];
	uint64_t timer_tsc;	/* deadline of KEEL_HC_TIMER, 0 off */
	uint64_t wake_tsc;	/* deadline of KEEL_HC_BLOCK, or when more of its budget is back; 0 none */

	/* State while not loaded. */
	uint64_t fs_base, gs_base;
	union {
		struct {
			union {
				struct { uint8_t ds, es, fs, gs; };	/* the GDT has 32 entries */
				uint32_t selectors;	/* all four: most often 0 */
			};
			uint32_t special;	/* vcpu_note_special() */
		};
		uint64_t unusual;	/* either: not for the fast way (entry/fast.c) */
	};
	uint32_t tsc_aux;
	void *xstate;
	uint64_t seldom;	/* of the next one, what is in use (seldom.h) */
	struct breakpoints breakpoints;

	uint64_t run_tsc, run_since;	/* TSC ticks run, and since when */
	uint64_t charged_tsc;	/* of run_tsc, what its budget has been charged with */
	struct vcpu *payer;	/* whose budget its runs are charged to; NULL: nobody's, it has no limit */
	struct budget budget;
	uint64_t ready_since;	/* TSC when it began to wait for its CPU, or its budget; 0: it does not */

	uint64_t stats[KEEL_STAT_NR];
};

#define RFLAGS_GUEST	0x250dd5UL	/* a partition's own: CF PF AF ZF SF TF DF OF RF AC ID */

static inline void stat_inc(struct vcpu *v, unsigned int what)
{
	v->stats[what]++;
}

static inline bool vcpu_on(const struct vcpu *v)
{
	return __atomic_load_n(&v->state, __ATOMIC_RELAXED) != VCPU_OFF;
}

static inline bool vcpu_sleeps(const struct vcpu *v)
{
	return __atomic_load_n(&v->state, __ATOMIC_RELAXED) >= VCPU_BLOCKED;
}

static inline bool from_user(const struct regs *r)
{
	return (r->cs & 3) == 3;
}

/* Number `id` of a partition, to begin on a CPU. */
int vcpu_init(struct vcpu *v, struct partition *p, unsigned int id, unsigned int cpu);
void vcpu_reset(struct vcpu *v, paddr_t cr3);	/* state at the start of a partition */
void vcpu_inherit(struct vcpu *v, const struct vcpu *from);	/* entry points and IDT, of the same partition */
void vcpu_load(struct vcpu *v, uint64_t now);		/* make it current: registers, FPU, segments */
void vcpu_save(struct vcpu *v, uint64_t now);	/* now: TSC */
/* Could IRETQ go to ring 3 by this frame without a fault? */
bool vcpu_user_frame_ok(const struct vcpu *v, const struct keel_frame *f);
/* Make the frame one that IRETQ in ring 0 takes. False: its RIP is not canonical, deliver #GP instead. */
bool vcpu_sanitize(struct vcpu *v, struct regs *r);
int vcpu_set_desc(struct vcpu *v, uint64_t index, uint64_t desc);
void vcpu_load_tsc_aux(const struct vcpu *v);
void vcpu_note_special(struct vcpu *v);		/* after a change of what it has of that */
uint64_t vcpu_load_gs(struct vcpu *v, uint64_t sel);
int vcpu_set_xcr0(struct vcpu *v, uint64_t value);

#endif

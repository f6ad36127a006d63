/* SPDX-License-Identifier: MIT */
/*
 * sched.h - which vCPU runs, and all deadlines.
 */
#ifndef METAKERNEL_RUN_SCHED_H
#define METAKERNEL_RUN_SCHED_H

#include "run/vcpu.h"

#define SLICE_NS	10000000	/* round robin inside a priority */

void sched_init(void);
void sched_wake(struct vcpu *v);
void sched_interrupt(struct vcpu *v);	/* wake it, or make its CPU look at its events if it runs */
void sched_sleep(struct vcpu *v, enum vcpu_state until);	/* the current one, if it is not off by now */
static inline void sched_block(struct vcpu *v)
{
	sched_sleep(v, VCPU_BLOCKED);
}
void sched_go_on(struct vcpu *v);	/* one that is ready, and in no queue */
void sched_begin(struct vcpu *v);	/* one that is off, and gone */
void sched_remove(struct vcpu *v);	/* off; a CPU that has it lets go soon */
bool sched_gone(struct vcpu *v);	/* off, and no CPU has it any more */
void sched_yield(struct vcpu *v, struct vcpu *to);	/* current; to: NULL or whom it waits for */
void sched_look_again(void);		/* soon, at an event that cannot be delivered now */
void sched_tick(void);			/* the physical timer fired */
void sched_set_timer(struct vcpu *v, uint64_t deadline_tsc);
void sched_leave(void);			/* switch if needed; on return current is what runs */
/* On the way out: settle who runs and where it goes on. -> the CR3 to leave with */
uint64_t sched_exit(void);
void sched_start(void) __attribute__((noreturn));	/* boot CPU */
void sched_join(void) __attribute__((noreturn));	/* the others */

#endif

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
void sched_block(struct vcpu *v);	/* current; takes effect on the way out */
void sched_remove(struct vcpu *v);	/* its partition ended */
void sched_tick(void);			/* the physical timer fired */
void sched_set_timer(struct vcpu *v, uint64_t deadline_tsc);
void sched_leave(void);			/* switch if needed; on return current is what runs */
/* On the way out: settle who runs and where it goes on. -> the CR3 to leave with */
uint64_t sched_exit(void);
void sched_start(void) __attribute__((noreturn));

#endif

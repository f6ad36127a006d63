/* SPDX-License-Identifier: MIT */
/*
 * seldom.h - what few vCPUs have other than all the rest: breakpoints, and CR4.TSD.
 *
 * One word says what of it is in use, in the vCPU and as loaded in the CPU: a switch between two that use
 * nothing looks at both words and no further.
 */
#ifndef METAKERNEL_RUN_SELDOM_H
#define METAKERNEL_RUN_SELDOM_H

#include <stdbool.h>
#include <stdint.h>

/* The word: DR7 as the CPU gets it, 0 if nothing is armed; and: */
#define SELDOM_TSD	(1UL << 32)	/* RDTSC is ring 0's */
#define SELDOM_BARRIER	(1UL << 33)	/* only in a CPU's, and always: look at hal_switch_barrier() */

struct breakpoints {
	uint64_t address[4];	/* DR0..DR3 */
	uint32_t dr6;		/* bits of the last #DB, until ring 1 clears them */
	uint32_t dr7;		/* as ring 1 wrote it */
	bool named;		/* one that was not armed: once */
};

struct vcpu;

void seldom_load(const struct vcpu *v);			/* at a switch, if either word is not 0 */
uint64_t seldom_read_dr(const struct vcpu *v, unsigned int n);	/* n: 0..7 */
bool seldom_write_dr(struct vcpu *v, unsigned int n, uint64_t value);	/* of the current; false: #GP */
void seldom_hit(struct vcpu *v);			/* #DB: take over DR6 */
void seldom_set_tsd(struct vcpu *v, bool on);		/* of the current */

#endif

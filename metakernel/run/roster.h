/* SPDX-License-Identifier: MIT */
/*
 * roster.h - which vCPUs there are: of each CPU those that run only there, and those that move.
 *
 * Locks:   LOCK_LIFE, the caller's, to change a list. CPUs go through them without: one that has been taken out still leads
 *          to the next until all CPUs have answered WORK_FORGET.
 */
#ifndef METAKERNEL_RUN_ROSTER_H
#define METAKERNEL_RUN_ROSTER_H

#include "run/cpu.h"

extern struct vcpu *movers;	/* vCPUs that are not pinned, by sibling */

void roster_add(struct vcpu *v);
void roster_remove(struct vcpu *v);	/* it is off, and no CPU has it */
/* This CPU's part: nothing it remembers is of a vCPU or partition that may be gone. */
void roster_forget(struct cpu *c);
void roster_age(struct cpu *c, uint64_t now);	/* one of those here forgets what it has seen accessed */

#endif

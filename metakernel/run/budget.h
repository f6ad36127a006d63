/* SPDX-License-Identifier: MIT */
/*
 * budget.h - a scheduling context: so much time in each period, for one vCPU.
 *
 * A sporadic server: what was used comes back one period after the run that used it began, and not sooner. So in
 * no stretch of time as long as a period more than the budget is used, wherever it begins; one that waits keeps what it has, and
 * never has more than the budget. docs/decisions/012-budgets.md.
 *
 * When more than a few pieces are on their way back, runs that begin within an eighth of a period come back together, with the
 * last of them: so no more need to be remembered, however often a vCPU blocks. `left` is below 0 by what an interrupt came late; for that it waits
 * longer, so that it is no more in the long run either.
 *
 * Locks:   LOCK_RUNQ of the CPU that the vCPU charged to it belongs to.
 * Invariants: left and what is on its way back are `ticks` together.
 */
#ifndef METAKERNEL_RUN_BUDGET_H
#define METAKERNEL_RUN_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_REFILLS	16	/* a power of two */
#define BUDGET_EXACT	6	/* and so many of their own; of others there are 10 at most */

struct cpu;
struct vcpu;

struct budget {
	uint64_t ticks, period;	/* TSC */
	int64_t left;
	uint64_t since;		/* what ran before is not charged */
	uint64_t told;		/* when its exhaustion was last reported */
	uint64_t exhausted;	/* how often */
	unsigned int first, end;	/* of what comes back, the earliest first; modulo BUDGET_REFILLS */
	struct refill {
		uint64_t since, at, ticks;	/* its first run began; when it is back */
	} refill[BUDGET_REFILLS];
};

/* A budget of v's own instead of what it had, at any time; 0, 0: none. Takes the lock. */
void budget_set(struct vcpu *v, uint64_t ticks, uint64_t period);
/*
 * What v runs from now on is charged to another's budget (NULL: it has no limit). Under the lock, of one CPU for both; v does
 * not run.
 */
void budget_charge(struct vcpu *v, struct vcpu *payer);
/*
 * v serves a caller from now on, or nobody (NULL): on the budget of a caller that has one of its own and belongs to the same CPU,
 * else on its own. Under v's lock. Who runs on another's passes that on to nobody: a budget is used by two at most, and
 * when its owner goes, call_forget() finds both.
 */
void budget_serve(struct vcpu *v, struct vcpu *caller);
/* v begins to run here, or is the current one: set c->spent_tsc, or WORK_RESCHED. Takes the lock. */
void budget_look(struct cpu *c, struct vcpu *v, uint64_t now);

#endif

// SPDX-License-Identifier: MIT
/*
 * promise.c - what of the CPUs' time is promised to whom. See promise.h.
 *
 * Owns:       the sums, under LOCK_LIFE.
 * Invariants: each is that of the partitions there are, also of those that have ended and may start again.
 */
#include <hal/irq.h>
#include "part/promise.h"
#include "run/cpu.h"

#define WHOLE	(1UL << 20)		/* all of a CPU's time */
#define MOST	(WHOLE - WHOLE / 20)	/* of it: what a switch takes is nobody's, and who controls has to run */

static uint64_t promised[MAX_CPUS];	/* to those that stay there */
static uint64_t promised_all;

static uint64_t share(uint64_t budget_ns, uint64_t period_ns)
{
	return period_ns ? (budget_ns * WHOLE + period_ns - 1) / period_ns : 0;
}

/* More, or less (modulo 2^64), for each vCPU. -> does it fit? */
static bool add(const struct partition *p, uint64_t change)
{
	uint64_t all = (ncpus - bits_set(spare_cpus)) * MOST;
	bool fits = true;
	unsigned int i;

	for (i = 0; i < p->nvcpus; i++) {
		promised_all += change;
		if (p->vcpu[i].pinned)
			fits &= (promised[p->vcpu[i].cpu] += change) <= MOST;
	}
	return fits && promised_all <= all;
}

int promise(struct partition *p, uint64_t budget_ns, uint64_t period_ns)
{
	uint64_t wanted, change, khz = hal_tsc_khz();
	unsigned int i;

	if ((budget_ns | period_ns) && (budget_ns < KEEL_MIN_BUDGET_NS || budget_ns > period_ns ||
					period_ns < KEEL_MIN_PERIOD_NS || period_ns > KEEL_MAX_PERIOD_NS))
		return -KEEL_EINVAL;
	wanted = share(budget_ns, period_ns);
	change = wanted - share(p->budget_ns, p->period_ns);
	if (!add(p, change) || wanted > MOST) {
		add(p, -change);
		return -KEEL_ENOSPC;
	}
	p->budget_ns = budget_ns;
	p->period_ns = period_ns;
	for (i = 0; i < p->nvcpus; i++)		/* below 2^34 ns, 2^24 kHz */
		budget_set(&p->vcpu[i], budget_ns * khz / 1000000, period_ns * khz / 1000000);
	return 0;
}

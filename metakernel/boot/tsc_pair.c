// SPDX-License-Identifier: MIT
/*
 * tsc_pair.c - compare the time-stamp counters of two CPUs.
 *
 * Context: boot, interrupts off, both CPUs at once; also built on the host for its unit test.
 */
#include <hal/cpu.h>
#include "boot/tsc_pair.h"

/* Not before what was read above it, not after what is written below it. */
static uint64_t tsc_now(void)
{
	uint64_t now;

	hal_lfence();
	now = hal_rdtsc();
	hal_lfence();
	return now;
}

static uint32_t turn(const struct tsc_pair *p)
{
	return __atomic_load_n(&p->turn, __ATOMIC_ACQUIRE);	/* pairs with the releases below */
}

bool tsc_pair_ask(struct tsc_pair *p, unsigned int rounds, uint64_t ticks)
{
	uint64_t start = tsc_now();

	p->low = INT64_MIN;
	p->high = INT64_MAX;
	for (uint32_t i = 0; i < rounds; i++) {
		uint64_t before = tsc_now(), after, there;

		__atomic_store_n(&p->turn, 2 * i + 1, __ATOMIC_RELEASE);
		while (turn(p) == 2 * i + 1) {
			if (tsc_now() - start > ticks)
				return false;
			hal_pause();
		}
		after = tsc_now();
		there = p->tsc;
		if ((int64_t)(there - after) > p->low)
			p->low = (int64_t)(there - after);
		if ((int64_t)(there - before) < p->high)
			p->high = (int64_t)(there - before);
	}
	__atomic_store_n(&p->turn, TSC_PAIR_OVER, __ATOMIC_RELEASE);
	return true;
}

void tsc_pair_answer(struct tsc_pair *p)
{
	uint32_t now;

	while ((now = turn(p)) != TSC_PAIR_OVER) {
		if (now & 1) {
			p->tsc = tsc_now();
			__atomic_store_n(&p->turn, now + 1, __ATOMIC_RELEASE);
		}
		hal_pause();
	}
}

int64_t tsc_pair_differ(const struct tsc_pair *p)
{
	if (p->low > 0)
		return p->low;
	return p->high < 0 ? p->high : 0;
}

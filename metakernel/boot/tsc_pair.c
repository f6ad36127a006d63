// SPDX-License-Identifier: MIT
/*
 * tsc_pair.c - compare the time-stamp counters of two CPUs.
 *
 * Context: boot, interrupts off, both CPUs at once; also built on the host for its unit test.
 */
#include <hal/cpu.h>
#include "boot/tsc_pair.h"

#define ROUNDS_MIN	16
#define ROUNDS_MAX	1000000

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

/* One passage to the other CPU and back. */
static bool pass(struct tsc_pair *p, uint32_t number, uint64_t patience)
{
	uint64_t before = tsc_now(), after;
	int64_t low, high;

	__atomic_store_n(&p->turn, number, __ATOMIC_RELEASE);
	while (turn(p) == number) {
		if (tsc_now() - before > patience)
			return false;
		hal_pause();
	}
	after = tsc_now();
	low = (int64_t)(p->tsc - after);
	high = (int64_t)(p->tsc - before);
	p->low = low > p->low ? low : p->low;
	p->high = high < p->high ? high : p->high;
	return true;
}

bool tsc_pair_ask(struct tsc_pair *p, uint64_t goal, uint64_t most, uint64_t patience)
{
	uint64_t start = tsc_now();
	uint32_t n;

	p->low = INT64_MIN;
	p->high = INT64_MAX;
	for (n = 1; n < 2 * ROUNDS_MAX; n += 2) {
		if (!pass(p, n, patience))
			return false;
		if (n >= 2 * ROUNDS_MIN && ((uint64_t)p->high - (uint64_t)p->low <= goal || tsc_now() - start > most))
			break;
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

// SPDX-License-Identifier: MIT
/*
 * lock.c - whether locks are needed; debug builds: is a lock taken only by who holds none of its rank or above?
 *
 * Owns:    the rule that ranks ascend. Context: interrupts off.
 */
#include <hal/entry.h>
#include "lock.h"
#include "panic.h"

bool lock_others;

#ifdef KEEL_DEBUG

/* A bit a rank that this CPU holds: the last word of its own page (struct cpu is at its start). */
#define HELD	(*(uint32_t *)(MK_CPU_VA + PAGE_SIZE - sizeof(uint32_t)))

static bool started;

void lock_ranks_start(void)
{
	started = true;
}

void lock_taking(const struct lock *l)
{
	if (!started)
		return;
	if (HELD >> l->rank)
		panic("a lock of rank %u is taken while ranks %#x are held", l->rank, HELD);
	HELD |= 1U << l->rank;
}

void lock_released(const struct lock *l)
{
	if (started)
		HELD &= ~(1U << l->rank);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * lock.h - ticket locks, and the one table of their ranks.
 *
 * Whoever takes a lock has interrupts off, as all of the metakernel, and holds only locks of lower rank. A debug
 * build asserts that. Nothing waits for another CPU while it holds one.
 */
#ifndef METAKERNEL_LIB_LOCK_H
#define METAKERNEL_LIB_LOCK_H

#include <hal/cpu.h>

enum lock_rank {
	LOCK_CHECK,	/* debug builds: the checker's own */
	LOCK_LIFE,	/* partitions and vCPUs that start and end; peers being loaded */
	LOCK_CHAN,	/* state of channels; owners of frames change under it */
	LOCK_NOTE,	/* of a vCPU: what it must forget before it runs on */
	LOCK_RUNQ,	/* of a CPU: its queue, and who is taken from it */
	LOCK_IOAPIC,	/* entries, and the index-and-window pair behind them */
	LOCK_PORTS,	/* configuration space and emulated ports */
	LOCK_OUT,	/* log, console rings, serial port */
	LOCK_RANKS
};

struct lock {
	uint16_t next, serving;
	uint8_t rank;
};

#define LOCK_INIT(r)	{ .rank = (r) }

#ifdef KEEL_DEBUG
void lock_taking(const struct lock *l);
void lock_released(const struct lock *l);
void lock_ranks_start(void);	/* on the boot CPU, once it has its own page */
#else
static inline void lock_taking(const struct lock *l) { (void)l; }
static inline void lock_released(const struct lock *l) { (void)l; }
static inline void lock_ranks_start(void) { }
#endif

extern bool lock_others;	/* set at boot when another CPU has come up: until then nobody is to be waited for */

static inline void lock_take(struct lock *l)
{
	uint16_t ticket;

	lock_taking(l);
	if (!lock_others)
		return;
	ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_ACQUIRE);
	while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket)
		hal_pause();
}

static inline void lock_release(struct lock *l)
{
	lock_released(l);
	if (lock_others)
		__atomic_store_n(&l->serving, (uint16_t)(l->serving + 1), __ATOMIC_RELEASE);
}

#endif

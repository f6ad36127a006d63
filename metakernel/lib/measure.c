// SPDX-License-Identifier: MIT
/*
 * measure.c - MEASURE=1 only: the longest stretch with interrupts off on any CPU (measure.h).
 *
 * Ticks are of one clock, in QEMU with -icount that of all CPUs, which have turns: what others do while this CPU waits for
 * them is taken off. A stretch in the middle of which others had a turn for another reason is not counted.
 */
#include <hal/cpu.h>
#include <hal/entry.h>
#include "measure.h"

#define STUBS	64	/* instructions of the entry and exit code, outside of what is seen here: at most */

/* The entry that this CPU is in: in its own page, near the end (struct cpu is at its start). */
struct entered {
	uint64_t tsc, what;
	uint64_t seen;		/* of `passed` */
};
#define entered	((struct entered *)(MK_CPU_VA + PAGE_SIZE - 64))

static uint64_t passed;		/* entries and exits of all CPUs */
static uint64_t longest, longest_what, longest_ever;

static uint64_t pass(void)
{
	return __atomic_add_fetch(&passed, 1, __ATOMIC_RELAXED);
}

void measure_enter(uint64_t what)
{
	entered->what = what;
	entered->seen = pass();
	entered->tsc = hal_rdtsc();
}

void measure_leave(void)
{
	uint64_t ticks = hal_rdtsc() - entered->tsc + STUBS;

	if (pass() != entered->seen + 1)
		return;
	if (ticks > longest) {
		longest = ticks;
		longest_what = entered->what;
	}
	if (ticks > longest_ever)
		longest_ever = ticks;
}

void measure_pause(void)
{
	uint64_t before = passed, tsc = hal_rdtsc();

	hal_pause();
	entered->tsc += hal_rdtsc() - tsc;
	entered->seen += __atomic_load_n(&passed, __ATOMIC_RELAXED) - before;
}

int64_t measure_hcall(uint64_t op)
{
	switch (op) {
	case 0:
		longest = 0;
		return 0;
	case 1:
		return (int64_t)longest;
	case 2:
		return (int64_t)longest_what;
	case 3:
		return (int64_t)longest_ever;
	}
	return -KEEL_EINVAL;
}

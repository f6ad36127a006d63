// SPDX-License-Identifier: MIT
/*
 * measure.c - MEASURE=1 only: the longest stretch with interrupts off (measure.h).
 */
#include <hal/cpu.h>
#include "measure.h"

#define STUBS	64	/* instructions of the entry and exit code, outside of what is seen here: at most */

static uint64_t entered, entered_what;
static uint64_t longest, longest_what, longest_ever;

void measure_enter(uint64_t what)
{
	entered_what = what;
	entered = hal_rdtsc();
}

void measure_leave(void)
{
	uint64_t ticks = hal_rdtsc() - entered + STUBS;

	if (ticks > longest) {
		longest = ticks;
		longest_what = entered_what;
	}
	if (ticks > longest_ever)
		longest_ever = ticks;
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

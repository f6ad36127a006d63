// SPDX-License-Identifier: MIT
/*
 * event.c - waiting for the metakernel's event bits.
 *
 * vcpu_page.events is taken whole (one exchange), so bits nobody waits for at the moment are kept in
 * `seen` until somebody does. A bit set after the exchange makes the BLOCK hypercall return at once,
 * so no wake-up is lost between looking and sleeping. Memory that has come, or is asked for, is seen to before
 * sleeping, and in rt_poll().
 */
#include <rt/machine.h>
#include <rt/rt.h>

#define MEMORY	(1ULL << KEEL_EV_MEMORY)

static uint64_t seen;

static __attribute__((noinline, cold)) void memory_event(void)
{
	seen &= ~MEMORY;
	memory_look();
}

bool event_take(uint64_t mask)
{
	bool hit;

	if (vp_load(KEEL_VP_EVENTS))
		seen |= vp_take_events();
	hit = (seen & mask) != 0;
	seen &= ~mask;
	return hit;
}

bool event_sleep(uint64_t mask, uint64_t deadline_tsc)
{
	for (;;) {
		if (vp_load(KEEL_VP_EVENTS))
			seen |= vp_take_events();
		if (seen & mask)
			return true;
		if (__builtin_expect((seen & MEMORY) != 0, 0))
			memory_event();
		if (deadline_tsc && rdtsc() >= deadline_tsc)
			return false;
		hc2(KEEL_HC_BLOCK, 0, deadline_tsc);
	}
}

bool event_wait(uint64_t mask, uint64_t deadline_tsc)
{
	bool hit = event_sleep(mask, deadline_tsc);

	if (hit)
		seen &= ~mask;
	return hit;
}

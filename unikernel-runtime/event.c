// SPDX-License-Identifier: MIT
/*
 * event.c - waiting for the metakernel's event bits.
 *
 * vcpu_page.events is taken whole (one exchange), so bits nobody waits for at the moment are kept in
 * `seen` until somebody does. A bit set after the exchange makes the BLOCK hypercall return at once,
 * so no wake-up is lost between looking and sleeping.
 */
#include <rt/machine.h>
#include <rt/rt.h>

static uint64_t seen;

/* What nobody waits for is seen to at once. */
static void look(void)
{
	if (!vp_load(KEEL_VP_EVENTS))
		return;
	seen |= vp_take_events();
	if (seen & 1ULL << KEEL_EV_MEMORY) {
		seen &= ~(1ULL << KEEL_EV_MEMORY);
		memory_look();
	}
}

bool event_take(uint64_t mask)
{
	bool hit;

	look();
	hit = (seen & mask) != 0;
	seen &= ~mask;
	return hit;
}

bool event_sleep(uint64_t mask, uint64_t deadline_tsc)
{
	for (;;) {
		look();
		if (seen & mask)
			return true;
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

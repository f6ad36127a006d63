// SPDX-License-Identifier: MIT
/*
 * Property: what is raised for a partition is in the words of its vCPU page that stand for it, wakes who sleeps, and finds
 * nobody where there is nobody.
 * Failure looks like: another bit, a vector for who polls, a wake-up of what is no vCPU.
 */
#include "event.h"

/* A channel's handle has its bit in `events`, or in a word of its own and one bit for all of them. */
static void handles_have_bits_of_their_own(void **state)
{
	static const unsigned int others[] = { 48, 60, 61, 63, 64, 130, 255 };
	uint64_t want[4] = { 0 };

	(void)state;
	event_raise(v, event_of_handle(47));
	assert_int_equal(vp->events, 1UL << 47);
	vp->events = 0;
	for (unsigned int i = 0; i < 7; i++) {
		event_raise(v, event_of_handle(others[i]));
		want[others[i] / 64] |= 1UL << others[i] % 64;
	}
	event_raise(v, KEEL_EV_TIMER);		/* is not handle 61 */
	assert_memory_equal(vp->chan_events, want, sizeof(want));
	assert_int_equal(vp->events, 1UL << KEEL_EV_CHANNEL | 1UL << KEEL_EV_TIMER);
}

static void raised_bits_come_with_the_event_vector(void **state)
{
	(void)state;
	event_raise(v, 5);
	event_raise(v, KEEL_EV_TIMER);
	assert_int_equal(vp->events, 1UL << 5 | 1UL << KEEL_EV_TIMER);
	in_user();
	event_deliver(v, &regs);
	assert_int_equal(vp->event.vector, KEEL_EVENT_VECTOR);
	assert_true(event_waiting(v));		/* until ring 1 has taken them */
	vp->events = 0;
	assert_false(event_waiting(v));
	v->entry[KEEL_ENTRY_EVENT_KERNEL] = 0;	/* a peer polls */
	event_raise(v, 7);
	assert_int_equal(v->irr[3], 0);
	assert_int_equal(nwakes, 3);
	assert_true(event_waiting(v));
}

/* Being taken apart: what lies behind its vCPUs is not one. */
static void who_has_no_vcpus_left_is_not_told(void **state)
{
	static struct vcpu two[2];
	struct partition p = { .vcpu = two };

	(void)state;
	two[1].state = VCPU_BLOCKED;
	part_raise(&p, 3);
	p.nvcpus = 1;
	part_raise(&p, 3);
	assert_int_equal(nwakes, 0);
	p.vcpu = v;
	v->state = VCPU_BLOCKED;
	part_raise(&p, 3);
	assert_int_equal(nwakes, 1);
	assert_int_equal(vp->events, 1UL << 3);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(handles_have_bits_of_their_own),
		T(raised_bits_come_with_the_event_vector),
		T(who_has_no_vcpus_left_is_not_told),
	};

	return cmocka_run_group_tests_name("raise", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * ring_test.c - the ring moves every entry once and in order, asks for doorbells when and only when
 * they are needed, and turns each impossible index of a hostile peer into KEEL_RING_BAD.
 *
 * Failure looks like a wrong count, a missing or superfluous doorbell, or an index believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keel/ring.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#define ENTRIES 8u

struct pair {
	struct keel_ring_ctl ctl;
	struct keel_ring prod, cons;
};

/* Both sides at `index`, as after 2^32 - something entries. */
static void pair_at(struct pair *p, uint32_t index)
{
	memset(p, 0, sizeof(*p));
	keel_ring_init(&p->prod, &p->ctl, ENTRIES);
	keel_ring_init(&p->cons, &p->ctl, ENTRIES);
	p->prod.own = p->prod.peer = p->prod.kicked = index;
	p->cons.own = p->cons.peer = index;
	p->ctl.tail = p->ctl.head = p->ctl.event = index;
}

static void fills_and_empties_at(uint32_t index)
{
	struct pair p;

	pair_at(&p, index);
	assert_int_equal(keel_ring_room(&p.prod, 1), ENTRIES);
	assert_int_equal(keel_ring_avail(&p.cons), 0);
	keel_ring_publish(&p.prod, 3);
	assert_int_equal(keel_ring_avail(&p.cons), 3);
	keel_ring_publish(&p.prod, ENTRIES - 3);
	assert_int_equal(keel_ring_room(&p.prod, 1), 0);
	assert_int_equal(keel_ring_avail(&p.cons), ENTRIES);
	keel_ring_consume(&p.cons, 2);
	assert_int_equal(keel_ring_room(&p.prod, 1), 2);
	keel_ring_consume(&p.cons, ENTRIES - 2);
	assert_int_equal(keel_ring_avail(&p.cons), 0);
	assert_int_equal(keel_ring_room(&p.prod, ENTRIES), ENTRIES);
}

static void counts_entries_also_across_the_wrap(void **state)
{
	uint32_t i;

	(void)state;
	fills_and_empties_at(0);
	for (i = 0; i < 2 * ENTRIES; i++)
		fills_and_empties_at(0u - i);
}

static void slots_stay_inside(void **state)
{
	struct pair p;

	(void)state;
	pair_at(&p, 0);
	assert_int_equal(keel_ring_slot(&p.prod, 0), 0);
	assert_int_equal(keel_ring_slot(&p.prod, ENTRIES), 0);
	assert_int_equal(keel_ring_slot(&p.prod, UINT32_MAX), ENTRIES - 1);
}

static void sizes_are_powers_of_two(void **state)
{
	(void)state;
	assert_true(keel_ring_entries_ok(1));
	assert_true(keel_ring_entries_ok(KEEL_RING_MAX_ENTRIES));
	assert_false(keel_ring_entries_ok(0));
	assert_false(keel_ring_entries_ok(24));
	assert_false(keel_ring_entries_ok(2 * KEEL_RING_MAX_ENTRIES));
	assert_false(keel_ring_entries_ok(0x80000001));
}

/* ---- hostile indices -------------------------------------------------------------------------------- */

static void consumer_refuses_a_tail_too_far_ahead(void **state)
{
	struct pair p;

	(void)state;
	pair_at(&p, 0xfffffffc);
	p.ctl.tail = p.cons.own + ENTRIES + 1;
	assert_int_equal(keel_ring_avail(&p.cons), KEEL_RING_BAD);
	p.ctl.tail = p.cons.own + 0x80000000;
	assert_int_equal(keel_ring_avail(&p.cons), KEEL_RING_BAD);
	p.ctl.tail = p.cons.own + ENTRIES;	/* the most there can be */
	assert_int_equal(keel_ring_avail(&p.cons), ENTRIES);
}

static void consumer_refuses_a_tail_that_moves_back(void **state)
{
	struct pair p;

	(void)state;
	pair_at(&p, 0);
	p.ctl.tail = 0u - 1;			/* behind head */
	assert_int_equal(keel_ring_avail(&p.cons), KEEL_RING_BAD);
	p.ctl.tail = 5;
	assert_int_equal(keel_ring_avail(&p.cons), 5);
	p.ctl.tail = 4;				/* behind itself, but not behind head */
	assert_int_equal(keel_ring_avail(&p.cons), KEEL_RING_BAD);
	p.ctl.tail = 5;
	assert_int_equal(keel_ring_avail(&p.cons), 5);
	assert_int_equal(keel_ring_arm(&p.cons), 5);
}

static void producer_refuses_a_head_outside_what_was_published(void **state)
{
	struct pair p;

	(void)state;
	pair_at(&p, 0xfffffffe);
	keel_ring_publish(&p.prod, ENTRIES);
	p.ctl.head = p.prod.own + 1;		/* ahead of the tail */
	assert_int_equal(keel_ring_room(&p.prod, 1), KEEL_RING_BAD);
	p.ctl.head = p.prod.peer - 1;		/* behind */
	assert_int_equal(keel_ring_room(&p.prod, 1), KEEL_RING_BAD);
	p.ctl.head = p.prod.own + 0x80000000;	/* wrapped */
	assert_int_equal(keel_ring_room(&p.prod, 1), KEEL_RING_BAD);
	p.ctl.head = p.prod.peer + 2;
	assert_int_equal(keel_ring_room(&p.prod, 1), 2);
	p.ctl.head = p.prod.peer - 1;		/* back again */
	assert_int_equal(keel_ring_room(&p.prod, 3), KEEL_RING_BAD);
}

static void room_never_exceeds_the_size_whatever_head_says(void **state)
{
	struct pair p;
	uint32_t head;
	int room;

	(void)state;
	for (head = 0u - 40; head != 40; head++) {
		pair_at(&p, 0);
		keel_ring_publish(&p.prod, 5);
		p.ctl.head = head;
		room = keel_ring_room(&p.prod, ENTRIES);
		assert_int_equal(room, head <= 5 ? (int)(ENTRIES - 5 + head) : KEEL_RING_BAD);
	}
}

/* ---- doorbells -------------------------------------------------------------------------------------- */

static void rings_once_after_arming_and_not_while_busy(void **state)
{
	struct pair p;
	uint32_t base;

	(void)state;
	for (base = 0u - 4; base != 4; base++) {
		pair_at(&p, base);
		assert_false(keel_ring_need_kick(&p.prod));	/* nothing published */
		keel_ring_publish(&p.prod, 1);
		assert_true(keel_ring_need_kick(&p.prod));	/* a fresh ring is armed */
		assert_false(keel_ring_need_kick(&p.prod));
		keel_ring_publish(&p.prod, 1);
		assert_false(keel_ring_need_kick(&p.prod));	/* consumer is awake */
		keel_ring_consume(&p.cons, (uint32_t)keel_ring_avail(&p.cons));
		assert_int_equal(keel_ring_arm(&p.cons), 0);
		keel_ring_publish(&p.prod, 3);			/* a batch passes the mark too */
		assert_true(keel_ring_need_kick(&p.prod));
	}
}

static void arming_sees_what_came_before(void **state)
{
	struct pair p;

	(void)state;
	pair_at(&p, 0);
	keel_ring_publish(&p.prod, 1);
	assert_int_equal(keel_ring_arm(&p.cons), 1);
	assert_true(keel_ring_need_kick(&p.prod));
}

/* ---- two threads: every number arrives once, in order; sleeping only on doorbells ---------------------- */

#define NUMBERS 200000u

static struct {
	struct keel_ring_ctl ctl;
	uint32_t slots[ENTRIES];
	pthread_mutex_t lock;
	pthread_cond_t rung;
	bool bell;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER, .rung = PTHREAD_COND_INITIALIZER };

static void *produce(void *arg)
{
	struct keel_ring r;
	uint32_t i = 0;
	int room;

	(void)arg;
	keel_ring_init(&r, &shared.ctl, ENTRIES);
	while (i < NUMBERS) {
		room = keel_ring_room(&r, 1);
		if (room < 0)
			return (void *)"bad head";
		if (!room) {
			sched_yield();
			continue;
		}
		__atomic_store_n(&shared.slots[keel_ring_slot(&r, r.own)], i++, __ATOMIC_RELAXED);
		keel_ring_publish(&r, 1);
		if (!keel_ring_need_kick(&r))
			continue;
		pthread_mutex_lock(&shared.lock);
		shared.bell = true;
		pthread_cond_signal(&shared.rung);
		pthread_mutex_unlock(&shared.lock);
	}
	return NULL;
}

static void nothing_is_lost_between_two_threads(void **state)
{
	struct keel_ring r;
	uint32_t next = 0;
	pthread_t t;
	void *err;
	int n;

	(void)state;
	keel_ring_init(&r, &shared.ctl, ENTRIES);
	assert_int_equal(pthread_create(&t, NULL, produce, NULL), 0);
	while (next < NUMBERS) {
		n = keel_ring_avail(&r);
		assert_true(n >= 0);
		for (; n; n--) {
			assert_int_equal(__atomic_load_n(&shared.slots[keel_ring_slot(&r, r.own)],
							 __ATOMIC_RELAXED), next);
			next++;
			keel_ring_consume(&r, 1);
		}
		if (next == NUMBERS || keel_ring_arm(&r))
			continue;
		/* A lost doorbell hangs here; the runner's time limit reports it. */
		pthread_mutex_lock(&shared.lock);
		while (!shared.bell)
			pthread_cond_wait(&shared.rung, &shared.lock);
		shared.bell = false;
		pthread_mutex_unlock(&shared.lock);
	}
	pthread_join(t, &err);
	assert_null(err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_entries_also_across_the_wrap),
		cmocka_unit_test(slots_stay_inside),
		cmocka_unit_test(sizes_are_powers_of_two),
		cmocka_unit_test(consumer_refuses_a_tail_too_far_ahead),
		cmocka_unit_test(consumer_refuses_a_tail_that_moves_back),
		cmocka_unit_test(producer_refuses_a_head_outside_what_was_published),
		cmocka_unit_test(room_never_exceeds_the_size_whatever_head_says),
		cmocka_unit_test(rings_once_after_arming_and_not_while_busy),
		cmocka_unit_test(arming_sees_what_came_before),
		cmocka_unit_test(nothing_is_lost_between_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * Property: handles are looked up without a lock while others are given and taken back. Who finds one finds all of it; and
 * when a revocation is over, no call goes on that began with what was revoked.
 * Failure looks like: a use of what has gone, half a handle, or a report of the thread sanitizer.
 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "metakernel/part/cap.c"
#include "extents.h"

#define ROUNDS		1000
#define NREADERS	2
#define FIRST		10	/* the objects: two in turn, with other rights */

struct partition parts[MAX_PARTS];
static const struct manifest_part man = { .control = true };
static atomic_bool there[2], over;
static atomic_uint asked, answered[NREADERS], found, wrong;


void device_end(unsigned int i, const struct partition *p, unsigned int handle) { (void)i, (void)p, (void)handle; abort(); }
void part_raise(struct partition *p, unsigned int bit) { (void)p, (void)bit; abort(); }

uint64_t shoot_forget(struct partition *p)
{
	(void)p;
	return 0;
}

void cpus_ask(uint32_t what)
{
	assert_int_equal(what, WORK_FORGET);
	atomic_fetch_add(&asked, 1);
}

/* A CPU: in the metakernel, a call with handle 1; then out of it, where it answers. */
static void *cpu(void *arg)
{
	unsigned int n = (unsigned int)(uintptr_t)arg;

	while (!atomic_load(&over)) {
		unsigned int since = atomic_load(&asked);
		union cap c = cap_at(&parts[1], 1);

		for (int i = 0; c.word && i < 5; i++) {
			if (c.type != KEEL_CAP_PARTITION || c.rights != 1 + c.index - FIRST || !atomic_load(&there[c.index - FIRST]))
				atomic_fetch_add(&wrong, 1);
			sched_yield();		/* the others go on meanwhile */
		}
		atomic_fetch_add(&found, c.word != 0);
		atomic_store(&answered[n], since);
		sched_yield();
	}
	return NULL;
}

static bool all_answered(unsigned int since)
{
	for (unsigned int i = 0; i < NREADERS; i++)
		if (atomic_load(&answered[i]) < since)
			return false;
	return true;
}

static void nothing_revoked_is_in_use(void **state)
{
	pthread_t threads[NREADERS];

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		parts[i].index = i;
		parts[i].man = &man;
		parts[i].nvcpus = parts[FIRST + i].nvcpus = 1;
		assert_int_equal(cap_add(&parts[i], KEEL_CAP_PARTITION, 3, i), 0);
	}
	assert_int_equal(cap_add(&parts[0], KEEL_CAP_PARTITION, 3, FIRST), 1);
	assert_int_equal(cap_add(&parts[0], KEEL_CAP_PARTITION, 3, FIRST + 1), 2);
	for (uintptr_t i = 0; i < NREADERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, cpu, (void *)i), 0);
	for (unsigned int i = 0; i < ROUNDS && !atomic_load(&wrong); i++) {
		unsigned int which = i & 1, until = atomic_load(&found) + 2;

		atomic_store(&there[which], true);
		assert_int_equal(cap_grant(&parts[0], 1 + which, &parts[1], 1 + which), 1);
		while (atomic_load(&found) < until)
			sched_yield();
		assert_int_equal(cap_void(&parts[0], 1 + which, false), 0);
		while (!all_answered(atomic_load(&asked)))
			sched_yield();
		atomic_store(&there[which], false);
	}
	atomic_store(&over, true);
	for (unsigned int i = 0; i < NREADERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&wrong), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_revoked_is_in_use),
	};

	return cmocka_run_group_tests_name("cap_threads", tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * Property: with CPUs that are threads, hence at any interleaving there is time for, no wake-up is lost and no vCPU is
 * on two CPUs.
 * Failure looks like: an abort of vcpu_load() or vcpu_save(), or a test that does not end.
 */
#include "sched_cpus.h"

#define ROUNDS	20000

static unsigned int rounds[NVCPUS], nleft;

/* A vCPU runs: it wakes its partner, and blocks until that wakes it. */
static void run(struct vcpu *v)
{
	struct vcpu *other = &vcpus[v->id ^ 1];

	if (!__atomic_exchange_n(&waits[v->id], false, __ATOMIC_SEQ_CST)) {
		sched_block(v);
		return;
	}
	if (rounds[v->id]++ % 7 == 0)
		sched_yield(v, &vcpus[(v->id + 2) % NVCPUS]);
	__atomic_store_n(&waits[other->id], true, __ATOMIC_SEQ_CST);
	sched_wake(other);
	if (rounds[v->id] == ROUNDS && !__atomic_sub_fetch(&nleft, 1, __ATOMIC_SEQ_CST))
		__atomic_store_n(&over, true, __ATOMIC_SEQ_CST);
}

static void *cpu_thread(void *arg)
{
	here = arg;
	cpu_work_here(WORK_RESCHED);
	while (!__atomic_load_n(&over, __ATOMIC_SEQ_CST))
		run(&vcpus[sched_exit()]);
	return NULL;
}

/* A lost wake-up ends the game of a pair, and so the test never. */
static void no_wake_up_is_lost_between_cpus(void **state)
{
	pthread_t t[NCPUS];

	(void)state;
	threads = true;
	nleft = NVCPUS;
	memset(rounds, 0, sizeof(rounds));
	for (unsigned int i = 0; i < NVCPUS; i++) {
		add(i, i % NCPUS, i < 2, 5);
		waits[i] = !(i & 1);
		sched_begin(&vcpus[i]);
	}
	for (unsigned int i = 0; i < NCPUS; i++)
		pthread_create(&t[i], NULL, cpu_thread, cpus[i]);
	for (unsigned int i = 0; i < NCPUS; i++)
		pthread_join(t[i], NULL);
	for (unsigned int i = 0; i < NVCPUS; i++)
		assert_true(rounds[i] >= ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_wake_up_is_lost_between_cpus, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

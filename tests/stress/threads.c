// SPDX-License-Identifier: MIT
/*
 * threads - threads of one process with mutexes, condition variables, barriers and plain futexes:
 * no increment is lost, nobody enters a section twice, no wake-up gets lost, 2,000 threads start and
 * end with their own thread-local data, and one thread's munmap is seen by the others. Failure: a
 * wrong count, or a hang.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/syscall.h>

#include "stress.h"

#define THREADS		8
#define INCREMENTS	20000
#define PHASES		300
#define ITEMS		20000
#define SHORT_LIVES	2000
#define PING_PONGS	10000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static uint64_t counter, inside;

static void run_threads(void *(*fn)(void *))
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		NEED(pthread_create(&threads[i], NULL, fn, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
}

static void *increment(void *arg)
{
	for (int i = 0; i < INCREMENTS; i++) {
		pthread_mutex_lock(&lock);
		inside++;
		CHECK(*(volatile uint64_t *)&inside == 1);
		counter++;
		if (i % 1000 == 0)
			sched_yield();
		inside--;
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

static uint64_t phase_of[THREADS];

static void *phases(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	for (uint64_t p = 1; p <= PHASES; p++) {
		__atomic_store_n(&phase_of[me], p, __ATOMIC_RELAXED);
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < THREADS; i++)
			CHECK(__atomic_load_n(&phase_of[i], __ATOMIC_RELAXED) == p);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

/* A queue of four places: half of the threads produce, half consume. */
static uint64_t queue[4], nqueue, produced, consumed, sum_in, sum_out;

static void *produce_or_consume(void *arg)
{
	int producer = (uintptr_t)arg % 2 == 0;

	for (int i = 0; i < ITEMS / (THREADS / 2); i++) {
		pthread_mutex_lock(&lock);
		if (producer) {
			while (nqueue == 4)
				pthread_cond_wait(&not_full, &lock);
			queue[nqueue++] = ++produced;
			sum_in += produced;
			pthread_cond_signal(&not_empty);
		} else {
			while (nqueue == 0)
				pthread_cond_wait(&not_empty, &lock);
			sum_out += queue[--nqueue];
			consumed++;
			pthread_cond_signal(&not_full);
		}
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static __thread uint64_t own = 5;

static void *short_life(void *arg)
{
	CHECK(own == 5);
	own = (uintptr_t)arg;
	sched_yield();
	CHECK(own == (uintptr_t)arg);
	return (void *)(own * 3);
}

static void many_short_lives(void)
{
	for (uintptr_t i = 0; i < SHORT_LIVES; i += 4) {
		pthread_t threads[4];
		void *result;

		for (uintptr_t k = 0; k < 4; k++)
			NEED(pthread_create(&threads[k], NULL, short_life, (void *)(i + k)) == 0);
		for (uintptr_t k = 0; k < 4; k++) {
			NEED(pthread_join(threads[k], &result) == 0);
			CHECK((uintptr_t)result == (i + k) * 3);
		}
	}
	CHECK(own == 5);
}

static uint32_t turn;

static void wait_for_turn(uint32_t mine)
{
	uint32_t now;

	while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != mine)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void *pong(void *arg)
{
	for (uint32_t i = 0; i < PING_PONGS; i++) {
		wait_for_turn(2 * i + 1);
		__atomic_store_n(&turn, 2 * i + 2, __ATOMIC_RELEASE);
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return arg;
}

static void ping_pong(void)
{
	pthread_t other;

	NEED(pthread_create(&other, NULL, pong, NULL) == 0);
	for (uint32_t i = 0; i < PING_PONGS; i++) {
		wait_for_turn(2 * i);
		__atomic_store_n(&turn, 2 * i + 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	NEED(pthread_join(other, NULL) == 0);
	CHECK(turn == 2 * PING_PONGS);
}

/*
 * One thread takes pages away from another that reads them: each read gives the present content or
 * a signal, never what was in a page after it has been unmapped.
 */
static uint64_t *victim;
static uint64_t generation;	/* odd while the page must not be there */
static int stop_reader;
static __thread sigjmp_buf back;

static void refused(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	siglongjmp(back, 1);
}

static void *reader(void *arg)
{
	while (!__atomic_load_n(&stop_reader, __ATOMIC_ACQUIRE)) {
		volatile uint64_t before = __atomic_load_n(&generation, __ATOMIC_SEQ_CST);
		uint64_t value, after;

		if (sigsetjmp(back, 0))
			continue;
		value = __atomic_load_n(victim, __ATOMIC_SEQ_CST);
		after = __atomic_load_n(&generation, __ATOMIC_SEQ_CST);
		if (before == after) {
			CHECK(!(after & 1));
			CHECK(value == after || value == 0);
		}
	}
	return arg;
}

static void unmap_is_seen_by_all(void)
{
	pthread_t other;

	stress_handle(SIGSEGV, refused, SA_NODEFER);
	victim = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(victim != MAP_FAILED);
	NEED(pthread_create(&other, NULL, reader, NULL) == 0);
	for (uint64_t i = 0; i < 1000; i++) {
		NEED(munmap(victim, PAGE) == 0);
		__atomic_store_n(&generation, 2 * i + 1, __ATOMIC_SEQ_CST);
		if (i % 8 == 0)
			sched_yield();
		__atomic_store_n(&generation, 2 * i + 2, __ATOMIC_SEQ_CST);
		NEED(mmap(victim, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == victim);
		__atomic_store_n(victim, 2 * i + 2, __ATOMIC_SEQ_CST);
		if (i % 8 == 1)
			sched_yield();
	}
	__atomic_store_n(&stop_reader, 1, __ATOMIC_RELEASE);
	NEED(pthread_join(other, NULL) == 0);
}

int main(void)
{
	NEED(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	run_threads(increment);
	CHECK(counter == (uint64_t)THREADS * INCREMENTS);
	run_threads(phases);
	run_threads(produce_or_consume);
	CHECK(produced == ITEMS && consumed == ITEMS && sum_in == sum_out);
	many_short_lives();
	ping_pong();
	unmap_is_seen_by_all();
	return stress_end("threads");
}

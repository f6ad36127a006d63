// SPDX-License-Identifier: MIT
/*
 * smp_wakeups - threads on different CPUs wake each other: a futex between each two CPUs, a token
 * that goes round all of them by mutex and condition variable, bytes with a sum through a pipe
 * between each two, and queued signals for a thread that spins and for one that sleeps. Nobody
 * moves: each wake-up crosses to another CPU. Failure: a wrong count or sum, or a hang.
 */
#include <linux/futex.h>
#include <sys/syscall.h>

#include "smp.h"

#define PASSES		3000u
#define ROUNDS		1500u
#define PIPE_BYTES	(512u << 10)
#define SIGNALS		300

static int first, second;	/* the two CPUs, where there are two */

static void on_two_cpus(void *(*one)(void *), void *(*other)(void *), void *arg)
{
	pthread_t threads[2];

	NEED(pthread_create(&threads[0], NULL, one, arg) == 0);
	NEED(pthread_create(&threads[1], NULL, other, arg) == 0);
	for (int i = 0; i < 2; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
}

static uint32_t turn;

static void play(uint32_t mine)
{
	for (uint32_t i = 0; i < PASSES; i++) {
		uint32_t now;

		while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != 2 * i + mine)
			syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
		__atomic_store_n(&turn, 2 * i + mine + 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void *ping(void *arg)
{
	smp_run_on(first);
	play(0);
	return arg;
}

static void *pong(void *arg)
{
	smp_run_on(second);
	play(1);
	return arg;
}

/* ---- A token round all CPUs ------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static uint64_t token, plain;		/* plain: what the token says, kept without atomics */

static void *pass_token(void *arg)
{
	uint64_t me = (uintptr_t)arg, n = (uint64_t)smp_cpus;

	for (uint64_t round = 0; round < ROUNDS; round++) {
		pthread_mutex_lock(&lock);
		while (token != round * n + me)
			pthread_cond_wait(&moved, &lock);
		CHECK(plain == token);
		plain = ++token;
		pthread_cond_broadcast(&moved);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

/* ---- Pipes ------------------------------------------------------------------------------------------ */

static int channel[2];
static uint64_t sums[2];

static void *write_bytes(void *arg)
{
	static uint8_t piece[9000];
	uint64_t seed = 11, sum = STRESS_HASH;

	smp_run_on(first);
	for (size_t left = PIPE_BYTES; left;) {
		size_t n = 1 + stress_random(&seed) % sizeof(piece);

		n = n < left ? n : left;
		for (size_t i = 0; i < n; i++)
			piece[i] = (uint8_t)(stress_random(&seed) >> 30);
		sum = stress_hash(sum, piece, n);
		NEED(write(channel[1], piece, n) == (ssize_t)n);
		left -= n;
	}
	close(channel[1]);
	sums[0] = sum;
	return arg;
}

static void *read_bytes(void *arg)
{
	static uint8_t piece[7000];
	uint64_t seed = 12, sum = STRESS_HASH;
	ssize_t n;

	smp_run_on(second);
	while ((n = read(channel[0], piece, 1 + stress_random(&seed) % sizeof(piece))) > 0)
		sum = stress_hash(sum, piece, (size_t)n);
	CHECK(n == 0);
	close(channel[0]);
	sums[1] = sum;
	return arg;
}

/* ---- Signals ---------------------------------------------------------------------------------------- */

static int handled, target_ready;
static pthread_t target;

static void note(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	CHECK(info->si_value.sival_int == __atomic_load_n(&handled, __ATOMIC_RELAXED));
	CHECK(sched_getcpu() == second);
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELEASE);
}

static void send_signals(void)
{
	smp_run_on(first);
	while (!__atomic_load_n(&target_ready, __ATOMIC_ACQUIRE))
		sched_yield();
	for (int i = 0; i < SIGNALS; i++) {
		int error;

		while ((error = pthread_sigqueue(target, SIGRTMIN, (union sigval){ .sival_int = i })) == EAGAIN)
			sched_yield();
		NEED(error == 0);
		if (i % 3 == 0)			/* one at a time, and several at once */
			while (__atomic_load_n(&handled, __ATOMIC_ACQUIRE) <= i)
				;
	}
}

/* Makes no calls: only an interrupt from the other CPU brings it into the kernel. */
static void *spin(void *arg)
{
	smp_run_on(second);
	target = pthread_self();
	__atomic_store_n(&target_ready, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&handled, __ATOMIC_ACQUIRE) < SIGNALS)
		;
	return arg;
}

static void *sleep_interrupted(void *arg)
{
	sigset_t set, old;

	smp_run_on(second);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	NEED(pthread_sigmask(SIG_BLOCK, &set, &old) == 0);
	target = pthread_self();
	__atomic_store_n(&target_ready, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&handled, __ATOMIC_ACQUIRE) < SIGNALS)
		sigsuspend(&old);
	NEED(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
	return arg;
}

static void signals_reach(void *(*how)(void *))
{
	pthread_t other;

	handled = target_ready = 0;
	NEED(pthread_create(&other, NULL, how, NULL) == 0);
	send_signals();
	NEED(pthread_join(other, NULL) == 0);
	CHECK(handled == SIGNALS);
}

static void between_two_cpus(void)
{
	turn = 0;
	on_two_cpus(ping, pong, NULL);
	CHECK(turn == 2 * PASSES);
	NEED(pipe(channel) == 0);
	on_two_cpus(write_bytes, read_bytes, NULL);
	CHECK(sums[0] == sums[1]);
	signals_reach(spin);
	signals_reach(sleep_interrupted);
}

int main(void)
{
	if (smp_begin() == SKIP)
		return SKIP;
	stress_handle(SIGRTMIN, note, 0);
	for (first = 0; first < smp_cpus; first++) {
		second = (first + 1) % smp_cpus;
		between_two_cpus();
	}
	smp_run_anywhere();
	smp_on_each_cpu(pass_token);
	CHECK(token == (uint64_t)smp_cpus * ROUNDS && plain == token);
	return stress_end("smp_wakeups");
}

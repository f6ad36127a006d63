// SPDX-License-Identifier: MIT
/*
 * smp_clocks - time is one for all CPUs: a clock read on one CPU after another CPU has read it never
 * says less, be it the TSC, the vDSO's clocks or the kernel's; and timers set on each CPU in any
 * order all fire there, once, not early, in the order of their times. Failure: a clock that goes
 * back, a timer missing, doubled, early or out of order, or a hang.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "smp.h"

#define TURNS		300u
#define READINGS	20000u
#define TIMERS		40u
#define ROUNDS		20

static int64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) :: "memory");
	return (int64_t)high << 32 | low;
}

static int64_t in_ns(const struct timespec *t)
{
	return t->tv_sec * 1000000000ll + t->tv_nsec;
}

static int64_t by_vdso(void)
{
	return smp_now();
}

static int64_t by_vdso_raw(void)
{
	struct timespec t;

	NEED(clock_gettime(CLOCK_MONOTONIC_RAW, &t) == 0);
	return in_ns(&t);
}

static int64_t by_kernel(void)
{
	struct timespec t;

	NEED(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t) == 0);
	return in_ns(&t);
}

static int64_t (*const clocks[])(void) = { tsc, by_vdso, by_vdso_raw, by_kernel };
static int64_t (*clock_now)(void);
static int64_t last;
static uint32_t turn;

/* Whatever anybody has read before I begin is not later than what I read then. */
static void read_one(void)
{
	int64_t seen = __atomic_load_n(&last, __ATOMIC_ACQUIRE), now = clock_now();

	CHECK(now >= seen);
	while (seen < now && !__atomic_compare_exchange_n(&last, &seen, now, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
}

/* In turns, so that each reading follows one of the CPU before; then all at once. */
static void *read_clock(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg, n = (uint32_t)smp_cpus;

	for (uint32_t i = 0; i < TURNS; i++) {
		uint32_t mine = i * n + me, now;

		/* asleep, not spinning: a machine may have more CPUs than its host */
		while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != mine)
			syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
		read_one();
		__atomic_store_n(&turn, mine + 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	}
	for (unsigned int i = 0; i < READINGS; i++)
		read_one();
	return NULL;
}

/* ---- Timers ----------------------------------------------------------------------------------------- */

struct alarm {
	int fd;
	int64_t when;
};

/* -> whether all were set before the first one's time: else nothing is said about their order. */
static int set_alarms(struct alarm *alarms, int poll, int64_t lead, uint64_t *seed)
{
	int64_t base = smp_now() + lead;

	for (uint32_t i = 0; i < TIMERS; i++) {
		/* 7 and 40 have no common divisor: each distance once, in no order */
		int64_t when = base + (int64_t)(i * 7 % TIMERS) * 50000 + (int64_t)(stress_random(seed) % 40000);
		struct itimerspec t = { .it_value = { when / 1000000000, when % 1000000000 } };
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		alarms[i] = (struct alarm){ timerfd_create(CLOCK_MONOTONIC, 0), when };
		NEED(alarms[i].fd >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, alarms[i].fd, &event) == 0);
		NEED(timerfd_settime(alarms[i].fd, TFD_TIMER_ABSTIME, &t, NULL) == 0);
	}
	return smp_now() < base;
}

static void take_one(const struct alarm *alarms, int poll, int64_t *before)
{
	struct epoll_event event;
	uint64_t times = 0;

	NEED(epoll_wait(poll, &event, 1, -1) == 1);
	const struct alarm *a = &alarms[event.data.u32];
	CHECK(read(a->fd, &times, 8) == 8 && times == 1);
	CHECK(smp_now() >= a->when);
	CHECK(a->when > *before);
	if (*before >= 0)
		*before = a->when;
	NEED(close(a->fd) == 0);
}

static void *take_alarms(void *arg)
{
	uint64_t seed = (uintptr_t)arg + 1;
	int64_t lead = 4000000;

	for (int in_order = 0; in_order < ROUNDS;) {
		struct alarm alarms[TIMERS];
		int poll = epoll_create1(0);
		int64_t before = -1;

		NEED(poll >= 0);
		if (set_alarms(alarms, poll, lead, &seed)) {
			in_order++;
			before = 0;
		} else {
			lead *= 2;
		}
		for (uint32_t i = 0; i < TIMERS; i++)
			take_one(alarms, poll, &before);
		close(poll);
	}
	return NULL;
}

int main(void)
{
	if (smp_begin() == SKIP)
		return SKIP;
	for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		clock_now = clocks[i];
		last = 0;
		turn = 0;
		smp_on_each_cpu(read_clock);
	}
	smp_on_each_cpu(take_alarms);
	return stress_end("smp_clocks");
}

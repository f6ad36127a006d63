// SPDX-License-Identifier: MIT
/*
 * timers - sleeps never end early and always end; of 500 timed waits of each kind none is forgotten;
 * periodic timers count every period; clocks read through the vDSO never go back and lie between two
 * readings by system call. No upper limit is put on delays: the harness has one watchdog for all.
 * Failure: an early end, a clock that goes back, or a hang.
 */
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

#include "stress.h"

#define NS	1000000000ll
#define WAITS	500

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	NEED(clock_gettime(clock, &t) == 0);
	return t.tv_sec * NS + t.tv_nsec;
}

static int64_t asked_ns(clockid_t clock)
{
	struct timespec t;

	NEED(syscall(SYS_clock_gettime, clock, &t) == 0);
	return t.tv_sec * NS + t.tv_nsec;
}

static struct timespec spec(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / NS, .tv_nsec = ns % NS };
}

static void sleep_relative(int64_t ns)
{
	struct timespec t = spec(ns);

	CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL) == 0);
}

static void sleep_absolute(int64_t ns)
{
	struct timespec t = spec(now_ns(CLOCK_MONOTONIC) + ns);

	CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
}

static void sleep_futex(int64_t ns)
{
	static uint32_t word;
	struct timespec t = spec(ns);

	CHECK(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0) == -1 && errno == ETIMEDOUT);
}

static void sleep_ppoll(int64_t ns)
{
	struct timespec t = spec(ns);

	CHECK(ppoll(NULL, 0, &t, NULL) == 0);
}

static void sleep_timerfd(int64_t ns)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec t = { .it_value = spec(ns) };
	uint64_t expired = 0;

	NEED(fd >= 0 && timerfd_settime(fd, 0, &t, NULL) == 0);
	CHECK(read(fd, &expired, 8) == 8 && expired == 1);
	close(fd);
}

static void sleep_signal(int64_t ns)
{
	struct itimerspec t = { .it_value = spec(ns) };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	sigset_t set;
	timer_t timer;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	NEED(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	NEED(timer_settime(timer, 0, &t, NULL) == 0);
	CHECK(sigwaitinfo(&set, &info) == SIGRTMIN && info.si_code == SI_TIMER);
	timer_delete(timer);
}

static void waits_end_and_never_early(void)
{
	static void (*const kinds[])(int64_t) = {
		sleep_relative, sleep_absolute, sleep_futex, sleep_ppoll, sleep_timerfd, sleep_signal,
	};
	static const int64_t lengths[] = { 1, 50000, 300000, 1000000, 1700000 };

	for (size_t kind = 0; kind < 6; kind++) {
		for (int i = 0; i < WAITS; i++) {
			int64_t ns = lengths[i % 5], start = now_ns(CLOCK_MONOTONIC);

			kinds[kind](ns);
			CHECK(now_ns(CLOCK_MONOTONIC) - start >= ns);
		}
	}
}

/* Wake-ups by another process, right before and after the sleeper goes to sleep. */
static void no_wakeup_is_lost(void)
{
	int there[2], back[2];
	uint64_t state = 99;
	uint8_t byte = 0;
	pid_t pid;

	NEED(pipe(there) == 0 && pipe(back) == 0);
	pid = stress_fork();
	if (pid == 0) {
		for (int i = 0; i < 4 * WAITS; i++) {
			NEED(read(there[0], &byte, 1) == 1);
			for (volatile uint64_t spin = stress_random(&state) % 2000; spin; spin--)
				;
			NEED(write(back[1], &byte, 1) == 1);
		}
		_exit(0);
	}
	for (int i = 0; i < 4 * WAITS; i++) {
		struct pollfd wait = { .fd = back[0], .events = POLLIN };

		NEED(write(there[1], &byte, 1) == 1);
		if (i % 2)
			NEED(poll(&wait, 1, -1) == 1);
		NEED(read(back[0], &byte, 1) == 1);
	}
	CHECK(stress_wait(pid) == 0);
}

static void periods_are_counted(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec t = { spec(2000000), spec(2000000) };
	int64_t start = now_ns(CLOCK_MONOTONIC);
	uint64_t total = 0, n;

	NEED(fd >= 0 && timerfd_settime(fd, 0, &t, NULL) == 0);
	while (total < 200) {
		NEED(read(fd, &n, 8) == 8);
		total += n;
		int64_t passed = now_ns(CLOCK_MONOTONIC) - start;

		CHECK((int64_t)total * 2000000 <= passed);
	}
	close(fd);
}

static void clocks_agree(void)
{
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW, CLOCK_TAI };

	for (size_t c = 0; c < 5; c++) {
		int64_t last = asked_ns(clocks[c]);

		for (int i = 0; i < 20000; i++) {
			int64_t fast = now_ns(clocks[c]);

			CHECK(fast >= last);
			last = fast;
			if (i % 4 == 0) {
				int64_t slow = asked_ns(clocks[c]);

				CHECK(slow >= last);
				last = slow;
			}
			if (i % 2000 == 0)
				sleep_relative(100000);
		}
	}
}

/* Process time passes while working, and hardly while sleeping. */
static void cpu_time_is_counted(void)
{
	int64_t before = now_ns(CLOCK_PROCESS_CPUTIME_ID), slept;

	while (now_ns(CLOCK_PROCESS_CPUTIME_ID) - before < 50000000)
		;
	before = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	sleep_relative(200000000);
	slept = now_ns(CLOCK_PROCESS_CPUTIME_ID) - before;
	CHECK(slept < 150000000);
}

static void cpu_number_is_sane(void)
{
	unsigned int cpu = 99, node = 99;

	for (int i = 0; i < 1000; i++) {
		CHECK(sched_getcpu() >= 0 && sched_getcpu() < sysconf(_SC_NPROCESSORS_CONF));
		CHECK(syscall(SYS_getcpu, &cpu, &node, NULL) == 0 && node == 0);
	}
}

int main(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	clocks_agree();
	cpu_number_is_sane();
	waits_end_and_never_early();
	periods_are_counted();
	no_wakeup_is_lost();
	cpu_time_is_counted();
	return stress_end("timers");
}

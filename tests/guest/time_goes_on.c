// SPDX-License-Identifier: MIT
/*
 * time_goes_on - clocks never go back, sleeps end in time, timers fire while a program spins, and
 * no wake-up is lost between two processes. Failure: an endless wait (the harness ends it) or a line
 * naming the clock.
 */
#include <sys/time.h>
#include <time.h>

#include "guest.h"

#define NS 1000000000ll

static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
	(void)sig;
	ticks++;
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * NS + t.tv_nsec;
}

static void clock_never_goes_back(clockid_t clock)
{
	int64_t last = now_ns(clock);

	for (int i = 0; i < 20000; i++) {
		int64_t t = now_ns(clock);

		if (t < last) {
			printf("clock %d went back by %lld ns\n", (int)clock, (long long)(last - t));
			guest_failures++;
			return;
		}
		last = t;
	}
}

static void sleeps_end(void)
{
	for (int i = 0; i < 50; i++) {
		struct timespec ms = { .tv_nsec = 1000000 };
		int64_t start = now_ns(CLOCK_MONOTONIC);
		int64_t took;

		CHECK(nanosleep(&ms, NULL) == 0);
		took = now_ns(CLOCK_MONOTONIC) - start;
		CHECK(took >= 1000000 && took < 2 * NS);	/* emulated machines are slow, not that slow */
	}
}

static void timer_interrupts_a_loop(void)
{
	struct itimerval every = { { 0, 10000 }, { 0, 10000 } }, off = { { 0, 0 }, { 0, 0 } };
	int64_t end = now_ns(CLOCK_MONOTONIC) + 20 * NS;

	signal(SIGALRM, on_tick);
	CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
	while (ticks < 20 && now_ns(CLOCK_MONOTONIC) < end)
		;
	CHECK(ticks >= 20);
	setitimer(ITIMER_REAL, &off, NULL);
}

static void no_wakeup_is_lost(void)
{
	int there[2], back[2];
	char c = 0;
	pid_t pid;

	CHECK(pipe(there) == 0 && pipe(back) == 0);
	pid = fork();
	if (pid == 0) {
		close(there[1]);
		while (read(there[0], &c, 1) == 1)
			if (write(back[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	for (int i = 0; i < 2000; i++) {
		c = (char)i;
		CHECK(write(there[1], &c, 1) == 1);
		CHECK(read(back[0], &c, 1) == 1 && c == (char)i);
	}
	close(there[1]);
	CHECK(waitpid(pid, NULL, 0) == pid);
}

int main(void)
{
	clock_never_goes_back(CLOCK_MONOTONIC);
	clock_never_goes_back(CLOCK_REALTIME);
	clock_never_goes_back(CLOCK_PROCESS_CPUTIME_ID);
	sleeps_end();
	timer_interrupts_a_loop();
	no_wakeup_is_lost();
	return guest_result();
}

// SPDX-License-Identifier: MIT
/*
 * fpu_state - SSE and AVX registers, MXCSR, the x87 stack and control word belong to their process:
 * several processes fill them with their own patterns, then yield, take page faults, signals whose
 * handler overwrites everything, and timer interrupts, and look again. A fork's child has a copy.
 * Failure: a register with another's pattern.
 */
#include <sched.h>
#include <sys/time.h>

#include "fpu.h"
#include "stress.h"

#define WORKERS	4
#define ROUNDS	1500

static volatile sig_atomic_t handled;

static void overwrite(int sig, siginfo_t *info, void *context)
{
	struct fpu_state other;

	(void)sig;
	(void)info;
	(void)context;
	fpu_make(&other, 0x1111111111111111u);
	fpu_put(&other);
	handled++;
}

#define SYS_yield	24
#define SYS_getpid_	39
#define SYS_kill_	62
#define SYS_fork_	57
#define SYS_exit_	60

/* One event between putting and getting; everything inlined, so that no register is touched else. */
static int round_keeps_state(const struct fpu_state *mine, unsigned int kind, volatile uint8_t *fresh, long pid)
{
	struct fpu_state after;
	long child = 0;

	fpu_put(mine);
	switch (kind) {
	case 0:
		raw_call0(SYS_yield);
		break;
	case 1:
		*fresh = 1;
		break;
	case 2:
		raw_call2(SYS_kill_, pid, SIGUSR1);
		break;
	case 3:
		child = raw_call0(SYS_fork_);
		if (child == 0) {
			fpu_get(&after);
			raw_call2(SYS_exit_, memcmp(&after, mine, sizeof(after)) != 0, 0);
		}
		break;
	default:
		for (uint64_t i = 0; i < 200000; i++)
			__asm__ volatile("");
	}
	fpu_get(&after);
	if (kind == 3 && (child <= 0 || stress_wait((pid_t)child) != 0))
		return 0;
	return memcmp(&after, mine, sizeof(after)) == 0;
}

static int work(unsigned int number)
{
	struct itimerval often = { { .tv_usec = 5000 }, { .tv_usec = 5000 } };
	volatile uint8_t *area = mmap(NULL, ROUNDS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct fpu_state mine;

	NEED(area != MAP_FAILED);
	stress_handle(SIGUSR1, overwrite, 0);
	stress_handle(SIGALRM, overwrite, SA_RESTART);
	NEED(setitimer(ITIMER_REAL, &often, NULL) == 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		unsigned int kind = i % 37 == 0 ? 3 : i % 3 == 2 ? 4 : i % 4 == 3 ? 2 : i % 3;

		fpu_make(&mine, number * 1000000u + i + 1);
		CHECK(round_keeps_state(&mine, kind, area + i * PAGE, getpid()));
		if (stress_failures) {
			printf("worker %u, round %u, kind %u\n", number, i, kind);
			return 1;
		}
	}
	CHECK(handled > ROUNDS / 20);
	return stress_failures != 0;
}

int main(void)
{
	pid_t pids[WORKERS];

	fpu_begin();
	for (unsigned int i = 0; i < WORKERS; i++) {
		pids[i] = stress_fork();
		if (pids[i] == 0)
			exit(work(i));
	}
	for (int i = 0; i < WORKERS; i++)
		CHECK(stress_wait(pids[i]) == 0);
	return stress_end("fpu_state");
}

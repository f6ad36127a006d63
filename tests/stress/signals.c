// SPDX-License-Identifier: MIT
/*
 * signals - handlers run, on the stack they were given, once for each signal queued, in order; a
 * program recovers from its own faults thousands of times; a blocked call ends with EINTR; alarms
 * come; kill works on a process that spins. Failure: a lost or doubled signal, a wrong stack, a hang.
 */
#include <setjmp.h>
#include <sys/time.h>
#include <time.h>

#include "stress.h"

static sigjmp_buf back;
static volatile sig_atomic_t seen, last_code;
static volatile uintptr_t handler_sp, last_address;
static uint8_t other_stack[64 << 10] __attribute__((aligned(16)));

static void recover(int sig, siginfo_t *info, void *context)
{
	uint8_t here;

	(void)context;
	seen = sig;
	last_code = info->si_code;
	last_address = (uintptr_t)info->si_addr;
	handler_sp = (uintptr_t)&here;
	siglongjmp(back, 1);
}

static void note(int sig, siginfo_t *info, void *context)
{
	uint8_t here;

	(void)sig;
	(void)info;
	(void)context;
	handler_sp = (uintptr_t)&here;
	seen++;
}

static volatile int zero;

static void fault(int kind)
{
	switch (kind) {
	case SIGSEGV:
		*(volatile int *)0x1234 = 1;
		break;
	case SIGILL:
		__asm__ volatile("ud2");
		break;
	default:
		__asm__ volatile("xorl %%edx, %%edx; movl $1, %%eax; idivl %0" : : "m"(zero) : "rax", "rdx", "cc");
	}
}

static void recovers_from_faults(void)
{
	static const int kinds[] = { SIGSEGV, SIGILL, SIGFPE };
	stack_t stack = { .ss_sp = other_stack, .ss_size = sizeof(other_stack) };

	NEED(sigaltstack(&stack, NULL) == 0);
	for (int i = 0; i < 3; i++)
		stress_handle(kinds[i], recover, SA_ONSTACK);
	for (int i = 0; i < 3000; i++) {
		seen = 0;
		if (!sigsetjmp(back, 1))
			fault(kinds[i % 3]);
		CHECK(seen == kinds[i % 3]);
		CHECK(handler_sp >= (uintptr_t)other_stack && handler_sp < (uintptr_t)other_stack + sizeof(other_stack));
		if (i % 3 == 0)
			CHECK(last_address == 0x1234 && last_code == SEGV_MAPERR);
	}
}

/* The stack itself runs out: only the alternate stack can take the signal. */
static int deeper(int n)
{
	volatile uint8_t frame[4000];

	frame[0] = (uint8_t)n;
	return n < 1 << 20 ? deeper(n + 1) + frame[0] : 0;
}

static void survives_stack_overflow(void)
{
	for (int i = 0; i < 3; i++) {
		seen = 0;
		if (!sigsetjmp(back, 1))
			zero = deeper(0) & 0;
		CHECK(seen == SIGSEGV);
	}
}

static int queued[64];
static volatile sig_atomic_t nqueued;

static void note_value(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (nqueued < 64)
		queued[nqueued] = info->si_value.sival_int;
	nqueued++;
}

static void queued_signals_keep_order(void)
{
	sigset_t set, old;

	stress_handle(SIGRTMIN, note_value, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	for (int round = 0; round < 20; round++) {
		nqueued = 0;
		sigprocmask(SIG_BLOCK, &set, &old);
		for (int i = 0; i < 64; i++)
			NEED(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i * 3 + round }) == 0);
		CHECK(nqueued == 0);
		sigprocmask(SIG_SETMASK, &old, NULL);
		CHECK(nqueued == 64);
		for (int i = 0; i < 64; i++)
			CHECK(queued[i] == i * 3 + round);
	}
}

/* A child signals us all the time; no signal may be lost between two that we wait for. */
static void signals_between_processes(void)
{
	sigset_t set;
	siginfo_t info;
	pid_t parent = getpid(), pid;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid = stress_fork();
	if (pid == 0) {
		for (int i = 0; i < 1000; i++) {
			while (sigqueue(parent, SIGRTMIN + 1, (union sigval){ .sival_int = i }) < 0)
				usleep(1000);
		}
		_exit(0);
	}
	for (int i = 0; i < 1000; i++) {
		CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 1);
		CHECK(info.si_value.sival_int == i && info.si_pid == pid);
	}
	CHECK(stress_wait(pid) == 0);
}

static void blocked_calls_are_interrupted(void)
{
	struct itimerval soon = { .it_value = { .tv_usec = 20000 } };
	int fd[2];
	uint8_t byte;

	NEED(pipe(fd) == 0);
	stress_handle(SIGALRM, note, 0);
	for (int i = 0; i < 10; i++) {
		seen = 0;
		NEED(setitimer(ITIMER_REAL, &soon, NULL) == 0);
		CHECK(read(fd[0], &byte, 1) == -1 && errno == EINTR);
		CHECK(seen == 1);
	}
	/* With SA_RESTART the call goes on, and gets what a child writes after the signal. */
	stress_handle(SIGALRM, note, SA_RESTART);
	seen = 0;
	pid_t pid = stress_fork();
	if (pid == 0) {
		usleep(100000);
		_exit(write(fd[1], "x", 1) != 1);
	}
	NEED(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	CHECK(read(fd[0], &byte, 1) == 1 && byte == 'x');
	CHECK(seen == 1);
	CHECK(stress_wait(pid) == 0);
}

/* A timer interrupts a loop that makes no calls; every register must be as it was. */
static void alarms_hit_a_spinning_program(void)
{
	struct itimerval often = { { .tv_usec = 2000 }, { .tv_usec = 2000 } }, off = { 0 };

	stress_handle(SIGALRM, note, SA_ONSTACK);
	seen = 0;
	NEED(setitimer(ITIMER_REAL, &often, NULL) == 0);
	while (seen < 100) {
		uint64_t sum = 0, check = 0;

		for (uint64_t i = 0; i < 50000; i++) {
			sum += i * i;
			check ^= i << (i & 7);
		}
		CHECK(sum == 41665416675000u);
		CHECK(check != 1);
	}
	NEED(setitimer(ITIMER_REAL, &off, NULL) == 0);
}

/* Children have default actions here: this runs before any handler is set. */
static void kill_ends_others(void)
{
	static const int signals[] = { SIGSEGV, SIGILL, SIGFPE, SIGKILL, SIGTERM, SIGBUS, SIGTRAP };

	for (size_t i = 0; i < 70; i++) {
		int sig = signals[i % 7];
		pid_t pid = stress_fork();

		if (pid == 0) {
			for (;;)
				if (i & 1)
					pause();
		}
		if (i & 2)
			usleep(500);
		CHECK(kill(pid, SIGSTOP) == 0);
		CHECK(waitpid(pid, NULL, WUNTRACED) == pid);
		CHECK(kill(pid, sig) == 0);
		CHECK(kill(pid, SIGCONT) == 0);
		CHECK(stress_wait(pid) == 1000 + sig);
	}
}

int main(void)
{
	kill_ends_others();
	recovers_from_faults();
	survives_stack_overflow();
	queued_signals_keep_order();
	signals_between_processes();
	blocked_calls_are_interrupted();
	alarms_hit_a_spinning_program();
	return stress_end("signals");
}

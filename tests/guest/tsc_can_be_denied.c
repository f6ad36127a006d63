// SPDX-License-Identifier: MIT
/*
 * tsc_can_be_denied - after prctl(PR_SET_TSC, PR_TSC_SIGSEGV) RDTSC and RDTSCP of that process are SIGSEGV, all
 * else goes on: the kernel's clock, sleeping, and other processes' RDTSC, switch after switch.
 * Failure looks like: an RDTSC that works, one of the others that does not, or a kernel without time.
 */
#include <cpuid.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "guest.h"

#define ROUNDS	500

static sigjmp_buf back;

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a" (low), "=d" (high));
	return (uint64_t)high << 32 | low;
}

static uint64_t rdtscp(void)
{
	uint32_t low, high, aux;

	__asm__ volatile("rdtscp" : "=a" (low), "=d" (high), "=c" (aux));
	return (uint64_t)high << 32 | low;
}

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(back, 1);
}

static bool faults(uint64_t (*fn)(void))
{
	if (sigsetjmp(back, 1))
		return true;
	fn();
	return false;
}

/* By the system call: the vDSO's is an RDTSC of the process. */
static int64_t now_ns(void)
{
	struct timespec t;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void denied(int in, int out, bool has_rdtscp)
{
	int64_t before = now_ns();
	char c;

	if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV))
		_exit(2);
	while (read(in, &c, 1) == 1) {
		if (!faults(rdtsc) || (has_rdtscp && !faults(rdtscp)))
			_exit(3);
		if (now_ns() <= before)
			_exit(4);
		before = now_ns();
		if (write(out, &c, 1) != 1)
			_exit(5);
	}
	usleep(20000);
	if (now_ns() - before < 20000000)
		_exit(6);
	if (prctl(PR_SET_TSC, PR_TSC_ENABLE) || faults(rdtsc))
		_exit(7);
	_exit(42);
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_fault };
	unsigned int a, b, c, d = 0;
	int to[2], from[2], status, mode = 0;
	pid_t pid;
	char byte = 0;

	__get_cpuid(0x80000001, &a, &b, &c, &d);
	sigaction(SIGSEGV, &action, NULL);
	CHECK(pipe(to) == 0 && pipe(from) == 0);
	pid = fork();
	if (pid == 0) {
		close(to[1]);
		denied(to[0], from[1], d >> 27 & 1);
	}
	close(to[0]);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(write(to[1], &byte, 1) == 1);
		CHECK(!faults(rdtsc));
		CHECK(read(from[0], &byte, 1) == 1);
		CHECK(!faults(rdtsc));
	}
	CHECK(prctl(PR_GET_TSC, &mode) == 0 && mode == PR_TSC_ENABLE);
	close(to[1]);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 42);
	return guest_result();
}

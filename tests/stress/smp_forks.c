// SPDX-License-Identifier: MIT
/*
 * smp_forks - all CPUs fork at once: on each CPU two processes start children, some of threads, which
 * move to another CPU, check the memory they inherited, change it, exec this program again or start a
 * child of their own, and end with a status that says who they are. Parents find each child once,
 * and their own memory unchanged. Failure: a wrong status, a lost or doubled child, changed memory.
 */
#include "smp.h"

#define CHILDREN	60u
#define WORDS		20000u		/* 40 pages of inherited memory */

static uint64_t words[WORDS];

static void fill(uint64_t tag)
{
	for (uint64_t i = 0; i < WORDS; i++)
		words[i] = tag * 1000003 + i;
}

static int holds(uint64_t tag)
{
	for (uint64_t i = 0; i < WORDS; i++)
		if (words[i] != tag * 1000003 + i)
			return 0;
	return 1;
}

static void *change_all(void *arg)
{
	fill((uintptr_t)arg);
	return NULL;
}

static void exec_again(int cpu, uint32_t status)
{
	char number[2][16];

	snprintf(number[0], sizeof(number[0]), "%d", cpu);
	snprintf(number[1], sizeof(number[1]), "%u", status);
	execl("/proc/self/exe", "smp_forks", number[0], number[1], (char *)NULL);
	_exit(255);
}

/* Ends with `status`, or with another one when something is wrong. */
static void child(uint64_t tag, uint32_t n, uint32_t status)
{
	int cpu = (int)(n % (uint32_t)smp_cpus);
	pthread_t thread;
	pid_t pid;

	smp_run_on(cpu);
	if (!holds(tag))
		_exit(254);
	switch (n % 4) {
	case 0:
		exec_again(cpu, status);
		break;
	case 1:
		NEED(pthread_create(&thread, NULL, change_all, (void *)(uintptr_t)(tag + 1)) == 0);
		NEED(pthread_join(thread, NULL) == 0);
		_exit(holds(tag + 1) ? (int)status : 253);
	case 2:
		pid = fork();
		if (pid == 0) {
			fill(tag + 2);
			_exit(holds(tag + 2) ? (int)status : 252);
		}
		_exit(pid > 0 ? stress_wait(pid) : 251);
	default:
		fill(tag + 3);
		_exit(holds(tag + 3) ? (int)status : 250);
	}
}

static int storm(int cpu, uint64_t tag)
{
	smp_run_on(cpu);
	fill(tag);
	for (uint32_t n = 0; n < CHILDREN && !stress_failures; n++) {
		pid_t pids[3];

		for (uint32_t i = 0; i < 3; i++) {
			pids[i] = fork();
			NEED(pids[i] >= 0);
			if (pids[i] == 0)
				child(tag, n + i, 1 + (n + i) % 100);
		}
		for (uint32_t i = 0; i < 3; i++) {
			int status = stress_wait(pids[i]);

			CHECK(status == (int)(1 + (n + i) % 100));
			if (stress_failures)
				printf("CPU %d, child %u ended with %d\n", cpu, n + i, status);
		}
		CHECK(holds(tag));
	}
	CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	return stress_failures != 0;
}

int main(int argc, char **argv)
{
	pid_t pids[2 * SMP_MAX];

	if (argc == 3)
		return sched_getcpu() == atoi(argv[1]) ? atoi(argv[2]) : 249;
	if (smp_begin() == SKIP)
		return SKIP;
	for (int i = 0; i < 2 * smp_cpus; i++) {
		pids[i] = stress_fork();
		if (pids[i] == 0)
			exit(storm(i % smp_cpus, 10 * (uint64_t)i + 10));
	}
	for (int i = 0; i < 2 * smp_cpus; i++)
		CHECK(stress_wait(pids[i]) == 0);
	return stress_end("smp_forks");
}

// SPDX-License-Identifier: MIT
/*
 * ops_process.c - processes, threads, what wakes them and what interrupts them.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "linux_bench.h"

void op_fork_exit(unsigned int n)
{
	begin();
	while (n--) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		wait_for(pid);
	}
	end();
}

void op_fork_exec(unsigned int n)
{
	begin();
	while (n--) {
		pid_t pid = fork();

		if (pid == 0) {
			execl(NOTHING, NOTHING, (char *)NULL);
			_exit(1);
		}
		wait_for(pid);
	}
	end();
}

static void *no_work(void *arg)
{
	return arg;
}

void op_thread(unsigned int n)
{
	begin();
	while (n--) {
		pthread_t thread;

		must(pthread_create(&thread, NULL, no_work, NULL) == 0, "pthread_create");
		pthread_join(thread, NULL);
	}
	end();
}

/* Two processes wake each other through a shared word: an operation is one switch. */
static void pass_turn(uint32_t *turn, uint32_t mine)
{
	__atomic_store_n(turn, !mine, __ATOMIC_RELEASE);
	syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void await_turn(uint32_t *turn, uint32_t mine)
{
	while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) != mine)
		syscall(SYS_futex, turn, FUTEX_WAIT, !mine, NULL, NULL, 0);
}

void op_ctx_switch(unsigned int n)
{
	uint32_t *turn = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	must(turn != MAP_FAILED, "mmap");
	pid = fork();
	if (pid == 0) {
		for (unsigned int i = 0; i <= n / 2; i++) {
			await_turn(turn, 1);
			pass_turn(turn, 1);
		}
		_exit(0);
	}
	pass_turn(turn, 0);		/* the child is there when this comes back */
	await_turn(turn, 0);
	begin();
	for (unsigned int i = 0; i < n / 2; i++) {
		pass_turn(turn, 0);
		await_turn(turn, 0);
	}
	end();
	wait_for(pid);
	munmap(turn, PAGE);
}

static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
	(void)sig;
	signals++;
}

/* To oneself, with a handler. */
void op_signal(unsigned int n)
{
	struct sigaction action = { .sa_handler = count_signal }, old;
	pid_t self = getpid();

	must(sigaction(SIGUSR1, &action, &old) == 0, "sigaction");
	begin();
	while (n--)
		kill(self, SIGUSR1);
	end();
	sigaction(SIGUSR1, &old, NULL);
}

/* Of one nanosecond: what arming a timer, idling and waking cost. The clock runs on while idle. */
void op_nanosleep(unsigned int n)
{
	struct timespec shortest = { 0, 1 };

	must(prctl(PR_SET_TIMERSLACK, 1) == 0, "PR_SET_TIMERSLACK");
	begin();
	while (n--)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &shortest, NULL);
	end();
}

// SPDX-License-Identifier: MIT
/*
 * segment_bases - FS and GS bases of a thread are its own: set by arch_prctl or by WRFSBASE and
 * WRGSBASE, they stay across switches between threads and processes, signals, faults, fork and
 * exec's fresh start; a refused value is refused. Failure: a base of another thread, or zero.
 */
#include <asm/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "stress.h"

#define THREADS		4
#define ROUNDS		4000
#define HWCAP2_BASES	2	/* HWCAP2_FSGSBASE */

static int has_instructions;
static volatile sig_atomic_t ticks;

static uint64_t read_gs(void)
{
	uint64_t base = 0;

	if (has_instructions)
		__asm__ volatile("rdgsbase %0" : "=r"(base));
	else
		syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	return base;
}

static void write_gs(uint64_t base)
{
	if (has_instructions && (base % 0x2000 || base >> 47))
		__asm__ volatile("wrgsbase %0" :: "r"(base) : "memory");
	else
		CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, base) == 0);
}

static uint64_t asked_gs(void)
{
	uint64_t base = 0;

	CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
	return base;
}

/* The handler has the interrupted thread's GS base, and changes it for a moment. */
static void tick(int sig, siginfo_t *info, void *context)
{
	uint64_t base = read_gs();

	(void)sig;
	(void)info;
	(void)context;
	write_gs(0x777000);
	if (read_gs() != 0x777000)
		stress_failures++;
	write_gs(base);
	ticks++;
}

static __thread uint64_t tls_word;

static void *work(void *arg)
{
	uint64_t number = (uintptr_t)arg, *words;
	uint64_t fs, thread_fs = 0;

	words = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(words != MAP_FAILED);
	words[3] = number * 1000003;
	CHECK(syscall(SYS_arch_prctl, ARCH_GET_FS, &thread_fs) == 0);
	for (uint64_t i = 0; i < ROUNDS && !stress_failures; i++) {
		uint64_t value, base = i % 3 ? (uintptr_t)words : (number + 1) << 32 | i << 12;

		tls_word = number ^ i;
		write_gs(base);
		switch (i % 4) {
		case 0:
			sched_yield();
			break;
		case 1:
			madvise(words + 512, 0, MADV_DONTNEED);
			raise(SIGUSR1);
			break;
		default:
			for (int spin = 0; spin < 2000; spin++)
				__asm__ volatile("");
		}
		CHECK(read_gs() == base);
		CHECK(asked_gs() == base);
		if (i % 3) {
			__asm__ volatile("movq %%gs:24, %0" : "=r"(value));
			CHECK(value == number * 1000003);
		}
		CHECK(tls_word == (number ^ i));
		if (has_instructions)
			__asm__ volatile("rdfsbase %0" : "=r"(fs));
		else
			syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
		CHECK(fs == thread_fs);
	}
	return NULL;
}

static void refuses_bad_bases(void)
{
	uint64_t before = asked_gs();

	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x0000800000000000u) == -1 && errno == EPERM);
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0xffff888000000000u) == -1 && errno == EPERM);
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_FS, 0xffffffffffe30000u) == -1 && errno == EPERM);
	CHECK(asked_gs() == before);
}

/* With WRGSBASE ring 3 may load any canonical base; the kernel must not be confused by one of its own. */
static void takes_kernel_like_bases(void)
{
	static const uint64_t bases[] = { 0xffff888000000000u, 0xffffffff82000000u, 0xffffffffffe30000u, UINT64_MAX };

	if (!has_instructions)
		return;
	for (int i = 0; i < 4000; i++) {
		uint64_t base = bases[i % 4];
		uint8_t *fresh = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		NEED(fresh != MAP_FAILED);
		__asm__ volatile("wrgsbase %0" :: "r"(base) : "memory");
		*(volatile uint8_t *)fresh = 1;		/* a fault */
		sched_yield();
		if (i % 64 == 0)
			raise(SIGUSR1);
		CHECK(read_gs() == base);
		munmap(fresh, PAGE);
	}
	write_gs(0);
}

static void child_inherits(void)
{
	pid_t pid;

	write_gs(0x123456789000);
	pid = stress_fork();
	if (pid == 0)
		_exit(read_gs() != 0x123456789000);
	CHECK(stress_wait(pid) == 0);
	CHECK(read_gs() == 0x123456789000);
	pid = stress_fork();
	if (pid == 0) {
		execl("/proc/self/exe", "segment_bases", "fresh", (char *)NULL);
		_exit(2);
	}
	CHECK(stress_wait(pid) == 0);
	write_gs(0);
}

/* Selectors: GS = 0 and GS = the user data segment, which set the base to 0. */
static void selectors_clear_the_base(void)
{
	for (uint16_t selector = 0; selector < 4; selector++) {
		for (int i = 0; i < 50; i++) {
			uint16_t now;

			write_gs(0x5000);
			__asm__ volatile("mov %0, %%gs" :: "r"((uint32_t)(i % 2 ? 0x2b : selector)));
			sched_yield();
			__asm__ volatile("mov %%gs, %0" : "=r"(now));
			CHECK(now == (i % 2 ? 0x2b : selector));
			__asm__ volatile("mov %0, %%gs" :: "r"(0));
		}
	}
	write_gs(0);
}

int main(int argc, char **argv)
{
	struct itimerval often = { { .tv_usec = 3000 }, { .tv_usec = 3000 } }, off = { 0 };
	pthread_t threads[THREADS];
	pid_t other;

	(void)argv;
	has_instructions = (getauxval(AT_HWCAP2) & HWCAP2_BASES) != 0;
	if (argc == 2)
		return asked_gs() != 0;
	printf("%s RDGSBASE\n", has_instructions ? "with" : "without");
	stress_handle(SIGALRM, tick, SA_RESTART);
	stress_handle(SIGUSR1, tick, SA_RESTART);
	NEED(setitimer(ITIMER_REAL, &often, NULL) == 0);
	other = stress_fork();			/* two processes of THREADS threads */
	for (uintptr_t i = 0; i < THREADS; i++)
		NEED(pthread_create(&threads[i], NULL, work, (void *)(i + (other ? 1 : 10))) == 0);
	for (int i = 0; i < THREADS; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
	if (other == 0)
		exit(stress_failures != 0);
	CHECK(stress_wait(other) == 0);
	CHECK(ticks > 0);
	NEED(setitimer(ITIMER_REAL, &off, NULL) == 0);
	refuses_bad_bases();
	takes_kernel_like_bases();
	child_inherits();
	selectors_clear_the_base();
	return stress_end("segment_bases");
}

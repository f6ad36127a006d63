// SPDX-License-Identifier: MIT
/*
 * ops_smp.c - operations of two CPUs. Whoever waits for the other CPU says PAUSE: with -icount QEMU runs one
 * CPU at a time and goes on to the next one there, so that waiting costs nearly no instructions. When an operation is
 * over it is made sure that it was one of two CPUs.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "linux_bench.h"

#define LAST	1		/* the other CPU */

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

static void wait_until(volatile int *word, int value)
{
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
		__asm__ volatile("pause");
}

static void set(volatile int *word, int value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static int this_cpu(void)
{
	unsigned int cpu;

	must(syscall(SYS_getcpu, &cpu, NULL, NULL) == 0, "getcpu");
	return (int)cpu;
}

static void was_apart(int other)
{
	if (other == this_cpu()) {
		errno = EXDEV;
		must(0, "both were on one CPU");
	}
}

/* ---- Threads that fault ------------------------------------------------------------------------------ */

static volatile uint8_t *area;
static unsigned long area_pages;
static volatile int ready, go, done, other_cpu;

static void touch_half(unsigned long half)
{
	for (unsigned long i = 0; i < area_pages / 2; i++)
		area[(half * (area_pages / 2) + i) * PAGE] = 1;
}

static void *touch_on_other(void *arg)
{
	run_on(LAST);
	set(&ready, 1);
	wait_until(&go, 1);
	touch_half(1);
	other_cpu = this_cpu();
	set(&done, 1);
	return arg;
}

/* Two threads, each its half of one mapping: an operation is one page. */
static void fault_on_both(unsigned int n, int advice)
{
	pthread_t other;

	ready = go = done = 0;
	area_pages = n;
	area = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(area != MAP_FAILED, "mmap");
	must(advice < 0 || madvise((void *)area, n * PAGE, advice) == 0, "madvise");
	run_on(0);
	must(pthread_create(&other, NULL, touch_on_other, NULL) == 0, "pthread_create");
	wait_until(&ready, 1);
	begin();
	set(&go, 1);
	touch_half(0);
	wait_until(&done, 1);
	end();
	pthread_join(other, NULL);
	was_apart(other_cpu);
	munmap((void *)area, n * PAGE);
}

static void op_faults(unsigned int n)
{
	fault_on_both(n, -1);
}

static void op_faults_4k(unsigned int n)
{
	fault_on_both(n, MADV_NOHUGEPAGE);
}

/* ---- Shoot-downs -------------------------------------------------------------------------------------- */

static void *use_page(void *arg)
{
	volatile uint8_t sum = 0;

	run_on(LAST);
	set(&ready, 1);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE)) {
		sum = (uint8_t)(sum + *area);
		__asm__ volatile("pause");
	}
	other_cpu = this_cpu();
	return arg;
}

static void change_page(unsigned int n)
{
	begin();
	for (unsigned int i = 0; i < n / 2; i++) {
		must(mprotect((void *)area, PAGE, PROT_READ) == 0, "mprotect");
		must(mprotect((void *)area, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
		*area = 1;
	}
	end();
}

/*
 * As `mprotect` of linux_bench, with a thread on the other CPU that reads the page all the time, and without it.
 * Every second one, that takes a right away, is a shoot-down.
 */
static void op_mprotect_shared(unsigned int n)
{
	pthread_t other;

	ready = done = 0;
	area = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(area != MAP_FAILED, "mmap");
	*area = 1;
	run_on(0);
	must(pthread_create(&other, NULL, use_page, NULL) == 0, "pthread_create");
	wait_until(&ready, 1);
	change_page(n);
	set(&done, 1);
	pthread_join(other, NULL);
	was_apart(other_cpu);
	munmap((void *)area, PAGE);
}

static void op_mprotect_alone(unsigned int n)
{
	area = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(area != MAP_FAILED, "mmap");
	*area = 1;
	run_on(0);
	change_page(n);
	munmap((void *)area, PAGE);
}

/* How many calls by interrupt the other CPU has had: the second number of /proc/interrupts' line. */
static unsigned long calls_there(void)
{
	FILE *f = fopen("/proc/interrupts", "r");
	unsigned long n = 0;
	char line[256];

	must(f != NULL, "/proc/interrupts");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " CAL: %*u %lu", &n) == 1)
			break;
	fclose(f);
	return n;
}

/* An interrupt on the other CPU, and the wait until it has come: membarrier sends it. */
static void op_ipi(unsigned int n)
{
	unsigned long calls, rounds = n;
	pthread_t other;

	ready = done = 0;
	area = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(area != MAP_FAILED, "mmap");
	must(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0, "membarrier");
	run_on(0);
	must(pthread_create(&other, NULL, use_page, NULL) == 0, "pthread_create");
	wait_until(&ready, 1);
	calls = calls_there();
	begin();
	while (n--)
		must(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0, "membarrier");
	end();
	must(calls_there() - calls >= rounds, "interrupts there");
	set(&done, 1);
	pthread_join(other, NULL);
	was_apart(other_cpu);
	munmap((void *)area, PAGE);
}

/* ---- Processes on two CPUs ------------------------------------------------------------------------------ */

/* A round trip between processes on different CPUs, both of which sleep while they wait. */
static void op_pipe_cross(unsigned int n)
{
	int there[2], back[2];
	int status;
	char c = 0;
	pid_t pid;

	must(pipe(there) == 0 && pipe(back) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		run_on(LAST);
		close(there[1]);
		while (read(there[0], &c, 1) == 1)
			must(write(back[1], &c, 1) == 1, "write");
		_exit(this_cpu());
	}
	run_on(0);
	must(write(there[1], &c, 1) == 1 && read(back[0], &c, 1) == 1, "first round trip");
	begin();
	while (n--) {
		must(write(there[1], &c, 1) == 1, "write");
		must(read(back[0], &c, 1) == 1, "read");
	}
	end();
	for (int i = 0; i < 2; i++) {
		close(there[1 - i]);
		close(back[i]);
	}
	must(waitpid(pid, &status, 0) == pid && WIFEXITED(status), "waitpid");
	was_apart(WEXITSTATUS(status));
}

/* To the other CPU or back. */
static void op_migrate(unsigned int n)
{
	begin();
	for (unsigned int i = 0; i < n; i++)
		run_on(i % 2 ? 0 : LAST);
	end();
	for (unsigned int i = 0; i < 4; i++) {
		int before = this_cpu();

		run_on(i % 2 ? 0 : LAST);
		if (i)
			was_apart(before);
	}
}

/* Of a build: a shell that starts a few programs, which read, compress, hash and sort, and writes a file. */
#define UNIT "head -c 30000 /bin/busybox | gzip -c | sha1sum >/tmp/job.$0; sort /init | uniq -c | head -n 5 >>/tmp/job.$0"

static pid_t start_unit(unsigned int number)
{
	pid_t pid = fork();
	char name[16];

	if (pid == 0) {
		snprintf(name, sizeof(name), "%u", number % 4);
		execl("/bin/sh", "sh", "-c", UNIT, name, (char *)NULL);
		_exit(1);
	}
	must(pid > 0, "fork");
	return pid;
}

/* As `make -j2`: two at a time, on any CPU. */
static void op_job(unsigned int n)
{
	unsigned int running = 0;
	cpu_set_t all;
	int status;

	CPU_ZERO(&all);
	CPU_SET(0, &all);
	CPU_SET(LAST, &all);
	must(sched_setaffinity(0, sizeof(all), &all) == 0, "sched_setaffinity");
	begin();
	for (unsigned int i = 0; i < n; i++) {
		if (running == 2) {
			must(wait(&status) > 0 && status == 0, "a unit of the job");
			running--;
		}
		start_unit(i);
		running++;
	}
	while (running--)
		must(wait(&status) > 0 && status == 0, "a unit of the job");
	end();
}

const struct bench_op bench_ops[] = {
	{ "faults", op_faults, 4000 },
	{ "faults_4k", op_faults_4k, 4000 },
	{ "mprotect_alone", op_mprotect_alone, 2000 },
	{ "mprotect_shared", op_mprotect_shared, 2000 },
	{ "ipi", op_ipi, 1000 },
	{ "pipe_cross", op_pipe_cross, 500 },
	{ "migrate", op_migrate, 500 },
	{ "job", op_job, 12 },
	{ NULL, NULL, 0 },
};

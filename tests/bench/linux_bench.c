// SPDX-License-Identifier: MIT
/*
 * linux_bench.c - what an operation of Linux costs, natively or on Keel. For each operation it prints
 *
 *   BENCH NAME OPERATIONS TSC_TICKS_PER_OPERATION NANOSECONDS_PER_OPERATION
 *   ENTRIES NAME CAUSE=NUMBER ...	metakernel entries per operation, by cause (only on Keel)
 *
 * for the best of several series, with decimals; first `BENCH-LOOP INSTRUCTIONS TSC_TICKS`, a loop of
 * known length, which says how many ticks an instruction takes (under -icount: exactly one).
 */
#include <fcntl.h>
#include <keel/ioctl.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERIES	4		/* the first one warms up */
#define PAGE	4096ul
#define NOTHING	"/bench/nothing"

struct sample {
	uint64_t tsc, ns;
	struct keel_part_stats stats;
};

static int keel_fd = -1;
static struct sample begun, ended;

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static uint64_t now_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) :: "memory");
	return (uint64_t)high << 32 | low;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_stats(struct keel_part_stats *stats)
{
	static struct keel_ioc_stats request;

	if (keel_fd < 0)
		return;
	must(ioctl(keel_fd, KEEL_IOC_PART_STATS, &request) == 0, "KEEL_IOC_PART_STATS");
	*stats = request.stats;
}

/* The counters are read outside of the timed part. */
static void begin(void)
{
	read_stats(&begun.stats);
	begun.ns = now_ns();
	begun.tsc = now_tsc();
}

static void end(void)
{
	ended.tsc = now_tsc();
	ended.ns = now_ns();
	read_stats(&ended.stats);
}

static void op_getppid(unsigned int n)
{
	begin();
	while (n--)
		syscall(SYS_getppid);
	end();
}

static void op_read_zero(unsigned int n)
{
	int fd = open("/dev/zero", O_RDONLY);
	char byte;

	must(fd >= 0, "/dev/zero");
	begin();
	while (n--)
		must(read(fd, &byte, 1) == 1, "read");
	end();
	close(fd);
}

static void touch_pages(unsigned int n, int advice)
{
	uint8_t *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	if (advice >= 0)
		must(madvise(p, n * PAGE, advice) == 0, "madvise");
	begin();
	for (unsigned int i = 0; i < n; i++)
		((volatile uint8_t *)p)[i * PAGE] = 1;
	end();
	munmap(p, n * PAGE);
}

/* As the kernel is set up: with multi-size THP one fault brings several pages. */
static void op_page_fault(unsigned int n)
{
	touch_pages(n, -1);
}

/* A fault for each page. */
static void op_page_fault_4k(unsigned int n)
{
	touch_pages(n, MADV_NOHUGEPAGE);
}

static void wait_for(pid_t pid)
{
	must(pid > 0, "fork");
	must(waitpid(pid, NULL, 0) == pid, "waitpid");
}

static void op_fork_exit(unsigned int n)
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

static void op_fork_exec(unsigned int n)
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

static void op_ctx_switch(unsigned int n)
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

/* An operation is there and back: two switches. */
static void op_pipe_rt(unsigned int n)
{
	int there[2], back[2];
	char c = 0;
	pid_t pid;

	must(pipe(there) == 0 && pipe(back) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		close(there[1]);
		while (read(there[0], &c, 1) == 1)
			must(write(back[1], &c, 1) == 1, "write");
		_exit(0);
	}
	must(write(there[1], &c, 1) == 1 && read(back[0], &c, 1) == 1, "pipe");
	begin();
	while (n--) {
		must(write(there[1], &c, 1) == 1, "write");
		must(read(back[0], &c, 1) == 1, "read");
	}
	end();
	close(there[1]);
	close(there[0]);
	close(back[0]);
	close(back[1]);
	wait_for(pid);
}

static const struct {
	const char *name;
	void (*run)(unsigned int n);
	unsigned int n;
} ops[] = {
	{ "getppid", op_getppid, 5000 },
	{ "read_zero", op_read_zero, 5000 },
	{ "page_fault", op_page_fault, 2000 },
	{ "page_fault_4k", op_page_fault_4k, 2000 },
	{ "fork_exit", op_fork_exit, 100 },
	{ "fork_exec", op_fork_exec, 100 },
	{ "ctx_switch", op_ctx_switch, 2000 },
	{ "pipe_rt", op_pipe_rt, 1000 },
};

static void print_entries(const char *name, const struct sample *from, const struct sample *to, unsigned int n)
{
	static const char *const causes[KEEL_STAT_NR] = KEEL_STAT_NAMES;

	printf("ENTRIES %s", name);
	for (int i = 0; i < KEEL_STAT_NR; i++) {
		uint64_t count = to->stats.count[i] - from->stats.count[i];

		if (count)
			printf(" %s=%.3f", causes[i] ? causes[i] : "other", (double)count / n);
	}
	printf("\n");
}

static void known_loop(void)
{
	uint64_t rounds = 1000000, start = now_tsc(), ticks;

	__asm__ volatile("1: decq %0; jnz 1b" : "+r"(rounds) :: "cc");
	ticks = now_tsc() - start;
	printf("BENCH-LOOP %u %llu\n", 2000000u, (unsigned long long)ticks);
}

int main(void)
{
	keel_fd = open("/dev/keel", O_RDWR);
	known_loop();
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct sample from = { 0 }, to = { .tsc = UINT64_MAX };
		double n = ops[i].n;

		fflush(stdout);
		for (int series = 0; series < SERIES; series++) {
			ops[i].run(ops[i].n);
			if (series && ended.tsc - begun.tsc < to.tsc - from.tsc) {
				from = begun;
				to = ended;
			}
		}
		printf("BENCH %s %u %.1f %.1f\n", ops[i].name, ops[i].n, (double)(to.tsc - from.tsc) / n,
		       (double)(to.ns - from.ns) / n);
		if (keel_fd >= 0)
			print_entries(ops[i].name, &from, &to, ops[i].n);
	}
	return 0;
}

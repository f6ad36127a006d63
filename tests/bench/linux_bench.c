// SPDX-License-Identifier: MIT
/*
 * linux_bench.c - what an operation of Linux costs, natively or on Keel. For each operation (bench_ops, in
 * ops_linux.c, or ops_smp.c for those of several CPUs) it prints
 *
 *   BENCH NAME OPERATIONS TSC_TICKS_PER_OPERATION NANOSECONDS_PER_OPERATION
 *   ENTRIES NAME CAUSE=NUMBER ...	metakernel entries per operation, by cause (only on Keel)
 *
 * for the best of several series, with decimals; first `BENCH-LOOP INSTRUCTIONS TSC_TICKS`, a loop of
 * known length, which says how many ticks an instruction takes (under -icount: exactly one).
 * Arguments name operations: only these. With -forever behind them the first one does not end: for
 * somebody who watches it from outside.
 */
#include <fcntl.h>
#include <keel/ioctl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include "linux_bench.h"

#ifndef SERIES
#define SERIES	4		/* the first one warms up */
#endif

struct sample {
	uint64_t tsc, ns;
	struct keel_part_stats stats;
};

static int keel_fd = -1;
static struct sample begun, ended;

void must(int good, const char *what)
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
void begin(void)
{
	read_stats(&begun.stats);
	begun.ns = now_ns();
	begun.tsc = now_tsc();
}

void end(void)
{
	ended.tsc = now_tsc();
	ended.ns = now_ns();
	read_stats(&ended.stats);
}

void wait_for(pid_t pid)
{
	must(pid > 0, "fork");
	must(waitpid(pid, NULL, 0) == pid, "waitpid");
}

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

/* The shortest of several: an interrupt in the only one would make all operations look cheap. */
static void known_loop(void)
{
	uint64_t best = UINT64_MAX;

	for (int series = 0; series < SERIES; series++) {
		uint64_t rounds = 1000000, start = now_tsc(), ticks;

		__asm__ volatile("1: decq %0; jnz 1b" : "+r"(rounds) :: "cc");
		ticks = now_tsc() - start;
		best = ticks < best ? ticks : best;
	}
	printf("BENCH-LOOP %u %llu\n", 2000000u, (unsigned long long)best);
}

static int asked_for(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return 1;
	return argc < 2;
}

int main(int argc, char **argv)
{
	int all = argc > 1 && strcmp(argv[argc - 1], "-forever") == 0 ? INT_MAX : SERIES;

	keel_fd = open("/dev/keel", O_RDWR);
	known_loop();
	for (const struct bench_op *op = bench_ops; op->name; op++) {
		struct sample from = { 0 }, to = { .tsc = UINT64_MAX };
		double n = op->n;

		if (!asked_for(op->name, argc, argv))
			continue;
		fflush(stdout);
		for (int series = 0; series < all; series++) {
			op->run(op->n);
			if (series && ended.tsc - begun.tsc < to.tsc - from.tsc) {
				from = begun;
				to = ended;
			}
		}
		printf("BENCH %s %u %.1f %.1f\n", op->name, op->n, (double)(to.tsc - from.tsc) / n,
		       (double)(to.ns - from.ns) / n);
		if (keel_fd >= 0)
			print_entries(op->name, &from, &to, op->n);
	}
	return 0;
}

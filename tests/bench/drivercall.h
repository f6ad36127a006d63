/* SPDX-License-Identifier: MIT */
/* drivercall.h - what the parts of the driver call bench share. */
#ifndef BENCH_DRIVERCALL_H
#define BENCH_DRIVERCALL_H

#include <stdint.h>

struct bench_op {
	const char *name;
	uint64_t (*run)(unsigned int n);	/* n operations -> TSC ticks */
	unsigned int n;
};

void bench_run(const struct bench_op *op);
/* Ends the program with a line about it, unless ok. */
void check(int ok, const char *what);

/* The calls by themselves; nothing in a Linux process. */
void bench_raw(void);

static inline uint64_t now_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) :: "memory");
	return (uint64_t)high << 32 | low;
}

#endif

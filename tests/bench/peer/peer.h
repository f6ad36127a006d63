/* SPDX-License-Identifier: MIT */
/*
 * peer.h - what the measuring partitions share. `BENCH NAME TICKS` on the console is a result, in
 * ticks of the TSC; `BENCH-LOOP INSTRUCTIONS TICKS` says what an instruction takes.
 */
#ifndef TESTS_BENCH_PEER_H
#define TESTS_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <keel/abi.h>

#define PAGE	4096UL
#define PTE_P	1UL
#define PTE_W	2UL
#define PTE_U	4UL
#define PTE_A	0x20UL
#define PTE_D	0x40UL

#define BEST_OF	16		/* the others had an interrupt in them, or filled caches */

#define vcpu_page ((volatile struct keel_vcpu_page *)KEEL_VCPU_VA)

extern const struct keel_start_info *info;

static inline long hcall(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	__asm__ volatile("int $15" : "+a"(nr) : "D"(a), "S"(b), "d"(c) : "memory");
	return nr;
}

static inline long hcall5(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;

	__asm__ volatile("int $15" : "+a"(nr) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "memory");
	return nr;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint64_t pa_of(const void *p)
{
	return info->mem_pa + ((uint64_t)p - KEEL_PEER_VA);
}

static inline uint64_t take_events(void)
{
	uint64_t events = 0;

	__asm__ volatile("xchgq %0, %1" : "+r"(events), "+m"(vcpu_page->events) : : "memory");
	return events;
}

/* lib.c */
void say(const char *text);
void say_value(const char *before, uint64_t v);
void result(const char *name, uint64_t ticks);
void known_loop(void);
_Noreturn void stop(const char *why);
void *memcpy(void *to, const void *from, size_t n);
void *room(uint64_t n);				/* pages, as they were when the partition began: zeroed */
void *pages(uint64_t n);			/* and used already */
uint64_t *leaf(uint64_t va);			/* the entry for va; tables are made as needed */
uint64_t overhead(void);			/* ticks between two rdtsc() */

uint64_t part_named(const char *name);		/* handles */
uint64_t chan_named(const char *name);

/* entries.c */
void measure_entries(void);

/* pair.c */
void measure_ring(void);
_Noreturn void be_sleeper(void);
_Noreturn void be_ringer(bool cross);

/* call.c */
_Noreturn void be_server(void);
_Noreturn void be_caller(bool cross);

/* irqs.c */
#define HC_MEASURE	0x4b45454dL	/* metakernel/lib/measure.h */
#define AREA		0x10000000000UL
void measure_irqs(void);
void irqs_begin(void);
void irqs_report(const char *name);
void make_area(void);			/* at AREA, for use_tables() */
void use_tables(unsigned int n);
void sleep_ms(uint64_t ms);
_Noreturn void be_big(void);
_Noreturn void be_deep(void);

/* irqs2.c */
void measure_irqs_2cpus(void);
_Noreturn void be_many(void);

#endif /* TESTS_BENCH_PEER_H */

// SPDX-License-Identifier: MIT
/*
 * entries.c - instructions for each kind of entry into the metakernel, from the instruction before it
 * to the one after it.
 *
 * Each is done several times in the same state, which prepare() makes before; the least counts.
 */
#include "peer.h"

#define AREA	0x10000000000UL		/* 2 MiB of user pages: their tables are used for nothing else */
#define NPAGES	512
#define WRITE	6UL			/* #PF error codes: user, and user writes */
#define READ	4UL
#define CR4_PAE		(1UL << 5)
#define CR4_PGE		(1UL << 7)
#define CR4_PCIDE	(1UL << 17)

static uint64_t *entries;		/* of the area */
static uint64_t frames_pa;

struct kind {
	const char *name;
	void (*prepare)(void);
	long call;
	uint64_t a, b, c;
};

/* Map every `step`th page of the area, of which the metakernel has nothing then. */
static void map_area(unsigned int step)
{
	for (unsigned int i = 0; i < NPAGES; i++)
		entries[i] = 0;
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, AREA, NPAGES);
	for (unsigned int i = 0; i < NPAGES; i += step)
		entries[i] = (frames_pa + i % 16 * PAGE) | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
}

/* Have `n` pages of the area in use. */
static void use_area(unsigned int n)
{
	map_area(1);
	for (unsigned int i = 0; i < n; i++)
		hcall(KEEL_HC_FILL, AREA + i * PAGE, READ, 0);
}

static void nothing(void)
{
}

/* The one used before in the same table; its neighbour is not there. */
static void before_last(void)
{
	map_area(2);
	hcall(KEEL_HC_FILL, AREA + 32 * PAGE, WRITE, 0);
}

static void before_walk(void)
{
	map_area(64);
}

static void before_around(void)
{
	map_area(1);
}

static void use_none(void)
{
	use_area(0);
}

static void use_1(void)
{
	use_area(1);
}

static void use_33(void)
{
	use_area(33);
}

static void use_512(void)
{
	use_area(512);
}

/* flush_all: with the faults that bring this code back. */
static const struct kind kinds[] = {
	{ "null_call", nothing, KEEL_HC_ABI_VERSION, 0, 0, 0 },
	{ "fill_last_table", before_last, KEEL_HC_FILL, AREA, WRITE, 0 },
	{ "fill_walk", before_walk, KEEL_HC_FILL, AREA, WRITE, 0 },
	{ "fill_walk_around_0", before_walk, KEEL_HC_FILL, AREA, READ, 0 },
	{ "fill_walk_around_15", before_around, KEEL_HC_FILL, AREA, READ, 0 },
	{ "flush_fill", use_1, KEEL_HC_FLUSH_FILL, AREA, WRITE, 0 },
	{ "flush_1", use_1, KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, AREA, 1 },
	{ "flush_33", use_33, KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, AREA, 33 },
	{ "flush_512", use_512, KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, AREA, 512 },
	{ "flush_user_1", use_1, KEEL_HC_FLUSH, KEEL_FLUSH_USER, 0, 0 },
	{ "flush_user_512", use_512, KEEL_HC_FLUSH, KEEL_FLUSH_USER, 0, 0 },
	{ "flush_all_512", use_512, KEEL_HC_FLUSH, KEEL_FLUSH_ALL, 0, 0 },
	{ "cr3_keep", use_1, KEEL_HC_LOAD_CR3, 1UL << 63, 0, 0 },
	{ "cr3_flush_0", use_none, KEEL_HC_LOAD_CR3, 0, 0, 0 },
	{ "cr3_flush_1", use_1, KEEL_HC_LOAD_CR3, 0, 0, 0 },
	{ "cr3_flush_512", use_512, KEEL_HC_LOAD_CR3, 0, 0, 0 },
	{ "timer", nothing, KEEL_HC_TIMER, 0, 0, 0 },
};

static void measure(const struct kind *k, uint64_t rdtsc_ticks)
{
	uint64_t a = k->call == KEEL_HC_LOAD_CR3 ? k->a | info->cr3_pa : k->a, best = UINT64_MAX;

	for (int i = 0; i < BEST_OF; i++) {
		uint64_t ticks;

		k->prepare();
		ticks = rdtsc();
		if (hcall(k->call, a, k->b, k->c) < 0)
			stop(k->name);
		ticks = rdtsc() - ticks - rdtsc_ticks;
		best = ticks < best ? ticks : best;
	}
	result(k->name, best);
}

/* A page of one's own that the metakernel has forgotten: #PF, and back with it. */
static void measure_own_fault(uint64_t rdtsc_ticks)
{
	volatile uint64_t *word = pages(1);
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < BEST_OF; i++) {
		uint64_t ticks;

		hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, (uint64_t)word, 1);
		ticks = rdtsc();
		(void)*word;
		ticks = rdtsc() - ticks - rdtsc_ticks;
		best = ticks < best ? ticks : best;
	}
	result("pf_fill", best);
}

/*
 * As Linux has it: a load of CR3 can keep what there is, and never touches the upper half. Only who
 * says that it takes events may write CR4; none comes.
 */
static void set_cr4(uint64_t bits)
{
	uint64_t cr4;

	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_EVENT_KERNEL, 0xffff800000000000, 0);
	__asm__ volatile("movq %%cr4, %0; orq %1, %0; movq %0, %%cr4" : "=&r"(cr4) : "r"(bits) : "memory");
}

void measure_entries(void)
{
	uint64_t rdtsc_ticks = overhead();

	entries = leaf(AREA);
	set_cr4(CR4_PAE | CR4_PGE | CR4_PCIDE);
	frames_pa = pa_of(pages(16));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		measure(&kinds[i], rdtsc_ticks);
	measure_own_fault(rdtsc_ticks);
}

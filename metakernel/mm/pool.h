/* SPDX-License-Identifier: MIT */
/*
 * pool.h - the pages that a partition's shadow tables are made of.
 *
 * A fixed quota per partition (I4), which evicts only itself. Dropping a table takes all below it along
 * and costs the same whatever there is (I5): it only leaves the tables the CPU walks. What was below
 * comes to light table by table, as pages are taken again:
 *
 *   dropped ── L3 ── L2 ── leaf tables     tables whose entries still lead to tables of their own
 *   free    ── page ── page                nothing below; cleared when it is taken, by the cache lines
 *                                          noted in shadow_page.groups
 */
#ifndef METAKERNEL_MM_POOL_H
#define METAKERNEL_MM_POOL_H

#include <hal/types.h>
#include "mm/pte.h"

/* One shadow page table page: its page in the pool, and which cache lines of it were written. */
struct shadow_page {
	uint64_t groups;	/* bit g: entries 8g..8g+7 may be non-zero */
	uint32_t next;		/* on its list, or NO_PAGE */
	uint8_t level;		/* TABLE_*; of a free page TABLE_LEAVES, whatever it was */
	uint8_t giant;		/* an L2 table with pieces of a 1 GiB guest page */
	uint16_t reserved;
};

enum { TABLE_LEAVES, TABLE_L2, TABLE_L3, TABLE_ROOT };
#define NO_PAGE UINT32_MAX

/*
 * The way to the leaf table used last, as a CPU's paging-structure cache: guest table and shadow
 * table for the 2 MiB around one address. Forgotten by every flush, CR3 load and dropped table.
 */
struct shadow_last {
	uint64_t tag;		/* va >> 21, or NO_TAG */
	uint64_t *guest, *l1;
	uint64_t upper_rights;
};
#define NO_TAG UINT64_MAX

struct shadow_pool {
	struct shadow_last last;
	uint64_t (*page)[512];
	struct shadow_page *meta;
	uint32_t npages;
	uint32_t nused;		/* neither free nor dropped; what is below dropped tables counts until they are swept */
	uint32_t free_head, dropped_head;
};

/* npages of both, zeroed. */
void pool_init(struct shadow_pool *s, void *pages, struct shadow_page *meta, uint32_t npages);
/* A page of zeroes for a table of this level, or NULL when the pool is used up. */
uint64_t *table_alloc(struct shadow_pool *s, unsigned int level);
/*
 * Give back a table and all below it; of a root, what is below its user half. No live entry may lead
 * to it any more. It stays as it is until it is taken again, which may be at once: the CPU forgets its
 * translations on the way out (flush.c).
 */
void table_drop(struct shadow_pool *s, uint64_t *table);
/* Find what is below up to n dropped tables. */
void pool_sweep(struct shadow_pool *s, unsigned int n);

static inline uint32_t page_index(const struct shadow_pool *s, const uint64_t *table)
{
	return (uint32_t)((uint64_t)((const uint64_t (*)[512])table - (const uint64_t (*)[512])s->page));
}

/* Visit the entries of a table that may be non-zero. */
#define for_each_used(s, table, i, g)							\
	for (g = (s)->meta[page_index(s, table)].groups; g; g &= g - 1)			\
		for (i = (unsigned int)__builtin_ctzl(g) * 8;				\
		     i < (unsigned int)__builtin_ctzl(g) * 8 + 8; i++)

static inline void entry_set(struct shadow_pool *s, uint64_t *table, unsigned int i, uint64_t value)
{
	table[i] = value;
	s->meta[page_index(s, table)].groups |= 1UL << (i >> 3);
}

static inline uint64_t *entry_table(uint64_t entry)
{
	return pa_to_va(entry & PTE_ADDR);
}

/* Does an entry of a table lead to a table of the pool, which goes when it goes? */
static inline bool entry_leads(unsigned int level, unsigned int i, uint64_t entry)
{
	/* a root's upper half leads to tables that all roots share */
	return (entry & (PTE_P | PTE_PS)) == PTE_P && level != TABLE_LEAVES && (level != TABLE_ROOT || i < 256);
}

#endif

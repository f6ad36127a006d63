/* SPDX-License-Identifier: MIT */
/*
 * pool.h - the pages that a partition's shadow tables are made of.
 *
 * A fixed quota per partition (I4), which evicts only itself. Free pages are all zero: a table is
 * cleared by the cache lines noted in shadow_page.groups, so a free costs what was used of it.
 */
#ifndef METAKERNEL_MM_POOL_H
#define METAKERNEL_MM_POOL_H

#include <hal/types.h>
#include "mm/pte.h"

/* One shadow page table page: its page in the pool, and which cache lines of it were written. */
struct shadow_page {
	uint64_t groups;	/* bit g: entries 8g..8g+7 may be non-zero */
	uint32_t next_free;
	uint32_t giant;		/* an L2 table with pieces of a 1 GiB guest page */
};

/*
 * The way to the leaf table used last, as a CPU's paging-structure cache: guest table and shadow
 * table for the 2 MiB around one address. Forgotten by every flush, CR3 load and freed table.
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
	uint32_t npages, nused, free_head;
};

/* `meta`: npages of them. */
void pool_init(struct shadow_pool *s, paddr_t pa, struct shadow_page *meta, uint32_t npages);
/* A page of zeroes, or NULL when the pool is used up. */
uint64_t *table_alloc(struct shadow_pool *s);
void table_free(struct shadow_pool *s, uint64_t *table);
/* A table and all below it. */
void table_free_l2(struct shadow_pool *s, uint64_t *l2);
void table_free_l3(struct shadow_pool *s, uint64_t *l3);

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

#endif

// SPDX-License-Identifier: MIT
/*
 * pool.c - shadow table pages: taking, clearing and giving back.
 *
 * Invariants: a page is in exactly one place: below a live root, on the free list, or below a table on
 *             the dropped list; no live entry leads to the latter two. Entries that are not in a
 *             page's groups are zero, also while it is free.
 * Locks:      none: a pool is one vCPU's, and touched by the CPU that has it (mm/flush.c).
 * Bounds:     table_drop() is a handful of stores; table_alloc() reads and clears one page, and sweeps
 *             one (512 entries).
 */
#include "mm/check.h"
#include "mm/pool.h"
#include "lib/string.h"

static void table_clear(uint64_t *table, struct shadow_page *m)
{
	uint64_t g;

	for (g = m->groups; g; g &= g - 1) {
		uint64_t *e = table + __builtin_ctzl(g) * 8;

		e[0] = e[1] = e[2] = e[3] = e[4] = e[5] = e[6] = e[7] = 0;
	}
	m->groups = 0;
	m->giant = 0;
}

static void list_add(struct shadow_pool *s, uint32_t *head, uint32_t i)
{
	s->meta[i].next = *head;
	*head = i;
}

void table_drop(struct shadow_pool *s, uint64_t *table)
{
	uint32_t i = page_index(s, table);

	check_holder(s);
	s->last.tag = NO_TAG;
	s->nused--;
	list_add(s, s->meta[i].level == TABLE_LEAVES ? &s->free_head : &s->dropped_head, i);
}

/* One dropped table becomes a free page, and what was below it is dropped. */
static void sweep_one(struct shadow_pool *s)
{
	uint32_t i = s->dropped_head;
	struct shadow_page *m = &s->meta[i];
	const uint64_t *table = s->page[i];
	unsigned int n;
	uint64_t g;

	s->dropped_head = m->next;
	for_each_used(s, table, n, g)
		if (entry_leads(m->level, n, table[n]))
			table_drop(s, entry_table(table[n]));
	m->level = TABLE_LEAVES;	/* its entries count for nothing now */
	list_add(s, &s->free_head, i);
}

void pool_sweep(struct shadow_pool *s, unsigned int n)
{
	for (; n && s->dropped_head != NO_PAGE; n--)
		sweep_one(s);
}

uint64_t *table_alloc(struct shadow_pool *s, unsigned int level)
{
	uint32_t i;

	check_holder(s);
	pool_sweep(s, 1);
	i = s->free_head;
	if (i == NO_PAGE)
		return NULL;
	s->free_head = s->meta[i].next;
	s->nused++;
	table_clear(s->page[i], &s->meta[i]);
	s->meta[i].level = (uint8_t)level;
	return s->page[i];
}

void pool_init(struct shadow_pool *s, void *pages, struct shadow_page *meta, uint32_t npages)
{
	uint32_t i;

	s->page = pages;
	s->meta = meta;
	s->npages = npages;
	s->nused = 0;
	for (i = 0; i < npages; i++)
		meta[i].next = i + 1 < npages ? i + 1 : NO_PAGE;
	s->free_head = 0;
	s->dropped_head = NO_PAGE;
	s->last.tag = NO_TAG;
}

// SPDX-License-Identifier: MIT
/*
 * pool.c - shadow table pages: taking, clearing and giving back.
 *
 * Invariants: a free page is all zero; nused counts those that are not free.
 */
#include "mm/pool.h"
#include "lib/string.h"

uint64_t *table_alloc(struct shadow_pool *s)
{
	uint32_t i = s->free_head;

	if (i == UINT32_MAX)
		return NULL;
	s->free_head = s->meta[i].next_free;
	s->nused++;
	return s->page[i];
}

static void table_clear(struct shadow_pool *s, uint64_t *table)
{
	struct shadow_page *m = &s->meta[page_index(s, table)];
	uint64_t g;

	for (g = m->groups; g; g &= g - 1) {
		uint64_t *e = table + __builtin_ctzl(g) * 8;

		e[0] = e[1] = e[2] = e[3] = e[4] = e[5] = e[6] = e[7] = 0;
	}
	m->groups = 0;
	m->giant = 0;
}

void table_free(struct shadow_pool *s, uint64_t *table)
{
	uint32_t i = page_index(s, table);

	s->last.tag = NO_TAG;
	table_clear(s, table);
	s->meta[i].next_free = s->free_head;
	s->free_head = i;
	s->nused--;
}

void table_free_l2(struct shadow_pool *s, uint64_t *l2)
{
	unsigned int i;
	uint64_t g;

	for_each_used(s, l2, i, g)
		if ((l2[i] & (PTE_P | PTE_PS)) == PTE_P)
			table_free(s, entry_table(l2[i]));
	table_free(s, l2);
}

void table_free_l3(struct shadow_pool *s, uint64_t *l3)
{
	unsigned int i;
	uint64_t g;

	for_each_used(s, l3, i, g)
		if (l3[i] & PTE_P)
			table_free_l2(s, entry_table(l3[i]));
	table_free(s, l3);
}

void pool_init(struct shadow_pool *s, paddr_t pa, struct shadow_page *meta, uint32_t npages)
{
	uint32_t i;

	s->page = pa_to_va(pa);
	s->meta = meta;
	s->npages = npages;
	s->nused = 0;
	memset(s->page, 0, npages * PAGE_SIZE);	/* the boot loader has been here */
	for (i = 0; i < npages; i++) {
		meta[i].groups = meta[i].giant = 0;
		meta[i].next_free = i + 1 < npages ? i + 1 : UINT32_MAX;
	}
	s->free_head = 0;
	s->last.tag = NO_TAG;
}

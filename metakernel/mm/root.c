// SPDX-License-Identifier: MIT
/*
 * root.c - making and choosing shadow roots.
 *
 * Locks:   none: as mm/flush.c.
 */
#include <hal/cpu.h>
#include "part/part.h"
#include "mm/flush.h"
#include "mm/frames.h"
#include "mm/pool.h"
#include "mm/root.h"
#include "lib/panic.h"

/* A root for slot n, with the shared upper half in it. NULL when the pool is empty. */
static uint64_t *root_build(struct vcpu *v, unsigned int n)
{
	struct shadow_pool *s = &v->pool;
	uint64_t *l4 = table_alloc(s, TABLE_ROOT);
	unsigned int i;
	uint64_t g;

	if (!l4)
		return NULL;
	for_each_used(s, v->kl4, i, g)
		entry_set(s, l4, i, v->kl4[i]);
	v->root[n].l4 = l4;
	v->root[n].pgd = 0;
	return l4;
}

static void root_select(struct vcpu *v, unsigned int n)
{
	if (!v->root[n].l4 && !root_build(v, n)) {
		mmu_flush_all(v);	/* the pool holds at least 64 pages: a root always fits now */
		ASSERT(root_build(v, n));
	}
	v->cur = n;
	v->root_pa = va_to_pa(v->root[n].l4);
}

__cold int mmu_init_vcpu(struct vcpu *v)
{
	struct partition *p = v->part;
	struct shadow_pool *s = &v->pool;
	uint32_t npages = p->man->shadow_pages;
	void *pages = part_take(p, npages);
	void *meta = part_take(p, mmu_meta_pages(npages));

	if (!pages || !meta)
		return -KEEL_ENOMEM;
	pool_init(s, pages, meta, npages);
	v->kl4 = table_alloc(s, TABLE_ROOT);
	v->kl3 = table_alloc(s, TABLE_L3);
	v->kl2 = table_alloc(s, TABLE_L2);
	entry_set(s, v->kl4, 511, va_to_pa(v->kl3) | UPPER);
	entry_set(s, v->kl3, 511, va_to_pa(v->kl2) | UPPER);
	entry_set(s, v->kl2, 511, va_to_pa(v->hole_pt) | UPPER);
	root_select(v, 0);
	return 0;
}

void mmu_load_cr3(struct vcpu *v, uint64_t value)
{
	bool pcide = v->cr4 & CR4_PCIDE;
	bool flush = !pcide || !(value & CR3_NOFLUSH);
	uint64_t pcid = pcide ? value & 0xfff : 0;
	unsigned int n = pcid < NROOTS ? (unsigned int)pcid : NROOTS - 1;
	struct shadow_root *r = &v->root[n];

	if (pcid >= NROOTS - 1)
		flush = true;		/* the last slot is shared by all higher PCIDs */
	value &= ~CR3_NOFLUSH;
	v->pool.last.tag = NO_TAG;
	v->cr3 = value;
	v->vp->cr3 = value;
	root_select(v, n);
	if (flush && !(v->cr4 & CR4_PGE)) {
		mmu_drop_kernel(v);
		r->pgd = 0;		/* all goes: nothing is worth re-reading */
	}
	if (flush || r->pgd != (value & PTE_ADDR)) {
		mmu_refresh_user(v, r, value & PTE_ADDR);
		stat_inc(v, KEEL_STAT_CR3_FLUSH);
	} else {
		stat_inc(v, KEEL_STAT_CR3_KEEP);
	}
	r->pgd = value & PTE_ADDR;
}

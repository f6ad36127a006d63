// SPDX-License-Identifier: MIT
/*
 * flush.c - dropping and re-reading shadow tables.
 *
 * Invariants: a frame cannot change owner before mmu_flush_all() (I3). The hole's tables are never
 *             dropped.
 * Context:    one CPU. Every change is made under the metakernel's CR3 and the way back loads CR3
 *             without PCID, which flushes all non-global translations: freed tables are safe to
 *             reuse at once (rule 18). With hardware PCIDs this needs epochs.
 */
#include "part/part.h"
#include "mm/flush.h"
#include "mm/frames.h"
#include "mm/leaf.h"
#include "mm/pool.h"

#define ENTRY_LIMIT	512
#define RESYNC_TABLES	96	/* leaf tables re-read by one flush at most; else drop (I5) */

/* ---- Dropping --------------------------------------------------------------------------------- */

static void drop_user(struct vcpu *v, struct shadow_root *r)
{
	struct shadow_pool *s = &v->part->pool;
	uint64_t g;
	unsigned int i;

	if (!r->l4)
		return;
	for_each_used(s, r->l4, i, g)
		if (i < 256 && (r->l4[i] & PTE_P)) {
			table_free_l3(s, entry_table(r->l4[i]));
			r->l4[i] = 0;
		}
	s->meta[page_index(s, r->l4)].groups &= ~0xffffffffUL;
}

void mmu_drop_kernel(struct vcpu *v)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int i, n;
	uint64_t g;

	for_each_used(s, v->kl4, i, g)
		if (i != 511 && (v->kl4[i] & PTE_P)) {
			table_free_l3(s, entry_table(v->kl4[i]));
			v->kl4[i] = 0;
			for (n = 0; n < NROOTS; n++)
				if (v->root[n].l4)
					v->root[n].l4[i] = 0;
		}
	for_each_used(s, v->kl3, i, g)
		if (i != 511 && (v->kl3[i] & PTE_P)) {
			table_free_l2(s, entry_table(v->kl3[i]));
			v->kl3[i] = 0;
		}
	for_each_used(s, v->kl2, i, g)
		if (i != 511 && (v->kl2[i] & PTE_P)) {
			if (!(v->kl2[i] & PTE_PS))
				table_free(s, entry_table(v->kl2[i]));
			v->kl2[i] = 0;
		}
}

void mmu_flush_all(struct vcpu *v)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int n;

	s->last.tag = NO_TAG;
	for (n = 0; n < NROOTS; n++) {
		drop_user(v, &v->root[n]);
		if (v->root[n].l4 && n != v->cur) {
			table_free(s, v->root[n].l4);
			v->root[n].l4 = NULL;
		}
	}
	mmu_drop_kernel(v);
}

/* ---- Re-reading and flushing ---------------------------------------------------------------------- */

/* Re-read the guest table behind a shadow L1; entries that vanished or lost A go. */
static void resync_l1(struct vcpu *v, uint64_t *l1, paddr_t guest_pa, uint64_t upper)
{
	struct shadow_pool *s = &v->part->pool;
	const uint64_t *guest = pa_to_va(guest_pa);
	unsigned int i;
	uint64_t g;

	for_each_used(s, l1, i, g)
		if (l1[i])
			l1[i] = leaf_small(v->part, l1[i],
					   __atomic_load_n(&guest[i], __ATOMIC_RELAXED), upper);
}

/* Next guest level for a resync: 0 if it is absent, large, or not the partition's memory. */
static paddr_t guest_next(const struct vcpu *v, const uint64_t *table, unsigned int i,
			  uint64_t *upper)
{
	uint64_t e = __atomic_load_n(&table[i], __ATOMIC_RELAXED);
	paddr_t pa = e & PTE_ADDR;

	if (!(e & PTE_P) || (e & PTE_PS) || frames_owner(pa >> PAGE_SHIFT) != v->part->owner)
		return 0;
	*upper = (*upper & e & (PTE_W | PTE_U)) | ((*upper | e) & PTE_NX);
	return pa;
}

static unsigned int resync_l2(struct vcpu *v, uint64_t *l2, paddr_t guest_pa, uint64_t upper)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int i, n = 0;
	uint64_t g;

	for_each_used(s, l2, i, g) {
		uint64_t rights = upper;
		paddr_t next;

		if (!(l2[i] & PTE_P))
			continue;
		next = (l2[i] & (PTE_PS | SPLIT)) || n == RESYNC_TABLES ? 0 :
		       guest_next(v, pa_to_va(guest_pa), i, &rights);
		if (next) {
			resync_l1(v, entry_table(l2[i]), next, rights);
			n++;
			continue;
		}
		if (!(l2[i] & PTE_PS))
			table_free(s, entry_table(l2[i]));
		l2[i] = 0;
	}
	return n;
}

/*
 * A flush of a user half whose top-level table did not change: re-reading keeps all entries that
 * are still right (after fork nearly all are), where dropping them costs a fault each.
 */
static void resync_user(struct vcpu *v, struct shadow_root *r)
{
	struct shadow_pool *s = &v->part->pool;
	paddr_t pgd = r->pgd & PTE_ADDR;
	unsigned int i, j, n = 0;
	uint64_t g, g3;

	if (frames_owner(pgd >> PAGE_SHIFT) != v->part->owner) {
		drop_user(v, r);
		return;
	}
	for_each_used(s, r->l4, i, g) {
		uint64_t *l3, rights4 = PTE_W | PTE_U;
		paddr_t guest3;

		if (i >= 256 || !(r->l4[i] & PTE_P))
			continue;
		l3 = entry_table(r->l4[i]);
		guest3 = guest_next(v, pa_to_va(pgd), i, &rights4);
		for_each_used(s, l3, j, g3) {
			uint64_t rights = rights4;
			paddr_t guest2;

			if (!(l3[j] & PTE_P))
				continue;
			guest2 = guest3 ? guest_next(v, pa_to_va(guest3), j, &rights) : 0;
			if (guest2 && n < RESYNC_TABLES) {
				n += resync_l2(v, entry_table(l3[j]), guest2, rights);
				continue;
			}
			table_free_l2(s, entry_table(l3[j]));
			l3[j] = 0;
		}
	}
}

void mmu_refresh_user(struct vcpu *v, struct shadow_root *r, uint64_t pgd)
{
	if (r->pgd == pgd)
		resync_user(v, r);
	else
		drop_user(v, r);
}

void mmu_flush_user(struct vcpu *v)
{
	v->part->pool.last.tag = NO_TAG;
	mmu_refresh_user(v, &v->root[v->cur], v->cr3 & PTE_ADDR);
}

void mmu_age(struct vcpu *v)
{
	unsigned int n;

	for (n = 0; n < NROOTS; n++)
		drop_user(v, &v->root[n]);
}

/* One INVLPG drops a 1 GiB page, so all its pieces. */
static void drop_giant(struct shadow_pool *s, uint64_t *l2)
{
	unsigned int i;
	uint64_t g;

	for_each_used(s, l2, i, g) {
		if (!(l2[i] & GIANT))
			continue;
		if (!(l2[i] & PTE_PS))
			table_free(s, entry_table(l2[i]));
		l2[i] = 0;
	}
	s->meta[page_index(s, l2)].giant = 0;
}

static void flush_l2_entry(struct vcpu *v, uint64_t *l2, vaddr_t va)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int i2 = (va >> 21) & 511;

	if (s->meta[page_index(s, l2)].giant)
		drop_giant(s, l2);
	if (!(l2[i2] & PTE_P))
		return;
	if (l2[i2] & PTE_PS) {
		l2[i2] = 0;
	} else if (l2[i2] & SPLIT) {
		/* One INVLPG drops a large page, so all its small shadows. */
		table_free(s, entry_table(l2[i2]));
		l2[i2] = 0;
	} else {
		entry_table(l2[i2])[(va >> 12) & 511] = 0;
	}
}

/* As INVLPG: also forgets the cached way to any leaf table. */
static void flush_page(struct vcpu *v, vaddr_t va)
{
	unsigned int i4 = (va >> 39) & 511, i3 = (va >> 30) & 511;
	uint64_t *l3;

	/* An address that is not canonical has the indices of one that is, maybe of the hole. */
	if (!is_canonical(va) || va >= KEEL_HOLE_BASE)
		return;
	v->part->pool.last.tag = NO_TAG;
	if (i4 == 511 && i3 == 511) {
		flush_l2_entry(v, v->kl2, va);
		return;
	}
	if (i4 == 511) {
		l3 = v->kl3;
	} else {
		uint64_t e = i4 < 256 ? v->root[v->cur].l4[i4] : v->kl4[i4];

		if (!(e & PTE_P))
			return;
		l3 = entry_table(e);
	}
	if (l3[i3] & PTE_P)
		flush_l2_entry(v, entry_table(l3[i3]), va);
}

void mmu_flush_range(struct vcpu *v, vaddr_t va, uint64_t npages)
{
	if (npages > ENTRY_LIMIT) {
		mmu_flush_all(v);
		return;
	}
	for (; npages; npages--, va += PAGE_SIZE)
		flush_page(v, va);
}

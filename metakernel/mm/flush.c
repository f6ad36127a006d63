// SPDX-License-Identifier: MIT
/*
 * flush.c - dropping and re-reading shadow tables.
 *
 * Invariants: a frame cannot change owner before mmu_flush_all() (I3). The hole's tables are never
 *             dropped.
 * Locks:      none: called by the CPU that has the vCPU, or before or after anybody has it.
 * Context:    every change is made under the metakernel's CR3 and the way back loads CR3 without PCID, which
 *             flushes all non-global translations. No other CPU walks these tables, so freed ones
 *             are safe to reuse at once (rule 18). With hardware PCIDs this needs epochs.
 */
#include "part/part.h"
#include "mm/flush.h"
#include "mm/frames.h"
#include "mm/leaf.h"
#include "mm/pool.h"

#define ENTRY_LIMIT	512
/*
 * How many entries one flush looks at again at most (I5); what is beyond is dropped, which is as right.
 * A table on the way counts for RESYNC_TABLE.
 */
#define RESYNC_ENTRIES	1536
#define RESYNC_TABLE	4
#define SWEEP_TABLES	2	/* of dropped tables at each ageing, so that the count of used pages comes true */

/* ---- Dropping --------------------------------------------------------------------------------- */

static void drop_user(struct vcpu *v, struct shadow_root *r)
{
	struct shadow_pool *s = &v->pool;
	uint64_t g;
	unsigned int i;

	if (!r->l4)
		return;
	for_each_used(s, r->l4, i, g)
		if (i < 256 && (r->l4[i] & PTE_P)) {
			table_drop(s, entry_table(r->l4[i]));
			r->l4[i] = 0;
		}
	s->meta[page_index(s, r->l4)].groups &= ~0xffffffffUL;
}

/* All entries of a table but its last. */
static void drop_entries(struct shadow_pool *s, uint64_t *table)
{
	unsigned int i;
	uint64_t g;

	for_each_used(s, table, i, g)
		if (i != 511 && table[i]) {
			if (!(table[i] & PTE_PS))
				table_drop(s, entry_table(table[i]));
			table[i] = 0;
		}
}

void mmu_drop_kernel(struct vcpu *v)
{
	struct shadow_pool *s = &v->pool;
	unsigned int i, n;
	uint64_t g;

	for (n = 0; n < NROOTS; n++)
		if (v->root[n].l4)
			for_each_used(s, v->kl4, i, g)
				if (i != 511)
					v->root[n].l4[i] = 0;
	drop_entries(s, v->kl4);
	drop_entries(s, v->kl3);
	drop_entries(s, v->kl2);
}

/* The user halves of all roots: of the one in use its entries, the others go whole. */
static void drop_users(struct vcpu *v)
{
	struct shadow_pool *s = &v->pool;
	unsigned int n;

	s->last.tag = NO_TAG;
	for (n = 0; n < NROOTS; n++) {
		if (n == v->cur) {
			drop_user(v, &v->root[n]);
		} else if (v->root[n].l4) {
			table_drop(s, v->root[n].l4);
			v->root[n].l4 = NULL;
		}
	}
}

void mmu_flush_all(struct vcpu *v)
{
	drop_users(v);
	mmu_drop_kernel(v);
}

void mmu_age(struct vcpu *v)
{
	drop_users(v);
	pool_sweep(&v->pool, SWEEP_TABLES);
}

/* ---- Re-reading and flushing ---------------------------------------------------------------------- */

/* A flush's allowance; true while something of it is left. */
static bool resync_spend(unsigned int *left, unsigned int n)
{
	*left = *left > n ? *left - n : 0;
	return *left;
}

/* Re-read the guest table behind a shadow L1; entries that vanished or lost A go. */
static void resync_l1(struct vcpu *v, uint64_t *l1, paddr_t guest_pa, uint64_t upper, unsigned int *left)
{
	struct shadow_pool *s = &v->pool;
	const struct partition *p = v->part;
	const uint64_t *guest = pa_to_va(guest_pa);
	struct leaf_rule rule = leaf_rule(upper);
	unsigned int i, n = RESYNC_TABLE;
	uint64_t g;

	for_each_used(s, l1, i, g) {
		n += !(i & 7);		/* a cache line that was noted and is empty again costs too */
		if (!l1[i])
			continue;
		l1[i] = leaf_again(p, rule, l1[i], __atomic_load_n(&guest[i], __ATOMIC_RELAXED));
		n++;
	}
	resync_spend(left, n);
}

/* Next guest level for a resync: 0 if it is absent, large, or not the partition's memory. */
static paddr_t guest_next(const struct vcpu *v, paddr_t table, unsigned int i, uint64_t *upper)
{
	const uint64_t *guest = pa_to_va(table);
	uint64_t e = __atomic_load_n(&guest[i], __ATOMIC_RELAXED);
	paddr_t pa = e & PTE_ADDR;

	if (!(e & PTE_P) || (e & PTE_PS) || frames_owner(pa >> PAGE_SHIFT) != v->part->owner)
		return 0;
	*upper = (*upper & e & (PTE_W | PTE_U)) | ((*upper | e) & PTE_NX);
	return pa;
}

static void resync_l2(struct vcpu *v, uint64_t *l2, paddr_t guest_pa, uint64_t upper, unsigned int *left)
{
	struct shadow_pool *s = &v->pool;
	unsigned int i;
	uint64_t g;

	for_each_used(s, l2, i, g) {
		uint64_t rights = upper;
		paddr_t next = 0;

		resync_spend(left, !(i & 7));
		if (!(l2[i] & PTE_P))
			continue;
		if (*left && !(l2[i] & (PTE_PS | SPLIT)))
			next = guest_next(v, guest_pa, i, &rights);
		if (next) {
			resync_l1(v, entry_table(l2[i]), next, rights, left);
			continue;
		}
		if (!(l2[i] & PTE_PS))
			table_drop(s, entry_table(l2[i]));
		l2[i] = 0;
	}
}

static void resync_l3(struct vcpu *v, uint64_t *l3, paddr_t guest_pa, uint64_t upper, unsigned int *left)
{
	struct shadow_pool *s = &v->pool;
	unsigned int i;
	uint64_t g;

	for_each_used(s, l3, i, g) {
		uint64_t rights = upper;
		paddr_t next;

		resync_spend(left, !(i & 7));
		if (!(l3[i] & PTE_P))
			continue;
		next = resync_spend(left, RESYNC_TABLE) ? guest_next(v, guest_pa, i, &rights) : 0;
		if (next) {
			resync_l2(v, entry_table(l3[i]), next, rights, left);
			continue;
		}
		table_drop(s, entry_table(l3[i]));
		l3[i] = 0;
	}
}

/*
 * A flush of a user half whose top-level table did not change: re-reading keeps all entries that
 * are still right (after fork nearly all are), where dropping them costs a fault each.
 */
static void resync_user(struct vcpu *v, struct shadow_root *r)
{
	struct shadow_pool *s = &v->pool;
	paddr_t pgd = r->pgd & PTE_ADDR;
	unsigned int i, left = RESYNC_ENTRIES;
	uint64_t g;

	if (frames_owner(pgd >> PAGE_SHIFT) != v->part->owner) {
		drop_user(v, r);
		return;
	}
	for_each_used(s, r->l4, i, g) {
		uint64_t rights = PTE_W | PTE_U;
		paddr_t next;

		if (i >= 256 || !(r->l4[i] & PTE_P))
			continue;
		next = resync_spend(&left, RESYNC_TABLE) ? guest_next(v, pgd, i, &rights) : 0;
		if (next) {
			resync_l3(v, entry_table(r->l4[i]), next, rights, &left);
			continue;
		}
		table_drop(s, entry_table(r->l4[i]));
		r->l4[i] = 0;
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
	v->pool.last.tag = NO_TAG;
	mmu_refresh_user(v, &v->root[v->cur], v->cr3 & PTE_ADDR);
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
			table_drop(s, entry_table(l2[i]));
		l2[i] = 0;
	}
	s->meta[page_index(s, l2)].giant = 0;
}

/* n pages from va on, all in the same 2 MiB. */
static void flush_l2_entry(struct vcpu *v, uint64_t *l2, vaddr_t va, unsigned int n)
{
	struct shadow_pool *s = &v->pool;
	unsigned int i2 = (va >> 21) & 511;
	uint64_t *e;

	if (s->meta[page_index(s, l2)].giant)
		drop_giant(s, l2);
	if (!(l2[i2] & PTE_P))
		return;
	if (l2[i2] & PTE_PS) {
		l2[i2] = 0;
	} else if (l2[i2] & SPLIT) {
		/* One INVLPG drops a large page, so all its small shadows. */
		table_drop(s, entry_table(l2[i2]));
		l2[i2] = 0;
	} else {
		for (e = entry_table(l2[i2]) + ((va >> 12) & 511); n; n--)
			*e++ = 0;
	}
}

/* As INVLPG on n pages of the same 2 MiB: also forgets the cached way to any leaf table. */
static void flush_pages(struct vcpu *v, const struct shadow_root *r, vaddr_t va, unsigned int n)
{
	unsigned int i4 = (va >> 39) & 511, i3 = (va >> 30) & 511;
	uint64_t *l3;

	/* An address that is not canonical has the indices of one that is, maybe of the hole. */
	if (!is_canonical(va) || va >= KEEL_HOLE_BASE)
		return;
	v->pool.last.tag = NO_TAG;
	if (i4 == 511 && i3 == 511) {
		flush_l2_entry(v, v->kl2, va, n);
		return;
	}
	if (i4 == 511) {
		l3 = v->kl3;
	} else {
		uint64_t e = i4 >= 256 ? v->kl4[i4] : r->l4 ? r->l4[i4] : 0;

		if (!(e & PTE_P))
			return;
		l3 = entry_table(e);
	}
	if (l3[i3] & PTE_P)
		flush_l2_entry(v, entry_table(l3[i3]), va, n);
}

static void flush_range(struct vcpu *v, const struct shadow_root *r, vaddr_t va, uint64_t npages)
{
	uint64_t n;

	for (; npages; npages -= n, va += n * PAGE_SIZE) {
		n = 512 - ((va >> PAGE_SHIFT) & 511);
		if (n > npages)
			n = npages;
		flush_pages(v, r, va, (unsigned int)n);
	}
}

void mmu_flush_range(struct vcpu *v, vaddr_t va, uint64_t npages)
{
	if (npages > ENTRY_LIMIT)
		mmu_flush_all(v);
	else
		flush_range(v, &v->root[v->cur], va, npages);
}

/* Of the roots that a table was the top of, the one in use is re-read, others are dropped. */
void mmu_forget(struct vcpu *v, const struct shoot *what)
{
	unsigned int n;

	v->pool.last.tag = NO_TAG;
	if (what->what == SHOOT_ALL) {
		mmu_flush_all(v);
		return;
	}
	if (what->what == SHOOT_RANGE && what->va >> 63) {
		flush_range(v, &v->root[v->cur], what->va, what->npages);
		return;
	}
	for (n = 0; n < NROOTS; n++) {
		struct shadow_root *r = &v->root[n];

		if (!r->l4 || r->pgd != what->pgd)
			continue;
		if (what->what == SHOOT_RANGE)
			flush_range(v, r, what->va, what->npages);
		else if (n == v->cur)
			mmu_refresh_user(v, r, r->pgd);
		else
			drop_user(v, r);
	}
}

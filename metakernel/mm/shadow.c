// SPDX-License-Identifier: MIT
/*
 * shadow.c - filling shadow page tables.
 *
 * Owns:       what is in a vCPU's shadow tables.
 * Locks:      none: a vCPU's tables are its CPU's (mm/flush.c).
 * Invariants: I2: every present leaf passes leaf_rights() when it is written, and the frame cannot
 *             change owner before mmu_flush_all(). No G bit (rule 16). Absent entries are zero
 *             (rule 19). Upper levels allow everything; a leaf is the product of all rights.
 *             Leaves are 4 KiB or 2 MiB.
 */
#include <hal/cpu.h>
#include "part/part.h"
#include "mm/flush.h"
#include "mm/frames.h"
#include "mm/leaf.h"
#include "mm/pool.h"
#include "mm/shadow.h"
#include "mm/walk.h"
#include "lib/panic.h"

#define FAULT_AROUND	16	/* measured: 1 -> 8 -> 16 saves misses on exec, 64 gives nothing */

static __attribute__((noinline)) uint64_t *sub_table_new(struct shadow_pool *s, uint64_t *table, unsigned int i,
							 unsigned int level)
{
	uint64_t *t = table_alloc(s, level);

	if (t)
		entry_set(s, table, i, va_to_pa(t) | UPPER);
	return t;
}

/* The table that entry i of a table leads to, built as needed; NULL when the pool is empty. */
static inline uint64_t *sub_table(struct shadow_pool *s, uint64_t *table, unsigned int i, unsigned int level)
{
	if ((table[i] & (PTE_P | PTE_PS)) == PTE_P)
		return entry_table(table[i]);
	return sub_table_new(s, table, i, level);
}

/* The shadow L2 table for va, built as needed; NULL when the pool is empty. */
static uint64_t *shadow_l2(struct vcpu *v, vaddr_t va)
{
	struct shadow_pool *s = &v->pool;
	unsigned int i4 = (va >> 39) & 511, i3 = (va >> 30) & 511, n;
	uint64_t *l3;

	if (i4 == 511)
		return i3 == 511 ? v->kl2 : sub_table(s, v->kl3, i3, TABLE_L2);
	if (i4 < 256) {
		l3 = sub_table(s, v->root[v->cur].l4, i4, TABLE_L3);
	} else {
		l3 = sub_table(s, v->kl4, i4, TABLE_L3);
		for (n = 0; l3 && n < NROOTS; n++)
			if (v->root[n].l4)
				entry_set(s, v->root[n].l4, i4, va_to_pa(l3) | UPPER);
	}
	return l3 ? sub_table(s, l3, i3, TABLE_L2) : NULL;
}

/*
 * Neighbours come along. After a write they are rarely there yet, and looking costs, unless Linux
 * mapped several pages at one fault (multi-size THP): the one next door tells.
 */
static void fill_around(struct vcpu *v, uint64_t *l1, unsigned int i1, const uint64_t *guest,
			uint64_t upper_rights, bool write)
{
	struct shadow_pool *s = &v->pool;
	struct leaf_rule rule = leaf_rule(upper_rights);
	unsigned int first = i1 & ~(FAULT_AROUND - 1U), i;
	uint64_t groups = 0;

	if (write && (l1[i1 ^ 1] || (__atomic_load_n(&guest[i1 ^ 1], __ATOMIC_RELAXED) &
				     (PTE_P | PTE_D)) != (PTE_P | PTE_D)))
		return;
	for (i = first; i < first + FAULT_AROUND; i++) {
		uint64_t e = __atomic_load_n(&guest[i], __ATOMIC_RELAXED);

		if ((e & (PTE_P | PTE_A)) != (PTE_P | PTE_A) || l1[i])	/* so is the one that was asked for */
			continue;
		l1[i] = leaf_small(v->part, rule, e);
		groups |= 1UL << (i >> 3);
	}
	s->meta[page_index(s, l1)].groups |= groups;
}

static bool install(struct vcpu *v, vaddr_t va, const struct walk *w, bool write)
{
	struct shadow_pool *s = &v->pool;
	const struct partition *p = v->part;
	unsigned int i2 = (va >> 21) & 511, i1 = (va >> 12) & 511;
	uint64_t flags = leaf_flags(w->leaf, w->rights);
	uint64_t *l2 = shadow_l2(v, va), *l1;

	if (!l2)
		return false;
	if (w->level == 2) {
		flags |= GIANT;
		s->meta[page_index(s, l2)].giant = 1;
	}
	if (w->level) {
		paddr_t base = w->pa & ~(LARGE_BYTES - 1);

		if (!w->empty && leaf_allowed_large(p, base)) {
			if ((l2[i2] & (PTE_P | PTE_PS)) == PTE_P)
				table_drop(s, entry_table(l2[i2]));
			if (w->leaf & (PTE_PWT | PTE_PCD | PTE_PAT_LARGE))
				frames_note_uncached(base >> PAGE_SHIFT, 512);
			entry_set(s, l2, i2, base | flags | PTE_PS | (w->leaf & PTE_PAT_LARGE));
			return true;
		}
		if (w->leaf & PTE_PAT_LARGE)
			flags |= PTE_PS;	/* PAT moves from bit 12 to bit 7 */
	} else {
		flags |= w->leaf & PTE_PS;
	}
	if (l2[i2] & PTE_PS)
		l2[i2] = 0;
	l1 = sub_table(s, l2, i2, TABLE_LEAVES);
	if (!l1)
		return false;
	if (w->level)
		l2[i2] |= SPLIT | (flags & GIANT);
	entry_set(s, l1, i1, (w->pa & PTE_ADDR) | leaf_cache_checked(w->pa, flags & ~GIANT));
	if (w->level || w->empty)
		return true;
	s->last = (struct shadow_last) { va >> 21, w->ep[0] - i1, l1, w->upper_rights };
	fill_around(v, l1, i1, s->last.guest, w->upper_rights, write);
	return true;
}

/*
 * Most faults come in the same 2 MiB as the one before: skip the walk. False: not that place, or
 * anything out of the ordinary; the slow way decides. The guest table cannot have changed owner:
 * that flushes.
 */
static bool fill_last(struct vcpu *v, vaddr_t va, uint64_t error)
{
	struct shadow_pool *s = &v->pool;
	const struct shadow_last *last = &s->last;
	unsigned int i1 = (va >> 12) & 511;
	uint64_t e, rights, may;
	paddr_t pa;

	if (va >> 21 != last->tag)
		return false;
	e = __atomic_load_n(&last->guest[i1], __ATOMIC_RELAXED);
	pa = e & PTE_ADDR;
	rights = (last->upper_rights & e & (PTE_W | PTE_U)) | ((last->upper_rights | e) & PTE_NX);
	may = leaf_rights(v->part, pa);
	if (!(e & PTE_P) || !access_allowed(rights, error) || !leaf_allows(may, error) ||
	    !walk_set_bits(&last->guest[i1], &e, error & PF_W ? PTE_A | PTE_D : PTE_A))
		return false;
	entry_set(s, last->l1, i1, pa | leaf_cache_checked(pa, (e & PTE_PS) |
							   leaf_flags(e, rights & (may | ~PTE_W))));
	fill_around(v, last->l1, i1, last->guest, last->upper_rights, error & PF_W);
	return true;
}

static void install_sure(struct vcpu *v, vaddr_t va, const struct walk *w, bool write)
{
	if (install(v, va, w, write))
		return;
	mmu_flush_all(v);	/* the pool holds at least 64 pages: one fill always fits now */
	ASSERT(install(v, va, w, write));
}

/*
 * A device the partition may not touch (HPET, APICs) reads as all ones, like an address where
 * nothing answers: firmware code that looks for it (ACPI methods) then finds it absent. The page is
 * the partition's own and mapped read-only, so I2 holds; writes stay faults.
 */
static bool empty_bus(const struct partition *p, struct walk *w, uint64_t error)
{
	if (!p->ones_pa || (error & (PF_W | PF_I)) || frames_owner(w->pa >> PAGE_SHIFT) != FRAMES_NONE ||
	    frames_owner(p->ones_pa >> PAGE_SHIFT) != p->owner)		/* it may have given that away */
		return false;
	w->empty = true;
	w->pa = p->ones_pa | (w->pa & PAGE_MASK);
	w->rights = (w->rights & ~PTE_W) | PTE_NX;
	return true;
}

enum mmu_result mmu_fault(struct vcpu *v, vaddr_t va, uint64_t error, uint64_t *guest_error)
{
	struct walk w;
	uint64_t may;

	*guest_error = error & (PF_W | PF_U | PF_I);
	if (va >= KEEL_HOLE_BASE) {
		*guest_error |= PF_P;
		return MMU_GUEST;
	}
	if (fill_last(v, va, error))
		return MMU_FILLED;
	if (!guest_walk(v, va, &w))
		return MMU_GUEST;
	*guest_error |= PF_P;
	if (!access_allowed(w.rights, error))
		return MMU_GUEST;
	may = leaf_rights(v->part, w.pa);
	if (leaf_allows(may, error))
		w.rights &= may | ~PTE_W;
	else if (!empty_bus(v->part, &w, error))
		return MMU_FORBIDDEN;
	if (!walk_set_accessed(&w, error & PF_W))
		return MMU_RETRY;
	install_sure(v, va, &w, error & PF_W);
	return MMU_FILLED;
}

int mmu_fill_hint(struct vcpu *v, vaddr_t va, uint64_t error)
{
	struct walk w;
	uint64_t may;

	if (va >> 47)
		return -KEEL_EFAULT;
	if (fill_last(v, va, error | PF_U))
		return 0;
	if (!guest_walk(v, va, &w) || !access_allowed(w.rights, error | PF_U))
		return -KEEL_EFAULT;
	may = leaf_rights(v->part, w.pa);
	if (!leaf_allows(may, error))
		return -KEEL_EFAULT;
	w.rights &= may | ~PTE_W;
	if (walk_set_accessed(&w, error & PF_W))
		install_sure(v, va, &w, error & PF_W);
	else	/* changed meanwhile: the caller may count on what was there being gone */
		mmu_flush_range(v, va & ~(vaddr_t)PAGE_MASK, 1);
	return 0;
}

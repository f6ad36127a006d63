/* SPDX-License-Identifier: MIT */
/*
 * walk.h - reading a partition's own page tables, and its memory through them.
 *
 * Nothing in them is trusted: each entry is loaded once, tables must lie in frames the partition owns
 * outright (rule 20), accessed and dirty bits go in by one cmpxchg.
 */
#ifndef METAKERNEL_MM_WALK_H
#define METAKERNEL_MM_WALK_H

#include <hal/cpu.h>
#include "run/vcpu.h"
#include "mm/pte.h"


struct walk {
	unsigned int level;	/* of the leaf: 0 4 KiB, 1 2 MiB, 2 1 GiB */
	uint64_t leaf;		/* guest leaf entry as loaded */
	paddr_t pa;		/* of va */
	uint64_t rights;	/* product: PTE_W, PTE_U, PTE_NX */
	uint64_t upper_rights;	/* product without the leaf */
	bool empty;		/* nothing there: the partition's page of all ones stands in */
	uint64_t *ep[4];	/* entries on the way, by level */
	uint64_t ev[4];		/* their values */
};

/* False: not mapped by tables in memory of its own. Sets no bits and checks no leaf. */
bool guest_walk(const struct vcpu *v, vaddr_t va, struct walk *w);
/* Set A on the way, and D for a write. False: an entry changed meanwhile, run the instruction again. */
bool walk_set_accessed(struct walk *w, bool write);
/* Copy bytes the partition could itself read at va (any ring-1 right), or fail with -KEEL_EFAULT. */
int mmu_read_guest(struct vcpu *v, vaddr_t va, void *buf, unsigned int len);
int mmu_write_guest(struct vcpu *v, vaddr_t va, const void *buf, unsigned int len);

/* One try each; false means somebody else changed the entry: run the instruction again. */
static inline bool walk_set_bits(uint64_t *ep, uint64_t *value, uint64_t bits)
{
	if ((*value & bits) == bits)
		return true;
	if (!__atomic_compare_exchange_n(ep, value, *value | bits, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return false;
	*value |= bits;
	return true;
}

static inline bool access_allowed(uint64_t rights, uint64_t error)
{
	bool user = error & PF_U;

	if (user && !(rights & PTE_U))
		return false;
	if ((error & PF_W) && !(rights & PTE_W))
		return false;
	if ((error & PF_I) && (rights & PTE_NX))
		return false;
	return !((error & PF_I) && !user && (rights & PTE_U));	/* SMEP */
}

#endif

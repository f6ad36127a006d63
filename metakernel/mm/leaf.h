/* SPDX-License-Identifier: MIT */
/*
 * leaf.h - what a leaf of a shadow table may be (I2): whose frame, with which rights and memory type.
 *
 * No leaf is written that did not pass here. The device windows that a `devices` partition may map
 * are an allow-list, fixed at boot.
 */
#ifndef METAKERNEL_MM_LEAF_H
#define METAKERNEL_MM_LEAF_H

#include "part/chan.h"
#include "part/part.h"
#include "mm/frames.h"
#include "mm/pte.h"

/* Ranges of machine addresses that are not RAM and that a `devices` partition may map; `write`: may write. */
void leaf_allow_mmio(paddr_t base, uint64_t bytes, bool write);
/* PTE_P, PTE_P | PTE_W, or 0. */
uint64_t leaf_mmio_rights(paddr_t pa);
/* Does one window for writing hold all of it? */
bool leaf_mmio_window(paddr_t pa, uint64_t bytes);

#define LEAF_ALL	(PTE_P | PTE_W)

/* I2 for one 4 KiB frame: LEAF_ALL, PTE_P (read only) or 0. */
static inline uint64_t leaf_rights(const struct partition *p, paddr_t pa)
{
	uint16_t owner = frames_owner(pa >> PAGE_SHIFT);

	if (owner == p->owner)
		return LEAF_ALL;
	if (owner & FRAMES_CHANNEL)
		return chan_rights(owner, p);
	return owner == FRAMES_NONE && p->man->devices ? leaf_mmio_rights(pa) : 0;
}

/* May this access be? (error: of #PF) */
static inline bool leaf_allows(uint64_t rights, uint64_t error)
{
	return rights & (error & PF_W ? PTE_W : PTE_P);
}

/* I2 for a 2 MiB range: only what one owner summary or one MMIO window can answer. */
static inline bool leaf_allowed_large(const struct partition *p, paddr_t pa)
{
	uint16_t owner = frames_owner_2m(pa >> PAGE_SHIFT);

	if (owner == p->owner)
		return true;
	return owner == FRAMES_NONE && p->man->devices && leaf_mmio_window(pa, LARGE_BYTES);
}

/* Shadow flags of a leaf; clean pages stay read-only until a write sets D. */
static inline uint64_t leaf_flags(uint64_t leaf, uint64_t rights)
{
	uint64_t f = PTE_P | PTE_A | PTE_D | (rights & (PTE_U | PTE_NX)) |
		     (leaf & (PTE_PWT | PTE_PCD));

	if ((rights & PTE_W) && (leaf & PTE_D))
		f |= PTE_W;
	return f;
}

/* What makes a 4 KiB leaf's memory type other than write-back. */
#define LEAF_UNCACHED	(PTE_PWT | PTE_PCD | PTE_PS)

/*
 * Flags of a 4 KiB leaf with a memory type other than write-back: not for a channel's frames, which
 * two partitions map (rule 21); for others remembered until they change owner.
 */
static inline uint64_t leaf_cache_checked(paddr_t pa, uint64_t flags)
{
	if (!(flags & LEAF_UNCACHED))
		return flags;
	if (frames_owner(pa >> PAGE_SHIFT) & FRAMES_CHANNEL)
		return flags & ~LEAF_UNCACHED;
	frames_note_uncached(pa >> PAGE_SHIFT, 1);
	return flags;
}

/* What decides where a leaf points and with which memory type; PAT stays where it is. */
#define LEAF_PLACE	(PTE_ADDR | LEAF_UNCACHED)

/* How accessed 4 KiB entries of one guest table become leaves, worked out once for all of them. */
struct leaf_rule {
	uint64_t keep, set, write;
};

/* upper: the product of the rights on the way to the table. */
static inline struct leaf_rule leaf_rule(uint64_t upper)
{
	return (struct leaf_rule) {
		.keep = LEAF_PLACE | PTE_NX | (upper & PTE_U),
		.set = PTE_P | PTE_A | PTE_D | (upper & PTE_NX),
		.write = upper & PTE_W,
	};
}

/* The leaf for an entry, before it is known whose the frame is. */
static inline uint64_t leaf_wish(struct leaf_rule r, uint64_t e)
{
	return (e & r.keep) | r.set | (e & (e >> 5) & r.write);	/* W only with D, whose place is 5 above */
}

/* What a guest entry may become without a fault: only if already accessed and its own. */
static inline uint64_t leaf_small(const struct partition *p, struct leaf_rule r, uint64_t e)
{
	uint64_t may;

	if ((e & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
		return 0;
	may = leaf_rights(p, e & PTE_ADDR);
	return may ? leaf_cache_checked(e & PTE_ADDR, leaf_wish(r, e) & (may | ~PTE_W)) : 0;
}

/*
 * The same for an entry that is re-read. What `old`, the leaf there is, points to has been checked and
 * has not changed owner since. Otherwise only memory of its own is taken, written back: that is the same
 * few instructions for every entry (I5). The rest comes back by a fault.
 */
static inline uint64_t leaf_again(const struct partition *p, struct leaf_rule r, uint64_t old, uint64_t e)
{
	uint64_t wish = leaf_wish(r, e);

	if ((e & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
		return 0;
	/* Rights that grow are looked up again: the frame may be read-only. */
	if (wish == old || (!((old ^ wish) & LEAF_PLACE) && !(wish & ~old & PTE_W)))
		return wish;
	if ((wish & LEAF_UNCACHED) || frames_owner((e & PTE_ADDR) >> PAGE_SHIFT) != p->owner)
		return 0;
	return wish;
}

#endif

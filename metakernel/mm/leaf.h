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
		return chan_attached(owner, p) ? LEAF_ALL : 0;
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

/*
 * Flags of a 4 KiB leaf with a memory type other than write-back: not for a channel's frames, which
 * two partitions map (rule 21); for others remembered until they change owner.
 */
static inline uint64_t leaf_cache_checked(paddr_t pa, uint64_t flags)
{
	if (!(flags & (PTE_PWT | PTE_PCD | PTE_PS)))
		return flags;
	if (frames_owner(pa >> PAGE_SHIFT) & FRAMES_CHANNEL)
		return flags & ~(PTE_PWT | PTE_PCD | PTE_PS);
	frames_note_uncached(pa >> PAGE_SHIFT, 1);
	return flags;
}

/* What decides where a leaf points and with which memory type; PAT stays where it is. */
#define LEAF_PLACE	(PTE_ADDR | PTE_PWT | PTE_PCD | PTE_PS)

/*
 * What a 4 KiB guest entry may become without a fault: only if already accessed and its own. What
 * `old`, the leaf there is, points to has been checked and has not changed owner since.
 */
static inline uint64_t leaf_small(const struct partition *p, uint64_t old, uint64_t e, uint64_t upper)
{
	paddr_t pa = e & PTE_ADDR;
	uint64_t flags, may;

	if ((e & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
		return 0;
	flags = (e & PTE_PS) | leaf_flags(e, (upper & e & (PTE_W | PTE_U)) | ((upper | e) & PTE_NX));
	/* Rights that grow are looked up again: the frame may be read-only. */
	if ((old & PTE_P) && !((old ^ e) & LEAF_PLACE) && !(flags & ~old & PTE_W))
		return pa | flags;
	may = leaf_rights(p, pa);
	return may ? pa | leaf_cache_checked(pa, flags & (may | ~PTE_W)) : 0;
}

#endif

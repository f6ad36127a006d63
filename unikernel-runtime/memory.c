// SPDX-License-Identifier: MIT
/*
 * memory.c - memory that comes and goes while the partition runs (KEEL_EV_MEMORY).
 *
 * The metakernel lists the pieces that the partition has. One that is not part of the memory it started with is
 * mapped in a place of its own and given to the heap. When the creator asks for less, pieces of which
 * the heap uses nothing go back to it; whatever else it asks for it gets when that is free.
 *
 * Looked at when the event comes, which a program sees when it waits, calls or polls for ^C, and before
 * malloc() fails.
 */
#include <rt/machine.h>
#include <rt/rt.h>

#define LARGE_BYTES	(2UL << 20)
#define PLACE_BYTES	(KEEL_GIVE_MAX * PAGE_BYTES)
#define WINDOW_BYTES	(256UL << 20)	/* left for a window, above the memory there was */

/* By place; npages 0: nothing is there. */
static struct piece {
	uint64_t pa;
	size_t npages;
} pieces[KEEL_PART_EXTENTS];

static uint64_t place(const struct piece *p)
{
	return paging_window_va() + WINDOW_BYTES + (uint64_t)(p - pieces) * PLACE_BYTES;
}

static bool known(uint64_t pa)
{
	if (pa - rt_info->mem_pa < rt_info->mem_bytes)
		return true;
	for (unsigned i = 0; i < KEEL_PART_EXTENTS; i++)
		if (pieces[i].npages && pieces[i].pa == pa)
			return true;
	return false;
}

/* Large pages only: their tables are few, and the heap may be full. */
static bool add(uint64_t pa, size_t npages)
{
	struct piece *p = pieces;
	size_t bytes = npages * PAGE_BYTES;

	while (p->npages)
		if (++p == pieces + KEEL_PART_EXTENTS)
			return false;
	if ((pa | bytes) % LARGE_BYTES || paging_map_large(place(p), pa, bytes / LARGE_BYTES))
		return false;
	*p = (struct piece){ pa, npages };
	heap_add((void *)place(p), bytes);
	return true;
}

static bool add_new(void)
{
	bool added = false;

	for (uint64_t n = 0;; n++) {
		long pa = hc1(KEEL_HC_MEM_INFO, n);
		size_t npages = vp_load(KEEL_VP_RET1);

		if (pa < 0)
			return added;
		if (npages && npages <= KEEL_GIVE_MAX && !known((uint64_t)pa))
			added |= add((uint64_t)pa, npages);
	}
}

static uint64_t total_bytes(void)
{
	uint64_t bytes = rt_info->mem_bytes;

	for (unsigned i = 0; i < KEEL_PART_EXTENTS; i++)
		bytes += pieces[i].npages * PAGE_BYTES;
	return bytes;
}

/* Pieces nobody uses, as long as more is there than is wanted. */
static void give_back(uint64_t target)
{
	for (struct piece *p = pieces; p < pieces + KEEL_PART_EXTENTS; p++) {
		size_t bytes = p->npages * PAGE_BYTES;

		if (!bytes || total_bytes() - bytes < target || !heap_remove((void *)place(p), bytes))
			continue;
		paging_unmap_large(place(p), bytes / LARGE_BYTES);
		hc1(KEEL_HC_MEM_RELEASE, p->pa);
		p->npages = 0;
	}
}

bool memory_look(void)
{
	static bool looking;	/* page tables come from the heap, too */
	uint64_t target = vp_load(KEEL_VP_MEM_TARGET);
	bool added;

	if (looking)
		return false;
	looking = true;
	added = add_new();
	if (target)
		give_back(target);
	looking = false;
	return added;
}

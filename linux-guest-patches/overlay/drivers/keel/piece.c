// SPDX-License-Identifier: GPL-2.0-only
/*
 * piece.c - large pieces of memory, contiguous, for the metakernel and for partitions.
 *
 * Memory is refused early rather than found at any price: these are large pieces, and the program that asks
 * can tell its user, where the OOM killer would choose somebody.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/fpu/api.h>
#include "keel.h"

#define KEEL_LARGE_PAGES	512	/* of 4 KiB, in a large one */
#define KEEL_ZERO_PAGES		64	/* without another task between: some 30 us */
#define KEEL_BLOCK_BYTES	(MAX_ORDER_NR_PAGES * PAGE_SIZE)	/* of the page allocator, at most */
#define KEEL_BLOCKS		8	/* looked at, to find some in a row */
#define KEEL_RESERVE		16	/* of so many pages of RAM, one is not for partitions */

static bool keel_memory_left(u64 npages)
{
	return si_mem_available() > (long)(npages + totalram_pages() / KEEL_RESERVE);
}

/* The first of nblocks that lie side by side. */
static void *keel_blocks_in_a_row(void *const sorted[], unsigned int n, unsigned int nblocks)
{
	unsigned int i, row = 0;

	for (i = 0; i < n; i++) {
		row = i && sorted[i] == sorted[i - 1] + KEEL_BLOCK_BYTES ? row + 1 : 1;
		if (row == nblocks)
			return sorted[i + 1 - nblocks];
	}
	return NULL;
}

/* One more, in its place among the others. */
static bool keel_block_add(void *sorted[], unsigned int n, gfp_t gfp)
{
	void *block = (void *)__get_free_pages(gfp, MAX_PAGE_ORDER);

	for (; block && n && sorted[n - 1] > block; n--)
		sorted[n] = sorted[n - 1];
	sorted[n] = block;
	return block;
}

/* Single pages of all blocks; those behind npages are free again. */
static void keel_blocks_split(void *va, unsigned long npages, unsigned int nblocks)
{
	unsigned int i;

	for (i = 0; i < nblocks; i++)
		split_page(virt_to_page(va + i * KEEL_BLOCK_BYTES), MAX_PAGE_ORDER);
	for (; npages < nblocks * MAX_ORDER_NR_PAGES; npages++)
		__free_page(virt_to_page(va + npages * PAGE_SIZE));
}

/*
 * A few blocks in a row, as there are when memory is not in pieces: alloc_contig_pages() searches, isolates and moves for
 * it, in ten times as many instructions.
 */
static void *keel_blocks_alloc(unsigned long npages, gfp_t gfp)
{
	unsigned int nblocks = DIV_ROUND_UP(npages, MAX_ORDER_NR_PAGES), n, i;
	void *sorted[KEEL_BLOCKS], *va = NULL;

	if (nblocks > KEEL_BLOCKS / 2)
		return NULL;
	for (n = 0; !va && n < KEEL_BLOCKS && keel_block_add(sorted, n, gfp); n++)
		va = keel_blocks_in_a_row(sorted, n + 1, nblocks);
	for (i = 0; i < n; i++)
		if (!va || sorted[i] < va || sorted[i] >= va + nblocks * KEEL_BLOCK_BYTES)
			free_pages((unsigned long)sorted[i], MAX_PAGE_ORDER);
	if (va)
		keel_blocks_split(va, npages, nblocks);
	return va;
}

/*
 * Not by clear_page(): these are megabytes that nobody reads soon, so MOVNTDQ leaves the caches alone; and an emulator
 * takes many times as long for each step of REP STOS as for a store.
 */
static void keel_zero_page(void *va)
{
	void *end = va + PAGE_SIZE;

	asm volatile("pxor %%xmm0, %%xmm0\n"
		     "1: .irp at, 0, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240\n"
		     "movntdq %%xmm0, \\at(%0)\n"
		     ".endr\n"
		     "add $256, %0; cmp %1, %0; jb 1b"
		     : "+r" (va) : "r" (end) : "memory", "cc");
}

static void keel_zero(void *va, unsigned long npages)
{
	unsigned long i = 0, end;

	while (i < npages) {
		end = min(npages, i + KEEL_ZERO_PAGES);
		kernel_fpu_begin();
		for (; i < end; i++)
			keel_zero_page(va + (i << PAGE_SHIFT));
		kernel_fpu_end();
		cond_resched();
	}
	wmb();	/* before anybody else is told of it */
}

/*
 * Contiguous, but single pages, each with a reference count of its own. Beginning with a large page, if
 * there is one in it. The allocator's own blocks first: alloc_contig_pages() stops the world a little.
 */
int keel_piece_alloc(struct keel_piece *piece, unsigned long npages, bool zero)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_NOWARN;
	unsigned long rounded = npages < KEEL_LARGE_PAGES ? npages : ALIGN(npages, KEEL_LARGE_PAGES);
	struct page *pages;

	if (!keel_memory_left(rounded) && (!keel_kept_drop() || !keel_memory_left(rounded)))
		return -ENOMEM;
	piece->npages = npages;
	piece->va = NULL;
	if (npages <= MAX_ORDER_NR_PAGES)
		piece->va = alloc_pages_exact(npages << PAGE_SHIFT, gfp | __GFP_NORETRY);
	if (!piece->va)
		piece->va = keel_blocks_alloc(npages, gfp | __GFP_NORETRY);
	if (!piece->va) {
		/* It looks at multiples of the size, so that a multiple of a large page begins with one */
		pages = alloc_contig_pages(rounded, gfp, numa_mem_id(), NULL);
		if (!pages)
			return -ENOMEM;
		if (rounded != npages)
			free_contig_range(page_to_pfn(pages) + npages, rounded - npages);
		piece->va = page_address(pages);
	}
	if (zero)
		keel_zero(piece->va, npages);
	return 0;
}

/* Whether nobody else has any of these single pages: then they are one block again. */
static bool keel_pages_join(struct page *page, unsigned int npages)
{
	unsigned int i;

	for (i = 0; i < npages; i++) {
		if (page_ref_freeze(page + i, 1))
			continue;
		while (i--)
			page_ref_unfreeze(page + i, 1);
		return false;
	}
	page_ref_unfreeze(page, 1);
	return true;
}

/*
 * Some of the pages may still be mapped or pinned: they are free when that ends. Large pages, which most
 * of it is, go as they are: one by one they would be sorted into blocks again, at 500 instructions each.
 */
void keel_piece_free(struct keel_piece *piece)
{
	unsigned long pfn, end, step;

	if (!piece->va)
		return;
	pfn = __pa(piece->va) >> PAGE_SHIFT;
	for (end = pfn + piece->npages; pfn < end; pfn += step) {
		struct page *page = pfn_to_page(pfn);
		bool large = !(pfn % KEEL_LARGE_PAGES) && end - pfn >= KEEL_LARGE_PAGES &&
			     keel_pages_join(page, KEEL_LARGE_PAGES);

		step = large ? KEEL_LARGE_PAGES : 1;
		__free_pages(page, ilog2(step));
		if (!(pfn % KEEL_LARGE_PAGES))
			cond_resched();
	}
	piece->va = NULL;
}

int keel_piece_map(const struct keel_piece *piece, struct vm_area_struct *vma)
{
	void *page = piece->va;
	unsigned long addr;
	int ret = 0;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff || vma_pages(vma) > piece->npages)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	for (addr = vma->vm_start; addr < vma->vm_end && !ret; addr += PAGE_SIZE) {
		ret = vm_insert_page(vma, addr, virt_to_page(page));
		page += PAGE_SIZE;
	}
	return ret;
}

// SPDX-License-Identifier: MIT
/*
 * paging.c - the partition's own page tables.
 *
 * The metakernel built them in the partition's memory; from entry on they are ours. They are only a
 * wish: what the CPU walks are the metakernel's shadows, filled from here after it has checked that
 * the frame is ours or a channel's. So a wrong entry costs a fault, never anybody else's memory.
 */
#include <errno.h>
#include <rt/machine.h>
#include <rt/rt.h>

#define PTE_P		(1ULL << 0)
#define PTE_W		(1ULL << 1)
#define PTE_A		(1ULL << 5)
#define PTE_D		(1ULL << 6)
#define PTE_PS		(1ULL << 7)
#define PTE_NX		(1ULL << 63)
#define PTE_PA		0x000ffffffffff000ULL
#define LEVELS		4
#define LARGE_BYTES	(2UL << 20)

static unsigned slot(uint64_t va, int level)
{
	return (unsigned)(va >> (12 + 9 * level)) & 511;
}

/* Put a table of 4 KiB entries in the place of a 2 MiB one. */
static bool split(uint64_t *e)
{
	uint64_t *table = heap_pages(PAGE_BYTES);

	if (!table)
		return false;
	for (uint64_t i = 0; i < 512; i++)
		table[i] = (*e & ~PTE_PS) + i * PAGE_BYTES;
	*e = va_to_pa(table) | PTE_P | PTE_W | PTE_A;
	return true;
}

/* The entry of va at a level (0: 4 KiB), with what tables are missing made on the way; NULL if that fails. */
static uint64_t *entry_of(uint64_t va, int lowest)
{
	uint64_t *table = pa_to_va(rt_info->cr3_pa & PTE_PA);

	for (int level = LEVELS - 1; level > lowest; level--) {
		uint64_t *e = &table[slot(va, level)];

		if (!(*e & PTE_P)) {
			void *page = heap_pages(PAGE_BYTES);

			if (!page)
				return NULL;
			*e = va_to_pa(page) | PTE_P | PTE_W | PTE_A;
		} else if (*e & PTE_PS && (level != 1 || !split(e))) {
			return NULL;
		}
		table = pa_to_va(*e & PTE_PA);
	}
	return &table[slot(va, lowest)];
}

int paging_map(uint64_t va, uint64_t pa, size_t npages)
{
	bool changed = false;

	for (size_t i = 0; i < npages; i++) {
		uint64_t *e = entry_of(va + i * PAGE_BYTES, 0);

		if (!e)
			return -ENOMEM;
		changed |= (*e & PTE_P) != 0;
		*e = (pa + i * PAGE_BYTES) | PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX;
	}
	if (changed)
		hc1(KEEL_HC_FLUSH, KEEL_FLUSH_ALL);
	return 0;
}

int paging_map_large(uint64_t va, uint64_t pa, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t *e = entry_of(va + i * LARGE_BYTES, 1);

		if (!e)
			return -ENOMEM;
		*e = (pa + i * LARGE_BYTES) | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PS | PTE_NX;
	}
	return 0;
}

void paging_unmap_large(uint64_t va, size_t n)
{
	for (size_t i = 0; i < n; i++)
		*entry_of(va + i * LARGE_BYTES, 1) = 0;		/* the tables are there */
	hc1(KEEL_HC_FLUSH, KEEL_FLUSH_ALL);
}

bool paging_guard(uint64_t va)
{
	uint64_t *e = entry_of(va, 0);

	if (!e)
		return false;
	*e = 0;
	hc3(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, va, 1);	/* a 2 MiB entry was split for it: all of that goes */
	return true;
}

uint64_t paging_window_va(void)
{
	uint64_t end = KEEL_PEER_VA + rt_info->mem_bytes;

	return (end + 2 * LARGE_BYTES - 1) & ~(LARGE_BYTES - 1);
}

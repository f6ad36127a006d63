/* SPDX-License-Identifier: MIT */
/*
 * hal/memmap.h - make a firmware memory map usable: sorted, disjoint, joined.
 */
#ifndef HAL_MEMMAP_H
#define HAL_MEMMAP_H

#include <hal/boot.h>

/*
 * Rewrite region[0..n) in place: sorted by base, no overlaps (the less usable type wins), no empty
 * ones, equal neighbours joined. At most max regions come out; what does not fit is left out and
 * so is not RAM. Returns their number.
 */
unsigned int memmap_normalise(struct boot_region *region, unsigned int n, unsigned int max);

enum memmap_kind { MEMMAP_NONE, MEMMAP_SOME, MEMMAP_ALL };

/* How much of [base, base + bytes) is memory (RAM, ACPI tables, NVS) in a normalised map. */
enum memmap_kind memmap_memory(const struct boot_region *region, unsigned int n,
			       uint64_t base, uint64_t bytes);

/*
 * First address >= from where bytes (page multiples) of plain RAM lie that do not touch
 * [hole, hole + hole_bytes). 0 if there is none.
 */
uint64_t memmap_find_ram(const struct boot_region *region, unsigned int n, uint64_t from,
			 uint64_t bytes, uint64_t hole, uint64_t hole_bytes);

#endif

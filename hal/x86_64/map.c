// SPDX-License-Identifier: MIT
/*
 * map.c - what of the address map is still wanted once partitions run. hal/x86_64/boot/boot.c makes it, and has the picture.
 *
 * Owns:    the entries of what is used only once.
 * Context: interrupts off; hal_once_over() on the boot CPU before any other runs.
 */
#include <hal/boot.h>
#include <hal/cpu.h>
#include "map.h"

#define PTE_ADDR	0x000ffffffffff000
#define TABLE_ENTRIES	512

uint64_t map_end;

paddr_t hal_boot_cr3(void)
{
	return va_to_pa(boot_pml4);
}

const void *hal_phys_window(paddr_t pa, uint64_t bytes)
{
	if (pa + bytes < pa || pa + bytes > map_end)
		return NULL;
	return pa_to_va(pa);
}

void hal_once_over(void)
{
	for (vaddr_t va = (vaddr_t)__once_start; va < (vaddr_t)__once_end; va += PAGE_SIZE) {
		uint64_t page = (va - HAL_IMAGE_BASE) >> PAGE_SHIFT;
		uint64_t *pt = pa_to_va(boot_pd_image[page / TABLE_ENTRIES] & PTE_ADDR);

		pt[page % TABLE_ENTRIES] = 0;
		__builtin_memset(pa_to_va(page << PAGE_SHIFT), 0, PAGE_SIZE);
	}
	hal_write_cr3(hal_boot_cr3());
}

const char *hal_build_id(void)
{
	/* An ELF note: name size 4, descriptor size, type, "GNU\0", descriptor. */
	static char hex[41];
	const unsigned char *note = (const unsigned char *)__build_id_start;
	size_t len = (size_t)(__build_id_end - __build_id_start);

	if (len <= 16 || hex[0])
		return hex;
	len = min_u64(len - 16, 20);
	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = "0123456789abcdef"[note[16 + i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[note[16 + i] & 15];
	}
	return hex;
}

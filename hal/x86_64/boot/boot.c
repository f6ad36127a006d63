// SPDX-License-Identifier: MIT
/*
 * boot.c - hal_boot(): from the first C instruction to keel_main() on the final address map.
 *
 *   0xffff800000000000 + pa   direct map, 2 MiB pages, NX; memory write-back, all else uncached.
 *                             A 2 MiB page that is partly memory is split into 4 KiB pages.
 *                             Below 4 GiB everything is mapped, above only what the memory map names.
 *   0xffffffff80100000        the image in 4 KiB pages: text R X, rodata R, data and bss R W; what is used
 *                             only once (__once_start) until the first partition runs;
 *                             the page under the boot stack is absent
 *   lower half                empty
 *
 * Owns:       the metakernel's page tables; RAM up to boot_info.early_end, and from more_base to more_end.
 * Context:    boot CPU, interrupts off, no IDT yet: a fault here resets the machine.
 * Invariants: no entry has G; nothing is writable and executable once remap_image() is done.
 */
#include <hal/acpi.h>
#include <hal/boot.h>
#include <hal/console.h>
#include <hal/cpu.h>
#include <hal/hooks.h>
#include <hal/memmap.h>
#include <hal/power.h>
#include "../map.h"
#include "bootinfo.h"

#define PTE_P		bit64(0)
#define PTE_RW		bit64(1)
#define PTE_UC		(bit64(3) | bit64(4))	/* PWT | PCD: PAT entry 3 after reset, UC */
#define PTE_PS		bit64(7)
#define PTE_NX		bit64(63)
#define PTE_ADDR	0x000ffffffffff000
#define TABLE_ENTRIES	512

#define SIZE_2M		0x200000ULL
#define SIZE_4G		0x100000000ULL
#define DIRECT_MAP_MAX	(64ULL << 40)		/* 128 of the 128 + 127 top-level slots */

#define ACPI_SCAN_MAX	0x4000000

#define IMAGE_END_MARK	0x646e65206c65656b	/* "keel end" */

extern uint64_t boot_pdpt_low[], boot_pd_low[];
extern const uint64_t hal_image_end_mark;

static struct boot_info boot_info;

static void __noreturn boot_die(const char *why)
{
	hal_console_puts("[keel] boot: ");
	hal_console_puts(why);
	hal_console_puts("\r\n");
	hal_exit(HAL_EXIT_PANIC);
}

/*
 * First from here. A machine with more than 64 GiB, or with many holes in its memory, needs more tables: from the middle of what RAM
 * there is below 4 GiB, which start.S has mapped. Not behind the image: from 16 MiB on is where Linux is linked to be.
 */
static uint8_t early_pool[64][PAGE_SIZE] __aligned(PAGE_SIZE);
static size_t early_used;

paddr_t hal_early_alloc(size_t npages)
{
	struct boot_info *bi = &boot_info;
	uint64_t bytes = npages << PAGE_SHIFT;

	if (npages <= ARRAY_SIZE(early_pool) - early_used) {
		early_used += npages;
		return va_to_pa(early_pool[early_used - npages]);
	}

	if (!bi->more_end)
		bi->more_base = bi->more_end = max_u64(bi->early_end, min_u64(bi->ram_end, SIZE_4G) / 2);

	paddr_t pa = memmap_find_ram(bi->region, bi->nregions, bi->more_end, bytes, bi->module_pa, bi->module_bytes);

	if (!pa || pa + bytes > SIZE_4G)
		boot_die("no memory below 4 GiB for the metakernel's page tables");
	bi->more_end = pa + bytes;
	__builtin_memset(pa_to_va(pa), 0, bytes);
	return pa;
}

/* The table that entry e points to, made if it is absent. */
static uint64_t *table_below(uint64_t *e)
{
	if (!(*e & PTE_P))
		*e = hal_early_alloc(1) | PTE_P | PTE_RW;
	return pa_to_va(*e & PTE_ADDR);
}

static uint64_t leaf_flags(bool memory)
{
	return PTE_P | PTE_RW | PTE_NX | (memory ? 0 : PTE_UC);
}

/* A 2 MiB page that is partly memory becomes a table of 4 KiB pages. */
static uint64_t split_2m(const struct boot_info *bi, paddr_t base)
{
	paddr_t table_pa = hal_early_alloc(1);
	uint64_t *pt = pa_to_va(table_pa);

	for (unsigned int i = 0; i < TABLE_ENTRIES; i++) {
		paddr_t pa = base + ((uint64_t)i << PAGE_SHIFT);
		enum memmap_kind kind = memmap_memory(bi->region, bi->nregions, pa, PAGE_SIZE);

		pt[i] = pa | leaf_flags(kind == MEMMAP_ALL);
	}
	return table_pa | PTE_P | PTE_RW;
}

static void map_direct_2m(const struct boot_info *bi, paddr_t pa)
{
	uint64_t *pml4e = &boot_pml4[256 + (pa >> 39)];
	uint64_t *pdpte = &table_below(pml4e)[(pa >> 30) % TABLE_ENTRIES];
	uint64_t *pde = &table_below(pdpte)[(pa >> 21) % TABLE_ENTRIES];
	enum memmap_kind kind = memmap_memory(bi->region, bi->nregions, pa, SIZE_2M);

	if (kind == MEMMAP_SOME)
		*pde = split_2m(bi, pa);
	else
		*pde = pa | PTE_PS | leaf_flags(kind == MEMMAP_ALL);
}

/* Tables come from memory that start.S already mapped, so the order of the steps does not matter. */
static void map_direct(struct boot_info *bi)
{
	for (paddr_t pa = 0; pa < SIZE_4G; pa += SIZE_2M)
		map_direct_2m(bi, pa);
	for (unsigned int i = 0; i < bi->nregions; i++) {
		const struct boot_region *r = &bi->region[i];
		uint64_t end = min_u64(r->base + r->bytes, DIRECT_MAP_MAX);

		if (r->type == BOOT_RESERVED || r->type == BOOT_BAD)
			continue;
		for (paddr_t pa = max_u64(align_down(r->base, SIZE_2M), SIZE_4G); pa < end; pa += SIZE_2M)
			map_direct_2m(bi, pa);
		bi->direct_map_end = max_u64(bi->direct_map_end, end);
	}
}

static uint64_t image_flags(vaddr_t va)
{
	if (va >= (vaddr_t)__text_start && va < (vaddr_t)__tramp_text_end)
		return PTE_P;
	if (va >= (vaddr_t)__once_start && va < (vaddr_t)__once_text_end)
		return PTE_P;
	if (va >= (vaddr_t)__once_text_end && va < (vaddr_t)__once_end)
		return PTE_P | PTE_NX;
	if (va >= (vaddr_t)__rodata_start && va < (vaddr_t)__rodata_end)
		return PTE_P | PTE_NX;
	if (va == (vaddr_t)hal_boot_stack_guard || va < (vaddr_t)__text_start)
		return 0;
	return PTE_P | PTE_RW | PTE_NX;
}

static void remap_image(void)
{
	uint64_t pages = ((vaddr_t)__image_end - HAL_IMAGE_BASE) >> PAGE_SHIFT;
	uint64_t first = HAL_IMAGE_PA >> PAGE_SHIFT;

	for (unsigned int i = 0; i < TABLE_ENTRIES && (uint64_t)i * TABLE_ENTRIES < pages; i++) {
		paddr_t table_pa = hal_early_alloc(1);
		uint64_t *pt = pa_to_va(table_pa);

		for (unsigned int j = 0; j < TABLE_ENTRIES; j++) {
			uint64_t page = (uint64_t)i * TABLE_ENTRIES + j;
			uint64_t flags = 0;

			if (page >= first && page < pages)
				flags = image_flags(HAL_IMAGE_BASE + (page << PAGE_SHIFT));
			pt[j] = flags ? page << PAGE_SHIFT | flags : 0;
		}
		/* The entry that maps this very code changes under it; old and new agree. */
		boot_pd_image[i] = table_pa | PTE_P | PTE_RW;
	}
	for (unsigned int i = 0; i < TABLE_ENTRIES; i++)
		if (boot_pd_image[i] & PTE_PS)
			boot_pd_image[i] = 0;
}

static void find_ram_end(struct boot_info *bi)
{
	for (unsigned int i = 0; i < bi->nregions; i++)
		if (bi->region[i].type == BOOT_RAM)
			bi->ram_end = bi->region[i].base + bi->region[i].bytes;
}

/*
 * Prefer the original to the loader's copy, which a partition could not read: BIOS keeps it below
 * 1 MiB, UEFI in ACPI memory.
 */
static void find_rsdp(struct boot_info *bi)
{
	paddr_t pa = acpi_scan_rsdp();

	for (unsigned int i = 0; i < bi->nregions && !pa; i++)
		if (bi->region[i].type == BOOT_ACPI && bi->region[i].bytes <= ACPI_SCAN_MAX)
			pa = acpi_scan_range(bi->region[i].base, bi->region[i].bytes);
	if (pa)
		bi->rsdp_pa = pa;
	else
		bi->rsdp_is_copy = bi->rsdp_pa != 0;
}

void __noreturn hal_boot(uint32_t magic, uint32_t info_pa)
{
	struct boot_info *bi = &boot_info;

	hal_console_init();
	hal_cpu_init();
	hal_cpu_check();
	if (READ_ONCE(hal_image_end_mark) != IMAGE_END_MARK)
		boot_die("the boot loader misplaced the image");
	if (!bootinfo_parse(bi, magic, info_pa))
		boot_die("not started by a Multiboot loader");
	bi->nregions = memmap_normalise(bi->region, bi->nregions, BOOT_MAX_REGIONS);
	find_ram_end(bi);
	bi->early_end = va_to_pa(__image_end);
	bi->direct_map_end = SIZE_4G;
	map_direct(bi);
	map_end = bi->direct_map_end;
	remap_image();
	boot_pml4[0] = 0;
	hal_write_cr3(hal_boot_cr3());
	find_rsdp(bi);
	keel_main(bi);
}

// SPDX-License-Identifier: MIT
/*
 * smp.c - the start page: where a CPU begins in real mode, and the tables it turns paging on with.
 *
 *   start        code and words of ap.S
 *   start + 1    top level: the boot CPU's, and in entry 0 the next
 *   start + 2      -> start + 3: the first 2 MiB where they are, executable
 *
 * A CPU's own tables may lie above 4 GiB, where CR3 cannot point yet while it is in 32-bit mode; hence these.
 *
 * Owns:       four pages of RAM below 1 MiB, from hal_smp_begin() to hal_smp_end().
 * Context:    boot CPU, before any partition has memory; gone with what runs once.
 */
#include <hal/cpu.h>
#include <hal/irq.h>
#include <hal/memmap.h>
#include <hal/smp.h>
#include "ap.h"

#define START_PAGES	4
#define START_LOWEST	0x10000		/* firmware is careless with what is below */
#define START_END	0xa0000
#define PTE_P		bit64(0)
#define PTE_RW		bit64(1)
#define PTE_PS		bit64(7)
#define SECOND_SIPI_US	1000		/* 200 would do for a CPU that has a core to itself */

extern uint64_t boot_pml4[], boot_pdpt_image[];

static paddr_t start_pa;
static struct ap_words *words;

/* Any will do but the pages Linux's loader fills, so that nobody has to think about the order. */
static paddr_t find_start(const struct boot_info *bi)
{
	paddr_t pa = memmap_find_ram(bi->region, bi->nregions, START_LOWEST, START_PAGES * PAGE_SIZE, 0x90000, 0x2000);

	return pa + START_PAGES * PAGE_SIZE <= START_END ? pa : 0;
}

static uint32_t start_address(const char *label)
{
	return (uint32_t)(start_pa + (paddr_t)(label - hal_ap_page));
}

bool hal_smp_begin(const struct boot_info *bi)
{
	uint64_t *l4, *l3, *l2;

	start_pa = find_start(bi);
	if (!start_pa)
		return false;
	__builtin_memset(pa_to_va(start_pa), 0, START_PAGES * PAGE_SIZE);
	l4 = pa_to_va(start_pa + PAGE_SIZE);
	l3 = l4 + PAGE_SIZE / 8;
	l2 = l3 + PAGE_SIZE / 8;
	__builtin_memcpy(l4, boot_pml4, PAGE_SIZE);
	l4[0] = va_to_pa(l3) | PTE_P | PTE_RW;
	l3[0] = va_to_pa(l2) | PTE_P | PTE_RW;
	l2[0] = PTE_P | PTE_RW | PTE_PS;
	__builtin_memcpy(pa_to_va(start_pa), hal_ap_page, (size_t)(hal_ap_page_end - hal_ap_page));
	words = pa_to_va(start_address(hal_ap_words));
	*words = (struct ap_words) {
		.start_cr3 = (uint32_t)va_to_pa(l4),
		.gdt_limit = sizeof(words->gdt) - 1,
		.gdt_base = start_address(hal_ap_words) + AP_GDT,
		.jump32 = { start_address(hal_ap_32), AP_CS32 },
		.jump64 = { start_address(hal_ap_64), AP_CS64 },
		.gdt = { 0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff },
	};
	return true;
}

void hal_smp_start(uint32_t apic_id, paddr_t cr3)
{
	uint64_t t0;

	words->own_cr3 = cr3;
	__atomic_store_n(&words->taken, 0, __ATOMIC_RELEASE);
	hal_apic_startup_ipi(apic_id, (uint8_t)(start_pa >> PAGE_SHIFT));
	t0 = hal_rdtsc();
	while (!READ_ONCE(words->taken) && hal_rdtsc() - t0 < SECOND_SIPI_US * hal_tsc_khz() / 1000)
		hal_pause();
	if (!READ_ONCE(words->taken))
		hal_apic_startup_ipi(apic_id, (uint8_t)(start_pa >> PAGE_SHIFT));
}

void hal_smp_end(void)
{
	__builtin_memset(pa_to_va(start_pa), 0, START_PAGES * PAGE_SIZE);
}

void hal_smp_tables(uint64_t *l4, uint64_t *l3)
{
	__builtin_memcpy(l4, boot_pml4, PAGE_SIZE);
	__builtin_memcpy(l3, boot_pdpt_image, PAGE_SIZE);
	l3[511] = 0;
	l4[511] = va_to_pa(l3) | PTE_P | PTE_RW;
}

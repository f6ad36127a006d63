// SPDX-License-Identifier: MIT
/*
 * windows.c - the device windows: which machine addresses beside memory a `devices` partition may map.
 *
 *   0 .. 1 MiB           video memory; the rest (EBDA, ROMs) to read
 *   firmware tables      regions inside or right above low RAM, to read
 *   .. 0xfec00000        the PCI hole
 *   above all RAM        64-bit BARs
 *
 * Out of all of these are cut (rule 24) the holes: what the memory map calls reserved, configuration
 * space, and wherever the tables say they are IOAPICs, local APICs, HPET, IOMMUs, registers of power
 * management and reset, and the chipset's own BARs (flash, power management).
 */
#include <hal/acpi.h>
#include <hal/boot.h>
#include <hal/cpu.h>
#include "boot/windows.h"
#include "mm/leaf.h"
#include "lib/panic.h"

#define VIDEO		0xa0000UL
#define VIDEO_END	0xc0000UL
#define LOW_1M		0x100000UL
#define LOW_4G		0x100000000UL
#define DEVICE_HOLE_END	0xfec00000UL	/* from here to 4 GiB: IOAPIC, HPET, LAPIC, chipset, flash */
#define TABLES_SPAN	0x1000000UL	/* firmware tables are at most so far above low RAM */
#define APIC_BASE_PA	0xffffffffff000UL
#define MAX_HOLES	(BOOT_MAX_REGIONS + CHIPSET_MAX_RANGES + 2 * ACPI_NFIXED + 48)

static struct { paddr_t base, end; } hole[MAX_HOLES];
static unsigned int nholes;

static void add_hole(paddr_t base, uint64_t bytes)
{
	if (!bytes || base + bytes < base)
		return;
	ASSERT(nholes < MAX_HOLES);
	hole[nholes].base = align_down(base, PAGE_SIZE);
	hole[nholes++].end = align_up(base + bytes, PAGE_SIZE);
}

/* [base, end) without the holes. */
static void allow(paddr_t base, paddr_t end, bool write)
{
	unsigned int i;

	while (base < end) {
		paddr_t stop = end, next = end;

		for (i = 0; i < nholes; i++)
			if (hole[i].end > base && hole[i].base < stop) {
				stop = max_u64(hole[i].base, base);
				next = hole[i].end;
			}
		if (stop > base)
			leaf_allow_mmio(base, stop - base, write);
		base = next;
	}
}

static void acpi_holes(const struct acpi_info *acpi)
{
	unsigned int i;

	add_hole(acpi->lapic_pa, LOW_1M);
	add_hole(hal_rdmsr(MSR_APIC_BASE) & APIC_BASE_PA, PAGE_SIZE);
	add_hole(acpi->hpet_pa, acpi->hpet_pa ? PAGE_SIZE : 0);
	for (i = 0; i < acpi->nioapics; i++)
		add_hole(acpi->ioapic[i].pa, PAGE_SIZE);
	for (i = 0; i < acpi->nmcfg; i++)
		add_hole(acpi->mcfg[i].pa + acpi->mcfg[i].bus_first * LOW_1M,
			 (acpi->mcfg[i].bus_last + 1UL - acpi->mcfg[i].bus_first) * LOW_1M);
	for (i = 0; i < acpi->niommus; i++)
		add_hole(acpi->iommu[i].pa, acpi->iommu[i].bytes);
	for (i = 0; i < ARRAY_SIZE(acpi->fixed); i++)
		if (!acpi->fixed[i].io)
			add_hole(acpi->fixed[i].pa, acpi->fixed[i].bytes);
}

static void map_holes(const struct boot_info *bi, paddr_t from)
{
	unsigned int i;

	for (i = 0; i < bi->nregions; i++)
		if (bi->region[i].type != BOOT_RAM && bi->region[i].base >= from)
			add_hole(bi->region[i].base, bi->region[i].bytes);
}

/* Ends of RAM below and above 4 GiB. */
static void ram_tops(const struct boot_info *bi, paddr_t *low, paddr_t *high)
{
	unsigned int i;

	*low = LOW_1M;
	*high = LOW_4G;
	for (i = 0; i < bi->nregions; i++) {
		paddr_t end = align_up(bi->region[i].base + bi->region[i].bytes, PAGE_SIZE);

		if (bi->region[i].type != BOOT_RAM)
			continue;
		if (end <= LOW_4G && end > *low)
			*low = end;
		if (end > *high)
			*high = end;
	}
}

/* Regions the firmware keeps, to read; *low_top moves above those that follow RAM without a gap. */
static void allow_tables(const struct boot_info *bi, paddr_t *low_top)
{
	paddr_t limit = min_u64(*low_top + TABLES_SPAN, DEVICE_HOLE_END);
	unsigned int i;

	for (i = 0; i < bi->nregions; i++) {
		const struct boot_region *r = &bi->region[i];
		paddr_t end = align_up(r->base + r->bytes, PAGE_SIZE);

		if (r->type == BOOT_RAM || r->base < LOW_1M || r->base > limit)
			continue;
		allow(align_down(r->base, PAGE_SIZE), min_u64(end, DEVICE_HOLE_END), false);
		if (r->base <= *low_top && end > *low_top && end < DEVICE_HOLE_END)
			*low_top = end;
	}
}

void windows_allow(const struct boot_info *bi, const struct acpi_info *acpi, const struct chipset *chipset)
{
	uint64_t limit = 1UL << hal_cpu()->phys_bits;
	paddr_t low_top, high_top;
	unsigned int i;

	nholes = 0;
	ram_tops(bi, &low_top, &high_top);
	acpi_holes(acpi);
	for (i = 0; i < chipset->nmemory; i++)
		add_hole(chipset->memory[i].base, chipset->memory[i].end - chipset->memory[i].base);
	allow(VIDEO, VIDEO_END, true);
	allow(0, VIDEO, false);
	allow(VIDEO_END, LOW_1M, false);
	allow_tables(bi, &low_top);
	/* What firmware keeps among the devices is the chipset's. */
	map_holes(bi, low_top);
	allow(low_top, DEVICE_HOLE_END, true);
	allow(high_top, limit, true);
}

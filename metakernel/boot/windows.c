// SPDX-License-Identifier: MIT
/*
 * windows.c - the device windows: which machine addresses beside memory a `devices` partition may map.
 */
#include <hal/acpi.h>
#include <hal/boot.h>
#include <hal/cpu.h>
#include "boot/windows.h"
#include "mm/leaf.h"

#define LOW_1M		0x100000UL
#define DEVICE_HOLE_END	0xfec00000UL	/* IOAPIC, HPET, LAPIC, flash lie from here to 4 GiB */
#define LOW_4G		0x100000000UL

/* One window, without the PCI configuration space in it. */
static void allow_window(const struct acpi_info *acpi, paddr_t base, paddr_t end)
{
	unsigned int i;

	while (base < end) {
		paddr_t stop = end, next = end;

		for (i = 0; i < acpi->nmcfg; i++) {
			const struct acpi_mcfg *m = &acpi->mcfg[i];
			paddr_t from = m->pa + m->bus_first * LOW_1M;
			paddr_t to = m->pa + (m->bus_last + 1UL) * LOW_1M;

			if (to > base && from < stop) {
				stop = max_u64(from, base);
				next = to;
			}
		}
		if (stop > base)
			leaf_allow_mmio(base, stop - base);
		base = next;
	}
}

/*
 * What a partition with `devices` may map besides memory (rule 24): the legacy video and ROM area,
 * firmware tables, the PCI hole below 4 GiB without the configuration space window, and the space
 * above all RAM. Never IOAPIC, HPET, LAPIC, flash.
 */
void windows_allow(const struct boot_info *bi, const struct acpi_info *acpi)
{
	paddr_t low_top = LOW_1M, high_top = LOW_4G, hole_end = DEVICE_HOLE_END;
	uint64_t limit = 1UL << hal_cpu()->phys_bits;
	unsigned int i;

	leaf_allow_mmio(0, LOW_1M);	/* what is not RAM there: EBDA, video, ROM */
	for (i = 0; i < bi->nregions; i++) {
		const struct boot_region *r = &bi->region[i];
		paddr_t end = align_up(r->base + r->bytes, PAGE_SIZE);

		if (r->type == BOOT_RAM) {
			if (end <= LOW_4G && end > low_top)
				low_top = end;
			if (end > high_top)
				high_top = end;
		}
	}
	for (i = 0; i < bi->nregions; i++) {
		const struct boot_region *r = &bi->region[i];
		paddr_t end = align_up(r->base + r->bytes, PAGE_SIZE);

		/* firmware tables lie inside or right above low RAM */
		if (r->type != BOOT_RAM && r->base >= LOW_1M && r->base < hole_end &&
		    r->base <= low_top + 0x1000000)
			allow_window(acpi, align_down(r->base, PAGE_SIZE), min_u64(end, hole_end));
		if (r->type != BOOT_RAM && r->base <= low_top && end > low_top && end < hole_end)
			low_top = end;
	}
	allow_window(acpi, low_top, hole_end);
	allow_window(acpi, high_top, limit);
}

// SPDX-License-Identifier: MIT
/*
 * ioapic.c - I/O APICs (data sheet: Intel 82093AA): an index register and a window, each entry
 * in two halves.
 *
 * Context: interrupts off, one CPU at a time (index and window are a pair).
 */
#include <hal/cpu.h>
#include <hal/ioapic.h>
#include "ioapic_state.h"

#define REG_SELECT	0x00
#define REG_WINDOW	0x10

const struct acpi_info *ioapic_acpi;
unsigned int ioapic_entries[ACPI_MAX_IOAPICS];

unsigned int hal_ioapic_count(void)
{
	return ioapic_acpi ? ioapic_acpi->nioapics : 0;
}

unsigned int hal_ioapic_entries(unsigned int index)
{
	return index < hal_ioapic_count() ? ioapic_entries[index] : 0;
}

uint32_t hal_ioapic_read(unsigned int index, uint8_t reg)
{
	char *base;

	if (index >= hal_ioapic_count())
		return 0;
	base = pa_to_va(ioapic_acpi->ioapic[index].pa);
	hal_mmio_write32(base + REG_SELECT, reg);
	return hal_mmio_read32(base + REG_WINDOW);
}

void hal_ioapic_write(unsigned int index, uint8_t reg, uint32_t v)
{
	char *base;

	if (index >= hal_ioapic_count())
		return;
	base = pa_to_va(ioapic_acpi->ioapic[index].pa);
	hal_mmio_write32(base + REG_SELECT, reg);
	hal_mmio_write32(base + REG_WINDOW, v);
}

bool hal_ioapic_find(uint32_t gsi, unsigned int *index, unsigned int *entry)
{
	for (unsigned int i = 0; i < hal_ioapic_count(); i++) {
		uint32_t base = ioapic_acpi->ioapic[i].gsi_base;

		if (gsi < base || gsi - base >= ioapic_entries[i])
			continue;
		*index = i;
		*entry = gsi - base;
		return true;
	}
	return false;
}

void hal_ioapic_mask(unsigned int index, unsigned int entry, bool masked)
{
	uint8_t reg = (uint8_t)IOAPIC_RTE(entry);
	uint32_t low;

	if (entry >= hal_ioapic_entries(index))
		return;
	low = hal_ioapic_read(index, reg) & ~(uint32_t)RTE_MASKED;
	hal_ioapic_write(index, reg, masked ? low | RTE_MASKED : low);
}

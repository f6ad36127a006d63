// SPDX-License-Identifier: MIT
/*
 * ioapic.c - I/O APICs (data sheet: Intel 82093AA): an index register and a window, each entry
 * in two halves.
 *
 * Context: interrupts off, one CPU at a time (index and window are a pair).
 */
#include <hal/cpu.h>
#include <hal/ioapic.h>

#define REG_SELECT	0x00
#define REG_WINDOW	0x10
#define ENOENT		2

static const struct acpi_info *acpi;
static unsigned int entries[ACPI_MAX_IOAPICS];

unsigned int hal_ioapic_count(void)
{
	return acpi ? acpi->nioapics : 0;
}

unsigned int hal_ioapic_entries(unsigned int index)
{
	return index < hal_ioapic_count() ? entries[index] : 0;
}

uint32_t hal_ioapic_gsi_base(unsigned int index)
{
	return index < hal_ioapic_count() ? acpi->ioapic[index].gsi_base : 0;
}

paddr_t hal_ioapic_pa(unsigned int index)
{
	return index < hal_ioapic_count() ? acpi->ioapic[index].pa : 0;
}

uint32_t hal_ioapic_read(unsigned int index, uint8_t reg)
{
	char *base;

	if (index >= hal_ioapic_count())
		return 0;
	base = pa_to_va(acpi->ioapic[index].pa);
	hal_mmio_write32(base + REG_SELECT, reg);
	return hal_mmio_read32(base + REG_WINDOW);
}

void hal_ioapic_write(unsigned int index, uint8_t reg, uint32_t v)
{
	char *base;

	if (index >= hal_ioapic_count())
		return;
	base = pa_to_va(acpi->ioapic[index].pa);
	hal_mmio_write32(base + REG_SELECT, reg);
	hal_mmio_write32(base + REG_WINDOW, v);
}

__once void hal_ioapic_init(const struct acpi_info *info)
{
	acpi = info;
	for (unsigned int i = 0; i < info->nioapics; i++) {
		uint32_t version = hal_ioapic_read(i, IOAPIC_VERSION);

		/* All ones: nothing answers at that address. At most 120 entries fit the index. */
		entries[i] = version == 0xffffffff ? 0 : (version >> 16 & 0xff) + 1;
		if (entries[i] > 120)
			entries[i] = 120;
		for (unsigned int e = 0; e < entries[i]; e++) {
			hal_ioapic_write(i, (uint8_t)IOAPIC_RTE(e), RTE_MASKED);
			hal_ioapic_write(i, (uint8_t)(IOAPIC_RTE(e) + 1), 0);
		}
	}
}

bool hal_ioapic_find(uint32_t gsi, unsigned int *index, unsigned int *entry)
{
	for (unsigned int i = 0; i < hal_ioapic_count(); i++) {
		uint32_t base = acpi->ioapic[i].gsi_base;

		if (gsi < base || gsi - base >= entries[i])
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

/* ISA lines are edge-triggered, active high, at the GSI of their number, unless overridden. */
__once static uint32_t isa_gsi(uint8_t irq, uint32_t *mode)
{
	*mode = 0;
	for (unsigned int i = 0; i < acpi->noverrides; i++) {
		const struct acpi_override *o = &acpi->override[i];

		if (o->irq != irq)
			continue;
		if ((o->flags & 3) == 3)
			*mode |= RTE_LOW;
		if ((o->flags >> 2 & 3) == 3)
			*mode |= RTE_LEVEL;
		return o->gsi;
	}
	return irq;
}

__once int hal_ioapic_route_isa(uint8_t irq, uint8_t vector, uint32_t apic_id)
{
	unsigned int index, entry;
	uint32_t mode;

	if (!acpi || !hal_ioapic_find(isa_gsi(irq, &mode), &index, &entry))
		return -ENOENT;
	hal_ioapic_write(index, (uint8_t)(IOAPIC_RTE(entry) + 1), apic_id << 24);
	hal_ioapic_write(index, (uint8_t)IOAPIC_RTE(entry), mode | vector);
	return 0;
}

// SPDX-License-Identifier: MIT
/* ioapic_init.c - finding the I/O APICs' entries, and a line of the metakernel's own. */
#include <hal/ioapic.h>
#include "../ioapic_state.h"

#define ENOENT	2

void hal_ioapic_init(const struct acpi_info *info)
{
	ioapic_acpi = info;
	for (unsigned int i = 0; i < info->nioapics; i++) {
		uint32_t version = hal_ioapic_read(i, IOAPIC_VERSION);

		/* All ones: nothing answers at that address. At most 120 entries fit the index. */
		ioapic_entries[i] = version == 0xffffffff ? 0 : (version >> 16 & 0xff) + 1;
		if (ioapic_entries[i] > 120)
			ioapic_entries[i] = 120;
		for (unsigned int e = 0; e < ioapic_entries[i]; e++) {
			hal_ioapic_write(i, (uint8_t)IOAPIC_RTE(e), RTE_MASKED);
			hal_ioapic_write(i, (uint8_t)(IOAPIC_RTE(e) + 1), 0);
		}
	}
}

/* ISA lines are edge-triggered, active high, at the GSI of their number, unless overridden. */
static uint32_t isa_gsi(uint8_t irq, uint32_t *mode)
{
	*mode = 0;
	for (unsigned int i = 0; i < ioapic_acpi->noverrides; i++) {
		const struct acpi_override *o = &ioapic_acpi->override[i];

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

int hal_ioapic_route_isa(uint8_t irq, uint8_t vector, uint32_t apic_id)
{
	unsigned int index, entry;
	uint32_t mode;

	if (!ioapic_acpi || !hal_ioapic_find(isa_gsi(irq, &mode), &index, &entry))
		return -ENOENT;
	hal_ioapic_write(index, (uint8_t)(IOAPIC_RTE(entry) + 1), apic_id << 24);
	hal_ioapic_write(index, (uint8_t)IOAPIC_RTE(entry), mode | vector);
	return 0;
}

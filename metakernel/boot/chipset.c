// SPDX-License-Identifier: MIT
/*
 * chipset.c - the chipset's memory and power management, from PCI configuration space.
 *
 * ACPI does not say where the registers of flash controllers, power management controllers and the like
 * are; their BARs do. Intel's power management base is read where the datasheets have it, for machines
 * whose ACPI tables are missing or wrong.
 *
 * Context: boot, before partitions.
 */
#include <hal/pci.h>
#include "boot/chipset.h"
#include "entry/pci.h"

#define FUNCTION(bus, dev, fn)	((bus) << 16 | (dev) << 11 | (fn) << 8)
#define MULTI_FUNCTION		0x80

static void add_memory(struct chipset *c, uint32_t function)
{
	unsigned int i;

	for (i = 0; i < 6; i++) {
		struct pci_bar bar = pci_bar(function, i);

		if (!bar.io && bar.bytes && c->nmemory < CHIPSET_MAX_RANGES) {
			c->memory[c->nmemory].base = bar.base;
			c->memory[c->nmemory++].end = bar.base + bar.bytes;
		}
		i += bar.wide;
	}
}

/* PIIX4: function 3 of the ISA bridge; ICH and its successors: the LPC bridge. Both at 0x40. */
static void add_power(struct chipset *c, uint32_t function)
{
	uint32_t id = hal_pci_read(function | PCI_ID, 4), class = hal_pci_read(function | PCI_CLASS, 4) >> 16;
	uint32_t base;

	if (id != 0x71138086 && ((id & 0xffff) != 0x8086 || class != 0x0601))
		return;
	base = hal_pci_read(function | 0x40, 4);
	/* bit 0: ports; PIIX3's ISA bridge has nothing of the kind there */
	if (base & 1 && (base & 0xffc0) && c->npower < ARRAY_SIZE(c->power))
		c->power[c->npower++] = (uint16_t)(base & 0xffc0);
}

static void look(struct chipset *c, uint32_t function, uint32_t *buses)
{
	uint32_t class = hal_pci_read(function | PCI_CLASS, 4) >> 24;
	unsigned int bus;

	switch (pci_kind(function)) {
	case PCI_CHIPSET:
		add_power(c, function);
		/* A bridge's BARs are windows for others (AGP), and asking for their size would move them. */
		if (class != 0x06)
			add_memory(c, function);
		break;
	case PCI_BRIDGE:
		bus = hal_pci_read(function | (PCI_BRIDGE_BUSES + 1), 1);
		buses[bus / 32] |= 1U << (bus % 32);
		break;
	default:
		break;
	}
}

static void scan_bus(struct chipset *c, uint32_t bus, uint32_t *buses)
{
	uint32_t dev, fn;

	for (dev = 0; dev < 32; dev++) {
		uint32_t first = FUNCTION(bus, dev, 0);

		if (pci_kind(first) == PCI_ABSENT)
			continue;
		look(c, first, buses);
		if (!(hal_pci_read(first | PCI_HEADER_TYPE, 1) & MULTI_FUNCTION))
			continue;
		for (fn = 1; fn < 8; fn++)
			look(c, FUNCTION(bus, dev, fn), buses);
	}
}

void chipset_scan(struct chipset *c)
{
	uint32_t buses[8] = { 1 };	/* to be looked at; a bridge's bus has a higher number than the bridge */
	uint32_t bus;

	c->nmemory = c->npower = 0;
	for (bus = 0; bus < 256; bus++)
		if (buses[bus / 32] & 1U << (bus % 32))
			scan_bus(c, bus, buses);
}

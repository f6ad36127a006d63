/* SPDX-License-Identifier: MIT */
/*
 * pci.h - the configuration space that a partition with the devices sees.
 */
#ifndef METAKERNEL_ENTRY_PCI_H
#define METAKERNEL_ENTRY_PCI_H

#include <hal/pci.h>
#include "part/busmaster.h"
#include "run/vcpu.h"

/* What a function is to the filter. */
enum pci_kind {
	PCI_ABSENT,
	PCI_CHIPSET,	/* part of the machine's own logic: few registers may be written */
	PCI_BRIDGE,	/* PCI-PCI bridge */
	PCI_DEVICE,
};

/* `function`: bus << 16 | device << 11 | function << 8. */
enum pci_kind pci_kind(uint32_t function);

struct pci_bar {
	uint64_t base, bytes;	/* bytes 0: not there */
	bool io, wide;		/* wide: two registers */
};

/* BAR `index` as it stands. Its size is asked for, with the function's decoding off for a moment. */
struct pci_bar pci_bar(uint32_t function, unsigned int index);

/* Ports 0xcf8..0xcff, all of the access within them. */
uint32_t pci_port_in(uint16_t port, unsigned int size);
void pci_port_out(struct vcpu *v, uint16_t port, unsigned int size, uint32_t value);

/*
 * The same in one step, by bus << 16 | device << 11 | function << 8 | register. Ok: 1, 2 or 4 bytes
 * within a dword.
 */
bool pci_access_ok(uint64_t address, uint64_t size);
uint32_t pci_read(uint32_t address, unsigned int size);
void pci_write(struct vcpu *v, uint32_t address, unsigned int size, uint32_t value);

#endif

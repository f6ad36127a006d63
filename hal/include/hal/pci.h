/* SPDX-License-Identifier: MIT */
/*
 * hal/pci.h - PCI configuration space by mechanism #1 (PCI 3.0, 3.2.2.3.2).
 *
 * An address is bus << 16 | device << 11 | function << 8 | register, as in CONFIG_ADDRESS. The first
 * 256 bytes of a function are all this reaches.
 */
#ifndef HAL_PCI_H
#define HAL_PCI_H

#include <hal/types.h>

#define HAL_PCI_ADDRESS_PORT	0xcf8	/* a dword: CONFIG_ADDRESS */
#define HAL_PCI_DATA_PORT	0xcfc	/* four bytes: CONFIG_DATA */
#define HAL_PCI_ADDRESS_BITS	0x00fffffcU

/* Registers of every function (PCI 3.0, 6.1), and of PCI-PCI bridges (PCI-PCI bridge 1.2, 3.2). */
#define PCI_ID			0x00
#define PCI_COMMAND		0x04
#define PCI_COMMAND_IO		0x1U
#define PCI_COMMAND_MEMORY	0x2U
#define PCI_COMMAND_MASTER	0x4U
#define PCI_STATUS		0x06
#define PCI_STATUS_LIST		0x10U	/* has capabilities */
#define PCI_CLASS		0x08
#define PCI_HEADER_TYPE		0x0e
#define PCI_BAR			0x10
#define PCI_ROM			0x30
#define PCI_CAPABILITIES	0x34
#define PCI_INTERRUPT_LINE	0x3c
#define PCI_BRIDGE_BUSES	0x18
#define PCI_BRIDGE_MEMORY	0x20
#define PCI_BRIDGE_PREFETCH	0x24
#define PCI_BRIDGE_LIMIT_HIGH	0x2c
#define PCI_BRIDGE_ROM		0x38
/* The PCI Express capability (PCI Express 4.0, 7.5.3). */
#define PCI_CAP_EXPRESS		0x10
#define PCI_EXPRESS_STATUS	0x0a
#define PCI_EXPRESS_PENDING	0x20U	/* of its requests some are not done */

/* size: 1, 2 or 4 bytes that do not cross a dword. Absent functions read as all ones. */
uint32_t hal_pci_read(uint32_t address, unsigned int size);
void hal_pci_write(uint32_t address, unsigned int size, uint32_t value);

#endif

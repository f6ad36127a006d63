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

/* size: 1, 2 or 4 bytes that do not cross a dword. Absent functions read as all ones. */
uint32_t hal_pci_read(uint32_t address, unsigned int size);
void hal_pci_write(uint32_t address, unsigned int size, uint32_t value);

#endif

// SPDX-License-Identifier: MIT
/*
 * pci.c - PCI configuration space by ports 0xcf8 and 0xcfc.
 *
 * Context: interrupts off; address and data are two accesses.
 */
#include <hal/cpu.h>
#include <hal/pci.h>

static uint16_t select_register(uint32_t address)
{
	hal_outl(HAL_PCI_ADDRESS_PORT, 0x80000000U | (address & HAL_PCI_ADDRESS_BITS));
	return (uint16_t)(HAL_PCI_DATA_PORT + (address & 3));
}

uint32_t hal_pci_read(uint32_t address, unsigned int size)
{
	uint16_t port = select_register(address);

	switch (size) {
	case 1: return hal_inb(port);
	case 2: return hal_inw(port);
	default: return hal_inl(port);
	}
}

void hal_pci_write(uint32_t address, unsigned int size, uint32_t value)
{
	uint16_t port = select_register(address);

	switch (size) {
	case 1: hal_outb(port, (uint8_t)value); break;
	case 2: hal_outw(port, (uint16_t)value); break;
	default: hal_outl(port, value); break;
	}
}

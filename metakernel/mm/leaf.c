// SPDX-License-Identifier: MIT
/*
 * leaf.c - the device windows.
 *
 * Owns:    the list of windows, filled at boot, read-only after.
 *
 * Locks:   none, therefore.
 */
#include "mm/leaf.h"
#include "lib/log.h"

static struct { paddr_t base, end; bool write; } mmio[64];
static unsigned int nmmio;

__once void leaf_allow_mmio(paddr_t base, uint64_t bytes, bool write)
{
	if (nmmio == ARRAY_SIZE(mmio)) {
		log_printf("too many MMIO windows: none at %#lx\n", base);
		return;
	}
	mmio[nmmio].base = base;
	mmio[nmmio].end = base + bytes;
	mmio[nmmio++].write = write;
}

bool leaf_mmio_window(paddr_t pa, uint64_t bytes)
{
	unsigned int i;

	for (i = 0; i < nmmio; i++)
		if (mmio[i].write && pa >= mmio[i].base && pa < mmio[i].end && bytes <= mmio[i].end - pa)
			return true;
	return false;
}

uint64_t leaf_mmio_rights(paddr_t pa)
{
	unsigned int i;

	for (i = 0; i < nmmio; i++)
		if (pa >= mmio[i].base && pa < mmio[i].end)
			return mmio[i].write ? PTE_P | PTE_W : PTE_P;
	return 0;
}

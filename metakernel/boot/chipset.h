/* SPDX-License-Identifier: MIT */
/*
 * chipset.h - what the machine's own logic occupies, found in PCI configuration space at boot.
 */
#ifndef METAKERNEL_BOOT_CHIPSET_H
#define METAKERNEL_BOOT_CHIPSET_H

#include <hal/types.h>

#define CHIPSET_MAX_RANGES	64

struct chipset {
	struct { paddr_t base, end; } memory[CHIPSET_MAX_RANGES];	/* BARs of chipset functions */
	unsigned int nmemory;
	uint16_t power[4];	/* bases of power management of chipsets known by name */
	unsigned int npower;
};

/* Look at the functions of bus 0 and of all buses behind bridges. */
void chipset_scan(struct chipset *c);

#endif

/* SPDX-License-Identifier: MIT */
/* ports.h - which I/O ports manage power. */
#ifndef METAKERNEL_BOOT_PORTS_H
#define METAKERNEL_BOOT_PORTS_H

#include <hal/acpi.h>

void ports_acpi(const struct acpi_info *acpi);
void ports_power(uint16_t base);	/* a chipset's power management block */

#endif

/* SPDX-License-Identifier: MIT */
/*
 * windows.h - the device windows, found at boot.
 */
#ifndef METAKERNEL_BOOT_WINDOWS_H
#define METAKERNEL_BOOT_WINDOWS_H

#include <hal/acpi.h>
#include <hal/boot.h>
#include "boot/chipset.h"

/* Fill mm/leaf.h's allow-list from the memory map, the ACPI tables and the chipset. */
void windows_allow(const struct boot_info *bi, const struct acpi_info *acpi, const struct chipset *chipset);

#endif

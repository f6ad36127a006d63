/* SPDX-License-Identifier: MIT */
/*
 * windows.h - the device windows, found at boot.
 */
#ifndef METAKERNEL_BOOT_WINDOWS_H
#define METAKERNEL_BOOT_WINDOWS_H

#include <hal/acpi.h>
#include <hal/boot.h>

/* Fill mm/leaf.h's allow-list from the memory map and the ACPI tables. */
void windows_allow(const struct boot_info *bi, const struct acpi_info *acpi);

#endif

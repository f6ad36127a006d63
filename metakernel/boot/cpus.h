/* SPDX-License-Identifier: MIT */
/*
 * cpus.h - bringing up CPUs at boot: the boot CPU itself, then the others.
 */
#ifndef METAKERNEL_BOOT_CPUS_H
#define METAKERNEL_BOOT_CPUS_H

#include <hal/acpi.h>
#include <hal/boot.h>

/* The boot CPU: control registers, the last 2 MiB, its place in cpus[]. Nothing needs frames yet. */
void cpus_boot_cpu(void);

/* Is there an APIC id that only x2APIC can address? */
bool cpus_need_x2apic(const struct acpi_info *acpi);

/* Start the others, up to `most` CPUs in all, and say how many came up. Before any partition has memory. */
void cpus_start(const struct boot_info *bi, const struct acpi_info *acpi, unsigned int most);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * ioapic_state.h - private to hal/x86_64: which I/O APICs there are.
 */
#ifndef HAL_IOAPIC_STATE_H
#define HAL_IOAPIC_STATE_H

#include <hal/acpi.h>

extern const struct acpi_info *ioapic_acpi;			/* NULL: none is known yet */
extern unsigned int ioapic_entries[ACPI_MAX_IOAPICS];	/* of each, how many */

#endif

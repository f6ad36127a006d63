// SPDX-License-Identifier: MIT
/*
 * ports.c - which I/O ports manage power: those ACPI names, and those of known chipsets.
 */
#include "boot/ports.h"
#include "entry/emul.h"

#define PM_BLOCK	128U		/* chipsets align power management so */

static void range_add(struct port_range *r, unsigned int *n, unsigned int max, uint64_t first, uint64_t bytes)
{
	if (first > 0xffff || !bytes || *n == max)
		return;
	r[*n].first = (uint32_t)first;
	r[(*n)++].last = (uint32_t)(first + min_u64(bytes, 0x10000 - first) - 1);
}

void ports_power(uint16_t base)
{
	range_add(emul_pm.closed, &emul_pm.nclosed, ARRAY_SIZE(emul_pm.closed), base & ~(PM_BLOCK - 1), PM_BLOCK);
	/* Where the chipsets that are known by name have their PM1 control register. */
	range_add(emul_pm.sleep, &emul_pm.nsleep, ARRAY_SIZE(emul_pm.sleep), base + 4U, 2);
}

static void fixed_register(enum acpi_fixed what, const struct acpi_range *r)
{
	if (!r->bytes || !r->io)
		return;
	switch (what) {
	case ACPI_PM1A_CNT:
	case ACPI_PM1B_CNT:
		range_add(emul_pm.sleep, &emul_pm.nsleep, ARRAY_SIZE(emul_pm.sleep), r->pa, max_u64(r->bytes, 2));
		range_add(emul_pm.closed, &emul_pm.nclosed, ARRAY_SIZE(emul_pm.closed), r->pa & ~(uint64_t)(PM_BLOCK - 1), PM_BLOCK);
		break;
	case ACPI_SLEEP_CONTROL:
		if (emul_pm.nsleep < ARRAY_SIZE(emul_pm.sleep))
			emul_pm.sleep_shift[emul_pm.nsleep] = 8;
		range_add(emul_pm.sleep, &emul_pm.nsleep, ARRAY_SIZE(emul_pm.sleep), r->pa, 1);
		range_add(emul_pm.closed, &emul_pm.nclosed, ARRAY_SIZE(emul_pm.closed), r->pa, 1);
		break;
	case ACPI_PM1A_EVT:
	case ACPI_PM1B_EVT:
	case ACPI_PM_TMR:
	case ACPI_GPE0:
	case ACPI_GPE1:
		range_add(emul_pm.open, &emul_pm.nopen, ARRAY_SIZE(emul_pm.open), r->pa, r->bytes);
		break;
	default:
		range_add(emul_pm.closed, &emul_pm.nclosed, ARRAY_SIZE(emul_pm.closed), r->pa, r->bytes);
	}
}

void ports_acpi(const struct acpi_info *acpi)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(acpi->fixed); i++)
		fixed_register((enum acpi_fixed)(i % ACPI_NFIXED), &acpi->fixed[i]);
}

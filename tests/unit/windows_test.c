// SPDX-License-Identifier: MIT
/*
 * Property: the device windows hold the PCI hole, video memory and, to read, firmware tables; never RAM's
 * neighbours that the chipset or the metakernel owns, wherever the tables say those are.
 * Failure looks like: an IOAPIC, HPET, IOMMU, configuration space, flash or the like in a window.
 */
#include "unit.h"

#include <hal/cpu.h>

static uint64_t rdmsr(uint32_t msr);
#define hal_rdmsr(msr) rdmsr(msr)
#include "metakernel/boot/windows.c"

static struct { paddr_t base, end; bool write; } window[128];
static unsigned int nwindows;
static struct boot_info bi;
static struct acpi_info acpi;
static struct chipset chipset;
struct hal_cpu hal_cpu_info = { .phys_bits = 40 };

static uint64_t apic_base;

static uint64_t rdmsr(uint32_t msr)
{
	assert_int_equal(msr, MSR_APIC_BASE);
	return apic_base;
}

void panic_at(const char *file, int line, const struct panic_regs *regs, const char *fmt, ...)
{
	(void)regs;
	fail_msg("%s:%d: %s", file, line, fmt);
	abort();
}

void leaf_allow_mmio(paddr_t base, uint64_t bytes, bool write)
{
	assert_true(nwindows < NELEM(window));
	window[nwindows].base = base;
	window[nwindows].end = base + bytes;
	window[nwindows++].write = write;
}

/* 0: not at all, 1: to read, 2: to write */
static int rights(paddr_t pa)
{
	int most = 0;

	for (unsigned int i = 0; i < nwindows; i++)
		if (pa >= window[i].base && pa < window[i].end && 1 + window[i].write > most)
			most = 1 + window[i].write;
	return most;
}

static void region(uint64_t base, uint64_t end, uint32_t type)
{
	bi.region[bi.nregions++] = (struct boot_region) { base, end - base, type, 0 };
}

/* QEMU's q35 with 512 MiB, and what else is said below 0xfec00000. */
static int start(void **state)
{
	(void)state;
	memset(&bi, 0, sizeof(bi));
	memset(&acpi, 0, sizeof(acpi));
	memset(&chipset, 0, sizeof(chipset));
	nwindows = 0;
	region(0, 0x9fc00, BOOT_RAM);
	region(0x9fc00, 0xa0000, BOOT_RESERVED);
	region(0xf0000, 0x100000, BOOT_RESERVED);
	region(0x100000, 0x1ffdf000, BOOT_RAM);
	region(0x1ffdf000, 0x1fff0000, BOOT_ACPI);
	region(0x1fff0000, 0x20000000, BOOT_NVS);
	region(0xb0000000, 0xc0000000, BOOT_RESERVED);
	region(0xfd000000, 0xfe800000, BOOT_RESERVED);
	region(0xfffc0000, 0x100000000, BOOT_RESERVED);
	acpi.lapic_pa = 0xfee00000;
	apic_base = 0xfee00900;
	return 0;
}

static void devices_are_there_and_tables_to_read(void **state)
{
	(void)state;
	windows_allow(&bi, &acpi, &chipset);
	assert_int_equal(rights(0xa0000), 2);
	assert_int_equal(rights(0xbffff), 2);
	assert_int_equal(rights(0x20000000), 2);
	assert_int_equal(rights(0xc0000000), 2);
	assert_int_equal(rights(0xfebff000), 2);
	assert_int_equal(rights(0x100000000), 2);
	assert_int_equal(rights((1UL << 40) - 1), 2);
	assert_int_equal(rights(0x9f000), 1);		/* EBDA */
	assert_int_equal(rights(0xc0000), 1);		/* ROMs */
	assert_int_equal(rights(0xfffff), 1);
	assert_int_equal(rights(0x1ffdf000), 1);
	assert_int_equal(rights(0x1fff8000), 1);	/* the FACS */
	assert_int_equal(rights(1UL << 40), 0);
	assert_int_equal(rights(0xfec00000), 0);
	assert_int_equal(rights(0xfed1c000), 0);	/* chipset registers */
	assert_int_equal(rights(0xfffff000), 0);	/* flash */
}

static void what_firmware_reserves_among_the_devices_is_not(void **state)
{
	(void)state;
	windows_allow(&bi, &acpi, &chipset);
	assert_int_equal(rights(0xb0000000), 0);
	assert_int_equal(rights(0xbffff000), 0);
	assert_int_equal(rights(0xfd000000), 0);
	assert_int_equal(rights(0xfe7ff000), 0);
	assert_int_equal(rights(0xfe800000), 2);
}

static void interrupt_controllers_timers_and_iommus_are_not_wherever_they_are(void **state)
{
	static const paddr_t never[] = { 0xe0100000, 0xe0200000, 0xe0300000, 0xe0300fff, 0xe0400000, 0xe0401fff,
					 0xe0500000, 0xe05fffff, 0xe0600200, 0x8000000000, 0x800fffffff, 0xe0800000,
					 0xe0a00000, 0xe0a00fff };

	(void)state;
	acpi.ioapic[0].pa = 0xe0100000;
	acpi.ioapic[1].pa = 0xe0200400;
	acpi.nioapics = 2;
	acpi.hpet_pa = 0xe0300000;
	acpi.iommu[0] = (struct acpi_range) { 0xe0400000, 0x2000, false };
	acpi.niommus = 1;
	apic_base = 0xe0a00900;		/* moved by firmware, unknown to the tables */
	acpi.lapic_pa = 0xe0500000;
	acpi.fixed[ACPI_EXTENDED + ACPI_SLEEP_CONTROL] = (struct acpi_range) { 0xe0600200, 1, false };
	acpi.mcfg[0] = (struct acpi_mcfg) { 0x8000000000, 0, 0, 255 };
	acpi.nmcfg = 1;
	chipset.memory[0].base = 0xe0800000;
	chipset.memory[0].end = 0xe0801000;
	chipset.nmemory = 1;
	windows_allow(&bi, &acpi, &chipset);
	for (size_t i = 0; i < NELEM(never); i++)
		if (rights(never[i]))
			fail_msg("%#lx is in a window", never[i]);
	assert_int_equal(rights(0xe0000000), 2);
	assert_int_equal(rights(0xe0402000), 2);
	assert_int_equal(rights(0xe0601000), 2);
	assert_int_equal(rights(0x7fffffffff), 2);
	assert_int_equal(rights(0x8010000000), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(devices_are_there_and_tables_to_read, start),
		cmocka_unit_test_setup(what_firmware_reserves_among_the_devices_is_not, start),
		cmocka_unit_test_setup(interrupt_controllers_timers_and_iommus_are_not_wherever_they_are, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

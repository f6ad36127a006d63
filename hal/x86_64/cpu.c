// SPDX-License-Identifier: MIT
/*
 * cpu.c - what CPUID says (vol. 2A, CPUID), read once; refuse CPUs that cannot carry ring 1.
 */
#include <hal/console.h>
#include <hal/cpu.h>
#include <hal/power.h>

struct hal_cpu hal_cpu_info;

static bool has(uint32_t reg, unsigned int bit)
{
	return (reg >> bit & 1) != 0;
}

static bool vendor_is(const char *name)
{
	for (unsigned int i = 0; i < 12; i++)
		if (hal_cpu_info.vendor[i] != name[i])
			return false;
	return true;
}

static void read_vendor(void)
{
	struct hal_cpuid r = hal_cpuid(0, 0);
	const uint32_t word[3] = { r.ebx, r.edx, r.ecx };

	for (unsigned int i = 0; i < 12; i++)
		hal_cpu_info.vendor[i] = (char)(word[i / 4] >> (i % 4 * 8) & 0xff);
	hal_cpu_info.max_leaf = r.eax;
	hal_cpu_info.max_ext_leaf = hal_cpuid(0x80000000, 0).eax;
	hal_cpu_info.intel = vendor_is("GenuineIntel");
	hal_cpu_info.amd = vendor_is("AuthenticAMD") || vendor_is("HygonGenuine");
}

static void read_leaf_1(void)
{
	struct hal_cpuid r = hal_cpuid(1, 0);
	uint32_t family = r.eax >> 8 & 15, model = r.eax >> 4 & 15;

	hal_cpu_info.stepping = r.eax & 15;
	hal_cpu_info.family = family == 15 ? family + (r.eax >> 20 & 0xff) : family;
	hal_cpu_info.model = family == 6 || family == 15 ? model | (r.eax >> 12 & 0xf0) : model;
	hal_cpu_info.apic_id = r.ebx >> 24;
	hal_cpu_info.mwait = has(r.ecx, 3);
	hal_cpu_info.cx16 = has(r.ecx, 13);
	hal_cpu_info.pcid = has(r.ecx, 17);
	hal_cpu_info.x2apic = has(r.ecx, 21);
	hal_cpu_info.tsc_deadline = has(r.ecx, 24);
	hal_cpu_info.xsave = has(r.ecx, 26);
	hal_cpu_info.hypervisor = has(r.ecx, 31);
	hal_cpu_info.mce = has(r.edx, 7);
	hal_cpu_info.apic = has(r.edx, 9);
	hal_cpu_info.mtrr = has(r.edx, 12);
	hal_cpu_info.pge = has(r.edx, 13);
	hal_cpu_info.pat = has(r.edx, 16);
}

static void read_leaf_7(void)
{
	struct hal_cpuid r;

	if (hal_cpu_info.max_leaf < 7)
		return;
	r = hal_cpuid(7, 0);
	hal_cpu_info.fsgsbase = has(r.ebx, 0);
	hal_cpu_info.smep = has(r.ebx, 7);
	hal_cpu_info.erms = has(r.ebx, 9);
	hal_cpu_info.invpcid = has(r.ebx, 10);
	hal_cpu_info.smap = has(r.ebx, 20);
	hal_cpu_info.clflushopt = has(r.ebx, 23);
	hal_cpu_info.umip = has(r.ecx, 2);
	hal_cpu_info.pku = has(r.ecx, 3);
	hal_cpu_info.la57 = has(r.ecx, 16);
}

static void read_extended(void)
{
	struct hal_cpuid r = hal_cpuid(0x80000001, 0);

	hal_cpu_info.syscall = has(r.edx, 11);
	hal_cpu_info.nx = has(r.edx, 20);
	hal_cpu_info.pdpe1gb = has(r.edx, 26);
	hal_cpu_info.rdtscp = has(r.edx, 27);
	if (hal_cpu_info.max_ext_leaf >= 0x80000007)
		hal_cpu_info.tsc_invariant = has(hal_cpuid(0x80000007, 0).edx, 8);
	hal_cpu_info.phys_bits = 36;
	if (hal_cpu_info.max_ext_leaf >= 0x80000008)
		hal_cpu_info.phys_bits = (uint8_t)(hal_cpuid(0x80000008, 0).eax & 0xff);
	/* AMD APM vol. 3, Fn8000_0008_EBX[2]: the pointers are always saved and restored */
	hal_cpu_info.x87_pointers_stay = hal_cpu_info.amd &&
		(hal_cpu_info.max_ext_leaf < 0x80000008 || !has(hal_cpuid(0x80000008, 0).ebx, 2));
}

/* Standard-format XSAVE area for the components we allow (vol. 1, 13.4.3). */
static void read_xsave(void)
{
	struct hal_cpuid r;

	hal_cpu_info.xcr0_mask = XCR0_X87 | XCR0_SSE;
	hal_cpu_info.xsave_size = 512;
	if (!hal_cpu_info.xsave || hal_cpu_info.max_leaf < 0xd)
		return;
	r = hal_cpuid(0xd, 0);
	hal_cpu_info.xcr0_mask = r.eax & XCR0_ALLOWED;
	/* AVX-512's three parts come together and on top of AVX, or XSETBV faults. */
	if ((hal_cpu_info.xcr0_mask & XCR0_AVX512) != XCR0_AVX512 || !(hal_cpu_info.xcr0_mask & XCR0_AVX))
		hal_cpu_info.xcr0_mask &= ~(uint64_t)XCR0_AVX512;
	hal_cpu_info.xsave_size = 512 + 64;
	for (unsigned int i = 2; i < 63; i++) {
		if (!(hal_cpu_info.xcr0_mask & bit64(i)))
			continue;
		r = hal_cpuid(0xd, i);
		if (r.ebx + r.eax > hal_cpu_info.xsave_size)
			hal_cpu_info.xsave_size = r.ebx + r.eax;
	}
	hal_cpu_info.xsaveopt = has(hal_cpuid(0xd, 1).eax, 0);
}

void hal_cpu_init(void)
{
	read_vendor();
	read_leaf_1();
	read_leaf_7();
	read_extended();
	read_xsave();
}

void hal_cpu_check(void)
{
	const struct {
		const char *name;
		bool present;
	} need[] = {
		{ " fsgsbase", hal_cpu_info.fsgsbase },	/* SWAPGS is #GP in ring 1 */
		{ " nx", hal_cpu_info.nx },
		{ " syscall", hal_cpu_info.syscall },
		{ " cx16", hal_cpu_info.cx16 },
		{ " apic", hal_cpu_info.apic },
	};
	bool ok = true;

	for (size_t i = 0; i < ARRAY_SIZE(need); i++) {
		if (need[i].present)
			continue;
		if (ok)
			hal_console_puts("[keel] this CPU lacks:");
		hal_console_puts(need[i].name);
		ok = false;
	}
	if (ok)
		return;
	hal_console_puts("\r\n");
	hal_exit(HAL_EXIT_CPU);
}

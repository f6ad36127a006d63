// SPDX-License-Identifier: MIT
/*
 * cpu.c - what CPUID says (vol. 2A, CPUID), read once; refuse CPUs that cannot carry ring 1.
 */
#include <hal/console.h>
#include <hal/cpu.h>
#include <hal/power.h>

static struct hal_cpu cpu;

const struct hal_cpu *hal_cpu(void)
{
	return &cpu;
}

static bool has(uint32_t reg, unsigned int bit)
{
	return (reg >> bit & 1) != 0;
}

static bool vendor_is(const char *name)
{
	for (unsigned int i = 0; i < 12; i++)
		if (cpu.vendor[i] != name[i])
			return false;
	return true;
}

static void read_vendor(void)
{
	struct hal_cpuid r = hal_cpuid(0, 0);
	const uint32_t word[3] = { r.ebx, r.edx, r.ecx };

	for (unsigned int i = 0; i < 12; i++)
		cpu.vendor[i] = (char)(word[i / 4] >> (i % 4 * 8) & 0xff);
	cpu.max_leaf = r.eax;
	cpu.max_ext_leaf = hal_cpuid(0x80000000, 0).eax;
	cpu.intel = vendor_is("GenuineIntel");
	cpu.amd = vendor_is("AuthenticAMD") || vendor_is("HygonGenuine");
}

static void read_leaf_1(void)
{
	struct hal_cpuid r = hal_cpuid(1, 0);
	uint32_t family = r.eax >> 8 & 15, model = r.eax >> 4 & 15;

	cpu.stepping = r.eax & 15;
	cpu.family = family == 15 ? family + (r.eax >> 20 & 0xff) : family;
	cpu.model = family == 6 || family == 15 ? model | (r.eax >> 12 & 0xf0) : model;
	cpu.apic_id = r.ebx >> 24;
	cpu.mwait = has(r.ecx, 3);
	cpu.cx16 = has(r.ecx, 13);
	cpu.pcid = has(r.ecx, 17);
	cpu.x2apic = has(r.ecx, 21);
	cpu.tsc_deadline = has(r.ecx, 24);
	cpu.xsave = has(r.ecx, 26);
	cpu.hypervisor = has(r.ecx, 31);
	cpu.mce = has(r.edx, 7);
	cpu.apic = has(r.edx, 9);
	cpu.mtrr = has(r.edx, 12);
	cpu.pge = has(r.edx, 13);
	cpu.pat = has(r.edx, 16);
}

static void read_leaf_7(void)
{
	struct hal_cpuid r;

	if (cpu.max_leaf < 7)
		return;
	r = hal_cpuid(7, 0);
	cpu.fsgsbase = has(r.ebx, 0);
	cpu.smep = has(r.ebx, 7);
	cpu.erms = has(r.ebx, 9);
	cpu.invpcid = has(r.ebx, 10);
	cpu.smap = has(r.ebx, 20);
	cpu.clflushopt = has(r.ebx, 23);
	cpu.umip = has(r.ecx, 2);
	cpu.pku = has(r.ecx, 3);
	cpu.la57 = has(r.ecx, 16);
}

static void read_extended(void)
{
	struct hal_cpuid r = hal_cpuid(0x80000001, 0);

	cpu.syscall = has(r.edx, 11);
	cpu.nx = has(r.edx, 20);
	cpu.pdpe1gb = has(r.edx, 26);
	cpu.rdtscp = has(r.edx, 27);
	if (cpu.max_ext_leaf >= 0x80000007)
		cpu.tsc_invariant = has(hal_cpuid(0x80000007, 0).edx, 8);
	cpu.phys_bits = 36;
	if (cpu.max_ext_leaf >= 0x80000008)
		cpu.phys_bits = (uint8_t)(hal_cpuid(0x80000008, 0).eax & 0xff);
	/* AMD APM vol. 3, Fn8000_0008_EBX[2]: the pointers are always saved and restored */
	cpu.x87_pointers_stay = cpu.amd &&
		(cpu.max_ext_leaf < 0x80000008 || !has(hal_cpuid(0x80000008, 0).ebx, 2));
}

/* Standard-format XSAVE area for the components we allow (vol. 1, 13.4.3). */
static void read_xsave(void)
{
	struct hal_cpuid r;

	cpu.xcr0_mask = XCR0_X87 | XCR0_SSE;
	cpu.xsave_size = 512;
	if (!cpu.xsave || cpu.max_leaf < 0xd)
		return;
	r = hal_cpuid(0xd, 0);
	cpu.xcr0_mask = r.eax & XCR0_ALLOWED;
	/* AVX-512's three parts come together and on top of AVX, or XSETBV faults. */
	if ((cpu.xcr0_mask & XCR0_AVX512) != XCR0_AVX512 || !(cpu.xcr0_mask & XCR0_AVX))
		cpu.xcr0_mask &= ~(uint64_t)XCR0_AVX512;
	cpu.xsave_size = 512 + 64;
	for (unsigned int i = 2; i < 63; i++) {
		if (!(cpu.xcr0_mask & bit64(i)))
			continue;
		r = hal_cpuid(0xd, i);
		if (r.ebx + r.eax > cpu.xsave_size)
			cpu.xsave_size = r.ebx + r.eax;
	}
	cpu.xsaveopt = has(hal_cpuid(0xd, 1).eax, 0);
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
		{ " fsgsbase", cpu.fsgsbase },	/* SWAPGS is #GP in ring 1 */
		{ " nx", cpu.nx },
		{ " syscall", cpu.syscall },
		{ " cx16", cpu.cx16 },
		{ " apic", cpu.apic },
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

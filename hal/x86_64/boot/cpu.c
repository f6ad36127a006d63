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

static bool vendor_is(const struct hal_cpu *c, const char *name)
{
	for (unsigned int i = 0; i < 12; i++)
		if (c->vendor[i] != name[i])
			return false;
	return true;
}

static void read_vendor(struct hal_cpu *c)
{
	struct hal_cpuid r = hal_cpuid(0, 0);
	const uint32_t word[3] = { r.ebx, r.edx, r.ecx };

	for (unsigned int i = 0; i < 12; i++)
		c->vendor[i] = (char)(word[i / 4] >> (i % 4 * 8) & 0xff);
	c->max_leaf = r.eax;
	c->max_ext_leaf = hal_cpuid(0x80000000, 0).eax;
	c->intel = vendor_is(c, "GenuineIntel");
	c->amd = vendor_is(c, "AuthenticAMD") || vendor_is(c, "HygonGenuine");
}

static void read_leaf_1(struct hal_cpu *c)
{
	struct hal_cpuid r = hal_cpuid(1, 0);
	uint32_t family = r.eax >> 8 & 15, model = r.eax >> 4 & 15;

	c->stepping = r.eax & 15;
	c->family = family == 15 ? family + (r.eax >> 20 & 0xff) : family;
	c->model = family == 6 || family == 15 ? model | (r.eax >> 12 & 0xf0) : model;
	c->apic_id = r.ebx >> 24;
	c->mwait = has(r.ecx, 3);
	c->cx16 = has(r.ecx, 13);
	c->pcid = has(r.ecx, 17);
	c->x2apic = has(r.ecx, 21);
	c->tsc_deadline = has(r.ecx, 24);
	c->xsave = has(r.ecx, 26);
	c->hypervisor = has(r.ecx, 31);
	c->mce = has(r.edx, 7);
	c->apic = has(r.edx, 9);
	c->mtrr = has(r.edx, 12);
	c->pge = has(r.edx, 13);
	c->pat = has(r.edx, 16);
}

static void read_leaf_7(struct hal_cpu *c)
{
	struct hal_cpuid r;

	if (c->max_leaf < 7)
		return;
	r = hal_cpuid(7, 0);
	c->fsgsbase = has(r.ebx, 0);
	c->tsc_adjust = has(r.ebx, 1);
	c->smep = has(r.ebx, 7);
	c->erms = has(r.ebx, 9);
	c->invpcid = has(r.ebx, 10);
	c->smap = has(r.ebx, 20);
	c->clflushopt = has(r.ebx, 23);
	c->umip = has(r.ecx, 2);
	c->pku = has(r.ecx, 3);
	c->la57 = has(r.ecx, 16);
	c->md_clear = has(r.edx, 10);
	c->ibpb = has(r.edx, 26);
}

static void read_extended(struct hal_cpu *c)
{
	struct hal_cpuid r = hal_cpuid(0x80000001, 0);

	c->syscall = has(r.edx, 11);
	c->nx = has(r.edx, 20);
	c->pdpe1gb = has(r.edx, 26);
	c->rdtscp = has(r.edx, 27);
	if (c->max_ext_leaf >= 0x80000007)
		c->tsc_invariant = has(hal_cpuid(0x80000007, 0).edx, 8);
	c->phys_bits = 36;
	c->x87_pointers_stay = c->amd;
	if (c->max_ext_leaf < 0x80000008)
		return;
	r = hal_cpuid(0x80000008, 0);
	c->phys_bits = (uint8_t)(r.eax & 0xff);
	if (!c->amd)
		return;
	/* AMD APM vol. 3, Fn8000_0008_EBX[2]: the pointers are always saved and restored */
	c->x87_pointers_stay = !has(r.ebx, 2);
	c->ibpb |= has(r.ebx, 12);
	c->ibpb_rsb = has(r.ebx, 30);
}

/* By the leaf of levels (its first is that of threads), on older AMD by that of compute units. */
static uint8_t thread_bits(const struct hal_cpu *c)
{
	struct hal_cpuid r;
	uint8_t bits = 0;

	if (c->max_leaf >= 0xb) {
		r = hal_cpuid(0xb, 0);
		if ((r.ebx & 0xffff) && (r.ecx >> 8 & 0xff) == 1)
			return r.eax & 31;
	}
	if (c->amd && c->max_ext_leaf >= 0x8000001e && has(hal_cpuid(0x80000001, 0).ecx, 22))
		for (r = hal_cpuid(0x8000001e, 0); 1U << bits < (r.ebx >> 8 & 0xff) + 1; bits++)
			;
	return bits;
}

/* Standard-format XSAVE area for the components we allow (vol. 1, 13.4.3). */
static void read_xsave(struct hal_cpu *c)
{
	struct hal_cpuid r;

	c->xcr0_mask = XCR0_X87 | XCR0_SSE;
	c->xsave_size = 512;
	if (!c->xsave || c->max_leaf < 0xd)
		return;
	r = hal_cpuid(0xd, 0);
	c->xcr0_mask = r.eax & XCR0_ALLOWED;
	/* AVX-512's three parts come together and on top of AVX, or XSETBV faults. */
	if ((c->xcr0_mask & XCR0_AVX512) != XCR0_AVX512 || !(c->xcr0_mask & XCR0_AVX))
		c->xcr0_mask &= ~(uint64_t)XCR0_AVX512;
	c->xsave_size = 512 + 64;
	for (unsigned int i = 2; i < 63; i++) {
		if (!(c->xcr0_mask & bit64(i)))
			continue;
		r = hal_cpuid(0xd, i);
		if (r.ebx + r.eax > c->xsave_size)
			c->xsave_size = r.ebx + r.eax;
	}
	c->xsaveopt = has(hal_cpuid(0xd, 1).eax, 0);
}

void hal_cpu_read(struct hal_cpu *c)
{
	read_vendor(c);
	read_leaf_1(c);
	read_leaf_7(c);
	read_extended(c);
	read_xsave(c);
	c->thread_bits = thread_bits(c);
	c->barrier = c->ibpb || c->md_clear;
}

void hal_cpu_init(void)
{
	hal_cpu_read(&hal_cpu_info);
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

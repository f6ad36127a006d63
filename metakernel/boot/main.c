// SPDX-License-Identifier: MIT
/*
 * main.c - the metakernel's start: from boot information to the first partition instruction.
 *
 * Memory: the image and early allocations sit at 1 MiB. The frame table and a copy of the bundle go
 * to the top of RAM, whatever else the metakernel needs is allocated downwards from there, and
 * Linux gets the rest.
 */
#include <hal/acpi.h>
#include <hal/boot.h>
#include <hal/cpu.h>
#include <hal/hooks.h>
#include <hal/ioapic.h>
#include <hal/irq.h>
#include <hal/power.h>
#include <hal/rtc.h>
#include "boot/bundle.h"
#include "boot/chipset.h"
#include "boot/cpus.h"
#include "boot/line.h"
#include "boot/load.h"
#include "boot/ports.h"
#include "boot/windows.h"
#include "mm/frames.h"
#include "mm/leaf.h"
#include "part/console.h"
#include "part/manifest.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/irq.h"
#include "run/sched.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"

#define LOW_1M		0x100000UL

uint64_t boot_wall_ns, boot_wall_tsc;
static struct acpi_info acpi;
static struct chipset chipset;
static struct boot_info *boot;

static bool touch(paddr_t base, paddr_t end, paddr_t other, paddr_t other_end)
{
	return base < other_end && end > other;
}

/* The top `bytes` of the highest RAM region that holds them and has nothing in that place yet. */
static paddr_t carve_top(struct boot_info *bi, uint64_t bytes)
{
	unsigned int i;

	bytes = align_up(bytes, PAGE_SIZE);
	for (i = bi->nregions; i-- > 0; ) {
		const struct boot_region *r = &bi->region[i];
		paddr_t end = align_down(r->base + r->bytes, PAGE_SIZE);

		if (r->type != BOOT_RAM || r->bytes < bytes + PAGE_SIZE || end - bytes < bi->early_end ||
		    touch(end - bytes, end, bi->module_pa, bi->module_pa + bi->module_bytes) ||
		    touch(end - bytes, end, bi->more_base, bi->more_end))
			continue;
		return end - bytes;
	}
	load_refuse("not enough memory for %lu KiB of tables", bytes >> 10);
}

static uint64_t ram_bytes(const struct boot_info *bi)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < bi->nregions; i++)
		if (bi->region[i].type == BOOT_RAM)
			sum += bi->region[i].bytes;
	return sum;
}

static void add_ram(const struct boot_info *bi)
{
	unsigned int i;

	for (i = 0; i < bi->nregions; i++) {
		paddr_t first = align_up(bi->region[i].base, PAGE_SIZE) >> PAGE_SHIFT;
		paddr_t end = (bi->region[i].base + bi->region[i].bytes) >> PAGE_SHIFT;

		if (bi->region[i].type == BOOT_RAM && end > first)
			frames_add_ram(first, end - first);
	}
}

static void claim_mk(paddr_t base, paddr_t end)
{
	paddr_t pfn;

	for (pfn = base >> PAGE_SHIFT; pfn < align_up(end, PAGE_SIZE) >> PAGE_SHIFT; pfn++)
		if (frames_owner(pfn) == FRAMES_FREE)
			ASSERT(!frames_claim(pfn, 1, FRAMES_FREE, FRAMES_MK));
}

/* Who gets what is typed on the serial port: Linux, else the first partition. */
static struct partition *focus_partition(void)
{
	unsigned int i;

	for (i = 0; i < nparts; i++)
		if (parts[i].man->kind == MANIFEST_LINUX)
			return &parts[i];
	return &parts[0];
}

static void say_trust(void)
{
	const struct hal_cpu *c = hal_cpu();

	/* No IOMMU driver yet, so the statement does not depend on what the machine has (rule 23). */
	log_printf("devices: no IOMMU in use; a partition with devices is trusted (DMA, MSI)\n");
	if (c->barrier)
		log_printf("between partitions:%s%s%s\n", c->ibpb ? " IBPB" : "",
			   c->ibpb && !c->ibpb_rsb ? ", return addresses" : "", c->md_clear ? c->ibpb ? ", VERW" : " VERW" : "");
}

static void look_at_chipset(void)
{
	unsigned int i;

	chipset_scan(&chipset);
	ports_acpi(&acpi);
	for (i = 0; i < chipset.npower; i++)
		ports_power(chipset.power[i]);
}

/* The rest of the start, on the metakernel's own stack. */
static void __noreturn main_on_stack(void)
{
	static paddr_t table_pa, bundle_pa;
	struct boot_info *bi = boot;
	uint64_t npfns = align_up(bi->ram_end, PAGE_SIZE) >> PAGE_SHIFT;
	uint64_t table_bytes = frames_bytes(npfns);

	int most = line_maxcpus(bi->cmdline, MAX_CPUS);

	if (most < 0)
		load_refuse("boot line: maxcpus: not a number from 1 to %u", MAX_CPUS);
	if (!bi->module_bytes)
		load_refuse("no bundle: the boot loader passed no module");
	table_pa = carve_top(bi, table_bytes + align_up(bi->module_bytes, PAGE_SIZE));
	bundle_pa = table_pa + align_up(table_bytes, PAGE_SIZE);
	memmove(pa_to_va(bundle_pa), pa_to_va(bi->module_pa), bi->module_bytes);
	frames_init(pa_to_va(table_pa), npfns);
	add_ram(bi);
	/* The module has been moved; its old place is free again. */
	claim_mk(LOW_1M, bi->early_end);
	claim_mk(bi->more_base, bi->more_end);
	claim_mk(table_pa, bundle_pa + bi->module_bytes);
	cpus_start(bi, &acpi, (unsigned int)most);
	windows_allow(bi, &acpi, &chipset);
	load_all(bi, pa_to_va(bundle_pa), bi->module_bytes);
	console_init(focus_partition(), irq_init());
	sched_start();
}

void keel_main(struct boot_info *bi)
{
	boot = bi;
	log_printf("Keel, build %s, %s\n", hal_build_id(), bi->protocol);
	hal_cpu_check();
	cpus_boot_cpu();
	hal_pic_disable();
	acpi_parse(&acpi, bi->rsdp_pa);
	look_at_chipset();
	hal_apic_init(acpi.lapic_pa, VEC_TIMER, line_x2apic(bi->cmdline) || cpus_need_x2apic(&acpi));
	hal_ioapic_init(&acpi);
	this_cpu->apic_id = hal_apic_id();
	boot_wall_ns = hal_rtc_unix_seconds() * 1000000000UL;
	boot_wall_tsc = hal_rdtsc();
	log_printf("%lu MiB of memory, TSC %lu kHz (%s), command line \"%s\"\n",
		   ram_bytes(bi) >> 20, hal_tsc_khz(), hal_tsc_source(), bi->cmdline);
	if (bi->cmdline_cut)
		load_refuse("the boot line is longer than %u characters", LINE_MAX - 1);
	line_name_unknown(bi->cmdline);
	say_trust();
	sched_init();
	asm volatile("movq %0, %%rsp; xorl %%ebp, %%ebp; call %P1" : : "r" (MK_STACK_TOP),
		     "i" (main_on_stack));
	__builtin_unreachable();
}

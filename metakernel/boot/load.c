// SPDX-License-Identifier: MIT
/*
 * load.c - from the bundle to partitions ready to run.
 *
 * The bundle was moved to the top of memory, out of the way of the addresses Linux is linked at. Images
 * of peers are kept for a restart (load_peer.c). Whatever is wrong with the bundle, the manifest or an image is refused
 * by name and the machine stops with status 120 before any partition runs.
 */
#include <hal/boot.h>
#include <hal/cpu.h>
#include <hal/power.h>
#include <stdarg.h>
#include "boot/bundle.h"
#include "boot/load.h"
#include "boot/manifest.h"
#include "boot/parse.h"
#include "boot/parts.h"
#include "mm/frames.h"
#include "part/chan.h"
#include "part/part.h"
#include "part/promise.h"
#include "run/cpu.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/printf.h"
#include "lib/string.h"

void load_refuse(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_printf("refused: %s\n", line);
	hal_exit(HAL_EXIT_MANIFEST);
}

static void refuse(const struct parse_error *e)
{
	if (e->prop[0])
		load_refuse("%s: %s: %s", e->node, e->prop, e->msg);
	load_refuse("%s: %s", e->node, e->msg);
}

struct bundle_file load_find(const void *bundle, size_t len, const char *name, const char *who,
			     const char *prop)
{
	struct bundle_file f;

	if (bundle_find(bundle, len, name, &f))
		load_refuse("/partitions/%s: %s: \"%s\" is not in the bundle", who, prop, name);
	return f;
}

static void create_peer(struct partition *p, const void *bundle, size_t len)
{
	struct bundle_file modules[MANIFEST_MAX_MODULES], image;
	const struct manifest_part *man = p->man;
	struct parse_error e;
	struct elf_info elf;
	uint32_t i;

	image = load_find(bundle, len, man->image, man->name, "image");
	if (elf_open(image.data, image.size, &elf, &e) || elf_check_peer(&elf, KEEL_PEER_VA, man->mem_bytes, &e))
		load_refuse("/partitions/%s: image: %s: %s", man->name, man->image, e.msg);
	for (i = 0; i < man->nmodules; i++)
		modules[i] = load_find(bundle, len, man->modules[i], man->name, "modules");
	p->mem_bytes = man->mem_bytes;
	p->mem_pa = frames_alloc(p->owner, p->mem_bytes / PAGE_SIZE);
	if (!p->mem_pa)
		load_refuse("/partitions/%s: memory: no %lu KiB in one piece are left", man->name,
			    man->mem_bytes >> 10);
	load_peer(p, &elf, modules);
}

/*
 * Threads of a core see much of each other's doing (rule 29): of two partitions only one may be on a core at a time. So of
 * each core one thread is used, unless the manifest says otherwise or there is one partition only.
 */
static uint64_t spare_threads(void)
{
	uint64_t spare = 0;
	unsigned int i, j;

	if (manifest.share_cores || manifest.nparts == 1)
		return 0;
	for (i = 1; i < ncpus; i++) {
		for (j = 0; j < i && hal_cpu_core(cpus[j]->apic_id) != hal_cpu_core(cpus[i]->apic_id); j++)
			;
		if (j == i)
			continue;
		spare |= bit64(i);
		log_printf("CPU %u is a thread of CPU %u's core: not used (share-cores in the manifest would)\n", i, j);
	}
	return spare;
}

void load_all(const struct boot_info *bi, const void *bundle, size_t len)
{
	struct bundle_file dtb;
	struct parse_error e;
	unsigned int i;

	if (bundle_check(bundle, len, &e))
		refuse(&e);
	if (bundle_find(bundle, len, "system.dtb", &dtb))
		load_refuse("the bundle has no system.dtb");
	if (manifest_parse(dtb.data, dtb.size, &manifest, &e))
		refuse(&e);
	spare_cpus = spare_threads();
	for (i = 0; i < manifest.nparts; i++) {
		const char *why = manifest_place(&manifest.parts[i], ~spare_cpus & ~0UL >> (64 - ncpus));

		if (why)
			log_printf("/partitions/%s: %s: there are %u\n", manifest.parts[i].name, why, ncpus);
	}
	manifest_size_pools(&manifest, frames_count(FRAMES_FREE) * PAGE_SIZE);
	if (manifest_fits(&manifest, frames_count(FRAMES_FREE) * PAGE_SIZE, &e))
		refuse(&e);
	for (i = 0; i < manifest.nparts; i++) {
		const struct manifest_part *man = &manifest.parts[i];
		struct partition *p = parts_create(man);

		if (!p)
			load_refuse("/partitions/%s: shadow-pages: not enough memory", man->name);
		if (promise(p, man->budget_us[0] * 1000UL, man->budget_us[1] * 1000UL))
			load_refuse("/partitions/%s: budget: with those before it more than the CPUs have", man->name);
	}
	parts_channels();
	for (i = 0; i < nparts; i++)
		if (!manifest.parts[i].mem_rest)
			create_peer(&parts[i], bundle, len);
		else if (manifest.parts[i].kind != MANIFEST_LINUX)
			load_refuse("/partitions/%s: memory-rest: only Linux can be loaded so",
				    manifest.parts[i].name);
	for (i = 0; i < nparts; i++)
		if (manifest.parts[i].kind == MANIFEST_LINUX)
			load_linux(&parts[i], bi, bundle, len);
	for (i = 0; i < nparts; i++) {
		/* Only now: as memory of its own it would be in the E820 map, and used. */
		if (parts[i].ones_pa)
			ASSERT(!frames_claim(parts[i].ones_pa >> PAGE_SHIFT, 1, FRAMES_MK,
					     parts[i].owner));
		part_start(&parts[i]);
	}
}

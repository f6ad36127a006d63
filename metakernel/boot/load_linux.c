// SPDX-License-Identifier: MIT
/*
 * load_linux.c - Linux is loaded at its physical link address and gets all memory that is left, as an
 * E820 map.
 */
#include <hal/boot.h>
#include <stdarg.h>
#include "boot/bundle.h"
#include "boot/elf.h"
#include "boot/line.h"
#include "boot/load.h"
#include "boot/parse.h"
#include "mm/frames.h"
#include "part/part.h"
#include "lib/string.h"

#define BOOT_PARAMS_PA		0x90000	/* conventional memory no firmware structure uses */
#define CMDLINE_PA		0x91000
#define PARAMS_END		(CMDLINE_PA + PAGE_SIZE)
#define LOW_4G			0x100000000UL

/* struct boot_params (Linux, Documentation/arch/x86/boot.rst and zero-page.rst). */
enum {
	BP_ACPI_RSDP = 0x070, BP_EXT_RAMDISK_IMAGE = 0x0c0, BP_E820_ENTRIES = 0x1e8,
	BP_BOOT_FLAG = 0x1fe, BP_HEADER = 0x202, BP_VERSION = 0x206, BP_LOADER = 0x210,
	BP_LOADFLAGS = 0x211, BP_RAMDISK_IMAGE = 0x218, BP_RAMDISK_SIZE = 0x21c,
	BP_CMDLINE_PTR = 0x228, BP_SUBARCH = 0x23c, BP_E820_TABLE = 0x2d0,
	E820_MAX = 128, E820_ENTRY_BYTES = 20,
};

static void put32(uint8_t *bp, unsigned int at, uint64_t v)
{
	uint32_t word = (uint32_t)v;

	memcpy(bp + at, &word, sizeof(word));
}

static void e820_add(uint8_t *bp, paddr_t base, paddr_t end, uint32_t type)
{
	uint8_t *e = bp + BP_E820_TABLE + E820_ENTRY_BYTES * bp[BP_E820_ENTRIES];
	uint64_t bytes = end - base;

	if (bp[BP_E820_ENTRIES] == E820_MAX)
		return;
	memcpy(e, &base, 8);
	memcpy(e + 8, &bytes, 8);
	put32(e, 16, type);
	bp[BP_E820_ENTRIES]++;
}

/* RAM of the firmware's map, cut into what Linux owns and what it must leave alone. */
static void e820_fill(uint8_t *bp, const struct boot_info *bi, const struct partition *p)
{
	unsigned int i;

	for (i = 0; i < bi->nregions; i++) {
		const struct boot_region *r = &bi->region[i];
		paddr_t at = r->base, end = r->base + r->bytes;

		if (r->type != BOOT_RAM) {
			e820_add(bp, at, end, r->type);
			continue;
		}
		while (at < end) {
			bool own = frames_owner(at >> PAGE_SHIFT) == p->owner;
			paddr_t from = at;

			while (at < end && (frames_owner(at >> PAGE_SHIFT) == p->owner) == own)
				at = min_u64(end, align_down(at, PAGE_SIZE) + PAGE_SIZE);
			e820_add(bp, from, at, own ? BOOT_RAM : BOOT_RESERVED);
		}
	}
}

static paddr_t place_initrd(const struct boot_info *bi, const struct partition *p, size_t size)
{
	uint64_t npages = pages_of(size);
	unsigned int i;

	/* The highest place below 4 GiB that is Linux's own. */
	for (i = bi->nregions; i-- > 0; ) {
		const struct boot_region *r = &bi->region[i];
		paddr_t end = align_down(min_u64(r->base + r->bytes, LOW_4G), PAGE_SIZE), at;
		uint64_t run = 0;

		if (r->type != BOOT_RAM || r->base >= LOW_4G)
			continue;
		for (at = end; at >= r->base + PAGE_SIZE && run < npages; at -= PAGE_SIZE)
			run = frames_owner((at >> PAGE_SHIFT) - 1) == p->owner ? run + 1 : 0;
		if (run == npages)
			return at;
	}
	return 0;
}

static void load_segments(const struct partition *p, const struct elf_info *elf)
{
	unsigned int i;
	uint64_t pfn;

	for (i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *s = &elf->segments[i];
		uint64_t last = s->paddr + s->memsz - 1;

		/* Frame by frame: a segment need not begin where one does. */
		for (pfn = s->paddr >> PAGE_SHIFT; pfn <= last >> PAGE_SHIFT; pfn++)
			if (frames_owner(pfn) != p->owner)
				load_refuse("/partitions/%s: image: address %#lx it must be loaded at is not free memory",
					    p->man->name, pfn << PAGE_SHIFT);
		if (parse_overlap(s->paddr, s->memsz, BOOT_PARAMS_PA, PARAMS_END - BOOT_PARAMS_PA))
			load_refuse("/partitions/%s: image: address %#lx is the boot parameters'", p->man->name,
				    s->paddr);
		memcpy(pa_to_va(s->paddr), elf->image + s->offset, s->filesz);
		memset(pa_to_va(s->paddr + s->filesz), 0, s->memsz - s->filesz);
	}
}

/* The manifest's line first, then the words behind "--" of the boot line. */
static void linux_cmdline(const struct boot_info *bi, const struct partition *p)
{
	const char *words = line_linux_words(bi->cmdline);
	size_t n = line_join(pa_to_va(CMDLINE_PA), p->man->cmdline, words);

	if (n >= LINE_MAX)
		load_refuse("/partitions/%s: cmdline: with the boot line's words %zu characters, most are %u",
			    p->man->name, n, LINE_MAX - 1);
}

void load_linux(struct partition *p, const struct boot_info *bi, const void *bundle,
			 size_t len)
{
	const struct manifest_part *man = p->man;
	struct bundle_file img = load_find(bundle, len, man->image, man->name, "image"), rd = { 0 };
	uint8_t *bp = pa_to_va(BOOT_PARAMS_PA);
	paddr_t rd_pa = 0;
	struct parse_error e;
	struct elf_info elf;

	if (elf_open(img.data, img.size, &elf, &e))
		load_refuse("/partitions/%s: image: %s: %s", man->name, man->image, e.msg);
	if (!elf.has_start)
		load_refuse("/partitions/%s: image: %s has no Keel start note", man->name, man->image);
	frames_claim_all(FRAMES_FREE, p->owner);
	p->mem_bytes = frames_count(p->owner) * PAGE_SIZE;
	load_segments(p, &elf);
	if (man->initrd[0]) {
		rd = load_find(bundle, len, man->initrd, man->name, "initrd");
		rd_pa = place_initrd(bi, p, rd.size);
		if (!rd_pa || parse_overlap(rd_pa, rd.size, BOOT_PARAMS_PA, PARAMS_END - BOOT_PARAMS_PA) ||
		    parse_overlap(rd_pa, rd.size, elf.paddr_min, elf.paddr_end - elf.paddr_min))
			load_refuse("/partitions/%s: initrd: no room for %zu bytes", man->name, rd.size);
		memcpy(pa_to_va(rd_pa), rd.data, rd.size);
	}
	if (frames_owner(BOOT_PARAMS_PA >> PAGE_SHIFT) != p->owner ||
	    frames_owner(CMDLINE_PA >> PAGE_SHIFT) != p->owner)
		load_refuse("/partitions/%s: no memory at %#x for the boot parameters", man->name,
			    BOOT_PARAMS_PA);
	memset(bp, 0, PAGE_SIZE);
	bp[BP_BOOT_FLAG] = 0x55;
	bp[BP_BOOT_FLAG + 1] = 0xaa;
	memcpy(bp + BP_HEADER, "HdrS", 4);
	put32(bp, BP_VERSION, 0x20f);
	bp[BP_LOADER] = 0xff;
	bp[BP_LOADFLAGS] = 1;
	put32(bp, BP_RAMDISK_IMAGE, rd_pa);
	put32(bp, BP_RAMDISK_SIZE, rd.size);
	put32(bp, BP_CMDLINE_PTR, CMDLINE_PA);
	memcpy(bp + BP_ACPI_RSDP, &bi->rsdp_pa, 8);
	linux_cmdline(bi, p);
	/* Everything that was needed of the bundle has been copied out of it. */
	memset(pa_to_va(va_to_pa(bundle)), 0, len);
	if (frames_claim(va_to_pa(bundle) >> PAGE_SHIFT, pages_of(len),
			 FRAMES_MK, p->owner))
		load_refuse("the bundle's memory is not as it should be");
	/* And what is running here will be over: hal_once_over(). */
	if (frames_claim(va_to_pa(__once_start) >> PAGE_SHIFT,
			 (uint64_t)(__once_end - __once_start) >> PAGE_SHIFT, FRAMES_MK, p->owner))
		load_refuse("the image's memory is not as it should be");
	p->mem_bytes = frames_count(p->owner) * PAGE_SIZE;
	e820_fill(bp, bi, p);
	vcpu_reset(p->vcpu, elf.start.cr3_pa);
	p->vcpu->regs->rip = elf.start.entry_va;
	p->vcpu->regs->rsi = BOOT_PARAMS_PA;
}

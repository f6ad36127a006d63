// SPDX-License-Identifier: MIT
/*
 * load.c - from the bundle to partitions ready to run.
 *
 * The bundle is first moved to the top of memory, out of the way of the addresses Linux is linked
 * at. A peer is loaded into its own contiguous memory, with page tables made there:
 *
 *   KEEL_PEER_VA -> | image, W^X by segment | page tables | start info | stack | modules | free ...
 *
 * Linux is loaded at its physical link address and gets all memory that is left, as an E820 map.
 * Whatever is wrong with the bundle, the manifest or an image is refused by name and the machine
 * stops with status 120 before any partition runs. Images of peers are kept for a restart.
 */
#include <hal/acpi.h>
#include <hal/boot.h>
#include <hal/cpu.h>
#include <hal/irq.h>
#include <hal/power.h>
#include <stdarg.h>
#include "bundle.h"
#include "core.h"
#include "elf.h"
#include "frames.h"
#include "load.h"
#include "mmu.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/printf.h"
#include "lib/string.h"

#define PEER_STACK_BYTES	16384
#define LARGE_BYTES		0x200000UL
#define BOOT_PARAMS_PA		0x90000	/* conventional memory no firmware structure uses */
#define CMDLINE_PA		0x91000
#define LOW_4G			0x100000000UL

/* struct boot_params (Linux, Documentation/arch/x86/boot.rst and zero-page.rst). */
enum {
	BP_ACPI_RSDP = 0x070, BP_EXT_RAMDISK_IMAGE = 0x0c0, BP_E820_ENTRIES = 0x1e8,
	BP_BOOT_FLAG = 0x1fe, BP_HEADER = 0x202, BP_VERSION = 0x206, BP_LOADER = 0x210,
	BP_LOADFLAGS = 0x211, BP_RAMDISK_IMAGE = 0x218, BP_RAMDISK_SIZE = 0x21c,
	BP_CMDLINE_PTR = 0x228, BP_SUBARCH = 0x23c, BP_E820_TABLE = 0x2d0,
	E820_MAX = 128, E820_ENTRY_BYTES = 20,
};

/* Files of peers, copied out of the bundle for starts and restarts. */
struct kept {
	const void *data;
	size_t size;
};
static struct kept kept_image[MAX_PARTS], kept_module[MAX_PARTS][MANIFEST_MAX_MODULES];

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

static struct bundle_file find(const void *bundle, size_t len, const char *name, const char *who,
			       const char *prop)
{
	struct bundle_file f;

	if (bundle_find(bundle, len, name, &f))
		load_refuse("/partitions/%s: %s: \"%s\" is not in the bundle", who, prop, name);
	return f;
}

static struct kept keep(struct bundle_file f)
{
	uint64_t npages = align_up(f.size, PAGE_SIZE) / PAGE_SIZE;
	paddr_t pa = frames_alloc_mk(npages ? npages : 1);

	if (!pa)
		load_refuse("out of memory keeping \"%s\" (%zu bytes)", f.name, f.size);
	return (struct kept) { memcpy(pa_to_va(pa), f.data, f.size), f.size };
}

/* ---- Peers ---------------------------------------------------------------------------------------- */

struct builder {
	struct partition *p;
	uint8_t *mem;		/* where the peer's memory is for us */
	uint64_t next;		/* first unused offset in it */
	uint64_t *pml4;
	bool full;
};

static void *take(struct builder *b, uint64_t bytes)
{
	uint64_t at = b->next;

	bytes = align_up(bytes, PAGE_SIZE);
	if (b->full || bytes > b->p->mem_bytes - at) {
		b->full = true;
		return NULL;
	}
	b->next = at + bytes;
	return memset(b->mem + at, 0, bytes);
}

static uint64_t peer_va(const struct builder *b, const void *at)
{
	return KEEL_PEER_VA + (uint64_t)((const uint8_t *)at - b->mem);
}

static uint64_t *next_level(struct builder *b, uint64_t *table, unsigned int i)
{
	uint64_t *t;

	if (table[i])
		return pa_to_va(table[i] & PTE_ADDR);
	t = take(b, PAGE_SIZE);
	if (t)
		table[i] = va_to_pa(t) | PTE_P | PTE_W | PTE_A;
	return t;
}

/* One leaf; the peer's tables have A and D set so that its shadow fills never write them. */
static bool peer_map(struct builder *b, uint64_t va, paddr_t pa, uint64_t flags, bool large)
{
	uint64_t *t = next_level(b, b->pml4, (va >> 39) & 511);

	t = t ? next_level(b, t, (va >> 30) & 511) : NULL;
	if (t && large) {
		t[(va >> 21) & 511] = pa | flags | PTE_PS;
		return true;
	}
	t = t ? next_level(b, t, (va >> 21) & 511) : NULL;
	if (!t)
		return false;
	t[(va >> 12) & 511] = pa | flags;
	return true;
}

#define DATA_FLAGS (PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX)

static uint64_t segment_flags(const struct elf_info *elf, uint64_t va)
{
	unsigned int i;

	for (i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		if (va >= align_down(s->vaddr, PAGE_SIZE) && va < s->vaddr + s->memsz)
			return PTE_P | PTE_A | PTE_D | (s->flags & ELF_PF_W ? PTE_W : 0) |
			       (s->flags & ELF_PF_X ? 0 : PTE_NX);
	}
	return DATA_FLAGS;
}

/* Everything linear from KEEL_PEER_VA: 4 KiB pages over the image, 2 MiB ones behind where aligned. */
static bool peer_map_all(struct builder *b, const struct elf_info *elf)
{
	uint64_t off = 0;

	while (off < b->p->mem_bytes) {
		uint64_t va = KEEL_PEER_VA + off;
		paddr_t pa = b->p->mem_pa + off;
		bool large = va >= elf->vaddr_end && is_aligned(va | pa, LARGE_BYTES) &&
			     b->p->mem_bytes - off >= LARGE_BYTES;

		if (!peer_map(b, va, pa, segment_flags(elf, va), large))
			return false;
		off += large ? LARGE_BYTES : PAGE_SIZE;
	}
	return true;
}

static void peer_copy_image(struct builder *b, const struct elf_info *elf)
{
	unsigned int i;

	for (i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		memcpy(b->mem + (s->vaddr - KEEL_PEER_VA), elf->image + s->offset, s->filesz);
	}
	b->next = align_up(elf->vaddr_end - KEEL_PEER_VA, PAGE_SIZE);
}

static bool peer_modules(struct builder *b, struct keel_start_info *si)
{
	const struct manifest_part *man = b->p->man;
	uint32_t i;

	for (i = 0; i < man->nmodules; i++) {
		const struct kept *k = &kept_module[b->p->index][i];
		void *at = take(b, k->size ? k->size : 1);

		if (!at)
			return false;
		memcpy(at, k->data, k->size);
		si->modules[i].va = peer_va(b, at);
		si->modules[i].bytes = k->size;
		strlcpy(si->modules[i].name, man->modules[i], KEEL_NAME_LEN);
	}
	si->nmodules = man->nmodules;
	return true;
}

static void peer_start_info(struct builder *b, struct keel_start_info *si)
{
	struct partition *p = b->p;

	si->magic = KEEL_START_MAGIC;
	si->version = KEEL_ABI_VERSION;
	si->size = sizeof(*si);
	si->mem_pa = p->mem_pa;
	si->mem_bytes = p->mem_bytes;
	si->free_va = KEEL_PEER_VA + b->next;
	si->cr3_pa = va_to_pa(b->pml4);
	si->tsc_khz = hal_tsc_khz();
	si->xcr0 = p->vcpu.xcr0;
	strlcpy(si->name, p->man->name, sizeof(si->name));
	strlcpy(si->cmdline, p->man->cmdline, sizeof(si->cmdline));
}

int load_peer(struct partition *p)
{
	const struct kept *img = &kept_image[p->index];
	struct builder b = { .p = p, .mem = pa_to_va(p->mem_pa) };
	struct keel_start_info *si;
	struct parse_error e;
	struct elf_info elf;
	uint8_t *stack;

	if (elf_open(img->data, img->size, &elf, &e) ||
	    elf_check_peer(&elf, KEEL_PEER_VA, p->mem_bytes, &e)) {
		if (nparts == manifest.nparts && this_cpu->current)
			return -KEEL_EINVAL;
		load_refuse("/partitions/%s: image: %s: %s", p->man->name, p->man->image, e.msg);
	}
	mmu_flush_all(&p->vcpu);
	memset(b.mem, 0, p->mem_bytes);
	peer_copy_image(&b, &elf);
	b.pml4 = take(&b, PAGE_SIZE);
	if (!b.pml4 || !peer_map_all(&b, &elf))
		return -KEEL_ENOMEM;
	si = take(&b, sizeof(*si));
	stack = take(&b, PEER_STACK_BYTES);
	if (!si || !stack || !peer_modules(&b, si))
		return -KEEL_ENOMEM;
	vcpu_reset(&p->vcpu, va_to_pa(b.pml4));
	peer_start_info(&b, si);
	p->vcpu.regs.rip = elf.entry;
	p->vcpu.regs.rdi = peer_va(&b, si);
	p->vcpu.regs.rsp = peer_va(&b, stack) + PEER_STACK_BYTES;
	return 0;
}

static void create_peer(struct partition *p, const void *bundle, size_t len)
{
	const struct manifest_part *man = p->man;
	uint32_t i;

	kept_image[p->index] = keep(find(bundle, len, man->image, man->name, "image"));
	for (i = 0; i < man->nmodules; i++)
		kept_module[p->index][i] =
			keep(find(bundle, len, man->modules[i], man->name, "modules"));
	p->mem_bytes = man->mem_bytes;
	p->mem_pa = frames_alloc(p->owner, p->mem_bytes / PAGE_SIZE);
	if (!p->mem_pa)
		load_refuse("/partitions/%s: memory: no %lu KiB in one piece are left", man->name,
			    man->mem_bytes >> 10);
	if (load_peer(p))
		load_refuse("/partitions/%s: memory: %lu KiB do not hold image, page tables and modules",
			    man->name, man->mem_bytes >> 10);
}

/* ---- Linux ---------------------------------------------------------------------------------------- */

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
	uint64_t npages = align_up(size, PAGE_SIZE) / PAGE_SIZE;
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
	uint64_t off;

	for (i = 0; i < elf->nsegments; i++) {
		const struct elf_segment *s = &elf->segments[i];

		for (off = 0; off < s->memsz; off += PAGE_SIZE)
			if (frames_owner((s->paddr + off) >> PAGE_SHIFT) != p->owner)
				load_refuse("/partitions/%s: image: address %#lx it must be loaded at is not free memory",
					    p->man->name, s->paddr + off);
		memcpy(pa_to_va(s->paddr), elf->image + s->offset, s->filesz);
		memset(pa_to_va(s->paddr + s->filesz), 0, s->memsz - s->filesz);
	}
}

static void linux_cmdline(const struct boot_info *bi, const struct partition *p)
{
	char *to = pa_to_va(CMDLINE_PA);
	const char *words = bi->cmdline;

	/* The manifest's line first, then the words behind "--" of the boot line. */
	strlcpy(to, p->man->cmdline, 2048);
	for (; *words; words++)
		if (words[0] == '-' && words[1] == '-' && (words[2] == ' ' || !words[2]) &&
		    (words == bi->cmdline || words[-1] == ' ')) {
			size_t n = strlen(to);

			to[n] = ' ';
			strlcpy(to + n + 1, words + 2, 2048);
			return;
		}
}

static void create_linux(struct partition *p, const struct boot_info *bi, const void *bundle,
			 size_t len)
{
	const struct manifest_part *man = p->man;
	struct bundle_file img = find(bundle, len, man->image, man->name, "image"), rd = { 0 };
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
		rd = find(bundle, len, man->initrd, man->name, "initrd");
		rd_pa = place_initrd(bi, p, rd.size);
		if (!rd_pa || parse_overlap(rd_pa, rd.size, elf.paddr_min,
					    elf.paddr_end - elf.paddr_min))
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
	if (frames_claim(va_to_pa(bundle) >> PAGE_SHIFT, align_up(len, PAGE_SIZE) / PAGE_SIZE,
			 FRAMES_MK, p->owner))
		load_refuse("the bundle's memory is not as it should be");
	p->mem_bytes = frames_count(p->owner) * PAGE_SIZE;
	e820_fill(bp, bi, p);
	vcpu_reset(&p->vcpu, elf.start.cr3_pa);
	p->vcpu.regs.rip = elf.start.entry_va;
	p->vcpu.regs.rsi = BOOT_PARAMS_PA;
}

/* ---- All ------------------------------------------------------------------------------------------ */

void load_all(const struct boot_info *bi, const void *bundle, size_t len)
{
	struct bundle_file dtb;
	struct parse_error e;
	unsigned int i;

	if (bundle_check(bundle, len, &e))
		refuse(&e);
	if (bundle_find(bundle, len, "system.dtb", &dtb))
		load_refuse("the bundle has no system.dtb");
	if (manifest_parse(dtb.data, dtb.size, &manifest, &e) ||
	    manifest_fits(&manifest, frames_count(FRAMES_FREE) * PAGE_SIZE, &e))
		refuse(&e);
	for (i = 0; i < manifest.nparts; i++)
		if (!part_create(&manifest.parts[i]))
			load_refuse("/partitions/%s: shadow-pages: not enough memory",
				    manifest.parts[i].name);
	chan_init();
	for (i = 0; i < nparts; i++)
		if (!manifest.parts[i].mem_rest)
			create_peer(&parts[i], bundle, len);
		else if (manifest.parts[i].kind != MANIFEST_LINUX)
			load_refuse("/partitions/%s: memory-rest: only Linux can be loaded so",
				    manifest.parts[i].name);
	for (i = 0; i < nparts; i++)
		if (manifest.parts[i].kind == MANIFEST_LINUX)
			create_linux(&parts[i], bi, bundle, len);
	for (i = 0; i < nparts; i++) {
		/* Only now: as memory of its own it would be in the E820 map, and used. */
		if (parts[i].ones_pa)
			ASSERT(!frames_claim(parts[i].ones_pa >> PAGE_SHIFT, 1, FRAMES_MK,
					     parts[i].owner));
		parts[i].vcpu.state = VCPU_READY;
		parts[i].state = KEEL_PART_RUNNING;
	}
}

// SPDX-License-Identifier: MIT
/*
 * image.c - what metakernel/boot/elf.c and metakernel/part/peer.c do for partitions of the manifest, for those
 * that Linux makes: the same image in the same memory finds the same things at the same addresses.
 *
 *   KEEL_PEER_VA -> | image, W^X by segment | page tables | start info | stack | free ...
 *
 * Code may be elsewhere: in an extent that other partitions of the same image read, too. What is mapped there is not what would be linearly. The
 * memory's own frames for that stay as they are: all that a peer finds by its address has to lie linearly, so nothing could use them.
 *
 * Trusts: nothing in the image. Headers are copied before they are read.
 */
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGE		4096ul
#define LARGE		0x200000ul
#define STACK_BYTES	16384

#define PTE_P		0x001ul
#define PTE_W		0x002ul
#define PTE_A		0x020ul
#define PTE_D		0x040ul
#define PTE_PS		0x080ul
#define PTE_NX		(1ul << 63)
#define PTE_ADDR	0x000ffffffffff000ul

static uint64_t up(uint64_t n, uint64_t to)
{
	return (n + to - 1) & ~(to - 1);
}

/* ---- the file ------------------------------------------------------------------------------------ */

static const char *check_header(const Elf64_Ehdr *h, size_t size)
{
	if (memcmp(h->e_ident, ELFMAG, SELFMAG))
		return "not an ELF image";
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
	    h->e_machine != EM_X86_64)
		return "wrong machine: not an image for x86-64";
	if (h->e_type == ET_DYN)
		return "dynamic: a unikernel is linked statically, at fixed addresses";
	if (h->e_type != ET_EXEC)
		return "not an executable";
	if (h->e_ident[EI_VERSION] != EV_CURRENT || h->e_version != EV_CURRENT ||
	    h->e_ehsize != sizeof(Elf64_Ehdr) || h->e_phentsize != sizeof(Elf64_Phdr) ||
	    !h->e_phnum || h->e_phnum > IMAGE_PHDRS || h->e_phoff > size ||
	    size - h->e_phoff < h->e_phnum * sizeof(Elf64_Phdr))
		return "damaged ELF header";
	return NULL;
}

static bool overlaps(const struct image *img, const Elf64_Phdr *p)
{
	const struct image_segment *s;

	for (s = img->segments; s < img->segments + img->nsegments; s++)
		if (p->p_vaddr < s->vaddr + s->memsz && s->vaddr < p->p_vaddr + p->p_memsz)
			return true;
	return false;
}

static const char *add_segment(struct image *img, const Elf64_Phdr *p)
{
	if (p->p_filesz > p->p_memsz || p->p_memsz > UINT64_MAX - p->p_vaddr || p->p_align & (p->p_align - 1))
		return "damaged ELF segment";
	if (!p->p_memsz)
		return NULL;
	if (p->p_vaddr < KEEL_PEER_VA)
		return "not linked for Keel: a segment below 0x400000";
	if (overlaps(img, p))
		return "ELF segments overlap";
	if (img->nsegments == IMAGE_SEGMENTS)
		return "too many ELF segments";
	img->segments[img->nsegments++] = (struct image_segment) {
		.vaddr = p->p_vaddr, .memsz = p->p_memsz, .offset = p->p_offset, .filesz = p->p_filesz,
		.write = p->p_flags & PF_W, .execute = p->p_flags & PF_X,
	};
	if (p->p_vaddr + p->p_memsz > img->end)
		img->end = p->p_vaddr + p->p_memsz;
	return NULL;
}

static bool is_code(const struct image *img, uint64_t va)
{
	const struct image_segment *s;

	for (s = img->segments; s < img->segments + img->nsegments; s++)
		if (s->execute && va >= s->vaddr && va - s->vaddr < s->memsz)
			return true;
	return false;
}

/* One of ours, of which the first counts. */
static void take_note(struct image *img, const Elf64_Nhdr *n, const uint8_t *desc)
{
	struct keel_elf_peer peer;

	if (n->n_type == KEEL_ELF_NOTE_SHARED && !n->n_descsz)
		img->shares = true;
	if (n->n_type != KEEL_ELF_NOTE_PEER || n->n_descsz != sizeof(peer) || img->abi_version)
		return;
	memcpy(&peer, desc, sizeof(peer));
	img->abi_version = peer.abi_version;
}

/* Of a PT_NOTE segment, whose padding goes by its alignment; what is not whole is none of ours. */
static void read_notes(struct image *img, const Elf64_Phdr *p)
{
	uint64_t mask = p->p_align == 8 ? 7 : 3, at = 0, desc;
	Elf64_Nhdr n;

	while (at <= p->p_filesz && p->p_filesz - at >= sizeof(n)) {
		const uint8_t *note = img->data + p->p_offset + at;

		memcpy(&n, note, sizeof(n));
		desc = up(sizeof(n) + n.n_namesz, mask + 1);
		if (desc + n.n_descsz > p->p_filesz - at)
			break;
		if (n.n_namesz == sizeof("Keel") && !memcmp(note + sizeof(n), "Keel", sizeof("Keel")))
			take_note(img, &n, note + desc);
		at += up(desc + n.n_descsz, mask + 1);
	}
}

/* NULL: it is ours. Version 1 had no note. */
static const char *other_version(uint32_t version)
{
	static char why[80];

	snprintf(why, sizeof(why), "made for version %u of Keel's ABI, this is version %u", version ? version : 1,
		 KEEL_ABI_VERSION);
	return version == KEEL_ABI_VERSION ? NULL : why;
}

const char *image_check(struct image *img, const void *data, size_t size)
{
	const char *why;
	unsigned int i;
	Elf64_Ehdr h;
	Elf64_Phdr p;

	*img = (struct image) { .data = data };
	if (size < sizeof(h))
		return "not an ELF image";
	memcpy(&h, data, sizeof(h));
	why = check_header(&h, size);
	for (i = 0; !why && i < h.e_phnum; i++) {
		memcpy(&p, img->data + h.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type == PT_INTERP || p.p_type == PT_DYNAMIC)
			why = "dynamic: a unikernel is linked statically, at fixed addresses";
		else if (p.p_offset > size || p.p_filesz > size - p.p_offset)
			why = "damaged: a part of the ELF image is missing";
		else if (p.p_type == PT_LOAD)
			why = add_segment(img, &p);
		else if (p.p_type == PT_NOTE)
			read_notes(img, &p);
	}
	if (!why && !img->nsegments)
		why = "nothing to load in the ELF image";
	img->entry = h.e_entry;
	if (why)
		return why;
	if (!is_code(img, img->entry))
		return "the entry is in no executable segment";
	return other_version(img->abi_version);
}

/* ---- what may be shared -------------------------------------------------------------------------- */

static uint64_t first_page(const struct image_segment *s)
{
	return s->vaddr & ~(PAGE - 1);
}

static uint64_t end_page(const struct image_segment *s)
{
	return up(s->vaddr + s->memsz, PAGE);
}

/* Code that has its pages for itself. No more than one extent can be: so sums of sizes stay small, too. */
static bool may_share(const struct image *img, const struct image_segment *s)
{
	const struct image_segment *other;

	if (!img->shares || !s->execute || s->write || s->memsz > KEEL_GIVE_MAX * PAGE || end_page(s) < first_page(s))
		return false;
	for (other = img->segments; other < img->segments + img->nsegments; other++)
		if (other != s && first_page(other) < end_page(s) && first_page(s) < end_page(other))
			return false;
	return true;
}

uint64_t image_text_bytes(const struct image *img)
{
	const struct image_segment *s;
	uint64_t bytes = 0;

	for (s = img->segments; s < img->segments + img->nsegments; s++)
		if (may_share(img, s))
			bytes += end_page(s) - first_page(s);
	return bytes;
}

void image_text_lay_out(const struct image *img, void *at)
{
	const struct image_segment *s;
	uint8_t *page = at;

	for (s = img->segments; s < img->segments + img->nsegments; s++) {
		if (!may_share(img, s))
			continue;
		memcpy(page + (s->vaddr & (PAGE - 1)), img->data + s->offset, s->filesz);
		page += end_page(s) - first_page(s);
	}
}

/* ---- the memory ---------------------------------------------------------------------------------- */

struct builder {
	const struct image *img;
	const struct image_memory *mem;
	uint64_t shared[IMAGE_SEGMENTS];	/* a segment's first page; 0: it is copied */
	uint64_t next;			/* first unused offset */
	bool full;
};

static uint8_t *place(const struct builder *b, uint64_t offset)
{
	return (uint8_t *)b->mem->at + offset;
}

/* Zeroed memory's offset; 0 (the image is there): there is no more. */
static uint64_t take(struct builder *b, uint64_t bytes)
{
	uint64_t at = b->next;

	bytes = up(bytes, PAGE);
	if (b->full || at > b->mem->bytes || bytes > b->mem->bytes - at) {
		b->full = true;
		return 0;
	}
	b->next = at + bytes;
	return at;
}

/* The table below an entry; made, if there is none. Offsets, as above. */
static uint64_t next_level(struct builder *b, uint64_t table, uint64_t index)
{
	uint64_t *entry = (uint64_t *)(void *)place(b, table) + (index & 511), below;

	if (!table)
		return 0;
	if (*entry)
		return (*entry & PTE_ADDR) - b->mem->pa;
	below = take(b, PAGE);
	if (below)
		*entry = (b->mem->pa + below) | PTE_P | PTE_W | PTE_A;
	return below;
}

/* One leaf. */
static void map(struct builder *b, uint64_t root, uint64_t va, uint64_t leaf, bool large)
{
	uint64_t table = next_level(b, next_level(b, root, va >> 39), va >> 30);

	if (!large)
		table = next_level(b, table, va >> 21);
	if (table)
		((uint64_t *)(void *)place(b, table))[va >> (large ? 21 : 12) & 511] = leaf | (large ? PTE_PS : 0);
}

/* The segment that a page belongs to, or NULL. */
static const struct image_segment *segment_at(const struct image *img, uint64_t va)
{
	const struct image_segment *s;

	for (s = img->segments; s < img->segments + img->nsegments; s++)
		if (va >= first_page(s) && va < s->vaddr + s->memsz)
			return s;
	return NULL;
}

/* A and D are set, so that filling a shadow from them never has to write them. */
static uint64_t page_flags(const struct image_segment *s)
{
	if (!s)
		return PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX;
	return PTE_P | PTE_A | PTE_D | (s->write ? PTE_W : 0) | (s->execute ? 0 : PTE_NX);
}

/* All of the memory, linearly: pages of 4 KiB over the image, of 2 MiB behind it where they are aligned. Returns the root. */
static uint64_t map_all(struct builder *b)
{
	uint64_t root = take(b, PAGE), done, va, pa, shared;
	const struct image_segment *s;
	bool large;

	for (done = 0; !b->full && done < b->mem->bytes; done += large ? LARGE : PAGE) {
		va = KEEL_PEER_VA + done;
		pa = b->mem->pa + done;
		s = segment_at(b->img, va);
		shared = s ? b->shared[s - b->img->segments] : 0;
		if (shared)
			pa = shared + (va - first_page(s));
		large = va >= b->img->end && !((va | pa) & (LARGE - 1)) && b->mem->bytes - done >= LARGE;
		map(b, root, va, pa | page_flags(s), large);
	}
	return root;
}

/* As image_text_lay_out() has them. */
static void find_shared(struct builder *b)
{
	const struct image_segment *s = b->img->segments;
	uint64_t pa = b->mem->text_pa;
	unsigned int i;

	for (i = 0; pa && i < b->img->nsegments; i++) {
		if (!may_share(b->img, &s[i]))
			continue;
		b->shared[i] = pa;
		pa += end_page(&s[i]) - first_page(&s[i]);
	}
}

static void copy_image(const struct builder *b)
{
	const struct image_segment *s = b->img->segments;
	unsigned int i;

	for (i = 0; i < b->img->nsegments; i++)
		if (!b->shared[i])
			memcpy(place(b, s[i].vaddr - KEEL_PEER_VA), b->img->data + s[i].offset, s[i].filesz);
}

static void copy_text(char *to, const char *text, size_t size)
{
	memcpy(to, text, strnlen(text, size - 1));
}

int image_lay_out(const struct image *img, const struct image_start *with, const struct image_memory *mem,
		  struct keel_part_start *start)
{
	struct builder b = { .img = img, .mem = mem };
	struct keel_start_info *si;
	uint64_t root, info, stack;

	if (img->end - KEEL_PEER_VA > mem->bytes)
		return -ENOMEM;
	find_shared(&b);
	copy_image(&b);
	b.next = up(img->end - KEEL_PEER_VA, PAGE);
	root = map_all(&b);
	info = take(&b, sizeof(*si));
	stack = take(&b, STACK_BYTES);
	if (b.full)
		return -ENOMEM;
	si = (struct keel_start_info *)(void *)place(&b, info);
	si->magic = KEEL_START_MAGIC;
	si->version = KEEL_ABI_VERSION;
	si->size = sizeof(*si);
	si->mem_pa = mem->pa;
	si->mem_bytes = mem->bytes;
	si->free_va = KEEL_PEER_VA + b.next;
	si->cr3_pa = mem->pa + root;
	si->tsc_khz = with->tsc_khz;
	si->xcr0 = with->xcr0;
	copy_text(si->name, with->name, sizeof(si->name));
	copy_text(si->cmdline, with->cmdline, sizeof(si->cmdline));
	*start = (struct keel_part_start) {
		.rip = img->entry, .rdi = KEEL_PEER_VA + info, .rsp = KEEL_PEER_VA + stack + STACK_BYTES,
		.cr3_pa = si->cr3_pa,
	};
	return 0;
}

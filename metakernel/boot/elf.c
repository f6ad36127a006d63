// SPDX-License-Identifier: MIT
/*
 * elf.c - checker of ELF images: header, program headers, and the "Keel" note.
 *
 * Headers are copied out of the image before they are read, so it needs no alignment.
 *
 * Bounds:  at most ELF_MAX_PHDRS program headers, ELF_MAX_SEGMENTS loaded ones (compared pairwise),
 *          NOTES_MAX_BYTES of notes in each note segment. No recursion.
 * Trusts:  nothing in the image.
 */
#include "boot/elf.h"

#include <string.h>

struct ehdr {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
static_assert(sizeof(struct ehdr) == 64, "ELF header size");

struct phdr {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
static_assert(sizeof(struct phdr) == 56, "program header size");

struct nhdr {
	uint32_t namesz, descsz, type;
};
static_assert(sizeof(struct nhdr) == 12, "note header size");

#define ET_EXEC		2
#define EM_X86_64	62
#define PT_LOAD		1
#define PT_DYNAMIC	2
#define PT_INTERP	3
#define PT_NOTE		4

#define PAGE		4096u
#define NOTES_MAX_BYTES	65536u

static int refuse(struct parse_error *e, const char *field, const char *msg)
{
	return parse_fail(e, -KEEL_EINVAL, "ELF", field, msg);
}

static int refuse_ph(struct parse_error *e, const char *field, unsigned int index, const char *msg)
{
	refuse(e, field, "program header ");
	parse_msg_dec(e, index);
	parse_msg(e, ": ");
	parse_msg(e, msg);
	return -KEEL_EINVAL;
}

static int check_ehdr(const struct ehdr *h, size_t len, struct parse_error *e)
{
	static const uint8_t ident[] = { 0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* LE */, 1 };

	if (memcmp(h->ident, ident, 4))
		return refuse(e, "e_ident", "no ELF image");
	if (memcmp(h->ident, ident, sizeof(ident)))
		return refuse(e, "e_ident", "not a 64-bit little-endian image");
	if (h->type != ET_EXEC)
		return refuse(e, "e_type", "not an executable with fixed addresses");
	if (h->machine != EM_X86_64)
		return refuse(e, "e_machine", "not for x86-64");
	if (h->version != 1)
		return refuse(e, "e_version", "unknown version");
	if (h->ehsize != sizeof(struct ehdr))
		return refuse(e, "e_ehsize", "wrong header size");
	if (h->phentsize != sizeof(struct phdr))
		return refuse(e, "e_phentsize", "wrong program header size");
	if (!h->phnum || h->phnum > ELF_MAX_PHDRS)
		return refuse(e, "e_phnum", "no program headers, or too many");
	if (h->phoff > len || len - h->phoff < h->phnum * sizeof(struct phdr))
		return refuse(e, "e_phoff", "program headers beyond the end");
	return 0;
}

static struct phdr get_phdr(const uint8_t *image, const struct ehdr *h, unsigned int index)
{
	struct phdr p;

	memcpy(&p, image + h->phoff + index * sizeof(p), sizeof(p));
	return p;
}

static int check_phdr(const struct phdr *p, unsigned int i, size_t len, struct parse_error *e)
{
	if (p->offset > len || p->filesz > len - p->offset)
		return refuse_ph(e, "p_filesz", i, "content beyond the end");
	if (p->type != PT_LOAD)
		return 0;
	if (p->filesz > p->memsz)
		return refuse_ph(e, "p_memsz", i, "smaller than p_filesz");
	if (p->memsz > -1ull - p->vaddr)
		return refuse_ph(e, "p_vaddr", i, "end wraps");
	if (p->memsz > -1ull - p->paddr)
		return refuse_ph(e, "p_paddr", i, "end wraps");
	if (p->align & (p->align - 1))
		return refuse_ph(e, "p_align", i, "not a power of two");
	return 0;
}

static int add_segment(struct elf_info *info, const struct phdr *p, unsigned int i,
		       struct parse_error *e)
{
	for (unsigned int k = 0; k < info->nsegments; k++) {
		const struct elf_segment *s = &info->segments[k];

		if (parse_overlap(s->vaddr, s->memsz, p->vaddr, p->memsz))
			return refuse_ph(e, "p_vaddr", i, "overlaps another segment");
		if (parse_overlap(s->paddr, s->memsz, p->paddr, p->memsz))
			return refuse_ph(e, "p_paddr", i, "overlaps another segment");
	}
	if (info->nsegments == ELF_MAX_SEGMENTS) {
		refuse(e, "e_phnum", "too many segments");
		return -KEEL_E2BIG;
	}
	if (!info->nsegments) {
		info->vaddr_min = p->vaddr;
		info->paddr_min = p->paddr;
	}
	if (p->vaddr < info->vaddr_min)
		info->vaddr_min = p->vaddr;
	if (p->vaddr + p->memsz > info->vaddr_end)
		info->vaddr_end = p->vaddr + p->memsz;
	if (p->paddr < info->paddr_min)
		info->paddr_min = p->paddr;
	if (p->paddr + p->memsz > info->paddr_end)
		info->paddr_end = p->paddr + p->memsz;
	if ((p->flags & (ELF_PF_W | ELF_PF_X)) == (ELF_PF_W | ELF_PF_X))
		info->write_exec = true;
	info->segments[info->nsegments++] = (struct elf_segment){
		.vaddr = p->vaddr, .paddr = p->paddr, .offset = p->offset,
		.filesz = p->filesz, .memsz = p->memsz, .flags = p->flags,
	};
	return 0;
}

/* ---- The note ----------------------------------------------------------------------------------- */

static int check_version(uint32_t version, struct parse_error *e)
{
	if (version == KEEL_ABI_VERSION)
		return 0;
	refuse(e, "abi_version", "made for another version of the ABI: ");
	parse_msg_dec(e, version);
	parse_msg(e, ", this metakernel has ");
	parse_msg_dec(e, KEEL_ABI_VERSION);
	return -KEEL_EINVAL;
}

static int take_peer(struct elf_info *info, const uint8_t *desc, uint32_t descsz, struct parse_error *e)
{
	struct keel_elf_peer peer;

	if (info->peer_version)
		return refuse(e, "note Keel", "given twice");
	if (descsz != sizeof(peer))
		return refuse(e, "note Keel", "wrong size");
	memcpy(&peer, desc, sizeof(peer));
	if (peer.reserved)
		return refuse(e, "reserved", "not zero");
	info->peer_version = peer.abi_version;
	return check_version(peer.abi_version, e);
}

static int take_start(struct elf_info *info, const uint8_t *desc, uint32_t descsz,
		      struct parse_error *e)
{
	if (info->has_start)
		return refuse(e, "note Keel", "given twice");
	if (descsz != sizeof(info->start))
		return refuse(e, "note Keel", "wrong size");
	memcpy(&info->start, desc, sizeof(info->start));
	info->has_start = true;
	return 0;
}

/*
 * The notes of one PT_NOTE segment: header, name, padding, descriptor, padding. The padding goes by
 * the alignment of the segment, 4 or 8. The last one may lack the padding at its end.
 */
static int read_notes(struct elf_info *info, const struct phdr *p, unsigned int i,
		      struct parse_error *e)
{
	const uint8_t *notes = info->image + p->offset;
	uint64_t mask = p->align == 8 ? 7 : 3;
	uint64_t at = 0, desc, end;

	if (p->filesz > NOTES_MAX_BYTES)
		return refuse_ph(e, "p_filesz", i, "too many notes");
	while (p->filesz - at >= sizeof(struct nhdr)) {
		struct nhdr n;
		int err;

		memcpy(&n, notes + at, sizeof(n));
		desc = (at + sizeof(n) + n.namesz + mask) & ~mask;
		end = desc + n.descsz;
		if (end > p->filesz)
			return refuse_ph(e, "p_filesz", i, "note beyond the end of its segment");
		err = 0;
		if (n.namesz == sizeof("Keel") && !memcmp(notes + at + sizeof(n), "Keel", sizeof("Keel"))) {
			if (n.type == KEEL_ELF_NOTE_START)
				err = take_start(info, notes + desc, n.descsz, e);
			else if (n.type == KEEL_ELF_NOTE_PEER)
				err = take_peer(info, notes + desc, n.descsz, e);
		}
		if (err)
			return err;
		at = (end + mask) & ~mask;
		if (at > p->filesz)
			break;
	}
	return 0;
}

/* Is [addr, addr + bytes) in the memory of one segment with all these flags? By virtual address. */
static bool in_segment(const struct elf_info *info, uint64_t addr, uint64_t bytes, uint32_t flags)
{
	for (unsigned int k = 0; k < info->nsegments; k++) {
		const struct elf_segment *s = &info->segments[k];

		if ((s->flags & flags) == flags && addr >= s->vaddr &&
		    addr - s->vaddr < s->memsz && bytes <= s->memsz - (addr - s->vaddr))
			return true;
	}
	return false;
}

static bool in_segment_pa(const struct elf_info *info, uint64_t addr, uint64_t bytes)
{
	for (unsigned int k = 0; k < info->nsegments; k++) {
		const struct elf_segment *s = &info->segments[k];

		if (addr >= s->paddr && addr - s->paddr < s->memsz &&
		    bytes <= s->memsz - (addr - s->paddr))
			return true;
	}
	return false;
}

static int check_start(const struct elf_info *info, struct parse_error *e)
{
	const struct keel_elf_start *s = &info->start;

	if (check_version(s->abi_version, e))
		return -KEEL_EINVAL;
	if (s->reserved)
		return refuse(e, "reserved", "not zero");
	if ((uint64_t)((int64_t)(s->entry_va << 16) >> 16) != s->entry_va)
		return refuse(e, "entry_va", "not canonical");
	if (!in_segment(info, s->entry_va, 1, ELF_PF_X))
		return refuse(e, "entry_va", "in no executable segment");
	if (s->cr3_pa % PAGE || !in_segment_pa(info, s->cr3_pa, PAGE))
		return refuse(e, "cr3_pa", "no page of a segment");
	return 0;
}

int elf_open(const void *image, size_t len, struct elf_info *info, struct parse_error *e)
{
	struct ehdr h;
	int err;

	memset(info, 0, sizeof(*info));
	info->image = image;
	info->len = len;
	if (len < sizeof(h))
		return refuse(e, "", "too short");
	memcpy(&h, image, sizeof(h));
	err = check_ehdr(&h, len, e);
	if (err)
		return err;
	info->entry = h.entry;

	for (unsigned int i = 0; i < h.phnum; i++) {
		struct phdr p = get_phdr(image, &h, i);

		err = check_phdr(&p, i, len, e);
		if (err)
			return err;
		if (p.type == PT_INTERP || p.type == PT_DYNAMIC)
			return refuse_ph(e, "p_type", i, "needs a dynamic linker");
		if (p.type == PT_LOAD && p.memsz)
			err = add_segment(info, &p, i, e);
		else if (p.type == PT_NOTE)
			err = read_notes(info, &p, i, e);
		if (err)
			return err;
	}
	if (!info->nsegments)
		return refuse(e, "e_phnum", "nothing to load");
	return info->has_start ? check_start(info, e) : 0;
}

int elf_check_peer(const struct elf_info *info, uint64_t base, uint64_t bytes, struct parse_error *e)
{
	if (info->vaddr_min < base)
		return refuse(e, "p_vaddr", "segment below the peer's memory");
	if (info->vaddr_end - base > bytes) {
		refuse(e, "p_memsz", "image larger than the peer's memory, KiB needed: ");
		parse_msg_dec(e, (info->vaddr_end - base + 1023) / 1024);
		return -KEEL_ENOMEM;
	}
	if (!in_segment(info, info->entry, 1, ELF_PF_X))
		return refuse(e, "e_entry", "in no executable segment");
	return check_version(info->peer_version ? info->peer_version : 1, e);	/* version 1 had no note */
}

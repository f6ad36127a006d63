/* SPDX-License-Identifier: MIT */
/*
 * elf.h - checker of the ELF images that partitions are loaded from.
 *
 * Accepts statically linked x86-64 executables (ET_EXEC). elf_open() checks all the loader will use
 * and keeps a checked copy of it, so that the loader does no arithmetic on unchecked numbers: with
 * every segment, offset + filesz <= length of the image, filesz <= memsz, neither vaddr + memsz nor
 * paddr + memsz wraps, and no two segments share a byte, neither of virtual nor of physical addresses.
 */
#ifndef METAKERNEL_ELF_H
#define METAKERNEL_ELF_H

#include "keel/abi.h"
#include "boot/parse.h"

#define ELF_MAX_SEGMENTS	16	/* that are loaded */
#define ELF_MAX_PHDRS		32

#define ELF_PF_X	1u
#define ELF_PF_W	2u
#define ELF_PF_R	4u

struct elf_segment {
	uint64_t vaddr, paddr;
	uint64_t offset, filesz;	/* bytes of the image to copy */
	uint64_t memsz;			/* > 0; the rest is zeroed */
	uint32_t flags;			/* ELF_PF_* */
};

struct elf_info {
	const uint8_t *image;
	size_t len;
	uint64_t entry;			/* as in the file: vmlinux has a physical address there */
	unsigned int nsegments;		/* at least 1; segments of no size are left out */
	struct elf_segment segments[ELF_MAX_SEGMENTS];
	uint64_t vaddr_min, vaddr_end;	/* of all segments */
	uint64_t paddr_min, paddr_end;
	bool write_exec;		/* some segment is writable and executable */
	bool has_start;			/* the "Keel" note was there, start is checked */
	struct keel_elf_start start;
	uint32_t peer_version;		/* of the ABI, as a peer's note says; 0: it has none */
};

/*
 * Check the image. 0, or -KEEL_EINVAL / -KEEL_E2BIG with *e filled and *info undefined. info->image
 * is the caller's memory, which must stay and not change. What the notes say is checked: version,
 * entry_va in an executable segment, cr3_pa a page inside a segment.
 */
int elf_open(const void *image, size_t len, struct elf_info *info, struct parse_error *e);

/*
 * Additional checks for a peer, mapped linearly from `base`: every segment inside [base, base + bytes)
 * the entry in an executable segment, and a note. 0, or -KEEL_EINVAL / -KEEL_ENOMEM with *e filled.
 */
int elf_check_peer(const struct elf_info *info, uint64_t base, uint64_t bytes, struct parse_error *e);

#endif /* METAKERNEL_ELF_H */

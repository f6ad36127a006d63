/* SPDX-License-Identifier: MIT */
/*
 * image.h - from an ELF image to the memory of a partition, as it is when the partition starts.
 *
 * Nothing here asks Linux for anything: the image and the memory are given, with the machine address the memory has.
 */
#ifndef KEELCTL_IMAGE_H
#define KEELCTL_IMAGE_H

#include <keel/abi.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_SEGMENTS	16
#define IMAGE_PHDRS	32

struct image_segment {
	uint64_t vaddr, memsz;
	uint64_t offset, filesz;	/* inside the file */
	bool write, execute;
};

/* An image that was checked: nothing in it points outside. */
struct image {
	const uint8_t *data;
	uint64_t entry;
	uint64_t end;			/* VA behind all segments */
	uint32_t abi_version;		/* of its note; 0: it has none */
	bool shares;			/* by another note: it does not ask where its code is */
	unsigned int nsegments;
	struct image_segment segments[IMAGE_SEGMENTS];
};

/* What is written down for the program. */
struct image_start {
	const char *name, *cmdline;	/* cut where keel_start_info has no room */
	uint64_t tsc_khz, xcr0;
};

struct image_memory {
	void *at;			/* zeroed; where it is for us */
	uint64_t pa, bytes;		/* both multiples of 4096 */
	uint64_t text_pa;		/* where image_text_lay_out() has been; 0: nowhere */
};

/*
 * Checks a static x86-64 executable linked at KEEL_PEER_VA; `data` must stay. NULL, or what is wrong
 * with it, in words for the user.
 */
const char *image_check(struct image *img, const void *data, size_t size);

/*
 * What can be memory of several partitions: the pages of executable segments, if they have them for themselves. How many bytes,
 * 0 of an image that does not allow it; and what is in them: zeroed memory of that size becomes that.
 */
uint64_t image_text_bytes(const struct image *img);
void image_text_lay_out(const struct image *img, void *at);

/*
 * Lays the image out and fills the registers to start with. 0, or -ENOMEM: image, page tables, start info and stack do
 * not fit. The page tables map all of the memory at KEEL_PEER_VA; but what is at text_pa in its place, where that is.
 */
int image_lay_out(const struct image *img, const struct image_start *with, const struct image_memory *mem,
		  struct keel_part_start *start);

#endif

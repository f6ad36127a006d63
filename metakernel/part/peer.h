/* SPDX-License-Identifier: MIT */
/*
 * peer.h - what a peer is loaded from, and loading it.
 */
#ifndef METAKERNEL_PART_PEER_H
#define METAKERNEL_PART_PEER_H

#include <stddef.h>
#include "part/part.h"

#define PEER_MAX_SEGMENTS	16

/* Kept in memory of the metakernel's. */
struct peer_file {
	const void *data;
	size_t size;
};

struct peer_segment {
	uint64_t vaddr, memsz;		/* inside the peer's memory */
	uint64_t offset, filesz;	/* inside the image */
	bool write, execute;
};

/* An image that the loader has checked: nothing in it points outside. */
struct peer_image {
	const uint8_t *data;
	unsigned int nsegments;
	struct peer_segment segments[PEER_MAX_SEGMENTS];
	uint64_t vaddr_end;		/* of all segments */
	uint64_t entry;
	struct peer_file modules[MANIFEST_MAX_MODULES];	/* in the manifest's order */
};

extern struct peer_image peer_images[MANIFEST_MAX_PARTS];	/* by partition, of the manifest's; written at boot */

/*
 * Load a peer's image afresh into its memory and reset its vCPU, a piece a call: -KEEL_EAGAIN until it is done.
 * Then 0, or -KEEL_ENOMEM: too small. The peer does not run meanwhile.
 */
int peer_load(struct partition *p);
bool peer_loading(const struct partition *p);
void peer_load_abandon(const struct partition *p);	/* the next peer_load() begins anew */

#endif

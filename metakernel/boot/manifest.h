/* SPDX-License-Identifier: MIT */
/*
 * manifest.h - reader of the system manifest (part/manifest.h says what is in one).
 */
#ifndef METAKERNEL_BOOT_MANIFEST_H
#define METAKERNEL_BOOT_MANIFEST_H

#include <stddef.h>
#include "boot/parse.h"
#include "part/manifest.h"

/*
 * Check the tree of `len` bytes at `fdt` and read it into *m. Reads nothing beyond `len`, whatever
 * the content. `fdt` needs no alignment, but must not change meanwhile; trees that are not 8-byte
 * aligned pass through a static buffer, so there is one caller at a time.
 * 0, or -KEEL_EINVAL / -KEEL_E2BIG with *e filled and *m undefined.
 */
int manifest_parse(const void *fdt, size_t len, struct manifest *m, struct parse_error *e);

/*
 * How many vCPUs a partition has on a machine with these CPUs, and where: what it says, else one on each; with
 * devices at most that. NULL, or what of it cannot be: then it has what can.
 */
const char *manifest_place(struct manifest_part *p, uint64_t there);

/*
 * shadow-pages is the most a vCPU gets. One of a partition with memory-rest gets its share of what a machine of
 * `ram_bytes` needs (docs/decisions/009), if that is less. After manifest_place().
 */
void manifest_size_pools(struct manifest *m, uint64_t ram_bytes);

/*
 * Do all partitions fit into `pool_bytes` of memory: their memory, their shadow pages, and at least
 * MANIFEST_MIN_REST for memory-rest? 0, or -KEEL_ENOMEM with *e naming the first that does not fit.
 */
int manifest_fits(const struct manifest *m, uint64_t pool_bytes, struct parse_error *e);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * bundle.h - reader of the boot bundle: one cpio archive ("newc") with the manifest and its files.
 *
 * The bundle is one archive of regular files (and directories, which are skipped), closed by
 * TRAILER!!!, after which only zero bytes may follow. Everything works in place, on memory that
 * must not change meanwhile; names and data point into the archive.
 */
#ifndef METAKERNEL_BUNDLE_H
#define METAKERNEL_BUNDLE_H

#include "boot/parse.h"

#define BUNDLE_NAME_LEN		128	/* longest name, with its zero byte */
#define BUNDLE_MAX_FILES	64

struct bundle_file {
	const char *name;	/* zero-terminated, a leading "./" removed */
	const void *data;	/* 4-byte aligned relative to the archive's start */
	size_t size;
};

/* Check the whole archive once. 0, or -KEEL_EINVAL / -KEEL_E2BIG with *e filled. */
int bundle_check(const void *base, size_t len, struct parse_error *e);

/*
 * Find a file by name. 0, -KEEL_ENOENT, or -KEEL_EINVAL if the archive is damaged before the name
 * is found. Stays within `len` for any content, checked before or not.
 */
int bundle_find(const void *base, size_t len, const char *name, struct bundle_file *file);

/*
 * Step through the archive: *pos starts as 0. 1 with *file filled, 0 at the end, or -KEEL_EINVAL
 * with *e filled.
 */
int bundle_next(const void *base, size_t len, size_t *pos, struct bundle_file *file,
		struct parse_error *e);

#endif /* METAKERNEL_BUNDLE_H */

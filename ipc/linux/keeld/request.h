/* SPDX-License-Identifier: MIT */
/* request.h - checks of one driver call that need nothing but the request and the window's layout. */
#ifndef KEELD_REQUEST_H
#define KEELD_REQUEST_H

#include <keel/drivercall.h>

/*
 * Whether a request (already copied out of the window) is well-formed: opcode known, fields it
 * does not use zero, flags allowed, buffers inside the buffer area. 0 or negative errno. File
 * numbers and paths are checked later, by whom they concern.
 */
int request_check(const struct keel_sqe *sqe, const struct keel_dc_layout *layout);

/*
 * Copies the path at window offset `off` into path[KEEL_DC_PATH_MAX]. 0, -EFAULT when it starts
 * outside the buffer area, -ENAMETOOLONG without a zero in time.
 */
int request_path(const void *window, const struct keel_dc_layout *layout, uint64_t off, char *path);

/* Whether an OPENAT with these flags wants more than reading. */
static inline bool request_open_writes(uint32_t flags)
{
	return (flags & KEEL_DC_O_ACCMODE) != KEEL_DC_O_RDONLY ||
	       flags & (KEEL_DC_O_CREAT | KEEL_DC_O_TRUNC);
}

#endif

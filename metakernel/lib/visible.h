/* SPDX-License-Identifier: MIT */
/*
 * lib/visible.h - text of somebody else, made fit for a line on a terminal.
 */
#ifndef LIB_VISIBLE_H
#define LIB_VISIBLE_H

#include <stddef.h>

#define VISIBLE_MAX	4	/* bytes that one byte may become */

/*
 * Copy len bytes of src to dst so that none of them moves the cursor or controls the terminal: ESC becomes
 * "^[", other bytes below 0x20 (but tab) and DEL the same way, C1 controls and bytes that are not UTF-8
 * "\xNN". Everything else stays as it is. At most size bytes; what does not fit whole is cut. Not
 * terminated. Returns the bytes written.
 */
size_t visible(char *dst, size_t size, const char *src, size_t len);

#endif

/* SPDX-License-Identifier: MIT */
/* rt/pieces.h - the pieces of memory that a caller of readv or writev names, one behind the other. */
#ifndef RT_PIECES_H
#define RT_PIECES_H

#include <string.h>
#include <sys/uio.h>
#include <keel/drivercall.h>

struct pieces {
	const struct iovec *iov;
	size_t skip;		/* of iov[0] */
};

static inline size_t pieces_bytes(const struct iovec *iov, int n)
{
	size_t len = 0;

	for (int i = 0; i < n; i++)
		if (__builtin_add_overflow(len, iov[i].iov_len, &len))
			return KEEL_DC_MAX_IO;
	return len < KEEL_DC_MAX_IO ? len : KEEL_DC_MAX_IO;
}

/* Copy the next `bytes` of the pieces to `mem`, or from there to them; there are that many. */
static inline void pieces_copy(struct pieces *p, char *mem, size_t bytes, bool to_pieces)
{
	while (bytes) {
		size_t part = p->iov->iov_len - p->skip;
		char *piece = (char *)p->iov->iov_base + p->skip;

		if (part > bytes)
			part = bytes;
		if (to_pieces)
			memcpy(piece, mem, part);
		else
			memcpy(mem, piece, part);
		mem += part;
		bytes -= part;
		p->skip += part;
		if (p->skip == p->iov->iov_len) {
			p->iov++;
			p->skip = 0;
		}
	}
}

#endif /* RT_PIECES_H */

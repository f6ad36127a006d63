// SPDX-License-Identifier: MIT
/*
 * request.c - the shape of each driver call as a table, and the checks that walk it.
 *
 * Trusts: nothing in the request; the layout is the server's private copy.
 */
#include "request.h"

#include <errno.h>
#include <string.h>

enum fd_kind { FD_NONE, FD_FILE, FD_CWD };

enum {				/* fields a call uses; all others must be 0 */
	USES_OFF	= 1 << 0,
	USES_ADDR	= 1 << 1,
	USES_LEN	= 1 << 2,
	POSITION	= 1 << 3,	/* off is a file position or size */
	DATA		= 1 << 4,	/* addr, len is a buffer */
};

struct shape {
	bool known;
	enum fd_kind fd;
	unsigned int uses;
	uint32_t op_flags;	/* allowed bits */
};

static const struct shape shapes[KEEL_OP_NR] = {
	[KEEL_OP_NOP]	    = { true, FD_NONE, 0, 0 },
	[KEEL_OP_OPENAT]    = { true, FD_CWD, USES_ADDR | USES_LEN, KEEL_DC_O_ALLOWED },
	[KEEL_OP_CLOSE]	    = { true, FD_FILE, 0, 0 },
	[KEEL_OP_READ]	    = { true, FD_FILE, USES_OFF | USES_ADDR | USES_LEN | POSITION | DATA, 0 },
	[KEEL_OP_WRITE]	    = { true, FD_FILE, USES_OFF | USES_ADDR | USES_LEN | POSITION | DATA, 0 },
	[KEEL_OP_FSYNC]	    = { true, FD_FILE, 0, KEEL_DC_FSYNC_DATASYNC },
	[KEEL_OP_FTRUNCATE] = { true, FD_FILE, USES_OFF | POSITION, 0 },
	[KEEL_OP_UNLINKAT]  = { true, FD_CWD, USES_ADDR, KEEL_DC_AT_REMOVEDIR },
	[KEEL_OP_RENAMEAT]  = { true, FD_CWD, USES_OFF | USES_ADDR | USES_LEN,
				KEEL_DC_RENAME_NOREPLACE },
	[KEEL_OP_MKDIRAT]   = { true, FD_CWD, USES_ADDR | USES_LEN, 0 },
};

/* STATX has two forms: by path, by file. */
static const struct shape statx_path = { true, FD_CWD, USES_OFF | USES_ADDR | USES_LEN,
					 KEEL_DC_AT_NOFOLLOW };
static const struct shape statx_file = { true, FD_FILE, USES_OFF | USES_LEN, KEEL_DC_AT_EMPTY_PATH };

static const struct shape *shape_of(const struct keel_sqe *sqe)
{
	if (sqe->opcode == KEEL_OP_STATX)
		return sqe->op_flags & KEEL_DC_AT_EMPTY_PATH ? &statx_file : &statx_path;
	/* Clamped by the comparison; the table is the whole range. */
	if (sqe->opcode >= KEEL_OP_NR || !shapes[sqe->opcode].known)
		return NULL;
	return &shapes[sqe->opcode];
}

static bool in_buffer_area(const struct keel_dc_layout *l, uint64_t off, uint64_t bytes)
{
	return keel_dc_range_ok(off, bytes, l->buf_off, l->buf_bytes);
}

int request_check(const struct keel_sqe *sqe, const struct keel_dc_layout *l)
{
	const struct shape *s = shape_of(sqe);

	if (!s)
		return -EINVAL;
	if (sqe->flags || sqe->ioprio || sqe->buf_index || sqe->personality || sqe->file_index ||
	    sqe->addr3 || sqe->reserved || sqe->op_flags & ~s->op_flags)
		return -EINVAL;
	if ((!(s->uses & USES_OFF) && sqe->off) || (!(s->uses & USES_ADDR) && sqe->addr) ||
	    (!(s->uses & USES_LEN) && sqe->len))
		return -EINVAL;
	if (s->fd == FD_CWD && sqe->fd != KEEL_DC_AT_FDCWD)
		return -EBADF;
	if (s->fd == FD_NONE && sqe->fd)
		return -EINVAL;
	if (s->uses & POSITION && sqe->off > INT64_MAX)
		return -EINVAL;
	if (s->uses & DATA) {
		if (sqe->len > KEEL_DC_MAX_IO)
			return -EINVAL;
		if (!in_buffer_area(l, sqe->addr, sqe->len))
			return -EFAULT;
	}
	if (sqe->opcode == KEEL_OP_STATX &&
	    (!in_buffer_area(l, sqe->off, KEEL_DC_STATX_BYTES) || sqe->off & 7))
		return -EFAULT;
	if (sqe->opcode == KEEL_OP_RENAMEAT && (int32_t)sqe->len != KEEL_DC_AT_FDCWD)
		return -EBADF;
	if (sqe->opcode == KEEL_OP_OPENAT &&
	    (sqe->op_flags & KEEL_DC_O_ACCMODE) == KEEL_DC_O_ACCMODE)
		return -EINVAL;
	return 0;
}

int request_path(const void *window, const struct keel_dc_layout *l, uint64_t off, char *path)
{
	uint64_t n;

	if (!in_buffer_area(l, off, 1))
		return -EFAULT;
	n = l->buf_bytes - (off - l->buf_off);
	if (n > KEEL_DC_PATH_MAX)
		n = KEEL_DC_PATH_MAX;
	/* One copy; from here on only the copy is looked at. */
	memcpy(path, (const char *)window + off, n);
	return memchr(path, 0, n) ? 0 : -ENAMETOOLONG;
}

// SPDX-License-Identifier: MIT
/*
 * remote.c - files behind the channel: every path outside /boot.
 *
 * Positions live here (struct file); each READ and WRITE names its own. Data goes through the
 * buffer area of the window.
 *
 * Regular files are read ahead: one call fetches up to AHEAD_BYTES and the following reads are
 * served from it, since libc asks for 1 KiB at a time. What was read ahead is dropped at any write
 * of ours (to whatever file: there may be another descriptor for this one), and is never older than
 * the last call that found the end of it, so a growing file is seen to grow.
 * Trusts: results are bounded by what was asked for; contents are only ever copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <rt/rt.h>
#include <rt/session.h>

#define AHEAD_BYTES	(64 * 1024UL)
#define CHUNK_BYTES	(64 * 1024UL)	/* of a write, or a read without read-ahead */
#define CHUNK_MIN	4096UL

#define STATX_BASIC	0x7ff		/* STATX_BASIC_STATS: all that struct stat has */

struct remote_statx {			/* layout of struct statx */
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, reserved0;
	uint64_t ino, size, blocks, attributes_mask;
	struct {
		int64_t sec;
		uint32_t nsec;
		int32_t reserved;
	} atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t reserved1[14];
};
static_assert(sizeof(struct remote_statx) == KEEL_DC_STATX_BYTES, "struct statx");
static_assert(offsetof(struct remote_statx, mtime) == 112, "struct statx");

struct ahead {
	uint64_t off;		/* of the buffer in the window */
	size_t bytes;		/* its size */
	uint64_t pos;		/* file position of its first byte */
	size_t len;		/* valid bytes */
	uint64_t writes;	/* value of `writes` when it was filled */
	bool end;		/* the file ended there; told to one reader */
	uint32_t generation;	/* of the session whose window this is about */
};

static uint64_t writes;		/* counts our changes to any remote file */

/* Every read-ahead there is, so that its buffer can be taken back when the window is full. */
static struct ahead *aheads[RT_FILES];
static unsigned next_victim;

static const struct file_ops remote_ops;

static int call(struct keel_sqe sqe)
{
	int32_t res;
	int err = session_call(&sqe, &res, 1);

	return err ? err : res;
}

static void put(uint64_t off, size_t bytes)
{
	if (off)
		keel_dc_free(&session, off, bytes);
}

/* Take the buffer of some read-ahead. False: there is none left. */
static bool evict(void)
{
	for (unsigned i = 0; i < RT_FILES; i++) {
		struct ahead *a = aheads[next_victim++ % RT_FILES];

		if (!a || !a->bytes || a->generation != session.generation)
			continue;
		put(a->off, a->bytes);
		a->bytes = a->len = 0;
		return true;
	}
	return false;
}

/* `bytes` of the buffer area: its offset, or 0. Freed with put(). */
static uint64_t get(size_t bytes)
{
	uint64_t off;

	while (!(off = keel_dc_alloc(&session, bytes)) && evict())
		;
	return off;
}

/* Copy a path into the window; its offset, or 0. Freed with put_path. */
static uint64_t get_path(const char *path)
{
	size_t n = strlen(path) + 1;
	uint64_t off = get(n);

	if (off)
		memcpy(keel_dc_ptr(&session, off), path, n);
	return off;
}

static void put_path(uint64_t off, const char *path)
{
	put(off, strlen(path) + 1);
}

static int check_path(const char *path)
{
	if (!*path)
		return -ENOENT;
	return strlen(path) < KEEL_DC_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* A call with one path. Waits for a server if there is none. */
static int path_call(const char *path, struct keel_sqe (*make)(uint64_t, uint32_t, uint64_t),
		     uint32_t arg)
{
	uint64_t off;
	int err = check_path(path);

	if (!err)
		err = session_open();
	if (err)
		return err;
	off = get_path(path);
	if (!off)
		return -ENOMEM;
	err = call(make(off, arg, 0));
	if (session_is(session.generation))
		put_path(off, path);
	return err < 0 ? err : 0;
}

/* ---- stat ---------------------------------------------------------------------------------------- */

static void fill_stat(struct stat *st, const struct remote_statx *x)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = x->mode;
	st->st_nlink = x->nlink;
	st->st_uid = x->uid;
	st->st_gid = x->gid;
	st->st_ino = x->ino;
	st->st_size = (off_t)x->size;
	st->st_blksize = (blksize_t)x->blksize;
	st->st_blocks = (blkcnt_t)x->blocks;
	st->st_rdev = (dev_t)x->rdev_major << 8 | x->rdev_minor;
	st->st_dev = (dev_t)x->dev_major << 8 | x->dev_minor;
	st->st_atim.tv_sec = x->atime.sec;
	st->st_atim.tv_nsec = x->atime.nsec;
	st->st_mtim.tv_sec = x->mtime.sec;
	st->st_mtim.tv_nsec = x->mtime.nsec;
	st->st_ctim.tv_sec = x->ctime.sec;
	st->st_ctim.tv_nsec = x->ctime.nsec;
}

static int statx_call(int32_t handle, uint64_t path, uint32_t flags, struct stat *st)
{
	uint64_t buf = get(KEEL_DC_STATX_BYTES);
	struct remote_statx x;
	int err;

	if (!buf)
		return -ENOMEM;
	err = call(keel_dc_statx(handle, path, flags, STATX_BASIC, buf, 0));
	if (!session_is(session.generation))
		return -EIO;
	if (!err) {
		memcpy(&x, keel_dc_ptr(&session, buf), sizeof(x));
		fill_stat(st, &x);
	}
	put(buf, KEEL_DC_STATX_BYTES);
	return err > 0 ? -EIO : err;
}

int remote_stat_path(const char *path, bool follow, struct stat *st)
{
	uint64_t off;
	int err = check_path(path);

	if (!err)
		err = session_open();
	if (err)
		return err;
	off = get_path(path);
	if (!off)
		return -ENOMEM;
	err = statx_call(KEEL_DC_AT_FDCWD, off, follow ? 0 : KEEL_DC_AT_NOFOLLOW, st);
	if (session_is(session.generation))
		put_path(off, path);
	return err;
}

static int remote_stat(struct file *f, struct stat *st)
{
	if (!session_is(f->remote.generation))
		return -EIO;
	return statx_call(f->remote.handle, 0, KEEL_DC_AT_EMPTY_PATH, st);
}

/* ---- open and close -------------------------------------------------------------------------------- */

/* NULL if there is no memory: then there is no read-ahead. */
static struct ahead *ahead_new(void)
{
	struct ahead *a = calloc(1, sizeof(*a));
	unsigned i = 0;

	if (!a)
		return NULL;
	while (aheads[i])	/* as many as files */
		i++;
	aheads[i] = a;
	a->generation = session.generation;
	return a;
}

static void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	if (a->bytes && session_is(a->generation))
		put(a->off, a->bytes);
	for (unsigned i = 0; i < RT_FILES; i++)
		if (aheads[i] == a)
			aheads[i] = NULL;
	free(a);
}

/*
 * Open, and ask in the same batch what kind of file the path names: only regular files are read
 * ahead and can seek. The answer is about the path, so it may be about another file if someone
 * renames in that moment: then reads are a little fresher or staler, nothing more.
 */
int remote_open(struct file *f, const char *path, int flags, mode_t mode)
{
	uint64_t off, xbuf;
	struct keel_sqe sqe[2];
	int32_t res[2];
	struct ahead *a = NULL;
	bool regular = true;
	int err = check_path(path);

	if (!err)
		err = session_open();
	if (err)
		return err;
	off = get_path(path);
	xbuf = get(KEEL_DC_STATX_BYTES);
	err = -ENOMEM;
	if (!off || !xbuf)
		goto put_buffers;

	sqe[0] = keel_dc_open(off, (uint32_t)flags & KEEL_DC_O_ALLOWED & ~KEEL_DC_O_IGNORED,
			      flags & O_CREAT ? (uint32_t)mode & 07777 : 0, 0);
	sqe[1] = keel_dc_statx(KEEL_DC_AT_FDCWD, off, 0, STATX_BASIC, xbuf, 0);
	err = session_call(sqe, res, 2);
	if (err)
		return err;
	err = res[0];
	if (err < 0)
		goto put_buffers;

	if (res[1] == 0) {
		const struct remote_statx *x = keel_dc_ptr(&session, xbuf);
		uint16_t file_mode = keel_load_relaxed(&x->mode);

		regular = S_ISREG(file_mode);
		if (regular && (flags & O_ACCMODE) != O_WRONLY)
			a = ahead_new();
	}
	if (flags & (O_TRUNC | O_CREAT))
		writes++;
	f->ops = &remote_ops;
	f->seekable = regular;
	f->remote.handle = err;
	f->remote.generation = session.generation;
	f->remote.ahead = a;
	err = 0;
put_buffers:
	put(xbuf, KEEL_DC_STATX_BYTES);
	put_path(off, path);
	return err;
}

static int remote_close(struct file *f)
{
	int err = 0;

	ahead_free(f->remote.ahead);
	if (session_is(f->remote.generation))
		err = call(keel_dc_close(f->remote.handle, 0));
	return err;
}

/* ---- data ------------------------------------------------------------------------------------------ */

/* A buffer in the window of *bytes or less, at least CHUNK_MIN (or *bytes); 0: no room. */
static uint64_t get_buffer(size_t *bytes)
{
	uint64_t off;

	if (*bytes > session.layout.buf_bytes / 4)
		*bytes = session.layout.buf_bytes / 4;
	while (!(off = get(*bytes)) && *bytes > CHUNK_MIN)
		*bytes = *bytes / 2 > CHUNK_MIN ? *bytes / 2 : CHUNK_MIN;
	return off;
}

/* READ into the window. Bytes, never more than asked for. */
static ssize_t fetch(struct file *f, uint64_t off, size_t bytes, uint64_t pos)
{
	int n = call(keel_dc_read(f->remote.handle, off, (uint32_t)bytes, pos, 0));

	return n > 0 && (size_t)n > bytes ? -EIO : n;
}

static ssize_t read_through(struct file *f, void *buf, size_t len, uint64_t pos)
{
	size_t bytes = len < CHUNK_BYTES ? len : CHUNK_BYTES;
	uint64_t off = get_buffer(&bytes);
	ssize_t n;

	if (!off)
		return -ENOMEM;
	n = fetch(f, off, bytes, pos);
	if (!session_is(f->remote.generation))
		return -EIO;
	if (n > 0)
		memcpy(buf, keel_dc_ptr(&session, off), (size_t)n);
	put(off, bytes);
	return n;
}

/* Bytes of the read-ahead that answer a read at pos; 0 if it must be filled anew. */
static size_t ahead_have(const struct ahead *a, uint64_t pos)
{
	if (a->writes != writes || pos < a->pos || pos - a->pos >= a->len)
		return 0;
	return a->len - (size_t)(pos - a->pos);
}

static ssize_t ahead_fill(struct file *f, struct ahead *a, uint64_t pos)
{
	ssize_t n;

	a->len = 0;
	if (!a->bytes) {
		size_t bytes = AHEAD_BYTES;

		a->off = get_buffer(&bytes);
		if (!a->off)
			return -ENOMEM;
		a->bytes = bytes;
	}
	n = fetch(f, a->off, a->bytes, pos);
	if (n < 0)
		return n;
	a->pos = pos;
	a->len = (size_t)n;
	a->writes = writes;
	a->end = n > 0 && (size_t)n < a->bytes;
	return n;
}

static ssize_t remote_read(struct file *f, void *buf, size_t len, uint64_t pos)
{
	struct ahead *a = f->remote.ahead;
	size_t have;

	if (!session_is(f->remote.generation))
		return -EIO;
	if (!a || (len > AHEAD_BYTES && !ahead_have(a, pos)))
		return read_through(f, buf, len, pos);

	have = ahead_have(a, pos);
	if (!have) {
		ssize_t n;

		/* The fill that came short has seen the end: say so once without asking. */
		if (a->end && a->writes == writes && pos == a->pos + a->len) {
			a->end = false;
			return 0;
		}
		n = ahead_fill(f, a, pos);
		if (n == -ENOMEM)
			return read_through(f, buf, len, pos);
		if (n <= 0)
			return n;
		have = (size_t)n;
	}
	if (len > have)
		len = have;
	memcpy(buf, (char *)keel_dc_ptr(&session, a->off) + (pos - a->pos), len);
	return (ssize_t)len;
}

/* A place in the caller's pieces. */
struct gather {
	const struct iovec *iov;
	size_t skip;		/* of iov[0] */
};

/* Copy the next `bytes` of the pieces; there are that many. */
static void gather_copy(struct gather *g, char *to, size_t bytes)
{
	while (bytes) {
		size_t part = g->iov->iov_len - g->skip;

		if (part > bytes)
			part = bytes;
		memcpy(to, (const char *)g->iov->iov_base + g->skip, part);
		to += part;
		bytes -= part;
		g->skip += part;
		if (g->skip == g->iov->iov_len) {
			g->iov++;
			g->skip = 0;
		}
	}
}

/* All pieces in as few calls as the buffer allows: libc hands over its buffer and the rest. */
static ssize_t remote_write(struct file *f, const struct iovec *iov, int n, uint64_t pos)
{
	struct gather from = { iov, 0 };
	size_t len = 0, done = 0, bytes;
	uint64_t off;
	int err = 0;

	if (!session_is(f->remote.generation))
		return -EIO;
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	if (!len)
		return 0;
	bytes = len < CHUNK_BYTES ? len : CHUNK_BYTES;
	off = get_buffer(&bytes);
	if (!off)
		return -ENOMEM;
	writes++;
	while (done < len) {
		size_t part = len - done < bytes ? len - done : bytes;

		gather_copy(&from, keel_dc_ptr(&session, off), part);
		err = call(keel_dc_write(f->remote.handle, off, (uint32_t)part, pos + done, 0));
		if (!session_is(f->remote.generation))
			return -EIO;
		if (err > 0 && (size_t)err > part)
			err = -EIO;
		if (err < 0)
			break;
		done += (size_t)err;
		if ((size_t)err < part)
			break;
	}
	put(off, bytes);
	return done ? (ssize_t)done : err;
}

static int remote_truncate(struct file *f, uint64_t len)
{
	if (!session_is(f->remote.generation))
		return -EIO;
	writes++;
	return call(keel_dc_ftruncate(f->remote.handle, len, 0));
}

static int remote_sync(struct file *f)
{
	if (!session_is(f->remote.generation))
		return -EIO;
	return call(keel_dc_fsync(f->remote.handle, 0, 0));
}

static const struct file_ops remote_ops = {
	.read = remote_read,
	.write = remote_write,
	.stat = remote_stat,
	.truncate = remote_truncate,
	.sync = remote_sync,
	.close = remote_close,
};

/* ---- names ------------------------------------------------------------------------------------------ */

int remote_unlink(const char *path, int flags)
{
	return path_call(path, keel_dc_unlink,
			 flags & AT_REMOVEDIR ? KEEL_DC_AT_REMOVEDIR : 0);
}

int remote_mkdir(const char *path, mode_t mode)
{
	return path_call(path, keel_dc_mkdir, (uint32_t)mode & 07777);
}

int remote_rename(const char *from, const char *to)
{
	uint64_t from_off, to_off;
	int err = check_path(from);

	if (!err)
		err = check_path(to);
	if (!err)
		err = session_open();
	if (err)
		return err;
	from_off = get_path(from);
	to_off = get_path(to);
	err = -ENOMEM;
	if (from_off && to_off) {
		err = call(keel_dc_rename(from_off, to_off, 0, 0));
		writes++;
	}
	if (session_is(session.generation)) {
		put_path(from_off, from);
		put_path(to_off, to);
	}
	return err < 0 ? err : 0;
}

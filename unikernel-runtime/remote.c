// SPDX-License-Identifier: MIT
/*
 * remote.c - files behind the channel: every path outside /boot.
 *
 * Positions live here (struct file); each READ and WRITE names its own. Data goes through the
 * buffer area of the window: paths, statx and unbuffered data through pieces that are kept for the
 * whole session, read-ahead through one a file.
 *
 * A file whose content was stored before (not one of procfs or sysfs, which is made for its reader) is
 * read ahead once reads follow each other: libc asks for 4 KiB at a time, a call may as well fetch 64. A
 * small file is read whole at once; after a seek not even libc's 4 KiB are, but what its caller wants.
 * What was read ahead is good for going on reading, not for coming back after a seek, and only until
 * something comes in from outside that might be about a change: a write of ours (there may be another
 * descriptor for the file), a line of console input, a sleep, AHEAD_NS. So who is told that a file has
 * changed in place, or looks again after a while, sees it. Closing is not waited for.
 * Trusts: results are bounded by what was asked for; contents are only ever copied.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <rt/machine.h>
#include <rt/pieces.h>
#include <rt/rt.h>
#include <rt/session.h>

#define AHEAD_BYTES	(64 * 1024UL)
#define AHEAD_NS	20000000ULL	/* how long it is good for */
#define SMALL_FILE	(16 * 1024UL)	/* read whole by its first read */
#define SECTOR		512UL
#define CHUNK_BYTES	(64 * 1024UL)	/* of a write, or a read without read-ahead */
#define CHUNK_MIN	4096UL
#define NOWHERE		UINT64_MAX	/* as the position of the last read */
#define OPENED_WRITTEN	0x80u		/* ours, beside KEEL_DC_OPENED_*: it had no blocks then, but may now */

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
	size_t bytes;		/* its size; 0: none */
	uint64_t pos;		/* file position of its first byte */
	size_t len;		/* valid bytes */
	uint64_t epoch;		/* when it was filled */
	uint64_t good_until;	/* TSC */
	uint32_t generation;	/* of the session whose window this is about */
};

static uint64_t epoch;		/* counts what makes read-ahead doubtful */

/* Every read-ahead there is, so that its buffer can be taken back when the window is full. */
static struct ahead *aheads[RT_FILES];
static unsigned next_victim;

/* Pieces of the buffer area that a session's calls use one after the other. */
static struct {
	uint32_t generation;	/* of the session they were taken in; 0: none */
	uint64_t path[2], statx;
	uint64_t data;
	size_t data_bytes;
} io;

static const struct file_ops remote_ops;

static int call(struct keel_sqe sqe)
{
	int32_t res;
	int err = session_call(&sqe, &res, 1);

	return err ? err : res;
}

void remote_forget(void)
{
	epoch++;
}

/* Take the buffer of some read-ahead. False: there is none left. */
static bool evict(void)
{
	for (unsigned i = 0; i < RT_FILES; i++) {
		struct ahead *a = aheads[next_victim++ % RT_FILES];

		if (!a || !a->bytes || a->generation != session.generation)
			continue;
		keel_dc_free(&session, a->off, a->bytes);
		a->bytes = a->len = 0;
		return true;
	}
	return false;
}

/* A buffer in the window of *bytes or less, at least CHUNK_MIN (or *bytes); 0: no room. */
uint64_t remote_buffer(size_t *bytes)
{
	uint64_t off;

	if (*bytes > session.layout.buf_bytes / 4)
		*bytes = session.layout.buf_bytes / 4;
	for (;;) {
		off = keel_dc_alloc(&session, *bytes);
		if (off)
			return off;
		if (evict())
			continue;
		if (*bytes <= CHUNK_MIN)
			return 0;
		*bytes = *bytes / 2 > CHUNK_MIN ? *bytes / 2 : CHUNK_MIN;
	}
}

/* A session and its pieces: the first thing of every call that names a path. */
static int ready(void)
{
	int err = session_open();

	if (err || io.generation == session.generation)
		return err;
	/* The allocator is empty: a session has just begun. */
	io.path[0] = keel_dc_alloc(&session, KEEL_DC_PATH_MAX);
	io.path[1] = keel_dc_alloc(&session, KEEL_DC_PATH_MAX);
	io.statx = keel_dc_alloc(&session, KEEL_DC_STATX_BYTES);
	io.data_bytes = CHUNK_BYTES;
	io.data = remote_buffer(&io.data_bytes);
	if (!io.path[0] || !io.path[1] || !io.statx || !io.data)
		return -ENOMEM;
	io.generation = session.generation;
	return 0;
}

/* Copy a path into its place in the window; there is a session after it. */
static int put_path(int i, const char *path)
{
	size_t n = strlen(path) + 1;
	int err = n == 1 ? -ENOENT : n > KEEL_DC_PATH_MAX ? -ENAMETOOLONG : ready();

	if (!err)
		memcpy(keel_dc_ptr(&session, io.path[i]), path, n);
	return err;
}

/* A call with one path. Waits for a server if there is none. */
static int path_call(const char *path, struct keel_sqe (*make)(uint64_t, uint32_t, uint64_t),
		     uint32_t arg)
{
	int err = put_path(0, path);

	if (!err)
		err = call(make(io.path[0], arg, 0));
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
	struct remote_statx x;
	int err = call(keel_dc_statx(handle, path, flags, STATX_BASIC, io.statx, 0));

	if (!err) {
		memcpy(&x, keel_dc_ptr(&session, io.statx), sizeof(x));
		fill_stat(st, &x);
	}
	return err > 0 ? -EIO : err;
}

int remote_stat_path(const char *path, bool follow, struct stat *st)
{
	int err = put_path(0, path);

	return err ? err : statx_call(KEEL_DC_AT_FDCWD, io.path[0], follow ? 0 : KEEL_DC_AT_NOFOLLOW, st);
}

static int remote_stat(struct file *f, struct stat *st)
{
	if (!session_is(f->remote.generation))
		return -EIO;
	return statx_call(f->remote.handle, 0, KEEL_DC_AT_EMPTY_PATH, st);
}

/* What kind of file it is: as told when it was opened, or else asked for now. KEEL_DC_OPENED_*. */
static uint32_t kind(struct file *f)
{
	struct stat st;

	if (!(f->remote.opened & KEEL_DC_OPENED_TOLD) && !remote_stat(f, &st))
		f->remote.opened = keel_dc_opened(S_ISREG(st.st_mode), (uint64_t)st.st_size,
						  (uint64_t)st.st_blocks);
	return f->remote.opened;
}

static int remote_seekable(struct file *f)
{
	if (!session_is(f->remote.generation))
		return -EIO;
	return kind(f) & KEEL_DC_OPENED_SEEK ? 0 : -ESPIPE;
}

/* ---- open and close -------------------------------------------------------------------------------- */

int remote_open(struct file *f, const char *path, int flags, mode_t mode)
{
	struct keel_cqe cqe;
	struct keel_sqe sqe;
	int err;

	do {
		err = put_path(0, path);
		if (err)
			return err;
		sqe = keel_dc_open(io.path[0], (uint32_t)flags & KEEL_DC_O_ALLOWED & ~KEEL_DC_O_IGNORED,
				   flags & O_CREAT ? (uint32_t)mode & 07777 : 0, 0);
		err = session_ask(&sqe, &cqe);
		if (err)
			return err;
		/* Files that are being closed count: wait for that and try again. */
	} while (cqe.res == -EMFILE && session_settle());
	if (cqe.res < 0)
		return cqe.res;
	f->ops = &remote_ops;
	f->remote.handle = cqe.res;
	f->remote.generation = session.generation;
	f->remote.opened = cqe.flags & ~OPENED_WRITTEN;
	f->remote.next = NOWHERE;
	if (flags & (O_TRUNC | O_CREAT))
		epoch++;
	return 0;
}

static void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	if (a->bytes && session_is(a->generation))
		keel_dc_free(&session, a->off, a->bytes);
	for (unsigned i = 0; i < RT_FILES; i++)
		if (aheads[i] == a)
			aheads[i] = NULL;
	free(a);
}

/* Whatever was written is with Linux by now, so what closing says is of no use to anybody. */
static int remote_close(struct file *f)
{
	struct keel_sqe sqe = keel_dc_close(f->remote.handle, 0);

	ahead_free(f->remote.ahead);
	if (session_is(f->remote.generation))
		session_post(&sqe);
	return 0;
}

/* ---- reading ---------------------------------------------------------------------------------------- */

/* READ into the window. Bytes, never more than asked for. */
static ssize_t fetch(struct file *f, uint64_t off, size_t bytes, uint64_t pos)
{
	int n = call(keel_dc_read(f->remote.handle, off, (uint32_t)bytes, pos, 0));

	return n > 0 && (size_t)n > bytes ? -EIO : n;
}

/* The read-ahead of f with a buffer, made if there is none; NULL: no memory, no room, so without. */
static struct ahead *ahead_get(struct file *f)
{
	struct ahead *a = f->remote.ahead;
	unsigned i = 0;

	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a)
			return NULL;
		while (aheads[i])	/* as many as files */
			i++;
		aheads[i] = a;
		a->generation = f->remote.generation;
		f->remote.ahead = a;
	}
	if (!a->bytes) {
		size_t bytes = AHEAD_BYTES;

		a->len = 0;
		a->off = remote_buffer(&bytes);
		a->bytes = a->off ? bytes : 0;
	}
	return a->bytes ? a : NULL;
}

/*
 * How much a read at `pos` that needs `need` and could take `len` had better fetch; more than len means
 * into the read-ahead. A read somewhere else than where the last one ended gets what it needs, in whole
 * sectors; the one that follows it all it can take, those after that 64 KiB.
 */
static size_t want(struct file *f, size_t need, size_t len, uint64_t pos)
{
	uint64_t bytes = f->remote.opened >> KEEL_DC_OPENED_SIZE_SHIFT;
	bool follows = pos == f->remote.next, first = f->remote.next == NOWHERE && pos == 0;

	f->remote.run = follows ? f->remote.run + 1 : first;
	if (f->remote.run > 1) {
		if (f->remote.opened & OPENED_WRITTEN)
			f->remote.opened = 0;
		return kind(f) & KEEL_DC_OPENED_STORED ? AHEAD_BYTES : len;
	}
	/* One more than there is: the answer then says that this is the end. */
	if (first && f->remote.opened & KEEL_DC_OPENED_STORED && bytes < SMALL_FILE)
		return bytes + 1;
	if (follows || first || need >= len || len - need < SECTOR)
		return len;
	return (need + SECTOR - 1) & ~(SECTOR - 1);
}

/* Bytes of the read-ahead that may answer a read at pos. */
static size_t ahead_have(const struct file *f, const struct ahead *a, uint64_t pos)
{
	if (!a || pos != f->remote.next || pos - a->pos >= a->len || a->epoch != epoch ||
	    rdtsc() >= a->good_until)
		return 0;
	return a->len - (size_t)(pos - a->pos);
}

static ssize_t ahead_fill(struct file *f, struct ahead *a, size_t bytes, uint64_t pos)
{
	ssize_t n = fetch(f, a->off, bytes, pos);

	a->len = n > 0 ? (size_t)n : 0;
	a->pos = pos;
	a->epoch = epoch;
	a->good_until = clock_deadline(AHEAD_NS);
	return n;
}

/* Straight into the caller's pieces, by way of the window. */
static ssize_t read_through(struct file *f, struct pieces *to, size_t bytes, uint64_t pos)
{
	ssize_t n = fetch(f, io.data, bytes, pos);

	if (n > 0)
		pieces_copy(to, keel_dc_ptr(&session, io.data), (size_t)n, true);
	return n;
}

/*
 * The end, known without asking: the last answer came short, and reads of such a file come short for
 * no other reason. It is told once, so that a file that grows is seen to grow.
 */
static bool at_end(struct file *f, uint64_t pos)
{
	bool end = f->remote.end_until && pos == f->remote.next && f->remote.end_epoch == epoch &&
		   rdtsc() < f->remote.end_until;

	f->remote.end_until = 0;
	return end;
}

/* Ask for `len` bytes or more. What comes is in *a, or with *a NULL in the caller's pieces. */
static ssize_t ask(struct file *f, struct pieces *to, size_t need, size_t len, uint64_t pos, struct ahead **a)
{
	size_t bytes = want(f, need, len, pos);
	ssize_t n;

	*a = bytes > len ? ahead_get(f) : NULL;
	if (*a) {
		bytes = bytes < (*a)->bytes ? bytes : (*a)->bytes;
		n = ahead_fill(f, *a, bytes, pos);
	} else {
		bytes = bytes < len ? bytes : len;
		bytes = bytes < io.data_bytes ? bytes : io.data_bytes;
		n = read_through(f, to, bytes, pos);
	}
	if (n > 0 && (size_t)n < bytes && f->remote.opened & KEEL_DC_OPENED_STORED) {
		f->remote.end_until = clock_deadline(AHEAD_NS);
		f->remote.end_epoch = epoch;
	}
	return n;
}

static ssize_t remote_read(struct file *f, const struct iovec *iov, int n, uint64_t pos, size_t need)
{
	size_t len = pieces_bytes(iov, n), have;
	struct ahead *a = f->remote.ahead;
	struct pieces to = { iov, 0 };

	if (!session_is(f->remote.generation))
		return -EIO;
	if (!len)
		return 0;
	have = ahead_have(f, a, pos);
	if (!have) {
		ssize_t got = at_end(f, pos) ? 0 : ask(f, &to, need, len, pos, &a);

		if (got < 0)
			return got;
		have = (size_t)got;
	}
	if (len > have)
		len = have;
	if (a && len)
		pieces_copy(&to, (char *)keel_dc_ptr(&session, a->off) + (pos - a->pos), len, true);
	f->remote.next = pos + len;
	return (ssize_t)len;
}

/* ---- writing ---------------------------------------------------------------------------------------- */

/* All pieces in as few calls as the buffer allows: libc hands over its buffer and the rest. */
static ssize_t remote_write(struct file *f, const struct iovec *iov, int n, uint64_t pos)
{
	size_t len = pieces_bytes(iov, n), done = 0, part;
	struct pieces from = { iov, 0 };
	int res = 0;

	if (!session_is(f->remote.generation))
		return -EIO;
	epoch++;
	if (!(f->remote.opened & KEEL_DC_OPENED_STORED))
		f->remote.opened |= OPENED_WRITTEN;
	for (; done < len; done += (size_t)res) {
		part = len - done < io.data_bytes ? len - done : io.data_bytes;
		pieces_copy(&from, keel_dc_ptr(&session, io.data), part, false);
		res = call(keel_dc_write(f->remote.handle, io.data, (uint32_t)part, pos + done, 0));
		if (res > 0 && (size_t)res > part)
			res = -EIO;
		if (res <= 0)
			break;
		if ((size_t)res < part)
			return (ssize_t)(done + (size_t)res);
	}
	return done ? (ssize_t)done : res;
}

static int remote_truncate(struct file *f, uint64_t len)
{
	if (!session_is(f->remote.generation))
		return -EIO;
	epoch++;
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
	.seekable = remote_seekable,
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
	int err = put_path(0, from);

	if (!err)
		err = put_path(1, to);
	if (!err)
		err = call(keel_dc_rename(io.path[0], io.path[1], 0, 0));
	epoch++;
	return err < 0 ? err : 0;
}

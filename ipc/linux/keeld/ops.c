// SPDX-License-Identifier: MIT
/*
 * ops.c - the driver calls: from a checked request to an io_uring request or a system call, and from its
 * result to the answer.
 *
 * Owns:    files, requests and in_flight of struct server; publishes into the CQ.
 * Bounded: file numbers, requests and paths are fixed arrays.
 * Trusts:  nothing in the window: paths are copied once (request_path), then looked at. Data buffers
 *          are only ever handed to Linux.
 */
#include "ops.h"
#include "log.h"
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static_assert(KEEL_DC_AT_FDCWD == AT_FDCWD && KEEL_DC_AT_NOFOLLOW == AT_SYMLINK_NOFOLLOW &&
	      KEEL_DC_AT_REMOVEDIR == AT_REMOVEDIR && KEEL_DC_O_CREAT == O_CREAT &&
	      KEEL_DC_O_DIRECTORY == O_DIRECTORY && KEEL_DC_O_NOFOLLOW == O_NOFOLLOW,
	      "numbers are Linux's on x86-64");

#define TELL_TICKS	(1ull << 27)	/* of the TSC: at 1 GHz an eighth of what makes a client ask again */

/* ---- completions -------------------------------------------------------------------------------- */

static void complete(struct server *s, uint64_t user_data, int res, uint32_t flags)
{
	struct keel_cqe *cqe = &s->cqes[keel_ring_slot(&s->cq, s->cq.own)];

	cqe->user_data = user_data;
	cqe->res = res;
	cqe->flags = flags;
	keel_ring_publish(&s->cq, 1);
}

static void request_put(struct server *s, struct request *r)
{
	int i;

	for (i = 0; i < 2; i++)
		if (r->dir_fd[i] >= 0)
			close(r->dir_fd[i]);
	r->busy = false;
	s->in_flight--;
}

/* There is always a free one: in_flight < cq_entries was checked. */
static struct request *request_get(struct server *s, const struct keel_sqe *sqe)
{
	struct request *r = s->requests;

	while (r->busy)
		r++;
	r->busy = true;
	r->opcode = sqe->opcode;
	r->file = -1;
	r->user_data = sqe->user_data;
	r->dir_fd[0] = -1;
	r->dir_fd[1] = -1;
	r->flags = 0;
	s->in_flight++;
	return r;
}

struct io_uring_sqe *ops_uring_sqe(struct server *s, uint64_t id)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&s->uring);

	if (!sqe) {		/* full: what is there goes to the kernel first */
		io_uring_submit(&s->uring);
		sqe = io_uring_get_sqe(&s->uring);
	}
	if (!sqe) {
		log_line("io_uring takes no more requests; giving up");
		abort();
	}
	io_uring_sqe_set_data64(sqe, id);	/* io_uring_prep_* leaves it alone */
	return sqe;
}

static struct io_uring_sqe *request_sqe(struct server *s, const struct request *r)
{
	return ops_uring_sqe(s, (uint64_t)(r - s->requests));
}

/* ---- the time -------------------------------------------------------------------------------------- */

/* One TSC, one wall clock: of three tries the one between whose looks the least time went by. */
void ops_tell_time(struct server *s)
{
	uint64_t least = UINT64_MAX, wall_ns = 0, wall_tsc = 0;
	uint64_t now = __builtin_ia32_rdtsc();
	int i;

	if (s->told_tsc && now - s->told_tsc < TELL_TICKS)
		return;
	s->told_tsc = now;
	for (i = 0; i < 3; i++) {
		uint64_t before = __builtin_ia32_rdtsc(), after;
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		after = __builtin_ia32_rdtsc();
		if (after - before >= least)
			continue;
		least = after - before;
		wall_ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
		wall_tsc = before + least / 2;
	}
	keel_dc_clock_set(s->hdr, wall_ns, wall_tsc);
}

/* ---- files ---------------------------------------------------------------------------------------- */

static int file_get(struct server *s)
{
	int i;

	for (i = 0; i < KEEL_DC_MAX_FILES; i++)
		if (s->files[i].state == FILE_FREE)
			return i;
	return -EMFILE;
}

/* The Linux descriptor behind a file number of the client, or -EBADF. */
static int file_fd(const struct server *s, int32_t file)
{
	if (file < 0 || file >= KEEL_DC_MAX_FILES || s->files[file].state != FILE_OPEN)
		return -EBADF;
	return s->files[file].fd;
}

/* A directory grants regular files and directories; anything else must have a rule of its own. */
static int check_opened(int fd, const struct policy_rule *rule, struct file *f, uint32_t *told)
{
	struct stat st;
	int flags;

	if (fstat(fd, &st) < 0)
		return -errno;
	f->regular = S_ISREG(st.st_mode);
	*told = keel_dc_opened(f->regular, (uint64_t)st.st_size, (uint64_t)st.st_blocks);
	f->special = !f->regular && !S_ISDIR(st.st_mode);
	f->no_nowait = false;
	if (!f->special)
		return 0;
	if (rule->is_dir)
		return -EACCES;
	/* O_NONBLOCK was for the open; a read now waits in io_uring. */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static void denied(struct server *s, const char *what, const char *path)
{
	char shown[256];
	size_t i;

	for (i = 0; path[i] && i < sizeof(shown) - 1; i++)
		shown[i] = path[i] < ' ' || path[i] == 0x7f ? '?' : path[i];
	shown[i] = '\0';
	log_limited(&s->denials, "denied: %s %s", what, shown);
}

/* ---- requests, by opcode -------------------------------------------------------------------------- */
/*
 * Each prepares one io_uring request and returns IN_FLIGHT, or does the work and returns the answer.
 * What ends soon is a plain system call: io_uring costs more than the work itself, and hands
 * lookups, and on most file systems buffered writes, to a worker thread: two thread switches. So
 * are opening and closing, STATX, small writes to regular files, which only fill the page cache,
 * and reads of what is in the page cache.
 */
#define IN_FLIGHT	INT_MIN
#define SMALL_WRITE	(64 * 1024)

static int find(struct server *s, uint64_t off, char *path, bool writes, const char *what,
		struct policy_path *where)
{
	int err = request_path(s->t->window, &s->layout, off, path);

	if (!err)
		err = policy_find(s->policy, path, where);
	if (!err && writes && !where->rule->writable)
		err = -EACCES;
	if (err == -EACCES)
		denied(s, what, path);
	return err;
}

static int start_nop(struct server *s, struct request *r, const struct keel_sqe *q)
{
	(void)r;
	(void)q;
	ops_tell_time(s);
	return 0;
}

static int start_open(struct server *s, struct request *r, const struct keel_sqe *q)
{
	uint32_t flags = q->op_flags & ~KEEL_DC_O_IGNORED;
	struct policy_path where;
	struct file *f;
	int file, fd, err;

	err = find(s, q->addr, r->path, request_open_writes(flags), "open", &where);
	if (err)
		return err;
	file = file_get(s);
	if (file < 0)
		return file;
	/* O_NONBLOCK: a FIFO or a terminal without a partner must not hold us up. */
	fd = policy_open(&where, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_LARGEFILE,
			 flags & KEEL_DC_O_CREAT ? q->len & 0777 : 0);
	f = &s->files[file];
	err = fd < 0 ? fd : check_opened(fd, where.rule, f, &r->flags);
	if (err) {
		if (err == -EACCES)
			denied(s, "open", r->path);
		if (fd >= 0)
			close(fd);
		return err;
	}
	f->fd = fd;
	f->stream = false;
	f->state = FILE_OPEN;
	return file;
}

static int start_close(struct server *s, struct request *r, const struct keel_sqe *q)
{
	int fd = file_fd(s, q->fd);

	if (fd < 0)
		return fd;
	/* Requests still in flight on it keep the open file by themselves. */
	if (!s->files[q->fd].special) {
		s->files[q->fd].state = FILE_FREE;
		return close(fd) < 0 ? -errno : 0;
	}
	r->file = q->fd;
	s->files[q->fd].state = FILE_CLOSING;
	io_uring_prep_close(request_sqe(s, r), fd);
	return IN_FLIGHT;
}

/*
 * Reads what is there without waiting. IN_FLIGHT: not all of it is. File systems that do not know
 * RWF_NOWAIT keep their files in memory or make them up; io_uring would read from them at once, too.
 */
static int read_now(struct file *f, char *buf, uint32_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	uint32_t done = 0;
	ssize_t n;

	/* Short before the end of the file: the next piece says which of the two it was. */
	while (!f->no_nowait) {
		n = preadv2(f->fd, &iov, 1, (off_t)(off + done), RWF_NOWAIT);
		if (n < 0 && errno == EOPNOTSUPP && !done) {
			f->no_nowait = true;
			break;
		}
		if (n < 0)
			return IN_FLIGHT;
		done += (uint32_t)n;
		iov.iov_base = buf + done;
		iov.iov_len = len - done;
		if (!n || done == len)
			return (int)done;
	}
	n = pread(f->fd, buf, len, (off_t)off);
	if (n < 0)
		return errno == EAGAIN ? IN_FLIGHT : -errno;
	return (int)n;
}

/* From where the stream is. io_uring waits for a pipe or a terminal itself; others go on. */
static int start_stream(struct server *s, struct request *r, const struct keel_sqe *q, int fd, char *buf)
{
	const uint64_t here = UINT64_MAX;

	if (q->opcode == KEEL_OP_WRITE)
		io_uring_prep_write(request_sqe(s, r), fd, buf, q->len, here);
	else
		io_uring_prep_read(request_sqe(s, r), fd, buf, q->len, here);
	return IN_FLIGHT;
}

static int start_rw(struct server *s, struct request *r, const struct keel_sqe *q)
{
	int fd = file_fd(s, q->fd), res;
	char *buf = (char *)s->t->window + q->addr;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (s->files[q->fd].stream)
		return start_stream(s, r, q, fd, buf);
	if (q->opcode == KEEL_OP_WRITE) {
		if (q->len <= SMALL_WRITE && s->files[q->fd].regular) {
			n = pwrite(fd, buf, q->len, (off_t)q->off);
			if (n >= 0 || errno != ESPIPE)	/* "regular" files of procfs */
				return n < 0 ? -errno : (int)n;
		}
		io_uring_prep_write(request_sqe(s, r), fd, buf, q->len, q->off);
		return IN_FLIGHT;
	}
	if (s->files[q->fd].regular) {
		res = read_now(&s->files[q->fd], buf, q->len, q->off);
		if (res != IN_FLIGHT)
			return res;
	}
	io_uring_prep_read(request_sqe(s, r), fd, buf, q->len, q->off);
	return IN_FLIGHT;
}

static int start_fsync(struct server *s, struct request *r, const struct keel_sqe *q)
{
	int fd = file_fd(s, q->fd);

	if (fd < 0)
		return fd;
	io_uring_prep_fsync(request_sqe(s, r), fd,
			    q->op_flags & KEEL_DC_FSYNC_DATASYNC ? IORING_FSYNC_DATASYNC : 0);
	return IN_FLIGHT;
}

static int start_ftruncate(struct server *s, struct request *r, const struct keel_sqe *q)
{
	int fd = file_fd(s, q->fd);

	if (fd < 0)
		return fd;
	/* Newer than Debian 12's liburing. */
	io_uring_prep_rw(KEEL_OP_FTRUNCATE, request_sqe(s, r), fd, NULL, 0, q->off);
	return IN_FLIGHT;
}

static int start_statx(struct server *s, struct request *r, const struct keel_sqe *q)
{
	struct policy_path where;
	struct statx stx;
	int fd, err;

	if (q->op_flags & KEEL_DC_AT_EMPTY_PATH) {
		fd = file_fd(s, q->fd);
	} else {
		err = find(s, q->addr, r->path, false, "stat", &where);
		if (err)
			return err;
		fd = policy_open_path(&where, !(q->op_flags & KEEL_DC_AT_NOFOLLOW));
		if (fd == -EACCES)
			denied(s, "stat", r->path);
		r->dir_fd[0] = fd;
	}
	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH, q->len & (STATX_BASIC_STATS | STATX_BTIME), &stx) < 0)
		return -errno;
	memcpy((char *)s->t->window + q->off, &stx, sizeof(stx));
	return 0;
}

/* The directory and name of a path to be created, removed or moved. */
static int find_name(struct server *s, struct request *r, int i, uint64_t off, const char *what,
		     const char **name)
{
	struct policy_path where;
	char *path = i ? r->path2 : r->path;
	int err = find(s, off, path, true, what, &where);

	if (err)
		return err;
	r->dir_fd[i] = policy_open_parent(&where, name);
	if (r->dir_fd[i] == -EACCES)
		denied(s, what, path);
	return r->dir_fd[i] < 0 ? r->dir_fd[i] : 0;
}

static int start_unlink(struct server *s, struct request *r, const struct keel_sqe *q)
{
	const char *name;
	int err = find_name(s, r, 0, q->addr, "unlink", &name);

	if (err)
		return err;
	io_uring_prep_unlinkat(request_sqe(s, r), r->dir_fd[0], name,
			       q->op_flags & KEEL_DC_AT_REMOVEDIR ? AT_REMOVEDIR : 0);
	return IN_FLIGHT;
}

static int start_rename(struct server *s, struct request *r, const struct keel_sqe *q)
{
	const char *from, *to;
	int err = find_name(s, r, 0, q->addr, "rename", &from);

	if (!err)
		err = find_name(s, r, 1, q->off, "rename to", &to);
	if (err)
		return err;
	io_uring_prep_renameat(request_sqe(s, r), r->dir_fd[0], from, r->dir_fd[1], to,
			       q->op_flags & KEEL_DC_RENAME_NOREPLACE ? RENAME_NOREPLACE : 0);
	return IN_FLIGHT;
}

static int start_mkdir(struct server *s, struct request *r, const struct keel_sqe *q)
{
	const char *name;
	int err = find_name(s, r, 0, q->addr, "mkdir", &name);

	if (err)
		return err == -EBUSY ? -EEXIST : err;
	io_uring_prep_mkdirat(request_sqe(s, r), r->dir_fd[0], name, q->len & 0777);
	return IN_FLIGHT;
}

typedef int start_fn(struct server *s, struct request *r, const struct keel_sqe *q);

static start_fn *const start_table[KEEL_OP_NR] = {
	[KEEL_OP_NOP] = start_nop,
	[KEEL_OP_FSYNC] = start_fsync,
	[KEEL_OP_OPENAT] = start_open,
	[KEEL_OP_CLOSE] = start_close,
	[KEEL_OP_STATX] = start_statx,
	[KEEL_OP_READ] = start_rw,
	[KEEL_OP_WRITE] = start_rw,
	[KEEL_OP_RENAMEAT] = start_rename,
	[KEEL_OP_UNLINKAT] = start_unlink,
	[KEEL_OP_MKDIRAT] = start_mkdir,
	[KEEL_OP_FTRUNCATE] = start_ftruncate,
};

void ops_start(struct server *s, const struct keel_sqe *q)
{
	struct request *r;
	int res = request_check(q, &s->layout);

	if (res) {
		complete(s, q->user_data, res, 0);
		return;
	}
	r = request_get(s, q);
	res = start_table[q->opcode](s, r, q);
	if (res != IN_FLIGHT) {
		complete(s, r->user_data, res, res < 0 ? 0 : r->flags);
		request_put(s, r);
	}
}

/* ---- what io_uring answers ------------------------------------------------------------------------- */

void ops_finish(struct server *s, uint64_t id, int res)
{
	struct request *r = &s->requests[id];

	if (r->opcode == KEEL_OP_CLOSE) {
		if (res == -ECANCELED)	/* it never ran */
			close(s->files[r->file].fd);
		s->files[r->file].state = FILE_FREE;
	}
	if (s->open)
		complete(s, r->user_data, res, res < 0 ? 0 : r->flags);
	request_put(s, r);
}

void ops_open_stdio(struct server *s)
{
	int i, fd;

	for (i = 0; s->stdio_flags && i < 3; i++) {
		/* One that the starter has closed is no file for the client either. */
		fd = fcntl(s->stdio_fds[i], F_DUPFD_CLOEXEC, 0);
		if (fd >= 0)
			s->files[i] = (struct file) { .state = FILE_OPEN, .special = true, .stream = true, .fd = fd };
	}
}

void ops_close_files(struct server *s)
{
	struct file *f;

	for (f = s->files; f < s->files + KEEL_DC_MAX_FILES; f++) {
		if (f->state == FILE_OPEN)
			close(f->fd);
		f->state = FILE_FREE;
	}
}

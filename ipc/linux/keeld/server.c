// SPDX-License-Identifier: MIT
/*
 * server.c - the loop of keeld: requests from a window into io_uring, completions back.
 *
 * One thread waits in one place, io_uring_enter, for everything: completions of file operations,
 * the channel's eventfd, the stop descriptor. A session (keel/drivercall.h) begins when the client
 * asks for the channel's present generation, and ends when that moves on, with nothing in flight
 * and no file open.
 *
 * Owns:       the window's header while no session is open; always the server's half of the rings.
 * Invariants: requests in flight + completions not taken by the client <= cq_entries, so a
 *             completion always has a slot; a client that does not poll stops being served.
 * Bounded:    one pass takes at most sq_entries requests; files, requests, paths are fixed arrays.
 * Trusts:     nothing in the window. Requests and paths are copied once, then checked.
 */
#include "server.h"
#include "log.h"
#include "request.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(KEEL_DC_AT_FDCWD == AT_FDCWD && KEEL_DC_AT_NOFOLLOW == AT_SYMLINK_NOFOLLOW &&
	      KEEL_DC_AT_REMOVEDIR == AT_REMOVEDIR && KEEL_DC_O_CREAT == O_CREAT &&
	      KEEL_DC_O_DIRECTORY == O_DIRECTORY && KEEL_DC_O_NOFOLLOW == O_NOFOLLOW,
	      "numbers are Linux's on x86-64");

#define MAX_REQUESTS	KEEL_DC_MAX_SQ		/* cq_entries is never larger */
#define MAX_DENIALS	20			/* logged in a session */
#define OPEN_TRIES	16			/* when a rename raced with a `..` */
#define IDLE_CHECK_S	1

/* io_uring user_data beside request numbers */
#define ID_EVENT	((uint64_t)1 << 32)
#define ID_STOP		((uint64_t)2 << 32)
#define ID_CANCEL	((uint64_t)3 << 32)

enum file_state { FILE_FREE, FILE_OPENING, FILE_OPEN, FILE_CLOSING };

struct file {
	enum file_state state;
	bool regular;
	int fd;
};

struct request {
	bool busy;
	uint8_t opcode;
	int32_t file;		/* index into files: OPENAT, CLOSE */
	uint64_t user_data;
	int dir_fd[2];		/* opened for this request, -1: none */
	unsigned int tries;
	struct policy_path where;
	struct open_how how;
	char path[KEEL_DC_PATH_MAX];
	char path2[KEEL_DC_PATH_MAX];
};

struct server {
	const struct policy *policy;
	struct transport *t;
	struct io_uring uring;
	int event_fd;
	bool stop;

	uint64_t event_count;	/* where the kernel puts the eventfd's value */
	bool event_armed;	/* a read of event_fd is in flight */
	bool event;		/* it completed since last looked at */
	bool unchecked;		/* the channel's state was not asked for since the last event */
	uint32_t client_seen;	/* client_generation when last looked at */

	bool open;		/* a session is */
	uint32_t generation;	/* of the session */
	struct keel_dc_header *hdr;
	struct keel_dc_layout layout;
	struct keel_sqe *sqes;
	struct keel_cqe *cqes;
	struct keel_ring sq, cq;
	bool stalled;		/* requests wait because the client does not take completions */
	unsigned int denials;

	struct file files[KEEL_DC_MAX_FILES];
	struct request requests[MAX_REQUESTS];
	uint32_t in_flight;
};

/* ---- completions -------------------------------------------------------------------------------- */

static void complete(struct server *s, uint64_t user_data, int res)
{
	struct keel_cqe *cqe = &s->cqes[keel_ring_slot(&s->cq, s->cq.own)];

	cqe->user_data = user_data;
	cqe->res = res;
	cqe->flags = 0;
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
	r->tries = 0;
	s->in_flight++;
	return r;
}

static struct io_uring_sqe *uring_sqe(struct server *s, uint64_t id)
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
	return uring_sqe(s, (uint64_t)(r - s->requests));
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
static int check_opened(int fd, const struct policy_rule *rule, bool *regular)
{
	struct stat st;
	int flags;

	if (fstat(fd, &st) < 0)
		return -errno;
	*regular = S_ISREG(st.st_mode);
	if (*regular || S_ISDIR(st.st_mode))
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

	if (s->denials > MAX_DENIALS)
		return;
	if (s->denials++ == MAX_DENIALS) {
		log_line("more denials are not logged");
		return;
	}
	for (i = 0; path[i] && i < sizeof(shown) - 1; i++)
		shown[i] = path[i] < ' ' || path[i] == 0x7f ? '?' : path[i];
	shown[i] = '\0';
	log_line("denied: %s %s", what, shown);
}

/* ---- requests, by opcode -------------------------------------------------------------------------- */
/*
 * Each prepares one io_uring request and returns IN_FLIGHT, or does the work and returns the answer.
 * io_uring hands statx, and on most file systems buffered writes, to a worker thread each time:
 * two thread switches for a few microseconds' work. So STATX is done here (its path lookup is
 * here anyway), and so are small writes to regular files, which only fill the page cache.
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
	(void)q;
	io_uring_prep_nop(request_sqe(s, r));
	return IN_FLIGHT;
}

static void prep_open(struct server *s, struct request *r)
{
	io_uring_prep_openat2(request_sqe(s, r), r->where.rule->dir_fd, r->where.rest, &r->how);
}

static int start_open(struct server *s, struct request *r, const struct keel_sqe *q)
{
	uint32_t flags = q->op_flags & ~KEEL_DC_O_IGNORED;
	int file, err;

	err = find(s, q->addr, r->path, request_open_writes(flags), "open", &r->where);
	if (err)
		return err;
	file = file_get(s);
	if (file < 0)
		return file;
	/* O_NONBLOCK: a FIFO or a terminal without a partner must not hold a worker. */
	memset(&r->how, 0, sizeof(r->how));
	r->how.flags = flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_LARGEFILE;
	r->how.mode = flags & KEEL_DC_O_CREAT ? q->len & 0777 : 0;
	r->how.resolve = policy_resolve(r->where.rule);
	r->file = file;
	s->files[file].state = FILE_OPENING;
	prep_open(s, r);
	return IN_FLIGHT;
}

static int start_close(struct server *s, struct request *r, const struct keel_sqe *q)
{
	int fd = file_fd(s, q->fd);

	if (fd < 0)
		return fd;
	/* Requests still in flight on it keep the open file by themselves. */
	r->file = q->fd;
	s->files[q->fd].state = FILE_CLOSING;
	io_uring_prep_close(request_sqe(s, r), fd);
	return IN_FLIGHT;
}

static int start_rw(struct server *s, struct request *r, const struct keel_sqe *q)
{
	int fd = file_fd(s, q->fd);
	char *buf = (char *)s->t->window + q->addr;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (q->opcode == KEEL_OP_WRITE && q->len <= SMALL_WRITE && s->files[q->fd].regular) {
		n = pwrite(fd, buf, q->len, (off_t)q->off);
		if (n >= 0 || errno != ESPIPE)	/* "regular" files of procfs */
			return n < 0 ? -errno : (int)n;
	}
	if (q->opcode == KEEL_OP_READ)
		io_uring_prep_read(request_sqe(s, r), fd, buf, q->len, q->off);
	else
		io_uring_prep_write(request_sqe(s, r), fd, buf, q->len, q->off);
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
	struct statx stx;
	int fd, err;

	if (q->op_flags & KEEL_DC_AT_EMPTY_PATH) {
		fd = file_fd(s, q->fd);
	} else {
		err = find(s, q->addr, r->path, false, "stat", &r->where);
		if (err)
			return err;
		fd = policy_open_path(&r->where, !(q->op_flags & KEEL_DC_AT_NOFOLLOW));
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

static void start(struct server *s, const struct keel_sqe *q)
{
	struct request *r;
	int res = request_check(q, &s->layout);

	if (res) {
		complete(s, q->user_data, res);
		return;
	}
	r = request_get(s, q);
	res = start_table[q->opcode](s, r, q);
	if (res != IN_FLIGHT) {
		complete(s, r->user_data, res);
		request_put(s, r);
	}
}

/* ---- what io_uring answers ------------------------------------------------------------------------- */

/* The answer to an OPENAT: a file number, or an error. */
static int opened(struct server *s, struct request *r, int fd)
{
	struct file *f = &s->files[r->file];
	int err = fd < 0 ? policy_error(r->where.rule, fd) :
		  check_opened(fd, r->where.rule, &f->regular);

	if (err) {
		if (err == -EACCES)
			denied(s, "open", r->path);
		if (fd >= 0)
			close(fd);
		f->state = FILE_FREE;
		return err;
	}
	f->fd = fd;
	f->state = FILE_OPEN;
	return r->file;
}

static void finish(struct server *s, struct request *r, int res)
{
	if (r->opcode == KEEL_OP_OPENAT) {
		if ((res == -EAGAIN || res == -EINTR) && s->open && r->tries++ < OPEN_TRIES) {
			prep_open(s, r);
			return;
		}
		res = opened(s, r, res);
	} else if (r->opcode == KEEL_OP_CLOSE) {
		if (res == -ECANCELED)	/* it never ran */
			close(s->files[r->file].fd);
		s->files[r->file].state = FILE_FREE;
	}
	if (s->open)
		complete(s, r->user_data, res);
	request_put(s, r);
}

static void dispatch(struct server *s, uint64_t id, int res)
{
	switch (id) {
	case ID_EVENT:
		s->event_armed = false;
		s->event = true;
		break;
	case ID_STOP:
		s->stop = true;
		break;
	case ID_CANCEL:
		break;
	default:
		finish(s, &s->requests[id], res);
	}
}

/* Handles what has completed; does not wait. Returns how many. */
static unsigned int reap(struct server *s)
{
	struct io_uring_cqe *cqe;
	unsigned int n = 0;
	uint64_t id;
	int res;

	while (!io_uring_peek_cqe(&s->uring, &cqe)) {
		id = io_uring_cqe_get_data64(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&s->uring, cqe);
		dispatch(s, id, res);
		n++;
	}
	return n;
}

/* ---- sessions -------------------------------------------------------------------------------------- */

static int broken(const char *what, const struct keel_ring *r)
{
	log_line("client broke the rules: %s index (own %u, head %u, tail %u, of %u); restarting",
		 what, r->own, keel_load_relaxed(&r->ctl->head), keel_load_relaxed(&r->ctl->tail),
		 r->entries);
	return -EBADMSG;
}

/* Waits for (and cancels where possible) everything in flight, then closes the session's files. */
static void session_end(struct server *s)
{
	struct io_uring_cqe *cqe;
	unsigned int i;

	s->open = false;
	/* The client sees it as soon as it looks; pairs with its acquire in keel_dc_stale. */
	keel_store_release(&s->hdr->generation, 0);
	for (i = 0; i < MAX_REQUESTS; i++)
		if (s->requests[i].busy) {
			struct io_uring_sqe *sqe = uring_sqe(s, ID_CANCEL);

			io_uring_prep_cancel64(sqe, i, 0);
		}
	io_uring_submit(&s->uring);
	while (s->in_flight) {
		io_uring_wait_cqe(&s->uring, &cqe);
		reap(s);
	}
	for (i = 0; i < KEEL_DC_MAX_FILES; i++) {
		if (s->files[i].state == FILE_OPEN)
			close(s->files[i].fd);
		s->files[i].state = FILE_FREE;
	}
}

/*
 * Writes the header and both ring controls. Only when the client has asked for this generation,
 * so none of its stores of an older session can come later.
 */
static void session_begin(struct server *s, uint32_t generation)
{
	struct keel_dc_header *h = s->hdr;

	memset(&h->sq, 0, sizeof(h->sq));
	memset(&h->cq, 0, sizeof(h->cq));
	h->magic = KEEL_DC_MAGIC;
	h->version = KEEL_DC_VERSION;
	h->size = KEEL_DC_HEADER_BYTES;
	h->flags = 0;
	h->window_bytes = s->layout.window_bytes;
	h->sq_entries = s->layout.sq_entries;
	h->cq_entries = s->layout.cq_entries;
	h->sq_off = s->layout.sq_off;
	h->cq_off = s->layout.cq_off;
	h->buf_off = s->layout.buf_off;
	h->buf_bytes = s->layout.buf_bytes;
	keel_ring_init(&s->sq, &h->sq, s->layout.sq_entries);
	keel_ring_init(&s->cq, &h->cq, s->layout.cq_entries);
	s->denials = 0;
	s->generation = generation;
	s->open = true;
	/* Release: all of the header first; pairs with the acquire in keel_dc_attached. */
	keel_store_release(&h->generation, generation);
}

/* Asks for the channel's state and ends or begins a session accordingly. */
static int check_state(struct server *s)
{
	uint32_t generation, asked;
	bool client_up;
	int err = s->t->state(s->t, &generation, &client_up);

	if (err) {
		log_line("state of the channel: %s", strerror(-err));
		return err;
	}
	s->unchecked = false;
	/* Acquire: all the client did in older sessions; pairs with the release in keel_dc_attach. */
	asked = keel_load_acquire(&s->hdr->client_generation);
	s->client_seen = asked;
	if (s->open && s->generation != generation) {
		session_end(s);
		log_line("session %u ended", s->generation);
	}
	if (!s->open && client_up && asked == generation) {
		session_begin(s, generation);
		log_line("session %u", generation);
		return s->t->kick(s->t);
	}
	return 0;
}

/* ---- the loop ---------------------------------------------------------------------------------------- */

/* Takes requests while there are some and completions have room. Returns how many, or -EBADMSG. */
static int take(struct server *s)
{
	struct keel_sqe sqe;
	int n = keel_ring_avail(&s->sq), room, took;

	if (n < 0)
		return broken("submission tail", &s->sq);
	s->stalled = false;
	for (took = 0; took < n; took++) {
		room = keel_ring_room(&s->cq, s->in_flight + 1);
		if (room < 0)
			return broken("completion head", &s->cq);
		if ((uint32_t)room <= s->in_flight) {
			s->stalled = true;
			break;
		}
		keel_copy_words(&sqe, &s->sqes[keel_ring_slot(&s->sq, s->sq.own)], sizeof(sqe) / 8);
		keel_ring_consume(&s->sq, 1);
		start(s, &sqe);
	}
	return took;
}

/* Whether the client has put something into the ring since take(): 1, 0 or -EBADMSG. */
static int more(struct server *s)
{
	int n;

	if (!s->open || s->stalled)
		return 0;
	n = keel_ring_arm(&s->sq);
	if (n < 0)
		return broken("submission tail", &s->sq);
	return n > 0;
}

static void arm_event(struct server *s)
{
	struct io_uring_sqe *sqe;

	if (s->event_armed)
		return;
	sqe = uring_sqe(s, ID_EVENT);
	io_uring_prep_read(sqe, s->event_fd, &s->event_count, sizeof(s->event_count), 0);
	s->event_armed = true;
}

/* Waits for any completion; with a time limit when the channel's state is still to be asked for. */
static int wait_any(struct server *s)
{
	struct __kernel_timespec limit = { .tv_sec = IDLE_CHECK_S };
	struct io_uring_cqe *cqe;
	int n;

	arm_event(s);
	n = io_uring_submit_and_wait_timeout(&s->uring, &cqe, 1, s->unchecked ? &limit : NULL, NULL);
	if (n == -ETIME) {
		s->event = true;
		return 0;
	}
	return n < 0 && n != -EINTR && n != -EAGAIN ? n : 0;
}

/* One pass: requests in, answers out. Returns how much happened, or negative errno. */
static int pass(struct server *s)
{
	uint32_t asked = keel_load_relaxed(&s->hdr->client_generation);
	bool event = s->event;
	int took = 0, err;

	s->event = false;
	if (s->open) {
		took = take(s);
		if (took < 0)
			return took;
	}
	/* An event that brought no request is a change of state; one that did may be both. */
	if (asked != s->client_seen || (event && !took)) {
		err = check_state(s);
		if (err)
			return err;
	} else if (event) {
		s->unchecked = true;
	}
	io_uring_submit(&s->uring);
	took += (int)reap(s);
	if (s->open && keel_ring_need_kick(&s->cq)) {
		err = s->t->kick(s->t);
		if (err)
			return err;
	}
	return took;
}

static int serve(struct server *s)
{
	int n, err;

	s->event = true;
	while (!s->stop) {
		n = pass(s);
		if (n < 0)
			return n;
		if (n || s->stop)
			continue;
		n = more(s);
		if (n < 0)
			return n;
		if (n)
			continue;
		err = wait_any(s);
		if (err) {
			log_line("io_uring: %s", strerror(-err));
			return err;
		}
	}
	return 0;
}

int server_run(struct server *s, struct transport *t)
{
	int err = keel_dc_layout_choose(&s->layout, t->window_bytes);

	if (err) {
		log_line("the window has %llu bytes: not usable", (unsigned long long)t->window_bytes);
		return err;
	}
	s->t = t;
	s->hdr = t->window;
	s->sqes = (struct keel_sqe *)(void *)((char *)t->window + s->layout.sq_off);
	s->cqes = (struct keel_cqe *)(void *)((char *)t->window + s->layout.cq_off);
	s->client_seen = 0;
	keel_store_release(&s->hdr->generation, 0);
	err = t->up(t);
	if (err) {
		log_line("channel up: %s", strerror(-err));
		return err;
	}
	err = serve(s);
	session_end(s);
	return err;
}

int server_new(struct server **out, const struct policy *policy, int stop_fd, int event_fd)
{
	struct io_uring_params p = { .flags = IORING_SETUP_COOP_TASKRUN };
	struct io_uring_sqe *sqe;
	struct server *s;
	int err;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->policy = policy;
	s->event_fd = event_fd;
	/* Room for every request, a cancellation of each, and our own two. */
	err = io_uring_queue_init_params(2 * MAX_REQUESTS, &s->uring, &p);
	if (err) {
		free(s);
		return err;
	}
	sqe = uring_sqe(s, ID_STOP);
	io_uring_prep_poll_add(sqe, stop_fd, POLLIN);
	*out = s;
	return 0;
}

void server_delete(struct server *s)
{
	io_uring_queue_exit(&s->uring);
	free(s);
}

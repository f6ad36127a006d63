// SPDX-License-Identifier: MIT
/*
 * server.c - the loop of keeld: requests from a window into io_uring, completions back.
 *
 * One thread. While nothing is in flight it waits for the channel alone, in one system call that
 * also rings the client; else for io_uring and the channel, with poll. (A poll request in io_uring would
 * be woken by each bell ever after.) A session (keel/drivercall.h) begins when the client asks for the
 * channel's present generation, and ends when that moves on, with nothing in flight and no file open.
 * What the calls do is in ops.c.
 *
 * Owns:       the window's header while no session is open; always the server's half of the rings.
 * Invariants: requests in flight + completions not taken by the client <= cq_entries, so a
 *             completion always has a slot; a client that does not poll stops being served.
 * Bounded:    one pass takes at most sq_entries requests.
 * Trusts:     nothing in the window. Requests are copied once, then checked.
 */
#include "server.h"
#include "log.h"
#include "ops.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IDLE_CHECK_MS	1000
#define PEER_BURST	8	/* lines about what a peer can do as often as it likes */
#define PEER_EVERY_MS	10000

#define ID_CANCEL	((uint64_t)1 << 32)	/* io_uring user_data beside request numbers */

/* ---- the channel ------------------------------------------------------------------------------------ */

/* What a wait said. 0 or negative errno. */
static int waited(struct server *s, int err)
{
	switch (err) {
	case -ECANCELED:
		s->stop = true;
		return 0;
	case 0:
	case -EPIPE:	/* the client's side went down: a change of state */
	case -ETIME:	/* time to ask for the state */
		s->event = true;
		return 0;
	case -EINTR:	/* io_uring has something */
		return 0;
	}
	log_line("waiting for the channel: %s", strerror(-err));
	return err;
}

static int ring_client(struct server *s)
{
	int err = s->t->kick(s->t);

	if (err == -EPIPE) {
		s->event = true;
		err = 0;
	}
	return err;
}

/* ---- what io_uring answers ------------------------------------------------------------------------- */

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
		if (id != ID_CANCEL)
			ops_finish(s, id, res);
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
			struct io_uring_sqe *sqe = ops_uring_sqe(s, ID_CANCEL);

			io_uring_prep_cancel64(sqe, i, 0);
		}
	io_uring_submit(&s->uring);
	while (s->in_flight) {
		io_uring_wait_cqe(&s->uring, &cqe);
		reap(s);
	}
	ops_close_files(s);
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
	h->flags = s->stdio_flags;
	h->window_bytes = s->layout.window_bytes;
	h->sq_entries = s->layout.sq_entries;
	h->cq_entries = s->layout.cq_entries;
	h->sq_off = s->layout.sq_off;
	h->cq_off = s->layout.cq_off;
	h->buf_off = s->layout.buf_off;
	h->buf_bytes = s->layout.buf_bytes;
	keel_ring_init(&s->sq, &h->sq, s->layout.sq_entries);
	keel_ring_init(&s->cq, &h->cq, s->layout.cq_entries);
	ops_open_stdio(s);
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
		log_limited(&s->sessions, "session %u ended", s->generation);
	}
	if (!s->open && client_up && asked == generation) {
		session_begin(s, generation);
		log_limited(&s->sessions, "session %u", generation);
		return ring_client(s);
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
		ops_start(s, &sqe);
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

/* Waits for completions and the channel. */
static int wait_both(struct server *s)
{
	struct pollfd fds[] = {
		{ .fd = s->uring.ring_fd, .events = POLLIN },
		{ .fd = s->t->fd, .events = POLLIN },
	};
	int n = poll(fds, 2, s->unchecked ? IDLE_CHECK_MS : -1);

	if (n < 0 && errno != EINTR) {
		n = -errno;
		log_line("poll: %s", strerror(-n));
		return n;
	}
	if (n == 0)
		s->event = true;
	return n > 0 && fds[1].revents ? waited(s, s->t->wait(s->t, false, 0)) : 0;
}

/* Sleeps; with a time limit when the channel's state is still to be asked for. */
static int wait_any(struct server *s, bool kick)
{
	int err;

	if (!s->in_flight)
		return waited(s, s->t->wait(s->t, kick, s->unchecked ? IDLE_CHECK_MS : WAIT_FOREVER));
	err = kick ? ring_client(s) : 0;
	return err || s->event ? err : wait_both(s);
}

/* One pass: answers out, requests in. 0 or negative errno. */
static int pass(struct server *s)
{
	uint32_t asked = keel_load_relaxed(&s->hdr->client_generation);
	bool event;
	int took = 0, err;

	/* First: places of what is done are free then, and an event that came with it is known. */
	if (s->in_flight)
		reap(s);
	event = s->event;
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
	if (io_uring_sq_ready(&s->uring)) {
		io_uring_submit(&s->uring);
		reap(s);	/* much is done at once */
	}
	return 0;
}

static int serve(struct server *s)
{
	bool kick;
	int n, err;

	s->event = true;
	while (!s->stop) {
		err = pass(s);
		if (err)
			return err;
		n = more(s);
		if (n < 0)
			return n;
		kick = s->open && keel_ring_need_kick(&s->cq);
		if (n || s->event || s->stop)
			err = kick ? ring_client(s) : 0;
		else
			err = wait_any(s, kick);
		if (err)
			return err;
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
	s->stop = false;
	keel_store_release(&s->hdr->generation, 0);
	s->told_tsc = 0;
	ops_tell_time(s);
	err = t->up(t);
	if (err) {
		log_line("channel up: %s", strerror(-err));
		return err;
	}
	err = serve(s);
	session_end(s);
	return err;
}

/* Not by liburing's names for them: Debian 12's shared library has them not. */
static int ring_register(const struct io_uring *ring, unsigned int op, const void *arg, size_t n)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, op, arg, n) < 0 ? -errno : 0;
}

/* What ops.c and session_end() ask for: a ring that does nothing else, whoever may come to fill it. */
static int restrict_ring(struct io_uring *ring)
{
	static const uint8_t ops[] = {
		IORING_OP_READ, IORING_OP_WRITE, IORING_OP_FSYNC, IORING_OP_CLOSE, IORING_OP_UNLINKAT,
		IORING_OP_RENAMEAT, IORING_OP_MKDIRAT, IORING_OP_ASYNC_CANCEL, KEEL_OP_FTRUNCATE,
	};
	struct io_uring_restriction only[sizeof(ops)] = { 0 };
	unsigned int i;
	int err;

	for (i = 0; i < sizeof(ops); i++) {
		only[i].opcode = IORING_RESTRICTION_SQE_OP;
		only[i].sqe_op = ops[i];
	}
	err = ring_register(ring, IORING_REGISTER_RESTRICTIONS, only, sizeof(ops));
	if (err == -EINVAL)	/* a Linux before 6.9, which has no FTRUNCATE */
		err = ring_register(ring, IORING_REGISTER_RESTRICTIONS, only, sizeof(ops) - 1);
	return err ? err : ring_register(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int server_new(struct server **out, const struct policy *policy)
{
	struct io_uring_params p = { .flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_R_DISABLED };
	struct server *s;
	int err;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->policy = policy;
	/* Who reads a stream or a FIFO may leave: that is an answer, not our end. */
	signal(SIGPIPE, SIG_IGN);
	s->denials = (struct log_limit) { .burst = PEER_BURST, .every_ms = PEER_EVERY_MS };
	s->sessions = s->denials;
	/* Room for every request and a cancellation of each. */
	err = io_uring_queue_init_params(2 * MAX_REQUESTS, &s->uring, &p);
	if (err)
		goto free_server;
	err = restrict_ring(&s->uring);
	if (err)
		goto exit_ring;
	*out = s;
	return 0;

exit_ring:
	io_uring_queue_exit(&s->uring);
free_server:
	free(s);
	return err;
}

void server_give_stdio(struct server *s, const int fds[3])
{
	int i;

	s->stdio_flags = KEEL_DC_STDIO;
	for (i = 0; i < 3; i++) {
		s->stdio_fds[i] = fds[i];
		if (isatty(fds[i]))
			s->stdio_flags |= KEEL_DC_TTY(i);
	}
}

void server_delete(struct server *s)
{
	io_uring_queue_exit(&s->uring);
	free(s);
}

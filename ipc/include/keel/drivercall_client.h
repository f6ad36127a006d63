/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/drivercall_client.h - the client side of driver calls: open a session, submit, poll, and a
 * bounded allocator for the buffer area. Inline, freestanding, never waits.
 *
 * How a runtime uses it (kick = KEEL_HC_CHAN_KICK, info = KEEL_HC_CHAN_INFO, wait = KEEL_HC_BLOCK):
 *
 *	CHAN_STATE(1);						once, when the peer starts
 *   again:
 *	info -> until state has SERVER_UP and WINDOW: wait; map the window
 *	keel_dc_attach(&c, window, window_bytes, info.generation); kick;
 *	while ((err = keel_dc_attached(&c)) == -KEEL_EAGAIN) {
 *		wait; info; if info.generation changed: goto again
 *	}
 *	...
 *	keel_dc_submit(&c, &sqe); if (keel_dc_need_kick(&c)) kick;
 *	while (!(n = keel_dc_poll(&c, &cqe))) {
 *		if (keel_dc_may_sleep(&c)) { wait; if nothing came: info, changed -> goto again }
 *	}
 *	n < 0: the session is over, every request in flight is lost, goto again
 *
 * The event bit of the channel must be cleared before keel_dc_poll, so that a doorbell
 * after the poll ends the next wait at once.
 *
 * Locks:  none; one thread, or the caller's lock.
 * Trusts: nothing in the window, as the server does not either. A completion that cannot be is -KEEL_EIO.
 */
#ifndef KEEL_DRIVERCALL_CLIENT_H
#define KEEL_DRIVERCALL_CLIENT_H

#include <keel/drivercall.h>

#define KEEL_DC_MAX_UNITS	1024	/* pieces the buffer area is cut into */
#define KEEL_DC_MIN_UNIT	512u

struct keel_dc_client {
	uint8_t *window;
	struct keel_dc_header *hdr;
	struct keel_sqe *sqes;
	struct keel_cqe *cqes;
	struct keel_dc_layout layout;	/* private copy, checked */
	uint64_t window_bytes;
	struct keel_ring sq, cq;
	uint32_t generation;	/* of the session */
	uint32_t flags;		/* KEEL_DC_STDIO, KEEL_DC_TTY */
	uint32_t in_flight;	/* submitted, not yet polled */
	uint32_t unit_shift;	/* of the allocator */
	uint32_t nunits;
	uint64_t used[KEEL_DC_MAX_UNITS / 64];	/* one bit a unit */
};

/* Asks for the session `generation` (from CHAN_INFO). The caller kicks after it. */
static inline void keel_dc_attach(struct keel_dc_client *c, void *window, uint64_t window_bytes,
				  uint32_t generation)
{
	c->window = (uint8_t *)window;
	c->hdr = (struct keel_dc_header *)window;
	c->window_bytes = window_bytes;
	c->generation = generation;
	/* Release: all our stores of an older session before it; pairs with the server's acquire. */
	keel_store_release(&c->hdr->client_generation, generation);
}

/* Whether the server has dropped the session. */
static inline bool keel_dc_stale(const struct keel_dc_client *c)
{
	return keel_load_acquire(&c->hdr->generation) != c->generation;
}

static inline void keel_dc_alloc_init(struct keel_dc_client *c)
{
	unsigned int i;

	c->unit_shift = 9;
	while (c->layout.buf_bytes >> c->unit_shift > KEEL_DC_MAX_UNITS)
		c->unit_shift++;
	c->nunits = (uint32_t)(c->layout.buf_bytes >> c->unit_shift);
	for (i = 0; i < KEEL_DC_MAX_UNITS / 64; i++)
		c->used[i] = 0;
}

/* 0: the session is open. -KEEL_EAGAIN: not yet. -KEEL_EINVAL: the server speaks something else. */
static inline int keel_dc_attached(struct keel_dc_client *c)
{
	const struct keel_dc_header *h = c->hdr;
	struct keel_dc_layout *l = &c->layout;

	/* Acquire: generation before the rest of the header; pairs with the server's release. */
	if (keel_dc_stale(c))
		return -KEEL_EAGAIN;
	if (keel_load_relaxed(&h->magic) != KEEL_DC_MAGIC ||
	    keel_load_relaxed(&h->version) != KEEL_DC_VERSION ||
	    keel_load_relaxed(&h->size) != KEEL_DC_HEADER_BYTES)
		return -KEEL_EINVAL;
	l->window_bytes = keel_load_relaxed(&h->window_bytes);
	l->sq_entries = keel_load_relaxed(&h->sq_entries);
	l->cq_entries = keel_load_relaxed(&h->cq_entries);
	l->sq_off = keel_load_relaxed(&h->sq_off);
	l->cq_off = keel_load_relaxed(&h->cq_off);
	l->buf_off = keel_load_relaxed(&h->buf_off);
	l->buf_bytes = keel_load_relaxed(&h->buf_bytes);
	if (!keel_dc_layout_ok(l, c->window_bytes))
		return -KEEL_EINVAL;
	c->sqes = (struct keel_sqe *)(void *)(c->window + l->sq_off);
	c->cqes = (struct keel_cqe *)(void *)(c->window + l->cq_off);
	keel_ring_init(&c->sq, &c->hdr->sq, l->sq_entries);
	keel_ring_init(&c->cq, &c->hdr->cq, l->cq_entries);
	c->flags = keel_load_relaxed(&h->flags);
	c->in_flight = 0;
	keel_dc_alloc_init(c);
	return 0;
}

/* ---- submit and poll --------------------------------------------------------------------------- */

/* 0; -KEEL_EAGAIN: full, poll first; -KEEL_EPIPE: session over; -KEEL_EIO: bad index. */
static inline int keel_dc_submit(struct keel_dc_client *c, const struct keel_sqe *sqe)
{
	int room;

	if (keel_dc_stale(c))
		return -KEEL_EPIPE;
	if (c->in_flight >= c->layout.cq_entries)
		return -KEEL_EAGAIN;
	room = keel_ring_room(&c->sq, 1);
	if (room < 0)
		return room;
	if (!room)
		return -KEEL_EAGAIN;
	c->sqes[keel_ring_slot(&c->sq, c->sq.own)] = *sqe;
	keel_ring_publish(&c->sq, 1);
	c->in_flight++;
	return 0;
}

/* Whether a doorbell must follow the submits since the last call. */
static inline bool keel_dc_need_kick(struct keel_dc_client *c)
{
	return keel_ring_need_kick(&c->sq);
}

/* 1: *cqe filled; 0: nothing yet; -KEEL_EPIPE: session over; -KEEL_EIO: the server misbehaves. */
static inline int keel_dc_poll(struct keel_dc_client *c, struct keel_cqe *cqe)
{
	int n;

	if (keel_dc_stale(c))
		return -KEEL_EPIPE;
	n = keel_ring_avail(&c->cq);
	if (n <= 0) {
		/* The server zeroes the rings between two sessions: not its misbehaviour. */
		if (n < 0 && keel_dc_stale(c))
			return -KEEL_EPIPE;
		return n;
	}
	if ((uint32_t)n > c->in_flight)
		return -KEEL_EIO;
	keel_copy_words(cqe, &c->cqes[keel_ring_slot(&c->cq, c->cq.own)], sizeof(*cqe) / 8);
	/* The rings may have been zeroed under us: then this was no completion of ours. */
	if (keel_dc_stale(c))
		return -KEEL_EPIPE;
	keel_ring_consume(&c->cq, 1);
	c->in_flight--;
	return 1;
}

/* Asks for a doorbell at the next completion; true: nothing has come meanwhile, sleep. */
static inline bool keel_dc_may_sleep(struct keel_dc_client *c)
{
	return keel_ring_arm(&c->cq) == 0 && !keel_dc_stale(c);
}

/* ---- buffer area --------------------------------------------------------------------------------- */

static inline bool keel_dc_unit_used(const struct keel_dc_client *c, uint32_t unit)
{
	return c->used[unit / 64] >> (unit % 64) & 1;
}

static inline uint64_t keel_dc_units(const struct keel_dc_client *c, uint64_t bytes)
{
	return (bytes + ((uint64_t)1 << c->unit_shift) - 1) >> c->unit_shift;
}

/* First fit. The offset of at least `bytes` bytes, 512-aligned; 0: no room. */
static inline uint64_t keel_dc_alloc(struct keel_dc_client *c, uint64_t bytes)
{
	uint64_t want;
	uint32_t i, run = 0;

	if (!bytes || bytes > c->layout.buf_bytes)
		return 0;
	want = keel_dc_units(c, bytes);
	for (i = 0; i < c->nunits; i++) {
		run = keel_dc_unit_used(c, i) ? 0 : run + 1;
		if (run < want)
			continue;
		for (; run; run--, i--)
			c->used[i / 64] |= (uint64_t)1 << (i % 64);
		return c->layout.buf_off + ((uint64_t)(i + 1) << c->unit_shift);
	}
	return 0;
}

/* Gives back what keel_dc_alloc(c, bytes) returned. */
static inline void keel_dc_free(struct keel_dc_client *c, uint64_t off, uint64_t bytes)
{
	uint64_t unit = (off - c->layout.buf_off) >> c->unit_shift;
	uint64_t n = keel_dc_units(c, bytes);

	for (; n && unit < c->nunits; n--, unit++)
		c->used[unit / 64] &= ~((uint64_t)1 << (unit % 64));
}

static inline void *keel_dc_ptr(const struct keel_dc_client *c, uint64_t off)
{
	return c->window + off;
}

/* ---- requests ------------------------------------------------------------------------------------- */

static inline struct keel_sqe keel_dc_sqe(uint8_t opcode, int32_t fd, uint64_t user_data)
{
	struct keel_sqe sqe = { 0 };

	sqe.opcode = opcode;
	sqe.fd = fd;
	sqe.user_data = user_data;
	return sqe;
}

static inline struct keel_sqe keel_dc_open(uint64_t path, uint32_t flags, uint32_t mode, uint64_t ud)
{
	struct keel_sqe sqe = keel_dc_sqe(KEEL_OP_OPENAT, KEEL_DC_AT_FDCWD, ud);

	sqe.addr = path;
	sqe.len = mode;
	sqe.op_flags = flags;
	return sqe;
}

static inline struct keel_sqe keel_dc_close(int32_t file, uint64_t ud)
{
	return keel_dc_sqe(KEEL_OP_CLOSE, file, ud);
}

static inline struct keel_sqe keel_dc_rw(uint8_t opcode, int32_t file, uint64_t buf, uint32_t bytes,
					 uint64_t position, uint64_t ud)
{
	struct keel_sqe sqe = keel_dc_sqe(opcode, file, ud);

	sqe.addr = buf;
	sqe.len = bytes;
	sqe.off = position;
	return sqe;
}

static inline struct keel_sqe keel_dc_read(int32_t file, uint64_t buf, uint32_t bytes,
					   uint64_t position, uint64_t ud)
{
	return keel_dc_rw(KEEL_OP_READ, file, buf, bytes, position, ud);
}

static inline struct keel_sqe keel_dc_write(int32_t file, uint64_t buf, uint32_t bytes,
					    uint64_t position, uint64_t ud)
{
	return keel_dc_rw(KEEL_OP_WRITE, file, buf, bytes, position, ud);
}

static inline struct keel_sqe keel_dc_fsync(int32_t file, uint32_t flags, uint64_t ud)
{
	struct keel_sqe sqe = keel_dc_sqe(KEEL_OP_FSYNC, file, ud);

	sqe.op_flags = flags;
	return sqe;
}

static inline struct keel_sqe keel_dc_ftruncate(int32_t file, uint64_t bytes, uint64_t ud)
{
	struct keel_sqe sqe = keel_dc_sqe(KEEL_OP_FTRUNCATE, file, ud);

	sqe.off = bytes;
	return sqe;
}

/* By path: file = KEEL_DC_AT_FDCWD. By file: path 0, flags KEEL_DC_AT_EMPTY_PATH. */
static inline struct keel_sqe keel_dc_statx(int32_t file, uint64_t path, uint32_t flags,
					    uint32_t mask, uint64_t statx_buf, uint64_t ud)
{
	struct keel_sqe sqe = keel_dc_sqe(KEEL_OP_STATX, file, ud);

	sqe.addr = path;
	sqe.off = statx_buf;
	sqe.len = mask;
	sqe.op_flags = flags;
	return sqe;
}

static inline struct keel_sqe keel_dc_unlink(uint64_t path, uint32_t flags, uint64_t ud)
{
	struct keel_sqe sqe = keel_dc_sqe(KEEL_OP_UNLINKAT, KEEL_DC_AT_FDCWD, ud);

	sqe.addr = path;
	sqe.op_flags = flags;
	return sqe;
}

static inline struct keel_sqe keel_dc_rename(uint64_t from, uint64_t to, uint32_t flags, uint64_t ud)
{
	struct keel_sqe sqe = keel_dc_sqe(KEEL_OP_RENAMEAT, KEEL_DC_AT_FDCWD, ud);

	sqe.addr = from;
	sqe.off = to;
	sqe.len = (uint32_t)KEEL_DC_AT_FDCWD;
	sqe.op_flags = flags;
	return sqe;
}

static inline struct keel_sqe keel_dc_mkdir(uint64_t path, uint32_t mode, uint64_t ud)
{
	struct keel_sqe sqe = keel_dc_sqe(KEEL_OP_MKDIRAT, KEEL_DC_AT_FDCWD, ud);

	sqe.addr = path;
	sqe.len = mode;
	return sqe;
}

#endif /* KEEL_DRIVERCALL_CLIENT_H */

/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/virtqueue.h - the split virtqueue of VIRTIO 1.2 (section 2.7), driver's and device's side, in memory shared with a
 * peer that is not trusted.
 *
 * The driver adds chains of buffers: first some that the device reads, then some that it writes. The device takes chains in
 * the order they came and returns them in any, each with the number of bytes written. Shared are the descriptor table and the
 * available ring, which the driver writes, and the used ring, which the device writes (keel_virtq_place; docs/ipc.md has the
 * picture); their owner zeroes them before either side starts. Words are little endian, as the machine's own are.
 *
 * Owns:       each side its private structure and the array for it that the caller brings, an element for each descriptor.
 * Invariants: indices run freely, in private modulo 2^32, shared are their lower 16 bits; num is a power of two, at most 2^15,
 *             and only ever taken from private memory. Chains added and not collected, hence also those available and not
 *             returned, are at most num: no entry of a ring is written again before the other side has read it.
 * Context:    one caller at a time on a side.
 * Trusts:     nothing in shared memory. Each word of a ring is loaded once, a descriptor is copied and then checked. An index
 *             that cannot be, a head that is not free to be one, a chain that is longer than the queue, goes round or leaves the
 *             window, a used entry of what is not in flight or with more bytes than can have been written: KEEL_RING_BAD, and
 *             the caller gives the channel up. The driver reads nothing of what it wrote: which descriptors are free or in
 *             flight it has in private. What is in the buffers may change at any time: who checks it copies it before.
 * Doorbells:  as in keel/ring.h, both ways: VIRTIO_F_EVENT_IDX is in use, so `flags` of both rings are 0 and not looked at
 *             (2.7.7, 2.7.10). Zeroed rings are armed. A hostile event word costs its owner missed or extra doorbells.
 *
 * The structures are written down here, as VIRTIO has them, because <linux/virtio_ring.h> cannot be included everywhere: a
 * unikernel has musl's headers alone, which know no linux/, and its vring_init() is not C++. Tests compare the two.
 */
#ifndef KEEL_VIRTQUEUE_H
#define KEEL_VIRTQUEUE_H

#include <keel/ring.h>

#define KEEL_VIRTQ_ALIGN		64u	/* of all, and of the used ring: a cache line. VIRTIO wants 16 and 4 (2.7) */
#define KEEL_VIRTQ_MAX_CHAIN		(1ULL << 32)	/* bytes in all buffers of a chain (2.7.5.2) */

/* keel_virtq_desc.flags (2.7.5) */
#define KEEL_VIRTQ_DESC_F_NEXT		1u	/* the chain goes on at `next` */
#define KEEL_VIRTQ_DESC_F_WRITE		2u	/* the device writes it, else it reads it */
#define KEEL_VIRTQ_DESC_F_INDIRECT	4u	/* the chain goes on in the table that lies there (2.7.5.3) */

struct keel_virtq_desc {	/* virtq_desc, 2.7.5 */
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};
static_assert(sizeof(struct keel_virtq_desc) == 16, "keel_virtq_desc size");
static_assert(offsetof(struct keel_virtq_desc, len) == 8 && offsetof(struct keel_virtq_desc, flags) == 12 &&
	      offsetof(struct keel_virtq_desc, next) == 14, "keel_virtq_desc fields");

struct keel_virtq_avail {	/* virtq_avail, 2.7.6: written by the driver only */
	uint16_t flags;		/* 0 */
	uint16_t idx;		/* index after the newest entry */
	uint16_t ring[];	/* num heads, then used_event: the driver wants a doorbell when the used idx passes it */
};
static_assert(offsetof(struct keel_virtq_avail, idx) == 2 && offsetof(struct keel_virtq_avail, ring) == 4, "keel_virtq_avail");

struct keel_virtq_used_elem {	/* virtq_used_elem, 2.7.8 */
	uint32_t id;		/* head of the chain */
	uint32_t len;		/* bytes written into it */
};
static_assert(sizeof(struct keel_virtq_used_elem) == 8 && offsetof(struct keel_virtq_used_elem, len) == 4, "keel_virtq_used_elem");

struct keel_virtq_used {	/* virtq_used, 2.7.8: written by the device only */
	uint16_t flags;		/* 0 */
	uint16_t idx;
	struct keel_virtq_used_elem ring[];	/* num, then avail_event (16 bits), as used_event the other way round */
};
static_assert(offsetof(struct keel_virtq_used, idx) == 2 && offsetof(struct keel_virtq_used, ring) == 4, "keel_virtq_used");

struct keel_virtq {		/* where the shared parts are; private to one side */
	uint32_t num;		/* "queue size": descriptors, and entries of each ring */
	struct keel_virtq_desc *desc;
	struct keel_virtq_avail *avail;
	struct keel_virtq_used *used;
};

/* Where buffers may lie; private to one side. In a channel's window addresses count from its start, as in driver calls. */
struct keel_virtq_window {
	uint8_t *memory;	/* where the first byte is for us */
	uint64_t addr;		/* and which address it has in descriptors: 0 if all of a channel's window is meant */
	uint64_t bytes;
};

struct keel_virtq_buf {		/* one buffer of a chain, in the window */
	void *data;
	uint32_t len;		/* not 0 */
};

static inline bool keel_virtq_num_ok(uint32_t num)
{
	return keel_ring_entries_ok(num);	/* 2.7: at most 32768, too */
}

static inline uint32_t keel_virtq_align(uint32_t bytes)
{
	return (bytes + KEEL_VIRTQ_ALIGN - 1) & ~(KEEL_VIRTQ_ALIGN - 1);
}

/* Of descriptors and available ring, in whole lines: where the used ring begins. Sizes as in 2.7's table. */
static inline uint32_t keel_virtq_used_offset(uint32_t num)
{
	return keel_virtq_align(16 * num + 6 + 2 * num);
}

/* The memory of a queue, for a num that is ok. */
static inline uint32_t keel_virtq_bytes(uint32_t num)
{
	return keel_virtq_used_offset(num) + keel_virtq_align(6 + 8 * num);
}

/* All parts in keel_virtq_bytes(num) bytes, KEEL_VIRTQ_ALIGNed. Who has them apart fills *q in: aligned to 16, 2 and 4. */
static inline void keel_virtq_place(struct keel_virtq *q, void *memory, uint32_t num)
{
	uint8_t *p = (uint8_t *)memory;

	q->num = num;
	q->desc = (struct keel_virtq_desc *)memory;
	q->avail = (struct keel_virtq_avail *)(void *)(p + 16 * num);
	q->used = (struct keel_virtq_used *)(void *)(p + keel_virtq_used_offset(num));
}

static inline uint16_t *keel_virtq_used_event(const struct keel_virtq *q)
{
	return &q->avail->ring[q->num];
}

static inline uint16_t *keel_virtq_avail_event(const struct keel_virtq *q)
{
	return (uint16_t *)(void *)&q->used->ring[q->num];
}

static inline bool keel_virtq_inside(const struct keel_virtq_window *w, uint64_t offset, uint32_t len)
{
	return len && offset <= w->bytes && len <= w->bytes - offset;
}

/*
 * Whether what came between *kicked and own must be followed by a doorbell: *kicked <= event < own (2.7.7.2, 2.7.10.1). The
 * event has 16 bits: more than so many at once pass whatever it is.
 */
static inline bool keel_virtq_need_kick(const uint16_t *event, uint32_t own, uint32_t *kicked)
{
	uint32_t n = own - *kicked;

	if (!n)
		return false;
	*kicked = own;
	/* Our idx before our look at event; pairs with the fence in the other side's keel_virtq_*_arm (Dekker). */
	keel_full_fence();
	return (uint16_t)(own - keel_load_relaxed(event) - 1) < n;
}

/* ---- driver -------------------------------------------------------------------------------------- */

struct keel_virtq_note {	/* private to the driver, one for each descriptor */
	void *token;		/* of the chain that begins here */
	uint64_t writable;	/* bytes the device may write into it */
	uint16_t next;		/* of the chain, or of the free ones */
	uint16_t last;		/* of the chain that begins here */
	uint16_t count;		/* its descriptors; 0: no chain in flight begins here */
};

struct keel_virtq_driver {	/* private */
	struct keel_virtq q;
	struct keel_virtq_window window;
	struct keel_virtq_note *notes;
	uint32_t free, nfree;	/* the first free descriptor, and how many there are */
	uint32_t own;		/* chains added */
	uint32_t seen;		/* chains collected */
	uint32_t peer;		/* newest good value of the used idx */
	uint32_t kicked;	/* own at the last keel_virtq_driver_need_kick */
};

/* Starts the driver's side. notes: q->num of them, private. */
static inline void keel_virtq_driver_init(struct keel_virtq_driver *v, const struct keel_virtq *q,
					  const struct keel_virtq_window *window, struct keel_virtq_note *notes)
{
	uint32_t i;

	v->q = *q;
	v->window = *window;
	v->notes = notes;
	v->free = 0;
	v->nfree = q->num;
	v->own = v->seen = v->peer = v->kicked = 0;
	for (i = 0; i < q->num; i++) {
		notes[i].next = (uint16_t)((i + 1) & (q->num - 1));
		notes[i].count = 0;
	}
}

/* Bytes in n buffers of the driver's, or -KEEL_EFAULT: they are not all in the window, -KEEL_EINVAL: too many. */
static inline int64_t keel_virtq_sum(const struct keel_virtq_driver *v, const struct keel_virtq_buf *bufs, uint32_t n)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (!keel_virtq_inside(&v->window, (uintptr_t)bufs[i].data - (uintptr_t)v->window.memory, bufs[i].len))
			return -KEEL_EFAULT;
		sum += bufs[i].len;
	}
	return sum <= KEEL_VIRTQ_MAX_CHAIN ? (int64_t)sum : -KEEL_EINVAL;
}

static inline void keel_virtq_describe(struct keel_virtq_driver *v, uint32_t at, const struct keel_virtq_buf *buf, uint32_t flags)
{
	struct keel_virtq_desc d;

	d.addr = v->window.addr + ((uintptr_t)buf->data - (uintptr_t)v->window.memory);
	d.len = buf->len;
	d.flags = (uint16_t)flags;
	d.next = flags & KEEL_VIRTQ_DESC_F_NEXT ? v->notes[at].next : 0;
	keel_copy_words(&v->q.desc[at], &d, sizeof(d) / 8);
}

/* Takes n free descriptors for the buffers, of which the device reads the first nread. -> the last of them */
static inline uint32_t keel_virtq_fill(struct keel_virtq_driver *v, const struct keel_virtq_buf *bufs, uint32_t nread, uint32_t n)
{
	uint32_t i, at = v->free;

	for (i = 0; i < n; i++) {
		if (i)
			at = v->notes[at].next;
		keel_virtq_describe(v, at, &bufs[i], (i < nread ? 0 : KEEL_VIRTQ_DESC_F_WRITE) |
				    (i + 1 < n ? KEEL_VIRTQ_DESC_F_NEXT : 0));
	}
	v->nfree -= n;
	v->free = v->notes[at].next;
	return at;
}

/*
 * Makes a chain available: nread buffers that the device reads, behind them in bufs nwrite that it writes. `token` comes back
 * with it. 0, -KEEL_EAGAIN: too few descriptors are free now, -KEEL_EINVAL: no buffer, more than the queue has descriptors or
 * more than KEEL_VIRTQ_MAX_CHAIN bytes, -KEEL_EFAULT: an empty buffer, or not in the window.
 */
static inline int keel_virtq_add(struct keel_virtq_driver *v, const struct keel_virtq_buf *bufs, uint32_t nread, uint32_t nwrite,
				 void *token)
{
	uint32_t n = nread + nwrite, head = v->free;
	int64_t all, writable;

	if (!n || nread > v->q.num || nwrite > v->q.num - nread)
		return -KEEL_EINVAL;
	all = keel_virtq_sum(v, bufs, n);
	writable = keel_virtq_sum(v, bufs + nread, nwrite);
	if (all < 0 || n > v->nfree)
		return all < 0 ? (int)all : -KEEL_EAGAIN;
	v->notes[head].token = token;
	v->notes[head].writable = (uint64_t)writable;
	v->notes[head].count = (uint16_t)n;
	v->notes[head].last = (uint16_t)keel_virtq_fill(v, bufs, nread, n);
	keel_store_relaxed(&v->q.avail->ring[v->own & (v->q.num - 1)], (uint16_t)head);
	v->own++;
	/* Release: descriptors, entry and buffers before idx, and our reads of used entries before the device writes them again
	 * (2.7.13.3.1); pairs with the acquire in keel_virtq_avail. */
	keel_store_release(&v->q.avail->idx, (uint16_t)v->own);
	return 0;
}

/* Whether what was added since the last call must be followed by a doorbell. */
static inline bool keel_virtq_driver_need_kick(struct keel_virtq_driver *v)
{
	return keel_virtq_need_kick(keel_virtq_avail_event(&v->q), v->own, &v->kicked);
}

/* Chains that can be collected, or KEEL_RING_BAD. */
static inline int keel_virtq_pending(struct keel_virtq_driver *v)
{
	/* Acquire: idx before entries and what was written into the buffers, and before their descriptors are used again; pairs
	 * with the release in keel_virtq_return. */
	uint16_t idx = keel_load_acquire(&v->q.used->idx);
	uint32_t n = (uint16_t)(idx - v->seen);

	/* Not more than are in flight, and not behind what was there before. */
	if (n > v->own - v->seen || n < v->peer - v->seen)
		return KEEL_RING_BAD;
	v->peer = v->seen + n;
	return (int)n;
}

/* The next chain that the device has returned. 1 with its token and the bytes written, 0: there is none, or KEEL_RING_BAD */
static inline int keel_virtq_collect(struct keel_virtq_driver *v, void **token, uint32_t *written)
{
	int n = v->peer != v->seen ? 1 : keel_virtq_pending(v);
	const struct keel_virtq_used_elem *e = &v->q.used->ring[v->seen & (v->q.num - 1)];
	uint32_t id, len;

	if (n <= 0)
		return n;
	id = keel_load_relaxed(&e->id);
	len = keel_load_relaxed(&e->len);
	if (id >= v->q.num || !v->notes[id].count || len > v->notes[id].writable)
		return KEEL_RING_BAD;
	*token = v->notes[id].token;
	*written = len;
	v->notes[v->notes[id].last].next = (uint16_t)v->free;
	v->free = id;
	v->nfree += v->notes[id].count;
	v->notes[id].count = 0;
	v->seen++;
	return 1;
}

/* Asks for a doorbell at the next chain returned. -> as keel_virtq_pending after that: sleep only if it is 0 */
static inline int keel_virtq_driver_arm(struct keel_virtq_driver *v)
{
	keel_store_relaxed(keel_virtq_used_event(&v->q), (uint16_t)v->seen);
	/* Our event before our look at idx; pairs with the fence in the device's keel_virtq_need_kick. */
	keel_full_fence();
	return keel_virtq_pending(v);
}

/* ---- device -------------------------------------------------------------------------------------- */

struct keel_virtq_chain {	/* one that the device has taken; a copy */
	uint32_t head;		/* names it when it is returned */
	uint32_t nread, nwrite;	/* buffers to be read, and behind them those to be written */
	uint64_t readable, writable;	/* bytes of both */
};

struct keel_virtq_device {	/* private */
	struct keel_virtq q;
	struct keel_virtq_window window;
	uint8_t *taken;		/* by head: is such a chain here */
	uint32_t own;		/* chains taken */
	uint32_t peer;		/* newest good value of the available idx */
	uint32_t returned;	/* chains returned */
	uint32_t kicked;	/* returned at the last keel_virtq_device_need_kick */
};

/* Starts the device's side. taken: q->num bytes, private. */
static inline void keel_virtq_device_init(struct keel_virtq_device *v, const struct keel_virtq *q,
					  const struct keel_virtq_window *window, uint8_t *taken)
{
	uint32_t i;

	v->q = *q;
	v->window = *window;
	v->taken = taken;
	v->own = v->peer = v->returned = v->kicked = 0;
	for (i = 0; i < q->num; i++)
		taken[i] = 0;
}

/* Chains that can be taken, or KEEL_RING_BAD. */
static inline int keel_virtq_avail(struct keel_virtq_device *v)
{
	/* Acquire: idx before entries, descriptors and buffers; pairs with the release in keel_virtq_add. */
	uint16_t idx = keel_load_acquire(&v->q.avail->idx);
	uint32_t n = (uint16_t)(idx - v->own);

	/* Not more than there can be with those that are here, and not behind what was there before. */
	if (n > v->q.num - (v->own - v->returned) || n < v->peer - v->own)
		return KEEL_RING_BAD;
	v->peer = v->own + n;
	return (int)n;
}

/* What a descriptor names, or NULL: it is empty, or not all of it in the window. */
static inline uint8_t *keel_virtq_at(const struct keel_virtq_window *w, uint64_t addr, uint32_t len)
{
	return keel_virtq_inside(w, addr - w->addr, len) ? w->memory + (addr - w->addr) : NULL;
}

struct keel_virtq_table {	/* where a chain is being followed */
	const struct keel_virtq_desc *desc;
	uint32_t num;
	bool indirect;
};

/* The chain goes on at the beginning of another table, in which there is no further one (2.7.5.3; WRITE means nothing). */
static inline int keel_virtq_enter(const struct keel_virtq_device *v, struct keel_virtq_table *t, const struct keel_virtq_desc *d)
{
	uint8_t *p = keel_virtq_at(&v->window, d->addr, d->len);

	if (t->indirect || (d->flags & KEEL_VIRTQ_DESC_F_NEXT) || !p || ((uintptr_t)p & 7) || d->len % sizeof(*d))
		return KEEL_RING_BAD;
	t->desc = (const struct keel_virtq_desc *)(const void *)p;
	t->num = d->len / (uint32_t)sizeof(*d);
	t->indirect = true;
	return 0;
}

/* One buffer more: of not more than the queue's size, which ends loops, and none to read behind one to write (2.7.4.2). */
static inline int keel_virtq_count(const struct keel_virtq_device *v, struct keel_virtq_chain *c, const struct keel_virtq_desc *d,
				   struct keel_virtq_buf *bufs, uint32_t max)
{
	uint8_t *data = keel_virtq_at(&v->window, d->addr, d->len);
	bool write = d->flags & KEEL_VIRTQ_DESC_F_WRITE;
	uint32_t n = c->nread + c->nwrite;

	if (!data || n == v->q.num || (c->nwrite && !write) || c->readable + c->writable + d->len > KEEL_VIRTQ_MAX_CHAIN)
		return KEEL_RING_BAD;
	if (n < max) {
		bufs[n].data = data;
		bufs[n].len = d->len;
	}
	*(write ? &c->nwrite : &c->nread) += 1;
	*(write ? &c->writable : &c->readable) += d->len;
	return 0;
}

/* Follows the chain from c->head to its end: num descriptors at most, and one that leads to another table. */
static inline int keel_virtq_follow(const struct keel_virtq_device *v, struct keel_virtq_chain *c, struct keel_virtq_buf *bufs,
				    uint32_t max)
{
	struct keel_virtq_table t = { v->q.desc, v->q.num, false };
	struct keel_virtq_desc d;
	uint32_t i = c->head;
	bool leads;
	int err;

	for (;;) {
		if (i >= t.num)
			return KEEL_RING_BAD;
		keel_copy_words(&d, &t.desc[i], sizeof(d) / 8);
		leads = d.flags & KEEL_VIRTQ_DESC_F_INDIRECT;
		err = leads ? keel_virtq_enter(v, &t, &d) : keel_virtq_count(v, c, &d, bufs, max);
		if (err || !(leads || (d.flags & KEEL_VIRTQ_DESC_F_NEXT)))
			return err;
		i = leads ? 0 : d.next;
	}
}

/*
 * Takes the oldest chain there is: *c, and its buffers in bufs, of which there are `max`; q.num are always enough. 1, 0: there
 * is none, -KEEL_E2BIG: it has more buffers (c->nread + c->nwrite) and is still there, or KEEL_RING_BAD.
 */
static inline int keel_virtq_take(struct keel_virtq_device *v, struct keel_virtq_chain *c, struct keel_virtq_buf *bufs,
				  uint32_t max)
{
	int n = v->peer != v->own ? 1 : keel_virtq_avail(v);

	if (n <= 0)
		return n;
	c->head = keel_load_relaxed(&v->q.avail->ring[v->own & (v->q.num - 1)]);
	c->nread = c->nwrite = 0;
	c->readable = c->writable = 0;
	if (c->head >= v->q.num || v->taken[c->head] || keel_virtq_follow(v, c, bufs, max))
		return KEEL_RING_BAD;
	if (c->nread + c->nwrite > max)
		return -KEEL_E2BIG;
	v->taken[c->head] = 1;
	v->own++;
	return 1;
}

/* Gives a chain back, with so many bytes (<= writable) written at its beginning. 0, or -KEEL_EINVAL: it is not here */
static inline int keel_virtq_return(struct keel_virtq_device *v, uint32_t head, uint32_t written)
{
	struct keel_virtq_used_elem *e = &v->q.used->ring[v->returned & (v->q.num - 1)];

	if (head >= v->q.num || !v->taken[head])
		return -KEEL_EINVAL;
	v->taken[head] = 0;
	keel_store_relaxed(&e->id, head);
	keel_store_relaxed(&e->len, written);
	v->returned++;
	/* Release: our reads of descriptors, our reads and writes of buffers, and the entry before idx; pairs with the acquire
	 * in keel_virtq_pending. */
	keel_store_release(&v->q.used->idx, (uint16_t)v->returned);
	return 0;
}

/* Whether what was returned since the last call must be followed by a doorbell. */
static inline bool keel_virtq_device_need_kick(struct keel_virtq_device *v)
{
	return keel_virtq_need_kick(keel_virtq_used_event(&v->q), v->returned, &v->kicked);
}

/* Asks for a doorbell at the next chain added. -> as keel_virtq_avail after that: sleep only if it is 0 */
static inline int keel_virtq_device_arm(struct keel_virtq_device *v)
{
	keel_store_relaxed(keel_virtq_avail_event(&v->q), (uint16_t)v->own);
	/* Our event before our look at idx; pairs with the fence in the driver's keel_virtq_need_kick. */
	keel_full_fence();
	return keel_virtq_avail(v);
}

#endif /* KEEL_VIRTQUEUE_H */

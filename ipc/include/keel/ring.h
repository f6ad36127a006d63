/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/ring.h - single-producer single-consumer ring indices in memory shared with a peer that is
 * not trusted.
 *
 * The shared part (struct keel_ring_ctl) is two cache lines: one written by the producer, one by
 * the consumer. The private part (struct keel_ring) holds the size, the own index and the last
 * index seen from the other side. The entries themselves lie wherever the user of the ring puts
 * them; keel_ring_slot() says which.
 *
 * Invariants: indices run freely modulo 2^32; 0 <= tail - head <= entries; entries is a power of
 *             two, at most 2^15, and is only ever taken from private memory.
 * Trusts:     nothing in the shared part. Each word is loaded once. An index of the other side may
 *             only move forward, and only as far as the own index allows; anything else is
 *             KEEL_RING_BAD, and the caller gives the channel up.
 * Doorbells:  a consumer that wants to sleep stores in `event` the index it has reached
 *             (keel_ring_arm) and looks once more. The producer rings when the tail it publishes
 *             passes `event` (keel_ring_need_kick), the rule of virtio's EVENT_IDX with 32-bit
 *             indices. A zeroed ring is armed. A hostile `event` costs its owner missed or extra
 *             doorbells, nobody else anything.
 */
#ifndef KEEL_RING_H
#define KEEL_RING_H

#include <keel/atomic.h>
#include <keel/abi.h>

#define KEEL_RING_BAD		(-KEEL_EIO)	/* the other side's index is impossible */
#define KEEL_RING_MAX_ENTRIES	32768u

struct keel_ring_ctl {
	/* written by the producer only */
	uint32_t tail;		/* index after the newest published entry */
	uint32_t reserved0[15];
	/* written by the consumer only */
	uint32_t head;		/* index of the oldest entry not yet taken */
	uint32_t event;		/* the consumer wants a doorbell when tail passes this */
	uint32_t reserved1[14];
};
static_assert(sizeof(struct keel_ring_ctl) == 128, "keel_ring_ctl size");
static_assert(offsetof(struct keel_ring_ctl, tail) / 64 !=
	      offsetof(struct keel_ring_ctl, head) / 64, "producer and consumer share a line");
static_assert(offsetof(struct keel_ring_ctl, head) / 64 ==
	      offsetof(struct keel_ring_ctl, event) / 64, "consumer words on two lines");

struct keel_ring {		/* private to one side */
	struct keel_ring_ctl *ctl;
	uint32_t entries;
	uint32_t own;		/* producer: tail (published + prepared); consumer: head */
	uint32_t peer;		/* newest good value of the other side's index */
	uint32_t kicked;	/* producer: tail at the last keel_ring_need_kick */
};

static inline bool keel_ring_entries_ok(uint32_t entries)
{
	return entries && entries <= KEEL_RING_MAX_ENTRIES && !(entries & (entries - 1));
}

/* Starts a side at index 0. Both sides start there: the shared part was zeroed by its owner. */
static inline void keel_ring_init(struct keel_ring *r, struct keel_ring_ctl *ctl, uint32_t entries)
{
	r->ctl = ctl;
	r->entries = entries;
	r->own = 0;
	r->peer = 0;
	r->kicked = 0;
}

static inline uint32_t keel_ring_slot(const struct keel_ring *r, uint32_t index)
{
	return index & (r->entries - 1);
}

/* ---- producer ------------------------------------------------------------------------------------ */

/* Free entries, or KEEL_RING_BAD. Reads the shared head only when the private view is too small. */
static inline int keel_ring_room(struct keel_ring *r, uint32_t want)
{
	uint32_t used = r->own - r->peer;
	uint32_t head;

	if (r->entries - used < want) {
		/* Acquire: the consumer's reads of the entries come before our reuse of them;
		 * pairs with the release in keel_ring_consume. */
		head = keel_load_acquire(&r->ctl->head);
		if (head - r->peer > used)
			return KEEL_RING_BAD;
		r->peer = head;
		used = r->own - head;
	}
	return (int)(r->entries - used);
}

/* Makes n filled entries visible; they follow each other from slot(own). n <= room. */
static inline void keel_ring_publish(struct keel_ring *r, uint32_t n)
{
	r->own += n;
	/* Release: entries before index; pairs with the acquire in keel_ring_avail. */
	keel_store_release(&r->ctl->tail, r->own);
}

/* Whether what was published since the last call must be followed by a doorbell. */
static inline bool keel_ring_need_kick(struct keel_ring *r)
{
	uint32_t old = r->kicked;
	uint32_t event;

	if (r->own == old)
		return false;
	r->kicked = r->own;
	/* Our tail before our look at event; pairs with the fence in keel_ring_arm (tail and
	 * event are written on either side, each then reads the other: Dekker). */
	keel_full_fence();
	event = keel_load_relaxed(&r->ctl->event);
	return r->own - event - 1 < r->own - old;
}

/* ---- consumer ------------------------------------------------------------------------------------ */

/* Entries that can be taken from slot(own) on, or KEEL_RING_BAD. */
static inline int keel_ring_avail(struct keel_ring *r)
{
	/* Acquire: index before entries; pairs with the release in keel_ring_publish. */
	uint32_t tail = keel_load_acquire(&r->ctl->tail);
	uint32_t n = tail - r->own;

	/* Not more than fits, and not behind what was there before. */
	if (n > r->entries || n < r->peer - r->own)
		return KEEL_RING_BAD;
	r->peer = tail;
	return (int)n;
}

/* Is there one? As keel_ring_avail, but what is known to be there needs no look at the shared part. */
static inline int keel_ring_any(struct keel_ring *r)
{
	return r->peer != r->own ? 1 : keel_ring_avail(r);
}

/* Gives n copied-out entries back. n <= avail. */
static inline void keel_ring_consume(struct keel_ring *r, uint32_t n)
{
	r->own += n;
	/* Release: our reads of the entries before the index; pairs with keel_ring_room. */
	keel_store_release(&r->ctl->head, r->own);
}

/*
 * Asks for a doorbell at the next entry. Returns what keel_ring_avail says after that: sleep only
 * if it is 0. An entry published between the two is seen here or rings, or both.
 */
static inline int keel_ring_arm(struct keel_ring *r)
{
	keel_store_relaxed(&r->ctl->event, r->own);
	/* Our event before our look at tail; pairs with the fence in keel_ring_need_kick. */
	keel_full_fence();
	return keel_ring_avail(r);
}

#endif /* KEEL_RING_H */

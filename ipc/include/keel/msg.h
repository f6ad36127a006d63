/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/msg.h - messages of at most a slot's size, one way, over memory shared with a peer that is not trusted.
 *
 * A message is its length and its bytes, in the slot that keel/ring.h says. Whoever wants to build one in place, or to
 * look at one where it lies, takes the slot itself: the other side may change what is in it at any time.
 *
 * Trusts:     nothing in the slots: a length is loaded once and checked; an impossible one is KEEL_RING_BAD.
 * Doorbells:  as keel/ring.h: keel_ring_need_kick(&m->ring) after sending, keel_ring_arm(&m->ring) before sleeping.
 */
#ifndef KEEL_MSG_H
#define KEEL_MSG_H

#include <keel/ring.h>

#define KEEL_MSG_HEAD	8u	/* bytes of a slot before the message: its length (4), reserved (4) */

struct keel_msg {		/* private to one side */
	struct keel_ring ring;
	uint8_t *slots;		/* entries * slot_bytes, shared, 8-aligned */
	uint32_t slot_bytes;	/* a multiple of 8, with the head */
};

static inline bool keel_msg_sizes_ok(uint32_t entries, uint32_t slot_bytes)
{
	return keel_ring_entries_ok(entries) && slot_bytes > KEEL_MSG_HEAD && !(slot_bytes & 7) && slot_bytes <= 1u << 30;
}

/* Starts a side. Sizes that are ok, and the same on both sides; the shared indices were zeroed by their owner. */
static inline void keel_msg_init(struct keel_msg *m, struct keel_ring_ctl *ctl, void *slots, uint32_t entries,
				 uint32_t slot_bytes)
{
	keel_ring_init(&m->ring, ctl, entries);
	m->slots = (uint8_t *)slots;
	m->slot_bytes = slot_bytes;
}

static inline uint8_t *keel_msg_slot(const struct keel_msg *m)
{
	return m->slots + (uint64_t)keel_ring_slot(&m->ring, m->ring.own) * m->slot_bytes;
}

/*
 * Where the next message may be built, of slot_bytes - KEEL_MSG_HEAD at most; NULL with *err: -KEEL_EAGAIN, no slot is
 * free now, or KEEL_RING_BAD.
 */
static inline void *keel_msg_place(struct keel_msg *m, int *err)
{
	int room = keel_ring_room(&m->ring, 1);

	*err = room < 0 ? room : -KEEL_EAGAIN;
	return room > 0 ? keel_msg_slot(m) + KEEL_MSG_HEAD : NULL;
}

/* It is built, and so long. */
static inline void keel_msg_publish(struct keel_msg *m, uint32_t bytes)
{
	keel_store_relaxed((uint32_t *)(void *)keel_msg_slot(m), bytes);
	keel_ring_publish(&m->ring, 1);
}

/* The oldest message, where it lies; NULL with *bytes: -KEEL_EAGAIN, there is none, or KEEL_RING_BAD. */
static inline const void *keel_msg_next(struct keel_msg *m, int *bytes)
{
	int n = keel_ring_any(&m->ring);
	const uint8_t *slot = keel_msg_slot(m);
	uint32_t length;

	*bytes = n < 0 ? n : -KEEL_EAGAIN;
	if (n <= 0)
		return NULL;
	length = keel_load_relaxed((const uint32_t *)(const void *)slot);
	*bytes = length > m->slot_bytes - KEEL_MSG_HEAD ? KEEL_RING_BAD : (int)length;
	return *bytes >= 0 ? slot + KEEL_MSG_HEAD : NULL;
}

/* It has been copied, or is not needed: its slot is the sender's. */
static inline void keel_msg_done(struct keel_msg *m)
{
	keel_copied();
	keel_ring_consume(&m->ring, 1);
}

/* Sends a copy. 0, -KEEL_EAGAIN: no slot is free now, -KEEL_E2BIG, or KEEL_RING_BAD. */
static inline int keel_msg_send(struct keel_msg *m, const void *data, uint32_t bytes)
{
	void *place;
	int err;

	if (bytes > m->slot_bytes - KEEL_MSG_HEAD)
		return -KEEL_E2BIG;
	place = keel_msg_place(m, &err);
	if (!place)
		return err;
	__builtin_memcpy(place, data, bytes);
	keel_msg_publish(m, bytes);
	return 0;
}

/*
 * Takes the next one. -> its bytes, -KEEL_EAGAIN: there is none, -KEEL_E2BIG: it is longer than `room` and still
 * there, or KEEL_RING_BAD.
 */
static inline int keel_msg_receive(struct keel_msg *m, void *data, uint32_t room)
{
	int bytes;
	const void *message = keel_msg_next(m, &bytes);

	if (!message)
		return bytes;
	if ((uint32_t)bytes > room)
		return -KEEL_E2BIG;
	__builtin_memcpy(data, message, (uint32_t)bytes);
	keel_msg_done(m);
	return bytes;
}

#endif /* KEEL_MSG_H */

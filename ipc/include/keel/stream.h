/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/stream.h - a stream of bytes, one way, over memory shared with a peer that is not trusted.
 *
 * The indices are those of keel/ring.h, an entry is a byte, and there may be as many as KEEL_STREAM_MAX_BYTES. A piece
 * that goes round the end is copied in two.
 *
 * Trusts:     nothing in shared memory; indices are checked as in keel/ring.h, and the bytes are only ever data.
 * Doorbells:  keel_ring_need_kick(&s->ring) after writing, keel_ring_arm(&s->ring) before sleeping for more. A
 *             writer that finds no room polls, or is rung by the reader as the two agree: the indices ask only for data.
 */
#ifndef KEEL_STREAM_H
#define KEEL_STREAM_H

#include <keel/ring.h>

#define KEEL_STREAM_MAX_BYTES	(1u << 30)

struct keel_stream {		/* private to one side */
	struct keel_ring ring;
	uint8_t *bytes;		/* shared */
};

static inline bool keel_stream_size_ok(uint32_t size)
{
	return size && size <= KEEL_STREAM_MAX_BYTES && !(size & (size - 1));
}

/* Starts a side. A size that is ok, and the same on both sides; the shared indices were zeroed by their owner. */
static inline void keel_stream_init(struct keel_stream *s, struct keel_ring_ctl *ctl, void *bytes, uint32_t size)
{
	keel_ring_init(&s->ring, ctl, size);
	s->bytes = (uint8_t *)bytes;
}

/* Of n bytes from the own index on: how many lie before the end of the memory. */
static inline uint32_t keel_stream_first(const struct keel_stream *s, uint32_t n)
{
	uint32_t before = s->ring.entries - keel_ring_slot(&s->ring, s->ring.own);

	return n < before ? n : before;
}

/* Writes what there is room for. -> bytes, 0: none, or KEEL_RING_BAD */
static inline int keel_stream_write(struct keel_stream *s, const void *data, uint32_t n)
{
	uint32_t want = n < s->ring.entries ? n : s->ring.entries, first;
	int room = keel_ring_room(&s->ring, want);

	if (room < 0)
		return room;
	n = want < (uint32_t)room ? want : (uint32_t)room;
	first = keel_stream_first(s, n);
	__builtin_memcpy(s->bytes + keel_ring_slot(&s->ring, s->ring.own), data, first);
	__builtin_memcpy(s->bytes, (const uint8_t *)data + first, n - first);
	keel_ring_publish(&s->ring, n);
	return (int)n;
}

/* Reads what is there, n bytes at most. -> bytes, 0: none, or KEEL_RING_BAD */
static inline int keel_stream_read(struct keel_stream *s, void *data, uint32_t n)
{
	int avail = keel_ring_avail(&s->ring);
	uint32_t first;

	if (avail < 0)
		return avail;
	n = n < (uint32_t)avail ? n : (uint32_t)avail;
	first = keel_stream_first(s, n);
	__builtin_memcpy(data, s->bytes + keel_ring_slot(&s->ring, s->ring.own), first);
	__builtin_memcpy((uint8_t *)data + first, s->bytes, n - first);
	keel_copied();
	keel_ring_consume(&s->ring, n);
	return (int)n;
}

#endif /* KEEL_STREAM_H */

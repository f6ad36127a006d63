/* SPDX-License-Identifier: MIT */
/* virtqueue.h - a queue with both its sides and a window for the buffers, for the tests of keel/virtqueue.h. */
#ifndef TESTS_VIRTQUEUE_H
#define TESTS_VIRTQUEUE_H

#include "unit.h"

#include <keel/virtqueue.h>

#define NUM	8u
#define WINDOW	4096u
#define BASE	0x7000000000u	/* what descriptors call the window's first byte */

struct pair {
	uint8_t *window, *shared;	/* of exactly their sizes */
	struct keel_virtq q;
	struct keel_virtq_driver driver;
	struct keel_virtq_device device;
	struct keel_virtq_note notes[NUM];
	uint8_t taken[NUM];
};

/* Both sides as after `index` chains, all of them collected. */
static inline void pair_begin(struct pair *p, uint32_t index)
{
	struct keel_virtq_window w = { .addr = BASE, .bytes = WINDOW };

	memset(p, 0, sizeof(*p));
	p->window = w.memory = aligned_alloc(KEEL_VIRTQ_ALIGN, WINDOW);
	p->shared = aligned_alloc(KEEL_VIRTQ_ALIGN, keel_virtq_bytes(NUM));
	if (!p->window || !p->shared)
		abort();
	memset(p->window, 0, WINDOW);
	memset(p->shared, 0, keel_virtq_bytes(NUM));
	keel_virtq_place(&p->q, p->shared, NUM);
	keel_virtq_driver_init(&p->driver, &p->q, &w, p->notes);
	keel_virtq_device_init(&p->device, &p->q, &w, p->taken);
	p->driver.own = p->driver.seen = p->driver.peer = p->driver.kicked = index;
	p->device.own = p->device.peer = p->device.returned = p->device.kicked = index;
	p->q.avail->idx = p->q.used->idx = (uint16_t)index;
	*keel_virtq_used_event(&p->q) = *keel_virtq_avail_event(&p->q) = (uint16_t)index;
}

static inline void pair_end(struct pair *p)
{
	free(p->window);
	free(p->shared);
}

static inline struct keel_virtq_buf buf_at(const struct pair *p, uint32_t offset, uint32_t len)
{
	return (struct keel_virtq_buf){ .data = p->window + offset, .len = len };
}

/* A chain of n buffers of 8 bytes, the first nread to be read. */
static inline int add_small(struct pair *p, uint32_t nread, uint32_t nwrite, void *token)
{
	struct keel_virtq_buf bufs[NUM + 1];

	for (uint32_t i = 0; i < nread + nwrite && i <= NUM; i++)
		bufs[i] = buf_at(p, 8 * i, 8);
	return keel_virtq_add(&p->driver, bufs, nread, nwrite, token);
}

/* Takes a chain of whatever it is. -> its head */
static inline uint32_t take_one(struct pair *p)
{
	struct keel_virtq_buf bufs[NUM];
	struct keel_virtq_chain c;

	assert_int_equal(keel_virtq_take(&p->device, &c, bufs, NUM), 1);
	return c.head;
}

static inline void collect_one(struct pair *p, void *expected, uint32_t len)
{
	uint32_t written = ~len;
	void *token = NULL;

	assert_int_equal(keel_virtq_collect(&p->driver, &token, &written), 1);
	assert_ptr_equal(token, expected);
	assert_int_equal(written, len);
}

#endif /* TESTS_VIRTQUEUE_H */

// SPDX-License-Identifier: MIT
/*
 * Property: whatever is written into the memory of a virtqueue, and whenever, the device's side takes only buffers in the window,
 * no more in a chain than the queue has descriptors and no more chains than that, each with a head of its own; and the driver's
 * side collects only what is in flight, with no more bytes than could be written, and loses none of its descriptors.
 * Failure looks like: a sanitizer report, or a trap in PROMISE().
 *
 * The input is a list of steps: of the two sides, and of somebody who writes into the window, where the queue lies, too: so do
 * the buffers, over it or not.
 */
#include "corpus.h"

#include <keel/virtqueue.h>
#include <stdlib.h>
#include <string.h>

#define NUM	8u
#define WINDOW	1024u
#define MAX	6u		/* buffers that the device has room for */

struct input {
	const uint8_t *data, *end;
};

static uint8_t *window;
static struct keel_virtq q;
static struct keel_virtq_driver driver;
static struct keel_virtq_device device;
static struct keel_virtq_note notes[NUM];
static uint8_t taken[NUM];
static struct request {
	bool in_flight;
	uint32_t n, writable;
} requests[NUM];
static struct keel_virtq_chain held[NUM];
static uint32_t nheld;

static uint32_t byte(struct input *in)
{
	return in->data < in->end ? *in->data++ : 0;
}

static uint32_t word(struct input *in)
{
	uint32_t low = byte(in);

	return low | byte(in) << 8;
}

/* ---- somebody writes ------------------------------------------------------------------------------- */

static void write_anywhere(struct input *in)
{
	uint32_t at = word(in) % (WINDOW / 2);
	uint16_t value = (uint16_t)word(in);

	memcpy(window + 2 * at, &value, sizeof(value));
}

static void write_descriptor(struct input *in)
{
	uint32_t at = byte(in) % (WINDOW / sizeof(struct keel_virtq_desc));	/* of the table, or of another one */
	struct keel_virtq_desc d;

	d.addr = word(in);
	d.len = word(in);
	d.flags = (uint16_t)(byte(in) & 7);
	d.next = (uint16_t)(byte(in) % (2 * NUM));
	memcpy(window + at * sizeof(d), &d, sizeof(d));
}

static void write_available(struct input *in)
{
	q.avail->ring[q.avail->idx % NUM] = (uint16_t)(byte(in) % (NUM + 1));
	q.avail->idx++;
}

static void write_used(struct input *in)
{
	struct keel_virtq_used_elem e;

	e.id = byte(in) % (NUM + 1);
	e.len = word(in);
	q.used->ring[q.used->idx % NUM] = e;
	q.used->idx++;
}

/* ---- the device ------------------------------------------------------------------------------------ */

static void check_chain(const struct keel_virtq_chain *c, const struct keel_virtq_buf *bufs)
{
	uint64_t bytes[2] = { 0, 0 };

	PROMISE(c->head < NUM && c->nread + c->nwrite && c->nread + c->nwrite <= MAX);
	for (uint32_t i = 0; i < nheld; i++)
		PROMISE(held[i].head != c->head);
	for (uint32_t i = 0; i < c->nread + c->nwrite; i++) {
		uint64_t offset = (uintptr_t)bufs[i].data - (uintptr_t)window;

		PROMISE(bufs[i].len && offset < WINDOW && bufs[i].len <= WINDOW - offset);
		bytes[i >= c->nread] += bufs[i].len;
	}
	PROMISE(bytes[0] == c->readable && bytes[1] == c->writable);
}

static void take(struct input *in)
{
	struct keel_virtq_buf bufs[MAX];
	struct keel_virtq_chain c;
	uint32_t own = device.own;
	int n = keel_virtq_take(&device, &c, bufs, MAX);

	PROMISE(n == 0 || n == 1 || n == KEEL_RING_BAD || n == -KEEL_E2BIG);
	PROMISE(device.own == own + (n == 1));
	if (n != 1)
		return;
	check_chain(&c, bufs);
	PROMISE(nheld < NUM);
	held[nheld++] = c;
	for (uint32_t i = c.nread; i < c.nread + c.nwrite; i++)
		memset(bufs[i].data, (int)byte(in), bufs[i].len);
}

/* One that it has, or one that it may not have. */
static void give_back(struct input *in)
{
	uint32_t what = byte(in), i = what % NUM, head = what & 0x80 || i >= nheld ? what : held[i].head;

	for (i = 0; i < nheld && held[i].head != head; i++)
		;
	PROMISE(keel_virtq_return(&device, head, word(in)) == (i < nheld ? 0 : -KEEL_EINVAL));
	if (i < nheld)
		held[i] = held[--nheld];
}

/* ---- the driver ------------------------------------------------------------------------------------ */

static void add(struct input *in)
{
	uint32_t nread = byte(in) % 4, nwrite = byte(in) % 4, before = driver.nfree, writable = 0, which = 0;
	struct keel_virtq_buf bufs[6];
	int err;

	while (which < NUM && requests[which].in_flight)
		which++;
	for (uint32_t i = 0; i < nread + nwrite; i++) {
		bufs[i].data = window + word(in) % (WINDOW + 1);
		bufs[i].len = word(in) % (WINDOW + 1);
		writable += i < nread ? 0 : bufs[i].len;
	}
	err = keel_virtq_add(&driver, bufs, nread, nwrite, &requests[which]);
	if (!err) {
		PROMISE(which < NUM && nread + nwrite <= before);
		requests[which] = (struct request){ .in_flight = true, .n = nread + nwrite, .writable = writable };
	}
	PROMISE(driver.nfree == before - (err ? 0 : nread + nwrite));
}

static void collect(void)
{
	uint32_t written, before = driver.nfree;
	struct request *r;
	void *token;
	int n = keel_virtq_collect(&driver, &token, &written);

	PROMISE(n == 0 || n == 1 || n == KEEL_RING_BAD);
	PROMISE(n == 1 || driver.nfree == before);
	if (n != 1)
		return;
	r = token;
	PROMISE(r->in_flight && written <= r->writable && driver.nfree == before + r->n);
	r->in_flight = false;
}

/* Each descriptor is free or of one chain in flight. */
static void check_driver(void)
{
	uint32_t seen = 0, n = 0, at = driver.free;

	for (; n < driver.nfree; n++, at = notes[at].next) {
		PROMISE(at < NUM && !(seen >> at & 1));
		seen |= 1u << at;
	}
	for (uint32_t head = 0; head < NUM; head++) {
		at = head;
		for (uint32_t i = 0; i < notes[head].count; i++, n++, at = notes[at].next) {
			PROMISE(at < NUM && !(seen >> at & 1));
			seen |= 1u << at;
		}
	}
	PROMISE(n == NUM && seen == (1u << NUM) - 1);
}

static void doorbells(struct input *in)
{
	switch (byte(in) % 4) {
	case 0:
		keel_virtq_driver_need_kick(&driver);
		break;
	case 1:
		keel_virtq_device_need_kick(&device);
		break;
	case 2:
		PROMISE(keel_virtq_driver_arm(&driver) <= (int)NUM);
		break;
	default:
		PROMISE(keel_virtq_device_arm(&device) <= (int)NUM);
	}
}

static void begin(void)
{
	struct keel_virtq_window w = { .addr = 0, .bytes = WINDOW };

	window = aligned_alloc(KEEL_VIRTQ_ALIGN, WINDOW);
	if (!window)
		abort();
	memset(window, 0, WINDOW);
	w.memory = window;
	keel_virtq_place(&q, window, NUM);
	keel_virtq_driver_init(&driver, &q, &w, notes);
	keel_virtq_device_init(&device, &q, &w, taken);
	memset(requests, 0, sizeof(requests));
	nheld = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const steps[])(struct input *in) = {
		write_anywhere, write_descriptor, write_available, write_used, take, give_back, add, doorbells,
	};
	struct input in = { data, data + size };

	begin();
	while (in.data < in.end) {
		uint32_t what = byte(&in) % 9;

		if (what < 8)
			steps[what](&in);
		else
			collect();
		check_driver();
		PROMISE(device.own - device.returned == nheld && driver.own - driver.seen <= NUM);
	}
	free(window);
	return 0;
}

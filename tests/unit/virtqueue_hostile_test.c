// SPDX-License-Identifier: MIT
/*
 * Property: nothing that the other side writes into a virtqueue is believed. Indices that cannot be, heads and descriptors
 * outside, chains that go round, are too long or leave the window, used entries of what is not in flight: each is
 * KEEL_RING_BAD and changes nothing; what is written over the driver's own tables does not matter to it; and a mistake of the
 * caller's own is an error, too.
 * Failure looks like: a chain or an entry believed, private state that has changed, or a report of the sanitizer.
 */
#include "virtqueue.h"

#define NEXT		KEEL_VIRTQ_DESC_F_NEXT
#define WRITE		KEEL_VIRTQ_DESC_F_WRITE
#define INDIRECT	KEEL_VIRTQ_DESC_F_INDIRECT

/* The device refuses what is there, and is as it was. */
static void device_refuses(struct pair *p)
{
	struct keel_virtq_device before = p->device;
	struct keel_virtq_buf bufs[NUM];
	struct keel_virtq_chain c;
	uint8_t taken[NUM];

	memcpy(taken, p->taken, sizeof(taken));
	assert_int_equal(keel_virtq_take(&p->device, &c, bufs, NUM), KEEL_RING_BAD);
	assert_memory_equal(taken, p->taken, sizeof(taken));
	assert_int_equal(p->device.own, before.own);
	assert_int_equal(p->device.returned, before.returned);
}

/* A chain of these descriptors, which begins with the first. */
static void offers(struct pair *p, const struct keel_virtq_desc *descs, size_t bytes)
{
	memcpy(p->q.desc, descs, bytes);
	p->q.avail->ring[p->q.avail->idx % NUM] = 0;
	p->q.avail->idx++;
}

static int chain_of(const struct keel_virtq_desc *descs, size_t bytes, const struct keel_virtq_desc *table, uint32_t entries)
{
	struct keel_virtq_buf bufs[NUM];
	struct keel_virtq_chain c;
	struct pair p;
	int n;

	pair_begin(&p, 0);
	if (table)
		memcpy(p.window + 64, table, entries * sizeof(*table));
	offers(&p, descs, bytes);
	n = keel_virtq_take(&p.device, &c, bufs, NUM);
	pair_end(&p);
	return n;
}

/* ---- the device's side ------------------------------------------------------------------------------ */

static void available_indices_that_cannot_be(void **state)
{
	struct pair p;

	(void)state;
	for (uint32_t base = 0xfff8; base < 0x10008; base++) {
		pair_begin(&p, base);
		for (uint32_t n = NUM + 1; n <= 0xffff; n += n < 20 || n > 0xfff0 ? 1 : 97) {
			p.q.avail->idx = (uint16_t)(base + n);
			device_refuses(&p);
			assert_int_equal(keel_virtq_device_arm(&p.device), KEEL_RING_BAD);
		}
		p.q.avail->idx = (uint16_t)base;
		for (int i = 0; i < 5; i++)
			assert_int_equal(add_small(&p, 1, 0, NULL), 0);
		assert_int_equal(keel_virtq_avail(&p.device), 5);
		p.q.avail->idx--;			/* behind what was there, but not behind what was taken */
		assert_int_equal(keel_virtq_avail(&p.device), KEEL_RING_BAD);
		p.q.avail->idx++;
		assert_int_equal(keel_virtq_avail(&p.device), 5);
		pair_end(&p);
	}
}

/* What is here counts: a driver has no more than NUM chains out. */
static void more_chains_than_descriptors(void **state)
{
	struct pair p;

	(void)state;
	pair_begin(&p, 0xfffe);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(add_small(&p, 1, 0, NULL), 0);
		take_one(&p);
	}
	p.q.avail->idx = (uint16_t)(p.device.own + NUM - 3);
	assert_int_equal(keel_virtq_avail(&p.device), NUM - 3);
	p.q.avail->idx++;
	assert_int_equal(keel_virtq_avail(&p.device), KEEL_RING_BAD);
	pair_end(&p);
}

static void heads_that_cannot_be(void **state)
{
	const uint16_t heads[] = { NUM, NUM + 1, 0x8000, 0xffff };
	uint32_t head;
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	for (unsigned int i = 0; i < NELEM(heads); i++) {
		p.q.avail->ring[0] = heads[i];
		p.q.avail->idx = 1;
		device_refuses(&p);
	}
	p.q.avail->idx = 0;
	assert_int_equal(add_small(&p, 1, 0, NULL), 0);
	head = take_one(&p);
	p.q.avail->ring[1] = (uint16_t)head;		/* once more, while it is here */
	p.q.avail->idx = 2;
	device_refuses(&p);
	assert_int_equal(keel_virtq_return(&p.device, head, 0), 0);
	assert_int_equal(take_one(&p), head);		/* and now it may come */
	pair_end(&p);
}

static void buffers_outside_the_window(void **state)
{
	const struct {
		uint64_t addr;
		uint32_t len;
		int want;
	} cases[] = {
		{ BASE, WINDOW, 1 }, { BASE + WINDOW - 1, 1, 1 },
		{ BASE, WINDOW + 1, KEEL_RING_BAD }, { BASE + 1, WINDOW, KEEL_RING_BAD }, { BASE + WINDOW - 1, 2, KEEL_RING_BAD },
		{ BASE + WINDOW, 1, KEEL_RING_BAD }, { BASE - 1, 1, KEEL_RING_BAD }, { BASE - 1, 2, KEEL_RING_BAD },
		{ 0, 1, KEEL_RING_BAD }, { UINT64_MAX, 1, KEEL_RING_BAD }, { UINT64_MAX, 2, KEEL_RING_BAD },
		{ BASE + 1, UINT32_MAX, KEEL_RING_BAD }, { BASE + (1ULL << 63), 8, KEEL_RING_BAD },
		{ BASE + (1ULL << 32), 8, KEEL_RING_BAD }, { BASE, 0, KEEL_RING_BAD }, { BASE + WINDOW, 0, KEEL_RING_BAD },
	};

	(void)state;
	for (unsigned int i = 0; i < NELEM(cases); i++)
		for (uint16_t write = 0; write <= WRITE; write = (uint16_t)(write + WRITE)) {
			struct keel_virtq_desc d[] = {
				{ .addr = BASE, .len = 1, .flags = NEXT, .next = 1 },
				{ .addr = cases[i].addr, .len = cases[i].len, .flags = write },
			};

			assert_int_equal(chain_of(d, sizeof(d), NULL, 0), cases[i].want);
			assert_int_equal(chain_of(d + 1, sizeof(d[1]), NULL, 0), cases[i].want);
		}
}

static void chains_that_do_not_end(void **state)
{
	struct keel_virtq_desc d[NUM];

	(void)state;
	for (uint32_t i = 0; i < NUM; i++)
		d[i] = (struct keel_virtq_desc){ .addr = BASE, .len = 1, .flags = NEXT, .next = (uint16_t)((i + 1) % NUM) };
	assert_int_equal(chain_of(d, sizeof(d), NULL, 0), KEEL_RING_BAD);
	d[NUM - 1].flags = 0;				/* as many as there may be */
	assert_int_equal(chain_of(d, sizeof(d), NULL, 0), 1);
	d[3].next = 3;
	assert_int_equal(chain_of(d, sizeof(d), NULL, 0), KEEL_RING_BAD);
	d[3].next = NUM;				/* leads out of the table */
	assert_int_equal(chain_of(d, sizeof(d), NULL, 0), KEEL_RING_BAD);
	d[3].next = 0xffff;
	assert_int_equal(chain_of(d, sizeof(d), NULL, 0), KEEL_RING_BAD);
}

static void something_to_read_behind_something_to_write(void **state)
{
	struct keel_virtq_desc d[] = {
		{ .addr = BASE, .len = 1, .flags = NEXT | WRITE, .next = 1 },
		{ .addr = BASE, .len = 1, .flags = 0 },
	};

	(void)state;
	assert_int_equal(chain_of(d, sizeof(d), NULL, 0), KEEL_RING_BAD);
	d[1].flags = WRITE;
	assert_int_equal(chain_of(d, sizeof(d), NULL, 0), 1);
}

/* Nobody has so much memory: the window is only said to be so large, and not touched. */
static void more_than_4_gib_in_one_chain(void **state)
{
	struct keel_virtq_desc d[] = {
		{ .addr = BASE, .len = UINT32_MAX, .flags = NEXT, .next = 1 },
		{ .addr = BASE, .len = 1, .flags = NEXT | WRITE, .next = 2 },
		{ .addr = BASE, .len = 1, .flags = WRITE },
	};
	struct keel_virtq_buf bufs[NUM];
	struct keel_virtq_chain c;
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	p.device.window.bytes = p.driver.window.bytes = 1ULL << 40;
	offers(&p, d, sizeof(d));
	device_refuses(&p);
	p.q.desc[1].flags = WRITE;
	assert_int_equal(keel_virtq_take(&p.device, &c, bufs, NUM), 1);
	assert_int_equal(c.readable + c.writable, 1ULL << 32);
	bufs[2] = bufs[1];
	assert_int_equal(keel_virtq_add(&p.driver, bufs, 2, 1, NULL), -KEEL_EINVAL);
	assert_int_equal(keel_virtq_add(&p.driver, bufs, 1, 1, NULL), 0);
	pair_end(&p);
}

static void tables_that_cannot_be(void **state)
{
	const uint32_t bytes = 3 * 16;
	const struct keel_virtq_desc good = { .addr = BASE + 64, .len = bytes, .flags = INDIRECT };
	struct keel_virtq_desc d = good, table[3 * NUM];

	(void)state;
	for (uint32_t i = 0; i < NELEM(table); i++)
		table[i] = (struct keel_virtq_desc){ .addr = BASE, .len = 1, .flags = i != 2 ? NEXT : 0, .next = (uint16_t)(i + 1) };
#define REFUSED(field, value) do {							\
		d = good;								\
		d.field = value;							\
		assert_int_equal(chain_of(&d, sizeof(d), table, 3), KEEL_RING_BAD);	\
	} while (0)
	assert_int_equal(chain_of(&good, sizeof(good), table, 3), 1);
	REFUSED(flags, INDIRECT | NEXT);
	REFUSED(addr, BASE + WINDOW - bytes + 16);
	REFUSED(addr, BASE - 16);
	REFUSED(addr, BASE + 68);
	REFUSED(len, 0);
	REFUSED(len, 8);
	REFUSED(len, bytes + 1);
	REFUSED(len, bytes - 16);			/* the chain leads out of it */
#undef REFUSED
	table[1].next = 0;
	assert_int_equal(chain_of(&good, sizeof(good), table, 3), KEEL_RING_BAD);
	table[1].flags = INDIRECT;			/* another one in it, which ends */
	table[1].addr = BASE + 64 + 2 * 16;
	table[1].len = 16;
	assert_int_equal(chain_of(&good, sizeof(good), table, 3), KEEL_RING_BAD);
}

/* A table may have more entries than the queue, a chain not. */
static void a_long_chain_in_a_table(void **state)
{
	struct keel_virtq_desc table[NUM + 2];
	struct keel_virtq_desc d = { .addr = BASE + 64, .len = sizeof(table), .flags = INDIRECT };

	(void)state;
	for (uint32_t i = 0; i < NELEM(table); i++)
		table[i] = (struct keel_virtq_desc){ .addr = BASE, .len = 1, .flags = i < NUM - 1 ? NEXT : 0, .next = (uint16_t)(i + 1) };
	assert_int_equal(chain_of(&d, sizeof(d), table, NUM + 2), 1);
	table[NUM - 1].flags = NEXT;
	assert_int_equal(chain_of(&d, sizeof(d), table, NUM + 2), KEEL_RING_BAD);
}

static void more_buffers_than_there_is_room_for(void **state)
{
	struct keel_virtq_buf *bufs = malloc(3 * sizeof(*bufs));	/* no element more is written */
	struct keel_virtq_chain c;
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	assert_int_equal(add_small(&p, 2, 2, &p), 0);
	assert_int_equal(keel_virtq_take(&p.device, &c, bufs, 3), -KEEL_E2BIG);
	assert_int_equal(c.nread + c.nwrite, 4);
	assert_int_equal(keel_virtq_take(&p.device, &c, NULL, 0), -KEEL_E2BIG);
	take_one(&p);							/* it is still there */
	pair_end(&p);
	free(bufs);
}

/* ---- the driver's side ------------------------------------------------------------------------------ */

static void driver_refuses(struct pair *p)
{
	struct keel_virtq_driver before = p->driver;
	struct keel_virtq_note notes[NUM];
	uint32_t written;
	void *token;

	memcpy(notes, p->notes, sizeof(notes));
	assert_int_equal(keel_virtq_collect(&p->driver, &token, &written), KEEL_RING_BAD);
	assert_memory_equal(notes, p->notes, sizeof(notes));
	assert_int_equal(p->driver.seen, before.seen);
	assert_int_equal(p->driver.free, before.free);
	assert_int_equal(p->driver.nfree, before.nfree);
}

static void used_indices_that_cannot_be(void **state)
{
	struct pair p;

	(void)state;
	for (uint32_t base = 0xfff8; base < 0x10008; base++) {
		pair_begin(&p, base);
		for (int i = 0; i < 3; i++)
			assert_int_equal(add_small(&p, 1, 0, &p), 0);
		for (uint32_t n = 4; n <= 0xffff; n += n < 20 || n > 0xfff0 ? 1 : 97) {
			p.q.used->idx = (uint16_t)(base + n);
			driver_refuses(&p);
			assert_int_equal(keel_virtq_driver_arm(&p.driver), KEEL_RING_BAD);
		}
		p.q.used->idx = (uint16_t)(base + 3);
		assert_int_equal(keel_virtq_pending(&p.driver), 3);
		p.q.used->idx--;
		assert_int_equal(keel_virtq_pending(&p.driver), KEEL_RING_BAD);
		pair_end(&p);
	}
}

static void used_says(struct pair *p, uint32_t id, uint32_t len)
{
	p->q.used->ring[p->driver.seen % NUM] = (struct keel_virtq_used_elem){ .id = id, .len = len };
	p->q.used->idx = (uint16_t)(p->driver.seen + 1);
}

static void entries_of_what_is_not_in_flight(void **state)
{
	const uint32_t ids[] = { 1, 2, 4, 7, NUM, NUM + 3, 0x10000, 0x10003, 0x80000000, UINT32_MAX };	/* in flight are 0 and 3 */
	char tokens[2];
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	assert_int_equal(add_small(&p, 2, 1, &tokens[0]), 0);
	assert_int_equal(add_small(&p, 1, 1, &tokens[1]), 0);
	for (unsigned int i = 0; i < NELEM(ids); i++) {
		used_says(&p, ids[i], 0);
		driver_refuses(&p);
	}
	used_says(&p, 3, 8);
	collect_one(&p, &tokens[1], 8);
	used_says(&p, 3, 8);				/* a second time */
	driver_refuses(&p);
	used_says(&p, 0, 0);
	collect_one(&p, &tokens[0], 0);
	used_says(&p, 0, 0);				/* now there is nothing in flight */
	driver_refuses(&p);
	pair_end(&p);
}

static void more_written_than_there_is(void **state)
{
	const uint32_t lens[] = { 17, 25, 0x10000, 0x80000000, UINT32_MAX };
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	assert_int_equal(add_small(&p, 1, 2, &p), 0);
	for (unsigned int i = 0; i < NELEM(lens); i++) {
		used_says(&p, 0, lens[i]);
		driver_refuses(&p);
	}
	used_says(&p, 0, 16);
	collect_one(&p, &p, 16);
	assert_int_equal(add_small(&p, 2, 0, &p), 0);	/* nothing to write */
	used_says(&p, 0, 1);
	driver_refuses(&p);
	used_says(&p, 0, 0);
	collect_one(&p, &p, 0);
	pair_end(&p);
}

/* The driver goes on the same whatever is written over its tables, and where it puts the next chain is its own choice. */
static void what_the_driver_wrote_is_not_read_back(void **state)
{
	uint64_t random_state = 88172645463325252u;
	char tokens[NUM];
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	for (uint32_t round = 0; round < 1000; round++) {
		uint32_t n = 1 + round % 4, heads[2];

		for (uint32_t i = 0; i < 2; i++) {
			heads[i] = p.driver.free;
			assert_int_equal(add_small(&p, n, 0, &tokens[i]), 0);
			assert_int_equal(p.q.avail->ring[(p.driver.own - 1) % NUM], heads[i]);
			for (uint32_t k = 0, at = heads[i]; k < n; k++, at = p.q.desc[at].next)
				assert_int_equal(p.q.desc[at].addr, BASE + 8 * k);
		}
		for (uint32_t i = 0; i < 16 * NUM; i++)
			((uint8_t *)p.q.desc)[i] = (uint8_t)unit_random(&random_state);
		for (uint32_t i = 0; i <= NUM; i++)
			p.q.avail->ring[i] = (uint16_t)unit_random(&random_state);
		p.q.avail->idx = (uint16_t)unit_random(&random_state);
		for (uint32_t i = 2; i-- > 0;) {
			used_says(&p, heads[i], 0);
			collect_one(&p, &tokens[i], 0);
		}
		assert_int_equal(p.driver.nfree, NUM);
	}
	pair_end(&p);
}

/* ---- mistakes of one's own -------------------------------------------------------------------------- */

static void the_callers_own_mistakes(void **state)
{
	struct keel_virtq_buf b;
	uint32_t head;
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	assert_int_equal(keel_virtq_add(&p.driver, &b, 0, 0, NULL), -KEEL_EINVAL);
	assert_int_equal(keel_virtq_add(&p.driver, &b, NUM, 1, NULL), -KEEL_EINVAL);
	assert_int_equal(keel_virtq_add(&p.driver, &b, 2, UINT32_MAX, NULL), -KEEL_EINVAL);
	assert_int_equal(keel_virtq_add(&p.driver, &b, UINT32_MAX, 2, NULL), -KEEL_EINVAL);
	b = buf_at(&p, WINDOW - 7, 8);
	assert_int_equal(keel_virtq_add(&p.driver, &b, 1, 0, NULL), -KEEL_EFAULT);
	b = buf_at(&p, 0u - 1, 8);
	b.data = (void *)((uintptr_t)p.window - 1);
	assert_int_equal(keel_virtq_add(&p.driver, &b, 0, 1, NULL), -KEEL_EFAULT);
	b = buf_at(&p, 8, 0);
	assert_int_equal(keel_virtq_add(&p.driver, &b, 0, 1, NULL), -KEEL_EFAULT);
	b.data = NULL;
	assert_int_equal(keel_virtq_add(&p.driver, &b, 0, 1, NULL), -KEEL_EFAULT);
	assert_int_equal(p.q.avail->idx, 0);
	assert_int_equal(p.driver.nfree, NUM);
	assert_int_equal(keel_virtq_return(&p.device, 0, 0), -KEEL_EINVAL);
	assert_int_equal(add_small(&p, 1, 1, &p), 0);
	head = take_one(&p);
	assert_int_equal(keel_virtq_return(&p.device, head + 1, 0), -KEEL_EINVAL);
	assert_int_equal(keel_virtq_return(&p.device, NUM + head, 0), -KEEL_EINVAL);
	assert_int_equal(keel_virtq_return(&p.device, head, 0), 0);
	assert_int_equal(keel_virtq_return(&p.device, head, 0), -KEEL_EINVAL);
	assert_int_equal(p.q.used->idx, 1);
	pair_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(available_indices_that_cannot_be),
		cmocka_unit_test(more_chains_than_descriptors),
		cmocka_unit_test(heads_that_cannot_be),
		cmocka_unit_test(buffers_outside_the_window),
		cmocka_unit_test(chains_that_do_not_end),
		cmocka_unit_test(something_to_read_behind_something_to_write),
		cmocka_unit_test(more_than_4_gib_in_one_chain),
		cmocka_unit_test(tables_that_cannot_be),
		cmocka_unit_test(a_long_chain_in_a_table),
		cmocka_unit_test(more_buffers_than_there_is_room_for),
		cmocka_unit_test(used_indices_that_cannot_be),
		cmocka_unit_test(entries_of_what_is_not_in_flight),
		cmocka_unit_test(more_written_than_there_is),
		cmocka_unit_test(what_the_driver_wrote_is_not_read_back),
		cmocka_unit_test(the_callers_own_mistakes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

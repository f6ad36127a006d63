// SPDX-License-Identifier: MIT
/*
 * Property: a chain of buffers that the driver adds comes to the device as it was, once, and back with its token and length, in
 * whatever order, across 2^16 and 2^32; each side rings exactly when the other has asked for it; and all of it is laid out as
 * Linux's <linux/virtio_ring.h> has it, whose queue can be on the other side.
 * Failure looks like: a chain that differs, is lost or comes twice, a doorbell too many or too few, or another offset.
 */
#include "virtqueue.h"

#include <linux/virtio_ring.h>

#define SAME(ours, theirs, field)									\
	static_assert(offsetof(struct ours, field) == offsetof(struct theirs, field) &&		\
		      sizeof(((struct ours *)0)->field) == sizeof(((struct theirs *)0)->field), #ours " " #field)
static_assert(sizeof(struct keel_virtq_desc) == sizeof(struct vring_desc), "desc");
SAME(keel_virtq_desc, vring_desc, addr);
SAME(keel_virtq_desc, vring_desc, len);
SAME(keel_virtq_desc, vring_desc, flags);
SAME(keel_virtq_desc, vring_desc, next);
SAME(keel_virtq_avail, vring_avail, flags);
SAME(keel_virtq_avail, vring_avail, idx);
SAME(keel_virtq_avail, vring_avail, ring[0]);
static_assert(sizeof(struct keel_virtq_used_elem) == sizeof(struct vring_used_elem), "used_elem");
SAME(keel_virtq_used_elem, vring_used_elem, id);
SAME(keel_virtq_used_elem, vring_used_elem, len);
SAME(keel_virtq_used, vring_used, flags);
SAME(keel_virtq_used, vring_used, idx);
SAME(keel_virtq_used, vring_used, ring[0]);
static_assert(KEEL_VIRTQ_DESC_F_NEXT == VRING_DESC_F_NEXT && KEEL_VIRTQ_DESC_F_WRITE == VRING_DESC_F_WRITE &&
	      KEEL_VIRTQ_DESC_F_INDIRECT == VRING_DESC_F_INDIRECT, "flags");

static uint64_t random_state = 88172645463325252u;

/* ---- layout ---------------------------------------------------------------------------------------- */

static void parts_lie_where_linux_has_them(void **state)
{
	(void)state;
	for (uint32_t num = 1; num <= KEEL_RING_MAX_ENTRIES; num *= 2) {
		uint8_t *memory = aligned_alloc(KEEL_VIRTQ_ALIGN, keel_virtq_bytes(num));
		struct keel_virtq q;
		struct vring vr;

		assert_true(keel_virtq_num_ok(num));
		keel_virtq_place(&q, memory, num);
		vring_init(&vr, num, memory, KEEL_VIRTQ_ALIGN);
		assert_int_equal(q.num, num);
		assert_ptr_equal(q.desc, vr.desc);
		assert_ptr_equal(q.avail, vr.avail);
		assert_ptr_equal(q.used, vr.used);
		assert_ptr_equal(keel_virtq_used_event(&q), &vring_used_event(&vr));
		assert_ptr_equal(keel_virtq_avail_event(&q), &vring_avail_event(&vr));
		assert_in_range(keel_virtq_bytes(num) - vring_size(num, KEEL_VIRTQ_ALIGN), 0, KEEL_VIRTQ_ALIGN - 1);
		assert_int_equal(keel_virtq_bytes(num) % KEEL_VIRTQ_ALIGN, 0);
		free(memory);
	}
	assert_false(keel_virtq_num_ok(0) || keel_virtq_num_ok(3) || keel_virtq_num_ok(2 * KEEL_RING_MAX_ENTRIES));
}

/* ---- there and back -------------------------------------------------------------------------------- */

static void a_chain_at(uint32_t index)
{
	struct keel_virtq_buf bufs[4], got[4];
	struct keel_virtq_chain c;
	uint32_t written;
	struct pair p;
	void *token;

	pair_begin(&p, index);
	for (uint32_t i = 0; i < 4; i++)
		bufs[i] = buf_at(&p, 100 * i, 10 + i);
	bufs[3] = buf_at(&p, WINDOW - 1, 1);		/* the last byte belongs to it */
	assert_int_equal(keel_virtq_take(&p.device, &c, got, 4), 0);
	assert_int_equal(keel_virtq_add(&p.driver, bufs, 2, 2, &p), 0);
	assert_int_equal(keel_virtq_take(&p.device, &c, got, 4), 1);
	assert_int_equal(keel_virtq_take(&p.device, &c, got, 4), 0);
	assert_int_equal(c.nread, 2);
	assert_int_equal(c.nwrite, 2);
	assert_int_equal(c.readable, 10 + 11);
	assert_int_equal(c.writable, 12 + 1);
	for (uint32_t i = 0; i < 4; i++) {
		assert_ptr_equal(got[i].data, bufs[i].data);
		assert_int_equal(got[i].len, bufs[i].len);
	}
	assert_int_equal(keel_virtq_collect(&p.driver, &token, &written), 0);
	assert_int_equal(keel_virtq_return(&p.device, c.head, 13), 0);
	collect_one(&p, &p, 13);
	assert_int_equal(keel_virtq_collect(&p.driver, &token, &written), 0);
	pair_end(&p);
}

static void a_chain_comes_as_it_was_and_back(void **state)
{
	(void)state;
	for (uint32_t i = 0u - 2 * NUM; i != 2 * NUM; i++) {
		a_chain_at(i);
		a_chain_at(i + 0x10000);
	}
}

/* Descriptors are addressed as the window says, also where that is an offset. */
static void addresses_are_those_of_the_window(void **state)
{
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	assert_int_equal(add_small(&p, 1, 1, NULL), 0);
	assert_int_equal(p.q.desc[0].addr, BASE);
	assert_int_equal(p.q.desc[1].addr, BASE + 8);
	p.driver.window.addr = p.device.window.addr = 0;
	assert_int_equal(add_small(&p, 1, 1, NULL), 0);
	assert_int_equal(p.q.desc[3].addr, 8);
	pair_end(&p);
}

static void a_full_queue_takes_no_more(void **state)
{
	uint32_t heads[NUM];
	struct pair p;
	char tokens[NUM];

	(void)state;
	pair_begin(&p, 0xfffa);
	for (uint32_t i = 0; i < NUM; i++)
		assert_int_equal(add_small(&p, 0, 1, &tokens[i]), 0);
	assert_int_equal(add_small(&p, 1, 0, NULL), -KEEL_EAGAIN);
	for (uint32_t i = 0; i < NUM; i++)
		heads[i] = take_one(&p);
	assert_int_equal(add_small(&p, 1, 0, NULL), -KEEL_EAGAIN);
	for (uint32_t i = NUM; i-- > 0;)		/* in another order */
		assert_int_equal(keel_virtq_return(&p.device, heads[i], i), 0);
	assert_int_equal(add_small(&p, 1, 0, NULL), -KEEL_EAGAIN);	/* not collected yet */
	for (uint32_t i = NUM; i-- > 0;)
		collect_one(&p, &tokens[i], i);
	assert_int_equal(add_small(&p, NUM - 1, 0, NULL), 0);
	assert_int_equal(add_small(&p, 1, 1, NULL), -KEEL_EAGAIN);
	assert_int_equal(add_small(&p, 1, 0, NULL), 0);
	pair_end(&p);
}

/* A long random run beside a model of it: requests that each have an area of the window, with their serial number in it. */
enum { IDLE, ADDED, TAKEN, RETURNED };

struct run {
	struct pair p;
	struct request {
		uint32_t state, n, head;
		uint64_t serial;
	} requests[NUM];
	uint64_t next;
	uint32_t nfree;
};

static uint8_t *area_of(struct run *r, struct request *q)
{
	return r->p.window + 64 * (q - r->requests);
}

static void run_add(struct run *r, struct request *q)
{
	uint32_t n = 1 + unit_below(&random_state, 4), nread = unit_below(&random_state, n + 1);
	struct keel_virtq_buf bufs[4];

	for (uint32_t i = 0; i < n; i++)
		bufs[i] = (struct keel_virtq_buf){ .data = area_of(r, q) + 16 * i, .len = 16 };
	memcpy(area_of(r, q), &r->next, 8);
	assert_int_equal(keel_virtq_add(&r->p.driver, bufs, nread, n - nread, q), n > r->nfree ? -KEEL_EAGAIN : 0);
	if (n > r->nfree)
		return;
	*q = (struct request){ .state = ADDED, .n = n, .serial = r->next };
	r->next++;
	r->nfree -= n;
}

static void run_take(struct run *r)
{
	struct keel_virtq_buf bufs[NUM];
	struct request *oldest = NULL;
	struct keel_virtq_chain c;

	for (struct request *q = r->requests; q < r->requests + NUM; q++)
		if (q->state == ADDED && (!oldest || q->serial < oldest->serial))
			oldest = q;
	assert_int_equal(keel_virtq_take(&r->p.device, &c, bufs, NUM), oldest != NULL);
	if (!oldest)
		return;
	assert_ptr_equal(bufs[0].data, area_of(r, oldest));
	assert_memory_equal(bufs[0].data, &oldest->serial, 8);
	assert_int_equal(c.nread + c.nwrite, oldest->n);
	assert_int_equal(c.readable, 16 * c.nread);
	oldest->head = c.head;
	oldest->state = TAKEN;
}

static void run_collect(struct run *r)
{
	struct request *q;
	uint32_t written;
	void *token;
	int n = keel_virtq_collect(&r->p.driver, &token, &written);

	assert_in_range(n, 0, 1);
	if (!n) {
		for (q = r->requests; q < r->requests + NUM; q++)
			assert_int_not_equal(q->state, RETURNED);
		return;
	}
	q = token;
	assert_int_equal(q->state, RETURNED);
	r->nfree += q->n;
	q->state = IDLE;
}

static void chains_of_any_shape_come_back_in_any_order(void **state)
{
	struct run *r = calloc(1, sizeof(*r));

	(void)state;
	pair_begin(&r->p, UINT32_MAX - 70000);
	r->nfree = NUM;
	while (r->next < 140000) {
		struct request *q = &r->requests[unit_below(&random_state, NUM)];

		if (q->state == IDLE)
			run_add(r, q);
		if (unit_below(&random_state, 2))
			run_take(r);
		if (q->state == TAKEN && unit_below(&random_state, 2)) {
			assert_int_equal(keel_virtq_return(&r->p.device, q->head, 0), 0);
			q->state = RETURNED;
		}
		if (unit_below(&random_state, 2))
			run_collect(r);
	}
	assert_true(r->p.driver.own < 100000);		/* it went round */
	pair_end(&r->p);
	free(r);
}

static void a_chain_in_a_table_of_its_own(void **state)
{
	struct keel_virtq_buf bufs[4];
	struct keel_virtq_desc table[] = {
		{ .addr = BASE + 200, .len = 2, .flags = KEEL_VIRTQ_DESC_F_NEXT, .next = 2 },
		{ .addr = BASE, .len = 0, .flags = 0xffff },			/* not of the chain */
		{ .addr = BASE + 300, .len = 3, .flags = KEEL_VIRTQ_DESC_F_WRITE, .next = 0xffff },
	};
	struct keel_virtq_chain c;
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	memcpy(p.window + 64, table, sizeof(table));
	for (uint32_t first = 0; first < 2; first++) {		/* alone, and behind a plain one */
		p.q.desc[0] = (struct keel_virtq_desc){ .addr = BASE + 100, .len = 1, .flags = KEEL_VIRTQ_DESC_F_NEXT, .next = 1 };
		p.q.desc[1] = (struct keel_virtq_desc){ .addr = BASE + 64, .len = sizeof(table),
			.flags = KEEL_VIRTQ_DESC_F_INDIRECT | KEEL_VIRTQ_DESC_F_WRITE, .next = 0xffff };
		p.q.avail->ring[first] = (uint16_t)(1 - first);
		p.q.avail->idx++;
		assert_int_equal(keel_virtq_take(&p.device, &c, bufs, 4), 1);
		assert_int_equal(c.nread, 1 + first);
		assert_int_equal(c.nwrite, 1);
		if (first)
			assert_ptr_equal(bufs[0].data, p.window + 100);
		assert_ptr_equal(bufs[first].data, p.window + 200);
		assert_ptr_equal(bufs[first + 1].data, p.window + 300);
		assert_int_equal(keel_virtq_return(&p.device, c.head, 3), 0);
	}
	pair_end(&p);
}

/* ---- doorbells ------------------------------------------------------------------------------------- */

static void the_rule_is_linux_s(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1000000; i++) {
		uint32_t own = (uint32_t)unit_random(&random_state), n = unit_below(&random_state, i & 1 ? 20 : 0x10000);
		uint16_t event = (uint16_t)(own - unit_below(&random_state, i & 2 ? 25 : 0x10000) + 2);
		uint32_t kicked = own - n;

		assert_int_equal(keel_virtq_need_kick(&event, own, &kicked),
				 vring_need_event(event, (uint16_t)own, (uint16_t)(own - n)));
		assert_int_equal(kicked, own);
	}
}

static void the_driver_rings_when_the_device_has_asked(void **state)
{
	struct pair p;

	(void)state;
	for (uint32_t base = 0x20000u - 5; base != 0x20005; base++) {
		pair_begin(&p, base);
		assert_false(keel_virtq_driver_need_kick(&p.driver));	/* nothing was added */
		assert_int_equal(add_small(&p, 1, 0, NULL), 0);
		assert_true(keel_virtq_driver_need_kick(&p.driver));	/* a fresh queue is armed */
		assert_false(keel_virtq_driver_need_kick(&p.driver));
		assert_int_equal(add_small(&p, 1, 0, NULL), 0);
		assert_false(keel_virtq_driver_need_kick(&p.driver));	/* the device is awake */
		assert_int_equal(keel_virtq_device_arm(&p.device), 2);	/* and sees what came before */
		take_one(&p);
		take_one(&p);
		assert_int_equal(keel_virtq_device_arm(&p.device), 0);
		assert_int_equal(add_small(&p, 1, 0, NULL), 0);
		assert_true(keel_virtq_driver_need_kick(&p.driver));
		take_one(&p);
		assert_int_equal(keel_virtq_device_arm(&p.device), 0);
		for (int i = 0; i < 3; i++)
			assert_int_equal(add_small(&p, 1, 0, NULL), 0);
		assert_true(keel_virtq_driver_need_kick(&p.driver));	/* several pass the mark too */
		pair_end(&p);
	}
}

static void the_device_rings_when_the_driver_has_asked(void **state)
{
	uint32_t heads[6];
	struct pair p;

	(void)state;
	for (uint32_t base = 0x20000u - 7; base != 0x20005; base++) {
		pair_begin(&p, base);
		for (int i = 0; i < 6; i++) {
			assert_int_equal(add_small(&p, 0, 1, &p), 0);
			heads[i] = take_one(&p);
		}
		assert_false(keel_virtq_device_need_kick(&p.device));
		assert_int_equal(keel_virtq_return(&p.device, heads[0], 0), 0);
		assert_true(keel_virtq_device_need_kick(&p.device));
		assert_false(keel_virtq_device_need_kick(&p.device));
		assert_int_equal(keel_virtq_return(&p.device, heads[1], 0), 0);
		assert_false(keel_virtq_device_need_kick(&p.device));
		assert_int_equal(keel_virtq_driver_arm(&p.driver), 2);
		collect_one(&p, &p, 0);
		collect_one(&p, &p, 0);
		assert_int_equal(keel_virtq_driver_arm(&p.driver), 0);
		assert_int_equal(keel_virtq_return(&p.device, heads[2], 0), 0);
		assert_true(keel_virtq_device_need_kick(&p.device));
		collect_one(&p, &p, 0);
		assert_int_equal(keel_virtq_driver_arm(&p.driver), 0);
		for (int i = 3; i < 6; i++)
			assert_int_equal(keel_virtq_return(&p.device, heads[i], 0), 0);
		assert_true(keel_virtq_device_need_kick(&p.device));	/* several pass the mark too */
		pair_end(&p);
	}
}

/* Whoever has not looked for so long that the mark's 16 bits went round does not take it for one that is still to come. */
static void a_look_after_65536_chains_rings(void **state)
{
	uint32_t head;
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	*keel_virtq_avail_event(&p.q) = *keel_virtq_used_event(&p.q) = 0x8000;
	for (uint32_t i = 0; i < 0x10005; i++) {
		assert_int_equal(add_small(&p, 1, 0, &p), 0);
		head = take_one(&p);
		assert_int_equal(keel_virtq_return(&p.device, head, 0), 0);
		collect_one(&p, &p, 0);
	}
	assert_true(keel_virtq_driver_need_kick(&p.driver));
	assert_true(keel_virtq_device_need_kick(&p.device));
	pair_end(&p);
}

/* ---- with Linux's structures on the other side ------------------------------------------------------ */

/* As 2.7.13 has it: two buffers, a request and a place for the answer. */
static void a_driver_by_the_book(void **state)
{
	struct keel_virtq_buf bufs[NUM];
	struct keel_virtq_chain c;
	struct vring vr;
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	vring_init(&vr, NUM, p.shared, KEEL_VIRTQ_ALIGN);
	for (uint32_t i = 0; i < 0x10100; i++) {
		uint16_t head = (uint16_t)(2 * (i % (NUM / 2)));

		vr.desc[head] = (struct vring_desc){ BASE + 64, 8, VRING_DESC_F_NEXT, (uint16_t)(head + 1) };
		vr.desc[head + 1] = (struct vring_desc){ BASE + 72, 4, VRING_DESC_F_WRITE, 0 };
		vr.avail->ring[vr.avail->idx % NUM] = head;
		__atomic_store_n(&vr.avail->idx, (uint16_t)(vr.avail->idx + 1), __ATOMIC_RELEASE);
		assert_int_equal(keel_virtq_take(&p.device, &c, bufs, NUM), 1);
		assert_ptr_equal(bufs[0].data, p.window + 64);
		assert_ptr_equal(bufs[1].data, p.window + 72);
		assert_true(c.nread == 1 && c.nwrite == 1 && c.head == head);
		assert_int_equal(keel_virtq_return(&p.device, c.head, i % 5), 0);
		assert_int_equal(vr.used->idx, (uint16_t)(i + 1));
		assert_int_equal(vr.used->ring[i % NUM].id, head);
		assert_int_equal(vr.used->ring[i % NUM].len, i % 5);
		assert_int_equal(keel_virtq_device_need_kick(&p.device), i % 0x10000 == 0);	/* used_event is 0: 2.7.7.2 */
	}
	assert_int_equal(vr.used->flags, 0);
	pair_end(&p);
}

static void a_device_by_the_book(void **state)
{
	struct vring vr;
	struct pair p;

	(void)state;
	pair_begin(&p, 0);
	vring_init(&vr, NUM, p.shared, KEEL_VIRTQ_ALIGN);
	for (uint32_t i = 0; i < 0x10100; i++) {
		uint16_t head, next;

		assert_int_equal(add_small(&p, 1, 1, &p), 0);
		assert_int_equal(keel_virtq_driver_need_kick(&p.driver), i % 0x10000 == 0);
		assert_int_equal(vr.avail->idx, (uint16_t)(i + 1));
		head = vr.avail->ring[i % NUM];
		next = vr.desc[head].next;
		assert_int_equal(vr.desc[head].flags, VRING_DESC_F_NEXT);
		assert_int_equal(vr.desc[next].flags, VRING_DESC_F_WRITE);
		assert_true(vr.desc[head].addr == BASE && vr.desc[next].addr == BASE + 8 && vr.desc[next].len == 8);
		vr.used->ring[i % NUM] = (struct vring_used_elem){ head, i % 9 };
		__atomic_store_n(&vr.used->idx, (uint16_t)(i + 1), __ATOMIC_RELEASE);
		collect_one(&p, &p, i % 9);
	}
	assert_int_equal(vr.avail->flags, 0);
	pair_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_lie_where_linux_has_them),
		cmocka_unit_test(a_chain_comes_as_it_was_and_back),
		cmocka_unit_test(addresses_are_those_of_the_window),
		cmocka_unit_test(a_full_queue_takes_no_more),
		cmocka_unit_test(chains_of_any_shape_come_back_in_any_order),
		cmocka_unit_test(a_chain_in_a_table_of_its_own),
		cmocka_unit_test(the_rule_is_linux_s),
		cmocka_unit_test(the_driver_rings_when_the_device_has_asked),
		cmocka_unit_test(the_device_rings_when_the_driver_has_asked),
		cmocka_unit_test(a_look_after_65536_chains_rings),
		cmocka_unit_test(a_driver_by_the_book),
		cmocka_unit_test(a_device_by_the_book),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

// SPDX-License-Identifier: MIT
/*
 * Property: what goes into a stream or a message ring comes out, all of it, once and in order, whatever pieces it is written
 * and read in, across the end of the memory and across 2^32; nothing outside the memory is touched; and a hostile peer's
 * indices and lengths are errors.
 * Failure looks like: a byte that differs or is missing, an impossible index or length believed, or a report of the sanitizer.
 */
#include "unit.h"

#include <keel/msg.h>
#include <keel/stream.h>

#define BYTES	64u
#define SLOT	24u
#define ENTRIES	4u
#define TOTAL	100000u

static struct keel_ring_ctl ctl;
static uint64_t random_state = 88172645463325252u;

/* As after so many entries. */
static void at(struct keel_ring *producer, struct keel_ring *consumer, uint32_t index)
{
	producer->own = producer->peer = producer->kicked = consumer->own = consumer->peer = index;
	ctl.tail = ctl.head = ctl.event = index;
}

static uint8_t byte_of(uint32_t i)
{
	return (uint8_t)(i * 2654435761u >> 24);
}

static void bytes_come_out_as_they_went_in(void **state)
{
	uint8_t *memory = malloc(BYTES), piece[2 * BYTES];
	struct keel_stream in, out;
	uint32_t sent = 0, seen = 0;

	(void)state;
	memset(&ctl, 0, sizeof(ctl));
	keel_stream_init(&in, &ctl, memory, BYTES);
	keel_stream_init(&out, &ctl, memory, BYTES);
	at(&in.ring, &out.ring, UINT32_MAX - TOTAL / 2);
	while (seen < TOTAL) {
		uint32_t n = unit_below(&random_state, sizeof(piece));
		uint8_t *exact = malloc(n ? n : 1);	/* no byte more is read or written */
		int done;

		for (uint32_t i = 0; i < n; i++)
			exact[i] = byte_of(sent + i);
		done = keel_stream_write(&in, exact, n);
		assert_in_range(done, 0, n);
		assert_int_equal(done, n < BYTES - (sent - seen) ? n : BYTES - (sent - seen));
		sent += (uint32_t)done;
		free(exact);
		n = unit_below(&random_state, sizeof(piece));
		exact = malloc(n ? n : 1);
		done = keel_stream_read(&out, exact, n);
		assert_int_equal(done, n < sent - seen ? n : sent - seen);
		for (int i = 0; i < done; i++)
			assert_int_equal(exact[i], byte_of(seen + (uint32_t)i));
		seen += (uint32_t)done;
		free(exact);
	}
	free(memory);
}

static void messages_come_out_as_they_went_in(void **state)
{
	uint8_t *memory = malloc(ENTRIES * SLOT), *data = malloc(SLOT);
	struct keel_msg in, out;
	uint32_t sent = 0, seen = 0;

	(void)state;
	memset(&ctl, 0, sizeof(ctl));
	keel_msg_init(&in, &ctl, memory, ENTRIES, SLOT);
	keel_msg_init(&out, &ctl, memory, ENTRIES, SLOT);
	at(&in.ring, &out.ring, UINT32_MAX - 1000);
	while (seen < 3000) {
		if (unit_below(&random_state, 2)) {
			uint32_t n = byte_of(sent) % (SLOT - KEEL_MSG_HEAD + 1);

			memset(data, byte_of(sent + 1), SLOT);
			assert_int_equal(keel_msg_send(&in, data, n), sent - seen < ENTRIES ? 0 : -KEEL_EAGAIN);
			sent += sent - seen < ENTRIES;
		} else {
			uint32_t n = byte_of(seen) % (SLOT - KEEL_MSG_HEAD + 1);

			if (seen == sent) {
				assert_int_equal(keel_msg_receive(&out, data, SLOT), -KEEL_EAGAIN);
				continue;
			}
			if (n)		/* one that does not fit stays */
				assert_int_equal(keel_msg_receive(&out, data, n - 1), -KEEL_E2BIG);
			assert_int_equal(keel_msg_receive(&out, data, n), n);
			for (uint32_t i = 0; i < n; i++)
				assert_int_equal(data[i], byte_of(seen + 1));
			seen++;
		}
	}
	free(data);
	free(memory);
}

static void sizes_are_checked(void **state)
{
	struct keel_msg m;
	uint8_t memory[ENTRIES * SLOT] __attribute__((aligned(8))), data[SLOT] = { 0 };
	volatile uint32_t huge = UINT32_MAX;

	(void)state;
	assert_true(keel_stream_size_ok(1) && keel_stream_size_ok(KEEL_STREAM_MAX_BYTES));
	assert_false(keel_stream_size_ok(0) || keel_stream_size_ok(3) || keel_stream_size_ok(1u << 31));
	assert_true(keel_msg_sizes_ok(4, 16));
	assert_false(keel_msg_sizes_ok(4, 8) || keel_msg_sizes_ok(4, 20) || keel_msg_sizes_ok(3, 16) ||
		     keel_msg_sizes_ok(0, 16) || keel_msg_sizes_ok(65536, 16) || keel_msg_sizes_ok(4, 1u << 31));
	memset(&ctl, 0, sizeof(ctl));
	keel_msg_init(&m, &ctl, memory, ENTRIES, SLOT);
	assert_int_equal(keel_msg_send(&m, data, SLOT - KEEL_MSG_HEAD + 1), -KEEL_E2BIG);
	assert_int_equal(keel_msg_send(&m, data, huge), -KEEL_E2BIG);
	assert_int_equal(ctl.tail, 0);
	assert_int_equal(keel_msg_send(&m, data, SLOT - KEEL_MSG_HEAD), 0);
}

static void a_hostile_index_or_length_is_an_error(void **state)
{
	uint8_t memory[ENTRIES * SLOT] __attribute__((aligned(8))), data[SLOT] = { 0 };
	const uint32_t lengths[] = { SLOT - KEEL_MSG_HEAD + 1, SLOT, 1u << 31, UINT32_MAX };
	struct keel_stream s;
	struct keel_msg m;

	(void)state;
	for (uint32_t wrong = 1; wrong; wrong <<= 1) {
		memset(&ctl, 0, sizeof(ctl));
		keel_stream_init(&s, &ctl, memory, BYTES);
		ctl.tail = BYTES + wrong;
		assert_int_equal(keel_stream_read(&s, data, sizeof(data)), KEEL_RING_BAD);
		ctl.head = wrong;		/* nothing was sent that could have been taken */
		s.ring.own = s.ring.peer + BYTES;
		if (wrong > BYTES)
			assert_int_equal(keel_stream_write(&s, data, 1), KEEL_RING_BAD);
		memset(&ctl, 0, sizeof(ctl));
		keel_msg_init(&m, &ctl, memory, ENTRIES, SLOT);
		ctl.tail = ENTRIES + wrong;
		assert_int_equal(keel_msg_receive(&m, data, sizeof(data)), KEEL_RING_BAD);
		ctl.head = ENTRIES + wrong;
		m.ring.own = ENTRIES;
		assert_int_equal(keel_msg_send(&m, data, 1), KEEL_RING_BAD);
	}
	for (unsigned int i = 0; i < NELEM(lengths); i++) {
		memset(&ctl, 0, sizeof(ctl));
		keel_msg_init(&m, &ctl, memory, ENTRIES, SLOT);
		ctl.tail = 1;
		memcpy(memory, &lengths[i], sizeof(lengths[i]));
		assert_int_equal(keel_msg_receive(&m, data, sizeof(data)), KEEL_RING_BAD);
		assert_int_equal(ctl.head, 0);
	}
}

/* As keel/ring.h has it: an armed reader is rung at the next byte, one that polls is not. */
static void doorbells_are_those_of_the_ring(void **state)
{
	uint8_t memory[BYTES], data[8] = { 0 };
	struct keel_stream in, out;

	(void)state;
	memset(&ctl, 0, sizeof(ctl));
	keel_stream_init(&in, &ctl, memory, BYTES);
	keel_stream_init(&out, &ctl, memory, BYTES);
	assert_int_equal(keel_stream_write(&in, data, 8), 8);
	assert_true(keel_ring_need_kick(&in.ring));
	assert_int_equal(keel_stream_read(&out, data, 8), 8);
	assert_int_equal(keel_stream_write(&in, data, 8), 8);
	assert_false(keel_ring_need_kick(&in.ring));
	assert_int_equal(keel_stream_read(&out, data, 8), 8);
	assert_int_equal(keel_ring_arm(&out.ring), 0);
	assert_int_equal(keel_stream_write(&in, data, 1), 1);
	assert_true(keel_ring_need_kick(&in.ring));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_as_they_went_in),
		cmocka_unit_test(messages_come_out_as_they_went_in),
		cmocka_unit_test(sizes_are_checked),
		cmocka_unit_test(a_hostile_index_or_length_is_an_error),
		cmocka_unit_test(doorbells_are_those_of_the_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

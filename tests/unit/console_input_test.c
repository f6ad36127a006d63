// SPDX-License-Identifier: MIT
/*
 * Property: what is typed is taken as there is room for it, with the port's interrupt or without; and whoever runs on the CPU that
 * the port interrupts has most of its time, however much is written.
 * Failure looks like: a byte that is lost or comes twice, or a port that interrupts again at once.
 */
#include "console.h"

/* A burst that nobody reads yet is not dropped: it stays in the port, and comes when there is room. */
static void typed_input_waits_for_room(void **state)
{
	static char text[2 * CONS_BYTES + 1], got[sizeof(text)];
	size_t n = 0;
	int took;

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)('a' + i % 23);
	typed = text;
	for (unsigned int i = 0; i < 1000 && want_input; i++)
		console_irq();
	assert_false(want_input);
	assert_int_equal(typed - text, CONS_BYTES);
	while ((took = console_read(focus_part, got + n, 700)) > 0) {
		n += (size_t)took;
		assert_true(want_input);
		console_irq();
	}
	assert_int_equal(n, sizeof(text) - 1);
	assert_memory_equal(got, text, n);
	assert_true(nevents);
}

static void input_for_a_peer_is_taken_as_it_fits(void **state)
{
	static char text[2 * CONS_BYTES], got[CONS_BYTES];

	(void)state;
	memset(text, 'i', sizeof(text));
	assert_int_equal(console_peer_write(peer_a, text, sizeof(text)), CONS_BYTES);
	assert_int_equal(console_peer_write(peer_a, text, 1), 0);
	assert_int_equal(console_read(peer_a, got, sizeof(got)), CONS_BYTES);
	assert_int_equal(console_peer_write(peer_a, text, 1), 1);
	peer_a->alive = false;
	assert_int_equal(console_peer_write(peer_a, text, 1), -KEEL_EPIPE);
}

static void without_an_interrupt_the_port_is_polled(void **state)
{
	uint64_t due;

	(void)state;
	console_init(focus_part, false);
	due = console_poll_tsc();
	assert_int_not_equal(due, 0);
	says(peer_a, "a line that is longer than the FIFO\n");
	typed = "x";
	for (unsigned int i = 0; i < 4; i++) {
		in_fifo = 0;
		console_poll();
	}
	wire[wire_len] = 0;
	assert_string_equal(wire, "[a] a line that is longer than the FIFO\r\n");
	assert_int_equal(*typed, 0);
	assert_true(console_poll_tsc() > due);
}

/* However much a peer writes, the CPU that the port interrupts has most of its time. */
static void a_port_that_is_ready_at_once_rests(void **state)
{
	uint64_t before, after, rest;
	unsigned int sent;

	(void)state;
	for (unsigned int i = 0; i < 40; i++)
		says(peer_a, "a line that is longer than the FIFO\n");
	in_fifo = 0;
	assert_true(want_room);
	before = hal_rdtsc();
	console_irq();
	after = hal_rdtsc();
	rest = console_poll_tsc();
	assert_in_range(rest, before, after + REST_FACTOR * (after - before));
	assert_false(want_room);
	says(peer_a, "and who writes does not change that\n");
	assert_false(want_room);
	sent = (unsigned int)wire_len;
	in_fifo = 0;
	console_poll();
	assert_true(want_room && wire_len > sent);
	assert_int_equal(console_poll_tsc(), 0);
	typed = "x";			/* what is typed is taken meanwhile */
	console_irq();
	assert_int_equal(*typed, 0);
	wire_all();
	assert_false(want_room);
	assert_int_equal(console_poll_tsc(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(typed_input_waits_for_room, start),
		cmocka_unit_test_setup(input_for_a_peer_is_taken_as_it_fits, start),
		cmocka_unit_test_setup(without_an_interrupt_the_port_is_polled, start),
		cmocka_unit_test_setup(a_port_that_is_ready_at_once_rests, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

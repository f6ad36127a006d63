// SPDX-License-Identifier: MIT
/*
 * Property: whoever writes to the console, and whether or not anybody reads the serial port: no call waits,
 * pieces go out whole and in order, no source delays another for long, what a peer loses is marked and
 * counted, and nothing a peer writes looks like a line of the metakernel or moves the cursor.
 * Failure looks like: a byte on the wire that differs, a wait, or a count of lost bytes that is not right.
 */
#include "console.h"

/* ---- What a peer's line looks like --------------------------------------------------------------- */

static void a_peers_lines_carry_its_name(void **state)
{
	(void)state;
	says(peer_a, "one");
	expect_wire("");
	says(peer_a, "\ntwo\n\nthr");
	expect_wire("[a] one\r\n[a] two\r\n");
	says(peer_b, "bee\r\n");
	expect_wire("[b] bee\r\n");
	says(peer_a, "ee\n");
	expect_wire("[a] three\r\n");
	says(peer_a, "last words");
	console_flush(peer_a);
	serial_send();
	expect_wire("[a] last words\r\n");
}

static void control_characters_are_made_visible(void **state)
{
	(void)state;
	says(peer_a, "\033[2K\r[keel] panic: no\b\a\177\n");
	expect_wire("[a] ^[[2K^M[keel] panic: no^H^G^?\r\n");
	says(peer_a, "tab\there, \302\233 \233m \xff\n");
	expect_wire("[a] tab\there, \\xc2\\x9b \\x9bm \\xff\r\n");
	says(peer_a, "gr\303\274n \342\202\254 \360\237\220\247\n");
	expect_wire("[a] gr\303\274n \342\202\254 \360\237\220\247\r\n");
	assert_int_equal(say(peer_a, "nul\0!\n", 6), 6);
	expect_wire("[a] nul^@!\r\n");
	says(focus_part, "\033[2Kraw\r\n");	/* the terminal is Linux's */
	expect_wire("\033[2Kraw\r\n");
}

static void long_lines_keep_the_prefix(void **state)
{
	char text[SERIAL_LINE_MAX * 2 + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	say(peer_a, text, SERIAL_LINE_MAX);
	expect_wire("");
	says(peer_a, "\n");
	wire_all();
	assert_int_equal(wire_len, 4 + SERIAL_LINE_MAX + 2);
	wire_len = 0;
	memcpy(text + SERIAL_LINE_MAX, "[keel] x", 8);
	say(peer_a, text, sizeof(text));
	wire_all();
	assert_memory_equal(wire + 4 + SERIAL_LINE_MAX, "\r\n[a] [keel] x", 14);
}

/* Cut in two at every place of a character of every length. */
static void a_cut_does_not_split_a_character(void **state)
{
	static const char *const chars[] = { "\303\274", "\342\202\254", "\360\237\220\247" };

	(void)state;
	for (size_t c = 0; c < NELEM(chars); c++)
		for (size_t before = SERIAL_LINE_MAX - 5; before < SERIAL_LINE_MAX + 2; before++) {
			char text[SERIAL_LINE_MAX * 2];

			memset(text, 'x', sizeof(text));
			memcpy(text + before, chars[c], strlen(chars[c]));
			text[sizeof(text) - 1] = '\n';
			say(peer_a, text, sizeof(text));
			wire_all();
			wire[wire_len] = 0;
			assert_non_null(strstr(wire, chars[c]));
			assert_null(strchr(wire, '\\'));
			wire_len = 0;
		}
}

/* Random bytes from two peers: each line on the wire says truly whose it is. */
static void nobody_forges_a_line(void **state)
{
	static const char bits[][12] = { "[keel] ", "[b] ", "\r", "\n", "\r\n", "\033[A", "\302\205", "\205", "\b", "x" };
	uint64_t seed = 7;
	unsigned int nlog = 0;
	char *line, *rest = wire;

	(void)state;
	for (unsigned int i = 0; i < 20000; i++) {
		struct partition *p = unit_below(&seed, 2) ? peer_a : peer_b;
		char byte = (char)unit_random(&seed);

		if (unit_below(&seed, 2))
			says(p, bits[unit_below(&seed, NELEM(bits))]);
		else
			say(p, &byte, 1);
		if (!unit_below(&seed, 100)) {
			log_printf("line %u\n", nlog);
			nlog++;
		}
		wire_all();
	}
	wire[wire_len] = 0;
	while ((line = strsep(&rest, "\n")) && rest) {
		size_t n = strlen(line);
		char *text = strchr(line, ']') + 2, want[32];

		assert_int_equal(line[n - 1], '\r');
		for (size_t i = 0; i < n - 1; i++) {
			assert_true((uint8_t)line[i] >= 0x20 || line[i] == '\t');
			assert_int_not_equal(line[i], 0x7f);
		}
		assert_null(strstr(line, "\302\205"));
		if (!strncmp(line, "[keel] ", 7)) {
			static unsigned int seen;

			snprintf(want, sizeof(want), "line %u\r", seen++);
			assert_string_equal(text, want);
			nlog--;
		} else {
			assert_true(!strncmp(line, "[a] ", 4) || !strncmp(line, "[b] ", 4));
		}
	}
	assert_int_equal(nlog, 0);
}

/* ---- Whose turn it is ------------------------------------------------------------------------------ */

static void lines_go_out_in_the_order_they_came(void **state)
{
	(void)state;
	says(focus_part, "# ");
	says(peer_a, "one\ntwo\n");
	log_printf("a: exited\n");
	says(focus_part, "ls");
	says(focus_part, "\r\n");
	says(peer_b, "three\n");
	log_printf("end\n");
	expect_wire("# [a] one\r\n[a] two\r\n[keel] a: exited\r\nls\r\n[b] three\r\n[keel] end\r\n");
}

static void a_call_sends_one_load_at_most(void **state)
{
	char text[1000];

	(void)state;
	memset(text, '\n', sizeof(text));
	for (size_t i = 0; i < sizeof(text); i += 2)
		text[i] = 'x';
	for (unsigned int i = 0; i < 100; i++) {
		sent_in_call = 0;
		console_write(&parts[i % 3], text, sizeof(text));
		assert_true(sent_in_call <= FIFO);
		log_printf("%u\n", i);
		assert_true(sent_in_call <= 2 * FIFO);
		in_fifo = 0;
	}
	assert_int_equal(npolls, 0);
}

static unsigned long marked(const char *name, unsigned int *marks)
{
	char head[40];
	unsigned long sum = 0;

	*marks = 0;
	snprintf(head, sizeof(head), "[%s] ", name);
	for (char *at = wire; (at = strstr(at, head)); at++) {
		unsigned long n;
		int used = 0;

		if (sscanf(at + strlen(head), "%lu bytes lost\r\n%n", &n, &used) == 1 && used) {
			sum += n;
			++*marks;
		}
	}
	return sum;
}

static size_t count_lines(const char *line)
{
	size_t n = 0;

	for (char *at = wire; (at = strstr(at, line)); at++)
		n++;
	return n;
}

/*
 * One peer writes as much as it can, Linux and the other peer what they have: all of theirs arrives, in the
 * time their bytes and as many of the flood take, and of the flood each byte arrives or is counted as lost.
 */
static void a_flood_delays_nobody_for_long(void **state)
{
	static char text[40000], got[sizeof(text)];
	size_t done = 0, flooded = 0, ngot = 0, steps = 0, nlines = 0, nlog = 0;
	unsigned int marks;
	unsigned long lost;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(0x80 | i % 113);	/* nobody else sends such bytes */
	while (done < sizeof(text)) {
		done += say(focus_part, text + done, sizeof(text) - done);
		for (unsigned int i = 0; i < 50; i++)
			flooded += say(peer_a, "flood flood flood\n", 18);
		if (steps % 100 == 0) {
			says(peer_b, "quiet\n");
			nlines++;
		}
		if (steps % 1000 == 0) {
			log_printf("log\n");
			nlog++;
		}
		assert_true(wire_step());
		steps++;
	}
	wire_all();
	wire[wire_len] = 0;
	for (size_t i = 0; i < wire_len; i++)
		if (wire[i] & 0x80)
			got[ngot++] = wire[i];
	assert_int_equal(ngot, sizeof(text));
	assert_memory_equal(got, text, ngot);
	assert_int_equal(count_lines("[b] quiet\r\n"), nlines);
	assert_int_equal(count_lines("[keel] log\r\n"), nlog);
	assert_int_equal(marked("b", &marks), 0);
	assert_int_equal(marked("keel", &marks), 0);
	lost = marked("a", &marks);
	assert_true(count_lines("[a] flood flood flood\r\n") > 50);	/* nor was it starved */
	assert_int_equal(lost + 18 * count_lines("[a] flood flood flood\r\n"), flooded);
	assert_true(steps < 2 * sizeof(text) / FIFO);
}

/* The other way round: a line of a peer comes out although Linux writes on and on. */
static void the_focus_starves_nobody(void **state)
{
	static char text[1000];

	(void)state;
	memset(text, '.', sizeof(text));
	while (say(focus_part, text, sizeof(text)))
		;
	says(peer_a, "here\n");
	for (size_t i = 0; i < 2 * CONS_BYTES / FIFO; i++) {
		say(focus_part, text, sizeof(text));
		wire_step();
	}
	wire[wire_len] = 0;
	assert_int_equal(count_lines("[a] here\r\n"), 1);
}

static void nobody_listens_and_nobody_waits(void **state)
{
	static char text[3 * CONS_BYTES];
	uint64_t pos = log_end();
	char log[64];
	size_t taken, i, nfloods = 10000;
	unsigned int marks;

	(void)state;
	listening = false;
	for (i = 0; i < sizeof(text); i++)
		text[i] = (char)(0x80 | i % 113);
	taken = say(focus_part, text, sizeof(text));
	assert_in_range(taken, CONS_BYTES, CONS_BYTES + sizeof(out) + FIFO);
	assert_int_equal(console_write(focus_part, text, 10), 0);
	for (i = 0; i < nfloods; i++)
		says(peer_a, "0123456\n");
	for (i = 0; i < 300; i++)
		log_printf("%05zu\n", i);
	assert_int_equal(log_read(log, 13, &pos), 13);		/* the log itself has all */
	assert_memory_equal(log, "[keel] 00000\n", 13);
	assert_int_equal(npolls, 0);
	assert_true(wire_len <= FIFO);

	listening = true;
	wire_all();
	taken += say(focus_part, text + taken, sizeof(text) - taken);
	wire_all();
	taken += say(focus_part, text + taken, sizeof(text) - taken);
	wire_all();
	taken += say(focus_part, text + taken, sizeof(text) - taken);
	assert_int_equal(taken, sizeof(text));
	wire_all();
	wire[wire_len] = 0;
	assert_int_equal(marked("a", &marks) + 8 * count_lines("[a] 0123456\r\n"), 8 * nfloods);
	assert_int_equal(marks, 1);
	assert_int_equal(marked("keel", &marks), 13 * (300 - count_lines("[keel] 00")));
	assert_int_equal(marks, 1);
	assert_non_null(strstr(wire, "[keel] 00299\r\n"));
	for (size_t at = i = 0; i < wire_len; i++)
		if (wire[i] & 0x80)
			assert_int_equal(wire[i], text[at++]);
}

static void the_end_sends_all_that_waits(void **state)
{
	(void)state;
	listening = false;
	says(focus_part, "a line that is longer than the FIFO of the port\r\n");
	says(peer_a, "from a\n");
	log_printf("power off\n");
	lock_take(&serial_lock);	/* by a CPU that was stopped in the middle of a line */
	serial_break_lock();
	serial_finish();
	log_printf("panic: and now at once\n");
	wire[wire_len] = 0;
	assert_string_equal(wire, "a line that is longer than the FIFO of the port\r\n[a] from a\r\n[keel] power off\r\n"
			    "[keel] panic: and now at once\r\n");
	assert_false(serial_busy());
}

static void without_a_port_everything_goes_nowhere(void **state)
{
	static char text[2 * CONS_BYTES];

	(void)state;
	no_port = true;
	assert_int_equal(say(focus_part, text, sizeof(text)), sizeof(text));
	says(peer_a, "hello\n");
	assert_false(serial_busy());
	assert_int_equal(wire_len, 0);
}

/* ---- Rings, input ------------------------------------------------------------------------------------ */

static void the_ring_of_a_peer_stays_raw(void **state)
{
	static char buf[CONS_BYTES], text[3 * CONS_BYTES];
	uint64_t seed = 3;
	size_t done = 0;

	(void)state;
	says(peer_a, "\033[1mbold\r\n");
	assert_true(console_peer_read(peer_a, buf, sizeof(buf)) == 10 && !memcmp(buf, "\033[1mbold\r\n", 10));
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)unit_random(&seed);
	while (done < sizeof(text))
		done += say(peer_a, text + done, 1 + unit_below(&seed, (uint32_t)(sizeof(text) - done)));
	assert_true(console_peer_read(peer_a, buf, sizeof(buf)) == 19 && !memcmp(buf, "[16384 bytes lost]\n", 19));
	assert_int_equal(console_peer_read(peer_a, buf, 1000), 1000);
	assert_int_equal(console_peer_read(peer_a, buf + 1000, sizeof(buf)), sizeof(buf) - 1000);
	assert_memory_equal(buf, text + sizeof(text) - sizeof(buf), sizeof(buf));
	assert_int_equal(console_peer_read(peer_a, buf, sizeof(buf)), 0);
}

/* Who attached to a peer's console shows its lines; the port, perhaps the same terminal, does not. */
static void lines_of_an_attached_console_are_not_shown_twice(void **state)
{
	char buf[64];

	(void)state;
	says(peer_a, "before\n");
	wire_all();
	console_attach(peer_a, true);
	says(peer_a, "attached\nand a part of ");
	says(peer_b, "another\n");
	assert_int_equal(console_peer_read(peer_a, buf, sizeof(buf)), 30);
	wire_all();
	console_attach(peer_a, false);
	says(peer_a, "a line\n");
	wire_all();
	console_attach(peer_a, true);
	peer_a->attached_tsc = 1;	/* whoever it was has said nothing for a second */
	says(peer_a, "after\n");
	wire_all();
	wire[wire_len] = 0;
	assert_string_equal(wire, "[a] before\r\n[b] another\r\n[a] and a part of a line\r\n[a] after\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_peers_lines_carry_its_name, start),
		cmocka_unit_test_setup(control_characters_are_made_visible, start),
		cmocka_unit_test_setup(long_lines_keep_the_prefix, start),
		cmocka_unit_test_setup(a_cut_does_not_split_a_character, start),
		cmocka_unit_test_setup(nobody_forges_a_line, start),
		cmocka_unit_test_setup(lines_go_out_in_the_order_they_came, start),
		cmocka_unit_test_setup(a_call_sends_one_load_at_most, start),
		cmocka_unit_test_setup(a_flood_delays_nobody_for_long, start),
		cmocka_unit_test_setup(the_focus_starves_nobody, start),
		cmocka_unit_test_setup(nobody_listens_and_nobody_waits, start),
		cmocka_unit_test_setup(the_end_sends_all_that_waits, start),
		cmocka_unit_test_setup(without_a_port_everything_goes_nowhere, start),
		cmocka_unit_test_setup(the_ring_of_a_peer_stays_raw, start),
		cmocka_unit_test_setup(lines_of_an_attached_console_are_not_shown_twice, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

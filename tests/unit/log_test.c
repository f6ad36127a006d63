// SPDX-License-Identifier: MIT
/*
 * Property: the log keeps the newest LOG_BYTES bytes under absolute positions; a reader gets every
 * byte once and in order, and one that fell behind starts at the oldest byte still held.
 * Failure looks like: a wrong byte, a wrong position, or console output where none belongs.
 */
#include "unit.h"

#include <hal/console.h>

#include "metakernel/lib/log.h"

static char console[4096];
static size_t console_len;

void hal_console_putc(char c)
{
	if (console_len < sizeof(console))
		console[console_len++] = c;
}

static void expect_console(const char *text)
{
	assert_int_equal(console_len, strlen(text));
	assert_memory_equal(console, text, console_len);
	console_len = 0;
}

static void lines_have_a_prefix(void **state)
{
	uint64_t pos = log_end(), before = pos;
	char buf[64];

	(void)state;
	console_len = 0;
	log_printf("cpu %d\n", 3);
	expect_console("[keel] cpu 3\r\n");
	assert_int_equal(log_read(buf, sizeof(buf), &pos), 13);
	assert_memory_equal(buf, "[keel] cpu 3\n", 13);
	assert_int_equal(pos, before + 13);
	assert_int_equal(pos, log_end());
	assert_int_equal(log_read(buf, sizeof(buf), &pos), 0);
}

static void quiet_keeps_the_console_silent(void **state)
{
	uint64_t pos = log_end();
	char buf[64];

	(void)state;
	console_len = 0;
	log_set_quiet(true);
	log_printf("x\n");
	log_set_quiet(false);
	expect_console("");
	assert_int_equal(log_read(buf, sizeof(buf), &pos), 9);
	log_write("raw\n", 4, false);
	expect_console("");
	log_write("raw\n", 4, true);
	expect_console("raw\r\n");
}

static void long_lines_are_cut_and_still_end(void **state)
{
	uint64_t pos = log_end();
	char buf[2 * LOG_LINE_MAX];
	size_t n;

	(void)state;
	log_printf("%0600d\n", 7);
	n = log_read(buf, sizeof(buf), &pos);
	assert_int_equal(n, LOG_LINE_MAX - 1);
	assert_int_equal(buf[n - 1], '\n');
	assert_int_equal(buf[n - 2], '0');
}

/* Byte at position p of the test's stream. */
static char stream(uint64_t p)
{
	return (char)(p * 7 + (p >> 8));
}

static void write_stream(size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = stream(log_end());

		log_write(&c, 1, false);
	}
}

static void a_late_reader_gets_the_oldest_held(void **state)
{
	static char buf[LOG_BYTES + 100];
	uint64_t pos = 0;
	size_t n;

	(void)state;
	write_stream(3 * LOG_BYTES + 17);
	n = log_read(buf, sizeof(buf), &pos);
	assert_int_equal(n, LOG_BYTES);
	assert_int_equal(pos, log_end());
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf[i], stream(pos - n + i));
}

static void a_steady_reader_loses_nothing(void **state)
{
	uint64_t seed = 42, pos = log_end();
	char buf[999];

	(void)state;
	for (unsigned int round = 0; round < 500; round++) {
		write_stream(unit_below(&seed, 999));
		while (pos < log_end()) {
			uint64_t from = pos;
			size_t n = log_read(buf, 1 + unit_below(&seed, sizeof(buf)), &pos);

			assert_int_equal(pos, from + n);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(buf[i], stream(from + i));
		}
	}
}

static void a_position_from_the_future_reads_nothing(void **state)
{
	uint64_t pos = UINT64_MAX;
	char buf[8];

	(void)state;
	assert_int_equal(log_read(buf, sizeof(buf), &pos), 0);
	assert_int_equal(pos, log_end());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_have_a_prefix),
		cmocka_unit_test(quiet_keeps_the_console_silent),
		cmocka_unit_test(long_lines_are_cut_and_still_end),
		cmocka_unit_test(a_late_reader_gets_the_oldest_held),
		cmocka_unit_test(a_steady_reader_loses_nothing),
		cmocka_unit_test(a_position_from_the_future_reads_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

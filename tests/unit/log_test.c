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

/* Nobody called serial_start(): each line goes out at once. */
void hal_console_putc(char c)
{
	if (console_len < sizeof(console))
		console[console_len++] = c;
}

size_t hal_console_room(void)
{
	fail_msg("the port is not driven by interrupts yet");
	return 0;
}

void hal_console_send(const char *s, size_t len)
{
	(void)s, (void)len;
}

void hal_console_want_room(bool on)
{
	(void)on;
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

/* Text of others (a loader's command line, say) reaches neither terminal nor reader as a control. */
static void control_characters_are_made_visible(void **state)
{
	uint64_t pos = log_end();
	char buf[64];

	(void)state;
	console_len = 0;
	log_printf("\"%s\"\n", "a\033[2J\n[keel] b\r");
	expect_console("[keel] \"a^[[2J^J[keel] b^M\"\r\n");
	assert_int_equal(log_read(buf, sizeof(buf), &pos), 28);
	assert_memory_equal(buf, "[keel] \"a^[[2J^J[keel] b^M\"\n", 28);
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

static char written[5 * LOG_BYTES];	/* all that was logged, by position from `base` on */
static uint64_t base;

static void log_some(uint64_t *seed)
{
	char text[201];
	size_t n = 1 + unit_below(seed, sizeof(text) - 1);

	for (size_t i = 0; i < n; i++)
		text[i] = (char)(' ' + unit_below(seed, 95));
	log_printf("%.*s\n", (int)n, text);
	assert_true(log_end() - base <= sizeof(written));
	snprintf(written + (log_end() - base) - n - 8, n + 9, "[keel] %.*s\n", (int)n, text);
}

static void a_late_reader_gets_the_oldest_held(void **state)
{
	static char buf[LOG_BYTES + 100];
	uint64_t seed = 1, pos = 0;
	size_t n;

	(void)state;
	base = log_end();
	while (log_end() < base + 3 * LOG_BYTES)
		log_some(&seed);
	n = log_read(buf, sizeof(buf), &pos);
	assert_int_equal(n, LOG_BYTES);
	assert_int_equal(pos, log_end());
	assert_memory_equal(buf, written + (pos - base) - n, n);
}

static void a_steady_reader_loses_nothing(void **state)
{
	uint64_t seed = 42, pos = log_end();
	char buf[999];

	(void)state;
	base = log_end();
	while (log_end() < base + 4 * LOG_BYTES) {
		for (unsigned int i = unit_below(&seed, 20); i; i--)
			log_some(&seed);
		while (pos < log_end()) {
			uint64_t from = pos;
			size_t n = log_read(buf, 1 + unit_below(&seed, sizeof(buf)), &pos);

			assert_int_equal(pos, from + n);
			assert_memory_equal(buf, written + (from - base), n);
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
		cmocka_unit_test(control_characters_are_made_visible),
		cmocka_unit_test(long_lines_are_cut_and_still_end),
		cmocka_unit_test(a_late_reader_gets_the_oldest_held),
		cmocka_unit_test(a_steady_reader_loses_nothing),
		cmocka_unit_test(a_position_from_the_future_reads_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

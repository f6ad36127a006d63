// SPDX-License-Identifier: MIT
/*
 * Property: whatever bytes go in, what comes out controls no terminal, fits, and ends with a whole character;
 * printable text and UTF-8 stay as they are.
 * Failure looks like: a control byte or half a character in the output, or text that changed.
 */
#include "unit.h"

#include "metakernel/lib/visible.h"

static void expect(const char *text, size_t len, const char *want)
{
	char *src = unit_copy(text, len), out[256];
	size_t n = visible(out, sizeof(out), src, len);

	unit_free(src, len);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(out, want, n);
}

#define EXPECT(text, want)	expect(text, sizeof(text) - 1, want)

static void text_stays_as_it_is(void **state)
{
	(void)state;
	EXPECT("", "");
	EXPECT("a\tb ~!^\\", "a\tb ~!^\\");
	EXPECT("\302\240\303\277", "\302\240\303\277");
	EXPECT("\337\277\340\240\200\355\237\277\356\200\200", "\337\277\340\240\200\355\237\277\356\200\200");
	EXPECT("\360\220\200\200\364\217\277\277", "\360\220\200\200\364\217\277\277");
}

static void controls_become_visible(void **state)
{
	(void)state;
	EXPECT("\0\1\033[m\n\r\x1f\x7f", "^@^A^[[m^J^M^_^?");
	EXPECT("\x80\x9b\x9f\xa0", "\\x80\\x9b\\x9f\\xa0");
	EXPECT("\302\200\302\233\302\237", "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f");
}

static void what_is_not_utf8_becomes_visible(void **state)
{
	(void)state;
	EXPECT("\300\233\301\277", "\\xc0\\x9b\\xc1\\xbf");			/* overlong */
	EXPECT("\340\202\233", "\\xe0\\x82\\x9b");
	EXPECT("\360\200\202\233", "\\xf0\\x80\\x82\\x9b");
	EXPECT("\355\240\200", "\\xed\\xa0\\x80");				/* a surrogate */
	EXPECT("\364\220\200\200\365", "\\xf4\\x90\\x80\\x80\\xf5");		/* too large */
	EXPECT("\303", "\\xc3");							/* cut */
	EXPECT("\342\202", "\\xe2\\x82");
	EXPECT("\342\202x\360\237\220", "\\xe2\\x82x\\xf0\\x9f\\x90");
}

/* Does a terminal take s for a control, whether it reads bytes or UTF-8? The bytes 0x80..0x9f inside a
 * character of UTF-8 belong to it. */
static void check_harmless(const char *s, size_t n)
{
	for (size_t i = 0; i < n; ) {
		uint8_t c = (uint8_t)s[i];
		size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

		assert_true(c == '\t' || (c >= 0x20 && c != 0x7f));
		assert_true(c < 0x80 || c >= 0xc2);
		assert_true(i + len <= n);
		assert_false(c == 0xc2 && (uint8_t)s[i + 1] < 0xa0);
		for (size_t k = 1; k < len; k++)
			assert_int_equal(s[i + k] & 0xc0, 0x80);
		i += len;
	}
}

static void random_bytes_are_harmless_and_fit(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (unsigned int round = 0; round < 50000; round++) {
		size_t len = unit_below(&seed, 12), size = unit_below(&seed, 50), n;
		char *src, *out = malloc(size + 1);
		char text[12];

		for (size_t i = 0; i < len; i++)
			text[i] = (char)(unit_below(&seed, 2) ? 0x80 | unit_below(&seed, 128) : unit_below(&seed, 256));
		src = unit_copy(text, len);
		n = visible(out, size, src, len);
		assert_true(n <= size);
		check_harmless(out, n);
		unit_free(src, len);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_stays_as_it_is),
		cmocka_unit_test(controls_become_visible),
		cmocka_unit_test(what_is_not_utf8_becomes_visible),
		cmocka_unit_test(random_bytes_are_harmless_and_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

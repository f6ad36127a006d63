// SPDX-License-Identifier: MIT
/*
 * Property: the metakernel's vsnprintf agrees with the C library's, text and returned length, for
 * everything it promises to support, at every buffer size.
 * Failure looks like: a differing string, or a report of a sanitizer.
 */
#include "unit.h"

#include <limits.h>

int mk_snprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define SAME(fmt, ...)								\
	do {									\
		char a_[300], b_[300];						\
		int la_ = mk_snprintf(a_, sizeof(a_), fmt, __VA_ARGS__);	\
		int lb_ = snprintf(b_, sizeof(b_), fmt, __VA_ARGS__);		\
										\
		assert_string_equal(a_, b_);					\
		assert_int_equal(la_, lb_);					\
	} while (0)

static const long numbers[] = {
	0, 1, -1, 9, 10, -10, 255, 4096, INT_MAX, INT_MIN, LONG_MAX, LONG_MIN, 0x123456789abcdef,
};

static void integers_agree(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEM(numbers); i++) {
		long v = numbers[i];

		SAME("%d|%5d|%-5d|%05d|%i", (int)v, (int)v, (int)v, (int)v, (int)v);
		SAME("%u|%12u|%-12u|%012u", (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v);
		SAME("%x|%X|%08x|%-9x|", (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v);
		SAME("%ld|%25ld|%-25ld|%025ld", v, v, v, v);
		SAME("%lx|%016lx|%20lx|%-20lx|%lX", v, v, v, v, v);
		SAME("%llx|%lld|%llu", (unsigned long long)v, (long long)v, (unsigned long long)v);
		SAME("%zu|%zx|%3zu", (size_t)v, (size_t)v, (size_t)v);
		SAME("%*d|%-*d|%0*d", 7, (int)v, 9, (int)v, 11, (int)v);
	}
}

static void strings_agree(void **state)
{
	const char unterminated[3] = { 'a', 'b', 'c' };

	(void)state;
	SAME("%s|%5s|%-5s|", "ab", "ab", "ab");
	SAME("%.1s|%.0s|%.9s|%5.2s|%-5.2s|", "abc", "abc", "abc", "abc", "abc");
	SAME("%.*s|%*.*s|", 2, "abc", 6, 1, "abc");
	SAME("%.3s", unterminated);
	SAME("%c|%3c|%-3c|", 'x', 'y', 'z');
	SAME("%d%%", 5);
	SAME("%s", "");
}

static void pointers_are_hex(void **state)
{
	char a[64];

	(void)state;
	mk_snprintf(a, sizeof(a), "%p", (void *)0xffff800000001000);
	assert_string_equal(a, "0xffff800000001000");
}

static void null_string_shows(void **state)
{
	const char *volatile none = NULL;
	char a[64];

	(void)state;
	mk_snprintf(a, sizeof(a), "%s", none);
	assert_string_equal(a, "(null)");
}

/* The buffer is exactly `size` bytes on the heap: one byte more written is a report. */
static void cut_at_every_size(void **state)
{
	(void)state;
	for (size_t size = 0; size < 40; size++) {
		char *a = malloc(size ? size : 1);
		char b[40];
		int la = mk_snprintf(a, size, "%s %08lx %-6d|", "text", 0xabcdeful, -42);
		int lb = snprintf(b, size, "%s %08lx %-6d|", "text", 0xabcdeful, -42);

		assert_int_equal(la, lb);
		if (size)
			assert_string_equal(a, b);
		free(a);
	}
}

static void unknown_conversions_show(void **state)
{
	/* Not literals, so that the compiler does not object. */
	static const char *const odd[] = { "100%", "%q", "%5", "%-", "%l", "%y%" };
	char a[64];

	(void)state;
	for (size_t i = 0; i < NELEM(odd); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
		mk_snprintf(a, sizeof(a), odd[i]);
#pragma GCC diagnostic pop
		assert_string_equal(a, odd[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_agree),
		cmocka_unit_test(strings_agree),
		cmocka_unit_test(pointers_are_hex),
		cmocka_unit_test(null_string_shows),
		cmocka_unit_test(cut_at_every_size),
		cmocka_unit_test(unknown_conversions_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

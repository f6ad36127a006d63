// SPDX-License-Identifier: MIT
/*
 * runtime_string_test.c - the runtime's memcpy, memmove, memset and memcmp against byte loops, for every
 * length up to 200, every small offset and overlap. Failure: a wrong byte, or one written outside.
 */
#include "unit.h"

#define memcpy	rt_memcpy
#define memmove	rt_memmove
#define memset	rt_memset
#define memcmp	rt_memcmp

void *rt_memcpy(void *restrict to, const void *restrict from, size_t n);
void *rt_memmove(void *to, const void *from, size_t n);
void *rt_memset(void *to, int c, size_t n);
int rt_memcmp(const void *a, const void *b, size_t n);

#include "../../unikernel-runtime/string.c"

/* Lengths around those at which another way begins. */
#define EACH_LENGTH(n)	for (size_t n = 0; n <= 1070; n = n == 200 ? 1000 : n + 1)
#define AREA		3000

static unsigned char have[AREA], want[AREA];

static void fill(void)
{
	for (unsigned i = 0; i < AREA; i++)
		have[i] = want[i] = (unsigned char)(i * 7 + i / 256 + 1);
}

static void check(const char *what, size_t n, size_t to, size_t from)
{
	for (unsigned i = 0; i < AREA; i++)
		if (have[i] != want[i])
			fail_msg("%s of %zu bytes, offset %zu from %zu: byte %u", what, n, to, from, i);
}

static void copies_are_exact(void **state)
{
	(void)state;
	EACH_LENGTH(n)
		for (size_t to = 0; to < 17; to++) {
			fill();
			for (size_t i = 0; i < n; i++)
				want[to + i] = want[1500 + i];
			assert_ptr_equal(rt_memcpy(have + to, have + 1500, n), have + to);
			check("memcpy", n, to, 1500);
		}
}

static void moves_may_overlap(void **state)
{
	unsigned char copy[AREA];

	(void)state;
	EACH_LENGTH(n)
		for (size_t to = 0; to <= 140; to++) {
			fill();
			for (size_t i = 0; i < AREA; i++)
				copy[i] = want[i];
			for (size_t i = 0; i < n; i++)
				want[100 + to + i] = copy[170 + i];
			assert_ptr_equal(rt_memmove(have + 100 + to, have + 170, n), have + 100 + to);
			check("memmove", n, 100 + to, 170);
		}
}

static void sets_are_exact(void **state)
{
	(void)state;
	EACH_LENGTH(n)
		for (size_t to = 0; to < 17; to++) {
			fill();
			for (size_t i = 0; i < n; i++)
				want[to + i] = 0xc3;
			assert_ptr_equal(rt_memset(have + to, 0x7c3, n), have + to);
			check("memset", n, to, 0);
		}
}

static void compares_find_the_first_difference(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 80; n++)
		for (size_t at = 0; at < n; at++) {
			fill();
			for (size_t i = 0; i < n; i++)
				have[300 + i] = have[1 + i];
			assert_int_equal(rt_memcmp(have + 1, have + 300, n), 0);
			/* Bytes are unsigned, and what follows the first difference does not count. */
			have[1 + at] = 0x80;
			have[300 + at] = 0x7f;
			if (at + 1 < n) {
				have[1 + n - 1] = 0;
				have[300 + n - 1] = 0xff;
			}
			assert_true(rt_memcmp(have + 1, have + 300, n) > 0);
			assert_true(rt_memcmp(have + 300, have + 1, n) < 0);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_exact),
		cmocka_unit_test(moves_may_overlap),
		cmocka_unit_test(sets_are_exact),
		cmocka_unit_test(compares_find_the_first_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

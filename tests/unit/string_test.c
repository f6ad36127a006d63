// SPDX-License-Identifier: MIT
/*
 * Property: the metakernel's memory and string functions do what the C library's do, for every small
 * length, alignment and overlap.
 * Failure looks like: differing bytes or results, or a byte changed outside the target.
 */
#include "unit.h"

/* Under other names, beside the C library's. */
#define memcpy	mk_memcpy
#define memmove	mk_memmove
#define memset	mk_memset
#define memcmp	mk_memcmp
#define memchr	mk_memchr
#define strlen	mk_strlen
#define strnlen	mk_strnlen
#define strcmp	mk_strcmp
#define strncmp	mk_strncmp
#define strchr	mk_strchr
#define strrchr	mk_strrchr
#define strlcpy	mk_strlcpy
#include "metakernel/lib/string.c"
#include "metakernel/boot/string_boot.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strlcpy

#define AREA	96

static void fill(unsigned char *p)
{
	for (unsigned int i = 0; i < AREA; i++)
		p[i] = (unsigned char)(i * 37 + 11);
}

static void copies_agree(void **state)
{
	unsigned char a[AREA], b[AREA], src[AREA];

	(void)state;
	fill(src);
	for (size_t n = 0; n < 40; n++) {
		for (size_t from = 0; from < 9; from++) {
			for (size_t to = 0; to < 9; to++) {
				memset(a, 0xee, AREA);
				memset(b, 0xee, AREA);
				assert_ptr_equal(mk_memcpy(a + to, src + from, n), a + to);
				memcpy(b + to, src + from, n);
				assert_memory_equal(a, b, AREA);
			}
		}
	}
}

static void overlapping_moves_agree(void **state)
{
	unsigned char a[AREA], b[AREA];

	(void)state;
	for (size_t n = 0; n < 40; n++) {
		for (size_t from = 0; from < 50; from++) {
			for (size_t to = 0; to < 50; to++) {
				fill(a);
				fill(b);
				assert_ptr_equal(mk_memmove(a + to, a + from, n), a + to);
				memmove(b + to, b + from, n);
				assert_memory_equal(a, b, AREA);
			}
		}
	}
}

static void fills_agree(void **state)
{
	unsigned char a[AREA], b[AREA];

	(void)state;
	for (size_t n = 0; n < 40; n++) {
		for (size_t at = 0; at < 9; at++) {
			fill(a);
			fill(b);
			assert_ptr_equal(mk_memset(a + at, -0x7f, n), a + at);
			memset(b + at, -0x7f, n);
			assert_memory_equal(a, b, AREA);
		}
	}
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static void comparisons_agree(void **state)
{
	static const char *const s[] = { "", "a", "b", "ab", "abc", "abd", "ab\xff", "abcdefgh", "\x80" };

	(void)state;
	for (size_t i = 0; i < NELEM(s); i++) {
		assert_int_equal(mk_strlen(s[i]), strlen(s[i]));
		for (size_t j = 0; j < NELEM(s); j++) {
			assert_int_equal(sign(mk_strcmp(s[i], s[j])), sign(strcmp(s[i], s[j])));
			for (size_t n = 0; n < 5; n++)
				assert_int_equal(sign(mk_strncmp(s[i], s[j], n)), sign(strncmp(s[i], s[j], n)));
			for (size_t n = 0; n <= strlen(s[i]) && n <= strlen(s[j]); n++)
				assert_int_equal(sign(mk_memcmp(s[i], s[j], n)), sign(memcmp(s[i], s[j], n)));
		}
	}
}

static void searches_agree(void **state)
{
	static const char text[] = "a/bc/\x80" "d";

	(void)state;
	for (int c = 0; c < 256; c++) {
		assert_ptr_equal(mk_strchr(text, c), strchr(text, c));
		assert_ptr_equal(mk_strrchr(text, c), strrchr(text, c));
		for (size_t n = 0; n <= sizeof(text); n++)
			assert_ptr_equal(mk_memchr(text, c, n < sizeof(text) ? n : sizeof(text)),
					 memchr(text, c, n < sizeof(text) ? n : sizeof(text)));
	}
	assert_int_equal(mk_strnlen(text, 3), 3);
	assert_int_equal(mk_strnlen(text, 100), sizeof(text) - 1);
}

static void strlcpy_always_terminates(void **state)
{
	(void)state;
	for (size_t size = 1; size < 8; size++) {
		char *dst = malloc(size);

		assert_int_equal(mk_strlcpy(dst, "abcd", size), 4);
		assert_int_equal(strlen(dst), size > 4 ? 4 : size - 1);
		assert_memory_equal(dst, "abcd", strlen(dst));
		free(dst);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_agree),
		cmocka_unit_test(overlapping_moves_agree),
		cmocka_unit_test(fills_agree),
		cmocka_unit_test(comparisons_agree),
		cmocka_unit_test(searches_agree),
		cmocka_unit_test(strlcpy_always_terminates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

// SPDX-License-Identifier: MIT
/*
 * Property: of the boot line, Linux gets the words behind the first "--", each word before it is named
 * in the log, and a line that does not fit is told from one that does.
 * Failure looks like: a word that vanishes without a line in the log, or the end of one.
 */
#include "unit.h"

#include <stdarg.h>
#include "boot/line.h"

static char said[4096];

void log_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said + strlen(said), sizeof(said) - strlen(said), fmt, ap);
	va_end(ap);
}

static void linux_gets_what_follows(void **state)
{
	(void)state;
	assert_string_equal(line_linux_words("-- a b"), "a b");
	assert_string_equal(line_linux_words("x --y -- a -- b"), "a -- b");
	assert_string_equal(line_linux_words("x y--"), "");
	assert_string_equal(line_linux_words("x --"), "");
	assert_string_equal(line_linux_words(""), "");
	assert_string_equal(line_linux_words("  --  a"), " a");
}

static void words_before_are_named(void **state)
{
	(void)state;
	said[0] = '\0';
	line_name_unknown("-- quiet panic=1");
	line_name_unknown("");
	line_name_unknown("  -- x");
	assert_string_equal(said, "");
	line_name_unknown("quiet  debug=1 -- later");
	assert_non_null(strstr(said, "\"quiet\""));
	assert_non_null(strstr(said, "\"debug=1\""));
	assert_null(strstr(said, "later"));
	line_name_unknown("keel.run=/bin/true");	/* no -- at all */
	assert_non_null(strstr(said, "\"keel.run=/bin/true\""));
}

static void a_line_fits_or_does_not(void **state)
{
	static char a[LINE_MAX], b[LINE_MAX], to[LINE_MAX];

	(void)state;
	assert_int_equal(line_join(to, "one", "two"), 7);
	assert_string_equal(to, "one two");
	for (size_t n = 0; n < LINE_MAX; n += 89)
		for (size_t m = 0; m < LINE_MAX; m += 61) {
			memset(a, 'a', n);
			memset(b, 'b', m);
			a[n] = b[m] = '\0';
			assert_int_equal(line_join(to, a, b), n + 1 + m);
			assert_int_equal(strlen(to), n + m + 1 < LINE_MAX ? n + m + 1 : LINE_MAX - 1);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linux_gets_what_follows),
		cmocka_unit_test(words_before_are_named),
		cmocka_unit_test(a_line_fits_or_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

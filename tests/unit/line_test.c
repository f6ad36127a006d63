// SPDX-License-Identifier: MIT
/*
 * Property: of the boot line, Linux gets the words behind the first "--", each unknown word before it is named
 * in the log, maxcpus= is a number in its range or refused, and a line that does not fit is told from one that does.
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

static void maxcpus_is_a_number(void **state)
{
	static const char *const bad[] = { "maxcpus=", "maxcpus=0", "maxcpus=65", "maxcpus=4x", "maxcpus=-1", "maxcpus=+1",
		"maxcpus=0x4", "maxcpus=4294967297", "maxcpus=99999999999999999999", "a maxcpus=x maxcpus=2 --" };

	(void)state;
	assert_int_equal(line_maxcpus("", 64), 64);
	assert_int_equal(line_maxcpus("quiet -- maxcpus=2", 64), 64);	/* Linux's */
	assert_int_equal(line_maxcpus("xmaxcpus=2 maxcpu=3 maxcpus", 64), 64);
	assert_int_equal(line_maxcpus("maxcpus=1", 64), 1);
	assert_int_equal(line_maxcpus("a  maxcpus=064 -- b", 64), 64);
	assert_int_equal(line_maxcpus("maxcpus=3 maxcpus=2", 64), 2);
	for (size_t i = 0; i < NELEM(bad); i++)
		assert_int_equal(line_maxcpus(bad[i], 64), -1);
	said[0] = '\0';
	line_name_unknown("maxcpus=3 -- x");
	assert_string_equal(said, "");
	line_name_unknown("xmaxcpus=3 maxcpus");
	assert_non_null(strstr(said, "\"xmaxcpus=3\""));
	assert_non_null(strstr(said, "\"maxcpus\""));
}

static void x2apic_is_a_word(void **state)
{
	(void)state;
	assert_true(line_x2apic("x2apic"));
	assert_true(line_x2apic("a x2apic -- b"));
	assert_false(line_x2apic(""));
	assert_false(line_x2apic("x2api x2apics nox2apic x2apic=1 -- x2apic"));
	said[0] = '\0';
	line_name_unknown("x2apic -- x");
	assert_string_equal(said, "");
	line_name_unknown("x2apics");
	assert_non_null(strstr(said, "\"x2apics\""));
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
		cmocka_unit_test(maxcpus_is_a_number),
		cmocka_unit_test(x2apic_is_a_word),
		cmocka_unit_test(a_line_fits_or_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

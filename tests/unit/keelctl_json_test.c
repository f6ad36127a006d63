// SPDX-License-Identifier: MIT
/*
 * keelctl_json_test.c - what keelctl prints with --json is JSON, whatever the texts in it are.
 *
 * Shows: commas and brackets where RFC 8259 wants them; in strings no control character, quotes and backslashes escaped, UTF-8 as
 * it is, and U+FFFD for each byte that is none.
 */
#include "unit.h"

#include "device.h"
#include "json.h"

#include <stdlib.h>

static char *text;
static size_t size;

static struct json begin(void)
{
	struct json j = { .out = open_memstream(&text, &size) };

	assert_non_null(j.out);
	return j;
}

static void is(struct json *j, const char *want)
{
	fclose(j->out);
	assert_string_equal(text, want);
	free(text);
}

static void values_have_commas_between(void **state)
{
	struct json j = begin();

	(void)state;
	json_open(&j, NULL, '{');
	json_number(&j, "a", -1);
	json_open(&j, "b", '[');
	json_close(&j, ']');
	json_open(&j, "c", '[');
	json_open(&j, NULL, '{');
	json_close(&j, '}');
	json_bool(&j, NULL, true);
	json_bool(&j, NULL, false);
	json_text(&j, NULL, NULL);
	json_close(&j, ']');
	json_hex(&j, "d", 0);
	json_hex(&j, "e", UINT64_MAX);
	json_close(&j, '}');
	is(&j, "{\"a\":-1,\"b\":[],\"c\":[{},true,false,null],\"d\":\"0x0\",\"e\":\"0xffffffffffffffff\"}");
}

static void texts_are_escaped(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "", "\"\"" }, { "a\"b\\c/", "\"a\\\"b\\\\c/\"" }, { "\n\t\x1b\x7f\x01", "\"\\u000a\\u0009\\u001b\\u007f\\u0001\"" },
		{ "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "\"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
		{ "\xc2\x9b\xc2\x80\xc2\xa0", "\"\\u009b\\u0080\xc2\xa0\"" },	/* C1, and what follows it */
		{ "\x9b\xff", "\"\\ufffd\\ufffd\"" },			/* no beginning of a character */
		{ "\xc0\xaf", "\"\\ufffd\\ufffd\"" },			/* overlong */
		{ "\xe0\x80\x80", "\"\\ufffd\\ufffd\\ufffd\"" }, { "\xf0\x80\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },	/* a surrogate */
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },	/* beyond U+10FFFF */
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"" }, { "\xe2\x82\"", "\"\\ufffd\\ufffd\\\"\"" },	/* cut */
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < NELEM(cases); i++) {
		struct json j = begin();

		json_text(&j, NULL, cases[i].in);
		is(&j, cases[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_have_commas_between),
		cmocka_unit_test(texts_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * Property: trees that dtc does not write, because they are damaged or say a thing twice, are refused with
 * the node named, without a byte being read beyond their end.
 * Failure looks like: a bad tree accepted, a refusal that names the wrong place, or a report of the address
 * or undefined-behaviour sanitizer.
 */
#include "unit.h"

#include <libfdt.h>

#include "dts.h"
#include "manifest_unit.h"

/* Change each `from` in the blob (a whole string, of the same length as `to`). */
static void patch(char *fdt, size_t len, const char *from, const char *to)
{
	size_t n = strlen(from) + 1;
	bool found = false;

	assert_int_equal(strlen(to) + 1, n);
	for (size_t i = 0; i + n <= len; i++) {
		if (!memcmp(fdt + i, from, n)) {
			memcpy(fdt + i, to, n);
			found = true;
		}
	}
	assert_true(found);
}

static void patched_is_refused(const char *dts_from, const char *dts_to, const char *from, const char *to,
			       const char *node, const char *prop, const char *msg)
{
	char *text = dts_replace(dts_good, dts_from, dts_to);
	size_t len;
	char *fdt = dts_compile(text, "", &len);

	patch(fdt, len, from, to);
	assert_refused(manifest_parse(fdt, len, &m, &e), node, prop, msg);
	free(fdt);
	free(text);
}

static void duplicate_partition_is_refused(void **state)
{
	(void)state;
	patched_is_refused("probe {", "lux {", "lux", "lua", LUA, "", "second partition");
}

static void duplicate_channel_is_refused(void **state)
{
	(void)state;
	patched_is_refused("back {", "lux {", "lux", "lua", CHAN, "", "second channel");
}

static void duplicate_property_is_refused(void **state)
{
	(void)state;
	patched_is_refused("control;", "control; contrul;", "contrul", "control", LINUX, "control",
			   "given twice");
}

static void duplicate_partitions_node_is_refused(void **state)
{
	(void)state;
	patched_is_refused("channels {", "partitiuns { }; channels {", "partitiuns", "partitions",
			   "/partitions", "", "second node");
}

static void unprintable_names_are_cleaned(void **state)
{
	(void)state;
	patched_is_refused("probe {", "abcde {", "abcde", "a\x1b[2J", "/partitions/a?[2J", "", "character");
}

static void old_versions_are_refused(void **state)
{
	size_t len;
	void *fdt = dts_compile(dts_good, "-V 16", &len);

	(void)state;
	assert_refused(manifest_parse(fdt, len, &m, &e), "/", "", "wrong version of the format: 16");
	free(fdt);
}

static void oversized_tree_is_refused(void **state)
{
	size_t len;
	char *fdt = dts_compile(dts_good, "-S 65536", &len);

	(void)state;
	assert_int_equal(len, 65536);
	assert_int_equal(manifest_parse(fdt, len, &m, &e), 0);
	free(fdt);
	fdt = dts_compile(dts_good, "-S 65544", &len);
	assert_int_equal(manifest_parse(fdt, len, &m, &e), -KEEL_E2BIG);
	assert_refused(-1, "/", "", "too large");
	free(fdt);
}

static void every_truncation_is_refused(void **state)
{
	size_t len;
	char *fdt = dts_compile(dts_good, "", &len);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		void *copy = unit_copy(fdt, n);

		if (manifest_parse(copy, n, &m, &e) != -KEEL_EINVAL)
			fail_msg("accepted with %zu of %zu bytes", n, len);
		assert_string_equal(e.node, "/");
		unit_free(copy, n);
	}
	free(fdt);
}

/* Truncated, and the header says so too: the parser must notice by itself where the tree ends. */
static void every_truncation_with_matching_size_is_harmless(void **state)
{
	size_t len;
	char *fdt = dts_compile(dts_good, "", &len);

	(void)state;
	for (size_t n = sizeof(struct fdt_header); n < len; n++) {
		void *copy = unit_copy(fdt, n);

		fdt_set_totalsize(copy, (uint32_t)n);
		assert_int_equal(manifest_parse(copy, n, &m, &e), -KEEL_EINVAL);
		unit_free(copy, n);
	}
	free(fdt);
}

static void every_header_word_is_checked(void **state)
{
	static const uint32_t values[] = { 0, 1, 2, 3, 39, 40, 41, 0xffff, 0x10000, 0x7fffffff,
					   0x80000000, 0xfffffffe, 0xffffffff };
	size_t len;
	char *fdt = dts_compile(dts_good, "", &len);

	(void)state;
	for (size_t word = 0; word < sizeof(struct fdt_header) / 4; word++) {
		for (size_t v = 0; v < NELEM(values); v++) {
			char *copy = unit_copy(fdt, len);
			bool harmless = parse_be32(fdt + word * 4) == values[v] ||
					word == 6 /* last_comp_version */ || word == 7 /* boot CPU */;
			int ret;

			for (int b = 0; b < 4; b++)
				copy[word * 4 + (size_t)b] = (char)(values[v] >> (24 - 8 * b));
			ret = manifest_parse(copy, len, &m, &e);
			if (!ret && !harmless)
				fail_msg("header word %zu = %#x accepted", word, values[v]);
			unit_free(copy, len);
		}
	}
	free(fdt);
}

/* The structure block ends with FDT_END_NODE (of the root), FDT_END. Change one of them. */
static void wrong_end_is_refused(void **state)
{
	static const struct {
		size_t from_end;
		char tag;
		const char *msg;
	} cases[] = {
		{ 8, FDT_NOP, "early end" },
		{ 8, FDT_END, "early end" },
		{ 4, FDT_END_NODE, "end of no node" },
		{ 4, FDT_BEGIN_NODE, "BADSTRUCTURE" },
		{ 4, FDT_PROP, "BADSTRUCTURE" },
		{ 4, FDT_NOP, "TRUNCATED" },
		{ 4, 5, "BADSTRUCTURE" },
	};
	size_t len;
	char *fdt = dts_compile(dts_good, "", &len);

	(void)state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		char *copy = unit_copy(fdt, len);
		size_t end = fdt_off_dt_struct(fdt) + fdt_size_dt_struct(fdt);

		copy[end - cases[i].from_end + 3] = cases[i].tag;
		assert_refused(manifest_parse(copy, len, &m, &e), "/", "", "damaged tree: ");
		if (!strstr(e.msg, cases[i].msg))
			fail_msg("case %zu: %s", i, e.msg);
		unit_free(copy, len);
	}
	free(fdt);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(duplicate_partition_is_refused),
		cmocka_unit_test(duplicate_channel_is_refused),
		cmocka_unit_test(duplicate_property_is_refused),
		cmocka_unit_test(duplicate_partitions_node_is_refused),
		cmocka_unit_test(unprintable_names_are_cleaned),
		cmocka_unit_test(old_versions_are_refused),
		cmocka_unit_test(oversized_tree_is_refused),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(every_truncation_with_matching_size_is_harmless),
		cmocka_unit_test(every_header_word_is_checked),
		cmocka_unit_test(wrong_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

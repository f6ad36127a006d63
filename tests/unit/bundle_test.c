// SPDX-License-Identifier: MIT
/*
 * Property: the bundle reader finds the files of a well-formed archive, refuses every damaged one, and
 * reads no byte outside the archive whatever it contains.
 * Failure looks like: a wrong file, a damaged archive accepted, or a report of a sanitizer.
 */
#include "unit.h"

#include "boot/bundle.h"
#include "keel/abi.h"

static struct parse_error e;

/* ---- A writer of archives ----------------------------------------------------------------------- */

struct archive {
	char data[65536];
	size_t len;
};

/* Field numbers as in the header. */
enum { INO, MODE, UID, GID, NLINK, MTIME, FILESIZE, DEVMAJOR, DEVMINOR, RDEVMAJOR, RDEVMINOR, NAMESIZE,
       CHECK };

static char *field_at(char *header, int field)
{
	return header + 6 + field * 8;
}

static void set_field(char *header, int field, uint32_t value)
{
	char digits[9];

	snprintf(digits, sizeof(digits), "%08x", value);
	memcpy(field_at(header, field), digits, 8);
}

static void put(struct archive *a, const void *data, size_t len)
{
	memcpy(a->data + a->len, data, len);
	a->len += len;
	while (a->len % 4)
		a->data[a->len++] = 0;
}

/* Append a member, return its header. */
static char *add(struct archive *a, const char *name, uint32_t mode, const void *data, size_t len)
{
	char *header = a->data + a->len;

	memset(header, '0', 110);
	memcpy(header, "070701", 6);
	set_field(header, MODE, mode);
	set_field(header, NLINK, 1);
	set_field(header, FILESIZE, (uint32_t)len);
	set_field(header, NAMESIZE, (uint32_t)strlen(name) + 1);
	a->len += 110;
	put(a, name, strlen(name) + 1);
	put(a, data, len);
	return header;
}

#define FILE_MODE	0100644
#define DIR_MODE	0040755

static void finish(struct archive *a)
{
	add(a, "TRAILER!!!", 0, "", 0);
}

/* "one" (5 bytes), directory, "dir/two" (0 bytes), "three" (8 bytes) */
static struct archive *make(void)
{
	struct archive *a = calloc(1, sizeof(*a));

	add(a, "./one", FILE_MODE, "first", 5);
	add(a, "dir", DIR_MODE, "", 0);
	add(a, "dir/two", FILE_MODE, "", 0);
	add(a, "three", FILE_MODE, "12345678", 8);
	return a;
}

/* bundle_check on an exact copy */
static int check(const struct archive *a)
{
	void *copy = unit_copy(a->data, a->len);
	int ret = bundle_check(copy, a->len, &e);

	unit_free(copy, a->len);
	return ret;
}

static void assert_refused(const struct archive *a, const char *node, const char *prop, const char *msg)
{
	assert_true(check(a) < 0);
	assert_string_equal(e.node, node);
	assert_string_equal(e.prop, prop);
	if (!strstr(e.msg, msg))
		fail_msg("message \"%s\" has no \"%s\"", e.msg, msg);
}

/* ---- Tests -------------------------------------------------------------------------------------- */

static void files_are_found(void **state)
{
	struct archive *a = make();
	struct bundle_file f;

	(void)state;
	finish(a);
	assert_int_equal(check(a), 0);
	assert_int_equal(bundle_find(a->data, a->len, "one", &f), 0);
	assert_int_equal(f.size, 5);
	assert_memory_equal(f.data, "first", 5);
	assert_string_equal(f.name, "one");
	assert_int_equal(bundle_find(a->data, a->len, "dir/two", &f), 0);
	assert_int_equal(f.size, 0);
	assert_int_equal(bundle_find(a->data, a->len, "three", &f), 0);
	assert_memory_equal(f.data, "12345678", 8);
	assert_int_equal(((const char *)f.data - a->data) % 4, 0);
	assert_int_equal(bundle_find(a->data, a->len, "dir", &f), -KEEL_ENOENT);
	assert_int_equal(bundle_find(a->data, a->len, "./one", &f), -KEEL_ENOENT);
	assert_int_equal(bundle_find(a->data, a->len, "on", &f), -KEEL_ENOENT);
	assert_int_equal(bundle_find(a->data, a->len, "", &f), -KEEL_ENOENT);
	assert_int_equal(bundle_find(a->data, a->len, "TRAILER!!!", &f), -KEEL_ENOENT);
	free(a);
}

/* What the real tool writes, hexadecimal case and block padding included. */
static void archive_of_cpio_is_read(void **state)
{
	struct archive *a = calloc(1, sizeof(*a));
	struct bundle_file f;
	FILE *p = popen("d=$(mktemp -d) && cd $d && mkdir sub && echo hello >sub/file && "
			"find . | LC_ALL=C sort | cpio --quiet -o -H newc; rm -rf $d", "r");

	(void)state;
	a->len = fread(a->data, 1, sizeof(a->data), p);
	assert_int_equal(pclose(p), 0);
	assert_true(a->len > 0 && a->len % 512 == 0);
	assert_int_equal(check(a), 0);
	assert_int_equal(bundle_find(a->data, a->len, "sub/file", &f), 0);
	assert_int_equal(f.size, 6);
	assert_memory_equal(f.data, "hello\n", 6);
	free(a);
}

static void every_truncation_is_refused(void **state)
{
	struct archive *a = make();
	struct bundle_file f;

	(void)state;
	finish(a);
	for (size_t n = 0; n < a->len; n++) {
		void *copy = unit_copy(a->data, n);

		assert_int_equal(bundle_check(copy, n, &e), -KEEL_EINVAL);
		assert_true(e.msg[0] && e.node[0]);
		assert_int_equal(bundle_find(copy, n, "nothing", &f), -KEEL_EINVAL);
		unit_free(copy, n);
	}
	free(a);
}

static void missing_trailer_is_refused(void **state)
{
	struct archive *a = make();

	(void)state;
	assert_refused(a, "bundle", "", "without TRAILER!!!");
	free(a);
}

static void data_after_the_end_is_refused(void **state)
{
	struct archive *a = make();

	(void)state;
	finish(a);
	put(a, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(check(a), 0);
	put(a, "\0\0\0\1", 4);
	assert_refused(a, "bundle", "", "after the end");
	free(a);
}

static void empty_archive_is_refused(void **state)
{
	struct archive *a = calloc(1, sizeof(*a));

	(void)state;
	assert_refused(a, "bundle", "", "without TRAILER!!!");
	finish(a);
	assert_refused(a, "bundle", "", "no file");
	free(a);
}

static void every_magic_byte_is_checked(void **state)
{
	struct archive *a = make();

	(void)state;
	finish(a);
	for (int i = 0; i < 6; i++) {
		a->data[i]++;
		assert_refused(a, "bundle", "c_magic", "no cpio newc header at byte 0");
		a->data[i]--;
	}
	free(a);
}

static void every_digit_of_every_field_is_checked(void **state)
{
	static const char bad[] = { 'g', 'G', '/', ':', '@', '`', ' ', '-', 'x', '\0', (char)0xff };
	struct archive *a = make();

	(void)state;
	finish(a);
	for (size_t i = 6; i < 110; i++) {
		char was = a->data[i];

		for (size_t k = 0; k < sizeof(bad); k++) {
			a->data[i] = bad[k];
			assert_int_equal(check(a), -KEEL_EINVAL);
			assert_string_equal(e.msg, "not hexadecimal at byte 0");
			assert_true(e.prop[0]);
		}
		a->data[i] = was;
	}
	assert_int_equal(check(a), 0);
	free(a);
}

static void hexadecimal_may_be_upper_case(void **state)
{
	struct archive *a = calloc(1, sizeof(*a));
	struct bundle_file f;
	char *h = add(a, "f", FILE_MODE, "0123456789", 10);

	(void)state;
	finish(a);
	memcpy(field_at(h, FILESIZE), "0000000A", 8);
	assert_int_equal(check(a), 0);
	assert_int_equal(bundle_find(a->data, a->len, "f", &f), 0);
	assert_int_equal(f.size, 10);
	free(a);
}

/* Sizes beyond what is there, up to the largest: no sum may wrap. */
static void wrong_sizes_are_refused(void **state)
{
	static const uint32_t sizes[] = { 0x100, 0x1000, 0xffff, 0x7fffffff, 0x80000000, 0xfffffff0,
					  0xfffffffc, 0xfffffffd, 0xfffffffe, 0xffffffff };
	struct archive *a = calloc(1, sizeof(*a));
	char *h = add(a, "file", FILE_MODE, "data", 4);

	(void)state;
	finish(a);
	for (size_t i = 0; i < NELEM(sizes); i++) {
		set_field(h, FILESIZE, sizes[i]);
		assert_refused(a, "file", "c_filesize", "beyond the end");
		set_field(h, FILESIZE, 4);
		set_field(h, NAMESIZE, sizes[i]);
		assert_refused(a, "bundle", "c_namesize", "too long");
		set_field(h, NAMESIZE, 5);
	}
	for (uint32_t n = 0; n < 128; n++) {
		if (n == 5)
			continue;
		set_field(h, NAMESIZE, n);
		assert_int_equal(check(a), -KEEL_EINVAL);
		assert_string_equal(e.prop, "c_namesize");
	}
	assert_int_equal(a->len > 128, 1);
	free(a);
}

static void last_byte_of_data_may_be_last_of_archive_only_with_trailer(void **state)
{
	struct archive *a = calloc(1, sizeof(*a));
	char *h = add(a, "file", FILE_MODE, "data", 4);

	(void)state;
	/* The size is right to the byte, and swallows the trailer. */
	finish(a);
	set_field(h, FILESIZE, (uint32_t)(a->len - 116));
	assert_refused(a, "bundle", "", "without TRAILER!!!");
	set_field(h, FILESIZE, (uint32_t)(a->len - 115));
	assert_refused(a, "file", "c_filesize", "beyond the end");
	free(a);
}

static void other_kinds_of_member_are_refused(void **state)
{
	static const uint32_t modes[] = { 0120777 /* link */, 0020600, 0060600 /* devices */, 0010600 /* fifo */,
					  0140600 /* socket */, 0644, 0170000 };

	(void)state;
	for (size_t i = 0; i < NELEM(modes); i++) {
		struct archive *a = make();

		add(a, "odd", modes[i], "x", 1);
		finish(a);
		assert_refused(a, "odd", "c_mode", "neither file nor directory");
		free(a);
	}
}

static void hard_links_are_refused(void **state)
{
	struct archive *a = make();
	char *h = add(a, "linked", FILE_MODE, "", 0);

	(void)state;
	set_field(h, NLINK, 2);
	finish(a);
	assert_refused(a, "linked", "c_nlink", "hard link");
	free(a);
}

static void directories_have_no_data(void **state)
{
	struct archive *a = make();

	(void)state;
	add(a, "d", DIR_MODE, "data", 4);
	finish(a);
	assert_refused(a, "d", "c_filesize", "directory with data");
	free(a);
}

static void trailer_has_no_data(void **state)
{
	struct archive *a = make();

	(void)state;
	add(a, "TRAILER!!!", 0, "data", 4);
	assert_refused(a, "TRAILER!!!", "c_filesize", "trailer with data");
	free(a);
}

static void duplicate_names_are_refused(void **state)
{
	struct archive *a = make();

	(void)state;
	add(a, "one", FILE_MODE, "again", 5);
	finish(a);
	assert_refused(a, "one", "", "second file");
	free(a);
}

static void number_of_files_is_limited(void **state)
{
	struct archive *a = calloc(1, sizeof(*a));
	char name[16];

	(void)state;
	for (int i = 0; i <= BUNDLE_MAX_FILES; i++) {
		struct archive *b;

		snprintf(name, sizeof(name), "f%d", i);
		add(a, name, FILE_MODE, name, 4);
		b = unit_copy(a, sizeof(*a));
		finish(b);
		assert_int_equal(check(b), i < BUNDLE_MAX_FILES ? 0 : -KEEL_E2BIG);
		free(b);
	}
	free(a);
}

/* Any byte changed to anything: no fault, and bundle_find stays inside whatever check said. */
static void random_damage_is_harmless(void **state)
{
	struct archive *a = make();
	uint64_t seed = 0x6b65656c;
	unsigned int accepted = 0;

	(void)state;
	finish(a);
	for (int i = 0; i < 20000; i++) {
		char *copy = unit_copy(a->data, a->len);
		struct bundle_file f;

		for (uint32_t n = 1 + unit_below(&seed, 4); n; n--)
			copy[unit_below(&seed, (uint32_t)a->len)] = unit_below(&seed, 2) ?
				"0123456789abcdef"[unit_below(&seed, 16)] : (char)unit_random(&seed);
		accepted += !bundle_check(copy, a->len, &e);
		if (!bundle_find(copy, a->len, "three", &f) && f.size) {
			volatile char sum = 0;

			for (size_t k = 0; k < f.size; k++)
				sum = (char)(sum + ((const char *)f.data)[k]);
		}
		unit_free(copy, a->len);
	}
	/* Damage in unused fields and data goes unseen; in most places it must not. */
	assert_in_range(accepted, 1000, 15000);
	free(a);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_found),
		cmocka_unit_test(archive_of_cpio_is_read),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(missing_trailer_is_refused),
		cmocka_unit_test(data_after_the_end_is_refused),
		cmocka_unit_test(empty_archive_is_refused),
		cmocka_unit_test(every_magic_byte_is_checked),
		cmocka_unit_test(every_digit_of_every_field_is_checked),
		cmocka_unit_test(hexadecimal_may_be_upper_case),
		cmocka_unit_test(wrong_sizes_are_refused),
		cmocka_unit_test(last_byte_of_data_may_be_last_of_archive_only_with_trailer),
		cmocka_unit_test(other_kinds_of_member_are_refused),
		cmocka_unit_test(hard_links_are_refused),
		cmocka_unit_test(directories_have_no_data),
		cmocka_unit_test(trailer_has_no_data),
		cmocka_unit_test(duplicate_names_are_refused),
		cmocka_unit_test(number_of_files_is_limited),
		cmocka_unit_test(random_damage_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

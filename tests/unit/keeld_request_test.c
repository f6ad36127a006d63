// SPDX-License-Identifier: MIT
/*
 * keeld_request_test.c - keeld refuses every request that is not well-formed before anything else
 * looks at it: unknown opcodes, stray fields, flags off the list, buffers outside the buffer area.
 *
 * Failure looks like 0 for a request that names memory or flags it must not.
 */
#include "unit.h"

#include "request.h"

#include <errno.h>
#include <keel/drivercall_client.h>

static struct keel_dc_layout layout;
#define BUF	(layout.buf_off)
#define END	(layout.buf_off + layout.buf_bytes)

static int setup(void **state)
{
	(void)state;
	return keel_dc_layout_choose(&layout, 1 << 20);
}

static int check(struct keel_sqe q)
{
	return request_check(&q, &layout);
}

static void well_formed_requests_pass(void **state)
{
	(void)state;
	assert_int_equal(check(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
	assert_int_equal(check(keel_dc_open(BUF, KEEL_DC_O_RDWR | KEEL_DC_O_CREAT, 0644, 1)), 0);
	assert_int_equal(check(keel_dc_close(3, 1)), 0);
	assert_int_equal(check(keel_dc_read(0, BUF, 4096, 0, 1)), 0);
	assert_int_equal(check(keel_dc_write(0, END - 10, 10, INT64_MAX, 1)), 0);
	assert_int_equal(check(keel_dc_fsync(0, KEEL_DC_FSYNC_DATASYNC, 1)), 0);
	assert_int_equal(check(keel_dc_ftruncate(0, 10, 1)), 0);
	assert_int_equal(check(keel_dc_statx(KEEL_DC_AT_FDCWD, BUF, 0, 0x7ff, BUF + 512, 1)), 0);
	assert_int_equal(check(keel_dc_statx(2, 0, KEEL_DC_AT_EMPTY_PATH, 0x7ff, BUF, 1)), 0);
	assert_int_equal(check(keel_dc_unlink(BUF, KEEL_DC_AT_REMOVEDIR, 1)), 0);
	assert_int_equal(check(keel_dc_rename(BUF, BUF + 512, 0, 1)), 0);
	assert_int_equal(check(keel_dc_mkdir(BUF, 0755, 1)), 0);
}

static void only_known_opcodes_pass(void **state)
{
	static const uint8_t known[] = { KEEL_OP_NOP, KEEL_OP_CLOSE, KEEL_OP_FSYNC };
	unsigned int op;
	int err;

	(void)state;
	for (op = 0; op < 256; op++) {
		err = check(keel_dc_sqe((uint8_t)op, 0, 1));
		if (memchr(known, (int)op, sizeof(known)) || op == KEEL_OP_FTRUNCATE)
			assert_int_equal(err, 0);
		else if (op >= KEEL_OP_NR)
			assert_int_equal(err, -EINVAL);
		else
			assert_true(err < 0);	/* known, but all its fields are missing */
	}
}

static void buffers_outside_the_buffer_area_are_faults(void **state)
{
	static const uint32_t lens[] = { 0, 1, 4096, KEEL_DC_MAX_IO };
	uint64_t bad[] = { 0, 4096, BUF - 1, END + 1, END + 4096, UINT64_MAX, UINT64_MAX - 4095,
			   (uint64_t)1 << 63, 0xffffffff00000000 + BUF };
	unsigned int i, j;

	(void)state;
	for (i = 0; i < NELEM(bad); i++)
		for (j = 0; j < NELEM(lens); j++) {
			assert_int_equal(check(keel_dc_read(0, bad[i], lens[j], 0, 1)), -EFAULT);
			assert_int_equal(check(keel_dc_write(0, bad[i], lens[j], 0, 1)), -EFAULT);
		}
	assert_int_equal(check(keel_dc_read(0, END, 0, 0, 1)), 0);
	assert_int_equal(check(keel_dc_read(0, END, 1, 0, 1)), -EFAULT);
	assert_int_equal(check(keel_dc_read(0, BUF, (uint32_t)layout.buf_bytes, 0, 1)), 0);
	assert_int_equal(check(keel_dc_read(0, BUF, (uint32_t)layout.buf_bytes + 1, 0, 1)), -EFAULT);
	assert_int_equal(check(keel_dc_read(0, BUF + 1, (uint32_t)layout.buf_bytes, 0, 1)), -EFAULT);
	assert_int_equal(check(keel_dc_read(0, BUF, UINT32_MAX, 0, 1)), -EINVAL);
	assert_int_equal(check(keel_dc_read(0, BUF, 1, (uint64_t)INT64_MAX + 1, 1)), -EINVAL);
	assert_int_equal(check(keel_dc_read(0, BUF, 1, UINT64_MAX, 1)), -EINVAL);
}

static void statx_results_stay_in_the_buffer_area(void **state)
{
	(void)state;
	assert_int_equal(check(keel_dc_statx(0, 0, KEEL_DC_AT_EMPTY_PATH, 0, END - 256, 1)), 0);
	assert_int_equal(check(keel_dc_statx(0, 0, KEEL_DC_AT_EMPTY_PATH, 0, END - 248, 1)), -EFAULT);
	assert_int_equal(check(keel_dc_statx(0, 0, KEEL_DC_AT_EMPTY_PATH, 0, 0, 1)), -EFAULT);
	assert_int_equal(check(keel_dc_statx(0, 0, KEEL_DC_AT_EMPTY_PATH, 0, BUF + 4, 1)), -EFAULT);
	assert_int_equal(check(keel_dc_statx(0, 0, KEEL_DC_AT_EMPTY_PATH, 0, UINT64_MAX - 7, 1)),
			 -EFAULT);
}

static void flags_off_the_list_are_invalid(void **state)
{
	uint32_t bit;

	(void)state;
	for (bit = 1; bit; bit <<= 1) {
		assert_int_equal(check(keel_dc_open(BUF, bit, 0, 1)),
				 bit & KEEL_DC_O_ALLOWED ? 0 : -EINVAL);
		assert_int_equal(check(keel_dc_fsync(0, bit, 1)),
				 bit == KEEL_DC_FSYNC_DATASYNC ? 0 : -EINVAL);
		assert_int_equal(check(keel_dc_unlink(BUF, bit, 1)),
				 bit == KEEL_DC_AT_REMOVEDIR ? 0 : -EINVAL);
		assert_int_equal(check(keel_dc_rename(BUF, BUF, bit, 1)),
				 bit == KEEL_DC_RENAME_NOREPLACE ? 0 : -EINVAL);
	}
	/* O_PATH, O_TMPFILE, O_DIRECT, O_ASYNC by name */
	assert_int_equal(check(keel_dc_open(BUF, 010000000, 0, 1)), -EINVAL);
	assert_int_equal(check(keel_dc_open(BUF, 020200000, 0, 1)), -EINVAL);
	assert_int_equal(check(keel_dc_open(BUF, KEEL_DC_O_ACCMODE, 0, 1)), -EINVAL);
}

static void fields_without_a_meaning_must_be_zero(void **state)
{
	struct keel_sqe good = keel_dc_read(0, BUF, 1, 0, 1), q;

	(void)state;
#define BAD(field) do { q = good; q.field = 1; assert_int_equal(check(q), -EINVAL); } while (0)
	BAD(flags);		/* IOSQE_FIXED_FILE and friends */
	BAD(ioprio);
	BAD(op_flags);
	BAD(buf_index);
	BAD(personality);
	BAD(file_index);
	BAD(addr3);
	BAD(reserved);
	good = keel_dc_close(0, 1);
	BAD(addr);
	BAD(off);
	BAD(len);
#undef BAD
}

static void paths_are_relative_to_nothing_else(void **state)
{
	struct keel_sqe q = keel_dc_open(BUF, 0, 0, 1);

	(void)state;
	q.fd = 3;
	assert_int_equal(check(q), -EBADF);
	q = keel_dc_rename(BUF, BUF, 0, 1);
	q.len = 3;
	assert_int_equal(check(q), -EBADF);
}

static void paths_end_inside_the_buffer_area(void **state)
{
	char *window = malloc(1 << 20), path[KEEL_DC_PATH_MAX];

	(void)state;
	assert_non_null(window);
	memset(window, 'a', 1 << 20);
	assert_int_equal(request_path(window, &layout, 0, path), -EFAULT);
	assert_int_equal(request_path(window, &layout, BUF - 1, path), -EFAULT);
	assert_int_equal(request_path(window, &layout, END, path), -EFAULT);
	assert_int_equal(request_path(window, &layout, UINT64_MAX, path), -EFAULT);
	assert_int_equal(request_path(window, &layout, BUF, path), -ENAMETOOLONG);
	assert_int_equal(request_path(window, &layout, END - 1, path), -ENAMETOOLONG);
	window[END - 1] = 0;
	assert_int_equal(request_path(window, &layout, END - 1, path), 0);
	assert_int_equal(request_path(window, &layout, END - KEEL_DC_PATH_MAX, path), 0);
	assert_int_equal(strlen(path), KEEL_DC_PATH_MAX - 1);
	assert_int_equal(request_path(window, &layout, END - KEEL_DC_PATH_MAX - 1, path),
			 -ENAMETOOLONG);
	free(window);
}

static void random_requests_never_pass_with_memory_outside(void **state)
{
	uint64_t rnd = 42, n = 0;
	struct keel_sqe q;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2000000; i++) {
		memset(&q, 0, sizeof(q));
		q.opcode = (uint8_t)(unit_random(&rnd) % 64);
		q.fd = unit_random(&rnd) & 1 ? KEEL_DC_AT_FDCWD : (int32_t)unit_random(&rnd);
		q.addr = unit_random(&rnd) >> (unit_random(&rnd) % 64);
		q.off = unit_random(&rnd) >> (unit_random(&rnd) % 64) & ~(uint64_t)7;
		q.len = (uint32_t)(unit_random(&rnd) >> (32 + unit_random(&rnd) % 32));
		q.op_flags = unit_random(&rnd) & 1 ? 0 : (uint32_t)1 << unit_random(&rnd) % 32;
		if (check(q))
			continue;
		n++;
		if (q.opcode == KEEL_OP_READ || q.opcode == KEEL_OP_WRITE)
			assert_true(q.addr >= BUF && q.addr <= END && q.len <= END - q.addr);
		if (q.opcode == KEEL_OP_STATX)
			assert_true(q.off >= BUF && q.off <= END - KEEL_DC_STATX_BYTES);
	}
	assert_true(n > 1000);	/* the test reaches what it is about */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(well_formed_requests_pass),
		cmocka_unit_test(only_known_opcodes_pass),
		cmocka_unit_test(buffers_outside_the_buffer_area_are_faults),
		cmocka_unit_test(statx_results_stay_in_the_buffer_area),
		cmocka_unit_test(flags_off_the_list_are_invalid),
		cmocka_unit_test(fields_without_a_meaning_must_be_zero),
		cmocka_unit_test(paths_are_relative_to_nothing_else),
		cmocka_unit_test(paths_end_inside_the_buffer_area),
		cmocka_unit_test(random_requests_never_pass_with_memory_outside),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * drivercall_test.c - the wire format of driver calls is io_uring's, the layout checks accept what the
 * server chooses and nothing that leaves the window, and the client's allocator hands out
 * disjoint pieces of the buffer area.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <keel/drivercall_client.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SAME(ours, theirs) \
	static_assert(offsetof(struct keel_sqe, ours) == offsetof(struct io_uring_sqe, theirs) && \
		      sizeof(((struct keel_sqe *)0)->ours) == \
		      sizeof(((struct io_uring_sqe *)0)->theirs), #ours)
static_assert(sizeof(struct keel_sqe) == sizeof(struct io_uring_sqe), "sqe");
SAME(opcode, opcode);
SAME(flags, flags);
SAME(ioprio, ioprio);
SAME(fd, fd);
SAME(off, off);
SAME(off, addr2);
SAME(addr, addr);
SAME(len, len);
SAME(op_flags, rw_flags);
SAME(op_flags, open_flags);
SAME(op_flags, fsync_flags);
SAME(op_flags, statx_flags);
SAME(op_flags, rename_flags);
SAME(op_flags, unlink_flags);
SAME(user_data, user_data);
SAME(buf_index, buf_index);
SAME(personality, personality);
SAME(file_index, file_index);
SAME(addr3, addr3);
static_assert(sizeof(struct keel_cqe) == sizeof(struct io_uring_cqe), "cqe");
static_assert(offsetof(struct keel_cqe, user_data) == offsetof(struct io_uring_cqe, user_data) &&
	      offsetof(struct keel_cqe, res) == offsetof(struct io_uring_cqe, res) &&
	      offsetof(struct keel_cqe, flags) == offsetof(struct io_uring_cqe, flags), "cqe fields");

static_assert((int)KEEL_OP_NOP == IORING_OP_NOP && (int)KEEL_OP_FSYNC == IORING_OP_FSYNC &&
	      (int)KEEL_OP_OPENAT == IORING_OP_OPENAT && (int)KEEL_OP_CLOSE == IORING_OP_CLOSE &&
	      (int)KEEL_OP_STATX == IORING_OP_STATX && (int)KEEL_OP_READ == IORING_OP_READ &&
	      (int)KEEL_OP_WRITE == IORING_OP_WRITE && (int)KEEL_OP_RENAMEAT == IORING_OP_RENAMEAT &&
	      (int)KEEL_OP_UNLINKAT == IORING_OP_UNLINKAT && (int)KEEL_OP_MKDIRAT == IORING_OP_MKDIRAT,
	      "opcodes");
static_assert(KEEL_DC_O_CREAT == O_CREAT && KEEL_DC_O_EXCL == O_EXCL && KEEL_DC_O_TRUNC == O_TRUNC &&
	      KEEL_DC_O_APPEND == O_APPEND && KEEL_DC_O_DIRECTORY == O_DIRECTORY &&
	      KEEL_DC_O_NOFOLLOW == O_NOFOLLOW && KEEL_DC_O_NOCTTY == O_NOCTTY &&
	      KEEL_DC_O_NONBLOCK == O_NONBLOCK && KEEL_DC_O_CLOEXEC == O_CLOEXEC &&
	      KEEL_DC_AT_EMPTY_PATH == AT_EMPTY_PATH, "flags");
static_assert(sizeof(struct statx) == KEEL_DC_STATX_BYTES, "statx");

static void magic_spells_its_name(void **state)
{
	uint64_t magic = KEEL_DC_MAGIC;

	(void)state;
	assert_memory_equal(&magic, "KEELDRVC", 8);
}

/* ---- layout ---------------------------------------------------------------------------------------- */

static void chosen_layouts_are_accepted(void **state)
{
	struct keel_dc_layout l;
	uint64_t size;

	(void)state;
	for (size = KEEL_DC_MIN_WINDOW; size <= 64 << 20; size += 4096) {
		assert_int_equal(keel_dc_layout_choose(&l, size), 0);
		assert_true(keel_dc_layout_ok(&l, size));
		assert_false(keel_dc_layout_ok(&l, size + 4096));
		assert_true(l.buf_bytes >= size / 2);
		assert_true(l.sq_entries <= KEEL_DC_MAX_SQ && l.cq_entries <= KEEL_DC_MAX_SQ);
	}
}

static void odd_windows_are_refused(void **state)
{
	static const uint64_t bad[] = { 0, 4096, KEEL_DC_MIN_WINDOW - 4096, KEEL_DC_MIN_WINDOW + 1,
					UINT64_MAX, UINT64_MAX & ~(uint64_t)4095 };
	struct keel_dc_layout l;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(keel_dc_layout_choose(&l, bad[i]), -EINVAL);
}

static void layouts_that_leave_the_window_are_refused(void **state)
{
	const uint64_t size = 1 << 20;
	struct keel_dc_layout good, l;

	(void)state;
	assert_int_equal(keel_dc_layout_choose(&good, size), 0);
#define REFUSED(field, value) do { \
		l = good; l.field = (value); assert_false(keel_dc_layout_ok(&l, size)); } while (0)
	REFUSED(sq_entries, 0);
	REFUSED(sq_entries, 3);
	REFUSED(sq_entries, 0x10000);
	REFUSED(cq_entries, good.sq_entries / 2);
	REFUSED(cq_entries, 0x80000000);
	REFUSED(sq_off, 0);		/* over the header */
	REFUSED(sq_off, good.sq_off + 4);
	REFUSED(sq_off, size);
	REFUSED(sq_off, UINT64_MAX - 63);
	REFUSED(cq_off, good.sq_off);	/* overlap */
	REFUSED(cq_off, UINT64_MAX - 63);
	REFUSED(buf_off, 0);
	REFUSED(buf_off, good.buf_off + 4096);
	REFUSED(buf_off, size);
	REFUSED(buf_off, UINT64_MAX - 4095);
	REFUSED(buf_bytes, 0);
	REFUSED(buf_bytes, good.buf_bytes + 4096);
	REFUSED(buf_bytes, UINT64_MAX - 4095);
	REFUSED(window_bytes, size + 4096);
#undef REFUSED
}

static void ranges_do_not_overflow(void **state)
{
	(void)state;
	assert_true(keel_dc_range_ok(10, 5, 10, 5));
	assert_true(keel_dc_range_ok(15, 0, 10, 5));
	assert_false(keel_dc_range_ok(15, 1, 10, 5));
	assert_false(keel_dc_range_ok(16, 0, 10, 5));
	assert_false(keel_dc_range_ok(9, 1, 10, 5));
	assert_false(keel_dc_range_ok(12, UINT64_MAX, 10, 5));
	assert_false(keel_dc_range_ok(UINT64_MAX, 2, 10, 5));
	assert_false(keel_dc_range_ok(12, UINT64_MAX - 11, 10, 5));
}

/* ---- client ------------------------------------------------------------------------------------------ */

struct fixture {
	struct keel_dc_client c;
	struct keel_dc_header *h;
	uint64_t bytes;
};

/* A window as the server leaves it, generation 7, and a client that asked for it. */
static int setup(void **state)
{
	static struct fixture f;
	struct keel_dc_layout l;

	f.bytes = 256 * 1024;
	f.h = aligned_alloc(4096, f.bytes);
	if (!f.h || keel_dc_layout_choose(&l, f.bytes))
		return -1;
	memset(f.h, 0, f.bytes);
	f.h->magic = KEEL_DC_MAGIC;
	f.h->version = KEEL_DC_VERSION;
	f.h->size = KEEL_DC_HEADER_BYTES;
	f.h->window_bytes = l.window_bytes;
	f.h->sq_entries = l.sq_entries;
	f.h->cq_entries = l.cq_entries;
	f.h->sq_off = l.sq_off;
	f.h->cq_off = l.cq_off;
	f.h->buf_off = l.buf_off;
	f.h->buf_bytes = l.buf_bytes;
	f.h->generation = 7;
	keel_dc_attach(&f.c, f.h, f.bytes, 7);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	free(f->h);
	return 0;
}

static void client_waits_for_its_generation(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->h->client_generation, 7);
	f->h->generation = 6;
	assert_int_equal(keel_dc_attached(&f->c), -EAGAIN);
	f->h->generation = 7;
	assert_int_equal(keel_dc_attached(&f->c), 0);
}

static void client_refuses_a_foreign_header(void **state)
{
	struct fixture *f = *state;

	f->h->magic++;
	assert_int_equal(keel_dc_attached(&f->c), -EINVAL);
	f->h->magic--;
	f->h->version = 9;
	assert_int_equal(keel_dc_attached(&f->c), -EINVAL);
	f->h->version = KEEL_DC_VERSION;
	f->h->buf_bytes += 4096;
	assert_int_equal(keel_dc_attached(&f->c), -EINVAL);
}

static void client_submits_no_more_than_fits(void **state)
{
	struct fixture *f = *state;
	struct keel_sqe q = keel_dc_sqe(KEEL_OP_NOP, 0, 1);
	uint32_t i;

	assert_int_equal(keel_dc_attached(&f->c), 0);
	for (i = 0; i < f->h->sq_entries; i++)
		assert_int_equal(keel_dc_submit(&f->c, &q), 0);
	assert_int_equal(keel_dc_submit(&f->c, &q), -EAGAIN);
	assert_int_equal(f->h->sq.tail, f->h->sq_entries);
	f->h->sq.head = f->h->sq.tail + 1;	/* a hostile server */
	f->c.in_flight = 0;
	assert_int_equal(keel_dc_submit(&f->c, &q), -EIO);
}

static void client_polls_what_it_asked_for_only(void **state)
{
	struct fixture *f = *state;
	struct keel_sqe q = keel_dc_sqe(KEEL_OP_NOP, 0, 0x1122);
	struct keel_cqe cqe;

	assert_int_equal(keel_dc_attached(&f->c), 0);
	assert_int_equal(keel_dc_poll(&f->c, &cqe), 0);
	f->h->cq.tail = 1;			/* an answer without a question */
	assert_int_equal(keel_dc_poll(&f->c, &cqe), -EIO);
	f->h->cq.tail = 0;
	f->c.cq.peer = 0;
	assert_int_equal(keel_dc_submit(&f->c, &q), 0);
	assert_true(keel_dc_need_kick(&f->c));
	assert_true(keel_dc_may_sleep(&f->c));
	f->c.cqes[0] = (struct keel_cqe) { .user_data = 0x1122, .res = -5 };
	f->h->cq.tail = 1;
	assert_false(keel_dc_may_sleep(&f->c));
	assert_int_equal(keel_dc_poll(&f->c, &cqe), 1);
	assert_int_equal(cqe.res, -5);
	assert_int_equal(cqe.user_data, 0x1122);
	assert_int_equal(keel_dc_poll(&f->c, &cqe), 0);
	f->h->cq.tail = 0x40000000;
	assert_int_equal(keel_dc_poll(&f->c, &cqe), -EIO);
}

static void client_notices_the_end_of_the_session(void **state)
{
	struct fixture *f = *state;
	struct keel_sqe q = keel_dc_sqe(KEEL_OP_NOP, 0, 1);
	struct keel_cqe cqe;

	assert_int_equal(keel_dc_attached(&f->c), 0);
	f->h->generation = 0;
	assert_int_equal(keel_dc_submit(&f->c, &q), -EPIPE);
	assert_int_equal(keel_dc_poll(&f->c, &cqe), -EPIPE);
	assert_false(keel_dc_may_sleep(&f->c));
	f->h->generation = 9;
	assert_int_equal(keel_dc_poll(&f->c, &cqe), -EPIPE);
}

static void allocator_hands_out_disjoint_pieces(void **state)
{
	struct fixture *f = *state;
	struct { uint64_t off, bytes; } held[512];
	unsigned int n = 0, i, seed = 1, round;
	uint64_t bytes, off;

	assert_int_equal(keel_dc_attached(&f->c), 0);
	assert_int_equal(keel_dc_alloc(&f->c, 0), 0);
	assert_int_equal(keel_dc_alloc(&f->c, f->c.layout.buf_bytes + 1), 0);
	for (round = 0; round < 20000; round++) {
		seed = seed * 1103515245 + 12345;
		if (n == 512 || (n && seed >> 16 & 1)) {
			i = (seed >> 20) % n;
			keel_dc_free(&f->c, held[i].off, held[i].bytes);
			held[i] = held[--n];
			continue;
		}
		bytes = 1 + (seed >> 12) % 9000;
		off = keel_dc_alloc(&f->c, bytes);
		if (!off)
			continue;
		assert_true(keel_dc_range_ok(off, bytes, f->c.layout.buf_off, f->c.layout.buf_bytes));
		for (i = 0; i < n; i++)
			assert_true(off + bytes <= held[i].off || held[i].off + held[i].bytes <= off);
		held[n].off = off;
		held[n++].bytes = bytes;
	}
	while (n) {
		n--;
		keel_dc_free(&f->c, held[n].off, held[n].bytes);
	}
	off = keel_dc_alloc(&f->c, f->c.layout.buf_bytes);
	assert_int_equal(off, f->c.layout.buf_off);	/* nothing leaked */
	assert_int_equal(keel_dc_alloc(&f->c, 1), 0);
}

/* ---- what a server tells ----------------------------------------------------------------------- */

static void only_stored_files_may_be_read_ahead(void **state)
{
	(void)state;
	assert_int_equal(keel_dc_opened(true, 5, 8), 7 | 5 << KEEL_DC_OPENED_SIZE_SHIFT);
	assert_int_equal(keel_dc_opened(true, 4096, 0) & 0xff, KEEL_DC_OPENED_TOLD | KEEL_DC_OPENED_SEEK);
	assert_int_equal(keel_dc_opened(false, 0, 8), KEEL_DC_OPENED_TOLD);
	assert_int_equal(keel_dc_opened(true, 1ULL << 40, 8) >> KEEL_DC_OPENED_SIZE_SHIFT, KEEL_DC_OPENED_LARGE);
}

static void the_time_is_taken_whole(void **state)
{
	static struct keel_dc_header h;
	uint64_t ns = 0, tsc = 0;

	(void)state;
	assert_false(keel_dc_clock(&h, &ns, &tsc));	/* never told */
	keel_dc_clock_set(&h, 5, 6);
	assert_true(keel_dc_clock(&h, &ns, &tsc));
	assert_int_equal(ns, 5);
	assert_int_equal(tsc, 6);
	h.clock_seq |= 1;				/* being changed, for ever: ends all the same */
	assert_false(keel_dc_clock(&h, &ns, &tsc));
	keel_dc_clock_set(&h, 7, 8);
	assert_true(keel_dc_clock(&h, &ns, &tsc));
	assert_int_equal(ns, 7);
	h.clock_seq = UINT32_MAX - 1;			/* wraps: 0 would say never */
	keel_dc_clock_set(&h, 9, 10);
	assert_true(keel_dc_clock(&h, &ns, &tsc));
	assert_int_equal(tsc, 10);
}

#define CLIENT(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(magic_spells_its_name),
		cmocka_unit_test(chosen_layouts_are_accepted),
		cmocka_unit_test(odd_windows_are_refused),
		cmocka_unit_test(layouts_that_leave_the_window_are_refused),
		cmocka_unit_test(ranges_do_not_overflow),
		cmocka_unit_test(only_stored_files_may_be_read_ahead),
		cmocka_unit_test(the_time_is_taken_whole),
		CLIENT(client_waits_for_its_generation),
		CLIENT(client_refuses_a_foreign_header),
		CLIENT(client_submits_no_more_than_fits),
		CLIENT(client_polls_what_it_asked_for_only),
		CLIENT(client_notices_the_end_of_the_session),
		CLIENT(allocator_hands_out_disjoint_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

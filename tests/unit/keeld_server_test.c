// SPDX-License-Identifier: MIT
/*
 * keeld_server_test.c - driver calls answered by keeld's real server loop, real io_uring and real files
 * (keeld_fixture.c), asked by the client that unikernels use.
 *
 * Shows: calls do what they say with data in place; nothing outside the policy is reached.
 * Failure looks like a wrong result, a hang (the runner's time limit), or a sanitizer report.
 */
#include "keeld_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- calls ------------------------------------------------------------------------------------------------ */

static void a_file_is_written_and_read_back_in_place(void **state)
{
	struct statx *st;
	char *data = keel_dc_ptr(&client, DATA);
	int file, i;

	(void)state;
	file = open_file("f", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT | KEEL_DC_O_TRUNC);
	assert_int_equal(file, 0);
	for (i = 0; i < 100000; i++)
		data[i] = (char)(i * 7);
	assert_int_equal(call(keel_dc_write(file, DATA, 100000, 0, 2)), 100000);
	assert_int_equal(call(keel_dc_fsync(file, 0, 3)), 0);
	memset(data, 0, 100000);
	assert_int_equal(call(keel_dc_read(file, DATA, 50000, 50000, 4)), 50000);
	for (i = 0; i < 50000; i++)
		assert_true(data[i] == (char)((i + 50000) * 7));
	assert_true(data[50000] == 0);
	assert_int_equal(call(keel_dc_read(file, DATA, 10, 100000, 5)), 0);	/* the end */
	assert_int_equal(call(keel_dc_statx(file, 0, KEEL_DC_AT_EMPTY_PATH, 0x7ff, DATA, 6)), 0);
	st = keel_dc_ptr(&client, DATA);
	assert_int_equal(st->stx_size, 100000);
	assert_int_equal(call(keel_dc_close(file, 7)), 0);
	assert_int_equal(call(keel_dc_read(file, DATA, 1, 0, 8)), -EBADF);
	assert_int_equal(call(keel_dc_close(file, 9)), -EBADF);
}

static void files_can_be_truncated(void **state)
{
	int file = open_file("t", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT | KEEL_DC_O_TRUNC), res;
	struct statx *st = keel_dc_ptr(&client, DATA);

	(void)state;
	res = call(keel_dc_ftruncate(file, 12345, 1));
	if (res == -EINVAL) {
		print_message("this kernel's io_uring has no ftruncate (6.9 and later do)\n");
		return;
	}
	assert_int_equal(res, 0);
	assert_int_equal(call(keel_dc_statx(file, 0, KEEL_DC_AT_EMPTY_PATH, 0x7ff, DATA, 6)), 0);
	assert_int_equal(st->stx_size, 12345);
}

static void names_are_made_moved_and_removed(void **state)
{
	struct statx *st = keel_dc_ptr(&client, DATA);
	int file;

	(void)state;
	assert_int_equal(call(keel_dc_mkdir(in_root("d"), 0755, 1)), 0);
	assert_int_equal(call(keel_dc_mkdir(in_root("d"), 0755, 1)), -EEXIST);
	assert_int_equal(call(keel_dc_mkdir(in_root(""), 0755, 1)), -EEXIST);
	file = open_file("d/a", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT | KEEL_DC_O_EXCL);
	assert_true(file >= 0);
	assert_int_equal(open_file("d/a", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT | KEEL_DC_O_EXCL), -EEXIST);
	assert_int_equal(call(keel_dc_rename(in_root("d/a"), path_at(1, root, "b"), 0, 1)), 0);
	assert_int_equal(open_file("d/a", KEEL_DC_O_RDONLY), -ENOENT);
	assert_int_equal(call(keel_dc_statx(KEEL_DC_AT_FDCWD, in_root("b"), 0, 0x7ff, DATA, 1)), 0);
	assert_true(S_ISREG(st->stx_mode));
	assert_int_equal(call(keel_dc_rename(in_root("b"), path_at(1, root, "d"),
					     KEEL_DC_RENAME_NOREPLACE, 1)), -EEXIST);
	assert_int_equal(call(keel_dc_unlink(in_root("d"), 0, 1)), -EISDIR);
	assert_int_equal(call(keel_dc_unlink(in_root("d"), KEEL_DC_AT_REMOVEDIR, 1)), 0);
	assert_int_equal(call(keel_dc_unlink(in_root("b"), 0, 1)), 0);
	assert_int_equal(call(keel_dc_unlink(in_root("b"), 0, 1)), -ENOENT);
	assert_int_equal(call(keel_dc_unlink(in_root(""), KEEL_DC_AT_REMOVEDIR, 1)), -EBUSY);
}

static void directories_open_as_such(void **state)
{
	(void)state;
	assert_true(open_file("", KEEL_DC_O_RDONLY | KEEL_DC_O_DIRECTORY) >= 0);
	assert_int_equal(open_file("", KEEL_DC_O_RDWR), -EISDIR);
	assert_true(open_file("x", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT) >= 0);
	assert_int_equal(open_file("x", KEEL_DC_O_RDONLY | KEEL_DC_O_DIRECTORY), -ENOTDIR);
}

static void devices_need_a_rule_of_their_own(void **state)
{
	int file;

	(void)state;
	file = call(keel_dc_open(path_at(0, "/dev", "null"), KEEL_DC_O_RDWR, 0, 1));
	assert_true(file >= 0);
	assert_int_equal(call(keel_dc_write(file, DATA, 100, 0, 1)), 100);
	assert_int_equal(open_file("fifo", KEEL_DC_O_RDONLY), -EACCES);
	assert_int_equal(open_file("fifo", KEEL_DC_O_RDWR), -EACCES);
	assert_int_equal(open_file("fifo", KEEL_DC_O_WRONLY), -ENXIO);
}

static void many_calls_are_answered_once_each(void **state)
{
	unsigned int seen[64], i, sent = 0, got = 0;
	struct keel_cqe cqe;
	int file = open_file("m", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT);
	struct keel_sqe q;

	(void)state;
	memset(seen, 0, sizeof(seen));
	while (got < 20000) {
		while (sent < 20000) {
			i = sent % 64;
			q = i % 3 ? keel_dc_write(file, DATA + i * 512, 512, i * 512, i)
				  : keel_dc_sqe(KEEL_OP_NOP, 0, i);
			if (keel_dc_submit(&client, &q))
				break;
			sent++;
		}
		if (keel_dc_need_kick(&client))
			ring_fd(chan.server_event);
		assert_int_equal(next(&cqe), 1);
		assert_true(cqe.user_data < 64);
		assert_int_equal(cqe.res, cqe.user_data % 3 ? 512 : 0);
		seen[cqe.user_data]++;
		got++;
	}
	for (i = 0; i < 64; i++)
		assert_int_equal(seen[i], 20000 / 64 + (i < 20000 % 64));
}

/* "regular" files whose file systems do not know reading without waiting. */
static void made_up_files_are_read(void **state)
{
	char *data = keel_dc_ptr(&client, DATA), text[512];
	int file = call(keel_dc_open(path_at(0, "/proc", "version"), KEEL_DC_O_RDONLY, 0, 1));
	int fd = open("/proc/version", O_RDONLY), n, i;

	(void)state;
	n = (int)read(fd, text, sizeof(text));
	close(fd);
	assert_in_range(n, 10, sizeof(text) - 1);
	for (i = 0; i < 2; i++) {		/* the first time finds out */
		assert_int_equal(call(keel_dc_read(file, DATA, sizeof(text), 0, 1)), n);
		assert_memory_equal(data, text, (size_t)n);
		assert_int_equal(call(keel_dc_read(file, DATA, 4, 5, 1)), 4);
		assert_memory_equal(data, text + 5, 4);
		assert_int_equal(call(keel_dc_read(file, DATA, 4, (uint64_t)n, 1)), 0);
	}
}

static void an_open_tells_what_it_opened(void **state)
{
	struct keel_cqe cqe;
	int f = open_file("f", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT | KEEL_DC_O_TRUNC);

	(void)state;
	memset(keel_dc_ptr(&client, DATA), 'x', 5000);
	assert_int_equal(call(keel_dc_write(f, DATA, 5000, 0, 1)), 5000);
	assert_int_equal(call(keel_dc_fsync(f, 0, 1)), 0);	/* so that it has blocks everywhere */
	submit(keel_dc_open(in_root("f"), KEEL_DC_O_RDONLY, 0, 2));
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(cqe.flags, keel_dc_opened(true, 5000, 8));
	submit(keel_dc_open(path_at(0, "/proc", "version"), KEEL_DC_O_RDONLY, 0, 3));
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(cqe.flags, KEEL_DC_OPENED_TOLD | KEEL_DC_OPENED_SEEK);
	submit(keel_dc_open(path_at(0, "/dev", "null"), KEEL_DC_O_RDONLY, 0, 4));
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(cqe.flags, KEEL_DC_OPENED_TOLD);
	submit(keel_dc_open(in_root("missing"), KEEL_DC_O_RDONLY, 0, 5));
	assert_int_equal(next(&cqe), 1);
	assert_int_equal(cqe.flags, 0);
}

static uint64_t wall_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Told when it comes up, and again at a NOP: an old time of the client's own making is gone then. */
static void a_nop_tells_the_time(void **state)
{
	uint64_t ns, tsc, first, before, tsc_before = __builtin_ia32_rdtsc();

	(void)state;
	assert_true(keel_dc_clock(client.hdr, &ns, &first));
	assert_in_range(first, 1, tsc_before);
	assert_in_range(ns, 1, wall_now());
	do {				/* it does not tell more often than twice a second */
		before = wall_now();
		tsc_before = __builtin_ia32_rdtsc();
		assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
		assert_true(keel_dc_clock(client.hdr, &ns, &tsc));
	} while (tsc == first);
	assert_in_range(tsc, tsc_before, __builtin_ia32_rdtsc());
	assert_in_range(ns, before, wall_now());
}

/* ---- what must not work -------------------------------------------------------------------------------- */

static void nothing_outside_the_policy_is_reached(void **state)
{
	static const char *const escapes[] = { "../%s/secret", "out/secret", "./../../etc/passwd",
					       "out/../secret", "out", "..", "../.." };
	char name[256];
	unsigned int i;
	int res;

	(void)state;
	for (i = 0; i < NELEM(escapes); i++) {
		snprintf(name, sizeof(name), i ? escapes[i] : "../%s/secret",
			 strrchr(outside, '/') + 1);
		assert_int_equal(open_file(name, KEEL_DC_O_RDONLY), -EACCES);
		res = open_file(name, KEEL_DC_O_RDWR | KEEL_DC_O_CREAT);
		assert_true(res == -EACCES || res == -EISDIR);
		assert_int_equal(call(keel_dc_statx(KEEL_DC_AT_FDCWD, in_root(name), 0, 0, DATA, 1)),
				 -EACCES);
	}
	assert_int_equal(call(keel_dc_open(path_at(0, outside, "secret"), 0, 0, 1)), -EACCES);
	assert_int_equal(call(keel_dc_unlink(in_root("out/secret"), 0, 1)), -EACCES);
	assert_int_equal(call(keel_dc_mkdir(in_root("out/new"), 0755, 1)), -EACCES);
	assert_int_equal(call(keel_dc_rename(in_root("out/secret"), path_at(1, root, "got"), 0, 1)),
			 -EACCES);
	assert_true(open_file("x", KEEL_DC_O_WRONLY | KEEL_DC_O_CREAT) >= 0);
	assert_int_equal(call(keel_dc_rename(in_root("x"), path_at(1, outside, "x"), 0, 1)), -EACCES);
	assert_int_equal(call(keel_dc_rename(in_root("x"), path_at(1, root, "out/x"), 0, 1)), -EACCES);
	/* the link itself is in the directory and may go */
	assert_int_equal(call(keel_dc_rename(in_root("out"), path_at(1, root, "out2"), 0, 1)), 0);
	assert_int_equal(call(keel_dc_rename(in_root("out2"), path_at(1, root, "out"), 0, 1)), 0);
	assert_true(logged("denied: open "));
}

static void read_only_rules_do_not_write(void **state)
{
	static const uint32_t flags[] = { KEEL_DC_O_WRONLY, KEEL_DC_O_RDWR, KEEL_DC_O_CREAT,
					  KEEL_DC_O_TRUNC };
	unsigned int i;
	int file;

	(void)state;
	for (i = 0; i < NELEM(flags); i++)
		assert_int_equal(call(keel_dc_open(path_at(0, "/proc", "version"), flags[i], 0, 1)),
				 -EACCES);
	file = call(keel_dc_open(path_at(0, "/proc", "version"), 0, 0, 1));
	assert_true(file >= 0);
	assert_true(call(keel_dc_read(file, DATA, 100, 0, 1)) > 0);
	assert_int_equal(call(keel_dc_write(file, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_unlink(path_at(0, "/proc", "version"), 0, 1)), -EACCES);
}

static void bad_requests_are_answered_and_harmless(void **state)
{
	struct keel_sqe q;
	unsigned int op;

	(void)state;
	for (op = KEEL_OP_NR; op < 256; op++)
		assert_int_equal(call(keel_dc_sqe((uint8_t)op, 0, op)), -EINVAL);
	assert_int_equal(call(keel_dc_read(0, 0, 100, 0, 1)), -EFAULT);
	assert_int_equal(call(keel_dc_read(0, WINDOW - 10, 11, 0, 1)), -EFAULT);
	assert_int_equal(call(keel_dc_read(-1, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_read(64, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_read(INT32_MAX, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_read(INT32_MIN, DATA, 1, 0, 1)), -EBADF);
	assert_int_equal(call(keel_dc_read(2, DATA, 1, 0, 1)), -EBADF);	/* keeld's own stderr */
	assert_int_equal(call(keel_dc_open(WINDOW - 1, 0, 0, 1)), -ENAMETOOLONG);
	assert_int_equal(call(keel_dc_open(UINT64_MAX, 0, 0, 1)), -EFAULT);
	q = keel_dc_open(in_root("f"), 0, 0, 1);
	q.flags = 1;				/* IOSQE_FIXED_FILE */
	assert_int_equal(call(q), -EINVAL);
	*(char *)keel_dc_ptr(&client, DATA) = '\0';
	assert_int_equal(call(keel_dc_open(DATA, 0, 0, 1)), -ENOENT);
}

static void open_files_are_bounded(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < KEEL_DC_MAX_FILES; i++)
		assert_int_equal(open_file("many", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), i);
	assert_int_equal(open_file("many", KEEL_DC_O_RDONLY), -EMFILE);
	assert_int_equal(call(keel_dc_close(17, 1)), 0);
	assert_int_equal(open_file("many", KEEL_DC_O_RDONLY), 17);
}

static void an_empty_policy_refuses_at_once(void **state)
{
	(void)state;
	teardown(NULL);
	setup(NULL);
	policy_free(&policy);
	assert_int_equal(open_file("f", KEEL_DC_O_RDONLY), -EACCES);
	assert_int_equal(call(keel_dc_mkdir(in_root("d"), 0755, 1)), -EACCES);
	assert_int_equal(call(keel_dc_statx(KEEL_DC_AT_FDCWD, in_root("f"), 0, 0x7ff, DATA, 1)), -EACCES);
	assert_int_equal(call(keel_dc_sqe(KEEL_OP_NOP, 0, 1)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_is_written_and_read_back_in_place),
		T(files_can_be_truncated),
		T(names_are_made_moved_and_removed),
		T(directories_open_as_such),
		T(devices_need_a_rule_of_their_own),
		T(many_calls_are_answered_once_each),
		T(nothing_outside_the_policy_is_reached),
		T(read_only_rules_do_not_write),
		T(bad_requests_are_answered_and_harmless),
		T(open_files_are_bounded),
		T(made_up_files_are_read),
		T(an_open_tells_what_it_opened),
		T(a_nop_tells_the_time),
		T(an_empty_policy_refuses_at_once),
	};

	return fixture_run("keeld_server_test", tests, NELEM(tests));
}

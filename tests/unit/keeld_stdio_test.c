// SPDX-License-Identifier: MIT
/*
 * keeld_stdio_test.c - a session's standard streams (keeld_fixture.c).
 *
 * Shows: file numbers 0, 1 and 2 are the streams the server was given, from the beginning of every session; a read that
 * waits holds up nothing else and ends with the session; who reads our output may leave.
 * Failure looks like a wrong result, a hang (the runner's time limit), or a sanitizer report.
 */
#include "keeld_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static int in[2], out[2], err_out[2];	/* pipes; the server has in[0], out[1], err_out[1] */
static int given[3];

static int with_streams(void **state)
{
	if (pipe(in) || pipe(out) || pipe(err_out))
		return -1;
	given[0] = in[0];
	given[1] = out[1];
	given[2] = err_out[1];
	server_stdio = given;
	return setup(state);
}

static int without_streams(void **state)
{
	int res = teardown(state), i;

	server_stdio = NULL;
	for (i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
		close(err_out[i]);
	}
	return res;
}

static char *data(void)
{
	return keel_dc_ptr(&client, DATA);
}

static void what_is_written_comes_out_of_the_stream(void **state)
{
	char text[16] = "";

	(void)state;
	memcpy(data(), "to out", 6);
	assert_int_equal(call(keel_dc_write(1, DATA, 6, 0, 1)), 6);
	assert_int_equal(read(out[0], text, sizeof(text)), 6);
	assert_memory_equal(text, "to out", 6);
	memcpy(data(), "error", 5);
	assert_int_equal(call(keel_dc_write(2, DATA, 5, 0, 1)), 5);
	assert_int_equal(read(err_out[0], text, sizeof(text)), 5);
	assert_memory_equal(text, "error", 5);
}

static void input_is_read_as_it_comes_and_ends(void **state)
{
	(void)state;
	assert_int_equal(write(in[1], "one\ntwo", 7), 7);
	assert_int_equal(call(keel_dc_read(0, DATA, 4, 0, 1)), 4);
	assert_memory_equal(data(), "one\n", 4);
	/* Wherever the client says it is. */
	assert_int_equal(call(keel_dc_read(0, DATA, 100, 12345, 1)), 3);
	assert_memory_equal(data(), "two", 3);
	close(in[1]);
	assert_int_equal(call(keel_dc_read(0, DATA, 100, 0, 1)), 0);
	in[1] = open("/dev/null", O_RDWR);
}

/* A file as standard input is read from where it is, piece by piece. */
static void a_file_as_input_goes_on_where_the_last_read_ended(void **state)
{
	int fd = memfd_create("input", 0);

	(void)state;
	assert_int_equal(write(fd, "abcdefgh", 8), 8);
	assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
	assert_true(dup2(fd, in[0]) == in[0]);
	close(fd);
	set_up(&chan.client_up, false);	/* sessions duplicate what is there when they begin */
	set_up(&chan.client_up, true);
	client_attach();
	assert_int_equal(call(keel_dc_read(0, DATA, 3, 0, 1)), 3);
	assert_memory_equal(data(), "cde", 3);
	assert_int_equal(call(keel_dc_read(0, DATA, 100, 0, 1)), 3);
	assert_memory_equal(data(), "fgh", 3);
}

static void a_read_that_waits_holds_up_nothing_else(void **state)
{
	struct keel_cqe cqe;
	int i;

	(void)state;
	submit(keel_dc_read(0, DATA, 100, 0, 77));
	for (i = 0; i < 20; i++) {
		submit(keel_dc_write(1, DATA, 1, 0, 5));
		assert_int_equal(next(&cqe), 1);
		assert_true(cqe.user_data == 5 && cqe.res == 1);
	}
	assert_int_equal(open_file("f", KEEL_DC_O_RDWR | KEEL_DC_O_CREAT), 3);	/* 0, 1, 2 are taken */
	assert_int_equal(write(in[1], "x", 1), 1);
	assert_int_equal(next(&cqe), 1);
	assert_true(cqe.user_data == 77 && cqe.res == 1);
}

static void a_waiting_read_ends_with_the_session(void **state)
{
	(void)state;
	submit(keel_dc_read(0, DATA, 100, 0, 77));
	set_up(&chan.client_up, false);
	set_up(&chan.client_up, true);
	client_attach();	/* hangs if the read is waited for */
	/* And it has not eaten what comes after it. */
	assert_int_equal(write(in[1], "new", 3), 3);
	assert_int_equal(call(keel_dc_read(0, DATA, 100, 0, 1)), 3);
}

static void nobody_reading_is_an_error_and_not_the_servers_end(void **state)
{
	(void)state;
	close(out[0]);
	assert_int_equal(call(keel_dc_write(1, DATA, 6, 0, 1)), -EPIPE);
	assert_int_equal(call(keel_dc_write(1, DATA, 6, 0, 1)), -EPIPE);
	assert_int_equal(call(keel_dc_write(2, DATA, 6, 0, 1)), 6);
	out[0] = open("/dev/null", O_RDWR);
}

static void closed_streams_are_there_again_in_the_next_session(void **state)
{
	(void)state;
	assert_int_equal(call(keel_dc_close(1, 1)), 0);
	assert_int_equal(call(keel_dc_write(1, DATA, 1, 0, 1)), -EBADF);
	set_up(&chan.client_up, false);
	set_up(&chan.client_up, true);
	client_attach();
	assert_int_equal(call(keel_dc_write(1, DATA, 1, 0, 1)), 1);
}

static void the_header_says_that_they_are_there_and_which_are_terminals(void **state)
{
	int pty = posix_openpt(O_RDWR | O_NOCTTY), tty;

	(void)state;
	assert_int_equal(client.hdr->flags, KEEL_DC_STDIO);
	assert_int_equal(teardown(state), 0);
	assert_true(pty >= 0 && !grantpt(pty) && !unlockpt(pty));
	tty = open(ptsname(pty), O_RDWR | O_NOCTTY);
	given[2] = tty;
	assert_int_equal(setup(state), 0);
	assert_int_equal(client.hdr->flags, KEEL_DC_STDIO | KEEL_DC_TTY(2));
	assert_int_equal(call(keel_dc_write(2, DATA, 1, 0, 1)), 1);
	close(tty);
	close(pty);
}

static void there_are_none_unless_they_were_given(void **state)
{
	(void)state;
	assert_int_equal(teardown(state), 0);
	server_stdio = NULL;
	assert_int_equal(setup(state), 0);
	assert_int_equal(client.hdr->flags, 0);
	assert_int_equal(call(keel_dc_write(1, DATA, 1, 0, 1)), -EBADF);
}

#define S(f) cmocka_unit_test_setup_teardown(f, with_streams, without_streams)

int main(void)
{
	const struct CMUnitTest tests[] = {
		S(what_is_written_comes_out_of_the_stream),
		S(input_is_read_as_it_comes_and_ends),
		S(a_file_as_input_goes_on_where_the_last_read_ended),
		S(a_read_that_waits_holds_up_nothing_else),
		S(a_waiting_read_ends_with_the_session),
		S(nobody_reading_is_an_error_and_not_the_servers_end),
		S(closed_streams_are_there_again_in_the_next_session),
		S(the_header_says_that_they_are_there_and_which_are_terminals),
		S(there_are_none_unless_they_were_given),
	};

	return fixture_run("keeld_stdio", tests, NELEM(tests));
}

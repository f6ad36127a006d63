// SPDX-License-Identifier: MIT
/*
 * runtime_stdio_test.c - standard streams through the channel: a partition that keelctl run has started.
 *
 * The image runs in a process, the played server (runtime_machine.c) has pipes and files as numbers 0, 1 and 2 of the
 * session. Shows: data goes through unchanged in pieces of any size; the end, a reader that has gone and a server that
 * has gone are told; signals while a stream waits; who has no such streams has the console, without waiting.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "runtime_lua.h"

#define PROBE	BUILD "/unikernel/probe.elf"
#define MEGABYTE (1 << 20)

static int stream_in[2], out, err;	/* in: a pipe; the others files in memory */
static unsigned writes;			/* requests of the last run, of numbers 1 and 2 */

static int file_with(const void *data, size_t bytes)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, bytes), bytes);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int open_streams(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	out = file_with("", 0);
	err = file_with("", 0);
	return pipe2(stream_in, O_CLOEXEC);
}

static int close_streams(void **state)
{
	(void)state;
	close(stream_in[0]);
	if (stream_in[1] >= 0)
		close(stream_in[1]);
	close(out);
	close(err);
	return 0;
}

static void type(const char *text)
{
	assert_int_equal(write(stream_in[1], text, strlen(text)), strlen(text));
}

static void type_end(void)
{
	close(stream_in[1]);
	stream_in[1] = -1;
}

static int count(struct machine *m, const struct keel_sqe *s)
{
	if (m->requests == 0)
		writes = 0;
	writes += s->opcode == KEEL_OP_WRITE && s->fd <= 2;
	return SERVE_NORMALLY;
}

static struct machine_config config(const char *script)
{
	struct machine_config cfg = lua_config(script);

	cfg.chan = 1;
	cfg.server_up = true;
	cfg.dc_flags = KEEL_DC_STDIO;
	cfg.stdio[0] = stream_in[0];
	cfg.stdio[1] = out;
	cfg.stdio[2] = err;
	cfg.serve = count;
	return cfg;
}

static struct machine_config probe(const char *cmdline)
{
	struct machine_config cfg = config("");

	cfg.image = PROBE;
	cfg.cmdline = cmdline;
	return cfg;
}

static const char *content(int fd)
{
	static char text[2][8192];
	char *t = text[fd == err];
	ssize_t n = pread(fd, t, sizeof(text[0]) - 1, 0);

	assert_true(n >= 0);
	t[n] = '\0';
	return t;
}

/* Runs to its end: nothing on the console, that on its streams. */
static void expect(const struct machine_config *cfg, int status, const char *to_out, const char *to_err)
{
	struct machine *m = machine_run(cfg);

	if (m->end != MACHINE_EXIT || m->status != status || *m->out || strcmp(content(out), to_out) != 0 ||
	    strcmp(content(err), to_err) != 0)
		fail_msg("end %d (%s), status %d, console: %s\nout: %s\nexpected: %s\nerr: %s\nexpected: %s", m->end, m->why,
			 m->status, m->out, content(out), to_out, content(err), to_err);
	machine_free(m);
}

/* ---- data -------------------------------------------------------------------------------------------- */

static size_t odd(size_t len)
{
	static size_t n;
	size_t most = 1 + (n = (n * 7919 + 13) % 70001);

	return len < most ? len : most;
}

static void comes_out_as_it_went_in(const char *script, size_t (*portion)(size_t))
{
	static unsigned char in[MEGABYTE], came[MEGABYTE + 1];
	struct machine_config cfg = config(script);
	int fd;

	srand(1);
	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (unsigned char)(rand() >> 8);
	fd = file_with(in, sizeof(in));
	cfg.stdio[0] = fd;
	cfg.portion = portion;
	cfg.mem_bytes = 8 << 20;
	assert_int_equal(ftruncate(out, 0), 0);
	lseek(out, 0, SEEK_SET);
	lua_expect(&cfg, MACHINE_EXIT, 0, "");
	assert_int_equal(pread(out, came, sizeof(came), 0), sizeof(in));
	assert_memory_equal(in, came, sizeof(in));
	close(fd);
}

static void a_megabyte_goes_through_unchanged(void **state)
{
	static const char pieces[] = "local n = 1 while true do n = n * 7 % 30011 local s = io.read(n) "
				     "if not s then break end io.write(s) end";

	(void)state;
	comes_out_as_it_went_in("io.write(io.read('a'))", NULL);
	comes_out_as_it_went_in("io.write(io.read('a'))", odd);
	comes_out_as_it_went_in(pieces, NULL);
	comes_out_as_it_went_in(pieces, odd);
}

static void large_writes_are_few_requests(void **state)
{
	struct machine_config cfg = config("io.write(('x'):rep(500000))");

	(void)state;
	lua_expect(&cfg, MACHINE_EXIT, 0, "");
	assert_int_equal(lseek(out, 0, SEEK_END), 500000);
	assert_in_range(writes, 1, 8);
}

static void lines_and_the_end_of_input(void **state)
{
	struct machine_config cfg = config("print(io.read('n') * 2) print(io.read(), io.read()) print(io.read(), io.read(1))");

	(void)state;
	type("21\nlast");
	type_end();
	expect(&cfg, 0, "42\n\tlast\nnil\tnil\n", "");
}

static void a_script_comes_from_standard_input(void **state)
{
	struct machine_config cfg = config("");

	(void)state;
	cfg.cmdline = "lua -";
	type("print(1 + 1) io.stderr:write('no') os.exit(1)");
	type_end();
	expect(&cfg, 1, "2\n", "no");
}

static void what_is_buffered_is_written_at_the_end(void **state)
{
	struct machine_config cfg = config("for i = 1, 9 do io.write(i) end os.exit(3)");

	(void)state;
	expect(&cfg, 3, "123456789", "");
	assert_int_equal(writes, 1);
	cfg = config("io.write('a') io.stderr:write('b') os.exit(true, true)");
	expect(&cfg, 0, "123456789a", "b");
}

/* ---- what they are ----------------------------------------------------------------------------------- */

static void they_are_pipes_unless_they_are_terminals(void **state)
{
	struct machine_config cfg = probe("probe streams");

	(void)state;
	expect(&cfg, 0, "0: tty 0 mode 10000 seek -29 pread -29 flags 0\n1: tty 0 mode 10000 seek -29 pread -29 flags 1\n"
	       "2: tty 0 mode 10000 seek -29 pread -29 flags 1\nread of output -9, write of input -9, dup 2\n", "");
	assert_int_equal(ftruncate(out, 0), 0);
	lseek(out, 0, SEEK_SET);
	cfg.dc_flags |= KEEL_DC_TTY(0) | KEEL_DC_TTY(2);
	expect(&cfg, 0, "0: tty 1 mode 20000 seek -29 pread -29 flags 0\n1: tty 0 mode 10000 seek -29 pread -29 flags 1\n"
	       "2: tty 1 mode 20000 seek -29 pread -29 flags 1\nread of output -9, write of input -9, dup 2\n", "");
}

/* On a terminal lua is interactive, and its output line by line. */
static void a_terminal_gets_the_interpreter(void **state)
{
	struct machine_config cfg = config("");

	(void)state;
	cfg.cmdline = "lua";
	cfg.dc_flags |= KEEL_DC_TTY(0) | KEEL_DC_TTY(1) | KEEL_DC_TTY(2);
	type("1+1\n");
	type_end();
	expect(&cfg, 0, "Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio\n> 2\n> \n", "");
}

/* ---- somebody has gone ------------------------------------------------------------------------------- */

static void a_reader_that_has_gone_is_epipe(void **state)
{
	struct machine_config cfg = config("io.stdout:setvbuf('no') io.stderr:write(select(3, io.write('x')))");
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	close(p[0]);
	cfg.stdio[1] = p[1];
	expect(&cfg, 0, "", "32");
	/* Who does not care ends as by SIGPIPE. */
	cfg.modules[0].data = "while true do print(1) end";
	cfg.modules[0].bytes = strlen(cfg.modules[0].data);
	expect(&cfg, 128 + SIGPIPE, "", "32");
	close(p[1]);
}

static unsigned down_at;		/* the so-manieth request is the server's last */

static int die(struct machine *m, const struct keel_sqe *s)
{
	(void)s;
	if (m->requests + 1 == down_at)
		machine_server_down(m);
	return SERVE_NORMALLY;
}

static void a_server_that_dies_is_eio(void **state)
{
	struct machine_config cfg = config("for i = 1, 5 do local _, _, e = io.write(i) if not e then _, _, e = io.flush() end "
					   "if e then os.exit(select(3, io.write('x')) or 100 + e) end end");

	(void)state;
	cfg.serve = die;
	down_at = 3;
	expect(&cfg, 105, "12", "");
	cfg.modules[0].data = "local _, _, e = io.read(1) os.exit(100 + e)";
	cfg.modules[0].bytes = strlen(cfg.modules[0].data);
	down_at = 1;
	expect(&cfg, 105, "12", "");
}

/* The server dies as the third request comes, and another one is there at once. */
static int die_and_come_back(struct machine *m, const struct keel_sqe *s)
{
	(void)s;
	if (m->requests + 1 == down_at) {
		machine_server_down(m);
		machine_server_up(m);
	}
	return SERVE_NORMALLY;
}

static void the_next_server_has_the_streams(void **state)
{
	struct machine_config cfg = config("io.stdout:setvbuf('no') for i = 1, 5 do local _, _, e = io.write(i) if e then io.write('e', e) end end "
					   "io.write(io.read('l')) io.stderr:write('err')");

	(void)state;
	cfg.serve = die_and_come_back;
	down_at = 3;
	type("in\n");
	expect(&cfg, 0, "12e545in", "err");	/* EIO for 3, which nobody has written */
}

/* ---- the console ------------------------------------------------------------------------------------- */

static void without_the_flag_it_is_the_console(void **state)
{
	struct machine_config cfg = config("print(io.read())");

	(void)state;
	cfg.dc_flags = 0;
	cfg.input = "typed\n";
	lua_expect(&cfg, MACHINE_EXIT, 0, "typed\n");
	assert_string_equal(content(out), "");
}

static void nobody_is_waited_for_at_the_console(void **state)
{
	struct machine_config cfg = config("for i = 1, 3 do io.write(i) io.flush() end");
	struct machine *m;

	(void)state;
	for (unsigned chan = 1; chan <= MACHINE_CHANNEL; chan += MACHINE_CHANNEL - 1) {
		cfg.chan = chan;
		cfg.server_up = false;
		m = machine_run(&cfg);
		assert_int_equal(m->end, MACHINE_EXIT);
		assert_string_equal(m->out, "123");
		assert_int_equal(m->hypercalls[KEEL_HC_BLOCK], 0);
		assert_int_equal(m->hypercalls[KEEL_HC_CAP_INFO], 0);
		assert_int_equal(m->hypercalls[KEEL_HC_CHAN_INFO], 1);
		machine_free(m);
	}
}

/* A manifest's partition, whose server comes when it has long been using the console. */
static void a_console_stays_one_when_a_server_comes(void **state)
{
	struct machine_config cfg = config("print(1) io.open('/mnt/x', 'w'):close() print(2)");

	(void)state;
	cfg.server_up = false;
	lua_expect(&cfg, MACHINE_EXIT, 0, "1\n2\n");
}

/* What the runtime says of itself does not get between the program's lines. */
static void the_runtimes_own_words_stay_on_the_console(void **state)
{
	struct machine_config cfg = probe("probe no_thread");

	(void)state;
	lua_expect(&cfg, MACHINE_EXIT, 0, "runtime: system call 56 (clone) is not there\n"
		   "runtime: system call 58 (vfork) is not there\n");
	assert_non_null(strstr(content(out), "clone -38\n"));
}

/* ---- signals ----------------------------------------------------------------------------------------- */

static void interrupt_ends_a_read(void **state)
{
	struct machine_config cfg = config("print(pcall(io.read)) print('on')");

	(void)state;
	cfg.input = "\003";
	expect(&cfg, 0, "false\tinterrupted!\non\n", "");
}

/* A handler opens a file and writes while a read waits; the read goes on. */
static int type_when_opened(struct machine *m, const struct keel_sqe *s)
{
	(void)m;
	if (s->opcode == KEEL_OP_OPENAT)
		type("late");
	return SERVE_NORMALLY;
}

static void a_handler_may_do_everything_while_a_read_waits(void **state)
{
	struct machine_config cfg = probe("probe stream_read");

	(void)state;
	cfg.input = "\003";
	cfg.serve = type_when_opened;
	expect(&cfg, 0, "handler of 2, opened 1\nread 4 late\n", "");
}

/* The first write is answered only after the handler has run and written, too. */
static int first_write_is_late(struct machine *m, const struct keel_sqe *s)
{
	return s->opcode == KEEL_OP_WRITE && m->requests == 0 ? SERVE_LATE : SERVE_NORMALLY;
}

static void a_handler_may_write_while_a_write_waits(void **state)
{
	struct machine_config cfg = probe("probe stream_write");

	(void)state;
	cfg.input = "\003";
	cfg.serve = first_write_is_late;
	cfg.portion = NULL;
	expect(&cfg, 0, "first\nhandler\nwrote 6\n", "");
}

/* ---- poll -------------------------------------------------------------------------------------------- */

static int type_when_told(struct machine *m, const struct keel_sqe *s)
{
	if (s->opcode == KEEL_OP_WRITE && m->window[s->addr] == '>')
		type("word");
	if (s->opcode == KEEL_OP_WRITE && m->window[s->addr] == '.')
		type_end();
	return SERVE_NORMALLY;
}

static void poll_tells_what_has_come(void **state)
{
	struct machine_config cfg = probe("probe stream_poll");

	(void)state;
	cfg.serve = type_when_told;
	expect(&cfg, 0, "nothing 0\n>\npoll 1 revents 1\nread 2 wo\npoll 1 revents 1\nread 2 rd\n.\npoll 1 revents 1\n"
	       "read 0 \n", "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_streams, close_streams)
	const struct CMUnitTest tests[] = {
		TEST(a_megabyte_goes_through_unchanged),
		TEST(large_writes_are_few_requests),
		TEST(lines_and_the_end_of_input),
		TEST(a_script_comes_from_standard_input),
		TEST(what_is_buffered_is_written_at_the_end),
		TEST(they_are_pipes_unless_they_are_terminals),
		TEST(a_terminal_gets_the_interpreter),
		TEST(a_reader_that_has_gone_is_epipe),
		TEST(a_server_that_dies_is_eio),
		TEST(the_next_server_has_the_streams),
		TEST(without_the_flag_it_is_the_console),
		TEST(nobody_is_waited_for_at_the_console),
		TEST(a_console_stays_one_when_a_server_comes),
		TEST(the_runtimes_own_words_stay_on_the_console),
		TEST(interrupt_ends_a_read),
		TEST(a_handler_may_do_everything_while_a_read_waits),
		TEST(a_handler_may_write_while_a_write_waits),
		TEST(poll_tells_what_has_come),
	};

	return lua_run_tests("runtime_stdio", tests, NELEM(tests));
}

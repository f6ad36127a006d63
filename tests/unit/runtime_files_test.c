// SPDX-License-Identifier: MIT
/*
 * runtime_files_test.c - what Lua's files cost in driver calls, and how fresh what they give is.
 *
 * The image runs in a process, its Linux is a directory (runtime_machine.c); requests are counted by
 * kind and size. Shows: no request that is not needed, read-ahead where it pays, never anything old
 * after a seek, a line typed, or a while; ^C; temporary files; waiting for nobody twice.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "unit.h"
#include "runtime_machine.h"

#define IMAGE	BUILD "/images/lua.elf"

static char root[64];

/* Requests of the last run, one letter each: O C R W S(tatx) and others ?; the longest READ. */
static char asked[4096];
static unsigned nasked, longest;
static char poke_path[128];		/* changed in place when the guest opens /mnt/poke */

static int setup(void **state)
{
	int err = machine_root_make(root);

	(void)state;
	snprintf(poke_path, sizeof(poke_path), "%s/mnt/big", root);
	return err;
}

static int teardown(void **state)
{
	(void)state;
	return machine_root_remove(root);
}

static void put_file(const char *name, char c, size_t bytes)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/mnt/%s", root, name);
	f = fopen(path, "w");
	assert_non_null(f);
	for (size_t i = 0; i < bytes; i++)
		fputc(i % 64 == 63 ? '\n' : c, f);
	fflush(f);
	fsync(fileno(f));	/* so that it has blocks on every file system */
	assert_int_equal(fclose(f), 0);
}

/* Every letter of the file becomes 'n', in place. */
static void poke(void)
{
	static char text[200000];
	int fd = open(poke_path, O_RDWR);
	ssize_t n = pread(fd, text, sizeof(text), 0);

	for (ssize_t i = 0; i < n; i++)
		text[i] = text[i] == '\n' ? '\n' : 'n';
	if (n < 0 || pwrite(fd, text, (size_t)n, 0) != n || close(fd))
		abort();
}

static int count(struct machine *m, const struct keel_sqe *s)
{
	static const char letters[KEEL_OP_NR] = { [KEEL_OP_OPENAT] = 'O', [KEEL_OP_CLOSE] = 'C',
		[KEEL_OP_READ] = 'R', [KEEL_OP_WRITE] = 'W', [KEEL_OP_STATX] = 'S', [KEEL_OP_NOP] = 'N' };

	if (m->requests == 0)
		nasked = longest = 0;
	if (nasked < sizeof(asked) - 1)
		asked[nasked++] = s->opcode < KEEL_OP_NR && letters[s->opcode] ? letters[s->opcode] : '?';
	asked[nasked] = '\0';
	if (s->opcode == KEEL_OP_READ && s->len > longest)
		longest = s->len;
	if (s->opcode == KEEL_OP_OPENAT && strstr((const char *)m->window + s->addr, "/poke"))
		poke();
	if (s->opcode == KEEL_OP_OPENAT && strstr((const char *)m->window + s->addr, "/denied/"))
		return -EACCES;
	return SERVE_NORMALLY;
}

static struct machine_config config(const char *script)
{
	struct machine_config cfg = {
		.image = IMAGE, .cmdline = "lua /boot/t.lua", .root = root, .serve = count,
		.modules = { { "t.lua", script, strlen(script) } },
	};

	return cfg;
}

static void expect(const struct machine_config *cfg, int status, const char *out)
{
	struct machine *m = machine_run(cfg);

	if (m->end != MACHINE_EXIT || m->status != status || (out && strcmp(m->out, out) != 0))
		fail_msg("end %d (%s), status %d, requests %s, output:\n%s\nexpected status %d:\n%s", m->end, m->why,
			 m->status, asked, m->out, status, out ? out : "(any)");
	machine_free(m);
}

static void script_says(const char *script, const char *out)
{
	struct machine_config cfg = config(script);

	expect(&cfg, 0, out);
}

/* ---- requests ---------------------------------------------------------------------------------------- */

static void opening_asks_for_nothing_else(void **state)
{
	(void)state;
	put_file("a", 'a', 100);
	script_says("for i = 1, 3 do io.open('/mnt/a'):close() end", "");
	assert_string_equal(asked, "OCOCOC");
	script_says("for i = 1, 200 do assert(io.open('/mnt/a')):close() end", "");
	assert_int_equal(nasked, 400);
}

static void a_small_file_is_one_read(void **state)
{
	(void)state;
	put_file("a", 'a', 4096);
	script_says("local f = io.open('/mnt/a') print(#f:read('a')) f:close()", "4096\n");
	assert_string_equal(asked, "ORC");
	put_file("a", 'a', 12032);
	script_says("local f = io.open('/mnt/a') local n = 0 for l in f:lines() do n = n + 1 end print(n)", "188\n");
	assert_string_equal(asked, "ORC");
}

static void a_seek_and_a_byte_are_one_small_read(void **state)
{
	(void)state;
	put_file("big", 'o', 200000);
	script_says("local f = io.open('/mnt/big') for i = 1, 5 do f:seek('set', i * 30000) f:read(1) end", "");
	assert_string_equal(asked, "ORRRRRC");
	assert_int_equal(longest, 512);
	script_says("local f = io.open('/mnt/big') for i = 1, 5 do f:seek('set', i * 30000) f:read(700) end", "");
	assert_string_equal(asked, "ORRRRRC");
	assert_int_equal(longest, 1024);
}

static void reading_on_after_a_seek_is_read_ahead(void **state)
{
	(void)state;
	put_file("big", 'o', 200000);
	script_says("local f = io.open('/mnt/big') f:seek('set', 64) print(f:read(1)) print(#f:read('a'))",
		    "o\n199935\n");
	assert_int_equal(longest, 64 * 1024);
	assert_in_range(nasked, 6, 8);
}

static void a_flushed_byte_is_one_write(void **state)
{
	(void)state;
	script_says("local f = io.open('/mnt/w', 'w') for i = 1, 4 do f:write('x') f:flush() end f:close()", "");
	assert_string_equal(asked, "OWWWWC");
}

static void reads_that_follow_each_other_are_read_ahead(void **state)
{
	(void)state;
	put_file("big", 'o', 200000);
	script_says("local n = 0 for l in io.lines('/mnt/big') do n = n + 1 end print(n)", "3125\n");
	assert_int_equal(longest, 64 * 1024);
	assert_in_range(nasked, 5, 8);
	script_says("local f = io.open('/mnt/big') local n = 0 while true do local s = f:read(1000) "
		    "if not s then break end n = n + #s end print(n)", "200000\n");
	assert_in_range(nasked, 5, 8);
}

/* Without the flags of OPENAT's answer: it asks when it must know. */
static void a_server_that_tells_nothing_is_asked(void **state)
{
	struct machine_config cfg = config("local f = io.open('/mnt/big') print(#f:read('a'), f:seek('set', 5), f:seek()) "
					   "f = io.open('/mnt/big') f:close()");

	(void)state;
	put_file("big", 'o', 200000);
	cfg.dumb_server = true;
	expect(&cfg, 0, "200000\t5\t5\n");
	assert_int_equal(longest, 64 * 1024);
	assert_ptr_equal(strchr(strchr(asked, 'S') + 1, 'S'), NULL);
}

/* ---- fresh -------------------------------------------------------------------------------------------- */

#define POKE	"local function poke() io.open('/mnt/poke') end local f = io.open('/mnt/big') "

static void a_seek_sees_what_has_changed_in_place(void **state)
{
	(void)state;
	put_file("big", 'o', 200000);
	script_says(POKE "f:read(20000) f:read(20000) poke() f:seek('set', 100) print(f:read(5)) "
		    "f:seek('cur', 10) print(f:read(3))", "nnnnn\nnnn\n");
}

static void a_small_file_changed_in_place_is_seen(void **state)
{
	(void)state;
	put_file("big", 'o', 60);
	script_says(POKE "print(f:read(3)) poke() f:seek('set') print(f:read(3))", "ooo\nnnn\n");
}

/* What stdio holds itself (4 KiB) is not the runtime's. */
static void after_a_line_of_input_nothing_is_old(void **state)
{
	struct machine_config cfg = config(POKE "f:read(4096) f:read(4096) f:read(4096) poke() io.read() "
					   "f:read(4096) print(f:read(3))");

	(void)state;
	put_file("big", 'o', 200000);
	cfg.input = "go\n";
	expect(&cfg, 0, "nnn\n");
}

/* The flight of time: asking the server for the time with none there takes 0.1 s of the guest's clock. */
static void after_a_while_nothing_is_old(void **state)
{
	struct machine_config cfg = config(POKE "f:read(4096) f:read(4096) f:read(4096) poke() "
					   "local t = os.time() while os.time() == t do end f:read(4096) print(f:read(3))");

	(void)state;
	put_file("big", 'o', 200000);
	expect(&cfg, 0, "nnn\n");
}

/* The played Linux's own /proc: size 0, made anew for each reader. */
static void procfs_is_never_read_from_a_cache(void **state)
{
	struct machine_config cfg = config(
		"local f = io.open('/proc/sys/kernel/random/uuid') local a = f:read('a') f:seek('set') "
		"local b = f:read('a') print(#a, #b, a ~= b)\n"
		"local n = 0 for l in io.lines('/proc/self/maps') do n = n + 1 end print(n > 100)\n"
		"print(io.open('/proc/self/comm'):read(), io.open('/proc/self/comm'):read('a'))");

	(void)state;
	cfg.root = "";
	expect(&cfg, 0, "37\t37\ttrue\ntrue\nruntime_files_t\truntime_files_t\n\n");
	assert_null(strchr(asked, 'S'));
	assert_in_range(longest, 1, 8192);
}

static void a_new_file_is_read_ahead_after_it_was_written(void **state)
{
	(void)state;
	script_says("local f = io.open('/mnt/new', 'w+') f:write(('x'):rep(300000)) f:seek('set') print(#f:read('a'))",
		    "300000\n");
	assert_int_equal(longest, 64 * 1024);
}

/* ---- compiled files ----------------------------------------------------------------------------------- */

static void compiled_files_are_loaded(void **state)
{
	(void)state;
	script_says("local f = io.open('/mnt/c.luac', 'wb') f:write(string.dump(function(...) return 'compiled', ... end)) "
		    "f:close() print(loadfile('/mnt/c.luac')(7)) print(dofile('/mnt/c.luac'))\n"
		    "f = io.open('/mnt/d.lua', 'w') f:write('#!/usr/bin/lua\\nreturn 8') f:close() print(dofile('/mnt/d.lua'))\n"
		    "package.path = '/mnt/?.luac' print(require('c'))",
		    "compiled\t7\ncompiled\n8\ncompiled\t/mnt/c.luac\n");
}

/* ---- console ------------------------------------------------------------------------------------------ */

static void interrupt_stops_a_running_script(void **state)
{
	static const char *const loops[] = {
		"while true do end", "repeat until false", "::top:: goto top", "for i = 1, 1e18 do end",
		"for i = 1.0, 1e300, 0.5 do end", "for k in function() return 1 end do end",
		"local s = 0 while true do s = s + #tostring(s) end",
	};

	(void)state;
	for (size_t i = 0; i < NELEM(loops); i++) {
		char script[256];
		struct machine_config cfg;
		struct machine *m;

		snprintf(script, sizeof(script), "print(pcall(function() %s end)) print('on')", loops[i]);
		cfg = config(script);
		cfg.interrupt_at = 5;
		m = machine_run(&cfg);
		if (m->end != MACHINE_EXIT || strncmp(m->out, "false\t", 6) || !strstr(m->out, "interrupted!\non\n"))
			fail_msg("%s: end %d (%s), output:\n%s", loops[i], m->end, m->why, m->out);
		machine_free(m);
	}
}

static void erasing_takes_a_whole_character(void **state)
{
	struct machine_config cfg = config("print(io.read()) print(io.read())");

	(void)state;
	cfg.input = "gr\303\274\b\342\202\254\177\360\237\214\261\bx\n\b\b\303\244\b\bok\n";
	expect(&cfg, 0, "grx\nok\n");
}

/* ---- temporary files ---------------------------------------------------------------------------------- */

static void temporary_files_are_where_the_policy_allows(void **state)
{
	struct machine_config cfg = config("local n = os.tmpname() print(n:match('^(/mnt/lua_)......$')) "
					   "print(io.open(n) ~= nil, os.remove(n)) "
					   "local f = io.tmpfile() f:write('x') f:seek('set') print(f:read('a'))");

	(void)state;
	cfg.cmdline = "TMPDIR=/mnt lua /boot/t.lua";
	expect(&cfg, 0, "/mnt/lua_\ntrue\ttrue\nx\n");
}

static void a_refused_temporary_file_is_told_at_once(void **state)
{
	struct machine_config cfg = config("print(pcall(os.tmpname)) print(io.tmpfile())");

	(void)state;
	cfg.cmdline = "TMPDIR=/denied/here lua /boot/t.lua";
	expect(&cfg, 0, "false\tno temporary file in '/denied/here': Permission denied (TMPDIR=DIR names another place)\n"
	       "nil\tPermission denied\t13\n");
	assert_string_equal(asked, "OO");
}

static void relative_paths_start_where_pwd_says(void **state)
{
	struct machine_config cfg = config("io.open('rel', 'w'):write('here'):close() print(io.open('/mnt/rel'):read())");

	(void)state;
	cfg.cmdline = "PWD=/mnt lua /boot/t.lua";
	expect(&cfg, 0, "here\n");
}

/* ---- nobody there ------------------------------------------------------------------------------------- */

static void a_server_that_never_came_is_not_waited_for_again(void **state)
{
	struct machine_config cfg = config("for i = 1, 50 do print(io.open('/mnt/x')) end");
	struct machine *m;

	(void)state;
	cfg.no_server = true;
	cfg.time_flies = true;
	m = machine_run(&cfg);
	assert_int_equal(m->end, MACHINE_EXIT);
	assert_non_null(strstr(m->out, "nil\t/mnt/x: Operation timed out\t110\n"));
	assert_in_range(m->hypercalls[KEEL_HC_BLOCK], 1, 2);
	machine_free(m);
}

/* A failed assertion leaves its machine behind: not what is tested here. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opening_asks_for_nothing_else),
		cmocka_unit_test(a_small_file_is_one_read),
		cmocka_unit_test(a_seek_and_a_byte_are_one_small_read),
		cmocka_unit_test(reading_on_after_a_seek_is_read_ahead),
		cmocka_unit_test(a_flushed_byte_is_one_write),
		cmocka_unit_test(reads_that_follow_each_other_are_read_ahead),
		cmocka_unit_test(a_server_that_tells_nothing_is_asked),
		cmocka_unit_test(a_seek_sees_what_has_changed_in_place),
		cmocka_unit_test(a_small_file_changed_in_place_is_seen),
		cmocka_unit_test(after_a_line_of_input_nothing_is_old),
		cmocka_unit_test(after_a_while_nothing_is_old),
		cmocka_unit_test(procfs_is_never_read_from_a_cache),
		cmocka_unit_test(a_new_file_is_read_ahead_after_it_was_written),
		cmocka_unit_test(compiled_files_are_loaded),
		cmocka_unit_test(interrupt_stops_a_running_script),
		cmocka_unit_test(erasing_takes_a_whole_character),
		cmocka_unit_test(temporary_files_are_where_the_policy_allows),
		cmocka_unit_test(a_refused_temporary_file_is_told_at_once),
		cmocka_unit_test(relative_paths_start_where_pwd_says),
		cmocka_unit_test(a_server_that_never_came_is_not_waited_for_again),
	};

	if (machine_impossible()) {
		printf("skipped: %s\n", machine_impossible());
		return 77;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}

// SPDX-License-Identifier: MIT
/*
 * runtime_test.c - the Lua image itself, unmodified, run in a process (runtime_machine.c).
 *
 * Shows: it starts in little memory and few instructions; memory and stack run out with a Lua error, not
 * with a fault; the console. Failure: an assertion, or the run's output.
 */
#include <sys/stat.h>
#include "runtime_lua.h"

#define DEBUG_IMAGE	BUILD "/unikernel/lua.debug"

/* Goals: Unikraft's Lua on this machine class needs 1,233,176 bytes, 4 MB and 96,332 instructions. */
#define MAX_IMAGE_BYTES		400000
#define MAX_START_INSNS		20000
#define MAX_BOOT_KIB		1024

/* ---- start and end -------------------------------------------------------------------------------- */

static void starts_and_prints(void **state)
{
	(void)state;
	lua_script_says("print('hello from ' .. _VERSION)", "hello from Lua 5.4\n");
}

static void splits_the_command_line(void **state)
{
	struct machine_config cfg = lua_config("print(os.getenv 'A', os.getenv 'TZ', ...)");

	(void)state;
	cfg.cmdline = "  A=1 lua /boot/t.lua one  \"two three\" 'four \"4\"' x=y ''";
	lua_expect(&cfg, MACHINE_EXIT, 0, "1\tUTC0\tone\ttwo three\tfour \"4\"\tx=y\t\n");
}

static void passes_its_exit_status_on(void **state)
{
	struct machine_config cfg = lua_config("io.write('partial') os.exit(5)");

	(void)state;
	lua_expect(&cfg, MACHINE_EXIT, 5, "partial");
	cfg = lua_config("error('no', 0)");
	lua_expect(&cfg, MACHINE_EXIT, 1, NULL);
	cfg.cmdline = "lua /boot/missing.lua";
	lua_expect(&cfg, MACHINE_EXIT, 1, "lua: cannot open /boot/missing.lua: No such file or directory\n");
}

static void image_is_small(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(IMAGE, &st), 0);
	print_message("image: %ld bytes\n", (long)st.st_size);
	assert_true(st.st_size < MAX_IMAGE_BYTES);
}

static void reaches_main_in_few_instructions(void **state)
{
	struct machine_config cfg = lua_config("");
	struct machine *m;

	(void)state;
	cfg.stop_at = machine_symbol(DEBUG_IMAGE, "timed_main");	/* has main() inlined */
	assert_int_not_equal(cfg.stop_at, 0);
	m = machine_run(&cfg);
	assert_int_equal(m->end, MACHINE_EXIT);
	print_message("entry to main(): %lu instructions\n", (unsigned long)m->instructions);
	assert_in_range(m->instructions, 50, MAX_START_INSNS);
	machine_free(m);
}

/* The smallest memory in which a script runs that uses a table, a string and a file. */
static void boots_in_little_memory(void **state)
{
	struct machine_config cfg = lua_config("local t = {} for i = 1, 100 do t[i] = i .. '' end\n"
					   "local f = assert(io.open('/mnt/small', 'w')) f:write(#t) f:close()\n"
					   "print(io.open('/mnt/small'):read('a'))");
	size_t kib;

	(void)state;
	for (kib = 320; kib <= 4096; kib += 16) {
		struct machine *m;
		bool ok;

		cfg.mem_bytes = kib * 1024;
		m = machine_run(&cfg);
		ok = m->end == MACHINE_EXIT && m->status == 0 && strcmp(m->out, "100\n") == 0;
		machine_free(m);
		if (ok)
			break;
	}
	print_message("runs in %zu KiB\n", kib);
	assert_in_range(kib, 1, MAX_BOOT_KIB);
}

/* Too little memory ends in a message or a refused load, never in a wild access. */
static void too_little_memory_is_said(void **state)
{
	struct machine_config cfg = lua_config("print(1)");

	(void)state;
	for (size_t kib = 380; kib <= 520; kib += 4) {
		struct machine *m;

		cfg.mem_bytes = kib * 1024;
		m = machine_run(&cfg);
		if (m->end == MACHINE_FAULT)
			assert_non_null(strstr(m->why, "fit"));
		else
			assert_true(m->end == MACHINE_EXIT || m->end == MACHINE_CRASH);
		if (m->status != 0)
			assert_non_null(strstr(m->out, "memory"));
		machine_free(m);
	}
}

/* Whatever else has changed there: what it needs to say so has not. */
static void another_metakernel_is_said(void **state)
{
	struct machine_config cfg = lua_config("print(1)");
	struct machine *m;

	(void)state;
	cfg.abi_version = 3;
	m = machine_run(&cfg);
	assert_int_equal(m->end, MACHINE_CRASH);
	assert_non_null(strstr(m->out, "made for version 2 of Keel's ABI"));
	machine_free(m);
}

/* ---- memory and stack ------------------------------------------------------------------------------ */

static void out_of_memory_is_a_lua_error(void **state)
{
	(void)state;
	lua_script_says("local ok, why = pcall(function() local t = {} for i = 1, 1e9 do t[i] = {i} end end)\n"
			"print(ok, why) collectgarbage()\n"
			"print(pcall(string.rep, 'x', 1 << 30))\n"
			"print(#string.rep('x', 200000))",
			"false\tnot enough memory\nfalse\tnot enough memory\n200000\n");
}

/* Memory given back can be used again: ten times more than there is, in all sizes. */
static void freed_memory_is_reused(void **state)
{
	(void)state;
	lua_script_says("local keep, n = {}, 0\n"
			"math.randomseed(1)\n"
			"for i = 1, 20000 do\n"
			"  local len = math.random(1, 4000)\n"
			"  local s = string.rep(string.char(i % 256), len)\n"
			"  keep[i % 64] = s\n"
			"  local old = keep[(i * 7) % 64]\n"
			"  assert(not old or old == string.rep(old:sub(1, 1), #old))\n"
			"  n = n + len\n"
			"end\n"
			"print(n > 20 * 1024 * 1024)", "true\n");
}

/* The runtime's stack: an eighth of the memory, up to 512 KiB, at the end of it. */
static uint64_t stack_bottom(const struct machine *m)
{
	size_t bytes = m->cfg.mem_bytes / 8;

	return KEEL_PEER_VA + m->cfg.mem_bytes - (bytes < 512 << 10 ? bytes : 512 << 10);
}

static void stack_ends_in_an_unmapped_page(void **state)
{
	struct machine_config cfg = lua_config("");

	(void)state;
	for (cfg.mem_bytes = 1 << 20; cfg.mem_bytes <= 64 << 20; cfg.mem_bytes *= 4) {
		struct machine *m = machine_run(&cfg);

		assert_int_equal(m->end, MACHINE_EXIT);
		assert_true(machine_maps(m, stack_bottom(m)));
		assert_false(machine_maps(m, stack_bottom(m) - 1));
		assert_true(machine_maps(m, stack_bottom(m) - 4097));
		machine_free(m);
	}
}

/* Nested C calls of every kind the libraries offer stop with an error before the stack ends. */
static void deep_c_calls_are_a_lua_error(void **state)
{
	static const char *const scripts[] = {
		"local function f() return (string.gsub('x', 'x', f)) end f()",
		"local function f() string.format('%.99f', 1e300) return (string.gsub('x', 'x', f)) end "
			"xpcall(f, function() f() end) error('x')",
		"local function f() table.sort({1, 2, 3}, function() f() end) end f()",
		"local t = setmetatable({}, {}) getmetatable(t).__tostring = function() "
			"return string.format('%s %5.3f', t, 1.5) end tostring(t)",
		"local function f() return coroutine.wrap(f)() end f()",
		"local function f() return load(f) end local function g() return load(g)() end "
			"load('x = ' .. string.rep('(', 5000))() ",
		"local s = string.rep('{', 3000) .. string.rep('}', 3000) assert(load('return ' .. s))",
		"local function f() return select(2, pcall(string.gsub, 'x', 'x', f)) end "
			"for i = 1, 10 do f() end error('C stack overflow')",
		"error(string.rep('x', 250000):find(string.rep('x?', 4000) .. 'y'))",
	};

	size_t least = SIZE_MAX;

	(void)state;
	for (size_t i = 0; i < NELEM(scripts); i++) {
		for (size_t mem = 1 << 20; mem <= 8 << 20; mem *= 2) {
			struct machine_config cfg = lua_config(scripts[i]);
			struct machine *m;

			cfg.mem_bytes = mem;
			m = machine_run(&cfg);
			if (m->end != MACHINE_EXIT || m->status != 1)
				fail_msg("script %zu, %zu KiB: end %d (%s), status %d, output:\n%s", i, mem >> 10,
					 m->end, m->why, m->status, m->out);
			if (machine_zero_bytes(m, stack_bottom(m)) < least)
				least = machine_zero_bytes(m, stack_bottom(m));
			machine_free(m);
		}
	}
	print_message("least stack left: %zu bytes\n", least);
	assert_in_range(least, 4096, SIZE_MAX - 1);
}

/* ---- console ------------------------------------------------------------------------------------------ */

static void reads_lines_from_the_console(void **state)
{
	struct machine_config cfg = lua_config("for l in io.lines() do io.write('<', l, '>') end print(io.read())");
	char input[1200] = "one\rtwo\nerr\b\b\bthree\nnot this\025four\n\n";

	(void)state;
	memset(input + strlen(input), 'a', 700);
	strcat(input, "\nlast\004\004\004");
	cfg.input = input;
	{
		char out[1200] = "<one><two><three><four><><";

		memset(out + strlen(out), 'a', 700);
		strcat(out, "><last>nil\n");
		/* The first ^D ends the piece, the second the line, the third the loop, as on a terminal. */
		cfg.modules[0].data = "for l in io.lines() do io.write('<', l, '>') end print(nil)";
		cfg.modules[0].bytes = strlen(cfg.modules[0].data);
		lua_expect(&cfg, MACHINE_EXIT, 0, out);
	}
}

static void interpreter_answers_on_the_console(void **state)
{
	struct machine_config cfg = lua_config("");

	(void)state;
	cfg.cmdline = "lua";
	cfg.input = "1+1\nx = 3\nfor i = 1, 2 do\nprint(i * x)\nend\n\004";
	lua_expect(&cfg, MACHINE_EXIT, 0, "Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio\n"
	       "> 2\n> > >> >> 3\n6\n> \n");
}

static void waits_for_input_without_spinning(void **state)
{
	struct machine_config cfg = lua_config("io.read()");
	struct machine *m = machine_run(&cfg);

	(void)state;
	assert_int_equal(m->end, MACHINE_STUCK);
	assert_int_equal(m->hypercalls[KEEL_HC_BLOCK], 1);
	machine_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_and_prints),
		cmocka_unit_test(splits_the_command_line),
		cmocka_unit_test(passes_its_exit_status_on),
		cmocka_unit_test(image_is_small),
		cmocka_unit_test(reaches_main_in_few_instructions),
		cmocka_unit_test(boots_in_little_memory),
		cmocka_unit_test(too_little_memory_is_said),
		cmocka_unit_test(another_metakernel_is_said),
		cmocka_unit_test(out_of_memory_is_a_lua_error),
		cmocka_unit_test(freed_memory_is_reused),
		cmocka_unit_test(stack_ends_in_an_unmapped_page),
		cmocka_unit_test(deep_c_calls_are_a_lua_error),
		cmocka_unit_test(reads_lines_from_the_console),
		cmocka_unit_test(interpreter_answers_on_the_console),
		cmocka_unit_test(waits_for_input_without_spinning),
	};

	return lua_run_tests("runtime_test", tests, NELEM(tests));
}

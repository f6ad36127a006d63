// SPDX-License-Identifier: MIT
/*
 * runtime_remote_test.c - Lua's files over a channel, served by files of this host (runtime_server.c).
 *
 * Shows: modules and files behave as on Linux; a server that dies, lies or is missing gives errors, not
 * hangs or wild accesses. Failure: an assertion, or the run's output.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "runtime_lua.h"

/* ---- files ------------------------------------------------------------------------------------------- */

static void modules_are_files(void **state)
{
	(void)state;
	lua_script_says("local f = io.open('/boot/t.lua') print(f:read(5)) print(f:seek('end') > 100)\n"
			"print(f:seek('set', 6), f:read(1)) f:close()\n"
			"print(io.open('/boot/t.lua', 'w')) print(io.open('/boot/x')) print(os.remove('/boot/t.lua'))",
			"local\ntrue\n6\tf\n"
			"nil\t/boot/t.lua: Read-only file system\t30\n"
			"nil\t/boot/x: No such file or directory\t2\n"
			"nil\t/boot/t.lua: Read-only file system\t30\n");
}

static void files_behave_as_on_linux(void **state)
{
	(void)state;
	lua_put_file("kept", "", 0);
	lua_script_says("local p = '/mnt/a.txt'\n"
			"local f = assert(io.open(p, 'w'))\n"
			"for i = 1, 20000 do f:write('line ', i, ' of text\\n') end print(f:seek()) f:close()\n"
			"local n, c = 0, 0 for l in io.lines(p) do n = n + 1 c = c + #l end print(n, c)\n"
			"f = assert(io.open(p, 'a')) f:write('end\\n') print(f:seek()) f:close()\n"
			"f = assert(io.open(p)) print(f:seek('end', -4)) print(f:read('l'), f:read('l'))\n"
			"print(f:seek('set', 5)) print(f:read(1), f:seek())\n"
			"local g = assert(io.open(p, 'r+')) g:seek('set', 2) g:write('NE') g:close()\n"
			"f:seek('set') print(f:read(6)) f:close()\n"
			"f = assert(io.open(p, 'w+')) f:write('abc') f:seek('set', 1) print(f:read('a')) f:close()\n"
			"print(os.rename(p, '/mnt/b.txt')) print(io.open(p)) print(os.remove('/mnt/b.txt'))\n"
			"print(os.remove('/mnt/b.txt')) print(os.remove('/mnt')) print(io.open('/mnt/x/y', 'w'))\n"
			"print(nil, select(3, io.open('/mnt/' .. ('d'):rep(300))))",
			"368894\n20000\t348894\n368898\n368894\nend\tnil\n5\n1\t6\nliNE 1\n"
			"bc\ntrue\n"
			"nil\t/mnt/a.txt: No such file or directory\t2\ntrue\n"
			"nil\t/mnt/b.txt: No such file or directory\t2\n"
			"nil\t/mnt: Directory not empty\t39\n"
			"nil\t/mnt/x/y: No such file or directory\t2\n"
			"nil\t36\n");
}

static void large_reads_and_writes_keep_their_bytes(void **state)
{
	struct machine_config cfg = lua_config(
		"local s = {} for i = 1, 40000 do s[i] = string.pack('<I4', i * 2654435761 % (1 << 32)) end\n"
		"s = table.concat(s) local f = io.open('/mnt/big', 'wb') assert(f:write(s)) f:close()\n"
		"f = io.open('/mnt/big', 'rb') print(f:read('a') == s) f:seek('set', 70000)\n"
		"print(f:read(80000) == s:sub(70001, 150000)) print(#f:read('a')) f:close()");

	(void)state;
	cfg.mem_bytes = 8 << 20;
	lua_expect(&cfg, MACHINE_EXIT, 0, "true\ntrue\n10000\n");
}

/* Reading ahead must not hide what was written meanwhile, nor that a file has grown. */
static void read_ahead_is_not_stale(void **state)
{
	(void)state;
	lua_script_says("local w = io.open('/mnt/grow', 'w') w:setvbuf('no') w:write('one\\n')\n"
			"local r = io.open('/mnt/grow') print(r:read()) print(r:read())\n"
			"w:write('two\\n') print(r:read()) print(r:read())\n"
			"r:seek('set') print(r:read(1)) w:seek('set') w:write('ONE') r:seek('set') print(r:read())",
			"one\nnil\ntwo\nnil\no\nONE\n");
}

static void many_files_at_once(void **state)
{
	(void)state;
	lua_script_says("local fs = {} for i = 1, 80 do local f, why = io.open('/mnt/f' .. i, 'w+')\n"
			"  if not f then print(i, why) break end fs[i] = f f:write(i) end\n"
			"for i, f in ipairs(fs) do f:seek('set') assert(f:read('n') == i) end\n"
			"for i, f in ipairs(fs) do f:close() end print(io.open('/mnt/f1'):read('a'))",
			"62\t/mnt/f62: No file descriptors available\n1\n");
}

static int refuse_etc(struct machine *m, const struct keel_sqe *s)
{
	if (s->opcode == KEEL_OP_OPENAT &&
	    strcmp((const char *)m->window + s->addr, "/etc/passwd") == 0)
		return -EACCES;
	return SERVE_NORMALLY;
}

static void refusals_of_the_policy_are_errors(void **state)
{
	struct machine_config cfg = lua_config("print(io.open('/etc/passwd')) print(io.open('/mnt/ok', 'w') ~= nil)");

	(void)state;
	cfg.serve = refuse_etc;
	lua_expect(&cfg, MACHINE_EXIT, 0, "nil\t/etc/passwd: Permission denied\t13\ntrue\n");
}

/* The same program, the same files, Debian's Lua: the same output but for the time line. */
static void demo_prints_what_lua_on_linux_prints(void **state)
{
	static char demo[16384], native[8192], mine[8192], line[512];
	struct machine_config cfg = lua_config("");
	struct machine *m;
	FILE *f;
	size_t n = 0;
	char cmd[512], *p;

	(void)state;
	if (access("/usr/bin/lua5.4", X_OK) != 0) {
		print_message("no lua5.4 to compare with\n");
		skip();
	}
	f = fopen("images/demo/demo.lua", "r");
	assert_non_null(f);
	cfg.modules[0].name = "demo.lua";
	cfg.modules[0].data = demo;
	cfg.modules[0].bytes = fread(demo, 1, sizeof(demo), f);
	fclose(f);
	for (int i = 0; i < 9000; i++)
		n += (size_t)snprintf(native, 64, "word%d  is %d\n", i % 17, i % 500);
	{
		char *text = malloc(n + 64);

		assert_non_null(text);
		n = 0;
		for (int i = 0; i < 9000; i++)
			n += (size_t)sprintf(text + n, "word%d  is %d\n", i % 17, i % 500);
		lua_put_file("words.txt", text, n);
		lua_put_file("README.md", text, n / 2 + 3);
		free(text);
	}
	snprintf(cmd, sizeof(cmd), "printf '1+1\\nx=5\\nx*2, nil\\n)\\nexit\\n' | lua5.4 images/demo/demo.lua %s/mnt",
		 root);
	f = popen(cmd, "r");
	assert_non_null(f);
	native[0] = 0;
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "time: ", 6) != 0)
			strcat(native, line);
	assert_int_equal(pclose(f), 0);

	cfg.cmdline = "lua /boot/demo.lua";
	cfg.input = "1+1\nx=5\nx*2, nil\n)\nexit\n";
	cfg.server_after_blocks = 3;
	m = machine_run(&cfg);
	assert_int_equal(m->end, MACHINE_EXIT);
	p = strstr(m->out, "time: ");
	if (!p)
		fail_msg("no time line in:\n%s", m->out);
	*p = 0;
	snprintf(mine, sizeof(mine), "%s%s", m->out, strchr(p + 1, '\n') + 1);
	assert_string_equal(mine, native);
	assert_non_null(strstr(mine, "9000 lines, 27000 words"));
	machine_free(m);
}

/* ---- servers that are missing, die or lie ---------------------------------------------------------- */

static void no_channel_is_an_error(void **state)
{
	struct machine_config cfg = lua_config("print(io.open('/mnt/x'))");

	(void)state;
	cfg.root = NULL;
	lua_expect(&cfg, MACHINE_EXIT, 0, "nil\t/mnt/x: No such device or address\t6\n");
}

static void waits_for_a_server_with_a_deadline(void **state)
{
	struct machine_config cfg = lua_config("print(io.open('/mnt/x'))");
	struct machine *m;

	(void)state;
	cfg.no_server = true;
	m = machine_run(&cfg);
	assert_int_equal(m->end, MACHINE_STUCK);
	assert_non_null(strstr(m->why, "would sleep"));
	machine_free(m);
}

static int down_at_third_read(struct machine *m, const struct keel_sqe *s)
{
	static unsigned reads;

	if (m->requests == 0)
		reads = 0;
	if (s->opcode != KEEL_OP_READ || ++reads != 3)
		return SERVE_NORMALLY;
	machine_server_down(m);
	return SERVE_NEVER;
}

/* In mid-call: -EIO at once; the old files stay dead, new ones work with the next server. */
static void server_death_ends_calls_and_files(void **state)
{
	struct machine_config cfg = lua_config(
		"local a, b = io.open('/mnt/big', 'rb'), io.open('/mnt/big', 'rb')\n"
		"local n = 0 while true do local s, why = a:read(65536)\n"
		"  if not s then print(n, why) break end n = n + #s end\n"
		"print(b:read(1)) print(a:seek('end')) print(a:close())\n"
		"local c = io.open('/mnt/big', 'rb') print(#c:read(100)) print(b:read(1))");
	static char big[160000];

	(void)state;
	lua_put_file("big", big, sizeof(big));
	cfg.serve = down_at_third_read;
	lua_expect(&cfg, MACHINE_EXIT, 0, "131072\tI/O error\nnil\tI/O error\t5\nnil\tI/O error\t5\n"
	       "true\n100\nnil\tI/O error\t5\n");
}

static int never_answer(struct machine *m, const struct keel_sqe *s)
{
	(void)m;
	return s->opcode == KEEL_OP_READ ? SERVE_NEVER : SERVE_NORMALLY;
}

static void an_unanswered_call_waits_without_spinning(void **state)
{
	struct machine_config cfg = lua_config("io.open('/mnt/big', 'rb'):read(1)");
	struct machine *m;

	(void)state;
	lua_put_file("big", "x", 1);
	cfg.serve = never_answer;
	m = machine_run(&cfg);
	assert_int_equal(m->end, MACHINE_STUCK);
	assert_non_null(strstr(m->why, "would sleep"));	/* then it asks whether the server is there */
	assert_in_range(m->hypercalls[KEEL_HC_BLOCK], 1, 5);
	machine_free(m);
}

static void foreign_answer(struct machine *m)
{
	struct keel_cqe *cqes = (void *)(m->window + m->hdr->cq_off);

	cqes[m->hdr->cq.tail & (m->hdr->cq_entries - 1)].user_data = 1ULL << 45;	/* as an index: no address */
	m->hdr->cq.tail++;
}

static unsigned lie;

/* Wrong in a different way for each value of `lie`. */
static int lying_server(struct machine *m, const struct keel_sqe *s)
{
	/* 7 in the answer to open's batch of two, where the number is an index. */
	if (s->opcode != (lie == 7 ? KEEL_OP_STATX : KEEL_OP_READ))
		return SERVE_NORMALLY;
	machine_bell(m);		/* so that the guest looks */
	switch (lie) {
	case 0:
		return (int)s->len + 1;		/* more bytes than asked for */
	case 1:
		return INT32_MAX - 2;
	case 2:
		return INT32_MIN;
	case 3:
		m->hdr->cq.tail += 100000;	/* impossible index */
		return SERVE_NEVER;
	case 4:
		m->hdr->cq.tail -= 3;
		return SERVE_NEVER;
	case 5:
		m->hdr->sq.head += 77;
		return SERVE_NORMALLY;
	case 6:				/* two answers to one request */
		m->hdr->cq.tail += 2;
		return SERVE_NEVER;
	case 7:				/* an answer to a request never made */
		foreign_answer(m);
		return SERVE_NEVER;
	case 8:
		m->hdr->buf_off = ~0ULL << 12;	/* layout is private by now: no effect */
		m->hdr->sq_entries = 1u << 31;
		return SERVE_NORMALLY;
	}
	return SERVE_NORMALLY;
}

/* Whatever the server does, the guest gets errors or data and ends by itself. */
static void lies_of_the_server_are_contained(void **state)
{
	struct machine_config cfg = lua_config(
		"for i = 1, 3 do local f = io.open('/mnt/lie', 'rb')\n"
		"  if f then f:read(10) f:seek('set') f:read('a') f:close() end end print('alive')");

	(void)state;
	lua_put_file("lie", "some bytes in a file", 20);
	cfg.serve = lying_server;
	for (lie = 0; lie <= 8; lie++) {
		struct machine *m = machine_run(&cfg);

		/* STUCK: it waits for an answer that the liar withholds, or for the next server. */
		if (m->end != MACHINE_EXIT && m->end != MACHINE_STUCK)
			fail_msg("lie %u: end %d, %s, output:\n%s", lie, m->end, m->why, m->out);
		if (m->end == MACHINE_EXIT)
			assert_string_equal(m->out, "alive\n");
		machine_free(m);
	}
}

static uint64_t noise;

/* Before answering, changes words of the header, the rings and the buffers at random. */
static int noisy_server(struct machine *m, const struct keel_sqe *s)
{
	uint64_t r = unit_random(&noise);
	unsigned changes = (unsigned)(r % 4);

	(void)s;
	for (unsigned i = 0; i < changes; i++) {
		uint64_t *words = (uint64_t *)(void *)m->window;
		uint64_t where = unit_random(&noise) % (r >> 8 & 1 ? 512 : MACHINE_WINDOW / 8);
		uint64_t old = words[where];

		/* Small steps hit indices, whole words hit offsets and lengths. */
		machine_bell(m);
		words[where] = r >> 9 & 1 ? unit_random(&noise)
					  : old + (1ULL << unit_random(&noise) % 64) - (r >> 10 & 1);
	}
	if (r >> 16 & 1)
		return (int)(unit_random(&noise) >> (unit_random(&noise) % 32 + 32));
	return SERVE_NORMALLY;
}

static void noise_in_the_window_is_contained(void **state)
{
	struct machine_config cfg = lua_config(
		"for i = 1, 20 do local f = io.open('/mnt/lie', i % 3 == 0 and 'r+' or 'rb')\n"
		"  if f then f:read(10) f:seek('end') f:seek('set') f:read('a') f:write('x') f:close() end\n"
		"  os.rename('/mnt/lie', '/mnt/lie') end print('alive')");
	unsigned alive = 0;

	(void)state;
	lua_put_file("lie", "some bytes in a file", 20);
	cfg.serve = noisy_server;
	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct machine *m;

		noise = seed;
		m = machine_run(&cfg);
		/* FAULT with "request": the noise made the played server itself see nonsense. */
		if (m->end != MACHINE_EXIT && m->end != MACHINE_STUCK && !strstr(m->why, "request"))
			fail_msg("seed %lu: end %d, %s, output:\n%s", (unsigned long)seed, m->end, m->why, m->out);
		alive += m->end == MACHINE_EXIT;
		machine_free(m);
	}
	print_message("%u of 150 runs reached their end\n", alive);
	assert_true(alive > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modules_are_files),
		cmocka_unit_test(files_behave_as_on_linux),
		cmocka_unit_test(large_reads_and_writes_keep_their_bytes),
		cmocka_unit_test(read_ahead_is_not_stale),
		cmocka_unit_test(many_files_at_once),
		cmocka_unit_test(refusals_of_the_policy_are_errors),
		cmocka_unit_test(demo_prints_what_lua_on_linux_prints),
		cmocka_unit_test(no_channel_is_an_error),
		cmocka_unit_test(waits_for_a_server_with_a_deadline),
		cmocka_unit_test(server_death_ends_calls_and_files),
		cmocka_unit_test(an_unanswered_call_waits_without_spinning),
		cmocka_unit_test(lies_of_the_server_are_contained),
		cmocka_unit_test(noise_in_the_window_is_contained),
	};

	return lua_run_tests("runtime_remote_test", tests, NELEM(tests));
}

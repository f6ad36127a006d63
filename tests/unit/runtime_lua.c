// SPDX-License-Identifier: MIT
/* runtime_lua.c - Lua's image in the played machine: runs scripts, compares what they print. */
#include <stdlib.h>
#include <sys/stat.h>
#include "unit.h"
#include "runtime_lua.h"

char root[64];

static int lua_setup(void **state)
{
	(void)state;
	return machine_root_make(root);
}

static int lua_teardown(void **state)
{
	(void)state;
	return machine_root_remove(root);
}

void lua_put_file(const char *name, const char *data, size_t bytes)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/mnt/%s", root, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, bytes, f), bytes);
	assert_int_equal(fclose(f), 0);
}

struct machine_config lua_config(const char *script)
{
	struct machine_config cfg = {
		.image = IMAGE, .cmdline = "lua /boot/t.lua", .root = root,
		.modules = { { "t.lua", script, strlen(script) } },
	};

	return cfg;
}

void lua_expect(const struct machine_config *cfg, enum machine_end end, int status, const char *out)
{
	struct machine *m = machine_run(cfg);

	if (m->end != end || m->status != status || (out && strcmp(m->out, out) != 0))
		fail_msg("end %d (%s), status %d, output:\n%s\nexpected %d, %d:\n%s", m->end, m->why, m->status,
			 m->out, end, status, out ? out : "(any)");
	machine_free(m);
}

void lua_script_says(const char *script, const char *out)
{
	struct machine_config cfg = lua_config(script);

	lua_expect(&cfg, MACHINE_EXIT, 0, out);
}

/* A failed assertion leaves its machine behind: not what is tested here. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

int lua_run_tests(const char *name, const struct CMUnitTest *tests, size_t n)
{
	if (machine_impossible()) {
		printf("skipped: %s\n", machine_impossible());
		return 77;
	}
	return _cmocka_run_group_tests(name, tests, n, lua_setup, lua_teardown);
}

// SPDX-License-Identifier: MIT
/*
 * bench_lua.c - Lua for measuring, the same program as a peer and as a Linux process: runs the scripts
 * it is given, which have two more functions:
 *
 *   tsc()     the time-stamp counter
 *   nop(n)    n requests that do nothing, handed over together: driver calls of a peer, nil where
 *             there are none
 */
#include <stdint.h>
#include <stdio.h>
#include <lua.h>
#include <lauxlib.h>
#include <lualib.h>
#include "bench_lua.h"

static int lua_tsc(lua_State *lua)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	lua_pushinteger(lua, (lua_Integer)((uint64_t)high << 32 | low));
	return 1;
}

static int lua_nop(lua_State *lua)
{
	int done = bench_nop((int)luaL_checkinteger(lua, 1));

	if (done < 0)
		lua_pushnil(lua);
	else
		lua_pushinteger(lua, done);
	return 1;
}

int main(int argc, char **argv)
{
	lua_State *lua = luaL_newstate();

	if (!lua)
		return 1;
	luaL_openlibs(lua);
	lua_register(lua, "tsc", lua_tsc);
	lua_register(lua, "nop", lua_nop);
	for (int i = 1; i < argc; i++)
		if (luaL_dofile(lua, argv[i])) {
			fprintf(stdout, "BENCH-FAILED %s\n", lua_tostring(lua, -1));
			fflush(stdout);
			return 1;
		}
	lua_close(lua);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* runtime_lua.h - for tests of Lua's image. See runtime_lua.c. */
#ifndef RUNTIME_LUA_H
#define RUNTIME_LUA_H

#include "unit.h"
#include "runtime_machine.h"

#define IMAGE	BUILD "/images/lua.elf"

extern char root[64];		/* what the guest sees as Linux's "/"; /mnt is there */

void lua_put_file(const char *name, const char *data, size_t bytes);
/* Runs the script, which must outlive the machine. */
struct machine_config lua_config(const char *script);
/* Runs the machine: how it ends, and what it prints (NULL: any). */
void lua_expect(const struct machine_config *cfg, enum machine_end end, int status, const char *out);
/* Run a script and compare its output; it must end well. */
void lua_script_says(const char *script, const char *out);
int lua_run_tests(const char *name, const struct CMUnitTest *tests, size_t n);

#endif /* RUNTIME_LUA_H */

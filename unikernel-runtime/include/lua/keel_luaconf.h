/* SPDX-License-Identifier: MIT */
/*
 * keel_luaconf.h - included before every Lua source: what differs from Lua on Linux.
 */
#ifndef KEEL_LUACONF_H
#define KEEL_LUACONF_H

#define LUA_USE_POSIX

/* Modules come with the partition. Searching Linux's directories is left to package.path. */
#define LUA_PATH_DEFAULT	"/boot/?.lua;./?.lua"
#define LUA_CPATH_DEFAULT	""

/* Nesting of C calls: as deep as the stack allows (start.c). */
extern int rt_max_c_calls;
#define LUAI_MAXCCALLS		rt_max_c_calls

/* os.tmpname: where the policy allows it (temp.c), and if nowhere, says so. */
#include <rt/temp.h>
#define LUA_TMPNAMBUFSIZE	RT_TEMP_BYTES
#define lua_tmpnam(b, e) \
	{ if ((e = rt_tempname(b))) \
		return luaL_error(L, "no temporary file in '%s': %s (TMPDIR=DIR names another place)", \
				  rt_tempdir(), strerror(e)); }

/* Lines of files; there is no other thread to lock out. */
#include <stdio.h>
#include <rt/stream.h>
#define l_getc(f)		rt_getc(f)
#define l_lockfile(f)		((void)0)
#define l_unlockfile(f)		((void)0)

/* io.popen: no other programs here. */
#define l_popen(L, c, m) \
	((void)(c), (void)(m), luaL_error(L, "'popen' not supported"), (FILE *)0)
#define l_pclose(L, file)	((void)(L), (void)(file), -1)

#endif

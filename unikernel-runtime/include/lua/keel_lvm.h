/* SPDX-License-Identifier: MIT */
/*
 * keel_lvm.h - included before lvm.c: the interpreter's backward jumps look for ^C.
 *
 * Each of them takes its distance with one of two macros and then reads whether a hook has been set.
 * What runs in RT_POLL() is the handler of SIGINT, which in lua.c sets a hook: the next instruction of
 * the script is its error. Other uses of the macros look as well, which does no harm.
 */
#ifndef KEEL_LVM_H
#define KEEL_LVM_H

#define LUA_CORE		/* as lvm.c will */
#include "lprefix.h"
#include "lopcodes.h"
#include <rt/poll.h>

static inline int keel_poll_sJ(Instruction i)
{
	RT_POLL();
	return GETARG_sJ(i);
}

static inline int keel_poll_Bx(Instruction i)
{
	RT_POLL();
	return GETARG_Bx(i);
}

#undef GETARG_sJ
#undef GETARG_Bx
#define GETARG_sJ(i)	keel_poll_sJ(i)
#define GETARG_Bx(i)	keel_poll_Bx(i)

#endif

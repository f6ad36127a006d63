// SPDX-License-Identifier: MIT
/* nop_process.c - a process has no driver calls. */
#include "bench_lua.h"

int bench_nop(int n)
{
	(void)n;
	return -1;
}

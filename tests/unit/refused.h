/* SPDX-License-Identifier: MIT */
/* refused.h - load_refuse() for tests: `if (!setjmp(refused)) ...`, and what it said is in `why`. */
#ifndef REFUSED_H
#define REFUSED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

static jmp_buf refused;
static char why[256];

void load_refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	longjmp(refused, 1);
}

#endif

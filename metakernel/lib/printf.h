/* SPDX-License-Identifier: MIT */
/*
 * lib/printf.h - formatted output into a buffer.
 *
 * %s %c %d %i %u %x %X %p %% with flags - and 0, width (number or *), precision for %s, and the
 * sizes h hh l ll z. Anything else is copied as it stands, so that it shows.
 */
#ifndef LIB_PRINTF_H
#define LIB_PRINTF_H

#include <stdarg.h>
#include <stddef.h>

/* As C99: returns the length without the limit; terminated if size > 0. */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
int snprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif

/* SPDX-License-Identifier: MIT */
/*
 * lib/log.h - the metakernel's log: a ring of the newest LOG_BYTES, echoed on the serial port.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_BYTES	65536
#define LOG_LINE_MAX	512	/* longer messages are cut */

/*
 * One line: "[keel] " is put in front; end fmt with \n. Control characters inside, which come from text of
 * others, are made visible. The ring keeps every line; the echo gives way when the port is behind.
 */
void log_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/* Bytes ever logged, so also the position of the next one. */
uint64_t log_end(void);

/*
 * Copy up to len bytes from *pos on, or from the oldest still held if *pos is older, and set *pos
 * behind them. A position from the future reads nothing and becomes log_end(). Returns the count.
 */
size_t log_read(char *buf, size_t len, uint64_t *pos);

#endif

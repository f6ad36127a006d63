// SPDX-License-Identifier: MIT
/*
 * log.c - the log ring.
 *
 * Positions are absolute byte counts and never wrap, so a reader that fell behind can tell.
 * Context: interrupts off, one CPU at a time.
 */
#include <hal/console.h>
#include "log.h"
#include "printf.h"
#include "string.h"

_Static_assert((LOG_BYTES & (LOG_BYTES - 1)) == 0, "LOG_BYTES is a power of two");

static char ring[LOG_BYTES];
static uint64_t end_pos;
static bool quiet;

static void echo_text(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\n')
			hal_console_putc('\r');
		hal_console_putc(s[i]);
	}
}

void log_write(const char *s, size_t len, bool echo)
{
	for (size_t i = 0; i < len; i++)
		ring[(end_pos + i) & (LOG_BYTES - 1)] = s[i];
	end_pos += len;
	if (echo)
		echo_text(s, len);
}

void log_vprintf(const char *fmt, va_list ap)
{
	static const char prefix[] = "[keel] ";
	char line[LOG_LINE_MAX];
	size_t len = sizeof(prefix) - 1;
	int n;

	memcpy(line, prefix, len);
	n = vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	len += (size_t)n;
	if (len >= sizeof(line)) {
		len = sizeof(line) - 1;
		line[len - 1] = '\n';
	}
	log_write(line, len, !quiet);
}

void log_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vprintf(fmt, ap);
	va_end(ap);
}

void log_set_quiet(bool on)
{
	quiet = on;
}

uint64_t log_end(void)
{
	return end_pos;
}

size_t log_read(char *buf, size_t len, uint64_t *pos)
{
	uint64_t oldest = end_pos > LOG_BYTES ? end_pos - LOG_BYTES : 0;
	uint64_t from = *pos < oldest ? oldest : *pos;
	size_t n;

	if (from > end_pos)
		from = end_pos;
	n = end_pos - from < len ? (size_t)(end_pos - from) : len;
	for (size_t i = 0; i < n; i++)
		buf[i] = ring[(from + i) & (LOG_BYTES - 1)];
	*pos = from + n;
	return n;
}

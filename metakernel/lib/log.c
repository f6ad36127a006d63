// SPDX-License-Identifier: MIT
/*
 * log.c - the log ring.
 *
 * Positions are absolute byte counts and never wrap, so a reader that fell behind can tell. The ring is
 * also the source of what the serial port shows of it.
 *
 * Locks:   LOCK_OUT (serial_lock), taken here.
 * Context: interrupts off.
 */
#include "lock.h"
#include "log.h"
#include "printf.h"
#include "serial.h"
#include "string.h"
#include "visible.h"

_Static_assert((LOG_BYTES & (LOG_BYTES - 1)) == 0, "LOG_BYTES is a power of two");
_Static_assert(SERIAL_PIECES * LOG_LINE_MAX <= LOG_BYTES, "lines that wait are still in the ring");

static char ring[LOG_BYTES];
static uint64_t end_pos;
static struct serial_source echo;

static void log_write(const char *s, size_t len)
{
	size_t at, run;

	lock_take(&serial_lock);
	at = end_pos & (LOG_BYTES - 1);
	run = len < LOG_BYTES - at ? len : LOG_BYTES - at;
	if (!echo.ring)
		serial_attach(&echo, SERIAL_LOG, "keel", ring, LOG_BYTES);
	memcpy(ring + at, s, run);
	memcpy(ring, s + run, len - run);
	end_pos += len;
	serial_put(&echo, (uint32_t)len);
	serial_send();
	lock_release(&serial_lock);
}

void log_vprintf(const char *fmt, va_list ap)
{
	static const char prefix[] = "[keel] ";
	char text[LOG_LINE_MAX], line[LOG_LINE_MAX];
	size_t len = sizeof(prefix) - 1, n = (size_t)vsnprintf(text, sizeof(text), fmt, ap);

	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	if (n && text[n - 1] == '\n')
		n--;
	memcpy(line, prefix, len);
	len += visible(line + len, sizeof(line) - 2 - len, text, n);
	line[len++] = '\n';
	log_write(line, len);
}

void log_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vprintf(fmt, ap);
	va_end(ap);
}

uint64_t log_end(void)
{
	return end_pos;
}

size_t log_read(char *buf, size_t len, uint64_t *pos)
{
	uint64_t oldest, from;
	size_t n, at, run;

	lock_take(&serial_lock);
	oldest = end_pos > LOG_BYTES ? end_pos - LOG_BYTES : 0;
	from = *pos < oldest ? oldest : *pos;
	if (from > end_pos)
		from = end_pos;
	n = end_pos - from < len ? (size_t)(end_pos - from) : len;
	at = from & (LOG_BYTES - 1);
	run = n < LOG_BYTES - at ? n : LOG_BYTES - at;
	memcpy(buf, ring + at, run);
	memcpy(buf + run, ring, n - run);
	*pos = from + n;
	lock_release(&serial_lock);
	return n;
}

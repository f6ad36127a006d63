// SPDX-License-Identifier: MIT
/*
 * console.c - stdin, stdout and stderr on the partition's console.
 *
 * Output goes out as it is, straight from the caller's memory. Input is taken a line at a time: no
 * echo, Enter (CR or LF) ends a line, Backspace and ^U edit it, ^D on an empty line is end of file.
 * A line longer than the buffer is handed over in pieces.
 */
#include <errno.h>
#include <string.h>
#include <rt/machine.h>
#include <rt/rt.h>

#define EV_CONSOLE	(1ULL << KEEL_EV_CONSOLE)
#define RETRY_NS	1000000		/* the metakernel's buffer was full */

#define CTRL(c)		((c) & 31)
#define DEL		0x7f

static char raw[256] __attribute__((aligned(256)));	/* lies inside one page */
static size_t raw_at, raw_len;		/* bytes of raw not looked at yet */
static char line[256];
static size_t line_len, line_at;	/* line[line_at..line_len) is for the reader, if line_done */
static bool line_done;

ssize_t console_write(const void *buf, size_t len)
{
	const char *p = buf;
	size_t left = len;

	while (left) {
		size_t n = PAGE_BYTES - ((uintptr_t)p & (PAGE_BYTES - 1));
		long took;

		if (n > left)
			n = left;
		took = hc2(KEEL_HC_CONSOLE_WRITE, va_to_pa(p), n);
		if (took < 0 || (size_t)took > n)
			return left == len ? -EIO : (ssize_t)(len - left);
		if (took == 0)
			event_wait(0, clock_deadline(RETRY_NS));
		p += took;
		left -= (size_t)took;
	}
	return (ssize_t)len;
}

/* One character of input into the line. */
static void line_input(char c)
{
	switch (c) {
	case '\b':
	case DEL:
		if (line_len)
			line_len--;
		return;
	case CTRL('U'):
		line_len = 0;
		return;
	case CTRL('D'):
		line_done = true;	/* an empty line: read returns 0 */
		return;
	case '\r':
		c = '\n';
		break;
	}
	line[line_len++] = c;
	line_done = c == '\n' || line_len == sizeof(line);
}

/* Take what input there is. True if a line (or end of file) is ready. */
static bool line_poll(void)
{
	while (!line_done) {
		if (raw_at == raw_len) {
			long n = hc2(KEEL_HC_CONSOLE_READ, va_to_pa(raw), sizeof(raw));

			if (n <= 0 || (size_t)n > sizeof(raw))
				return false;
			raw_at = 0;
			raw_len = (size_t)n;
		}
		line_input(raw[raw_at++]);
	}
	return true;
}

bool console_readable(void)
{
	return line_poll();
}

ssize_t console_read(void *buf, size_t len)
{
	if (!len)
		return 0;
	while (!line_poll())
		event_wait(EV_CONSOLE, RT_FOREVER);

	if (len > line_len - line_at)
		len = line_len - line_at;
	memcpy(buf, line + line_at, len);
	line_at += len;
	if (line_at == line_len) {
		line_at = line_len = 0;
		line_done = false;
	}
	return (ssize_t)len;
}

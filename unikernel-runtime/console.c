// SPDX-License-Identifier: MIT
/*
 * console.c - stdin, stdout and stderr on the partition's console.
 *
 * Output goes out as it is, straight from the caller's memory. Input is taken a line at a time: no
 * echo (who types sees it where he types), Enter (CR or LF) ends a line, Backspace takes a character
 * of UTF-8, ^U the line, ^D on an empty line is end of file. A line longer than the buffer is handed
 * over in pieces. ^C is SIGINT as soon as it is seen, and what was typed before it is gone; it is not
 * seen behind more typed ahead than there is room for.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <rt/machine.h>
#include <rt/rt.h>

#define RETRY_NS	1000000		/* the metakernel's buffer was full */

#define CTRL(c)		((c) & 31)
#define DEL		0x7f

static char raw[256] __attribute__((aligned(256)));	/* lies inside one page */
static char typed[512];		/* ahead: a ring */
static size_t typed_head, typed_tail;
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

/* A character of UTF-8 is one byte, or one with bytes 10xxxxxx behind it. */
static void line_erase(void)
{
	while (line_len && (line[--line_len] & 0xc0) == 0x80)
		;
}

/* One byte of input into the line. */
static void line_input(char c)
{
	switch (c) {
	case '\b':
	case DEL:
		line_erase();
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

static void line_drop(void)
{
	line_len = line_at = 0;
	line_done = false;
}

/* One byte typed; true for ^C. */
static bool type_ahead(char c)
{
	if (c == CTRL('C')) {
		typed_head = typed_tail;
		line_drop();
		return true;
	}
	typed[typed_tail++ % sizeof(typed)] = c;
	return false;
}

void console_pump(void)
{
	bool interrupt = false;

	for (;;) {
		/* What there is no room for stays with the metakernel: nothing typed is lost. */
		size_t room = sizeof(typed) - (typed_tail - typed_head), max = room < sizeof(raw) ? room : sizeof(raw);
		long n = max ? hc2(KEEL_HC_CONSOLE_READ, va_to_pa(raw), max) : 0;

		if (n <= 0 || (size_t)n > max)
			break;
		for (long i = 0; i < n; i++)
			interrupt |= type_ahead(raw[i]);
	}
	/* Last, because a handler need not return. */
	if (interrupt)
		signal_raise(SIGINT);
}

/* Take what input there is. True if a line (or end of file) is ready. */
static bool line_poll(void)
{
	if (!line_done && typed_head == typed_tail)
		console_pump();
	while (!line_done && typed_head != typed_tail)
		line_input(typed[typed_head++ % sizeof(typed)]);
	return line_done;
}

bool console_readable(void)
{
	return line_poll();
}

ssize_t console_read(void *buf, size_t len)
{
	if (!len)
		return 0;
	while (!line_poll()) {
		int woken = signal_wait(0, RT_FOREVER);

		if (woken < 0 && !signal_restarts())
			return woken;
	}
	remote_forget();	/* a line may say that a file has changed */
	if (len > line_len - line_at)
		len = line_len - line_at;
	memcpy(buf, line + line_at, len);
	line_at += len;
	if (line_at == line_len)
		line_drop();
	return (ssize_t)len;
}

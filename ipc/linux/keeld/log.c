// SPDX-License-Identifier: MIT
/*
 * log.c - messages go out as one write each, so lines of several processes do not mix.
 *
 * A log file is opened for each line, as another process may have moved it away since: the lines
 * are few. Who finds it full renames it under a lock, after a look whether it still is the same.
 */
#include "log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static char prefix[64] = "keeld";
static const char *log_file;
static bool use_syslog;
static struct log_limit all = { .burst = LOG_BURST, .every_ms = 1000 };

uint64_t log_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void log_init(const char *name, const char *file, bool to_syslog)
{
	if (name)
		snprintf(prefix, sizeof(prefix), "keeld[%s]", name);
	else
		snprintf(prefix, sizeof(prefix), "keeld");
	log_file = file;
	use_syslog = to_syslog;
	all = (struct log_limit) { .burst = LOG_BURST, .every_ms = 1000 };
	if (to_syslog)
		openlog(prefix, 0, LOG_DAEMON);
}

bool log_allowed(struct log_limit *l, uint64_t now_ms, unsigned int *dropped)
{
	uint64_t more;

	if (!l->started) {
		l->started = true;
		l->left = l->burst;
		l->last_ms = now_ms;
	}
	more = (now_ms - l->last_ms) / l->every_ms;
	l->last_ms += more * l->every_ms;
	l->left = more >= l->burst - l->left ? l->burst : l->left + (unsigned int)more;
	if (!l->left) {
		l->dropped++;
		return false;
	}
	l->left--;
	*dropped = l->dropped;
	l->dropped = 0;
	return true;
}

/* Makes room: the file at this descriptor becomes FILE.old, unless somebody else did that already. */
static void rotate(int fd)
{
	char old[256];
	struct stat here, there;

	if ((size_t)snprintf(old, sizeof(old), "%s.old", log_file) >= sizeof(old))
		return;
	if (flock(fd, LOCK_EX) == 0 && fstat(fd, &here) == 0 && stat(log_file, &there) == 0 &&
	    here.st_dev == there.st_dev && here.st_ino == there.st_ino)
		rename(log_file, old);
}

static int open_log(void)
{
	const int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC;
	int fd = open(log_file, flags, 0644);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= LOG_FILE_BYTES) {
		rotate(fd);
		close(fd);
		fd = open(log_file, flags, 0644);
	}
	return fd;
}

static void put(const char *text)
{
	char line[1200];
	int n, fd = STDERR_FILENO;

	if (use_syslog) {
		syslog(LOG_NOTICE, "%s", text);
		return;
	}
	n = snprintf(line, sizeof(line), "%s: %s\n", prefix, text);
	if (log_file)
		fd = open_log();
	if (fd >= 0 && write(fd, line, (size_t)n) < 0)
		return;		/* nowhere left to complain */
	if (log_file && fd >= 0)
		close(fd);
}

static void say(struct log_limit *limit, const char *fmt, va_list ap)
{
	unsigned int dropped = 0, own = 0;
	uint64_t now = log_now_ms();
	char text[1024];
	size_t len;

	if (limit && !log_allowed(limit, now, &own))
		return;
	if (!log_allowed(&all, now, &dropped))
		return;
	if (dropped) {
		snprintf(text, sizeof(text), "%u lines left out", dropped);
		put(text);
	}
	vsnprintf(text, sizeof(text), fmt, ap);
	len = strlen(text);
	if (own)
		snprintf(text + len, sizeof(text) - len, " (and %u more since the last such line)", own);
	put(text);
}

void log_line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(NULL, fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *limit, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(limit, fmt, ap);
	va_end(ap);
}

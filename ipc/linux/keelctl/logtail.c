// SPDX-License-Identifier: MIT
/*
 * logtail.c - see logtail.h. NAME.log becomes NAME.log.old when it is full. Who has it open reads it to its end and goes on with
 * the new one; who is so slow that this is full, too, misses that one, and says so.
 */
#include "logtail.h"
#include "job.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_log(const struct logtail *t, const char *suffix)
{
	char path[PATH_MAX];

	job_path(path, t->name, suffix);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool is(int fd, const char *name, const char *suffix)
{
	struct stat here, there;
	char path[PATH_MAX];

	job_path(path, name, suffix);
	return !fstat(fd, &here) && !stat(path, &there) && here.st_ino == there.st_ino;
}

void logtail_open(struct logtail *t, const char *name, bool from_oldest)
{
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->fd = from_oldest ? open_log(t, ".log.old") : -1;
	t->before = t->fd >= 0;
	if (!t->before)
		t->fd = open_log(t, ".log");
	if (t->fd >= 0 && !from_oldest)
		lseek(t->fd, 0, SEEK_END);
}

/* Whether there is another file to go on with. */
static bool next(struct logtail *t, char *text, size_t size, size_t *n)
{
	bool old = is(t->fd, t->name, ".log.old");

	*n = 0;
	if (is(t->fd, t->name, ".log"))
		return false;
	close(t->fd);
	if (!old && !t->before)	/* it has been moved away, and the next one behind it */
		*n = (size_t)snprintf(text, size, "[output lost: it came faster than it was read]\n");
	t->before = false;
	t->fd = open_log(t, ".log");
	return t->fd >= 0;
}

size_t logtail_read(struct logtail *t, char *text, size_t size)
{
	bool more = true;
	ssize_t n;
	size_t said;

	while (t->fd >= 0 && more) {
		n = read(t->fd, text, size);
		if (n > 0)
			return (size_t)n;
		/* Asked before the last look: it is complete, if it is another one's by now. */
		more = !is(t->fd, t->name, ".log");
		n = read(t->fd, text, size);
		if (n > 0)
			return (size_t)n;
		if (more && next(t, text, size, &said) && said)
			return said;
	}
	return 0;
}

void logtail_close(struct logtail *t)
{
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}

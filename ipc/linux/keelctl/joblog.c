// SPDX-License-Identifier: MIT
/* joblog.c - see joblog.h. Who follows a log keeps FILE open and goes on with the new one at its end. */
#include "joblog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int begin(struct joblog *log)
{
	log->bytes = 0;
	log->fd = open(log->file, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	return log->fd < 0 ? -errno : 0;
}

static void old_name(const struct joblog *log, char old[PATH_MAX + 8])
{
	snprintf(old, PATH_MAX + 8, "%s.old", log->file);
}

int joblog_open(struct joblog *log, const char *file)
{
	char old[PATH_MAX + 8];

	snprintf(log->file, sizeof(log->file), "%s", file);
	old_name(log, old);
	unlink(old);
	unlink(log->file);
	return begin(log);
}

int joblog_continue(struct joblog *log, const char *file)
{
	off_t end;

	snprintf(log->file, sizeof(log->file), "%s", file);
	log->fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	end = log->fd < 0 ? -1 : lseek(log->fd, 0, SEEK_END);
	log->bytes = end > 0 ? (size_t)end : 0;
	return log->fd < 0 ? -errno : 0;
}

void joblog_put(struct joblog *log, const char *text, size_t n)
{
	char old[PATH_MAX + 8];
	ssize_t done;

	if (log->bytes + n > JOBLOG_BYTES) {
		old_name(log, old);
		close(log->fd);
		rename(log->file, old);
		begin(log);
	}
	while (n) {
		done = write(log->fd, text, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		text += done;
		n -= (size_t)done;
		log->bytes += (size_t)done;
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * joblog.h - what a detached partition prints, in files of bounded size: FILE, and FILE.old, which FILE becomes
 * when it is full.
 */
#ifndef KEELCTL_JOBLOG_H
#define KEELCTL_JOBLOG_H

#include <limits.h>
#include <stddef.h>

#define JOBLOG_BYTES	(256 * 1024)

struct joblog {
	char file[PATH_MAX];
	int fd;			/* -1: it cannot be written; what comes is dropped */
	size_t bytes;
};

/* Begins with an empty file; the old one goes. 0 or negative errno. */
int joblog_open(struct joblog *log, const char *file);
/* Goes on at the end of the one there is. */
int joblog_continue(struct joblog *log, const char *file);
void joblog_put(struct joblog *log, const char *text, size_t n);

#endif

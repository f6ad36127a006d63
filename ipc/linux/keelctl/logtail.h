/* SPDX-License-Identifier: MIT */
/* logtail.h - the log of a detached partition, read while it is written (joblog.h). */
#ifndef KEELCTL_LOGTAIL_H
#define KEELCTL_LOGTAIL_H

#include <keel/abi.h>

#include <stdbool.h>
#include <stddef.h>

struct logtail {
	char name[KEEL_NAME_LEN];
	int fd;			/* -1: there is none */
	bool before;		/* fd is what was full when we began */
};

/* From the oldest byte there is, or from the end. */
void logtail_open(struct logtail *t, const char *name, bool from_oldest);
/* The next bytes; 0: no more are there now. */
size_t logtail_read(struct logtail *t, char *text, size_t size);
void logtail_close(struct logtail *t);

#endif

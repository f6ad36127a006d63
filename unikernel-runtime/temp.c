// SPDX-License-Identifier: MIT
/*
 * temp.c - temporary files, where the policy of this partition has a place for them: $TMPDIR (a word of
 * the command line), else /tmp. A refusal is told at once instead of being met a hundred times.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <rt/temp.h>

#define TRIES	100
#define NAME	"/lua_"
#define RANDOM	6		/* characters __randname makes */

char *__randname(char *at);	/* musl's */

const char *rt_tempdir(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/tmp";
}

/* A new file; its descriptor or a negative errno. */
static int make(char name[RT_TEMP_BYTES])
{
	size_t n = strlen(rt_tempdir());
	int fd = -1;

	if (n + sizeof(NAME) + RANDOM > RT_TEMP_BYTES)
		return -ENAMETOOLONG;
	memcpy(name, rt_tempdir(), n);
	memcpy(name + n, NAME, sizeof(NAME) - 1);
	n += sizeof(NAME) - 1;
	name[n + RANDOM] = '\0';
	for (int i = 0; i < TRIES && fd < 0; i++) {
		__randname(name + n);
		fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	return fd < 0 ? -errno : fd;
}

int rt_tempname(char name[RT_TEMP_BYTES])
{
	int fd = make(name);

	if (fd < 0)
		return -fd;
	close(fd);
	return 0;
}

/* Instead of musl's. */
FILE *tmpfile(void)
{
	char name[RT_TEMP_BYTES];
	int fd = make(name);
	FILE *f;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	unlink(name);
	f = fdopen(fd, "w+");
	if (!f)
		close(fd);
	return f;
}

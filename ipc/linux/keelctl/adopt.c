// SPDX-License-Identifier: MIT
/*
 * adopt.c - see adopt.h.
 *
 * The lock of NAME.job says that nobody looks after it, the driver that the partition is there; either may change until both are
 * ours, in this order, so of several that try one succeeds. The process that goes on from there is a child: whoever typed the
 * command that met the orphan has it done, and the answer to it.
 */
#include "adopt.h"
#include "commands.h"
#include "device.h"
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE	(PATH_MAX + 64)

/* The partition itself: 0, -ENOENT (there is none, or it is not kept), -EBUSY or another negative errno. */
static int take_partition(struct run *r)
{
	struct keel_ioc_open open = { 0 };
	int fd;

	strcpy(open.name, r->job.name);
	fd = device_call(KEEL_IOC_PART_OPEN, &open);
	if (fd < 0)
		return fd;
	strcpy(r->name, r->job.name);
	r->fd = fd;
	r->made.handle = open.handle;
	r->made.chan = open.chan;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

/* In the child: does not return where there is an orphan. */
static int look_after(const char *name, int told)
{
	static struct run r;
	struct job_state state;
	int err = job_inherit(&r.job, name, &state);

	if (err)
		return err;
	err = take_partition(&r);
	if (err)
		return err;
	setsid();
	r.job.told = told;
	job_options(&r.o, &state);
	run_prepare(&r, state.directory);
	r.signals = supervise_signals();
	exit(run_life(&r, true));
}

/* Whether it has a keeper now that it had not before. */
static bool adopt_one(const char *name, bool tell)
{
	int told[2], status;
	char byte;
	ssize_t n;
	pid_t pid;

	if (pipe2(told, O_CLOEXEC) < 0)
		return false;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(told[0]);
		if (!tell)
			dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		_exit(look_after(name, told[1]) ? 1 : 0);
	}
	close(told[1]);
	while ((n = read(told[0], &byte, 1)) < 0 && errno == EINTR)
		;
	close(told[0]);
	if (n <= 0 && pid > 0)
		waitpid(pid, &status, 0);
	if (n > 0 && tell)
		printf("%s\n", name);
	return n > 0;
}

/* Cheap, and right in most cases: one that has ended, or has a keeper, needs no child to find out. */
static bool may_be_orphan(const char *name)
{
	struct job_state state;
	bool may = !job_look(name, false, &state) && !state.running && !state.known && state.pid;

	job_forget(&state);
	return may && device_find_try(name) >= 0;
}

static int is_job(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return dot && dot != e->d_name && !strcmp(dot, ".job");
}

unsigned int adopt(const char *name, bool tell)
{
	struct dirent **found;
	unsigned int adopted = 0;
	int i, n = scandir(job_dir, &found, is_job, alphasort);

	for (i = 0; i < n; i++) {
		*strrchr(found[i]->d_name, '.') = '\0';
		if ((!name || !strcmp(name, found[i]->d_name)) && strlen(found[i]->d_name) < KEEL_NAME_LEN &&
		    may_be_orphan(found[i]->d_name))
			adopted += adopt_one(found[i]->d_name, tell);
		free(found[i]);
	}
	if (n >= 0)
		free(found);
	return adopted;
}

int cmd_adopt(int argc, char **argv)
{
	if (argc > 2)
		return usage_error();
	if (!adopt(argc == 2 ? argv[1] : NULL, true) && argc == 2)
		die("adopt %s: there is no such partition, or somebody looks after it", argv[1]);
	return 0;
}

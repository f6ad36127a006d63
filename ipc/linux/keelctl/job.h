/* SPDX-License-Identifier: MIT */
/*
 * job.h - a detached partition: the process that looks after it, and what it leaves in JOB_DIR.
 *
 *   NAME.job    key=value lines; locked (flock) as long as that process lives, so that nobody has to trust a process ID
 *   NAME.log    what the partition printed (joblog.h)
 *   NAME.server what the process that serves its files had to say
 *
 * A name stays taken until NAME.job is removed.
 */
#ifndef KEELCTL_JOB_H
#define KEELCTL_JOB_H

#include "joblog.h"
#include "supervise.h"

#include <keel/abi.h>

#include <stdbool.h>

extern const char *job_dir;	/* /run/keel */

/* ---- for the process that looks after it ---- */

struct job {
	char name[KEEL_NAME_LEN];
	int fd;				/* NAME.job, locked */
	int told;			/* a pipe to who started us: the name, once it runs */
	int err;			/* standard error of who started us */
	bool remove;
	struct joblog log;
};

/* Goes on in a child of its own session. The parent waits until job_started(), prints the name and exits; or with the status
 * of the child, if that ends before. */
void job_detach(struct job *j);

/* Whether nobody has left a file for this name. */
bool job_free(const char *name);
/* Takes the name. 0, -EEXIST or another negative errno. */
int job_take(struct job *j, const char *name);
void job_give_up(struct job *j);

/* Standard streams become those of the partition, with a pipe to s->output, until job_streams_taken(). Dies if that cannot be. */
void job_streams(struct job *j, struct supervised *s);
void job_streams_taken(const struct job *j);

void job_started(struct job *j, const char *image, bool remove);
void job_ended(struct job *j, int status, const char *said);

/* ---- for others ---- */

struct job_state {
	bool running;
	bool known;			/* how it ended: the next two; else its keeper was killed */
	int status;
	char said[256];
	char image[256];
};

/* 0, -ENOENT or another negative errno; with `wait` not before it has ended. */
int job_look(const char *name, bool wait, struct job_state *state);
/* Removes what an ended one has left. */
void job_remove(const char *name);
/* NAME and a suffix in JOB_DIR. */
void job_path(char path[PATH_MAX], const char *name, const char *suffix);

#endif

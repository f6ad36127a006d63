/* SPDX-License-Identifier: MIT */
/*
 * job.h - a detached partition: the process that looks after it, and what it leaves in JOB_DIR.
 *
 *   NAME.job    key=value lines: what was asked for (so that another process can go on with it), and how it is or was;
 *               locked (flock) as long as that process lives, so that nobody has to trust a process ID
 *   NAME.log    what the partition printed (joblog.h)
 *   NAME.in     a FIFO, its standard input, if that shall stay open (-di)
 *   NAME.server what the process that serves its files had to say
 *
 * A name stays taken until NAME.job is removed.
 */
#ifndef KEELCTL_JOB_H
#define KEELCTL_JOB_H

#include "joblog.h"
#include "options.h"
#include "supervise.h"

#include <keel/abi.h>

#include <stdbool.h>

extern const char *job_dir;	/* /run/keel */

/* What the file says. */
struct job_state {
	bool running;
	bool known;			/* how it ended: the next three; else its keeper was killed */
	int status;
	const char *said;		/* "" if there is nothing to say */
	int64_t ended;			/* Unix time */
	const char *directory;		/* where it was started; NULL: it has not got that far */
	char **words, **env;		/* its command line behind `run`; NAME=VALUE */
	int nwords, nenv;
	int64_t started;
	unsigned int restarts;
	int pid;			/* of its keeper: to be believed while `running` */
	char *text, **argv;		/* where these are */
};

/* ---- for the process that looks after it ---- */

struct job {
	char name[KEEL_NAME_LEN];
	int fd;				/* NAME.job, locked */
	int told;			/* a pipe to who started us: the name, once it runs */
	int err;			/* standard error of who started us */
	bool input;			/* its standard input is NAME.in, else nothing */
	bool remove;
	struct joblog log;
	char *asked;			/* lines of NAME.job that stay as they are */
	int64_t started;		/* Unix time of its latest start */
	unsigned int restarts;
};

/* Remembers the command line, and of the environment what it passes on, for job_started(). */
void job_ask(struct job *j, char *const *words, const struct run_options *o);

/* Goes on in a child of its own session. The parent waits until job_started(), prints the name and exits; or with the status
 * of the child, if that ends before. */
void job_detach(struct job *j);

/* Whether nobody has left a file for this name. */
bool job_free(const char *name);
/* Takes the name. 0, -EEXIST or another negative errno. */
int job_take(struct job *j, const char *name);
void job_give_up(struct job *j);
/* Takes one that nobody looks after any more, and what it says. 0, -EBUSY: somebody does, -ESRCH: it has ended, or another negative errno. */
int job_inherit(struct job *j, const char *name, struct job_state *state);

/* The log: a new one, or the one there is. */
void job_log(struct job *j, bool on);
/* Standard streams become those of the partition, with a pipe to s->output, until job_streams_taken(). Dies if that cannot be. */
void job_streams(struct job *j, struct supervised *s);
void job_streams_taken(const struct job *j);

/* It runs: NAME.job says so. The first time who waits in job_detach() hears of it. */
void job_started(struct job *j);
void job_ended(struct job *j, int status, const char *said);

/* ---- for others ---- */

/* 0, -ENOENT or another negative errno; with `wait` not before it has ended. job_forget() frees what *state has. */
int job_look(const char *name, bool wait, struct job_state *state);
void job_forget(struct job_state *state);
/* What its command line asked for; goes to its directory, if that is still there. Points into *state. */
void job_options(struct run_options *o, const struct job_state *state);
/* Sends a signal to the process that looks after it. 0, -ENOENT, or -ESRCH: nobody does. */
int job_signal(const char *name, int sig);
/* Removes what an ended one has left. */
void job_remove(const char *name);
/* NAME and a suffix in JOB_DIR. */
void job_path(char path[PATH_MAX], const char *name, const char *suffix);

#endif

/* SPDX-License-Identifier: MIT */
/* run.h - a partition of the user's own: what was asked for, and what has become of it. */
#ifndef KEELCTL_RUN_H
#define KEELCTL_RUN_H

#include "cmdline.h"
#include "image.h"
#include "job.h"
#include "options.h"
#include "policy.h"
#include "text.h"

#include <keel/ioctl.h>

struct run {
	struct run_options o;
	char name[KEEL_NAME_LEN];
	struct policy policy;
	struct cmdline cmdline;
	struct image image;
	struct text text;
	int signals;			/* supervise_signals() */
	struct keel_ioc_create made;
	int fd;				/* the partition */
	struct job job;			/* detached */
};

/* Finds all that is wrong with what was asked for, seen from the directory `here`; dies of it. */
void run_prepare(struct run *r, const char *here);
/* Makes the partition under its name, or the first that is free; again, when it has ended. Dies if that cannot be. */
void run_create(struct run *r);
void run_create_again(struct run *r);
/* Lays the image out in it, and starts it: not before somebody serves it. */
void run_lay_out(struct run *r, struct keel_part_start *start);
void run_boot(const struct run *r, struct keel_part_start *start);

/*
 * life.c: from a partition that is made to its last end: served, watched, started again as it was asked for. `goes_on`: it runs
 * already. Returns the exit status; NAME.job, or standard error, has said the rest.
 */
int run_life(struct run *r, bool goes_on);

/* Descriptors 0 to 2 are something, so that nothing else becomes them. */
void run_open_streams(void);

#endif

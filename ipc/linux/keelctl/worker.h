/* SPDX-License-Identifier: MIT */
/* worker.h - the process that answers a partition's driver calls: one a partition, with no rights but its files. */
#ifndef KEELCTL_WORKER_H
#define KEELCTL_WORKER_H

#include "policy.h"

#include <stdint.h>
#include <sys/types.h>

struct worker {
	const char *name;	/* of the partition, for the log */
	const char *device, *log;
	uint32_t chan;
	const struct policy *policy;
};

/*
 * Starts it with our standard input, output and error, which are the partition's; it keeps none of our other descriptors. The channel is up when this returns its
 * process ID. Dies with what went wrong.
 */
pid_t worker_start(const struct worker *w);

/* Ends it and waits. */
void worker_stop(pid_t pid);

#endif

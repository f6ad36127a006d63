/* SPDX-License-Identifier: MIT */
/* supervise.h - from a partition's start to its end, and what is left to say then. */
#ifndef KEELCTL_SUPERVISE_H
#define KEELCTL_SUPERVISE_H

#include <keel/abi.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

struct supervised {
	const char *name;
	uint32_t handle;
	int fd;			/* the partition */
	pid_t worker;
	bool attached;		/* its console shows here, not on the serial port */
	int output;		/* a pipe with what it prints, for `log`; -1: none */
	struct joblog *log;
	char said[256];		/* out: why it ended, if that needs a line; else empty */
};

/*
 * The signals that end a run, and SIGCHLD, come out of this descriptor from now on. Before anything is started, so that
 * none is lost. Dies if that cannot be.
 */
int supervise_signals(void);

/*
 * Waits until the partition has ended, by itself or because of a signal to us, and the worker with it.
 * Returns the exit status: the partition's own; 128 + n for a fault, where Linux would have sent signal n; 137 for one that
 * was stopped; 128 + n after signal n to us.
 */
int supervise(struct supervised *s, int signals);

/* How a partition that has ended by itself is told: its status, and a line in said[], or "". */
int supervise_status(const struct keel_part_info *info, char *said, size_t size);

#endif

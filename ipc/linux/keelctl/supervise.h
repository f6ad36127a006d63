/* SPDX-License-Identifier: MIT */
/* supervise.h - from a partition's start to its end, and what is left to say then. */
#ifndef KEELCTL_SUPERVISE_H
#define KEELCTL_SUPERVISE_H

#include "watchdog.h"

#include <keel/abi.h>

#include <signal.h>
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
	void (*serve)(struct supervised *s);	/* starts a worker: sets `worker`, and `output` anew */
	void *of;		/* serve's */
	struct watchdog_policy watchdog;

	/* out: */
	char said[256];		/* why it ended, if that needs a line; else empty */
	bool again;		/* it shall be started again at once: somebody has asked for that, or the watchdog */
	bool stopped;		/* it was ended, and shall stay so */

	struct watchdog watched;
	unsigned int worker_ends;	/* that came soon after each other */
	uint64_t served_ms;	/* when this worker began */
};

/* To the process that looks after a detached partition. */
#define SIGNAL_RESTART	SIGUSR1		/* end it and start it again */
#define SIGNAL_STAY	SIGUSR2		/* whatever ends it, it is not started again */

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

/*
 * Waits so long, or until a signal says otherwise: false, and *sig is one that ends keelctl, or 0 (SIGNAL_STAY). SIGNAL_RESTART
 * ends the wait.
 */
bool supervise_pause(int signals, int ms, int *sig);

/* A line of keelctl's own about it, where its user sees it: standard error, or the log. */
void supervise_say(const struct supervised *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* How a partition that has ended by itself is told: its status, and a line in said[], or "". */
int supervise_status(const struct keel_part_info *info, char *said, size_t size);

#endif

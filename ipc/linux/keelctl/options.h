/* SPDX-License-Identifier: MIT */
/* options.h - the command line of `keelctl run`. */
#ifndef KEELCTL_OPTIONS_H
#define KEELCTL_OPTIONS_H

#include "restart.h"
#include "watchdog.h"

#include <keel/abi.h>

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define RUN_MEM_BYTES	(8ul << 20)	/* without -m */
#define RUN_PRIORITY	8		/* without --prio: Linux's */
#define RUN_MAX_MEM	(KEEL_PART_EXTENTS * (16ul << 20))
#define RUN_MAX_LIST	64		/* -v, -e */

struct run_grant {
	char host[PATH_MAX], path[PATH_MAX];	/* absolute */
	bool writable;
};

struct run_options {
	const char *name;		/* NULL: to be made up */
	bool detach, tty, remove;
	bool interactive;		/* detached: standard input stays open */
	struct restart_policy restart;
	struct watchdog_policy watchdog;
	uint64_t mem_bytes;
	uint64_t cpus;			/* a set; 0: anywhere */
	uint32_t nvcpus, priority;
	uint64_t budget_ns, period_ns;	/* 0: no limit */
	struct run_grant *grants[RUN_MAX_LIST];
	unsigned int ngrants;
	const char *env[RUN_MAX_LIST];	/* NAME=VALUE, or NAME: as it is here */
	unsigned int nenv;
	char dir[PATH_MAX];		/* -w, absolute; else empty */
	const char *image;
	char *const *args;
	int nargs;
};

/*
 * Fills *o from argv. Every wrong option or value ends the program with EXIT_RUN and a line that names
 * it.
 */
void options_parse(struct run_options *o, int argc, char **argv);

/* Whether a partition may be called that. */
bool options_name_ok(const char *name);

/* "64M" -> bytes; 0: no size. "1-3,5" -> a set of CPUs; 0: none. */
uint64_t options_size(const char *text);
uint64_t options_cpus(const char *text);
/* "2ms/10ms" -> false: not a budget that the metakernel would take. */
bool options_budget(const char *text, uint64_t *budget_ns, uint64_t *period_ns);

/* `path` seen from the current directory, absolute. Dies where there is no room. */
void options_absolute(char out[PATH_MAX], const char *path);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * watchdog.h - a partition that computes and computes, and never asks anybody for anything (--watchdog).
 *
 * Such a one is called wedged when it has used S seconds of its CPUs' time since the metakernel last counted an
 * entry of its own making. Time it was not given does not count, so a busy machine raises no alarm; nor does one that waits.
 */
#ifndef KEELCTL_WATCHDOG_H
#define KEELCTL_WATCHDOG_H

#include <keel/abi.h>

#include <stdbool.h>

struct watchdog_policy {
	uint32_t seconds;	/* 0: none */
	enum { WATCHDOG_RESTART, WATCHDOG_STOP, WATCHDOG_LOG } action;
};

struct watchdog {		/* zeroed to begin with */
	uint64_t calls, cpu_ns;	/* at the last sign of life */
};

/* "5", "5:log", "5:restart", "5:stop". False: it is none of them. */
bool watchdog_parse(struct watchdog_policy *p, const char *text);

/* To be asked now and then; true: wedged, and once more after as long again. */
bool watchdog_wedged(struct watchdog *w, uint32_t seconds, const struct keel_part_info *info, const struct keel_part_stats *stats);

#endif

/* SPDX-License-Identifier: MIT */
/* restart.h - whether, and when, a partition that has ended is started again (--restart). */
#ifndef KEELCTL_RESTART_H
#define KEELCTL_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#define RESTART_FIRST_MS	100	/* before the first; doubles from one to the next */
#define RESTART_MOST_MS		10000
#define RESTART_GOOD_MS		10000	/* who has lived so long begins anew */

struct restart_policy {
	enum { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS } when;
	unsigned int most;	/* in a row; 0: without end */
};

struct restart {		/* zeroed to begin with */
	unsigned int row;	/* since it has lived long enough */
	uint32_t delay_ms;
};

/* "no", "on-failure", "on-failure:3", "always". False: it is none of them. */
bool restart_parse(struct restart_policy *p, const char *text);

/* After an end with this status: how long to wait before the next start, in ms; -1: there is none. */
int restart_next(const struct restart_policy *p, struct restart *r, int status, uint64_t lived_ms);

#endif

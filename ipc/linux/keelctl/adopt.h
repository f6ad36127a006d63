/* SPDX-License-Identifier: MIT */
/* adopt.h - detached partitions whose process was killed: they run on, and get another. */
#ifndef KEELCTL_ADOPT_H
#define KEELCTL_ADOPT_H

#include <stdbool.h>

/*
 * Looks for detached partitions that are kept by the driver and that nobody looks after, and starts a process for each.
 * Only that one, if there is a name. `tell`: prints the names, and says what went wrong. Returns how many.
 */
unsigned int adopt(const char *name, bool tell);

#endif

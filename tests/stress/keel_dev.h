/* SPDX-License-Identifier: MIT */
/*
 * keel_dev.h - /dev/keel, for the programs run_time_*: opened or not there, and what they all count.
 */
#ifndef STRESS_KEEL_DEV_H
#define STRESS_KEEL_DEV_H

#include <fcntl.h>

#include <keel/ioctl.h>

#include "stress.h"

static int dev;

/* False: this is not Keel. */
static inline int open_dev(void)
{
	dev = open("/dev/keel", O_RDWR | O_CLOEXEC);
	if (dev < 0 && errno == ENOENT) {
		printf("no /dev/keel\n");
		return 0;
	}
	NEED(dev >= 0);
	return 1;
}

/* KiB; also what lies in the lists of CPUs, ready for the next one, which MemFree is without. */
static inline uint64_t mem_free(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	unsigned long pages = 0, n;
	char line[128];

	NEED(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " nr_free_pages %lu", &n) == 1 || sscanf(line, " count: %lu", &n) == 1)
			pages += n;
	fclose(f);
	NEED(pages);
	return pages * PAGE / 1024;
}

#endif

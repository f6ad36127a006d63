// SPDX-License-Identifier: MIT
/* watchdog.c - see watchdog.h. */
#include "watchdog.h"

#include <stdlib.h>
#include <string.h>

#define MOST	86400
#define NS	1000000000ull

bool watchdog_parse(struct watchdog_policy *p, const char *text)
{
	static const char *const actions[] = {
		[WATCHDOG_RESTART] = ":restart", [WATCHDOG_STOP] = ":stop", [WATCHDOG_LOG] = ":log",
	};
	unsigned long n;
	unsigned int i;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	n = strtoul(text, &end, 10);
	if (!n || n > MOST)
		return false;
	*p = (struct watchdog_policy) { (uint32_t)n, WATCHDOG_RESTART };
	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(end, actions[i]))
			continue;
		p->action = i;
		return true;
	}
	return !*end;
}

/* Entries that it makes by asking for something; not those that come over it while it does nothing but compute. */
static uint64_t calls(const struct keel_part_stats *stats)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = KEEL_STAT_TOTAL + 1; i < KEEL_STAT_NR; i++)
		if (i != KEEL_STAT_PF_FILL && i != KEEL_STAT_IRQ && i != KEEL_STAT_NMI)
			n += stats->count[i];
	return n;
}

bool watchdog_wedged(struct watchdog *w, uint32_t seconds, const struct keel_part_info *info, const struct keel_part_stats *stats)
{
	uint64_t now = calls(stats);
	bool wedged = now == w->calls && info->cpu_ns - w->cpu_ns >= seconds * NS * (info->nvcpus ? info->nvcpus : 1);

	if (now != w->calls || wedged)
		*w = (struct watchdog) { now, info->cpu_ns };
	return wedged;
}

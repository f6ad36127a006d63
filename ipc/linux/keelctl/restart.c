// SPDX-License-Identifier: MIT
/* restart.c - see restart.h. A program that ends at once, for ever, costs a start every ten seconds. */
#include "restart.h"

#include <stdlib.h>
#include <string.h>

#define MOST	1000000

bool restart_parse(struct restart_policy *p, const char *text)
{
	static const char failure[] = "on-failure";
	unsigned long n;
	char *end;

	*p = (struct restart_policy) { RESTART_NO, 0 };
	if (!strcmp(text, "no"))
		return true;
	p->when = !strcmp(text, "always") ? RESTART_ALWAYS : RESTART_ON_FAILURE;
	if (p->when == RESTART_ALWAYS || !strcmp(text, failure))
		return true;
	if (strncmp(text, failure, strlen(failure)) || text[strlen(failure)] != ':')
		return false;
	text += strlen(failure) + 1;
	if (*text < '0' || *text > '9')
		return false;
	n = strtoul(text, &end, 10);
	p->most = (unsigned int)n;
	return !*end && n && n <= MOST;
}

int restart_next(const struct restart_policy *p, struct restart *r, int status, uint64_t lived_ms)
{
	uint32_t delay;

	if (p->when == RESTART_NO || (p->when == RESTART_ON_FAILURE && !status))
		return -1;
	if (lived_ms >= RESTART_GOOD_MS)
		*r = (struct restart) { 0 };
	if (p->most && r->row >= p->most)
		return -1;
	r->row++;
	delay = r->delay_ms ? r->delay_ms : RESTART_FIRST_MS;
	r->delay_ms = 2 * delay < RESTART_MOST_MS ? 2 * delay : RESTART_MOST_MS;
	return (int)delay;
}

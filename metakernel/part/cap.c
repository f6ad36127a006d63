// SPDX-License-Identifier: MIT
/* cap.c - the tables of handles. */
#include "part/part.h"

union cap part_cap(const struct partition *p, uint64_t handle, unsigned int type)
{
	union cap c = cap_at(p, handle);

	if (c.type != type)
		c.word = 0;
	return c;
}

int cap_add(struct partition *p, unsigned int type, unsigned int rights, unsigned int index)
{
	union cap c = { .type = (uint8_t)type, .rights = (uint8_t)rights, .index = (uint8_t)index };
	unsigned int i;

	for (i = 0; i < KEEL_MAX_HANDLES; i++) {
		if (p->caps[i].word)
			continue;
		__atomic_store_n(&p->caps[i].word, c.word, __ATOMIC_RELEASE);
		return (int)i;
	}
	return -KEEL_ENOSPC;
}

void cap_remove(struct partition *p, unsigned int type, unsigned int index)
{
	unsigned int i;

	for (i = 0; i < KEEL_MAX_HANDLES; i++)
		if (p->caps[i].type == type && p->caps[i].index == index)
			__atomic_store_n(&p->caps[i].word, 0, __ATOMIC_RELEASE);
}

// SPDX-License-Identifier: MIT
/*
 * cap.c - the tables of handles, and who has which from whom.
 *
 * Owns:       a record of every handle that one partition has given another, of which MAX_GRANTS exist.
 * Locks:      LOCK_LIFE, the caller's.
 * Invariants: neither handle of a record is void: whoever makes one void sweeps before the lock is free again, so that no
 *             handle that comes to the same place later passes for it. Rights of the second are among those of the first.
 * Bounds:     a sweep goes over all records once for each link of the longest chain, MAX_DEPTH; of an extent it leaves a note for
 *             each vCPU of those that lose it, once each. A partition without the
 *             control right finds only half of the records.
 */
#include "mm/shootdown.h"
#include "part/chan.h"
#include "part/device.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/event.h"

#define MAX_GRANTS	256
#define MAX_DEPTH	4

/* Places in tables: KEEL_MAX_HANDLES * partition + handle. */
static struct grant {
	uint16_t from, to;	/* to 0, a partition's own handle of itself, which nobody gives: no record */
	uint16_t depth;
} grants[MAX_GRANTS];

static uint16_t place(const struct partition *p, uint64_t handle)
{
	return (uint16_t)(KEEL_MAX_HANDLES * p->index + handle);
}

static uint32_t *word_at(uint16_t at)
{
	return &parts[at / KEEL_MAX_HANDLES].caps[at % KEEL_MAX_HANDLES].word;
}

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

bool cap_holds(const struct partition *p, unsigned int type)
{
	unsigned int i;

	for (i = 0; i < KEEL_MAX_HANDLES && cap_at(p, i).type != type; i++)
		;
	return i < KEEL_MAX_HANDLES;
}

static void make_void(uint16_t at)
{
	union cap c = { .word = *word_at(at) };

	if (c.type == KEEL_CAP_CHANNEL)
		chan_go_home(&chans[c.index]);
	__atomic_store_n(word_at(at), 0, __ATOMIC_RELEASE);
	if (c.type == KEEL_CAP_PORTS || c.type == KEEL_CAP_IRQ)
		device_end(c.index, &parts[at / KEEL_MAX_HANDLES], at % KEEL_MAX_HANDLES);
	if (c.type != KEEL_CAP_MEMORY)
		return;
	chan_let(&chans[c.index], &parts[at / KEEL_MAX_HANDLES], 0);
	shoot_forget(&parts[at / KEEL_MAX_HANDLES]);
}

bool cap_revoke(const struct partition *p, uint64_t handle)
{
	uint16_t root = place(p, handle);
	struct grant *g;
	bool found, any = false;

	do {
		found = false;
		for (g = grants; g < grants + MAX_GRANTS; g++) {
			if (!g->to || (g->from != root && *word_at(g->from) && *word_at(g->to)))
				continue;
			make_void(g->to);
			g->to = 0;
			found = any = true;
		}
	} while (found);
	return any;
}

/* A record for what p derives from the handle at this place. */
static struct grant *new_record(const struct partition *p, uint16_t from)
{
	struct grant *g, *found = NULL;
	uint16_t depth = 1;

	for (g = grants; g < grants + MAX_GRANTS; g++) {
		if (g->to == from)
			depth = g->depth + 1;
		else if (!g->to && !found && (p->man->control || g < grants + MAX_GRANTS / 2))
			found = g;
	}
	if (!found || depth > MAX_DEPTH)
		return NULL;
	found->from = from;
	found->depth = depth;
	return found;
}

int cap_grant(const struct partition *by, uint64_t handle, struct partition *to, uint64_t rights)
{
	union cap c = cap_at(by, handle);
	struct grant *g;
	int made, err;

	if (!c.word || (c.type == KEEL_CAP_MEMORY && chans[c.index].closer))
		return -KEEL_EBADF;
	if (c.type == KEEL_CAP_LENT || !rights || to == by)
		return c.type == KEEL_CAP_LENT ? -KEEL_EBUSY : -KEEL_EINVAL;
	if (rights & ~(uint64_t)c.rights)
		return -KEEL_EPERM;
	if (!to->nvcpus || (c.type == KEEL_CAP_PARTITION && !parts[c.index].nvcpus))
		return -KEEL_EBUSY;	/* it is being made, or taken apart */
	if (c.type == KEEL_CAP_MEMORY && (chan_lets(&chans[c.index], to) || chans[c.index].side[0] == to))
		return -KEEL_EBUSY;
	err = c.type == KEEL_CAP_CHANNEL ? chan_lend_ok(&chans[c.index], by, to) : 0;
	if (err)
		return err;
	g = new_record(by, place(by, handle));
	made = g ? cap_add(to, c.type, (unsigned int)rights, c.index) : -KEEL_ENOSPC;
	if (made > 0)
		g->to = place(to, (uint64_t)made);
	if (made > 0 && c.type == KEEL_CAP_MEMORY)
		chan_let(&chans[c.index], to, (unsigned int)rights);
	if (made > 0 && c.type == KEEL_CAP_CHANNEL)
		chan_lend(&chans[c.index], to, (unsigned int)made);
	return made;
}

bool cap_ring(unsigned int type, unsigned int index)
{
	const struct grant *g;
	bool any = false;

	for (g = grants; g < grants + MAX_GRANTS; g++) {
		uint16_t to = __atomic_load_n(&g->to, __ATOMIC_RELAXED);
		struct partition *p = &parts[to / KEEL_MAX_HANDLES];
		union cap c = cap_at(p, to % KEEL_MAX_HANDLES);

		if (!to || c.type != type || c.index != index || !p->alive)
			continue;
		part_raise(p, event_of_handle(to % KEEL_MAX_HANDLES));
		any = true;
	}
	return any;
}

int cap_void(struct partition *by, uint64_t handle, bool itself)
{
	union cap c = cap_at(by, handle);

	if (!c.word)
		return -KEEL_EBADF;
	if (itself && (!handle || c.type == KEEL_CAP_LENT || (c.type == KEEL_CAP_CHANNEL && !chan_borrows(&chans[c.index], by))))
		return -KEEL_EINVAL;
	if (itself && c.type == KEEL_CAP_PARTITION && parts[c.index].creator == by && parts[c.index].handle == handle)
		return -KEEL_EBUSY;
	if (itself && c.type == KEEL_CAP_MEMORY && chans[c.index].side[0] == by)
		return -KEEL_EBUSY;
	if (itself)
		make_void(place(by, handle));
	if (cap_revoke(by, handle) || itself)	/* there is something to forget */
		cpus_ask(WORK_FORGET);
	return 0;
}

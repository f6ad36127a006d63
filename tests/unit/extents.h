/* SPDX-License-Identifier: MIT */
/* extents.h - of part/chan.c, for tests of handles: who has which extent, of the first 64 partitions. */
#ifndef EXTENTS_H
#define EXTENTS_H

#include "no_ends.h"

struct chan chans[MAX_CHANS];

void chan_let(struct chan *c, const struct partition *p, unsigned int rights)
{
	c->readers[0] = (c->readers[0] & ~bit64(p->index)) | (rights ? bit64(p->index) : 0);
}

bool chan_lets(const struct chan *c, const struct partition *p)
{
	return c->readers[0] & bit64(p->index);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * chan.h - channels: a window of shared frames and a doorbell each way; and extents of memory, which have only the frames.
 */
#ifndef METAKERNEL_PART_CHAN_H
#define METAKERNEL_PART_CHAN_H

#include "part/manifest.h"
#include "part/part.h"

#define MAX_CHANS	FRAMES_MAX_CHANNELS	/* the manifest's, then those made at run time */

struct chan {
	char name[KEEL_NAME_LEN];
	uint64_t max_bytes;		/* of the window; 0: there is no channel here */
	const struct partition *closer;	/* not NULL: it is closed, and the window on its way back to the server */
	uint16_t owner;		/* in the frame table */
	uint32_t state, generation;
	paddr_t window_pa;
	uint64_t window_bytes;		/* of them its own so far; 0: none was offered */
	uint64_t offered_bytes;		/* all that are to be; 0: or none, and those go back */
	uint64_t ticket;		/* of the server's vCPUs being told that it is gone */
	uint64_t clean_bytes;		/* of them zeroed so far; all: KEEL_CHAN_WINDOW in `state` */
	struct partition *side[2];	/* 0 server, 1 client; NULL: an extent of the server's, for who has a handle */
	uint16_t handle[2], event[2];	/* of this channel for the side; event_of_handle() */
	struct partition *home;		/* whose the client's end is, if that is lent */
	uint16_t home_handle;
	uint64_t readers[2], writers[2];	/* an extent's: partitions that have a handle, by index */
};

extern struct chan chans[MAX_CHANS];
extern unsigned int nchans;
extern struct lock chan_lock;		/* LOCK_CHAN */

/* A piece of it; -KEEL_EAGAIN: the same call again goes on. */
int chan_offer(struct partition *p, uint64_t handle, paddr_t pa, uint64_t npages);
/* Has p given a window out of its memory? It is the channel's for ever: others may be using it. */
bool chan_window_given(const struct partition *p);
/* Of one offer that p, which has ended, did not finish: the frames are its own again. False: there is none. */
bool chan_take_back(struct partition *p);
int chan_set_state(struct partition *p, uint64_t handle, uint64_t up);
int chan_info(struct partition *p, uint64_t handle, struct keel_chan_info *info);
/* One at run time: the server's handle | the client's << 32, or -KEEL_E*. Here and below LOCK_LIFE is the caller's. */
int64_t chan_connect(struct partition *server, struct partition *client, uint64_t max_bytes);
_Static_assert(MAX_PARTS <= 128, "sets of partitions");

/* Of an extent p has just got a handle with these rights, the only one; 0: it has lost that. Does it have one? */
void chan_let(struct chan *c, const struct partition *p, unsigned int rights);
bool chan_lets(const struct chan *c, const struct partition *p);
/* May the client's end, which p has, be lent to another? 0 or -KEEL_E*. Then it is the other's, by this handle, until it goes home. */
int chan_lend_ok(const struct chan *c, const struct partition *p, const struct partition *to);
void chan_lend(struct chan *c, struct partition *to, unsigned int handle);
void chan_go_home(struct chan *c);	/* the handle it was lent by is void */
static inline bool chan_borrows(const struct chan *c, const struct partition *p)
{
	return c->home && c->side[1] == p;
}

/* An extent of memory of p's: a handle, or -KEEL_E*. What p has there, it has as before. */
int chan_share(struct partition *p, paddr_t pa, uint64_t npages);
/*
 * Its handles lead nowhere, and its client will have forgotten the window when all CPUs have answered WORK_FORGET, which is
 * for the caller to ask. Then chan_return(), a piece a call, gives the window to the server: true, it is gone.
 */
void chan_close(struct chan *c, const struct partition *closer);
bool chan_return(struct chan *c);
/* A channel at run time that p is a side of; or a closed one that p has closed or serves. NULL: there is none (more). */
struct chan *chan_with(const struct partition *p, bool closed);
/* KEEL_HC_CHAN_CLOSE by who may do that; -KEEL_EAGAIN: the same call again goes on. */
int chan_close_handle(const struct partition *by, const struct partition *p, uint64_t handle);
/* frames_claim() under the lock, of whole pages. */
int chan_claim_frames(paddr_t pa, uint64_t npages, uint16_t from, uint16_t to);
/* Zero a frame for its next owner, in memory too if it was ever mapped uncached (rule 21). */
void chan_clean_frame(paddr_t pa);
void chan_part_died(struct partition *p);

/* What a handle names, and which side of it p is; NULL: no channel. */
static inline struct chan *chan_of(const struct partition *p, uint64_t handle, unsigned int *side)
{
	union cap cap = cap_at(p, handle);

	if (cap.type != KEEL_CAP_CHANNEL)
		return NULL;
	*side = cap.rights & KEEL_RIGHT_SERVE ? 0 : 1;
	return &chans[cap.index];
}

static inline void chan_ring(struct chan *c, unsigned int side)
{
	part_raise(c->side[side], c->event[side]);
}

static inline int chan_kick(const struct partition *p, uint64_t handle)
{
	unsigned int side;
	struct chan *c = chan_of(p, handle, &side);

	if (!c)
		return -KEEL_EBADF;
	if (!c->side[!side]->alive)
		return -KEEL_EPIPE;
	chan_ring(c, !side);
	return 0;
}
/* What p may do with a frame of this channel's or extent's: PTE_P | PTE_W, PTE_P or 0. */
uint64_t chan_rights(uint16_t owner, const struct partition *p);

#endif

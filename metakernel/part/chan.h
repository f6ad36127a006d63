/* SPDX-License-Identifier: MIT */
/*
 * chan.h - channels: a window of shared frames and a doorbell each way.
 */
#ifndef METAKERNEL_PART_CHAN_H
#define METAKERNEL_PART_CHAN_H

#include "part/manifest.h"
#include "part/part.h"

#define MAX_CHANS	FRAMES_MAX_CHANNELS	/* the manifest's, then those made at run time */

struct chan {
	const struct manifest_chan *man;	/* NULL: there is none here */
	uint16_t owner;		/* in the frame table */
	uint32_t state, generation;
	paddr_t window_pa;
	uint64_t window_bytes;		/* 0: none was offered */
	uint64_t ticket;		/* of the server's vCPUs being told that it is gone */
	uint64_t clean_bytes;		/* of them zeroed so far; all: KEEL_CHAN_WINDOW in `state` */
	struct partition *side[2];	/* 0 server, 1 client */
	uint16_t event[2];		/* of this channel for the side: event_of_handle() */
};

extern struct chan chans[MAX_CHANS];
extern unsigned int nchans;
extern struct lock chan_lock;		/* LOCK_CHAN */

struct chan *chan_of(const struct partition *p, uint64_t handle, unsigned int *side);	/* NULL: is none */

/* A piece of it; -KEEL_EAGAIN: the same call again goes on. */
int chan_offer(struct partition *p, uint64_t handle, paddr_t pa, uint64_t npages);
/* Has p given a window out of its memory? It is the channel's for ever: others may be using it. */
bool chan_window_given(const struct partition *p);
/* Of one offer that p, which has ended, did not finish: the frames are its own again. False: there is none. */
bool chan_take_back(struct partition *p);
int chan_set_state(struct partition *p, uint64_t handle, uint64_t up);
int chan_info(struct partition *p, uint64_t handle, struct keel_chan_info *info);
int chan_kick(struct partition *p, uint64_t handle);
/* Between two partitions of which the client was made at run time. -> the server's handle; 0 or -KEEL_ENOSPC */
int chan_create(struct partition *server, struct partition *client, const struct manifest_chan *man, struct chan **out);
/* Its client has ended: nobody finds it any more. What is left is the window, which chan_return() gives to the server. */
void chan_close(struct chan *c);
bool chan_return(struct chan *c, const struct partition *to);	/* a piece of it -> is it done? */
/* frames_claim() under the lock, of whole pages. */
int chan_claim_frames(paddr_t pa, uint64_t npages, uint16_t from, uint16_t to);
/* Zero a frame for its next owner, in memory too if it was ever mapped uncached (rule 21). */
void chan_clean_frame(paddr_t pa);
void chan_part_died(struct partition *p);
bool chan_attached(uint16_t owner, const struct partition *p);

#endif

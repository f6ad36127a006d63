// SPDX-License-Identifier: MIT
/*
 * chan.c - channels: a window of shared frames and a doorbell each way.
 *
 * The server gives the window out of its own memory, once; from then on the frames belong to the
 * channel (I1) and stay its own when the server dies, so a client that is in the middle of a load
 * never faults. Either side may then go up and down; each change counts the generation and rings
 * the other side.
 *
 * An extent is one without a client (docs/decisions/013-extents.md): who made it maps its frames all the time, and they keep
 * what is in them.
 *
 * Invariants: both sides are fixed when it is made. Nobody may map a frame of a channel with a client before all of them
 *             are zeroed and there is a window (I3).
 * Locks:      LOCK_CHAN: states, generations, windows, and with them the owner of every frame once partitions run.
 *             Whether a window is there may be read without (chan_rights): it goes from who has ended, or when every
 *             CPU has left the metakernel since it was closed (WORK_FORGET).
 * Bounds:     an offer is made in pieces: in the first the frames change owner, GIVE_BYTES at a time, and nobody may map
 *             them from then on; when every vCPU of the server has forgotten them they are
 *             zeroed in those that follow. Should the server end before the last one, they stay the channel's, out
 *             of everybody's reach, until it is restarted and gets them back. A way back is made in pieces likewise.
 */
#include <hal/cpu.h>
#include "mm/frames.h"
#include "mm/shootdown.h"
#include "part/chan.h"
#include "part/part.h"
#include "run/call.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/vcpu.h"
#include "lib/lock.h"
#include "lib/panic.h"
#include "lib/string.h"

#define GIVE_BYTES	(KEEL_GIVE_MAX * PAGE_SIZE)	/* of a window change owner at a time */
#define CLEAN_BYTES	(24 * PAGE_SIZE)	/* of a window in one piece: 20,000 instructions if uncached */

struct chan chans[MAX_CHANS];
unsigned int nchans;
struct lock chan_lock = LOCK_INIT(LOCK_CHAN);

/* One bit of a set of partitions. */
static void put(uint64_t *set, const struct partition *p, bool in)
{
	uint64_t bit = bit64(p->index % 64);

	if (in)
		__atomic_fetch_or(&set[p->index / 64], bit, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&set[p->index / 64], ~bit, __ATOMIC_RELEASE);
}

static bool in(const uint64_t *set, const struct partition *p)
{
	return __atomic_load_n(&set[p->index / 64], __ATOMIC_ACQUIRE) >> p->index % 64 & 1;
}

void chan_let(struct chan *c, const struct partition *p, unsigned int rights)
{
	put(c->readers, p, rights);
	put(c->writers, p, rights & KEEL_RIGHT_WRITE);
}

bool chan_lets(const struct chan *c, const struct partition *p)
{
	return in(c->readers, p);
}

uint64_t chan_rights(uint16_t owner, const struct partition *p)
{
	const struct chan *c = &chans[owner & ~FRAMES_CHANNEL];

	if (!(c->state & KEEL_CHAN_WINDOW))
		return 0;
	if (c->side[0] == p || (c->side[1] == p && !c->closer))
		return PTE_P | PTE_W;
	return (in(c->readers, p) ? PTE_P : 0) | (in(c->writers, p) ? PTE_W : 0);
}

static bool serves(const struct partition *p, const struct chan *c)
{
	return c->max_bytes && c->side[0] == p;
}

/* p is a side of it, or has lent its end to one, and it is not closed. */
static bool joins(const struct partition *p, const struct chan *c)
{
	return c->max_bytes && !c->closer && (c->side[0] == p || c->side[1] == p || c->home == p);
}

static void ring_alive(struct chan *c, unsigned int side)
{
	if (c->side[side]->alive)
		chan_ring(c, side);
}

static void set_state(struct chan *c, unsigned int side, bool up)
{
	uint32_t bit = side ? KEEL_CHAN_CLIENT_UP : KEEL_CHAN_SERVER_UP;

	c->state = up ? c->state | bit : c->state & ~bit;
	c->generation++;
	if (!side && !up)
		call_end(c, NULL);
	ring_alive(c, !side);
}

void chan_clean_frame(paddr_t pa)
{
	char *line = pa_to_va(pa);
	unsigned int i;

	hal_zero_page(line);
	if (frames_take_uncached(pa >> PAGE_SHIFT))
		for (i = 0; i < PAGE_SIZE; i += 64)
			hal_clflush(line + i);
	hal_mfence();
}

/* The last piece of a window is its server's own again. -> was there one? */
static bool give_back(struct chan *c)
{
	uint64_t bytes = min_u64(c->window_bytes, GIVE_BYTES);

	if (!bytes)
		return false;
	c->window_bytes -= bytes;
	ASSERT(!frames_claim((c->window_pa + c->window_bytes) >> PAGE_SHIFT, bytes / PAGE_SIZE, c->owner, c->side[0]->owner));
	return true;
}

static int offer_begin(struct chan *c, paddr_t pa, uint64_t npages)
{
	if ((pa & PAGE_MASK) || !npages || npages > c->max_bytes / PAGE_SIZE)
		return -KEEL_EINVAL;
	c->window_pa = pa;
	c->offered_bytes = npages * PAGE_SIZE;
	c->clean_bytes = 0;
	return 0;
}

/* A piece of the frames becomes the channel's. */
static int offer_piece(struct chan *c, struct partition *p)
{
	uint64_t bytes = min_u64(c->offered_bytes - c->window_bytes, GIVE_BYTES);

	if (frames_claim((c->window_pa + c->window_bytes) >> PAGE_SHIFT, bytes / PAGE_SIZE, p->owner, c->owner)) {
		c->offered_bytes = 0;
		return c->window_bytes ? -KEEL_EAGAIN : -KEEL_EFAULT;
	}
	c->window_bytes += bytes;
	/*
	 * Whoever looked at the owner before is still in the metakernel, and obeys on the way out: then no
	 * leaf, no remembered leaf table and no walk that sets accessed bits has anything of them (I3, rule 20).
	 */
	if (c->window_bytes == c->offered_bytes)
		c->ticket = shoot_forget(p);
	return -KEEL_EAGAIN;
}

static int offer_clean(struct chan *c)
{
	uint64_t stop = min_u64(c->clean_bytes + CLEAN_BYTES, c->window_bytes);

	for (; c->clean_bytes < stop; c->clean_bytes += PAGE_SIZE)
		chan_clean_frame(c->window_pa + c->clean_bytes);
	if (stop < c->window_bytes)
		return -KEEL_EAGAIN;
	c->state |= KEEL_CHAN_WINDOW;
	c->generation++;
	return 0;
}

static int offer(struct chan *c, struct partition *p, paddr_t pa, uint64_t npages)
{
	int err = 0;

	if (c->state & KEEL_CHAN_WINDOW)
		return -KEEL_EBUSY;
	if (!c->offered_bytes && c->window_bytes)	/* it failed in the middle */
		return give_back(c) && c->window_bytes ? -KEEL_EAGAIN : -KEEL_EFAULT;
	if (!c->offered_bytes)
		err = offer_begin(c, pa, npages);
	if (err)
		return err;
	if (pa != c->window_pa || npages != c->offered_bytes / PAGE_SIZE)
		return -KEEL_EBUSY;
	if (c->window_bytes < c->offered_bytes)
		return offer_piece(c, p);
	return shoot_obeyed(p, shoot_everybody(p), c->ticket) ? offer_clean(c) : -KEEL_EAGAIN;
}

__cold int chan_offer(struct partition *p, uint64_t handle, paddr_t pa, uint64_t npages)
{
	unsigned int side;
	struct chan *c = chan_of(p, handle, &side);
	int err;

	if (!c)
		return -KEEL_EBADF;
	if (side != 0)
		return -KEEL_EPERM;
	lock_take(&chan_lock);
	err = c->closer ? -KEEL_EBADF : offer(c, p, pa, npages);
	lock_release(&chan_lock);
	return err;
}

bool chan_window_given(const struct partition *p)
{
	unsigned int i;

	for (i = 0; i < nchans; i++)
		if (serves(p, &chans[i]) && (chans[i].state & KEEL_CHAN_WINDOW))
			return true;
	return false;
}

bool chan_take_back(struct partition *p)
{
	bool found = false;
	unsigned int i;

	lock_take(&chan_lock);
	for (i = 0; i < nchans; i++) {
		struct chan *c = &chans[i];

		if (!serves(p, c) || c->closer || (c->state & KEEL_CHAN_WINDOW))
			continue;
		c->offered_bytes = 0;
		found = give_back(c);
		if (found)
			break;
	}
	lock_release(&chan_lock);
	return found;
}

int chan_set_state(struct partition *p, uint64_t handle, uint64_t up)
{
	unsigned int side;
	struct chan *c = chan_of(p, handle, &side);
	int err = 0;

	if (!c)
		return -KEEL_EBADF;
	if (up > 1)
		return -KEEL_EINVAL;
	lock_take(&chan_lock);
	if (c->closer || c->side[side] != p)
		err = -KEEL_EBADF;
	else if (!p->alive)
		err = -KEEL_EPIPE;	/* by another vCPU, just now: chan_part_died() has the last word */
	else if (!up || (c->state & KEEL_CHAN_WINDOW))
		set_state(c, side, up);
	else
		err = -KEEL_EAGAIN;
	lock_release(&chan_lock);
	return err;
}

static struct chan *chan_or_extent(const struct partition *p, uint64_t handle)
{
	union cap cap = cap_at(p, handle);

	return cap.type == KEEL_CAP_CHANNEL || cap.type == KEEL_CAP_MEMORY ? &chans[cap.index] : NULL;
}

__cold int chan_info(struct partition *p, uint64_t handle, struct keel_chan_info *info)
{
	const struct chan *c = chan_or_extent(p, handle);

	if (!c)
		return -KEEL_EBADF;
	lock_take(&chan_lock);
	memset(info, 0, sizeof(*info));
	info->state = c->state;
	info->generation = c->generation;
	if (c->state & KEEL_CHAN_WINDOW) {
		info->window_pa = c->window_pa;
		info->window_bytes = c->window_bytes;
	}
	info->max_bytes = c->max_bytes;
	strlcpy(info->name, c->name, sizeof(info->name));
	lock_release(&chan_lock);
	return 0;
}

void chan_part_died(struct partition *p)
{
	unsigned int i;

	lock_take(&chan_lock);
	for (i = 0; i < nchans; i++)
		if (joins(p, &chans[i]) && chans[i].side[1] && (chans[i].side[0] == p || chans[i].side[1] == p))
			set_state(&chans[i], chans[i].side[1] == p, false);
	lock_release(&chan_lock);
}

/* ---- Made at run time ------------------------------------------------------------------------------- */

int chan_claim_frames(paddr_t pa, uint64_t npages, uint16_t from, uint16_t to)
{
	int err;

	lock_take(&chan_lock);
	err = frames_claim(pa >> PAGE_SHIFT, npages, from, to);
	lock_release(&chan_lock);
	return err;
}

static struct chan *free_slot(void)
{
	unsigned int i;

	for (i = manifest.nchans; i < MAX_CHANS; i++)
		if (!chans[i].max_bytes)
			return &chans[i];
	return NULL;
}

/* What one partition can take of all channels. */
static bool has_enough(const struct partition *p)
{
	unsigned int i, n = 0;

	for (i = manifest.nchans; i < nchans; i++)
		n += joins(p, &chans[i]);
	return n >= KEEL_PART_CHANS && !p->man->control;
}

static void open_up(struct chan *c, struct partition *server, struct partition *client, uint64_t max_bytes)
{
	unsigned int i = (unsigned int)(c - chans);

	c->owner = (uint16_t)(FRAMES_CHANNEL | i);
	c->state = 0;
	c->window_bytes = c->offered_bytes = c->clean_bytes = 0;
	memset(c->readers, 0, sizeof(c->readers));
	memset(c->writers, 0, sizeof(c->writers));
	c->side[0] = server;
	c->side[1] = client;
	strlcpy(c->name, (client ? client : server)->man->name, sizeof(c->name));
	c->max_bytes = max_bytes;
	if (i >= nchans)
		__atomic_store_n(&nchans, i + 1, __ATOMIC_RELEASE);
}

/* Last: whoever has a handle finds all of it. */
static int give_handle(struct chan *c, unsigned int side)
{
	int handle = cap_add(c->side[side], KEEL_CAP_CHANNEL, side ? KEEL_RIGHT_USE : KEEL_RIGHT_SERVE, (unsigned int)(c - chans));

	c->handle[side] = (uint16_t)handle;
	c->event[side] = event_of_handle((unsigned int)handle);
	return handle;
}

static void gone(struct chan *c)
{
	unsigned int i = (unsigned int)(c - chans);

	cap_remove(c->side[0], c->side[1] ? KEEL_CAP_CHANNEL : KEEL_CAP_MEMORY, i);
	if (c->side[1])
		cap_remove(c->side[1], KEEL_CAP_CHANNEL, i);
	c->max_bytes = 0;
}

int64_t chan_connect(struct partition *server, struct partition *client, uint64_t max_bytes)
{
	struct chan *c = free_slot();
	int ours, theirs;

	if (!max_bytes || (max_bytes & PAGE_MASK) || max_bytes > MANIFEST_MAX_WINDOW || server == client)
		return -KEEL_EINVAL;
	if (!server->nvcpus || !client->nvcpus)
		return -KEEL_EBUSY;	/* it is being made, or taken apart */
	if (!c || has_enough(server) || has_enough(client))
		return -KEEL_ENOSPC;
	lock_take(&chan_lock);
	open_up(c, server, client, max_bytes);
	theirs = give_handle(c, 1);
	ours = give_handle(c, 0);
	if (theirs < 0 || ours < 0)
		gone(c);
	lock_release(&chan_lock);
	return theirs < 0 || ours < 0 ? -KEEL_ENOSPC : (int64_t)theirs << 32 | ours;
}

/*
 * No page tables of p's and none of its walks are in there when anybody else may write to it: who could let them is p, which
 * obeys on its way out of here. A vCPU of p's that still looks at one finds what p itself could have written meanwhile.
 */
int chan_share(struct partition *p, paddr_t pa, uint64_t npages)
{
	struct chan *c = free_slot();
	int err;

	if (!p->man->control)	/* it could keep itself from being restarted */
		return -KEEL_EPERM;
	if ((pa & PAGE_MASK) || !npages || npages > KEEL_GIVE_MAX)
		return -KEEL_EINVAL;
	if (!c)
		return -KEEL_ENOSPC;
	lock_take(&chan_lock);
	open_up(c, p, NULL, npages * PAGE_SIZE);
	c->state = KEEL_CHAN_WINDOW;	/* before the first frame: other vCPUs of p's may be in there */
	err = frames_claim(pa >> PAGE_SHIFT, npages, p->owner, c->owner) ? -KEEL_EFAULT :
	      cap_add(p, KEEL_CAP_MEMORY, KEEL_RIGHT_READ | KEEL_RIGHT_WRITE, (unsigned int)(c - chans));
	if (err < 0) {
		if (err == -KEEL_ENOSPC)
			ASSERT(!frames_claim(pa >> PAGE_SHIFT, npages, c->owner, p->owner));
		c->max_bytes = 0;
	} else {
		c->handle[0] = (uint16_t)err;
		c->window_pa = pa;
		c->window_bytes = c->max_bytes;
		shoot_forget(p);
	}
	lock_release(&chan_lock);
	return err;
}

/* ---- Ends that are lent ------------------------------------------------------------------------------ */

int chan_lend_ok(const struct chan *c, const struct partition *p, const struct partition *to)
{
	if (c->closer)
		return -KEEL_EBADF;
	if (c->side[1] != p || c->side[0] == to)
		return -KEEL_EINVAL;	/* the server's: the window is of its memory */
	return c->home ? -KEEL_EBUSY : has_enough(to) ? -KEEL_ENOSPC : 0;
}

/* The client's end is another's. Who had it loses the window and its calls, and has a handle of this type for it. */
static void move_end(struct chan *c, struct partition *to, uint16_t handle, uint8_t leaves)
{
	struct partition *from = c->side[1];

	call_end(c, NULL);	/* while the callers' handles say which channel it is */
	set_state(c, 1, false);
	__atomic_store_n(&from->caps[c->handle[1]].type, leaves, __ATOMIC_RELEASE);
	c->side[1] = to;
	c->handle[1] = handle;
	c->event[1] = event_of_handle(handle);
	__atomic_store_n(&to->caps[handle].type, KEEL_CAP_CHANNEL, __ATOMIC_RELEASE);
	shoot_forget(from);
}

void chan_lend(struct chan *c, struct partition *to, unsigned int handle)
{
	lock_take(&chan_lock);
	c->home = c->side[1];
	c->home_handle = c->handle[1];
	move_end(c, to, (uint16_t)handle, KEEL_CAP_LENT);
	lock_release(&chan_lock);
}

void chan_go_home(struct chan *c)
{
	lock_take(&chan_lock);
	move_end(c, c->home, c->home_handle, KEEL_CAP_NONE);
	c->home = NULL;
	ring_alive(c, 1);
	lock_release(&chan_lock);
}

void chan_close(struct chan *c, const struct partition *closer)
{
	bool lent = chan_borrows(c, closer);	/* it ends: that is no reason to close what it only was lent */

	if (!c->side[1])
		cap_revoke(c->side[0], c->handle[0]);
	if (c->home)
		cap_revoke(c->home, c->home_handle);
	if (lent)
		return;
	lock_take(&chan_lock);
	c->state &= KEEL_CHAN_WINDOW;	/* the server may have it mapped, as before and as afterwards */
	c->generation++;
	c->clean_bytes = c->side[1] ? 0 : c->window_bytes;	/* an extent was and is the server's: it keeps what is in it */
	c->closer = closer;
	if (c->side[1]) {
		call_end(c, NULL);	/* while the callers' handles say which channel it is */
		shoot_forget(c->side[1]);
		ring_alive(c, 0);
		ring_alive(c, 1);
	}
	lock_release(&chan_lock);
}

bool chan_return(struct chan *c)
{
	uint64_t stop = min_u64(c->clean_bytes + CLEAN_BYTES, c->window_bytes);
	bool more;

	if (c->clean_bytes < stop) {
		for (; c->clean_bytes < stop; c->clean_bytes += PAGE_SIZE)
			chan_clean_frame(c->window_pa + c->clean_bytes);
		return false;
	}
	lock_take(&chan_lock);
	more = give_back(c) && c->window_bytes;
	lock_release(&chan_lock);
	if (more)
		return false;
	c->state = 0;		/* the server has had it mapped all the time */
	gone(c);
	c->closer = NULL;
	return true;
}

struct chan *chan_with(const struct partition *p, bool closed)
{
	struct chan *c;

	for (c = chans + manifest.nchans; c < chans + nchans; c++)
		if (closed ? c->closer && (c->closer == p || c->side[0] == p) : joins(p, c))
			return c;
	return NULL;
}

int chan_close_handle(const struct partition *by, const struct partition *p, uint64_t handle)
{
	struct chan *c = chan_or_extent(p, handle);

	if (!c)
		return -KEEL_EBADF;
	/* Of an extent only whose it was. */
	if (!c->side[1] && c->side[0] != p)
		return -KEEL_EPERM;
	/* A side does it by its own handle, or what it keeps for that would not notice; who was lent its end does not. */
	if (c < chans + manifest.nchans || chan_borrows(c, p) || (p != by && (c->side[0] == by || c->side[1] == by)))
		return -KEEL_EPERM;
	if (!c->closer) {
		chan_close(c, by);
		cpus_ask(WORK_FORGET);
		return -KEEL_EAGAIN;
	}
	return cpus_asked(WORK_FORGET) && chan_return(c) ? 0 : -KEEL_EAGAIN;
}

// SPDX-License-Identifier: MIT
/*
 * made.c - partitions that a partition makes at run time, out of memory of its own.
 *
 *   begin ── CLAIMED ── CLEANING ── VCPUS ── READY ── STARTING ── STARTED        the quota, then what stands in it
 *                                              └──────────┬───────────┘ reclaim, when it has ended
 *              slot free again ── QUOTA ── EMPTYING ── WINDOWS ── LEAVING ── WITHDRAWN
 *
 * Owns:       slots of parts[] behind the manifest's; of each the quota, which holds its vCPUs with their tables and pools,
 *             its console rings and struct made (I4).
 * Locks:      LOCK_LIFE, the caller's, for stages and handles, LOCK_CHAN inside it for owners of frames.
 * Invariants: nothing is written to memory that was given before all vCPUs of the giver have forgotten it: they have left
 *             the notes of SHOOT_ALL behind them then. A quota goes back only when no CPU can know an address in it:
 *             the partition has ended, no CPU has one of its vCPUs, they are out of the roster and its consoles
 *             out of the port, and since then each CPU has left the metakernel once (WORK_FORGET). A slot becomes another
 *             partition only when that has been so since its handle was void, too.
 * Bounds:     a piece zeroes CLEAN_PAGES frames, claims KEEL_GIVE_MAX, or makes or withdraws one vCPU (I5).
 * Trusts:     nothing of a request; it is copied before it is looked at.
 */
#include <hal/cpu.h>
#include "mm/flush.h"
#include "mm/frames.h"
#include "mm/pte.h"
#include "mm/shootdown.h"
#include "part/chan.h"
#include "part/console.h"
#include "part/made.h"
#include "part/promise.h"
#include "run/cpu.h"
#include "run/roster.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/panic.h"
#include "lib/string.h"

#define CLEAN_PAGES	24	/* 20,000 instructions, if they were mapped uncached */
#define BOOKS_PAGES	1	/* struct made */

enum made_stage {
	MADE_NOT, MADE_CLAIMED, MADE_CLEANING, MADE_VCPUS, MADE_READY, MADE_STARTING, MADE_STARTED,
	MADE_WITHDRAWN, MADE_LEAVING, MADE_WINDOWS, MADE_EMPTYING, MADE_QUOTA
};

/* Memory that was given: the partition's own; or nobody's, because one side has still to forget it. */
enum extent_state { EXTENT_OWN, EXTENT_COMING, EXTENT_LEAVING };

struct extent {
	uint64_t pfn;
	uint64_t ticket;	/* of those who have to forget it */
	uint32_t done;		/* frames that are zeroed */
	uint16_t npages;
	uint8_t state;
};
_Static_assert(KEEL_GIVE_MAX <= UINT16_MAX, "npages");

struct made {
	struct manifest_part man;
	unsigned int nextents;
	struct extent extent[KEEL_PART_EXTENTS];
};
_Static_assert(sizeof(struct made) <= BOOKS_PAGES * PAGE_SIZE, "struct made fits");

static struct manifest_part nobody;	/* what a slot is while nobody is there */

void *made_take(struct partition *p, uint64_t npages)
{
	const struct keel_part_create *want = &p->request;
	paddr_t pa = p->quota_next;

	if (npages > want->quota_pages - (pa - want->quota_pa) / PAGE_SIZE)
		return NULL;
	p->quota_next = pa + npages * PAGE_SIZE;
	return pa_to_va(pa);
}

/* As part_take() is asked for them. */
static uint64_t quota_needed(const struct keel_part_create *want)
{
	uint64_t state = pages_of(hal_cpu()->xsave_size);
	uint64_t each = 4 + (state ? state : 1) + want->shadow_pages + mmu_meta_pages(want->shadow_pages);

	return BOOKS_PAGES + pages_of(2 * sizeof(struct cons_ring)) + pages_of(want->nvcpus * sizeof(struct vcpu)) +
	       want->nvcpus * each;
}

static bool request_ok(const struct partition *by, const struct keel_part_create *want)
{
	uint64_t there = ~spare_cpus & ~0UL >> (64 - ncpus), reserved = want->flags;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(want->reserved); i++)
		reserved |= want->reserved[i];
	return !reserved && want->name[KEEL_NAME_LEN - 1] == '\0' && manifest_name_ok(want->name, strlen(want->name)) &&
	       want->priority <= (want->budget_ns ? MANIFEST_NPRIORITIES - 1 : by->man->priority) && want->nvcpus && want->nvcpus <= MANIFEST_MAX_VCPUS &&
	       want->shadow_pages >= KEEL_MIN_SHADOW_PAGES && want->shadow_pages <= KEEL_MAX_SHADOW_PAGES &&
	       !(want->cpus & ~there) && !(want->quota_pa & PAGE_MASK);
}

static bool name_taken(const char *name)
{
	unsigned int i;

	for (i = 0; i < nparts; i++)
		if (!strcmp(name, parts[i].creator ? parts[i].request.name : parts[i].man->name))
			return true;
	return false;
}

static struct partition *free_slot(void)
{
	unsigned int i;

	for (i = manifest.nparts; i < MAX_PARTS; i++)
		if (!parts[i].creator)
			return &parts[i];
	return NULL;
}

static void tell_giver(struct partition *p)
{
	p->ticket = shoot_forget(p->creator);
}

static bool giver_obeyed(const struct partition *p)
{
	return shoot_obeyed(p->creator, shoot_everybody(p->creator), p->ticket);
}

/* A slot's memory of whoever was there before. Others may be looking at it: it stays one that has ended. */
static void slot_reset(struct partition *p, const struct keel_part_create *want)
{
	p->index = (unsigned int)(p - parts);
	p->owner = (uint16_t)(FRAMES_PARTITION + p->index);
	p->man = &nobody;
	p->state = KEEL_PART_EMPTY;
	p->nvcpus = 0;
	p->tickets = 0;
	memset(p->caps, 0, sizeof(p->caps));
	p->status = 0;
	p->fault_vector = 0;
	p->fault_error = p->fault_rip = p->fault_rsp = p->fault_cr2 = 0;
	memset(p->reason, 0, sizeof(p->reason));
	p->attached_tsc = 0;
	p->log_second = UINT64_MAX;
	p->request = *want;
	p->made = NULL;
	if (p->index >= nparts)
		__atomic_store_n(&nparts, p->index + 1, __ATOMIC_RELEASE);
}

static int begin(struct partition *by, const struct keel_part_create *want)
{
	struct partition *p = free_slot();
	int handle, err;

	if (name_taken(want->name))
		return -KEEL_EEXIST;
	if (!p)
		return -KEEL_ENOSPC;
	err = chan_claim_frames(want->quota_pa, want->quota_pages, by->owner, FRAMES_MK);
	if (err)
		return -KEEL_EFAULT;
	slot_reset(p, want);
	p->creator = by;
	p->stage = MADE_CLAIMED;
	handle = cap_add(by, KEEL_CAP_PARTITION, KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL, p->index);
	if (handle < 0) {
		ASSERT(!chan_claim_frames(want->quota_pa, want->quota_pages, FRAMES_MK, by->owner));
		p->creator = NULL;
		return handle;
	}
	p->handle = (unsigned int)handle;
	tell_giver(p);
	cpus_ask(WORK_FORGET);		/* who looks at the one that was here before, by a handle that was good then */
	return (int)p->index;
}

int made_begin(struct partition *by, const struct keel_part_create *want, uint64_t *need)
{
	if (!request_ok(by, want))
		return -KEEL_EINVAL;
	*need = quota_needed(want);
	if (want->quota_pages < *need || want->quota_pages > KEEL_GIVE_MAX)
		return -KEEL_ENOMEM;
	return by->alive ? begin(by, want) : -KEEL_EBUSY;
}

/* Frames [done, npages) of a range, a piece of it. -> how far that is */
static uint64_t clean(uint64_t pfn, uint64_t done, uint64_t npages)
{
	uint64_t stop = min_u64(done + CLEAN_PAGES, npages);

	for (; done < stop; done++)
		chan_clean_frame((pfn + done) << PAGE_SHIFT);
	return stop;
}

static bool clean_quota(struct partition *p)
{
	const struct keel_part_create *want = &p->request;

	p->done = clean(want->quota_pa >> PAGE_SHIFT, p->done, want->quota_pages);
	return p->done == want->quota_pages;
}

/* What stands in the quota but the vCPUs' own. It was counted: there is enough. */
static void furnish(struct partition *p)
{
	const struct keel_part_create *want = &p->request;
	struct manifest_part *man;

	p->quota_next = want->quota_pa;
	p->made = part_take(p, BOOKS_PAGES);
	man = &p->made->man;
	man->kind = MANIFEST_UNIKERNEL;
	strlcpy(man->name, want->name, sizeof(man->name));
	man->priority = want->priority;
	man->shadow_pages = want->shadow_pages;
	man->vcpus = want->nvcpus;
	man->cpus = want->cpus;
	p->man = man;
	ASSERT(!part_take_console(p) && !part_take_vcpus(p, want->nvcpus));
	cap_add(p, KEEL_CAP_PARTITION, KEEL_RIGHT_INFO, p->index);
}

static int go_on(struct partition *p)
{
	switch (p->stage) {
	case MADE_CLAIMED:
		if (giver_obeyed(p) && cpus_asked(WORK_FORGET)) {
			p->done = 0;
			p->stage = MADE_CLEANING;
		}
		return -KEEL_EAGAIN;
	case MADE_CLEANING:
		if (clean_quota(p)) {
			furnish(p);
			p->done = 0;
			p->stage = MADE_VCPUS;
		}
		return -KEEL_EAGAIN;
	case MADE_VCPUS:
		ASSERT(!part_make_vcpu(p, (unsigned int)p->done++));
		if (p->done < p->nvcpus)
			return -KEEL_EAGAIN;
		console_add(p);
		p->stage = MADE_READY;
		return (int)p->handle;
	}
	return -KEEL_EINVAL;
}

int made_go_on(const struct partition *by, uint64_t slot)
{
	struct partition *p = &parts[frames_clamp(slot, MAX_PARTS)];

	return p->creator == by ? go_on(p) : -KEEL_EINVAL;
}

/* The partition that a handle of its creator names, if it is between two stages. */
static struct partition *made_of(const struct partition *by, uint64_t handle, unsigned int from, unsigned int to, int *err)
{
	union cap c = part_cap(by, handle, KEEL_CAP_PARTITION);
	struct partition *p = &parts[c.index];

	*err = !c.word ? -KEEL_EBADF : p->creator != by ? -KEEL_EPERM : -KEEL_EBUSY;
	return c.word && p->creator == by && p->stage >= from && p->stage <= to ? p : NULL;
}

/* Out of the creator's hands; with EXTENT_OWN at once into the partition's. */
static int give(struct partition *p, paddr_t pa, uint64_t npages, enum extent_state state)
{
	struct made *m = p->made;

	if ((pa & PAGE_MASK) || !npages || npages > KEEL_GIVE_MAX)
		return -KEEL_EINVAL;
	if (m->nextents == KEEL_PART_EXTENTS)
		return -KEEL_ENOSPC;
	if (chan_claim_frames(pa, npages, p->creator->owner, state == EXTENT_OWN ? p->owner : FRAMES_MK))
		return -KEEL_EFAULT;
	m->extent[m->nextents++] = (struct extent) { .pfn = pa >> PAGE_SHIFT, .npages = (uint16_t)npages, .state = (uint8_t)state };
	return 0;
}

int made_give(struct partition *by, uint64_t handle, paddr_t pa, uint64_t npages)
{
	int err;
	struct partition *p = made_of(by, handle, MADE_READY, MADE_READY, &err);

	return p ? give(p, pa, npages, EXTENT_OWN) : err;
}

static bool start_ok(const struct partition *p, const struct keel_part_start *start)
{
	return !(start->reserved[0] | start->reserved[1] | start->reserved[2] | start->reserved[3]) &&
	       is_canonical(start->rip) && start->rip < KEEL_HOLE_BASE && !(start->cr3_pa & ~PTE_ADDR) &&
	       frames_owner(start->cr3_pa >> PAGE_SHIFT) == p->owner;
}

static int start_it(struct partition *p, const struct keel_part_start *start)
{
	struct vcpu *v = p->vcpu;

	if (!start_ok(p, start))
		return -KEEL_EINVAL;
	if (p->stage == MADE_READY) {
		int err = promise(p, p->request.budget_ns, p->request.period_ns);

		if (err)
			return err;
		tell_giver(p);
		p->stage = MADE_STARTING;
		return -KEEL_EAGAIN;
	}
	if (!giver_obeyed(p))
		return -KEEL_EAGAIN;
	vcpu_reset(v, start->cr3_pa);
	v->regs->rip = start->rip;
	v->regs->rsp = start->rsp;
	v->regs->rdi = start->rdi;
	p->stage = MADE_STARTED;
	part_start(p);
	return 0;
}

int made_start(struct partition *by, uint64_t handle, const struct keel_part_start *start)
{
	int err;
	struct partition *p = made_of(by, handle, MADE_READY, MADE_STARTING, &err);

	return p ? start_it(p, start) : err;
}

/* ---- More and less memory ---------------------------------------------------------------------------- */

static struct extent *extent_at(const struct partition *p, paddr_t pa, enum extent_state state)
{
	struct extent *e;

	for (e = p->made->extent; e < p->made->extent + p->made->nextents; e++)
		if (e->pfn << PAGE_SHIFT == pa && e->state == state)
			return e;
	return NULL;
}

/* A piece of its way from whose it was, who has been told, to another. 0: it is there */
static int move(struct extent *e, const struct partition *from, const struct partition *to)
{
	if (!shoot_obeyed(from, shoot_everybody(from), e->ticket))
		return -KEEL_EAGAIN;
	e->done = (uint32_t)clean(e->pfn, e->done, e->npages);
	if (e->done < e->npages)
		return -KEEL_EAGAIN;
	ASSERT(!chan_claim_frames(e->pfn << PAGE_SHIFT, e->npages, FRAMES_MK, to->owner));
	return 0;
}

static int grow_begin(struct partition *p, paddr_t pa, uint64_t npages)
{
	int err = p->alive ? give(p, pa, npages, EXTENT_COMING) : -KEEL_EBUSY;

	if (err)
		return err;
	p->made->extent[p->made->nextents - 1].ticket = shoot_forget(p->creator);
	return -KEEL_EAGAIN;
}

static int grow(struct partition *p, paddr_t pa, uint64_t npages)
{
	struct extent *e = extent_at(p, pa, EXTENT_COMING);
	int err;

	if (!e)
		return grow_begin(p, pa, npages);
	if (!p->alive) {	/* nobody has seen it: an error leaves it the creator's */
		ASSERT(!chan_claim_frames(pa, e->npages, FRAMES_MK, p->creator->owner));
		*e = p->made->extent[--p->made->nextents];
		return -KEEL_EBUSY;
	}
	err = move(e, p->creator, p);
	if (!err) {
		e->state = EXTENT_OWN;
		part_raise(p, KEEL_EV_MEMORY);
	}
	return err;
}

static int shrink(struct partition *p, paddr_t pa)
{
	struct extent *e = extent_at(p, pa, EXTENT_LEAVING);
	int err = e ? move(e, p, p->creator) : -KEEL_EBUSY;

	if (!err)
		*e = p->made->extent[--p->made->nextents];
	return err;
}

int made_resize(struct partition *by, uint64_t handle, unsigned int how, uint64_t value, uint64_t npages)
{
	int err;
	struct partition *p = made_of(by, handle, MADE_STARTED, MADE_STARTED, &err);

	if (!p)
		return err;
	if (how == KEEL_HC_PART_GROW)
		return grow(p, value, npages);
	if (how == KEEL_HC_PART_SHRINK)
		return shrink(p, value);
	__atomic_store_n(&p->vcpu->vp->mem_target, value, __ATOMIC_RELEASE);
	part_raise(p, KEEL_EV_MEMORY);
	return 0;
}

int made_extent(const struct partition *p, uint64_t n, paddr_t *pa, uint64_t *npages)
{
	const struct extent *e;

	if (!p->made || n >= p->made->nextents)
		return -KEEL_EINVAL;
	e = &p->made->extent[frames_clamp(n, KEEL_PART_EXTENTS)];
	*pa = e->pfn << PAGE_SHIFT;
	*npages = e->state == EXTENT_OWN ? e->npages : 0;
	return 0;
}

int made_release(struct partition *p, paddr_t pa)
{
	struct extent *e = p->made ? extent_at(p, pa, EXTENT_OWN) : NULL;

	if (!e)
		return -KEEL_EINVAL;
	if (chan_claim_frames(pa, e->npages, p->owner, FRAMES_MK))
		return -KEEL_EFAULT;
	e->state = EXTENT_LEAVING;
	e->done = 0;
	e->ticket = shoot_forget(p);
	part_raise(p->creator, KEEL_EV_PARTITION);
	return 0;
}

/* ---- Taking apart ----------------------------------------------------------------------------------- */

/* A piece: a vCPU, whose list may be long, a channel, or the rest. When it is done nobody new finds anything of it. */
static void withdraw(struct partition *p)
{
	struct chan *c;

	if (p->nvcpus) {
		roster_remove(&p->vcpu[--p->nvcpus]);
		return;
	}
	c = chan_with(p, false);
	if (c) {
		chan_close(c, p);
		return;
	}
	memset(p->caps, 0, sizeof(p->caps));
	for (c = chans; c < chans + nchans; c++)
		chan_let(c, p, 0);
	cap_revoke(p->creator, p->handle);
	console_remove(p);
	p->man = &nobody;
	cpus_ask(WORK_FORGET);
	p->stage = MADE_LEAVING;
}

/* A piece of zeroing what it had; each extent goes back when all of it is clean. */
static int empty(struct partition *p)
{
	struct made *m = p->made;
	const struct extent *e;

	if (!m->nextents) {
		p->stage = MADE_QUOTA;
		return -KEEL_EAGAIN;
	}
	e = &m->extent[m->nextents - 1];
	p->done = clean(e->pfn, p->done, e->npages);
	if (p->done == e->npages) {
		ASSERT(!chan_claim_frames(e->pfn << PAGE_SHIFT, e->npages, e->state == EXTENT_OWN ? p->owner : FRAMES_MK,
					  p->creator->owner));
		m->nextents--;
		p->done = 0;
	}
	return -KEEL_EAGAIN;
}

static int quota_back(struct partition *p)
{
	const struct keel_part_create *want = &p->request;

	if (!clean_quota(p))
		return -KEEL_EAGAIN;
	ASSERT(!chan_claim_frames(want->quota_pa, want->quota_pages, FRAMES_MK, p->creator->owner));
	cap_remove(p->creator, KEEL_CAP_PARTITION, p->index);
	p->state = KEEL_PART_EMPTY;
	p->stage = MADE_NOT;
	p->creator = NULL;
	return 0;
}

static int reclaim(struct partition *p)
{
	struct chan *c;

	switch (p->stage) {
	case MADE_READY:
	case MADE_STARTING:
	case MADE_STARTED:
		if (p->alive)
			return -KEEL_EBUSY;
		if (!part_gone(p))
			return -KEEL_EAGAIN;
		promise(p, 0, 0);
		p->stage = MADE_WITHDRAWN;
		return -KEEL_EAGAIN;
	case MADE_WITHDRAWN:
		withdraw(p);
		return -KEEL_EAGAIN;
	case MADE_LEAVING:
		if (cpus_asked(WORK_FORGET))
			p->stage = MADE_WINDOWS;
		return -KEEL_EAGAIN;
	case MADE_WINDOWS:	/* before the extents that they may be part of */
		c = chan_with(p, true);
		if (c) {
			chan_return(c);
			return -KEEL_EAGAIN;
		}
		p->done = 0;
		p->stage = MADE_EMPTYING;
		return -KEEL_EAGAIN;
	case MADE_EMPTYING:
		return empty(p);
	case MADE_QUOTA:
		return quota_back(p);
	}
	return -KEEL_EBUSY;
}

int made_reclaim(struct partition *by, uint64_t handle)
{
	int err;
	struct partition *p = made_of(by, handle, MADE_READY, MADE_QUOTA, &err);

	return p ? reclaim(p) : err;
}

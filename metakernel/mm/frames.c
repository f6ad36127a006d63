// SPDX-License-Identifier: MIT
/*
 * frames.c - the frame ownership table.
 *
 *   table     | frame 0 | frame 1 | ... owner and FRAME_UNCACHED
 *   summary   | 0 .. 511: owner or MIXED | 512 .. 1023 | ...
 *   counts      frames of each owner
 *
 * Invariants: summary[b] is o if and only if all frames of block b have owner o; counts[o] is the number
 *             of frames of o. set_range() keeps both, and is the only place that changes an owner.
 * Locks:      LOCK_CHAN, the caller's, once partitions run; FRAME_UNCACHED is set by anybody, atomically.
 * Bounds:     a claim reads and writes its range once, and at most 1024 frames beside it: some 10 instructions a frame.
 */
#include "mm/frames.h"

#include <string.h>

#include "keel/abi.h"

#define NCOUNTS		(FRAMES_FREE + 1 + FRAMES_MAX_CHANNELS)

struct frames frames_state;
static uint64_t counts[NCOUNTS];

/* Index into counts, or NCOUNTS if there is no such owner. */
static unsigned int count_index(uint16_t owner)
{
	unsigned int channel = owner & ~(unsigned int)FRAMES_CHANNEL;

	if (!(owner & FRAMES_CHANNEL))
		return owner <= FRAMES_FREE ? owner : NCOUNTS;
	return channel < FRAMES_MAX_CHANNELS ? FRAMES_FREE + 1 + channel : NCOUNTS;
}

static uint64_t round_up_2m(uint64_t pfn)
{
	return (pfn + FRAMES_PER_2M - 1) & ~(uint64_t)(FRAMES_PER_2M - 1);
}

size_t frames_bytes(uint64_t npfns)
{
	uint64_t n = round_up_2m(npfns);

	return n * sizeof(uint16_t) + n / FRAMES_PER_2M * sizeof(uint16_t);
}

void frames_init(void *memory, uint64_t npfns)
{
	struct frames *f = &frames_state;

	f->npfns = round_up_2m(npfns);
	f->table = memory;
	f->summary = f->table + f->npfns;
	memset(memory, 0, frames_bytes(npfns));	/* FRAMES_NONE everywhere, summaries too */
	memset(counts, 0, sizeof(counts));
	counts[FRAMES_NONE] = f->npfns;
}

static uint16_t owner_at(uint64_t pfn)
{
	return frames_state.table[pfn] & (uint16_t)~FRAME_UNCACHED;
}

/* Bring the summary of one block up to date after some or all of its frames went to `owner`. */
static void update_summary(uint64_t block, uint16_t owner, bool whole)
{
	struct frames *f = &frames_state;
	uint64_t first = block * FRAMES_PER_2M;
	uint16_t all = owner;

	/* A block that fills from one end shows it at the other: no scan for each frame of it. */
	if (owner_at(first + FRAMES_PER_2M - 1) != owner)
		all = FRAMES_MIXED;
	for (unsigned int i = 0; i < FRAMES_PER_2M && all == owner && !whole; i++)
		if (owner_at(first + i) != owner)
			all = FRAMES_MIXED;
	__atomic_store_n(&f->summary[block], all, __ATOMIC_RELAXED);
}

/*
 * The range has one owner, `from`, and lies in the table. A block's summary turns MIXED before its first
 * frame changes, and names the new owner only after its last one has, so that a reader without the lock
 * never takes a block for more than it is.
 */
static void set_range(uint64_t pfn, uint64_t n, uint16_t from, uint16_t to)
{
	struct frames *f = &frames_state;
	uint64_t end = pfn + n, at = pfn;

	while (at < end) {
		uint64_t block = at / FRAMES_PER_2M;
		uint64_t stop = (block + 1) * FRAMES_PER_2M;
		bool whole = at == block * FRAMES_PER_2M && stop <= end;

		if (stop > end)
			stop = end;
		__atomic_store_n(&f->summary[block], FRAMES_MIXED, __ATOMIC_RELEASE);
		for (; at < stop; at++)
			/* all have the owner `from`; FRAME_UNCACHED may be set by another CPU at this moment */
			__atomic_fetch_xor(&f->table[at], (uint16_t)(from ^ to), __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_RELEASE);
		update_summary(block, to, whole);
	}
	counts[count_index(from)] -= n;
	counts[count_index(to)] += n;
}

static bool in_table(uint64_t pfn, uint64_t n)
{
	return pfn < frames_state.npfns && n <= frames_state.npfns - pfn;
}

uint64_t frames_run(uint64_t pfn, uint64_t max, uint16_t owner)
{
	const struct frames *f = &frames_state;
	uint64_t at = pfn, end = max < f->npfns - pfn ? pfn + max : f->npfns;

	while (at < end) {
		uint64_t stop = (at / FRAMES_PER_2M + 1) * FRAMES_PER_2M;

		if (f->summary[at / FRAMES_PER_2M] == owner) {
			at = stop;
			continue;
		}
		if (stop > end)
			stop = end;
		for (; at < stop; at++)
			if (owner_at(at) != owner)
				return at - pfn;
	}
	return end - pfn;
}

int frames_claim(uint64_t pfn, uint64_t n, uint16_t from, uint16_t to)
{
	if (!n || count_index(from) == NCOUNTS || count_index(to) == NCOUNTS)
		return -KEEL_EINVAL;
	if (!in_table(pfn, n) || frames_run(pfn, n, from) != n)
		return -KEEL_EPERM;
	if (from != to)
		set_range(pfn, n, from, to);
	return 0;
}

uint64_t frames_count(uint16_t owner)
{
	unsigned int i = count_index(owner);

	return i < NCOUNTS ? counts[i] : 0;
}

void frames_note_uncached(uint64_t pfn, uint64_t n)
{
	const struct frames *f = &frames_state;

	for (; n && pfn < f->npfns; n--, pfn++)
		if (!(f->table[pfn] & FRAME_UNCACHED))
			__atomic_fetch_or(&f->table[pfn], FRAME_UNCACHED, __ATOMIC_RELAXED);
}

bool frames_take_uncached(uint64_t pfn)
{
	const struct frames *f = &frames_state;
	bool was;

	if (pfn >= f->npfns)
		return false;
	was = f->table[pfn] & FRAME_UNCACHED;
	if (was)
		__atomic_fetch_and(&f->table[pfn], (uint16_t)~FRAME_UNCACHED, __ATOMIC_RELAXED);
	return was;
}

// SPDX-License-Identifier: MIT
/*
 * frames_boot.c - the frame ownership table before the first partition runs: what RAM there is, who gets which, and what is left.
 * From then on nobody has free frames: all that changes owner is claimed (mm/frames.c).
 *
 * Locks:   none: one CPU.
 */
#include <keel/abi.h>
#include "mm/frames.h"

#define PAGE_SHIFT	12

bool frames_next_run(uint16_t owner, uint64_t *pfn, uint64_t *n)
{
	const struct frames *f = &frames_state;
	uint64_t at = *pfn;

	while (at < f->npfns) {
		uint16_t summary = f->summary[at / FRAMES_PER_2M];

		if (summary != owner && summary != FRAMES_MIXED) {
			at = (at / FRAMES_PER_2M + 1) * FRAMES_PER_2M;
		} else if (frames_owner(at) != owner) {
			at++;
		} else {
			*pfn = at;
			*n = frames_run(at, f->npfns - at, owner);
			return true;
		}
	}
	return false;
}

uint64_t frames_claim_all(uint16_t from, uint16_t to)
{
	uint64_t pfn, n, total = 0;

	if (from == to)
		return frames_count(from);
	for (pfn = 0; frames_next_run(from, &pfn, &n); pfn += n) {
		if (frames_claim(pfn, n, from, to))
			break;		/* no such owner */
		total += n;
	}
	return total;
}

uint64_t frames_add_ram(uint64_t pfn, uint64_t n)
{
	uint64_t end, run, total = 0;

	if (pfn >= frames_state.npfns)
		return 0;
	end = n < frames_state.npfns - pfn ? pfn + n : frames_state.npfns;
	while (frames_next_run(FRAMES_NONE, &pfn, &run) && pfn < end) {
		if (run > end - pfn)
			run = end - pfn;
		frames_claim(pfn, run, FRAMES_NONE, FRAMES_FREE);
		total += run;
		pfn += run;
	}
	return total;
}

/* First frame of the highest free range of n < 512 frames, or 0. */
static uint64_t find_small(uint64_t n)
{
	const struct frames *f = &frames_state;
	uint64_t at = f->npfns, run = 0;

	while (at > FRAMES_LOWEST_ALLOC) {
		uint16_t summary = f->summary[(at - 1) / FRAMES_PER_2M];

		if (summary != FRAMES_FREE && summary != FRAMES_MIXED) {
			at = (at - 1) / FRAMES_PER_2M * FRAMES_PER_2M;
			run = 0;
			continue;
		}
		at--;
		run = frames_owner(at) == FRAMES_FREE ? run + 1 : 0;
		if (run == n)
			return at;
	}
	return 0;
}

/* First frame of the highest free range of n >= 512 frames that is aligned to 2 MiB, or 0. */
static uint64_t find_large(uint64_t n)
{
	const struct frames *f = &frames_state;
	uint64_t at;

	if (n > f->npfns)
		return 0;
	at = (f->npfns - n) / FRAMES_PER_2M * FRAMES_PER_2M;
	for (; at >= FRAMES_PER_2M; at -= FRAMES_PER_2M)
		if (frames_run(at, n, FRAMES_FREE) == n)
			return at;
	return 0;
}

uint64_t frames_alloc(uint16_t owner, uint64_t npages)
{
	uint64_t pfn;

	if (!npages)
		return 0;
	pfn = npages < FRAMES_PER_2M ? find_small(npages) : find_large(npages);
	if (!pfn || frames_claim(pfn, npages, FRAMES_FREE, owner))
		return 0;
	return pfn << PAGE_SHIFT;
}

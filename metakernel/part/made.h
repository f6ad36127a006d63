/* SPDX-License-Identifier: MIT */
/*
 * made.h - partitions that a partition makes at run time, out of memory of its own.
 *
 * Locks: LOCK_LIFE, the caller's. Each call does a piece of its work; -KEEL_EAGAIN: the same call again goes on. keel/abi.h has the contract.
 */
#ifndef METAKERNEL_PART_MADE_H
#define METAKERNEL_PART_MADE_H

#include "part/part.h"

/* Zeroed pages of p's quota; NULL: so many are not left. */
void *made_take(struct partition *p, uint64_t npages);
/* -> slot (not 0) of one being made, for made_go_on(), or an error. *need: pages of quota, as soon as that is known. */
int made_begin(struct partition *by, const struct keel_part_create *want, uint64_t *need);
int made_go_on(const struct partition *by, uint64_t slot);	/* -> handle */
int made_give(struct partition *by, uint64_t handle, paddr_t pa, uint64_t npages);
int made_start(struct partition *by, uint64_t handle, const struct keel_part_start *start);
/* Of one that has started: how is KEEL_HC_PART_GROW, _SHRINK or _MEMORY. */
int made_resize(struct partition *by, uint64_t handle, unsigned int how, uint64_t value, uint64_t npages);
/* The n-th piece of what p was given; 0 pages: it is on its way. */
int made_extent(const struct partition *p, uint64_t n, paddr_t *pa, uint64_t *npages);
int made_release(struct partition *p, paddr_t pa);	/* the piece that begins there, on its way to the creator */
int made_reclaim(struct partition *by, uint64_t handle);

#endif

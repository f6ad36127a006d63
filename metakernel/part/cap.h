/* SPDX-License-Identifier: MIT */
/*
 * cap.h - what a partition holds: a table of handles, and what each stands for.
 *
 * Locks:   LOCK_LIFE, the caller's, to change a table. A word has all of a handle, so that who looks one up needs none: it
 *          finds what was there or what is there, and what a handle that is void led to stays for as long as
 *          any CPU is in the metakernel with it (made.c).
 */
#ifndef METAKERNEL_PART_CAP_H
#define METAKERNEL_PART_CAP_H

#include <keel/abi.h>
#include <hal/types.h>

struct partition;

union cap {
	struct {
		uint8_t type, rights;	/* KEEL_CAP_*, KEEL_RIGHT_* */
		uint8_t index;		/* partition or channel */
		uint8_t reserved;
	};
	uint32_t word;		/* 0: the handle is void */
};

/* What a handle stands for; nothing (KEEL_CAP_NONE) if that is not of this type. cap_at() (part.h): whatever it is. */
union cap part_cap(const struct partition *p, uint64_t handle, unsigned int type);
/* A handle for something. -KEEL_ENOSPC: the table is full */
int cap_add(struct partition *p, unsigned int type, unsigned int rights, unsigned int index);
void cap_remove(struct partition *p, unsigned int type, unsigned int index);

#endif

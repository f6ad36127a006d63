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
		uint8_t index;		/* partition; channel or extent; part of the devices; of the log 0 */
		uint8_t reserved;
	};
	uint32_t word;		/* 0: the handle is void */
};

/* What a handle stands for; nothing (KEEL_CAP_NONE) if that is not of this type. cap_at() (part.h): whatever it is. */
union cap part_cap(const struct partition *p, uint64_t handle, unsigned int type);
/* A handle for something. -KEEL_ENOSPC: the table is full */
int cap_add(struct partition *p, unsigned int type, unsigned int rights, unsigned int index);
void cap_remove(struct partition *p, unsigned int type, unsigned int index);	/* of which nothing is derived */
/* Void is what is derived from this handle, and from any that is void already: was there any? */
bool cap_revoke(const struct partition *p, uint64_t handle);
/* All who were given a handle of this are rung there: was anybody? Needs no lock. */
bool cap_ring(unsigned int type, unsigned int index);
bool cap_holds(const struct partition *p, unsigned int type);	/* a handle of this type */
/* KEEL_HC_CAP_GRANT to one that `by` controls -> a handle; REVOKE or, if `itself`, DROP, which is over when cpus_asked(WORK_FORGET). */
int cap_grant(const struct partition *by, uint64_t handle, struct partition *to, uint64_t rights);
int cap_void(struct partition *by, uint64_t handle, bool itself);

#endif

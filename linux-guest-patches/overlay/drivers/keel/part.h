/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * part.h - what part.c and resize.c share: the partitions that programs have made.
 */
#ifndef _DRIVERS_KEEL_PART_H
#define _DRIVERS_KEEL_PART_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <keel/ioctl.h>
#include "keel.h"

#define KEEL_MAX_PAGES		((u64)KEEL_PART_EXTENTS * KEEL_GIVE_MAX)

struct keel_part {
	struct list_head	link;
	wait_queue_head_t	wait;
	struct keel_piece	memory, quota;
	u32			handle;		/* 0: the metakernel has not made it */
	u32			chan;		/* 0: it has none */
	struct mutex		lock;
	bool			booted;		/* under `lock` */
	struct file		*shared[KEEL_PART_SHARES];	/* extents that are its, too; under `lock` */
	unsigned int		nshared;
	bool			ended;
	/* Given since it has started; under keel_parts_lock */
	struct keel_piece	more[KEEL_PART_EXTENTS];
	unsigned int		nmore;
	bool			kept;		/* by the driver, when nobody holds it */
	bool			held;		/* there is a descriptor */
	u64			exhausted;	/* as often as has been told, */
	int			spent;		/* and that nobody has polled yet */
	/* What hypercalls read. kmalloc() aligns a power of two to itself, so it is in one page */
	union {
		struct keel_part_create	create;
		struct keel_part_start	start;
	}			*args;
	char			name[KEEL_NAME_LEN];
};

extern struct mutex keel_parts_lock;
extern struct list_head keel_parts;

u64 keel_part_bytes(const struct keel_part *part);	/* of its memory, with what was given later */
void keel_part_shrink(struct keel_part *part);		/* takes what it has given back; keel_parts_lock is held */

#endif /* _DRIVERS_KEEL_PART_H */

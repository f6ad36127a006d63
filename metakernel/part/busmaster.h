/* SPDX-License-Identifier: MIT */
/*
 * busmaster.h - devices of a partition that has ended: no more DMA, no more messages.
 */
#ifndef METAKERNEL_PART_BUSMASTER_H
#define METAKERNEL_PART_BUSMASTER_H

#include "lib/lock.h"
#include "part/part.h"

extern struct lock ports_lock;		/* LOCK_PORTS: configuration space and emulated ports */

void busmaster_off(const struct partition *p);	/* p, which held the devices, has ended: begin */
uint64_t busmaster_tsc(void);		/* when the next piece is due on the boot CPU; 0: nothing to do */
void busmaster_piece(void);		/* there */

#endif

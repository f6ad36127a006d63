/* SPDX-License-Identifier: MIT */
/*
 * ending.h - what becomes of the machine when partitions end.
 */
#ifndef METAKERNEL_PART_ENDING_H
#define METAKERNEL_PART_ENDING_H

#include "part/part.h"

/* p has ended: if nobody with the control right is left, do what the manifest says. */
void ending_of(const struct partition *p);

/* Nothing is ready. Returns if something may become so, else switches the machine off. */
void ending_idle(void);

#endif

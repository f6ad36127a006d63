/* SPDX-License-Identifier: MIT */
/* parts.h - the manifest's partitions and channels as objects. */
#ifndef METAKERNEL_BOOT_PARTS_H
#define METAKERNEL_BOOT_PARTS_H

#include "part/part.h"

struct partition *parts_create(const struct manifest_part *man);	/* NULL: not enough memory */
void parts_channels(void);

#endif

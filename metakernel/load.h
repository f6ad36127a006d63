/* SPDX-License-Identifier: MIT */
/* load.h - making partitions from the bundle at boot, and a peer again at a restart. */
#ifndef METAKERNEL_LOAD_H
#define METAKERNEL_LOAD_H

#include <hal/boot.h>
#include "core.h"

/* Parse the manifest, create and load every partition, or refuse and stop (status 120). */
void load_all(const struct boot_info *bi, const void *bundle, size_t len);
/* Load a peer's image afresh into its memory and reset its vCPU. 0, -KEEL_EINVAL, -KEEL_ENOMEM. */
int load_peer(struct partition *p);
void load_refuse(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif

/* SPDX-License-Identifier: MIT */
/*
 * load.h - making partitions from the bundle at boot.
 */
#ifndef METAKERNEL_BOOT_LOAD_H
#define METAKERNEL_BOOT_LOAD_H

#include <hal/boot.h>
#include "boot/bundle.h"
#include "boot/elf.h"
#include "part/part.h"

/* Parse the manifest, create and load every partition, or refuse and stop (status 120). */
void load_all(const struct boot_info *bi, const void *bundle, size_t len);
/* The Linux partition: gives it all free memory and, at the end, the bundle's. */
void load_linux(struct partition *p, const struct boot_info *bi, const void *bundle, size_t len);
/* A peer's memory, which it has, and vCPU 0. `elf` has been checked for it; modules in the manifest's order. */
void load_peer(struct partition *p, const struct elf_info *elf, const struct bundle_file *modules);
/* A file of the bundle that property `prop` of partition `who` names, or refuse. */
struct bundle_file load_find(const void *bundle, size_t len, const char *name, const char *who,
			     const char *prop);
void load_refuse(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif

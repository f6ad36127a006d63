/* SPDX-License-Identifier: MIT */
/*
 * shadow.h - the shadow MMU: a software-loaded TLB in the shape of page tables.
 *
 * The partition writes its own tables freely; a missing shadow entry faults, the metakernel walks
 * the partition's tables, checks the leaf (I2) and copies it. Shadows come from the partition's
 * fixed pool and may be thrown away at any time, so nothing depends on them.
 */
#ifndef METAKERNEL_MM_SHADOW_H
#define METAKERNEL_MM_SHADOW_H

#include <hal/types.h>

struct vcpu;

enum mmu_result {
	MMU_FILLED,	/* a shadow entry now allows it */
	MMU_GUEST,	/* the partition's tables do not allow it: its #PF */
	MMU_RETRY,	/* a table changed under us: let the instruction run again */
	MMU_FORBIDDEN,	/* its tables allow it, but the frame is not its own */
};

/* error: the hardware's; on MMU_GUEST *guest_error is what hardware without shadows would say. */
enum mmu_result mmu_fault(struct vcpu *v, vaddr_t va, uint64_t error, uint64_t *guest_error);
/* Load a lower-half user mapping before it faults. 0, or -KEEL_EFAULT if the tables do not allow it. */
int mmu_fill_hint(struct vcpu *v, vaddr_t va, uint64_t error);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * flush.h - dropping and re-reading shadow entries.
 */
#ifndef METAKERNEL_MM_FLUSH_H
#define METAKERNEL_MM_FLUSH_H

#include "run/vcpu.h"

/* The user half of the loaded root, as a CR3 load without bit 63. */
void mmu_flush_user(struct vcpu *v);
/* Everything, all roots. */
void mmu_flush_all(struct vcpu *v);
/* As INVLPG on each page; more than 512: everything. */
void mmu_flush_range(struct vcpu *v, vaddr_t va, uint64_t npages);
/* What a note of another vCPU says (shootdown.h). */
void mmu_forget(struct vcpu *v, const struct shoot *what);
/* Forget the user halves, as a TLB does by itself in time. */
void mmu_age(struct vcpu *v);
/* The user half of a root: re-read if it was filled from `pgd`, else dropped. */
void mmu_refresh_user(struct vcpu *v, struct shadow_root *r, uint64_t pgd);
/* The kernel half, which all roots share. */
void mmu_drop_kernel(struct vcpu *v);

#endif

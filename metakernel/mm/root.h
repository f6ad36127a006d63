/* SPDX-License-Identifier: MIT */
/*
 * root.h - the shadow roots of a vCPU: one top-level table for each PCID value its kernel uses.
 *
 *   root[pcid].l4 ── 0..255 ── user half: own tables, filled from that root's guest pgd
 *                 ├─ 256..510 ─ kernel half: L3 tables shared by all roots (listed in kl4)
 *                 └─ 511 ── kl3 ── 0..510 ── kernel half
 *                               └─ 511 ── kl2 ── 0..510 ── kernel half
 *                                            └─ 511 ── hole_pt (trampoline; never filled or dropped)
 */
#ifndef METAKERNEL_MM_ROOT_H
#define METAKERNEL_MM_ROOT_H

#include <hal/types.h>
#include "mm/pool.h"

struct vcpu;

#define NROOTS		8	/* shadow roots of a vCPU: PCID values 0..7 (Linux uses 1..6) */

struct shadow_root {
	uint64_t *l4;		/* NULL: not built */
	uint64_t pgd;		/* guest top-level table its user half was filled from */
};

/* What describes so many pages of a pool, in pages. */
static inline uint64_t mmu_meta_pages(uint64_t npages)
{
	return pages_of(npages * sizeof(struct shadow_page));
}

int mmu_init_vcpu(struct vcpu *v);
void mmu_load_cr3(struct vcpu *v, uint64_t value);

#endif

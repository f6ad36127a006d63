/* SPDX-License-Identifier: MIT */
/*
 * mmu.h - the shadow MMU: a software-loaded TLB in the shape of page tables.
 *
 * The partition writes its own tables freely; a missing shadow entry faults, the metakernel walks
 * the partition's tables, checks the leaf (I2) and copies it. Shadows come from the partition's
 * fixed pool and may be thrown away at any time, so nothing depends on them.
 */
#ifndef METAKERNEL_MMU_H
#define METAKERNEL_MMU_H

#include <hal/cpu.h>
#include "core.h"

#define PTE_P		(1UL << 0)
#define PTE_W		(1UL << 1)
#define PTE_U		(1UL << 2)
#define PTE_PWT		(1UL << 3)
#define PTE_PCD		(1UL << 4)
#define PTE_A		(1UL << 5)
#define PTE_D		(1UL << 6)
#define PTE_PS		(1UL << 7)	/* large page; PAT in a 4 KiB entry */
#define PTE_PAT_LARGE	(1UL << 12)
#define PTE_NX		(1UL << 63)
#define PTE_ADDR	0x000ffffffffff000UL
#define CR3_NOFLUSH	(1UL << 63)

/* #PF error code, SDM vol. 3A, 4.7. */
#define PF_P		1UL
#define PF_W		2UL
#define PF_U		4UL
#define PF_I		16UL

enum mmu_result {
	MMU_FILLED,	/* a shadow entry now allows it */
	MMU_GUEST,	/* the partition's tables do not allow it: its #PF */
	MMU_RETRY,	/* a table changed under us: let the instruction run again */
	MMU_FORBIDDEN,	/* its tables allow it, but the frame is not its own */
};

int mmu_init_vcpu(struct vcpu *v);
/* error: the hardware's; on MMU_GUEST *guest_error is what hardware without shadows would say. */
enum mmu_result mmu_fault(struct vcpu *v, vaddr_t va, uint64_t error, uint64_t *guest_error);
/* Load a lower-half user mapping before it faults. 0, or -KEEL_EFAULT if the tables do not allow it. */
int mmu_fill_hint(struct vcpu *v, vaddr_t va, uint64_t error);
void mmu_load_cr3(struct vcpu *v, uint64_t value);
void mmu_flush_user(struct vcpu *v);
void mmu_flush_all(struct vcpu *v);
/* Forget the user halves, as a TLB does by itself in time. */
void mmu_age(struct vcpu *v);
void mmu_flush_range(struct vcpu *v, vaddr_t va, uint64_t npages);
paddr_t mmu_root_pa(const struct vcpu *v);
/* Copy bytes the partition could itself read at va (any ring-1 right), or fail with -KEEL_EFAULT. */
int mmu_read_guest(struct vcpu *v, vaddr_t va, void *buf, unsigned int len);
int mmu_write_guest(struct vcpu *v, vaddr_t va, const void *buf, unsigned int len);
/* I2 over every live table of the vCPU; panics on a violation. Returns leaves seen. */
uint64_t mmu_check(const struct vcpu *v);
/* Ranges of machine addresses that are not RAM and that a `devices` partition may map. */
void mmu_allow_mmio(paddr_t base, uint64_t bytes);
bool mmu_mmio_allowed(paddr_t pa);

#endif

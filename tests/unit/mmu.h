/* SPDX-License-Identifier: MIT */
/*
 * mmu.h - what the tests of the shadow MMU share: short words for the loaded guest tables.
 */
#ifndef TESTS_MMU_H
#define TESTS_MMU_H

#include "machine.h"

#define BASE_USED	4	/* root, and the three tables on the way to the last 2 MiB */
#define NOFLUSH		(1UL << 63)

static inline paddr_t pgd(void)
{
	return vcpu->cr3 & PTE_ADDR;
}

static inline void map(vaddr_t va, uint64_t entry)
{
	*guest_pte(pgd(), va, 0) = entry;
}

static inline void map_large(vaddr_t va, unsigned int level, uint64_t entry)
{
	*guest_pte(pgd(), va, level) = entry | PTE_PS;
}

static inline int mmu_start(void **state)
{
	(void)state;
	machine_start(256, true);
	return 0;
}

static inline int mmu_stop(void **state)
{
	(void)state;
	check_shadow();
	machine_stop();
	return 0;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * machine.h - a made-up machine under the shadow MMU: memory, owners, guest tables, and a CPU that
 * walks shadow tables.
 *
 *   0         nothing (MMIO window 0xa0000..0xfffff)
 *   1 MiB     the metakernel's pool, up to 16 MiB
 *   OWN       the partition's, 64 MiB; its page tables are allocated from the start of it
 *   MIXED     2 MiB: first half the partition's, second half another's
 *   FOREIGN   another partition's, 2 MiB
 *   CHAN      1 MiB of a channel it is attached to, then 1 MiB of one it is not
 *   MMIO      2 MiB no RAM, with a window over all; NO_MMIO: 2 MiB no RAM, no window
 *   TABLES    2 MiB no RAM, with a window to read only
 *   OWN_1G    1 GiB of the partition's, but for one 2 MiB block of another's (HOLE_1G)
 *
 * The walkers here are written apart from mmu.c, level by level from the manual, to judge it.
 */
#ifndef TESTS_MACHINE_H
#define TESTS_MACHINE_H

#include "unit.h"

#include "mm/flush.h"
#include "mm/frames.h"
#include "mm/leaf.h"
#include "mm/root.h"
#include "mm/shadow.h"
#include "mm/walk.h"
#include "part/part.h"

#define OWN		0x01000000UL
#define OWN_END		0x05000000UL
#define MIXED		0x05000000UL
#define FOREIGN		0x05200000UL
#define CHAN		0x05400000UL
#define CHAN_OTHER	0x05500000UL
#define MMIO		0x05600000UL
#define NO_MMIO		0x05800000UL
#define RAM_END		0x05a00000UL
#define TABLES		0xfc000000UL
#define OWN_1G		0x40000000UL
#define HOLE_1G		(OWN_1G + 7 * 0x200000UL)
#define MACHINE_END	0x80000000UL

#define OWNER		(FRAMES_PARTITION + 0)
#define OTHER		(FRAMES_PARTITION + 1)

#define URW		(PTE_P | PTE_W | PTE_U)
#define SOFT_SPLIT	(1UL << 9)	/* mmu.c's software bits of an L2 entry */
#define SOFT_GIANT	(1UL << 10)

extern struct partition part;
extern struct vcpu *const vcpu;
extern struct manifest_part man;
extern paddr_t machine_lost;	/* a frame of the partition that another has now; 0: none */

/* What the CPU finds in page tables: shadow or guest. */
struct view {
	bool present, write, user, exec;
	bool accessed, dirty;	/* of a guest leaf */
	paddr_t pa;
	uint64_t cache;		/* PWT, PCD, and PAT in bit 7 */
	unsigned int level;
};

/* A fresh machine with a partition of npages shadow pages, CR3 loaded with an empty table. */
void machine_start(uint32_t npages, bool devices);
void machine_stop(void);

paddr_t table_new(void);			/* zeroed, of the partition's */
uint64_t *pte_at(paddr_t table, unsigned int i);
/*
 * The guest's entry for va at `level`, in the tables under pgd; tables on the way are made with
 * URW. Does not touch it.
 */
uint64_t *guest_pte(paddr_t pgd, vaddr_t va, unsigned int level);

struct view guest_view(paddr_t pgd, vaddr_t va);	/* by the guest's own tables */
struct view shadow_view(vaddr_t va);			/* by what is loaded in CR3 */
bool view_allows(const struct view *w, uint64_t error);
/* May the partition have the frame at all? By the map above, not by frames.c. */
bool frame_ok(paddr_t pa);

/* An access of the CPU: by the shadow if that allows it, else by way of mmu_fault(). */
enum mmu_result cpu_access(vaddr_t va, uint64_t error, uint64_t *guest_error);

/* How many pages live tables take, after everything dropped was swept. */
uint32_t machine_used(void);

/*
 * Everything that must hold at any time: I2 for every leaf, no G bit, absent entries zero, upper
 * levels permissive, the last 2 MiB as they were made, every page of the pool in exactly one place, and
 * known to be zero where it is.
 */
void check_shadow(void);

#endif

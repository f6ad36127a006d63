/* SPDX-License-Identifier: MIT */
/*
 * pte.h - bits of page table entries, CR3 and #PF error codes (SDM vol. 3A, 4.5, 4.7).
 */
#ifndef METAKERNEL_MM_PTE_H
#define METAKERNEL_MM_PTE_H

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
#define LARGE_BYTES	0x200000UL	/* what one L2 entry maps */

/* Software bits of shadow L2 entries. */
#define SPLIT		(1UL << 9)	/* small shadows of a large page */
#define GIANT		(1UL << 10)	/* part of a 1 GiB page */
#define UPPER		(PTE_P | PTE_W | PTE_U)	/* upper levels allow everything */

/* #PF error code, SDM vol. 3A, 4.7. */
#define PF_P		1UL
#define PF_W		2UL
#define PF_U		4UL
#define PF_I		16UL

#endif

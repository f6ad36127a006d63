/* SPDX-License-Identifier: MIT */
/*
 * entry_tables.h - what entry.c and boot/entry_init.c share: the tables that tramp.S runs on.
 */
#ifndef HAL_X86_64_ENTRY_TABLES_H
#define HAL_X86_64_ENTRY_TABLES_H

#include <hal/cpu.h>
#include <hal/entry.h>
#include <hal/types.h>

#define PTE_P		1UL
#define PTE_W		2UL
#define PTE_NX		(1UL << 63)

extern char __tramp_text_start[], __tramp_text_end[];
extern char tramp_stubs[], tramp_maybe_error[], tramp_syscall[], tramp_hcall[], tramp_pf[], tramp_nmi[],
	    tramp_cstar[], tramp_end[], mk_stubs[];

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};

/* Everything in a partition, and under the metakernel's CR3; all CPUs share both. */
extern struct gate guest_idt[256], mk_idt[256];

static inline vaddr_t tramp_va(const char *label)
{
	return KEEL_TRAMP_VA + (vaddr_t)(label - __tramp_text_start);
}

static inline unsigned int entry_slot(vaddr_t va)
{
	return (va >> 12) & 511;
}

void entry_gdt(uint64_t *gdt);
void entry_tss(struct tss *tss, vaddr_t rsp0, vaddr_t nmi, vaddr_t df, vaddr_t db, vaddr_t mc);
void entry_map_tramp(uint64_t *hole_pt);

#endif

// SPDX-License-Identifier: MIT
/*
 * entry.c - what tramp.S runs on: GDT, TSS and hole page tables of a vCPU, the IDTs. boot/entry_init.c has the rest.
 *
 * Owns:       the two IDT frames, which all CPUs share.
 * Invariants: nothing here is G(lobal); GDT descriptors have Accessed preset (the page is
 *             read-only for ring 1, and a CPU that had to set the bit would fault); no ring-1 gate,
 *             no 32-bit ring-1 segment, no call gate.
 */
#include "entry_tables.h"

/* Descriptor bits, SDM vol. 3A, 3.4.5: base 0, limit 4 GiB, present, Accessed. */
#define DESC_CODE64(dpl)	(0x00af9b000000ffffUL | (uint64_t)(dpl) << 45)
#define DESC_CODE32(dpl)	(0x00cf9b000000ffffUL | (uint64_t)(dpl) << 45)
#define DESC_DATA(dpl)		(0x00cf93000000ffffUL | (uint64_t)(dpl) << 45)
#define TSS_LIMIT		(sizeof(struct tss) - 1)

struct gate guest_idt[256] __attribute__((aligned(4096)));
struct gate mk_idt[256] __attribute__((aligned(4096)));

void entry_gdt(uint64_t *gdt)
{
	uint64_t tss_va = KEEL_VCPU_RO_VA + RO_TSS;

	gdt[2] = DESC_CODE64(1);
	gdt[3] = DESC_DATA(1);
	gdt[4] = DESC_CODE32(3);
	gdt[5] = DESC_DATA(3);
	gdt[6] = DESC_CODE64(3);
	gdt[MK_CS / 8] = DESC_CODE64(0);
	gdt[MK_SS / 8] = DESC_DATA(0);
	gdt[MK_TSS / 8] = TSS_LIMIT | (tss_va & 0xffffff) << 16 | 0x89UL << 40 |
			  ((tss_va >> 24) & 0xff) << 56;
	gdt[MK_TSS / 8 + 1] = tss_va >> 32;
}

void entry_tss(struct tss *tss, vaddr_t rsp0, vaddr_t nmi, vaddr_t df, vaddr_t db, vaddr_t mc)
{
	tss->rsp[0] = rsp0;
	tss->ist[0] = nmi;
	tss->ist[1] = df;
	tss->ist[2] = db;
	tss->ist[3] = mc;
	tss->iomap_base = sizeof(*tss);	/* beyond the limit: every port traps */
}

static struct keel_frame ring1_frame(void)
{
	return (struct keel_frame) {
		.cs = KEEL_CS_RING1, .ss = KEEL_SS_RING1, .rflags = 0x202,
		.rsp = KEEL_VCPU_VA + KEEL_VP_SIZE,
	};
}

void entry_init_vcpu_ro(struct vcpu_ro *ro, uint64_t mk_cr3)
{
	entry_gdt(ro->gdt);
	ro->mk_cr3 = mk_cr3;
	ro->syscall = ring1_frame();
	ro->pf = ring1_frame();
	entry_tss(&ro->tss, KEEL_STACK_VA + STK_RSP0, KEEL_STACK_VA + STK_NMI,
		 KEEL_STACK_VA + STK_DF, KEEL_STACK_VA + STK_DB, KEEL_STACK_VA + STK_MC);
}

void entry_map_tramp(uint64_t *hole_pt)
{
	paddr_t pa = va_to_pa(__tramp_text_start);
	vaddr_t va = KEEL_TRAMP_VA;

	for (; pa < va_to_pa(__tramp_text_end); pa += 4096, va += 4096)
		hole_pt[entry_slot(va)] = pa | PTE_P;
}

void entry_init_hole(uint64_t *hole_pt, paddr_t ro_pa, paddr_t vcpu_pa, paddr_t stack_pa)
{
	entry_map_tramp(hole_pt);
	hole_pt[entry_slot(KEEL_IDT_VA)] = va_to_pa(guest_idt) | PTE_P | PTE_NX;
	hole_pt[entry_slot(KEEL_VCPU_RO_VA)] = ro_pa | PTE_P | PTE_NX;
	hole_pt[entry_slot(KEEL_VCPU_VA)] = vcpu_pa | PTE_P | PTE_W | PTE_NX;
	hole_pt[entry_slot(KEEL_STACK_VA)] = stack_pa | PTE_P | PTE_W | PTE_NX;
}

bool entry_in_tramp(uint64_t rip)
{
	return rip >= KEEL_TRAMP_VA && rip < tramp_va(tramp_end);
}

bool entry_in_stub(uint64_t rip, unsigned int vector)
{
	return rip - (tramp_va(tramp_stubs) + 16 * vector) < 16;
}

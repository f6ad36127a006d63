// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmu.c - the metakernel as this CPU's TLB.
 *
 * Linux writes its page tables as it likes. The metakernel walks them on a miss and keeps what it
 * found, so it needs to hear exactly what a TLB needs to hear: CR3 loads and invalidations.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <asm/paravirt.h>
#include <asm/pgtable.h>
#include <asm/tlbflush.h>
#include <asm/trap_pf.h>
#include "keel.h"

#define KEEL_FLUSH_MAX_PAGES	512

static noinstr unsigned long keel_read_cr3(void)
{
	return keel_vcpu->cr3;
}

static noinstr void keel_write_cr3(unsigned long cr3)
{
	keel_hypercall1(KEEL_HC_LOAD_CR3, cr3);
}

static void keel_write_cr2(unsigned long cr2)
{
	keel_vcpu->cr2 = cr2;
}

static void keel_flush_tlb_user(void)
{
	keel_hypercall3(KEEL_HC_FLUSH, KEEL_FLUSH_USER, 0, 0);
}

static void keel_flush_tlb_kernel(void)
{
	keel_hypercall3(KEEL_HC_FLUSH, KEEL_FLUSH_ALL, 0, 0);
}

static void keel_flush_tlb_one_user(unsigned long addr)
{
	keel_hypercall3(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, addr & PAGE_MASK, 1);
}

void __keel_flush_tlb_range(unsigned long start, unsigned long end)
{
	unsigned long npages;

	start &= PAGE_MASK;
	npages = (end - start + PAGE_SIZE - 1) >> PAGE_SHIFT;
	if (npages <= KEEL_FLUSH_MAX_PAGES)
		keel_hypercall3(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, start, npages);
	else if (start >= TASK_SIZE_MAX)
		keel_flush_tlb_kernel();
	else
		keel_flush_tlb_user();
}

/*
 * Do the page tables allow a user access that has just faulted? Interrupts are off, which keeps
 * the tables from being freed (as in GUP-fast).
 */
static bool keel_pte_allows(unsigned long error_code, unsigned long address)
{
	unsigned long entry, rights = ~0UL, nx = 0;
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	if (!current->mm)
		return false;

	pgd = pgd_offset(current->mm, address);
	p4d = p4d_offset(pgd, address);
	entry = native_p4d_val(READ_ONCE(*p4d));
	if (!(entry & _PAGE_PRESENT))
		return false;
	rights &= entry;
	nx |= entry & _PAGE_NX;

	pud = pud_offset(p4d, address);
	entry = native_pud_val(READ_ONCE(*pud));
	if (!(entry & _PAGE_PRESENT))
		return false;
	rights &= entry;
	nx |= entry & _PAGE_NX;
	if (entry & _PAGE_PSE)
		goto leaf;

	pmd = pmd_offset(pud, address);
	entry = native_pmd_val(READ_ONCE(*pmd));
	if (!(entry & _PAGE_PRESENT))
		return false;
	rights &= entry;
	nx |= entry & _PAGE_NX;
	if (entry & _PAGE_PSE)
		goto leaf;

	entry = native_pte_val(READ_ONCE(*pte_offset_kernel(pmd, address)));
	rights &= entry;
	nx |= entry & _PAGE_NX;
leaf:
	if (!(rights & _PAGE_PRESENT) || !(rights & _PAGE_USER))
		return false;
	if ((error_code & X86_PF_WRITE) && !(rights & _PAGE_RW))
		return false;
	if ((error_code & X86_PF_INSTR) && nx)
		return false;
	return !(error_code & (X86_PF_RSVD | X86_PF_PK));
}

bool __keel_user_fault_spurious(unsigned long error_code, unsigned long address)
{
	if (!keel_pte_allows(error_code, address))
		return false;
	/* A refusal means that there is nothing to load: let Linux find out and say so */
	return keel_hypercall2(KEEL_HC_FILL, address, error_code) == 0;
}

void __init keel_mmu_init_ops(void)
{
	pv_ops.mmu.read_cr2 = __PV_IS_CALLEE_SAVE(keel_read_cr2);
	pv_ops.mmu.write_cr2 = keel_write_cr2;
	pv_ops.mmu.read_cr3 = keel_read_cr3;
	pv_ops.mmu.write_cr3 = keel_write_cr3;
	pv_ops.mmu.flush_tlb_user = keel_flush_tlb_user;
	pv_ops.mmu.flush_tlb_kernel = keel_flush_tlb_kernel;
	pv_ops.mmu.flush_tlb_one_user = keel_flush_tlb_one_user;
}

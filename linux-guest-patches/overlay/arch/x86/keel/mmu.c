// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmu.c - the metakernel as this CPU's TLB.
 *
 * Linux writes its page tables as it likes. The metakernel walks them on a miss and keeps what it
 * found, so it needs to hear exactly what a TLB needs to hear: CR3 loads and invalidations.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
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
 * What do the page tables say about a user address? The product of all levels' rights, with
 * _PAGE_NX set if any level has it; 0 if nothing is mapped. Interrupts are off, which keeps the
 * tables from being freed (as in GUP-fast).
 */
static unsigned long keel_user_rights(unsigned long address)
{
	unsigned long entry, rights = ~_PAGE_NX, nx = 0;
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	if (!current->mm)
		return 0;

	pgd = pgd_offset(current->mm, address);
	p4d = p4d_offset(pgd, address);
	entry = native_p4d_val(READ_ONCE(*p4d));
	if (!(entry & _PAGE_PRESENT))
		return 0;
	rights &= entry;
	nx |= entry;

	pud = pud_offset(p4d, address);
	entry = native_pud_val(READ_ONCE(*pud));
	if (!(entry & _PAGE_PRESENT))
		return 0;
	rights &= entry;
	nx |= entry;
	if (entry & _PAGE_PSE)
		return rights | (nx & _PAGE_NX);

	pmd = pmd_offset(pud, address);
	entry = native_pmd_val(READ_ONCE(*pmd));
	if (!(entry & _PAGE_PRESENT))
		return 0;
	rights &= entry;
	nx |= entry;
	if (entry & _PAGE_PSE)
		return rights | (nx & _PAGE_NX);

	entry = native_pte_val(READ_ONCE(*pte_offset_kernel(pmd, address)));
	if (!(entry & _PAGE_PRESENT))
		return 0;
	return (rights & entry) | ((nx | entry) & _PAGE_NX);
}

static bool keel_rights_allow(unsigned long rights, unsigned long error_code)
{
	if (!(rights & _PAGE_USER))
		return false;
	if ((error_code & X86_PF_WRITE) && !(rights & _PAGE_RW))
		return false;
	if ((error_code & X86_PF_INSTR) && (rights & _PAGE_NX))
		return false;
	return !(error_code & (X86_PF_RSVD | X86_PF_PK));
}

/* The translation for this fault has been loaded already. A wrong value costs one hypercall. */
static DEFINE_PER_CPU(bool, keel_filled);

bool __keel_user_fault_spurious(unsigned long *error_code, unsigned long address)
{
	unsigned long rights = keel_user_rights(address);

	this_cpu_write(keel_filled, false);
	if (!keel_rights_allow(rights, *error_code)) {
		*error_code &= ~(unsigned long)X86_PF_PROT;
		if (rights & _PAGE_PRESENT)
			*error_code |= X86_PF_PROT;
		return false;
	}
	/* Refused: the page is not this partition's, whatever our tables say (/dev/mem) */
	if (keel_hypercall2(KEEL_HC_FILL, address, *error_code))
		force_sig_fault(SIGBUS, BUS_ADRERR, (void __user *)address);
	return true;
}

void __keel_user_fault_done(unsigned long error_code, unsigned long address)
{
	if (this_cpu_read(keel_filled))
		this_cpu_write(keel_filled, false);
	else
		keel_hypercall2(KEEL_HC_FILL, address, error_code);
}

/* Only this CPU can have translations of `mm`, and they are those that FLUSH_FILL works on. */
static bool keel_cow_local(const struct mm_struct *mm)
{
	return keel_guest() && num_online_cpus() == 1 && current->mm == mm;
}

pte_t ptep_clear_flush_cow(struct vm_area_struct *vma, unsigned long address, pte_t *ptep)
{
	if (!keel_cow_local(vma->vm_mm))
		return ptep_clear_flush(vma, address, ptep);
	return ptep_get_and_clear(vma->vm_mm, address, ptep);
}

void update_mmu_cache_cow(struct vm_fault *vmf, struct vm_area_struct *vma, unsigned long address,
			  pte_t *ptep)
{
	if (!keel_cow_local(vma->vm_mm))
		return;
	keel_hypercall2(KEEL_HC_FLUSH_FILL, address, X86_PF_PROT | X86_PF_WRITE | X86_PF_USER);
	this_cpu_write(keel_filled, true);
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

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

/*
 * The leaf entry that the page tables of `mm` have for a user address; 0 if nothing is present.
 * Interrupts are off, which keeps the tables from being freed (as in GUP-fast). Its rights are those
 * of the address: Linux has all rights in the upper levels of a user address, and what is wrong
 * here the metakernel's own walk refuses.
 */
static __always_inline unsigned long keel_user_leaf(const struct mm_struct *mm,
						    unsigned long address)
{
	unsigned long entry = native_pgd_val(READ_ONCE(mm->pgd[pgd_index(address)]));
	const unsigned long *table;

	if (!(entry & _PAGE_PRESENT))
		return 0;
	table = __va(entry & PTE_PFN_MASK);
	entry = READ_ONCE(table[pud_index(address)]);
	if ((entry & (_PAGE_PRESENT | _PAGE_PSE)) != _PAGE_PRESENT)
		return entry & _PAGE_PRESENT ? entry : 0;
	table = __va(entry & PTE_PFN_MASK);
	entry = READ_ONCE(table[pmd_index(address)]);
	if ((entry & (_PAGE_PRESENT | _PAGE_PSE)) != _PAGE_PRESENT)
		return entry & _PAGE_PRESENT ? entry : 0;
	table = __va(entry & PTE_PFN_MASK);
	entry = READ_ONCE(table[pte_index(address)]);
	return entry & _PAGE_PRESENT ? entry : 0;
}

/* Load the translation of a user address in place of what was loaded, or at least drop that. */
static void keel_reload(unsigned long address, unsigned long error)
{
	if (keel_hypercall2(KEEL_HC_FILL, address, error))
		keel_flush_tlb_one_user(address);
}

/*
 * One page whose entry changed and is still there (mprotect() mostly): load the new translation, which
 * is used next and would cost a fault. A TLB may do that, too, if the entry is accessed; if it is
 * writable and dirty as well, then also as by a write.
 */
static bool keel_flush_reload(unsigned long address)
{
	const struct mm_struct *mm = this_cpu_read(cpu_tlbstate.loaded_mm);
	unsigned long entry = keel_user_leaf(mm, address), error = X86_PF_PROT | X86_PF_USER;

	/* Of a large page, all small pieces that the metakernel may have made must go. */
	if ((entry & (_PAGE_USER | _PAGE_ACCESSED | _PAGE_PSE)) != (_PAGE_USER | _PAGE_ACCESSED))
		return false;
	if ((entry & (_PAGE_RW | _PAGE_DIRTY)) == (_PAGE_RW | _PAGE_DIRTY))
		error |= X86_PF_WRITE;
	keel_reload(address, error);
	return true;
}

void __keel_flush_tlb_range(unsigned long start, unsigned long end, bool reload)
{
	unsigned long npages;

	start &= PAGE_MASK;
	npages = (end - start + PAGE_SIZE - 1) >> PAGE_SHIFT;
	if (npages == 1 && reload && keel_flush_reload(start))
		return;
	if (npages <= KEEL_FLUSH_MAX_PAGES)
		keel_hypercall3(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, start, npages);
	else if (start >= TASK_SIZE_MAX)
		keel_flush_tlb_kernel();
	else
		keel_flush_tlb_user();
}

DEFINE_PER_CPU(bool, keel_filled);

/* -> KEEL_FAULT_DONE, or the error code that the page tables give for it. */
unsigned long __keel_user_fault(unsigned long error_code, unsigned long address)
{
	unsigned long entry, need = _PAGE_USER;

	this_cpu_write(keel_filled, false);
	if (unlikely(!current->mm))
		return error_code & ~(unsigned long)X86_PF_PROT;
	entry = keel_user_leaf(current->mm, address);
	if (!entry)
		return error_code & ~(unsigned long)X86_PF_PROT;
	if (error_code & X86_PF_WRITE)
		need |= _PAGE_RW;
	if ((entry & need) != need || (error_code & (X86_PF_RSVD | X86_PF_PK)) ||
	    ((error_code & X86_PF_INSTR) && (entry & _PAGE_NX)))
		return error_code | X86_PF_PROT;
	/* Refused: the page is not this partition's, whatever our tables say (/dev/mem) */
	if (keel_hypercall2(KEEL_HC_FILL, address, error_code))
		force_sig_fault(SIGBUS, BUS_ADRERR, (void __user *)address);
	return KEEL_FAULT_DONE;
}

/* Only this CPU can have translations of `mm`, and they are those that FILL works on. */
static __always_inline bool keel_cow_local(const struct mm_struct *mm)
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
	keel_reload(address, X86_PF_PROT | X86_PF_WRITE | X86_PF_USER);
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

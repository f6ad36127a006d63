// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmu.c - the metakernel as this CPU's TLB.
 *
 * Linux writes its page tables as it likes. The metakernel walks them on a miss and keeps what it
 * found, so it needs to hear exactly what a TLB needs to hear: CR3 loads and invalidations.
 */
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <asm/paravirt.h>
#include <asm/pgtable.h>
#include <asm/tlb.h>
#include <asm/tlbflush.h>
#include <asm/trap_pf.h>
#include "keel.h"

#define KEEL_FLUSH_MAX_PAGES	512
#define KEEL_FILL_TRIES		100

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

/* ---- Several CPUs ---------------------------------------------------------------------------------- */
/*
 * A shoot-down is one hypercall for all CPUs that need it, which none of them notices. They do not advance
 * their tlb_gen then, so whoever asked does it for them; else their next flush or switch would be a full one.
 */

/* As should_flush_tlb(): no, if that CPU will look at the tlb_gen before it uses translations of `mm`. */
static bool keel_flush_wanted(unsigned int cpu, const struct mm_struct *mm)
{
	const struct mm_struct *loaded = READ_ONCE(per_cpu(cpu_tlbstate.loaded_mm, cpu));

	smp_rmb();	/* is_lazy at least as new as loaded_mm; pairs with switch_mm_irqs_off() */
	if (READ_ONCE(per_cpu(cpu_tlbstate_shared.is_lazy, cpu)))
		return false;
	return loaded == mm || loaded == LOADED_MM_SWITCHING;
}

static_assert(IS_ALIGNED(offsetof(struct tlb_state, ctxs), sizeof(u128)));

union keel_tlb_context {
	struct tlb_context	ctx;
	u128			word;
};

/*
 * That CPU has no translation of info->mm older than this flush: say so in its list. Only if it was up to
 * date before, or if this was a full flush; and not if the slot is another mm's by now. What the CPU itself
 * stores meanwhile is read from mm->context.tlb_gen before its own flush, so never too new.
 */
static void keel_tlb_gen_done(unsigned int cpu, const struct flush_tlb_info *info)
{
	unsigned int asid = READ_ONCE(per_cpu(cpu_tlbstate.loaded_mm_asid, cpu));
	struct tlb_context *ctx = per_cpu_ptr(&cpu_tlbstate.ctxs[asid], cpu);
	union keel_tlb_context old, new;

	old.ctx.ctx_id = info->mm->context.ctx_id;
	old.ctx.tlb_gen = info->new_tlb_gen - 1;
	if (info->end == TLB_FLUSH_ALL)
		old.ctx.tlb_gen = READ_ONCE(ctx->tlb_gen);
	if (old.ctx.tlb_gen >= info->new_tlb_gen)
		return;
	new.ctx.ctx_id = old.ctx.ctx_id;
	new.ctx.tlb_gen = info->new_tlb_gen;
	arch_try_cmpxchg128((u128 *)ctx, &old.word, new.word);
}

static void keel_flush_set(u64 set, const struct flush_tlb_info *info)
{
	unsigned long npages = (info->end - info->start + PAGE_SIZE - 1) >> PAGE_SHIFT;

	if (info->end == TLB_FLUSH_ALL || npages > KEEL_FLUSH_MAX_PAGES)
		keel_hypercall5(KEEL_HC_FLUSH_SET, set, KEEL_FLUSH_USER, __pa(info->mm->pgd), 0, 0);
	else
		keel_hypercall5(KEEL_HC_FLUSH_SET, set, KEEL_FLUSH_RANGE, __pa(info->mm->pgd),
				info->start & PAGE_MASK, npages);
}

/*
 * All CPUs of the mask but this one; when page tables are freed, lazy ones as well, as natively. If there are
 * any, then this one with them if asked for. Returns whether that has been done.
 */
static bool keel_flush_others(const struct cpumask *cpumask, const struct flush_tlb_info *info,
			      bool with_self)
{
	unsigned int self = smp_processor_id(), cpu;
	struct cpumask targets;

	cpumask_clear(&targets);
	for_each_cpu(cpu, cpumask)
		if (cpu != self && (info->freed_tables || keel_flush_wanted(cpu, info->mm)))
			__cpumask_set_cpu(cpu, &targets);
	if (cpumask_empty(&targets))
		return false;
	if (with_self)
		__cpumask_set_cpu(self, &targets);
	keel_flush_set(keel_vcpu_set(&targets), info);
	for_each_cpu(cpu, &targets)
		keel_tlb_gen_done(cpu, info);
	return with_self;
}

/*
 * May this CPU be one of the set? Not if it is behind, then flush_tlb_func() does more than was asked for; and
 * not for one page, which flush_tlb_func() loads anew.
 */
static bool keel_flush_self_by_set(const struct flush_tlb_info *info)
{
	unsigned int asid = this_cpu_read(cpu_tlbstate.loaded_mm_asid);

	if (!keel_flush_wanted(smp_processor_id(), info->mm))
		return false;
	if (info->end == TLB_FLUSH_ALL)
		return true;
	if (info->end - info->start <= PAGE_SIZE && !info->freed_tables)
		return false;
	return this_cpu_read(cpu_tlbstate.ctxs[asid].tlb_gen) == info->new_tlb_gen - 1;
}

static void keel_flush_tlb_multi(const struct cpumask *cpumask, const struct flush_tlb_info *info)
{
	bool here;

	if (!info->mm) {	/* what several mms have gathered: each CPU looks at its own */
		native_flush_tlb_multi(cpumask, info);
		return;
	}
	/* Lazily is not enough to flush, but for freed tables, as for other CPUs */
	here = this_cpu_read(cpu_tlbstate.loaded_mm) == info->mm &&
	       (info->freed_tables || !this_cpu_read(cpu_tlbstate_shared.is_lazy));
	if (!keel_flush_others(cpumask, info, here && keel_flush_self_by_set(info)) && here)
		keel_flush_tlb_self(info);
}

/* Kernel addresses on all online CPUs, in all PCIDs. */
void __keel_flush_kernel_range(unsigned long start, unsigned long end)
{
	unsigned long npages, kind = KEEL_FLUSH_RANGE;
	u64 self, set;

	start &= PAGE_MASK;
	npages = (end - start + PAGE_SIZE - 1) >> PAGE_SHIFT;
	if (end == TLB_FLUSH_ALL || npages > KEEL_FLUSH_MAX_PAGES)
		kind = KEEL_FLUSH_ALL;

	preempt_disable();
	self = keel_vcpu_bit(smp_processor_id());
	set = keel_vcpu_set(cpu_online_mask);
	if (kind == KEEL_FLUSH_ALL)
		start = npages = 0;
	if (set == self)
		keel_hypercall3(KEEL_HC_FLUSH, kind, start, npages);
	else
		keel_hypercall5(KEEL_HC_FLUSH_SET, set, kind, __pa_symbol(swapper_pg_dir), start, npages);
	preempt_enable();
}

/* ---- Faults ----------------------------------------------------------------------------------------- */

DEFINE_PER_CPU(bool, keel_filled);

/*
 * -> KEEL_FAULT_DONE, or the error code that the page tables give for it. FILL walks them later than we do, when
 * another CPU may have changed them (or clears an entry to set it anew). Only what it refuses again and again although our
 * tables allow it is not this partition's, whatever they say (/dev/mem).
 */
unsigned long __keel_user_fault(unsigned long error_code, unsigned long address)
{
	unsigned long entry, need = _PAGE_USER;
	unsigned int tries;

	this_cpu_write(keel_filled, false);
	if (unlikely(!current->mm))
		return error_code & ~(unsigned long)X86_PF_PROT;
	if (error_code & X86_PF_WRITE)
		need |= _PAGE_RW;
	for (tries = 0; tries < KEEL_FILL_TRIES; tries++) {
		entry = keel_user_leaf(current->mm, address);
		if (!entry)
			return error_code & ~(unsigned long)X86_PF_PROT;
		if ((entry & need) != need || (error_code & (X86_PF_RSVD | X86_PF_PK)) ||
		    ((error_code & X86_PF_INSTR) && (entry & _PAGE_NX)))
			return error_code | X86_PF_PROT;
		if (!keel_hypercall2(KEEL_HC_FILL, address, error_code))
			return KEEL_FAULT_DONE;
	}
	force_sig_fault(SIGBUS, BUS_ADRERR, (void __user *)address);
	return KEEL_FAULT_DONE;
}

/* ---- Copy-on-write ----------------------------------------------------------------------------------- */

static __always_inline bool keel_cow(const struct mm_struct *mm)
{
	return keel_guest() && current->mm == mm;
}

/*
 * The old entry goes, and with it its translation on other CPUs; here it stays until update_mmu_cache_cow(),
 * which is under the same page table lock, loads the new one in its place. Whether another CPU has one is
 * decided as in flush_tlb_mm_range(): one that starts to use `mm` after its tlb_gen was raised flushes by itself.
 */
pte_t ptep_clear_flush_cow(struct vm_area_struct *vma, unsigned long address, pte_t *ptep)
{
	struct mm_struct *mm = vma->vm_mm;
	struct flush_tlb_info info;
	pte_t pte;

	if (!keel_cow(mm))
		return ptep_clear_flush(vma, address, ptep);
	pte = ptep_get_and_clear(mm, address, ptep);
	if (num_online_cpus() == 1)
		return pte;

	info = (struct flush_tlb_info) {
		.mm		= mm,
		.start		= address & PAGE_MASK,
		.end		= (address & PAGE_MASK) + PAGE_SIZE,
		.new_tlb_gen	= inc_mm_tlb_gen(mm),	/* a full barrier */
		.initiating_cpu	= get_cpu(),
		.stride_shift	= PAGE_SHIFT,
	};
	keel_flush_others(mm_cpumask(mm), &info, false);
	keel_tlb_gen_done(info.initiating_cpu, &info);
	put_cpu();
	return pte;
}

void update_mmu_cache_cow(struct vm_fault *vmf, struct vm_area_struct *vma, unsigned long address,
			  pte_t *ptep)
{
	if (!keel_cow(vma->vm_mm))
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
	if (keel_multi()) {
		pv_ops.mmu.flush_tlb_multi = keel_flush_tlb_multi;
		/* No IPI waits for who walks tables with interrupts off: free them by RCU */
		pv_ops.mmu.tlb_remove_table = tlb_remove_table;
	}
}

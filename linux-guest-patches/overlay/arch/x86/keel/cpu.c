// SPDX-License-Identifier: GPL-2.0-only
/*
 * cpu.c - capabilities, interrupt flag, descriptor tables and MSRs of a CPU in ring 1.
 *
 * What is hot is a store to the vCPU page or a hypercall. What is rare stays the native privileged
 * instruction: the metakernel traps and emulates it.
 */
#include <linux/bug.h>
#include <linux/percpu.h>
#include <linux/string.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/idtentry.h>
#include <asm/msr.h>
#include <asm/paravirt.h>
#include <asm/pgtable.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/traps.h>
#include "keel.h"

/* ---- Capabilities -------------------------------------------------------------------------------- */

static const u16 keel_cleared_caps[] __initconst = {
	/* #UD or #GP in ring 1, or would change what the metakernel relies on */
	X86_FEATURE_SMAP, X86_FEATURE_UMIP, X86_FEATURE_XSAVES, X86_FEATURE_LKGS, X86_FEATURE_FRED,
	X86_FEATURE_IBT, X86_FEATURE_SHSTK, X86_FEATURE_PKU, X86_FEATURE_OSPKE, X86_FEATURE_LAM,
	X86_FEATURE_LA57, X86_FEATURE_INVPCID,
	/* Wait instructions: virtual IF cannot wake them */
	X86_FEATURE_MWAIT, X86_FEATURE_MWAITX, X86_FEATURE_WAITPKG,
	/* Speculation control is the metakernel's */
	X86_FEATURE_SPEC_CTRL, X86_FEATURE_MSR_SPEC_CTRL, X86_FEATURE_IBRS, X86_FEATURE_IBPB,
	X86_FEATURE_STIBP, X86_FEATURE_SSBD, X86_FEATURE_AMD_IBRS, X86_FEATURE_AMD_IBPB,
	X86_FEATURE_AMD_STIBP, X86_FEATURE_AMD_SSBD, X86_FEATURE_VIRT_SSBD,
	X86_FEATURE_LS_CFG_SSBD, X86_FEATURE_FLUSH_L1D,
	/* APIC and timers come by hypercall */
	X86_FEATURE_X2APIC, X86_FEATURE_TSC_DEADLINE_TIMER, X86_FEATURE_TSC_ADJUST,
	/* Platform MSRs */
	X86_FEATURE_MCE, X86_FEATURE_MCA, X86_FEATURE_ACC, X86_FEATURE_ACPI, X86_FEATURE_DTES64,
	X86_FEATURE_APERFMPERF, X86_FEATURE_EST, X86_FEATURE_HWP, X86_FEATURE_ARCH_PERFMON,
	X86_FEATURE_PERFCTR_CORE, X86_FEATURE_PERFCTR_NB, X86_FEATURE_PERFCTR_LLC,
	X86_FEATURE_PDCM, X86_FEATURE_DS, X86_FEATURE_SPLIT_LOCK_DETECT,
	X86_FEATURE_BUS_LOCK_DETECT, X86_FEATURE_TME, X86_FEATURE_SGX, X86_FEATURE_VMX,
	X86_FEATURE_SVM, X86_FEATURE_CQM, X86_FEATURE_RDT_A, X86_FEATURE_SME, X86_FEATURE_SEV,
	/* 32-bit entries are not offered */
	X86_FEATURE_SYSENTER32, X86_FEATURE_SYSCALL32, X86_FEATURE_SEP,
};

static const u16 keel_forced_caps[] __initconst = {
	X86_FEATURE_KEEL, X86_FEATURE_PV_ENTRY, X86_FEATURE_HYPERVISOR,
	X86_FEATURE_TSC_KNOWN_FREQ, X86_FEATURE_TSC_RELIABLE, X86_FEATURE_CONSTANT_TSC,
	X86_FEATURE_NONSTOP_TSC,
	/* CR4 is virtual: the metakernel does both, whatever the CPU can */
	X86_FEATURE_PCID, X86_FEATURE_PGE,
};

static void __init keel_init_capabilities(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keel_cleared_caps); i++)
		setup_clear_cpu_cap(keel_cleared_caps[i]);
	for (i = 0; i < ARRAY_SIZE(keel_forced_caps); i++)
		setup_force_cpu_cap(keel_forced_caps[i]);
}

/* ---- Idle ---------------------------------------------------------------------------------------- */

static noinstr void keel_safe_halt(void)
{
	keel_hypercall2(KEEL_HC_BLOCK, 1, 0);
}

static noinstr void keel_halt(void)
{
	keel_hypercall2(KEEL_HC_BLOCK, 0, 0);
}

static void keel_io_delay(void)
{
}

/* ---- Exceptions that have their own stack natively ---------------------------------------------- */

void noist_exc_debug(struct pt_regs *regs);

DEFINE_IDTENTRY_RAW(keel_exc_debug)
{
	if (user_mode(regs))
		noist_exc_debug(regs);
	else
		exc_debug(regs);
}

DEFINE_IDTENTRY_RAW(keel_exc_nmi)
{
	exc_nmi(regs);
}

DEFINE_IDTENTRY_RAW_ERRORCODE(keel_exc_double_fault)
{
	exc_double_fault(regs, error_code);
}

#ifdef CONFIG_X86_MCE
void noist_exc_machine_check(struct pt_regs *regs);

DEFINE_IDTENTRY_RAW(keel_exc_machine_check)
{
	if (user_mode(regs))
		noist_exc_machine_check(regs);
	else
		exc_machine_check(regs);
}
#endif

/* asm_X natively, asm_keel_X here: without paranoid entry, SWAPGS and IST. */
static const struct {
	void (*native)(void);
	void (*keel)(void);
} keel_ist_handlers[] = {
	{ asm_exc_debug,		asm_keel_exc_debug },
	{ asm_exc_nmi,			asm_keel_exc_nmi },
	{ asm_exc_double_fault,		asm_keel_exc_double_fault },
#ifdef CONFIG_X86_MCE
	{ asm_exc_machine_check,	asm_keel_exc_machine_check },
#endif
};

/* ---- Descriptor tables ---------------------------------------------------------------------------- */

/* The metakernel reads the gates from this memory at each event: nothing to announce. */
static void keel_write_idt_entry(gate_desc *idt, int vector, const gate_desc *gate)
{
	gate_desc g = *gate;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keel_ist_handlers); i++) {
		unsigned long handler = (unsigned long)keel_ist_handlers[i].keel;

		if (gate_offset(&g) != (unsigned long)keel_ist_handlers[i].native)
			continue;
		g.offset_low = (u16)handler;
		g.offset_middle = (u16)(handler >> 16);
		g.offset_high = (u32)(handler >> 32);
		g.bits.ist = 0;
	}
	native_write_idt_entry(idt, vector, &g);
}

static void keel_load_idt(const struct desc_ptr *dtr)
{
	unsigned long va = dtr->address;
	unsigned long pa;

	if (!va)	/* idt_invalidate(), on the way to a reset */
		return;
	if (va >= __START_KERNEL_map && va < MODULES_VADDR)
		pa = __pa_symbol((void *)va);
	else
		pa = slow_virt_to_phys((void *)va);
	keel_hypercall2(KEEL_HC_LOAD_IDT, pa, dtr->size);
}

static void keel_load_gdt(const struct desc_ptr *dtr)
{
}

static void keel_load_tr_desc(void)
{
}

static unsigned long keel_store_tr(void)
{
	return 0;
}

static void keel_set_ldt(const void *addr, unsigned int entries)
{
	WARN_ON_ONCE(entries);
}

static void keel_write_gdt_entry(struct desc_struct *gdt, int entry, const void *desc, int type)
{
	native_write_gdt_entry(gdt, entry, desc, type);
	if (entry == GDT_ENTRY_CPUNODE)
		keel_hypercall2(KEEL_HC_SET_DESC, KEEL_GDT_CPUNODE, *(const u64 *)desc);
}

static DEFINE_PER_CPU(u64 [GDT_ENTRY_TLS_ENTRIES], keel_tls);

/* The vCPU starts with an empty GDT, also when this CPU has been on before. */
void keel_cpu_start(void)
{
	memset(this_cpu_ptr(keel_tls), 0, sizeof(keel_tls));
}

static void keel_load_tls(struct thread_struct *t, unsigned int cpu)
{
	u64 *loaded = this_cpu_ptr(keel_tls);	/* `cpu` is always this one */
	const u64 *desc = (const u64 *)t->tls_array;
	unsigned int i;

	BUILD_BUG_ON(GDT_ENTRY_TLS_ENTRIES != 3);
	if (likely(!((desc[0] ^ loaded[0]) | (desc[1] ^ loaded[1]) | (desc[2] ^ loaded[2]))))
		return;
	for (i = 0; i < GDT_ENTRY_TLS_ENTRIES; i++) {
		if (desc[i] == loaded[i])
			continue;
		loaded[i] = desc[i];
		keel_hypercall2(KEEL_HC_SET_DESC, KEEL_GDT_TLS_MIN + i, desc[i]);
	}
}

/*
 * Load the user's GS selector. Loading it here would change the live, that is the kernel's, GS
 * base; only the metakernel can do it without ring 1 running in between. A null selector that is
 * null already needs no load, just the base that goes with it.
 */
static void keel_load_gs_index(unsigned int selector)
{
	unsigned int now;

	savesegment(gs, now);
	if (selector < 4 && now == selector) {
		WRITE_ONCE(keel_vcpu->user_gs, 0);
		return;
	}
	keel_hypercall1(KEEL_HC_LOAD_GS, selector);
}

/* ---- MSRs ----------------------------------------------------------------------------------------- */

static bool keel_read_msr_local(unsigned int msr, u64 *value)
{
	switch (msr) {
	case MSR_FS_BASE:
		*value = rdfsbase();
		return true;
	case MSR_GS_BASE:
		*value = rdgsbase();
		return true;
	case MSR_KERNEL_GS_BASE:
		*value = READ_ONCE(keel_vcpu->user_gs);
		return true;
	case MSR_IA32_APICBASE:
		*value = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE;
		if (!smp_processor_id())
			*value |= MSR_IA32_APICBASE_BSP;
		return true;
	}
	return false;
}

static bool keel_write_msr_local(unsigned int msr, u64 value)
{
	switch (msr) {
	case MSR_FS_BASE:
		wrfsbase(value);
		return true;
	case MSR_GS_BASE:
		WRITE_ONCE(keel_vcpu->kernel_gs, value);
		wrgsbase(value);
		return true;
	case MSR_KERNEL_GS_BASE:
		WRITE_ONCE(keel_vcpu->user_gs, value);
		return true;
	/* SYSCALL and SYSENTER are the metakernel's, see keel_set_entries() */
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_IA32_SYSENTER_CS:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
	case MSR_IA32_APICBASE:
		return true;
	}
	return false;
}

static u64 keel_read_msr(unsigned int msr)
{
	u64 value;

	return keel_read_msr_local(msr, &value) ? value : native_read_msr(msr);
}

static u64 keel_read_msr_safe(unsigned int msr, int *err)
{
	u64 value;

	*err = 0;
	return keel_read_msr_local(msr, &value) ? value : native_read_msr_safe(msr, err);
}

static void keel_write_msr(unsigned int msr, unsigned int low, unsigned int high)
{
	if (!keel_write_msr_local(msr, low | (u64)high << 32))
		native_write_msr(msr, low, high);
}

static int keel_write_msr_safe(unsigned int msr, unsigned int low, unsigned int high)
{
	if (keel_write_msr_local(msr, low | (u64)high << 32))
		return 0;
	return native_write_msr_safe(msr, low, high);
}

void __init keel_cpu_init_ops(void)
{
	pv_ops.irq.save_fl = __PV_IS_CALLEE_SAVE(keel_save_fl);
	pv_ops.irq.irq_disable = __PV_IS_CALLEE_SAVE(keel_irq_disable);
	pv_ops.irq.irq_enable = __PV_IS_CALLEE_SAVE(keel_irq_enable);
	pv_ops.irq.safe_halt = keel_safe_halt;
	pv_ops.irq.halt = keel_halt;

	pv_ops.cpu.io_delay = keel_io_delay;
	pv_ops.cpu.load_tr_desc = keel_load_tr_desc;
	pv_ops.cpu.store_tr = keel_store_tr;
	pv_ops.cpu.load_gdt = keel_load_gdt;
	pv_ops.cpu.load_idt = keel_load_idt;
	pv_ops.cpu.set_ldt = keel_set_ldt;
	pv_ops.cpu.load_tls = keel_load_tls;
	pv_ops.cpu.load_gs_index = keel_load_gs_index;
	pv_ops.cpu.write_gdt_entry = keel_write_gdt_entry;
	pv_ops.cpu.write_idt_entry = keel_write_idt_entry;
	pv_ops.cpu.read_msr = keel_read_msr;
	pv_ops.cpu.read_msr_safe = keel_read_msr_safe;
	pv_ops.cpu.write_msr = keel_write_msr;
	pv_ops.cpu.write_msr_safe = keel_write_msr_safe;

	keel_init_capabilities();
}

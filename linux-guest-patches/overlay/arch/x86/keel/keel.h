/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * keel.h - what the files of arch/x86/keel share.
 */
#ifndef _X86_KEEL_KEEL_H
#define _X86_KEEL_KEEL_H

#include <linux/cpumask.h>
#include <linux/init.h>
#include <linux/linkage.h>
#include <asm/keel.h>

/* entry.S */
asmlinkage void keel_entry_syscall(void);
asmlinkage void keel_entry_pf_user(void);
asmlinkage void keel_entry_event_user(void);
asmlinkage void keel_entry_event_kernel(void);
asmlinkage void keel_iret_kernel(void);
extern const char keel_tail_test[], keel_tail_pop[], keel_tail_skip[], keel_tail_iret[];
extern const char keel_fix_pop[], keel_fix_skip[], keel_fix_iret[], keel_bad_iret[];
unsigned long keel_save_fl(void);
void keel_irq_disable(void);
void keel_irq_enable(void);
unsigned long keel_read_cr2(void);
extern const char keel_text_begin[], keel_text_end[];
asmlinkage void keel_start_ap(void);	/* head.S */

void keel_start_kernel(unsigned long boot_params_pa);
void keel_start_secondary(void);

/* vCPUs as KEEL_HC_*_SET take them, of CPUs that have run */
u64 keel_vcpu_set(const struct cpumask *mask);
u64 keel_vcpu_bit(unsigned int cpu);

/* More than one CPU may come: what costs something only then is set up */
static inline bool keel_multi(void)
{
	return keel_vcpu->nvcpus > 1;
}

void keel_cpu_start(void);		/* cpu.c: state of a CPU that has just started */

void __init keel_cpu_init_ops(void);	/* cpu.c: pv_ops.cpu, capabilities */
void __init keel_mmu_init_ops(void);	/* mmu.c: pv_ops.mmu */
void __init keel_apic_init_ops(void);	/* apic.c: IO-APIC, legacy PIC */
void __init keel_apic_install(void);	/* apic.c: once static calls are set up */
void __init keel_smp_init_ops(void);	/* smp.c: smp_ops */
void __init keel_smp_limit(void);
void __init keel_time_init_ops(void);	/* time.c */

#endif /* _X86_KEEL_KEEL_H */

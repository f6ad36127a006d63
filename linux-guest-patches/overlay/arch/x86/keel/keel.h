/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * keel.h - what the files of arch/x86/keel share.
 */
#ifndef _X86_KEEL_KEEL_H
#define _X86_KEEL_KEEL_H

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

void keel_start_kernel(unsigned long boot_params_pa);

void __init keel_cpu_init_ops(void);	/* cpu.c: pv_ops.cpu, capabilities */
void __init keel_mmu_init_ops(void);	/* mmu.c: pv_ops.mmu */
void __init keel_apic_init_ops(void);	/* apic.c: IO-APIC, legacy PIC */
void __init keel_apic_install(void);	/* apic.c: once static calls are set up */
void __init keel_time_init_ops(void);	/* time.c */

#endif /* _X86_KEEL_KEEL_H */

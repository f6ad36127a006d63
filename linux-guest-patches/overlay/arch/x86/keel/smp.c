// SPDX-License-Identifier: GPL-2.0-only
/*
 * smp.c - more than one CPU: start and stop, and which vCPU a CPU is.
 *
 * CPUs are those of the MADT that this partition has a vCPU for. A vCPU starts at keel_start_ap() with nothing
 * but a number; from start_secondary() on all is as natively, and so are IPIs, stop_machine() and hotplug
 * around the few hooks here. A CPU that goes off ends in KEEL_HC_VCPU_STOP and starts anew later.
 *
 * Owns:    keel_vcpu_bits, keel_vcpus_differ: an entry is written by its CPU before that is online.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>
#include <asm/apic.h>
#include <asm/cpu.h>
#include <asm/fpu/api.h>
#include <asm/pgtable.h>
#include <asm/processor.h>
#include <asm/smp.h>
#include <asm/spinlock.h>
#include <asm/tlbflush.h>
#include "keel.h"

static_assert(NR_CPUS <= 64);	/* a set of vCPUs is one word */

/* ---- Who is who ----------------------------------------------------------------------------------- */

static u64 keel_vcpu_bits[NR_CPUS] __read_mostly = { [0] = 1 };	/* the boot CPU is vCPU 0 */
static bool keel_vcpus_differ __read_mostly;	/* some CPU is a vCPU of another number */

u64 keel_vcpu_bit(unsigned int cpu)
{
	return keel_vcpu_bits[cpu];
}

u64 keel_vcpu_set(const struct cpumask *mask)
{
	unsigned int cpu;
	u64 set = 0;

	if (likely(!READ_ONCE(keel_vcpus_differ)))
		return cpumask_bits(mask)[0];
	for_each_cpu(cpu, mask)
		set |= keel_vcpu_bits[cpu];
	return set;
}

static void keel_note_vcpu(unsigned int cpu)
{
	keel_vcpu_bits[cpu] = BIT_ULL(keel_vcpu->vcpu_id & 63);
	if (keel_vcpu->vcpu_id != cpu)
		WRITE_ONCE(keel_vcpus_differ, true);
}

bool __init __keel_no_vcpu(u32 apic_id)
{
	if (apic_id == keel_vcpu->apic_id || keel_hypercall1(KEEL_HC_VCPU_STATE, apic_id) >= 0)
		return false;
	pr_info("no vCPU for the CPU with APIC ID %#x\n", apic_id);
	return true;
}

void __init keel_smp_limit(void)
{
	unsigned int n = max_t(u64, keel_vcpu->nvcpus, 1);

	if (n < nr_cpu_ids)
		set_nr_cpu_ids(n);
}

/* ---- Start ---------------------------------------------------------------------------------------- */

static int keel_kick_ap(unsigned int cpu, struct task_struct *idle)
{
	u32 apic_id = apic->cpu_present_to_apicid(cpu);
	long err;

	per_cpu(fpu_fpregs_owner_ctx, cpu) = NULL;
	err = common_cpu_up(cpu, idle);
	if (err)
		return err;
	idle->thread.sp = (unsigned long)task_pt_regs(idle);
	err = keel_hypercall5(KEEL_HC_VCPU_START, apic_id, (unsigned long)keel_start_ap,
			      __pa_symbol(swapper_pg_dir), cpu, 0);
	if (err)
		pr_err("CPU %u (APIC ID %#x) does not start: %ld\n", cpu, apic_id, err);
	return err;
}

/* CR4 as the trampoline leaves it natively: start_secondary() adds PCIDE and what is pinned, and expects neither. */
asmlinkage __visible void __noreturn keel_start_secondary(void)
{
	keel_cpu_start();
	keel_note_vcpu(raw_smp_processor_id());
	asm volatile("mov %0, %%cr4" : : "r" (mmu_cr4_features & ~X86_CR4_PCIDE) : "memory");
	start_secondary(NULL);
	BUG();
}

/* ---- Stop ----------------------------------------------------------------------------------------- */

static void keel_stop_this_cpu(void)
{
	keel_hypercall0(KEEL_HC_VCPU_STOP);
}

static void keel_play_dead(void)
{
	play_dead_common();
	keel_stop_this_cpu();
}

/* The dead CPU has said so, and still uses its stack for a few instructions. */
static void keel_cleanup_dead_cpu(unsigned int cpu)
{
	u32 apic_id = apic->cpu_present_to_apicid(cpu);

	while (keel_hypercall1(KEEL_HC_VCPU_STATE, apic_id) == KEEL_VCPU_ON)
		usleep_range(20, 100);
}

/* ---- Waiting -------------------------------------------------------------------------------------- */

/* Also for who waits for a lock (asm/qspinlock.h). */
void keel_yield(void)
{
	if (keel_guest())
		keel_hypercall1(KEEL_HC_YIELD, -1);
}

void __init keel_smp_init_ops(void)
{
	smp_ops.kick_ap_alive = keel_kick_ap;
	smp_ops.play_dead = keel_play_dead;
	smp_ops.cleanup_dead_cpu = keel_cleanup_dead_cpu;
	smp_ops.poll_sync_state = keel_yield;
	smp_ops.stop_this_cpu = keel_stop_this_cpu;
	x86_cpuinit.parallel_bringup = false;
}

// SPDX-License-Identifier: MIT
/*
 * cpu.c - the CPUs there are, where started ones wait for the first partition, and how they call each other.
 *
 * Owns:    the table of CPUs, written at boot.
 * Locks:   none: cpus[] and ncpus change only before cpus_release(). `work` is changed by atomic operations; an interrupt is only sent with the first bit,
 *          because who finds one there will look, or has been called already.
 */
#include <hal/cpu.h>
#include <hal/hooks.h>
#include <hal/irq.h>
#include "run/cpu.h"
#include "run/sched.h"
#include "lib/panic.h"
#include "lib/serial.h"

#define RELEASE_MS	5000

struct cpu *cpus[MAX_CPUS];
unsigned int ncpus;
uint64_t spare_cpus;
static bool cpus_go, stopping;

/*
 * Interrupts are off: an NMI ends the sleep, and cpus_release() repeats it in case this CPU was between look and sleep.
 */
void cpus_wait(void)
{
	__atomic_store_n(&this_cpu->waiting, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&cpus_go, __ATOMIC_ACQUIRE))
		hal_hlt();
	hal_flush_tlb();
	__atomic_store_n(&this_cpu->waiting, false, __ATOMIC_RELEASE);
	keel_cpu_main();
}

__cold void cpus_release(void)
{
	unsigned int i;

	__atomic_store_n(&cpus_go, true, __ATOMIC_RELEASE);
	for (i = 1; i < ncpus; i++) {
		uint64_t t0 = hal_rdtsc();

		while (__atomic_load_n(&cpus[i]->waiting, __ATOMIC_ACQUIRE)) {
			hal_apic_nmi(cpus[i]->apic_id);
			hal_delay_us(20);
			if (hal_rdtsc() - t0 > RELEASE_MS * hal_tsc_khz())
				panic("CPU %u does not wake", i);
		}
	}
}

void keel_cpu_main(void)
{
	sched_join();
}

void cpu_work(struct cpu *c, uint32_t what)
{
	if (!__atomic_fetch_or(&c->work, what, __ATOMIC_SEQ_CST) && c->index != this_cpu->index)
		hal_apic_ipi(c->apic_id, VEC_WORK);
}

struct cpu *lock_home(const struct vcpu *v)
{
	for (;;) {
		struct cpu *c = cpus[__atomic_load_n(&v->cpu, __ATOMIC_RELAXED)];

		lock_take(&c->lock);
		if (likely(v->cpu == c->index))
			return c;
		lock_release(&c->lock);
	}
}

void cpus_ask(uint32_t what)
{
	unsigned int i;

	for (i = 0; i < ncpus; i++)
		cpu_work(cpus[i], what);
}

bool cpus_asked(uint32_t what)
{
	unsigned int i;

	for (i = 0; i < ncpus; i++)
		if (__atomic_load_n(&cpus[i]->work, __ATOMIC_SEQ_CST) & what)
			return false;
	return true;
}

uint64_t cpus_wakes(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < ncpus; i++)
		sum += __atomic_load_n(&cpus[i]->wakes, __ATOMIC_SEQ_CST);
	return sum;
}

__cold void cpus_stop(void)
{
	unsigned int i;

	if (ncpus == 1 || __atomic_exchange_n(&stopping, true, __ATOMIC_SEQ_CST))
		return;
	for (i = 0; i < ncpus; i++) {
		if (i == this_cpu->index)
			continue;
		hal_apic_ipi(cpus[i]->apic_id, VEC_WORK);	/* out of a partition, or out of idling */
		hal_apic_nmi(cpus[i]->apic_id);			/* out of the metakernel */
	}
}

void cpu_called(void)
{
	while (__atomic_load_n(&stopping, __ATOMIC_RELAXED))
		hal_hlt();
}

void keel_last_words(void)
{
	cpus_stop();
	serial_break_lock();
	serial_finish();
}

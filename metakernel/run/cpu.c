// SPDX-License-Identifier: MIT
/*
 * cpu.c - CPUs calling each other.
 *
 * Owns:    the table of CPUs, written at boot.
 * Locks:   none. `work` is changed by atomic operations; an interrupt is only sent with the first bit,
 *          because who finds one there will look, or has been called already.
 */
#include <hal/cpu.h>
#include <hal/hooks.h>
#include <hal/irq.h>
#include "run/cpu.h"
#include "lib/serial.h"

struct cpu *cpus[MAX_CPUS];
unsigned int ncpus = 1;
static bool stopping;

void cpu_work(struct cpu *c, uint32_t what)
{
	if (!__atomic_fetch_or(&c->work, what, __ATOMIC_SEQ_CST) && c->index != this_cpu->index)
		hal_apic_ipi(c->apic_id, VEC_WORK);
}

void cpus_stop(void)
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

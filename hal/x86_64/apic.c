// SPDX-License-Identifier: MIT
/*
 * apic.c - local APIC (vol. 3A, chapter 11), reached by memory or, if firmware turned x2APIC on or an APIC id
 * needs it, by MSRs.
 *
 * Owns:       each CPU's local APIC and MSR_TSC_DEADLINE. What is static here is the boot CPU's finding and
 *             the same for all.
 * Context:    interrupts off.
 * Invariants: no LVT entry but the timer's is ever unmasked.
 */
#include <hal/console.h>
#include <hal/cpu.h>
#include <hal/irq.h>
#include "apic.h"

struct apic apic;

bool hal_apic_is_x2(void)
{
	return apic.x2;
}

uint32_t hal_apic_id(void)
{
	uint32_t id = apic_read(APIC_ID);

	return apic.x2 ? id : id >> 24;
}

void hal_apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

static bool vector_bit(uint32_t reg, uint8_t vector)
{
	return (apic_read(reg + (vector >> 5) * 0x10u) >> (vector & 31) & 1) != 0;
}

bool hal_apic_in_service(uint8_t vector)
{
	return vector_bit(APIC_ISR, vector);
}

static void send(uint32_t apic_id, uint32_t command)
{
	if (apic.x2) {
		/* WRMSR to x2APIC registers does not order earlier stores (11.12.3). */
		hal_mfence();
		hal_lfence();
		hal_wrmsr(MSR_X2APIC + (APIC_ICR_LOW >> 4), (uint64_t)apic_id << 32 | command);
		return;
	}
	hal_mmio_write32(apic.regs + APIC_ICR_HIGH, apic_id << 24);
	hal_mmio_write32(apic.regs + APIC_ICR_LOW, command);
	for (unsigned int i = 0; i < ACCEPT_SPINS; i++) {
		if (!(hal_mmio_read32(apic.regs + APIC_ICR_LOW) & ICR_PENDING))
			break;
		hal_pause();
	}
}

void hal_apic_ipi(uint32_t apic_id, uint8_t vector)
{
	send(apic_id, ICR_ASSERT | vector);
}

void hal_apic_nmi(uint32_t apic_id)
{
	send(apic_id, ICR_ASSERT | ICR_NMI);
}

/* The "self" shorthand allows no NMI (table 11-3), our own id does. */
void hal_apic_nmi_self(void)
{
	hal_apic_nmi(hal_apic_id());
}

void hal_apic_ipi_self(uint8_t vector)
{
	hal_apic_ipi(hal_apic_id(), vector);
}

void hal_apic_init_ipi(uint32_t apic_id)
{
	send(apic_id, ICR_ASSERT | ICR_INIT);
}

void hal_apic_startup_ipi(uint32_t apic_id, uint8_t page)
{
	send(apic_id, ICR_ASSERT | ICR_STARTUP | page);
}

void hal_timer_arm_tsc(uint64_t deadline_tsc)
{
	uint64_t now, delta;

	if (apic.deadline_mode) {
		hal_wrmsr(MSR_TSC_DEADLINE, deadline_tsc);
		return;
	}
	if (!deadline_tsc) {
		apic_write(APIC_TIMER_INIT, 0);
		return;
	}
	now = hal_rdtsc();
	delta = deadline_tsc > now ? min_u64(deadline_tsc - now, apic.delta_max_tsc) : 0;
	/* + 1: never 0, which would disarm, and rather late by one count than early. */
	apic_write(APIC_TIMER_INIT, (uint32_t)(delta * apic.count_khz / hal_tsc_khz() + 1));
}

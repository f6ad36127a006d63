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
#include "tsc.h"

/* Register offsets (table 11-1); the x2APIC MSR is MSR_X2APIC + offset / 16. */
#define APIC_ID		0x020
#define APIC_VERSION	0x030
#define APIC_TPR	0x080
#define APIC_EOI	0x0b0
#define APIC_LDR	0x0d0
#define APIC_DFR	0x0e0
#define APIC_SVR	0x0f0
#define APIC_ISR	0x100
#define APIC_IRR	0x200
#define APIC_ESR	0x280
#define APIC_LVT_CMCI	0x2f0
#define APIC_ICR_LOW	0x300
#define APIC_ICR_HIGH	0x310
#define APIC_LVT_TIMER	0x320
#define APIC_LVT_THERM	0x330
#define APIC_LVT_PERF	0x340
#define APIC_LVT_LINT0	0x350
#define APIC_LVT_LINT1	0x360
#define APIC_LVT_ERROR	0x370
#define APIC_TIMER_INIT	0x380
#define APIC_TIMER_NOW	0x390
#define APIC_TIMER_DIV	0x3e0

#define SVR_ENABLE	0x100
#define LVT_MASKED	0x10000
#define LVT_DEADLINE	0x40000		/* timer mode 2 (11.5.4) */
#define TIMER_DIV_4	0x1
#define ICR_NMI		0x400
#define ICR_INIT	0x500
#define ICR_STARTUP	0x600
#define ICR_PENDING	0x1000
#define ICR_ASSERT	0x4000
#define BASE_ENABLE	bit64(11)
#define BASE_X2APIC	bit64(10)

#define COUNT_MAX	0xffffffffu
#define ACCEPT_SPINS	100000

static volatile char *lapic;
static bool x2apic;
static bool deadline_mode;
static uint32_t timer_lvt;
static uint64_t count_khz;		/* timer counts per millisecond, after the divider */
static uint64_t delta_max_tsc;		/* longest wait that fits COUNT_MAX */

static uint32_t apic_read(uint32_t reg)
{
	if (x2apic)
		return (uint32_t)hal_rdmsr(MSR_X2APIC + (reg >> 4));
	return hal_mmio_read32(lapic + reg);
}

static void apic_write(uint32_t reg, uint32_t v)
{
	if (x2apic)
		hal_wrmsr(MSR_X2APIC + (reg >> 4), v);
	else
		hal_mmio_write32(lapic + reg, v);
}

bool hal_apic_is_x2(void)
{
	return x2apic;
}

uint32_t hal_apic_id(void)
{
	uint32_t id = apic_read(APIC_ID);

	return x2apic ? id : id >> 24;
}

void hal_apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

static bool vector_bit(uint32_t reg, uint8_t vector)
{
	return (apic_read(reg + (vector >> 5) * 0x10u) >> (vector & 31) & 1) != 0;
}

bool hal_apic_requested(uint8_t vector)
{
	return vector_bit(APIC_IRR, vector);
}

bool hal_apic_in_service(uint8_t vector)
{
	return vector_bit(APIC_ISR, vector);
}

static void send(uint32_t apic_id, uint32_t command)
{
	if (x2apic) {
		/* WRMSR to x2APIC registers does not order earlier stores (11.12.3). */
		hal_mfence();
		hal_lfence();
		hal_wrmsr(MSR_X2APIC + (APIC_ICR_LOW >> 4), (uint64_t)apic_id << 32 | command);
		return;
	}
	hal_mmio_write32(lapic + APIC_ICR_HIGH, apic_id << 24);
	hal_mmio_write32(lapic + APIC_ICR_LOW, command);
	for (unsigned int i = 0; i < ACCEPT_SPINS; i++) {
		if (!(hal_mmio_read32(lapic + APIC_ICR_LOW) & ICR_PENDING))
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

	if (deadline_mode) {
		hal_wrmsr(MSR_TSC_DEADLINE, deadline_tsc);
		return;
	}
	if (!deadline_tsc) {
		apic_write(APIC_TIMER_INIT, 0);
		return;
	}
	now = hal_rdtsc();
	delta = deadline_tsc > now ? min_u64(deadline_tsc - now, delta_max_tsc) : 0;
	/* + 1: never 0, which would disarm, and rather late by one count than early. */
	apic_write(APIC_TIMER_INIT, (uint32_t)(delta * count_khz / hal_tsc_khz() + 1));
}

/* How fast does the timer count? 10 ms against the TSC, whose rate is known by now. */
__once static void calibrate_timer(void)
{
	uint64_t t0, t1;
	uint32_t left;

	apic_write(APIC_LVT_TIMER, LVT_MASKED | timer_lvt);
	apic_write(APIC_TIMER_INIT, COUNT_MAX);
	t0 = hal_rdtsc();
	do {
		t1 = hal_rdtsc();
	} while (t1 - t0 < 10 * hal_tsc_khz());
	left = apic_read(APIC_TIMER_NOW);
	t1 = hal_rdtsc();
	apic_write(APIC_TIMER_INIT, 0);
	apic_write(APIC_LVT_TIMER, timer_lvt);
	count_khz = (uint64_t)(COUNT_MAX - left) * hal_tsc_khz() / (t1 - t0);
	if (!count_khz)
		count_khz = 1;
	/* Keep the count in 32 bits and the product in 64. */
	delta_max_tsc = (COUNT_MAX - 1) / count_khz * hal_tsc_khz();
	delta_max_tsc = min_u64(delta_max_tsc, UINT64_MAX / count_khz);
	if (!delta_max_tsc)
		delta_max_tsc = hal_tsc_khz();
}

__once static void mask_lvts(void)
{
	uint32_t last = apic_read(APIC_VERSION) >> 16 & 0xff;	/* number of entries - 1 */

	apic_write(APIC_LVT_TIMER, LVT_MASKED);
	apic_write(APIC_LVT_LINT0, LVT_MASKED);
	apic_write(APIC_LVT_LINT1, LVT_MASKED);
	apic_write(APIC_LVT_ERROR, LVT_MASKED);
	if (last >= 4)
		apic_write(APIC_LVT_PERF, LVT_MASKED);
	if (last >= 5)
		apic_write(APIC_LVT_THERM, LVT_MASKED);
	if (last >= 6)
		apic_write(APIC_LVT_CMCI, LVT_MASKED);
}

/* This CPU's local APIC into the mode of the boot CPU's. From x2APIC back leads only by way of off (11.12.5). */
static void set_mode(void)
{
	uint64_t base = hal_rdmsr(MSR_APIC_BASE);

	if ((base & BASE_X2APIC) && !x2apic) {
		base &= ~(BASE_ENABLE | BASE_X2APIC);
		hal_wrmsr(MSR_APIC_BASE, base);
	}
	if (!(base & BASE_ENABLE))
		hal_wrmsr(MSR_APIC_BASE, base | BASE_ENABLE);
	if (x2apic && !(base & BASE_X2APIC))
		hal_wrmsr(MSR_APIC_BASE, base | BASE_ENABLE | BASE_X2APIC);
}

__once void hal_apic_init_cpu(void)
{
	set_mode();
	mask_lvts();
	apic_write(APIC_TPR, 0);
	if (!x2apic) {
		apic_write(APIC_DFR, 0xffffffff);	/* flat */
		apic_write(APIC_LDR, 0x01000000);
	}
	apic_write(APIC_SVR, SVR_ENABLE | HAL_VECTOR_SPURIOUS);
	apic_write(APIC_ESR, 0);
	if (deadline_mode) {
		apic_write(APIC_LVT_TIMER, LVT_DEADLINE | timer_lvt);
		hal_mfence();		/* between the LVT store and the first WRMSR (11.5.4.1) */
		hal_wrmsr(MSR_TSC_DEADLINE, 0);
		return;
	}
	apic_write(APIC_TIMER_DIV, TIMER_DIV_4);
	apic_write(APIC_LVT_TIMER, timer_lvt);
}

__once void hal_apic_init(paddr_t lapic_pa, uint8_t timer_vector, bool want_x2)
{
	tsc_calibrate();
	x2apic = (hal_rdmsr(MSR_APIC_BASE) & BASE_X2APIC) || (want_x2 && hal_cpu()->x2apic);
	lapic = pa_to_va(lapic_pa);
	timer_lvt = timer_vector;
	deadline_mode = hal_cpu()->tsc_deadline;
	hal_apic_init_cpu();
	if (!deadline_mode)
		calibrate_timer();
}

// SPDX-License-Identifier: MIT
/*
 * apic_init.c - each CPU's local APIC into the mode of the boot CPU's, and how fast its timer counts.
 *
 * Context: interrupts off; hal_apic_init() on the boot CPU first.
 */
#include <hal/cpu.h>
#include <hal/irq.h>
#include "../apic.h"
#include "../tsc.h"

/* How fast does the timer count? 10 ms against the TSC, whose rate is known by now. */
static void calibrate_timer(void)
{
	uint64_t t0, t1;
	uint32_t left;

	apic_write(APIC_LVT_TIMER, LVT_MASKED | apic.timer_lvt);
	apic_write(APIC_TIMER_INIT, COUNT_MAX);
	t0 = hal_rdtsc();
	do {
		t1 = hal_rdtsc();
	} while (t1 - t0 < 10 * hal_tsc_khz());
	left = apic_read(APIC_TIMER_NOW);
	t1 = hal_rdtsc();
	apic_write(APIC_TIMER_INIT, 0);
	apic_write(APIC_LVT_TIMER, apic.timer_lvt);
	apic.count_khz = (uint64_t)(COUNT_MAX - left) * hal_tsc_khz() / (t1 - t0);
	if (!apic.count_khz)
		apic.count_khz = 1;
	/* Keep the count in 32 bits and the product in 64. */
	apic.delta_max_tsc = (COUNT_MAX - 1) / apic.count_khz * hal_tsc_khz();
	apic.delta_max_tsc = min_u64(apic.delta_max_tsc, UINT64_MAX / apic.count_khz);
	if (!apic.delta_max_tsc)
		apic.delta_max_tsc = hal_tsc_khz();
}

static void mask_lvts(void)
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

	if ((base & BASE_X2APIC) && !apic.x2) {
		base &= ~(BASE_ENABLE | BASE_X2APIC);
		hal_wrmsr(MSR_APIC_BASE, base);
	}
	if (!(base & BASE_ENABLE))
		hal_wrmsr(MSR_APIC_BASE, base | BASE_ENABLE);
	if (apic.x2 && !(base & BASE_X2APIC))
		hal_wrmsr(MSR_APIC_BASE, base | BASE_ENABLE | BASE_X2APIC);
}

void hal_apic_init_cpu(void)
{
	set_mode();
	mask_lvts();
	apic_write(APIC_TPR, 0);
	if (!apic.x2) {
		apic_write(APIC_DFR, 0xffffffff);	/* flat */
		apic_write(APIC_LDR, 0x01000000);
	}
	apic_write(APIC_SVR, SVR_ENABLE | HAL_VECTOR_SPURIOUS);
	apic_write(APIC_ESR, 0);
	if (apic.deadline_mode) {
		apic_write(APIC_LVT_TIMER, LVT_DEADLINE | apic.timer_lvt);
		hal_mfence();		/* between the LVT store and the first WRMSR (11.5.4.1) */
		hal_wrmsr(MSR_TSC_DEADLINE, 0);
		return;
	}
	apic_write(APIC_TIMER_DIV, TIMER_DIV_4);
	apic_write(APIC_LVT_TIMER, apic.timer_lvt);
}

void hal_apic_init(paddr_t lapic_pa, uint8_t timer_vector, bool want_x2)
{
	tsc_calibrate();
	apic.x2 = (hal_rdmsr(MSR_APIC_BASE) & BASE_X2APIC) || (want_x2 && hal_cpu()->x2apic);
	apic.regs = pa_to_va(lapic_pa);
	apic.timer_lvt = timer_vector;
	apic.deadline_mode = hal_cpu()->tsc_deadline;
	hal_apic_init_cpu();
	if (!apic.deadline_mode)
		calibrate_timer();
}

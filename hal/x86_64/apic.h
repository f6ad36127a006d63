/* SPDX-License-Identifier: MIT */
/*
 * apic.h - private to hal/x86_64: registers of the local APIC, and what is known of it.
 */
#ifndef HAL_APIC_H
#define HAL_APIC_H

#include <hal/cpu.h>

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

/* The boot CPU's finding, the same for all. */
struct apic {
	volatile char *regs;
	bool x2, deadline_mode;
	uint32_t timer_lvt;
	uint64_t count_khz;		/* timer counts per millisecond, after the divider */
	uint64_t delta_max_tsc;		/* longest wait that fits COUNT_MAX */
};
extern struct apic apic;

static inline uint32_t apic_read(uint32_t reg)
{
	if (apic.x2)
		return (uint32_t)hal_rdmsr(MSR_X2APIC + (reg >> 4));
	return hal_mmio_read32(apic.regs + reg);
}

static inline void apic_write(uint32_t reg, uint32_t v)
{
	if (apic.x2)
		hal_wrmsr(MSR_X2APIC + (reg >> 4), v);
	else
		hal_mmio_write32(apic.regs + reg, v);
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * hal/irq.h - local APIC, its timer, the time-stamp counter's rate, and the legacy PIC's silence.
 */
#ifndef HAL_IRQ_H
#define HAL_IRQ_H

#include <hal/types.h>

#define HAL_VECTOR_SPURIOUS	0xff

/* Move the two 8259s to vectors 0x20..0x2f and mask every line. */
void hal_pic_disable(void);

/*
 * Boot CPU: measure the TSC, enable the local APIC at lapic_pa with the spurious vector, everything in
 * its LVT masked but the timer, which gets timer_vector (off), and measure the timer. x2APIC if firmware chose
 * it, or if it is wanted and CPUID has it; then lapic_pa is ignored. Interrupts stay off. Takes about 30 ms.
 */
void hal_apic_init(paddr_t lapic_pa, uint8_t timer_vector, bool want_x2);

/* Each further CPU, after that: its local APIC the same way. */
void hal_apic_init_cpu(void);

bool hal_apic_is_x2(void);
uint32_t hal_apic_id(void);
void hal_apic_eoi(void);

/* Is the vector in service (ISR) in this CPU's local APIC? */
bool hal_apic_in_service(uint8_t vector);

/* Fixed-mode interrupt to one APIC id; vector >= 16. Waits (bounded) until it was accepted. */
void hal_apic_ipi(uint32_t apic_id, uint8_t vector);
void hal_apic_nmi(uint32_t apic_id);
void hal_apic_nmi_self(void);

void hal_apic_ipi_self(uint8_t vector);

/* INIT and start-up for another CPU; page is the real-mode start page (pa >> 12, below 1 MiB). */
void hal_apic_init_ipi(uint32_t apic_id);
void hal_apic_startup_ipi(uint32_t apic_id, uint8_t page);

/*
 * One timer interrupt when the TSC reaches deadline_tsc (at once if it has), replacing what was
 * armed before; 0 disarms. It may come early (the counter is 32 bits wide on CPUs without
 * TSC-deadline mode), so the handler compares with hal_rdtsc() and arms again.
 */
void hal_timer_arm_tsc(uint64_t deadline_tsc);

/* Ticks of the TSC per millisecond; valid after hal_apic_init(). */
uint64_t hal_tsc_khz(void);

/* Where the number came from: "hypervisor", "cpuid", "pit" or "guess". */
const char *hal_tsc_source(void);

/* Wait by polling the TSC; after hal_apic_init(). */
void hal_delay_us(uint64_t us);

#endif

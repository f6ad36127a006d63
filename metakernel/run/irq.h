/* SPDX-License-Identifier: MIT */
/*
 * irq.h - IOAPIC entries and physical interrupts.
 */
#ifndef METAKERNEL_RUN_IRQ_H
#define METAKERNEL_RUN_IRQ_H

#include "run/vcpu.h"

bool irq_init(void);		/* false: the serial port has no interrupt line */
void irq_handle(unsigned int vector);
int64_t irq_ioapic_read(const struct vcpu *v, uint64_t index, uint64_t reg);
int irq_ioapic_write(const struct vcpu *v, uint64_t index, uint64_t reg, uint64_t value);
bool irq_vector_ok(uint64_t vector);	/* one that a device may have */
void irq_release(unsigned int vector, uint32_t apic_id);	/* lines masked for it may interrupt again */
int irq_eoi(struct vcpu *v);
void irq_calm(void);		/* on a tick, when cpu.storm.until_tsc is over */
extern unsigned int irq_storm_limit;	/* written by tests only */
void irq_part_died(struct partition *p);

#endif

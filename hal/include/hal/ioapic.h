/* SPDX-License-Identifier: MIT */
/*
 * hal/ioapic.h - I/O APICs, numbered as the MADT lists them.
 */
#ifndef HAL_IOAPIC_H
#define HAL_IOAPIC_H

#include <hal/acpi.h>
#include <hal/types.h>

/* Registers; entry n is the pair IOAPIC_RTE(n) (low), + 1 (high: destination in bits 24..31). */
#define IOAPIC_ID	0x00
#define IOAPIC_VERSION	0x01
#define IOAPIC_RTE(n)	(0x10 + 2 * (n))
#define IOAPIC_REGS_MAX	0x100

/* Bits of the low half. */
#define RTE_VECTOR	0x000000ff
#define RTE_MODE	0x00000700	/* 0: fixed */
#define RTE_LOGICAL	0x00000800
#define RTE_LOW		0x00002000	/* polarity */
#define RTE_IRR		0x00004000	/* read-only */
#define RTE_LEVEL	0x00008000
#define RTE_MASKED	0x00010000

/* Remember where they are and mask every entry. info must outlive the calls below. */
void hal_ioapic_init(const struct acpi_info *info);

unsigned int hal_ioapic_count(void);
unsigned int hal_ioapic_entries(unsigned int index);	/* 0 if there is no such one */

/* index < hal_ioapic_count(), else 0 is read and nothing written. */
uint32_t hal_ioapic_read(unsigned int index, uint8_t reg);
void hal_ioapic_write(unsigned int index, uint8_t reg, uint32_t v);

/* Which IOAPIC entry has this global interrupt number? False if none has. */
bool hal_ioapic_find(uint32_t gsi, unsigned int *index, unsigned int *entry);

void hal_ioapic_mask(unsigned int index, unsigned int entry, bool masked);

/*
 * Send ISA interrupt irq to vector on one CPU, polarity and trigger as the MADT's overrides say,
 * unmasked. apic_id < 256. 0, or -ENOENT if no IOAPIC has the line.
 */
int __must_check hal_ioapic_route_isa(uint8_t irq, uint8_t vector, uint32_t apic_id);

#endif

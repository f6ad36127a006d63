// SPDX-License-Identifier: MIT
/*
 * irq.c - physical interrupts, and the IOAPIC entries of the partition that holds the devices.
 *
 * Every interrupt is EOIed here at once, so no in-service bit outlives the return to a partition. A
 * level-triggered line is masked first and unmasked at the partition's EOI (rule 25). The partition
 * writes entries by hypercall and reads back what it wrote; the hardware gets the checked version.
 *
 * Trusts: nothing of an entry: only fixed mode, vectors 0x20..0xef, this CPU.
 */
#include <hal/acpi.h>
#include <hal/cpu.h>
#include <hal/console.h>
#include <hal/ioapic.h>
#include <hal/irq.h>
#include "part/console.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/irq.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/log.h"
#include "lib/panic.h"

#define PINS_MAX	120
#define VECTOR_MIN	0x20
#define VECTOR_MAX	0xef
#define RTE_WRITABLE	(RTE_VECTOR | RTE_MODE | RTE_LOGICAL | RTE_LOW | RTE_LEVEL | RTE_MASKED)

struct line {
	uint32_t low, high;	/* as the partition wrote them */
	uint8_t held;		/* masked by us until the partition's EOI of this vector; 0: not */
	bool reserved;		/* the metakernel's own */
};

static struct line lines[ACPI_MAX_IOAPICS][PINS_MAX];
static struct partition *holder;	/* of the devices */
static uint64_t level_vectors[4];	/* vectors some unmasked level-triggered entry carries */

static struct line *line_of(uint64_t index, uint64_t reg, unsigned int *entry)
{
	if (index >= hal_ioapic_count() || reg < IOAPIC_RTE(0) || reg >= IOAPIC_REGS_MAX)
		return NULL;
	*entry = (unsigned int)(reg - IOAPIC_RTE(0)) / 2;
	if (*entry >= hal_ioapic_entries((unsigned int)index) || *entry >= PINS_MAX)
		return NULL;
	return &lines[index][*entry];
}

/* What the hardware may get: entries that are not acceptable stay masked. */
static uint32_t checked_low(const struct line *l)
{
	uint32_t vector = l->low & RTE_VECTOR, mode = (l->low & RTE_MODE) >> 8;
	bool ok = vector >= VECTOR_MIN && vector <= VECTOR_MAX && mode <= 1 &&
		  !(l->low & RTE_LOGICAL) && l->high >> 24 == this_cpu->apic_id;

	if (!ok || l->held)
		return vector | RTE_MASKED | (l->low & (RTE_LOW | RTE_LEVEL));
	return l->low & (RTE_VECTOR | RTE_LOW | RTE_LEVEL | RTE_MASKED);
}

static void line_apply(unsigned int index, unsigned int entry)
{
	struct line *l = &lines[index][entry];

	if (l->reserved)
		return;
	hal_ioapic_write(index, (uint8_t)IOAPIC_RTE(entry), RTE_MASKED);
	hal_ioapic_write(index, (uint8_t)(IOAPIC_RTE(entry) + 1), this_cpu->apic_id << 24);
	hal_ioapic_write(index, (uint8_t)IOAPIC_RTE(entry), checked_low(l));
}

static void level_vectors_update(void)
{
	unsigned int i, n;

	for (i = 0; i < 4; i++)
		level_vectors[i] = 0;
	for (i = 0; i < hal_ioapic_count(); i++)
		for (n = 0; n < hal_ioapic_entries(i) && n < PINS_MAX; n++) {
			uint32_t low = lines[i][n].low, vector = low & RTE_VECTOR;

			if ((low & RTE_LEVEL) && !(low & RTE_MASKED))
				level_vectors[vector >> 6] |= 1UL << (vector & 63);
		}
}

int64_t irq_ioapic_read(struct vcpu *v, uint64_t index, uint64_t reg)
{
	unsigned int entry;
	const struct line *l;

	(void)v;
	if (index >= hal_ioapic_count())
		return -KEEL_EINVAL;
	if (reg == IOAPIC_ID || reg == IOAPIC_VERSION || reg == 2)
		return hal_ioapic_read((unsigned int)index, (uint8_t)reg);
	l = line_of(index, reg, &entry);
	if (!l)
		return 0;
	if (reg & 1)
		return l->high;
	/* a held line is one whose handler has not finished: show it as the hardware's remote IRR */
	return l->low | (l->held ? RTE_IRR : 0);
}

int irq_ioapic_write(struct vcpu *v, uint64_t index, uint64_t reg, uint64_t value)
{
	unsigned int entry;
	struct line *l;

	(void)v;
	if (index >= hal_ioapic_count())
		return -KEEL_EINVAL;
	if (reg == IOAPIC_ID)
		return 0;
	l = line_of(index, reg, &entry);
	if (!l)
		return -KEEL_EINVAL;
	if (reg & 1)
		l->high = (uint32_t)value & 0xff000000;
	else
		l->low = (uint32_t)value & RTE_WRITABLE;
	if (!(l->low & RTE_LEVEL))
		l->held = 0;
	line_apply((unsigned int)index, entry);
	level_vectors_update();
	return 0;
}

/*
 * Mask every line that carries this level-triggered vector, or unmask those that were masked for it:
 * the partition may have given the line another vector meanwhile.
 */
static void hold(unsigned int vector, bool held)
{
	unsigned int i, n;

	for (i = 0; i < hal_ioapic_count(); i++)
		for (n = 0; n < hal_ioapic_entries(i) && n < PINS_MAX; n++) {
			struct line *l = &lines[i][n];

			if (held ? (l->low & (RTE_LEVEL | RTE_VECTOR)) != (RTE_LEVEL | vector) :
				   l->held != vector)
				continue;
			l->held = held ? (uint8_t)vector : 0;
			line_apply(i, n);
		}
}

int irq_eoi(struct vcpu *v)
{
	unsigned int vector = event_eoi(v);

	if (vector)
		hold(vector, false);
	return 0;
}

void irq_handle(unsigned int vector)
{
	if (vector == VEC_SPURIOUS)
		return;		/* has no in-service bit */
	if (vector == VEC_TIMER) {
		hal_apic_eoi();
		sched_tick();
		return;
	}
	if (vector == VEC_UART) {
		hal_apic_eoi();
		console_irq();
		return;
	}
	if (vector > VECTOR_MAX || vector < VECTOR_MIN || !holder ||
	    holder->vcpu.state == VCPU_OFF) {
		hal_apic_eoi();
		return;
	}
	if (level_vectors[vector >> 6] & (1UL << (vector & 63))) {
		hold(vector, true);
		event_hold(&holder->vcpu, vector);
	}
	hal_apic_eoi();
	event_vector(&holder->vcpu, vector);
}

void irq_part_died(struct partition *p)
{
	unsigned int i, n;

	if (p != holder)
		return;
	for (i = 0; i < hal_ioapic_count(); i++)
		for (n = 0; n < hal_ioapic_entries(i) && n < PINS_MAX; n++)
			if (!lines[i][n].reserved)
				hal_ioapic_mask(i, n, true);
}

bool irq_init(void)
{
	unsigned int i, index, entry;

	for (i = 0; i < nparts; i++)
		if (parts[i].man->devices)
			holder = &parts[i];
	for (i = 0; i < hal_ioapic_count(); i++)
		for (entry = 0; entry < PINS_MAX; entry++)
			lines[i][entry].low = RTE_MASKED;
	if (hal_ioapic_route_isa(HAL_CONSOLE_IRQ, VEC_UART, this_cpu->apic_id)) {
		log_printf("no interrupt line for the serial port: it is polled\n");
		return false;
	}
	if (hal_ioapic_find(HAL_CONSOLE_IRQ, &index, &entry))
		lines[index][entry].reserved = true;
	return true;
}

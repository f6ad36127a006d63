// SPDX-License-Identifier: MIT
/*
 * irq.c - physical interrupts, and the IOAPIC entries of the partition that holds the devices.
 *
 * Every interrupt is EOIed here at once, so no in-service bit outlives the return to a partition. A
 * level-triggered line is masked first and unmasked at the partition's EOI (rule 25). The partition
 * writes entries by hypercall and reads back what it wrote; the hardware gets the checked version.
 *
 * An interrupt that arrives on a CPU is for the vCPU that the holder of the devices has there.
 *
 * irq_storm_limit of one vector within STORM_MS are a storm, named once. A line is masked for CALM_MS, or until its
 * entry is written. A message has no mask within reach: for CALM_MS the CPU takes none of its class of vectors, or
 * of those below, and the APIC remembers one of each.
 *
 * Locks:  LOCK_IOAPIC: the lines, and the entries behind them.
 * Trusts: nothing of an entry: only fixed mode, vectors 0x20..0xef, a CPU of the holder's.
 */
#include <hal/acpi.h>
#include <hal/cpu.h>
#include <hal/console.h>
#include <hal/ioapic.h>
#include <hal/irq.h>
#include "part/console.h"
#include "part/device.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/irq.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"

#define PINS_MAX	120
#define VECTOR_MIN	0x20
#define VECTOR_MAX	0xef
#define STORM_MS	100
#define CALM_MS		1000
#define RTE_WRITABLE	(RTE_VECTOR | RTE_MODE | RTE_LOGICAL | RTE_LOW | RTE_LEVEL | RTE_MASKED)

struct line {
	uint32_t low, high;	/* as the partition wrote them */
	uint8_t held;		/* masked by us until the partition's EOI of this vector on its CPU; 0: not */
	uint8_t held_by;	/* APIC id of that CPU */
	uint8_t index, entry;	/* which IOAPIC, which of its lines */
	bool reserved;		/* the metakernel's own */
	bool stormy;		/* masked because it came too often */
};

static struct line lines[ACPI_MAX_IOAPICS * PINS_MAX];
static struct line *lines_end = lines;
static struct partition *holder;	/* of the devices */
static struct lock lines_lock = LOCK_INIT(LOCK_IOAPIC);
unsigned int irq_storm_limit = 10000;
static uint64_t level_vectors[4];	/* vectors some unmasked level-triggered entry carries */

bool irq_vector_ok(uint64_t vector)
{
	return vector >= VECTOR_MIN && vector <= VECTOR_MAX;
}

static struct line *line_of(uint64_t index, uint64_t reg)
{
	struct line *l;

	for (l = lines; l < lines_end; l++)
		if (l->index == index && IOAPIC_RTE((uint64_t)l->entry) == (reg & ~1UL))
			return l;
	return NULL;
}

/* Does the holder have a vCPU on the CPU with this APIC id? */
static bool destination_ok(uint32_t apic_id)
{
	const struct vcpu *v = holder ? part_vcpu(holder, apic_id) : NULL;

	return v && vcpu_on(v);
}

/* What the hardware may get: entries that are not acceptable stay masked. */
static uint32_t checked_low(const struct line *l)
{
	uint32_t vector = l->low & RTE_VECTOR, mode = (l->low & RTE_MODE) >> 8;
	bool ok = irq_vector_ok(vector) && mode <= 1 &&
		  !(l->low & RTE_LOGICAL) && destination_ok(l->high >> 24);

	if (!ok || l->held || l->stormy)
		return vector | RTE_MASKED | (l->low & (RTE_LOW | RTE_LEVEL));
	return l->low & (RTE_VECTOR | RTE_LOW | RTE_LEVEL | RTE_MASKED);
}

static void line_apply(const struct line *l)
{
	if (l->reserved)
		return;
	/* still level-triggered meanwhile: QEMU does not look at an edge-triggered line again that rises while masked */
	hal_ioapic_write(l->index, (uint8_t)IOAPIC_RTE(l->entry), RTE_MASKED | (l->low & RTE_LEVEL));
	hal_ioapic_write(l->index, (uint8_t)(IOAPIC_RTE(l->entry) + 1), l->high);
	hal_ioapic_write(l->index, (uint8_t)IOAPIC_RTE(l->entry), checked_low(l));
}

static void level_vectors_update(void)
{
	const struct line *l;

	memset(level_vectors, 0, sizeof(level_vectors));
	for (l = lines; l < lines_end; l++)
		if ((l->low & (RTE_LEVEL | RTE_MASKED)) == RTE_LEVEL)
			level_vectors[(l->low & RTE_VECTOR) >> 6] |= bit64(l->low & 63);
}

int64_t irq_ioapic_read(const struct vcpu *v, uint64_t index, uint64_t reg)
{
	const struct line *l;
	uint32_t value;

	if (!v->part->man->devices)
		return -KEEL_EPERM;
	if (index >= hal_ioapic_count())
		return -KEEL_EINVAL;
	if (reg == IOAPIC_ID || reg == IOAPIC_VERSION || reg == 2) {
		lock_take(&lines_lock);
		value = hal_ioapic_read((unsigned int)index, (uint8_t)reg);
		lock_release(&lines_lock);
		return value;
	}
	l = line_of(index, reg);
	if (!l)
		return 0;
	if (reg & 1)
		return l->high;
	/* a held line is one whose handler has not finished: show it as the hardware's remote IRR */
	return l->low | (l->held ? RTE_IRR : 0);
}

__cold int irq_ioapic_write(const struct vcpu *v, uint64_t index, uint64_t reg, uint64_t value)
{
	struct line *l;

	if (!v->part->man->devices)
		return -KEEL_EPERM;
	if (index >= hal_ioapic_count())
		return -KEEL_EINVAL;
	if (reg == IOAPIC_ID)
		return 0;
	l = line_of(index, reg);
	if (!l)
		return -KEEL_EINVAL;
	lock_take(&lines_lock);
	if (reg & 1) {
		l->high = (uint32_t)value & 0xff000000;
	} else {
		/* The old vector may wait on its CPU; its EOI will not find the entry, edge-triggered mode ends the request. */
		if ((l->low ^ value) & RTE_VECTOR && !l->reserved && hal_ioapic_read((unsigned int)index, (uint8_t)reg) & RTE_IRR)
			hal_ioapic_write((unsigned int)index, (uint8_t)reg, RTE_MASKED);
		l->low = (uint32_t)value & RTE_WRITABLE;
	}
	if (!(l->low & RTE_LEVEL) || (l->held && !destination_ok(l->held_by)))
		l->held = 0;	/* nobody will end it */
	l->stormy = false;
	line_apply(l);
	level_vectors_update();
	lock_release(&lines_lock);
	return 0;
}

static bool is_held_for(const struct line *l, unsigned int vector, uint32_t apic_id)
{
	return l->held == vector && l->held_by == apic_id;
}

static bool carries(const struct line *l, unsigned int vector, uint32_t apic_id)
{
	return (l->low & (RTE_LEVEL | RTE_VECTOR)) == (RTE_LEVEL | vector) && l->high >> 24 == apic_id;
}

/*
 * Mask every line that carries this level-triggered vector on a CPU, or unmask those that were masked for it:
 * the partition may have given the line another vector or CPU meanwhile. -> were there any?
 */
static bool hold(unsigned int vector, uint32_t apic_id, bool held)
{
	bool any = false;
	struct line *l;

	lock_take(&lines_lock);
	for (l = lines; l < lines_end; l++) {
		if (held ? !carries(l, vector, apic_id) : !is_held_for(l, vector, apic_id))
			continue;
		l->held = held ? (uint8_t)vector : 0;
		l->held_by = (uint8_t)apic_id;
		line_apply(l);
		any = true;
	}
	lock_release(&lines_lock);
	return any;
}

int irq_eoi(struct vcpu *v)
{
	unsigned int vector = event_eoi(v);

	if (vector)
		hold(vector, this_cpu->apic_id, false);
	return 0;
}

void irq_release(unsigned int vector, uint32_t apic_id)
{
	hold(vector, apic_id, false);
}

/* ---- Storms --------------------------------------------------------------------------------------- */

static __cold void name_storm(unsigned int vector, const char *fmt, unsigned int a, unsigned int b)
{
	static uint64_t named[4];

	if (!(__atomic_fetch_or(&named[vector >> 6], bit64(vector & 63), __ATOMIC_RELAXED) >> (vector & 63) & 1))
		log_printf(fmt, vector, a, b);
}

/* -> did a line of this CPU carry the vector? */
static __cold bool mask_lines(unsigned int vector)
{
	bool any = false;
	struct line *l;

	lock_take(&lines_lock);
	for (l = lines; l < lines_end; l++) {
		if ((l->low & (RTE_MASKED | RTE_VECTOR)) != vector || l->reserved || l->stormy ||
		    l->high >> 24 != this_cpu->apic_id)
			continue;
		l->stormy = any = true;
		line_apply(l);
		name_storm(vector, "vector %#x storms: line %u of IOAPIC %u masked for a second\n", l->entry, l->index);
	}
	lock_release(&lines_lock);
	return any;
}

/* So many have come: too fast? */
static __cold void weigh(struct storm *s, unsigned int vector)
{
	uint64_t now = hal_rdtsc();
	bool storms = now - s->since_tsc < hal_tsc_khz() * STORM_MS;

	memset(s->count, 0, sizeof(s->count));
	s->since_tsc = now;
	if (!storms)
		return;
	if (!mask_lines(vector)) {
		hal_write_cr8(max_u64(hal_read_cr8(), vector >> 4));
		name_storm(vector, "vector %#x storms by message: up to %#x all wait for a second\n", vector | 15, 0);
	}
	s->until_tsc = now + hal_tsc_khz() * CALM_MS;
	cpu_work(this_cpu, WORK_TIMER);
}

__cold void irq_calm(void)
{
	struct line *l;

	this_cpu->storm.until_tsc = 0;
	hal_write_cr8(0);
	lock_take(&lines_lock);
	for (l = lines; l < lines_end; l++)
		if (l->stormy) {
			l->stormy = false;
			line_apply(l);
		}
	lock_release(&lines_lock);
}

void irq_handle(unsigned int vector)
{
	struct vcpu *v;
	bool level;

	if (vector == VEC_SPURIOUS)
		return;		/* has no in-service bit */
	if (vector == VEC_WORK) {
		hal_apic_eoi();
		cpu_called();
		return;
	}
	if (vector == VEC_TIMER) {
		hal_apic_eoi();
		sched_tick();
		return;
	}
	if (vector == VEC_UART) {
		hal_apic_eoi();
		console_irq();
		if (console_poll_tsc())		/* it rests until then */
			cpu_work(this_cpu, WORK_TIMER);
		return;
	}
	v = this_cpu->device_vcpu;
	if (!irq_vector_ok(vector) || !v) {
		hal_apic_eoi();
		return;
	}
	if (++this_cpu->storm.count[vector] >= irq_storm_limit)
		weigh(&this_cpu->storm, vector);
	level = (level_vectors[vector >> 6] & (1UL << (vector & 63))) && hold(vector, this_cpu->apic_id, true);
	hal_apic_eoi();
	if (device_irq(vector))
		return;
	if (!vcpu_on(v))
		return;		/* a line of it stays masked until its entry is written anew */
	if (level)
		event_hold(v, vector);
	event_vector(v, vector);
}

void irq_part_died(struct partition *p)
{
	const struct line *l;

	if (p != holder)
		return;
	lock_take(&lines_lock);
	for (l = lines; l < lines_end; l++)
		if (!l->reserved)
			hal_ioapic_mask(l->index, l->entry, true);
	lock_release(&lines_lock);
}

__once bool irq_init(void)
{
	unsigned int i, index, entry;

	lines_end = lines;
	for (i = 0; i < nparts; i++)
		if (parts[i].man->devices)
			holder = &parts[i];
	for (i = 0; holder && i < holder->nvcpus; i++)
		cpus[holder->vcpu[i].cpu]->device_vcpu = &holder->vcpu[i];
	for (i = 0; i < hal_ioapic_count(); i++)
		for (entry = 0; entry < hal_ioapic_entries(i) && entry < PINS_MAX; entry++)
			*lines_end++ = (struct line) { .low = RTE_MASKED, .index = (uint8_t)i, .entry = (uint8_t)entry };
	if (hal_ioapic_route_isa(HAL_CONSOLE_IRQ, VEC_UART, this_cpu->apic_id)) {
		log_printf("no interrupt line for the serial port: it is polled\n");
		return false;
	}
	if (hal_ioapic_find(HAL_CONSOLE_IRQ, &index, &entry))
		line_of(index, IOAPIC_RTE(entry))->reserved = true;
	return true;
}

// SPDX-License-Identifier: MIT
/*
 * Property: a vector that comes faster than the limit is stopped within two windows, named once, and comes back: a
 * line after a second or when its entry is written, messages after a second. What comes more slowly, or by another
 * line, is never touched.
 * Failure looks like: the made-up IOAPIC or task priority here in a state the property does not allow.
 */
#include "unit.h"

#include <hal/cpu.h>
#include <hal/ioapic.h>
#include "run/cpu.h"

#define KHZ	1000000UL
#define MS	KHZ
#define LINE	0x51U
#define OTHER	0x52U
#define MESSAGE	0x61U

static struct cpu cpu;
static uint64_t ticks, cr8;

#undef this_cpu
#define this_cpu	(&cpu)
#define hal_rdtsc()	(ticks)
#define hal_read_cr8()	(cr8)
#define hal_write_cr8(v)	(cr8 = (v))
#include "metakernel/run/irq.c"

char *unit_arena;
size_t unit_arena_bytes;
bool lock_others;
struct partition parts[MAX_PARTS];
unsigned int nparts = 1;
struct cpu *cpus[MAX_CPUS];
static struct manifest_part man = { .devices = true };
static struct vcpu vcpu;
static uint32_t rte[24][2];
static unsigned int nlines, nevents, nedge;
static unsigned int lent, nothers;	/* a vector that others than the holder have, and how often it came */

void *unit_pa_to_va(paddr_t pa) { (void)pa; abort(); }
paddr_t unit_va_to_pa(const void *va) { (void)va; abort(); }
uint64_t hal_tsc_khz(void) { return KHZ; }
void hal_apic_eoi(void) { }
unsigned int hal_ioapic_count(void) { return 1; }
unsigned int hal_ioapic_entries(unsigned int i) { return i ? 0 : 24; }
bool hal_ioapic_find(uint32_t gsi, unsigned int *i, unsigned int *e) { *i = 0; *e = gsi; return true; }
int hal_ioapic_route_isa(uint8_t irq, uint8_t v, uint32_t id) { (void)irq, (void)v, (void)id; return 0; }
uint32_t hal_ioapic_read(unsigned int i, uint8_t reg) { (void)i; return rte[(reg - 0x10) / 2][reg & 1]; }
void hal_ioapic_write(unsigned int i, uint8_t reg, uint32_t v)
{
	uint32_t *r = &rte[(reg - 0x10) / 2][reg & 1];

	(void)i;
	if (reg & 1) {
		*r = v;
		return;
	}
	nedge += !(v & RTE_LEVEL) && reg == IOAPIC_RTE(11);
	*r = v | (v & RTE_LEVEL ? *r & RTE_IRR : 0);	/* the hardware's, which edge-triggered mode forgets */
}
void hal_ioapic_mask(unsigned int i, unsigned int e, bool m) { (void)i, (void)e, (void)m; abort(); }
struct vcpu *part_vcpu(const struct partition *p, uint64_t id) { (void)p; return id ? NULL : &vcpu; }
void sched_tick(void) { abort(); }
void console_irq(void) { abort(); }
uint64_t console_poll_tsc(void) { abort(); }
void cpu_called(void) { abort(); }
void cpu_work(struct cpu *c, uint32_t what) { assert_ptr_equal(c, &cpu); cpu.work |= what; }
bool device_irq(unsigned int vector) { nothers += vector == lent; return vector == lent; }
void event_hold(struct vcpu *v, unsigned int vector) { (void)v, (void)vector; }
void event_vector(struct vcpu *v, unsigned int vector) { (void)v, (void)vector; nevents++; }
unsigned int event_eoi(struct vcpu *v) { (void)v; return LINE; }
void log_printf(const char *fmt, ...) { (void)fmt; nlines++; }

static void write_line(unsigned int pin, uint32_t low)
{
	assert_int_equal(irq_ioapic_write(&vcpu, 0, (uint64_t)IOAPIC_RTE(pin) + 1, 0), 0);
	assert_int_equal(irq_ioapic_write(&vcpu, 0, (uint64_t)IOAPIC_RTE(pin), low), 0);
}

static bool masked(unsigned int pin)
{
	return rte[pin][0] & RTE_MASKED;
}

static int start(void **state)
{
	(void)state;
	memset(&cpu, 0, sizeof(cpu));
	cpus[0] = &cpu;
	parts[0].man = &man;
	parts[0].vcpu = &vcpu;
	parts[0].nvcpus = 1;
	vcpu.state = VCPU_RUNNING;
	vcpu.part = &parts[0];
	ticks += 1000000 * MS;
	cr8 = 0;
	assert_true(irq_init());
	write_line(11, LINE | RTE_LEVEL);
	write_line(12, OTHER);
	nlines = nevents = nothers = lent = 0;
	return 0;
}

/* n interrupts, so many ticks apart; a level-triggered one is ended. -> how many arrived */
static unsigned int come(unsigned int vector, unsigned int n, uint64_t apart)
{
	unsigned int before = nevents;

	for (unsigned int i = 0; i < n; i++) {
		ticks += apart;
		if ((vector == LINE && masked(11)) || vector >> 4 <= cr8)
			continue;
		irq_handle(vector);
		if (vector == LINE)
			irq_eoi(&vcpu);
	}
	return nevents - before;
}

static void the_line_is_masked_and_comes_back(void **state)
{
	(void)state;
	assert_in_range(come(LINE, 100000, MS / 200), irq_storm_limit, 2 * irq_storm_limit);
	assert_true(masked(11));
	assert_false(masked(12));
	assert_int_equal(cr8, 0);
	assert_int_equal(nlines, 1);
	assert_true(cpu.work & WORK_TIMER);	/* the tick that ends it is wanted */
	assert_in_range(cpu.storm.until_tsc, ticks - 1000 * MS, ticks + 1000 * MS);
	irq_calm();
	assert_false(masked(11));
	assert_int_equal(cpu.storm.until_tsc, 0);
	come(LINE, 100000, MS / 200);
	assert_true(masked(11));
	assert_int_equal(nlines, 1);		/* named once */
	write_line(11, LINE | RTE_LEVEL);
	assert_false(masked(11));
}

/* QEMU forgets that a line is up when it rises while the entry is masked and edge-triggered. */
static void a_level_triggered_line_never_is_something_else(void **state)
{
	(void)state;
	nedge = 0;
	come(LINE, 3, MS);
	write_line(11, LINE | RTE_LEVEL | RTE_MASKED);
	write_line(11, (LINE + 2) | RTE_LEVEL);
	assert_int_equal(nedge, 0);
}

/* As when a line goes to another CPU while its old vector waits on the first. */
static void a_new_vector_does_not_inherit_a_request(void **state)
{
	(void)state;
	rte[11][0] |= RTE_IRR;
	write_line(11, LINE | RTE_LEVEL | RTE_MASKED);
	assert_true(rte[11][0] & RTE_IRR);	/* its own EOI will come */
	write_line(11, (LINE + 2) | RTE_LEVEL);
	assert_int_equal(rte[11][0], (LINE + 2) | RTE_LEVEL);
}

static void what_is_slower_is_left_alone(void **state)
{
	(void)state;
	/* 99,000 a second, and two vectors of that rate at the same time */
	for (unsigned int i = 0; i < 300000; i++) {
		assert_int_equal(come(OTHER, 1, MS / 198), 1);
		assert_int_equal(come(LINE, 1, MS / 198), 1);
	}
	assert_int_equal(nlines, 0);
}

static void a_storm_beside_a_slow_vector_is_seen(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 100000 && !masked(11); i++) {
		come(LINE, 2, MS / 300);
		come(OTHER, 1, MS / 300);
	}
	assert_true(masked(11));
	assert_false(masked(12));
}

static void messages_wait_by_class(void **state)
{
	(void)state;
	assert_in_range(come(MESSAGE, 100000, MS / 200), irq_storm_limit, 2 * irq_storm_limit);
	assert_int_equal(cr8, MESSAGE >> 4);
	assert_int_equal(nlines, 1);
	assert_int_equal(come(0x7f, 1, 1), 1);
	irq_calm();
	assert_int_equal(cr8, 0);
	assert_int_equal(come(MESSAGE, 1, MS), 1);
}

/* Messages with the vector of a line: masking that one does not help, what comes next does. */
static void a_line_is_no_shelter_for_messages(void **state)
{
	(void)state;
	come(OTHER, 100000, MS / 200);
	assert_true(masked(12));
	assert_int_equal(cr8, OTHER >> 4);
}

/* A line that another partition was given: masked until that is done with it, whatever the holder says. */
static void what_others_have_does_not_come_to_the_holder(void **state)
{
	(void)state;
	lent = LINE;
	irq_handle(LINE);
	assert_int_equal(nothers, 1);
	assert_int_equal(nevents, 0);
	assert_true(masked(11));
	irq_release(LINE, 1);			/* of another CPU */
	irq_release(OTHER, 0);
	assert_true(masked(11));
	irq_release(LINE, 0);
	assert_false(masked(11));
	lent = 0;				/* taken back: the holder's again */
	assert_int_equal(come(LINE, 1, MS), 1);
	assert_false(masked(11));
}

/* Only who holds the devices has lines. */
static void others_have_no_lines(void **state)
{
	(void)state;
	man.devices = false;
	assert_int_equal(irq_ioapic_write(&vcpu, 0, IOAPIC_RTE(11), 0x33), -KEEL_EPERM);
	assert_int_equal(irq_ioapic_read(&vcpu, 0, IOAPIC_RTE(11)), -KEEL_EPERM);
	man.devices = true;
	assert_int_equal(irq_ioapic_read(&vcpu, 0, IOAPIC_RTE(11)), LINE | RTE_LEVEL);
	assert_int_equal(irq_ioapic_write(&vcpu, 0, IOAPIC_RTE(24), 0x33), -KEEL_EINVAL);
	assert_int_equal(irq_ioapic_write(&vcpu, 1, IOAPIC_RTE(0), 0x33), -KEEL_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_line_is_masked_and_comes_back, start),
		cmocka_unit_test_setup(a_level_triggered_line_never_is_something_else, start),
		cmocka_unit_test_setup(a_new_vector_does_not_inherit_a_request, start),
		cmocka_unit_test_setup(what_is_slower_is_left_alone, start),
		cmocka_unit_test_setup(a_storm_beside_a_slow_vector_is_seen, start),
		cmocka_unit_test_setup(messages_wait_by_class, start),
		cmocka_unit_test_setup(a_line_is_no_shelter_for_messages, start),
		cmocka_unit_test_setup(what_others_have_does_not_come_to_the_holder, start),
		cmocka_unit_test_setup(others_have_no_lines, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

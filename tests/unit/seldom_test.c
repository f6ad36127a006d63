// SPDX-License-Identifier: MIT
/*
 * Property: whatever a partition writes to its debug registers, the CPU's arm no address of the upper half, no
 * port and no GD; the CPU always has those of the vCPU that runs, or none; and DR6 shows only its own.
 * Failure looks like: a value in the made-up CPU here that the rules of DR7, written down from the manual, forbid.
 */
#include "unit.h"

#include <hal/cpu.h>
#include "run/cpu.h"

static struct cpu cpu;
static uint64_t dr[8], cr4;
static unsigned int nwrites;

#undef this_cpu
#define this_cpu	(&cpu)
#define hal_write_dr0(v)	(nwrites++, dr[0] = (v))
#define hal_write_dr1(v)	(nwrites++, dr[1] = (v))
#define hal_write_dr2(v)	(nwrites++, dr[2] = (v))
#define hal_write_dr3(v)	(nwrites++, dr[3] = (v))
#define hal_write_dr6(v)	(nwrites++, dr[6] = (v))
#define hal_write_dr7(v)	(nwrites++, dr[7] = (v))
#define hal_read_dr6()		(dr[6])
#define hal_read_cr4()		(cr4)
#define hal_write_cr4(v)	(nwrites++, cr4 = (v))
#include "metakernel/run/seldom.c"

char *unit_arena;
size_t unit_arena_bytes;
static struct partition part[2];
static struct vcpu vcpus[2];
static struct manifest_part man;
static unsigned int nlines;
static uint64_t seed = 1;

void *unit_pa_to_va(paddr_t pa) { (void)pa; abort(); }
paddr_t unit_va_to_pa(const void *va) { (void)va; abort(); }
static unsigned int nbarriers;
void vcpu_note_special(struct vcpu *v) { (void)v; }
void hal_switch_barrier(void) { nbarriers++; }
bool part_log_ok(struct partition *p) { (void)p; return true; }
void log_printf(const char *fmt, ...) { (void)fmt; nlines++; }

static struct vcpu *vcpu_of(unsigned int i)
{
	return &vcpus[i];
}

/* As vcpu_load() does it. */
static void switch_to(struct vcpu *v)
{
	if (v->seldom | cpu.seldom)
		seldom_load(v);
	cpu.current = v;
}

static int start(void **state)
{
	(void)state;
	memset(part, 0, sizeof(part));
	memset(vcpus, 0, sizeof(vcpus));
	memset(&cpu, 0, sizeof(cpu));
	for (unsigned int i = 0; i < 2; i++) {
		vcpu_of(i)->part = &part[i];
		part[i].man = &man;
	}
	memset(dr, 0, sizeof(dr));
	dr[6] = 0xffff0ff0;
	dr[7] = 0x400;
	cr4 = 0x300620;
	nlines = 0;
	switch_to(vcpu_of(0));
	nwrites = 0;
	return 0;
}

/* SDM vol. 3B, 18.2.4 and 18.2.5: what this DR7 would stop for. */
static void cpu_is_harmless(void)
{
	static const uint64_t bytes[] = { 1, 2, 8, 4 };

	assert_int_equal(dr[7] & 0xfffffffffc00UL & ~0xffff0400UL, 0);
	assert_int_equal(dr[7] >> 32, 0);
	assert_true(dr[7] & 0x400);
	for (unsigned int n = 0; n < 4; n++) {
		uint64_t kind = dr[7] >> (16 + 4 * n) & 3, length = bytes[dr[7] >> (18 + 4 * n) & 3];
		uint64_t first = dr[n] & ~(length - 1);

		if (!(dr[7] >> 2 * n & 3))
			continue;
		assert_true(first + length - 1 < 1UL << 47);
		assert_int_not_equal(kind, 2);
		assert_true(kind || length == 1);
	}
}

static uint64_t some_address(void)
{
	static const uint64_t odd[] = { 0, 0x7fffffffffff, 0x7ffffffffff8, 0x800000000000, 0xffff800000000000,
					0xffffffffffe00000, UINT64_MAX, 0x8000000000401000, 0x401000 };

	return unit_below(&seed, 2) ? odd[unit_below(&seed, NELEM(odd))] : unit_random(&seed);
}

static void nothing_arms_the_upper_half(void **state)
{
	unsigned int armed = 0;

	(void)state;
	for (unsigned int i = 0; i < 300000; i++) {
		unsigned int n = (unsigned int)unit_below(&seed, 8);
		uint64_t value = n < 4 ? some_address() : unit_random(&seed) & 0xffffffff;

		if (n >= 4 && unit_below(&seed, 2))
			value &= 0x33330355;	/* more that may be */
		assert_true(seldom_write_dr(cpu.current, n, value));
		cpu_is_harmless();
		armed += (dr[7] & 0xff) != 0;
		if (n < 4)
			assert_int_equal(seldom_read_dr(cpu.current, n), value);
		if (!unit_below(&seed, 8))
			switch_to(vcpu_of(cpu.current == vcpu_of(0)));
		cpu_is_harmless();
		assert_int_equal((uint32_t)cpu.seldom ? (uint32_t)cpu.seldom : 0x400, dr[7]);
	}
	assert_true(armed > 1000);
	assert_in_range(nlines, 1, 2);		/* once a vCPU */
}

static void what_does_not_fit_is_a_fault(void **state)
{
	(void)state;
	for (unsigned int n = 4; n < 8; n++)
		assert_false(seldom_write_dr(cpu.current, n, 1UL << 32));
	assert_int_equal(seldom_read_dr(cpu.current, 7), 0x400);
}

static void a_watchpoint_follows_its_vcpu(void **state)
{
	struct vcpu *a = vcpu_of(0), *b = vcpu_of(1);

	(void)state;
	assert_true(seldom_write_dr(a, 0, 0x401000));
	assert_true(seldom_write_dr(a, 7, 0x00010001));		/* DR0, writes of a byte */
	assert_int_equal(dr[0], 0x401000);
	assert_int_equal(dr[7], 0x00010401);
	switch_to(b);
	assert_int_equal(dr[7], 0x400);
	assert_true(seldom_write_dr(b, 0, 0x402000));
	assert_true(seldom_write_dr(b, 7, 0x00010001));
	switch_to(a);
	assert_int_equal(dr[0], 0x401000);
	assert_int_equal(dr[7], 0x00010401);
	assert_true(seldom_write_dr(a, 7, 0));
	assert_int_equal(dr[7], 0x400);
	assert_int_equal(seldom_read_dr(a, 0), 0x401000);
}

static void dr6_shows_what_is_armed(void **state)
{
	struct vcpu *a = vcpu_of(0);

	(void)state;
	assert_true(seldom_write_dr(a, 2, 0x401000));
	assert_true(seldom_write_dr(a, 7, 0x01000010));
	dr[6] = 0xffff4fff;		/* all four match, say, and a single step */
	seldom_hit(a);
	assert_int_equal(seldom_read_dr(a, 6), 0xffff4ff4);
	assert_int_equal(dr[6], 0xffff0ff0);
	assert_true(seldom_write_dr(a, 6, 0));
	assert_int_equal(seldom_read_dr(a, 6), 0xffff0ff0);
}

static void tsd_follows_its_vcpu(void **state)
{
	struct vcpu *a = vcpu_of(0), *b = vcpu_of(1);

	(void)state;
	seldom_set_tsd(a, true);
	assert_int_equal(cr4, 0x300624);
	switch_to(b);
	assert_int_equal(cr4, 0x300620);
	switch_to(a);
	assert_int_equal(cr4, 0x300624);
	assert_true(seldom_write_dr(a, 7, 0));	/* the one leaves the other alone */
	assert_int_equal(cr4, 0x300624);
	seldom_set_tsd(a, false);
	assert_int_equal(cr4, 0x300620);
}

static void who_uses_nothing_pays_nothing(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 10; i++)
		switch_to(vcpu_of(i & 1));
	assert_int_equal(nwrites, 0);
}

/* Rule 29: between two partitions, however often their vCPUs change or come again, and not within one. */
static void a_barrier_stands_between_partitions(void **state)
{
	static struct vcpu second;

	(void)state;
	second.part = &part[0];
	cpu.seldom = SELDOM_BARRIER;
	nbarriers = 0;
	switch_to(vcpu_of(0));
	assert_int_equal(nbarriers, 1);
	switch_to(&second);
	switch_to(vcpu_of(0));
	assert_int_equal(nbarriers, 1);
	seldom_set_tsd(vcpu_of(0), true);
	switch_to(vcpu_of(1));
	switch_to(&second);
	assert_int_equal(nbarriers, 3);
	assert_int_equal(nwrites, 2);		/* of CR4 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_arms_the_upper_half, start),
		cmocka_unit_test_setup(what_does_not_fit_is_a_fault, start),
		cmocka_unit_test_setup(a_watchpoint_follows_its_vcpu, start),
		cmocka_unit_test_setup(dr6_shows_what_is_armed, start),
		cmocka_unit_test_setup(tsd_follows_its_vcpu, start),
		cmocka_unit_test_setup(a_barrier_stands_between_partitions, start),
		cmocka_unit_test_setup(who_uses_nothing_pays_nothing, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * Property: no CPU's time is promised twice: of each at most 19 twentieths to those that stay on it, and of all together to
 * everybody; what does not fit, or is no budget, changes nothing, and what is given back may be promised again. Each
 * vCPU gets its ticks, whatever the numbers are.
 * Failure looks like: a budget too many or one too few, a sum that is not what it was, a number that has overflowed.
 */
#include "unit.h"

#include "metakernel/part/promise.c"

#define MS	1000000UL
#define NCPUS	4

unsigned int ncpus;
uint64_t spare_cpus;
static uint64_t khz;
static struct partition a, b;
static struct vcpu va[4], vb[4];
static unsigned int nset;
static uint64_t ticks, period;

uint64_t hal_tsc_khz(void) { return khz; }

void budget_set(struct vcpu *v, uint64_t t, uint64_t p)
{
	(void)v;
	nset++;
	ticks = t;
	period = p;
}

static int start(void **state)
{
	(void)state;
	memset(promised, 0, sizeof(promised));
	promised_all = 0;
	memset(va, 0, sizeof(va));
	memset(vb, 0, sizeof(vb));
	a = (struct partition) { .vcpu = va, .nvcpus = 1 };
	b = (struct partition) { .vcpu = vb, .nvcpus = 1 };
	ncpus = NCPUS;
	spare_cpus = 0;
	khz = 1000000;
	nset = 0;
	return 0;
}

static void pin(struct vcpu *v, unsigned int cpu)
{
	v->pinned = true;
	v->cpu = cpu;
}

static void what_is_no_budget_is_refused(void **state)
{
	static const struct { uint64_t budget, period; } wrong[] = {
		{ 0, MS }, { MS, 0 }, { KEEL_MIN_BUDGET_NS - 1, MS }, { 2 * MS, MS }, { KEEL_MIN_BUDGET_NS, KEEL_MIN_PERIOD_NS - 1 },
		{ MS, KEEL_MAX_PERIOD_NS + 1 }, { UINT64_MAX, UINT64_MAX }, { UINT64_MAX, MS }, { MS, UINT64_MAX },
		{ 1UL << 63, 1UL << 63 }, { 1UL << 44, 1UL << 44 },
	};

	(void)state;
	assert_int_equal(promise(&a, MS, 10 * MS), 0);
	for (size_t i = 0; i < NELEM(wrong); i++)
		assert_int_equal(promise(&a, wrong[i].budget, wrong[i].period), -KEEL_EINVAL);
	assert_int_equal(a.budget_ns, MS);
	assert_int_equal(a.period_ns, 10 * MS);
	assert_int_equal(nset, 1);
}

static void ticks_are_right_for_the_least_and_the_largest(void **state)
{
	static const uint64_t rates[] = { 1000, 999999, 2799998, 16777215 };
	static const struct { uint64_t budget, period; } sizes[] = {
		{ KEEL_MIN_BUDGET_NS, KEEL_MIN_PERIOD_NS }, { 200001, 999999 }, { KEEL_MAX_PERIOD_NS * 9 / 10, KEEL_MAX_PERIOD_NS },
	};

	(void)state;
	for (size_t i = 0; i < NELEM(rates); i++) {
		for (size_t k = 0; k < NELEM(sizes); k++) {
			khz = rates[i];
			assert_int_equal(promise(&a, sizes[k].budget, sizes[k].period), 0);
			assert_int_equal(ticks, (uint64_t)((unsigned __int128)sizes[k].budget * khz / 1000000));
			assert_int_equal(period, (uint64_t)((unsigned __int128)sizes[k].period * khz / 1000000));
		}
	}
}

static void a_cpu_is_promised_once(void **state)
{
	(void)state;
	pin(&va[0], 2);
	pin(&vb[0], 2);
	assert_int_equal(promise(&a, 90 * MS, 100 * MS), 0);
	assert_int_equal(promise(&b, 6 * MS, 100 * MS), -KEEL_ENOSPC);
	assert_int_equal(b.period_ns, 0);
	assert_int_equal(nset, 1);
	assert_int_equal(promise(&b, 49 * MS, 1000 * MS), 0);	/* 94.9 % */
	assert_int_equal(promise(&a, 96 * MS, 100 * MS), -KEEL_ENOSPC);
	assert_int_equal(a.budget_ns, 90 * MS);
	assert_int_equal(promise(&a, 40 * MS, 100 * MS), 0);		/* less, and the rest is another's */
	assert_int_equal(promise(&b, 54 * MS, 100 * MS), 0);
	assert_int_equal(promise(&b, 0, 0), 0);
	assert_int_equal(ticks, 0);
	assert_int_equal(promise(&a, 94 * MS, 100 * MS), 0);
	pin(&vb[0], 3);						/* and there is another CPU */
	assert_int_equal(promise(&b, 94 * MS, 100 * MS), 0);
}

/* All that are made again and again, with odd numbers: nothing is left over. */
static void a_sum_is_what_it_was(void **state)
{
	(void)state;
	pin(&va[0], 1);
	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(promise(&a, 3 * MS + 7 * i, 7 * MS + 11 * i), 0);
		assert_int_equal(promise(&a, 7 * MS, 7 * MS), -KEEL_ENOSPC);
		assert_int_equal(promise(&a, 0, 0), 0);
		assert_int_equal(promised[1], 0);
		assert_int_equal(promised_all, 0);
	}
}

/* 4 CPUs have 3.8: two that move, of two vCPUs each, and one that stays. A CPU that nothing runs on has nothing. */
static void those_that_move_have_all_cpus_together(void **state)
{
	(void)state;
	a.nvcpus = b.nvcpus = 2;
	assert_int_equal(promise(&a, 96 * MS, 100 * MS), -KEEL_ENOSPC);	/* nobody has all of one */
	assert_int_equal(promise(&a, 94 * MS, 100 * MS), 0);
	assert_int_equal(promise(&b, 94 * MS, 100 * MS), 0);		/* 3.76 */
	assert_int_equal(promise(&b, 0, 0), 0);
	spare_cpus = 0x6;
	assert_int_equal(promise(&b, 1 * MS, 100 * MS), 0);		/* 1.9 of 1.9 */
	assert_int_equal(promise(&b, 2 * MS, 100 * MS), -KEEL_ENOSPC);
	assert_int_equal(nset, 2 + 2 + 2 + 2);
}

/* vCPUs of one that stays may share a CPU: they count there together. */
static void two_of_one_on_the_same_cpu(void **state)
{
	(void)state;
	a.nvcpus = 3;
	pin(&va[0], 0);
	pin(&va[1], 1);
	pin(&va[2], 0);
	assert_int_equal(promise(&a, 48 * MS, 100 * MS), -KEEL_ENOSPC);
	assert_int_equal(promised[0], 0);
	assert_int_equal(promised[1], 0);
	assert_int_equal(promise(&a, 47 * MS, 100 * MS), 0);
	assert_int_equal(nset, 3);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, start)
	const struct CMUnitTest tests[] = {
		T(what_is_no_budget_is_refused),
		T(ticks_are_right_for_the_least_and_the_largest),
		T(a_cpu_is_promised_once),
		T(a_sum_is_what_it_was),
		T(those_that_move_have_all_cpus_together),
		T(two_of_one_on_the_same_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

// SPDX-License-Identifier: MIT
/*
 * Property: what CPUID offers between partitions (rule 29) and says about threads of a core is read as the manuals
 * have it, for both makers.
 * Failure looks like: a barrier on a CPU that does not offer it (a fault in ring 0), or none where it is offered.
 */
#include "unit.h"

#include <hal/cpu.h>

static struct hal_cpuid made_up(uint32_t leaf, uint32_t sub);
#define hal_cpuid(leaf, sub)	made_up(leaf, sub)
#include "hal/x86_64/boot/cpu.c"

enum { EAX, EBX, ECX, EDX };

static struct leaf {
	uint32_t leaf, r[4];
} leaves[8];
static unsigned int nleaves;

void hal_console_puts(const char *s) { (void)s; abort(); }
void hal_exit(uint8_t status) { (void)status; abort(); }

static struct hal_cpuid made_up(uint32_t leaf, uint32_t sub)
{
	for (unsigned int i = 0; i < nleaves && !sub; i++)
		if (leaves[i].leaf == leaf)
			return (struct hal_cpuid) { leaves[i].r[EAX], leaves[i].r[EBX], leaves[i].r[ECX], leaves[i].r[EDX] };
	return (struct hal_cpuid) { 0, 0, 0, 0 };
}

static uint32_t *leaf(uint32_t number)
{
	assert_true(nleaves < NELEM(leaves));
	leaves[nleaves].leaf = number;
	return leaves[nleaves++].r;
}

static void maker(const char *name)
{
	uint32_t *r;

	memset(leaves, 0, sizeof(leaves));
	nleaves = 0;
	r = leaf(0);
	r[EAX] = 0x1f;
	memcpy(&r[EBX], name, 4);
	memcpy(&r[EDX], name + 4, 4);
	memcpy(&r[ECX], name + 8, 4);
	leaf(0x80000000)[EAX] = 0x80000020;
}

static struct hal_cpu read_it(void)
{
	struct hal_cpu c;

	memset(&c, 0, sizeof(c));
	hal_cpu_read(&c);
	return c;
}

static void nothing_offered_nothing_done(void **state)
{
	(void)state;
	maker("GenuineIntel");
	assert_false(read_it().barrier);
	maker("AuthenticAMD");
	assert_false(read_it().barrier);
}

static void intels_bits(void **state)
{
	struct hal_cpu c;

	(void)state;
	maker("GenuineIntel");
	leaf(7)[EDX] = 1U << 26;
	leaf(0x80000008)[EBX] = 1U << 30 | 1U << 12;	/* AMD's, reserved here */
	c = read_it();
	assert_true(c.ibpb && c.barrier && !c.ibpb_rsb && !c.md_clear);
	maker("GenuineIntel");
	leaf(7)[EDX] = 1U << 10;
	c = read_it();
	assert_true(c.md_clear && c.barrier && !c.ibpb);
}

static void amds_bits(void **state)
{
	struct hal_cpu c;

	(void)state;
	maker("AuthenticAMD");
	leaf(0x80000008)[EBX] = 1U << 12;
	c = read_it();
	assert_true(c.ibpb && c.barrier && !c.ibpb_rsb && !c.md_clear);
	maker("AuthenticAMD");
	leaf(0x80000008)[EBX] = 1U << 12 | 1U << 30;
	assert_true(read_it().ibpb_rsb);
}

static void threads_of_a_core(void **state)
{
	uint32_t *r;

	(void)state;
	maker("GenuineIntel");
	r = leaf(0xb);
	r[EAX] = 1;
	r[EBX] = 2;
	r[ECX] = 1 << 8;
	hal_cpu_info = read_it();
	assert_int_equal(hal_cpu_core(6), hal_cpu_core(7));
	assert_int_not_equal(hal_cpu_core(7), hal_cpu_core(8));
	r[EAX] = 0;		/* one thread a core */
	hal_cpu_info = read_it();
	assert_int_not_equal(hal_cpu_core(6), hal_cpu_core(7));
	maker("AuthenticAMD");
	leaf(0x80000001)[ECX] = 1U << 22;
	leaf(0x8000001e)[EBX] = 1 << 8;		/* two */
	hal_cpu_info = read_it();
	assert_int_equal(hal_cpu_core(6), hal_cpu_core(7));
	assert_int_not_equal(hal_cpu_core(7), hal_cpu_core(8));
	maker("AuthenticAMD");			/* says nothing: each its own */
	hal_cpu_info = read_it();
	assert_int_not_equal(hal_cpu_core(6), hal_cpu_core(7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_offered_nothing_done),
		cmocka_unit_test(intels_bits),
		cmocka_unit_test(amds_bits),
		cmocka_unit_test(threads_of_a_core),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

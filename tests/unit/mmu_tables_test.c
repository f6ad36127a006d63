// SPDX-License-Identifier: MIT
/*
 * Property: firmware tables can be read by the partition with the devices and never written, by whatever
 * way a shadow entry comes to be.
 * Failure looks like: a shadow leaf on such a frame with the right to write.
 */
#include "machine.h"

#define VA	0x400000UL

static int start(void **state)
{
	(void)state;
	machine_start(64, true);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	machine_stop();
	return 0;
}

static paddr_t pgd(void)
{
	return vcpu->cr3 & PTE_ADDR;
}

static void map_all(uint64_t flags)
{
	for (unsigned int i = 0; i < 512; i++)
		*guest_pte(pgd(), VA + i * 0x1000UL, 0) = (TABLES + i * 0x1000UL) | flags;
}

static void require_read_only(void)
{
	for (unsigned int i = 0; i < 512; i++) {
		struct view w = shadow_view(VA + i * 0x1000UL);

		assert_false(w.present && w.write);
	}
}

static void reads_fill_and_writes_are_forbidden(void **state)
{
	uint64_t error;

	(void)state;
	map_all(URW | PTE_A | PTE_D);
	assert_int_equal(cpu_access(VA + 0x3000, 0, &error), MMU_FILLED);
	assert_int_equal(shadow_view(VA + 0x3000).pa, TABLES + 0x3000);
	require_read_only();		/* nor are the neighbours that came along */
	assert_int_equal(cpu_access(VA + 0x3000, PF_W, &error), MMU_FORBIDDEN);
	assert_int_equal(cpu_access(VA + 0x23000, PF_W, &error), MMU_FORBIDDEN);
	assert_int_equal(mmu_fill_hint(vcpu, VA + 0x30000, PF_W), -KEEL_EFAULT);
	assert_int_equal(mmu_fill_hint(vcpu, VA + 0x30000, 0), 0);
	require_read_only();
}

static void a_flush_does_not_give_the_right_back(void **state)
{
	uint64_t error;

	(void)state;
	map_all(URW | PTE_A);
	assert_int_equal(cpu_access(VA + 0x3000, 0, &error), MMU_FILLED);
	map_all(URW | PTE_A | PTE_D);	/* re-read, as a flush of the user half does */
	mmu_load_cr3(vcpu, vcpu->cr3);
	require_read_only();
	mmu_flush_range(vcpu, VA, 512);
	require_read_only();
	assert_int_equal(cpu_access(VA + 0x3000, PF_W, &error), MMU_FORBIDDEN);
}

static void large_pages_are_split(void **state)
{
	uint64_t error;

	(void)state;
	*guest_pte(pgd(), VA, 1) = TABLES | URW | PTE_A | PTE_D | PTE_PS;
	assert_int_equal(cpu_access(VA + 0x3000, 0, &error), MMU_FILLED);
	assert_int_equal(shadow_view(VA + 0x3000).level, 0);
	require_read_only();
	assert_int_equal(cpu_access(VA + 0x3000, PF_W, &error), MMU_FORBIDDEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_fill_and_writes_are_forbidden, start, stop),
		cmocka_unit_test_setup_teardown(a_flush_does_not_give_the_right_back, start, stop),
		cmocka_unit_test_setup_teardown(large_pages_are_split, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

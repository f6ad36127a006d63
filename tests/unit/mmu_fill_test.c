// SPDX-License-Identifier: MIT
/*
 * Property: after a fill that succeeds, the page is what the partition's tables now say, whatever was
 * loaded for it before: Linux counts on that and leaves the flush out (mprotect, copy-on-write).
 * Failure looks like: a shadow entry with the old frame or the old rights.
 */
#include "machine.h"

#define VA	0x600000UL
#define OLD	(OWN + 0x2000000)
#define NEW	(OWN + 0x2600000)

static int start(void **state)
{
	(void)state;
	machine_start(64, true);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	check_shadow();
	machine_stop();
	return 0;
}

static void map(vaddr_t va, uint64_t entry)
{
	*guest_pte(vcpu->cr3 & PTE_ADDR, va, 0) = entry;
}

static void require(vaddr_t va, paddr_t pa, bool write)
{
	struct view w = shadow_view(va);

	assert_true(w.present);
	assert_int_equal(w.pa, pa);
	assert_int_equal(w.write, write);
}

/* The way to the table is remembered, or (elsewhere in between) it is not. */
static void replace(bool remembered)
{
	map(VA, OLD | URW);
	map(VA + 0x40000000, OLD | URW);
	assert_int_equal(mmu_fill_hint(vcpu, VA, PF_W), 0);
	require(VA, OLD, true);
	if (!remembered)
		assert_int_equal(mmu_fill_hint(vcpu, VA + 0x40000000, 0), 0);
	map(VA, NEW | URW | PTE_A | PTE_D);		/* copied */
	assert_int_equal(mmu_fill_hint(vcpu, VA, PF_W), 0);
	require(VA, NEW, true);
	if (!remembered)
		assert_int_equal(mmu_fill_hint(vcpu, VA + 0x40000000, 0), 0);
	map(VA, NEW | PTE_P | PTE_U | PTE_A | PTE_D);	/* made read-only */
	assert_int_equal(mmu_fill_hint(vcpu, VA, 0), 0);
	require(VA, NEW, false);
	assert_int_equal(mmu_fill_hint(vcpu, VA, PF_W), -KEEL_EFAULT);
}

static void a_fill_replaces_what_was_loaded(void **state)
{
	(void)state;
	replace(true);
	replace(false);
}

/* A read of a page that may be written but is not dirty must not leave an older right to write. */
static void a_fill_for_reading_takes_the_right_to_write_of_a_clean_page(void **state)
{
	(void)state;
	map(VA, OLD | URW | PTE_A | PTE_D);
	assert_int_equal(mmu_fill_hint(vcpu, VA, PF_W), 0);
	map(VA, OLD | URW | PTE_A);			/* cleaned by write-back */
	assert_int_equal(mmu_fill_hint(vcpu, VA, 0), 0);
	require(VA, OLD, false);
	assert_false(*guest_pte(vcpu->cr3 & PTE_ADDR, VA, 0) & PTE_D);
}

/* The large page of before, whole or in pieces, does not show at the small page filled since. */
static void a_fill_replaces_a_large_page(void **state)
{
	(void)state;
	*guest_pte(vcpu->cr3 & PTE_ADDR, VA, 1) = OLD | URW | PTE_A | PTE_D | PTE_PS;
	assert_int_equal(mmu_fill_hint(vcpu, VA + 0x3000, PF_W), 0);
	require(VA + 0x3000, OLD + 0x3000, true);
	*guest_pte(vcpu->cr3 & PTE_ADDR, VA, 1) = 0;
	map(VA + 0x3000, NEW | URW | PTE_A | PTE_D);
	assert_int_equal(mmu_fill_hint(vcpu, VA + 0x3000, PF_W), 0);
	require(VA + 0x3000, NEW, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_fill_replaces_what_was_loaded, start, stop),
		cmocka_unit_test_setup_teardown(a_fill_for_reading_takes_the_right_to_write_of_a_clean_page, start, stop),
		cmocka_unit_test_setup_teardown(a_fill_replaces_a_large_page, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * Property: a note of another vCPU (shootdown.h) takes from the shadow what it names, in every root it concerns,
 * loaded or not, and nothing of roots that were filled from other tables.
 * Failure looks like: a leaf that is there and should not be, or the other way round, or tables check_shadow()
 * objects to.
 */
#include "mmu.h"

#define LOW	0x400000UL
#define HIGH	0xffff888000000000UL
#define PCIDS	6

static paddr_t other;

/* PCIDs 0..2 have the loaded table, 3..5 another one; all are filled at LOW, LOW + 4 KiB and HIGH. PCID 5 is loaded last. */
static int start(void **state)
{
	paddr_t table;

	mmu_start(state);
	table = pgd();
	other = table_new();
	for (unsigned int i = 0; i < 2; i++) {
		*guest_pte(table, LOW + i * 0x1000, 0) = (OWN + 0x2000000) | URW | PTE_A | PTE_D;
		*guest_pte(other, LOW + i * 0x1000, 0) = (OWN + 0x2001000) | URW | PTE_A | PTE_D;
	}
	*guest_pte(table, HIGH, 0) = (OWN + 0x2002000) | PTE_P | PTE_W | PTE_A | PTE_D;
	memcpy(pte_at(other, 256), pte_at(table, 256), 256 * 8);
	for (uint64_t pcid = 0; pcid < PCIDS; pcid++) {
		mmu_load_cr3(vcpu, (pcid < 3 ? table : other) | pcid);
		for (unsigned int i = 0; i < 2; i++)
			assert_int_equal(cpu_access(LOW + i * 0x1000, PF_U, NULL), MMU_FILLED);
		cpu_access(HIGH, 0, NULL);
	}
	return 0;
}

/* The user half of a root as it was left. */
static bool filled(uint64_t pcid, vaddr_t va)
{
	uint64_t now = vcpu->cr3 | NOFLUSH;
	bool present;

	mmu_load_cr3(vcpu, vcpu->root[pcid].pgd | pcid | NOFLUSH);
	present = shadow_view(va).present;
	mmu_load_cr3(vcpu, now);
	return present;
}

static paddr_t first(void)
{
	return vcpu->root[0].pgd;
}

static void a_range_goes_from_every_root_of_its_table(void **state)
{
	(void)state;
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_RANGE, .pgd = first(), .va = LOW, .npages = 1 });
	check_shadow();
	for (uint64_t pcid = 0; pcid < PCIDS; pcid++) {
		assert_int_equal(filled(pcid, LOW), pcid >= 3);
		assert_true(filled(pcid, LOW + 0x1000));
		assert_true(filled(pcid, HIGH));
	}
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_RANGE, .pgd = other, .va = LOW, .npages = 2 });
	check_shadow();
	for (uint64_t pcid = 3; pcid < PCIDS; pcid++)
		assert_false(filled(pcid, LOW) || filled(pcid, LOW + 0x1000));
	assert_true(filled(0, LOW + 0x1000));
}

/* Whose table it was that changed is no matter in the half that all share. */
static void a_range_of_the_kernel_goes_whatever_the_table(void **state)
{
	(void)state;
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_RANGE, .pgd = OWN + 0x3000000, .va = HIGH, .npages = 1 });
	for (uint64_t pcid = 0; pcid < PCIDS; pcid++) {
		assert_false(filled(pcid, HIGH));
		assert_true(filled(pcid, LOW));
	}
	check_shadow();
}

/* What still stands in the tables may stay where they are loaded; what does not has to go, everywhere. */
static void a_user_half_goes_from_every_root_of_its_table(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		*guest_pte(first(), LOW + i * 0x1000, 0) = 0;
		*guest_pte(other, LOW + i * 0x1000, 0) = 0;
	}
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_USER, .pgd = first() });
	check_shadow();
	for (uint64_t pcid = 0; pcid < PCIDS; pcid++) {
		assert_int_equal(filled(pcid, LOW), pcid >= 3);
		assert_true(filled(pcid, HIGH));
	}
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_USER, .pgd = other });	/* one of them is loaded */
	check_shadow();
	for (uint64_t pcid = 3; pcid < PCIDS; pcid++)
		assert_false(filled(pcid, LOW));
}

static void all_is_all(void **state)
{
	(void)state;
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_ALL });
	check_shadow();
	assert_int_equal(machine_used(), BASE_USED);
	for (uint64_t pcid = 0; pcid < PCIDS; pcid++)
		assert_false(filled(pcid, LOW) || filled(pcid, HIGH));
}

/* Tables nobody has loaded, roots that were never built, addresses that are none or the metakernel's. */
static void what_concerns_nothing_changes_nothing(void **state)
{
	static const vaddr_t odd[] = { 0x0000800000000000, 0x7ffffffff000, KEEL_HOLE_BASE, 0xfffffffffffff000, 0xffff000000000000,
				       0x0000ffffffe00000 };

	(void)state;
	for (size_t i = 0; i < NELEM(odd); i++)
		for (unsigned int n = 0; n < 3; n++)
			mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_RANGE, .pgd = n == 2 ? 0 : n ? other : first(),
							   .va = odd[i], .npages = 512 });
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_USER, .pgd = OWN + 0x3000000 });
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_USER, .pgd = 0 });
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_RANGE, .pgd = OWN + 0x3000000, .va = LOW, .npages = 512 });
	mmu_forget(vcpu, &(struct shoot) { .what = SHOOT_RANGE, .pgd = first(), .va = LOW, .npages = 0 });
	check_shadow();
	for (uint64_t pcid = 0; pcid < PCIDS; pcid++)
		assert_true(filled(pcid, LOW) && filled(pcid, LOW + 0x1000) && filled(pcid, HIGH));
}

/* The way to the last leaf table (pool.last) is no way round a note. */
static void the_next_fill_walks_anew(void **state)
{
	(void)state;
	for (unsigned int what = SHOOT_RANGE; what <= SHOOT_ALL; what++) {
		vaddr_t va = LOW + 0x2000 + what * 0x1000;
		paddr_t table = vcpu->cr3 & PTE_ADDR;

		*guest_pte(table, va, 0) = (OWN + 0x2003000) | URW | PTE_A | PTE_D;
		mmu_flush_range(vcpu, LOW, 1);
		assert_int_equal(cpu_access(LOW, PF_U, NULL), MMU_FILLED);
		*guest_pte(table, va, 1) = 0;		/* the leaf table is no table any more */
		mmu_forget(vcpu, &(struct shoot) { .what = what, .pgd = table, .va = va, .npages = 1 });
		assert_int_equal(cpu_access(va, PF_U, NULL), MMU_GUEST);
		assert_false(shadow_view(va).present);
		for (unsigned int i = 0; i < 2; i++)
			*guest_pte(table, LOW + i * 0x1000, 0) = (OWN + 0x2001000) | URW | PTE_A | PTE_D;
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, mmu_stop)
	const struct CMUnitTest tests[] = {
		T(a_range_goes_from_every_root_of_its_table),
		T(a_range_of_the_kernel_goes_whatever_the_table),
		T(a_user_half_goes_from_every_root_of_its_table),
		T(all_is_all),
		T(what_concerns_nothing_changes_nothing),
		T(the_next_fill_walks_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

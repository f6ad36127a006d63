// SPDX-License-Identifier: MIT
/*
 * Property: after a flush the CPU can do nothing any more that the partition's tables have not allowed since;
 * and no flush looks at more than a bounded number of entries, whatever the pool's size (I5).
 * Failure looks like: a leaf that should be gone, a table check_shadow() objects to, a page of the pool
 * lost, or a sanitizer report.
 */
#include "mmu.h"

/* ---- Flushing ------------------------------------------------------------------------------------------ */

static void ranges_flush_their_pages_and_no_others(void **state)
{
	static const vaddr_t bases[] = { 0x400000, 0x7fffffe00000, 0xffff888000000000, 0xffffffff81000000,
					 0xffffffffffc00000 };

	(void)state;
	for (size_t b = 0; b < NELEM(bases); b++)
		for (unsigned int first = 0; first < 40; first += 13)
			for (unsigned int n = 0; n <= 64; n += 16) {
				for (unsigned int i = 0; i < 128; i++) {
					map(bases[b] + i * 0x1000, (OWN + 0x2000000) | URW | PTE_A | PTE_D);
					assert_int_equal(cpu_access(bases[b] + i * 0x1000, 0, NULL), MMU_FILLED);
				}
				mmu_flush_range(vcpu, bases[b] + first * 0x1000, n);
				for (unsigned int i = 0; i < 128; i++)
					assert_int_equal(shadow_view(bases[b] + i * 0x1000).present,
							 i < first || i >= first + n);
			}
	mmu_flush_range(vcpu, 0, UINT64_MAX);		/* more than 512: everything */
	assert_int_equal(machine_used(), BASE_USED);
}

/* Upper half: every PCID. Lower half: only the current one, as INVLPG does. */
static void upper_half_is_flushed_in_all_roots(void **state)
{
	paddr_t table = pgd();

	(void)state;
	map(0x400000, (OWN + 0x2000000) | URW);
	map(0xffff888000000000, (OWN + 0x2000000) | PTE_P | PTE_W);
	for (uint64_t pcid = 0; pcid < 7; pcid++) {
		mmu_load_cr3(vcpu, table | pcid);
		assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_FILLED);
		assert_int_equal(cpu_access(0xffff888000000000, 0, NULL), MMU_FILLED);
	}
	mmu_flush_range(vcpu, 0xffff888000000000, 1);
	mmu_flush_range(vcpu, 0x400000, 1);
	for (uint64_t pcid = 0; pcid < 7; pcid++) {
		mmu_load_cr3(vcpu, table | pcid | NOFLUSH);
		assert_false(shadow_view(0xffff888000000000).present);
		assert_int_equal(shadow_view(0x400000).present, pcid != 6);
	}
	check_shadow();
}

static void the_last_2_mib_are_out_of_reach(void **state)
{
	uint64_t error;

	(void)state;
	/* entries of the guest there count for nothing */
	for (vaddr_t va = KEEL_HOLE_BASE; va >= KEEL_HOLE_BASE; va += 0x10000) {
		map(va, (OWN + 0x2000000) | URW | PTE_A | PTE_D);
		assert_int_equal(cpu_access(va, PF_W, &error), MMU_GUEST);
		assert_int_equal(error, PF_W | PF_P);
		assert_int_equal(mmu_fill_hint(vcpu, va, PF_W), -KEEL_EFAULT);
		assert_int_equal(mmu_read_guest(vcpu, va, &error, 8), -KEEL_EFAULT);
		assert_int_equal(mmu_write_guest(vcpu, va, &error, 8), -KEEL_EFAULT);
		mmu_flush_range(vcpu, va, 16);
		/* and so for addresses that only look like it (not canonical, or around the end) */
		mmu_flush_range(vcpu, va & 0x0000ffffffffffff, 16);
		mmu_flush_range(vcpu, va & 0x8000ffffffffffff, 16);
		mmu_flush_range(vcpu, (va & 0x0000ffffffffffff) | 0xfffe000000000000, 16);
		check_shadow();
	}
	mmu_flush_range(vcpu, KEEL_HOLE_BASE - 0x100000, 512);
	mmu_flush_range(vcpu, 0x0000ffffffe00000, 512);
	mmu_flush_range(vcpu, 0xfffffffffffff000, 512);
	map_large(0xffffffffc0000000, 2, OWN_1G | PTE_P | PTE_W);
	assert_int_equal(cpu_access(KEEL_HOLE_BASE + 0x30000, PF_W, &error), MMU_GUEST);
	assert_int_equal(cpu_access(KEEL_HOLE_BASE - 1, PF_W, &error), MMU_FILLED);
	check_shadow();
	mmu_flush_range(vcpu, KEEL_HOLE_BASE - 1, 1);
	check_shadow();
	mmu_flush_user(vcpu);
	mmu_flush_all(vcpu);
}

/* What a guest load of CR3 promises, for all PCIDs a guest can name. */
static void cr3_loads_flush_as_bit_63_says(void **state)
{
	paddr_t a = pgd(), b = table_new();

	(void)state;
	map(0x400000, (OWN + 0x2000000) | URW | PTE_A);
	*guest_pte(b, 0x400000, 0) = (OWN + 0x2001000) | URW | PTE_A;
	for (uint64_t pcid = 0; pcid < 4096; pcid++) {
		uint64_t *ea = guest_pte(a, 0x400000, 0);

		*ea = (OWN + 0x2000000) | URW | PTE_A;
		mmu_load_cr3(vcpu, a | pcid);
		assert_int_equal(vcpu->cr3, a | pcid);
		assert_int_equal(vcpu->vp->cr3, a | pcid);
		assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_FILLED);
		assert_int_equal(shadow_view(0x400000).pa, OWN + 0x2000000);
		*ea = 0;
		mmu_load_cr3(vcpu, b | ((pcid + 1) & 4095));		/* away */
		assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_FILLED);
		assert_int_equal(shadow_view(0x400000).pa, OWN + 0x2001000);
		mmu_load_cr3(vcpu, a | pcid | NOFLUSH);			/* back: may keep */
		if (shadow_view(0x400000).present)
			assert_int_equal(shadow_view(0x400000).pa, OWN + 0x2000000);
		assert_int_equal(shadow_view(0x400000).present, pcid < 7);
		mmu_load_cr3(vcpu, a | pcid);				/* flush: must not */
		assert_false(shadow_view(0x400000).present);
		mmu_load_cr3(vcpu, b | pcid | NOFLUSH);			/* other tables */
		assert_true(!shadow_view(0x400000).present ||
			    shadow_view(0x400000).pa == OWN + 0x2001000);
		if (pcid % 256 < 10)
			check_shadow();
	}
	mmu_flush_all(vcpu);
	assert_int_equal(machine_used(), BASE_USED);
}

static void without_pcids_and_global_pages_every_load_flushes(void **state)
{
	paddr_t a = pgd();

	(void)state;
	map(0x400000, (OWN + 0x2000000) | URW);
	map(0xffff888000000000, (OWN + 0x2000000) | PTE_P | PTE_W);
	for (unsigned int cr4 = 0; cr4 < 4; cr4++) {
		vcpu->cr4 = CR4_PAE | (cr4 & 1 ? CR4_PGE : 0) | (cr4 & 2 ? CR4_PCIDE : 0);
		mmu_flush_all(vcpu);
		mmu_load_cr3(vcpu, a | 1);
		assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_FILLED);
		assert_int_equal(cpu_access(0xffff888000000000, 0, NULL), MMU_FILLED);
		*guest_pte(a, 0x400000, 0) &= ~(PTE_P | PTE_A);
		mmu_load_cr3(vcpu, a | 1 | NOFLUSH);
		assert_int_equal(shadow_view(0x400000).present, !!(cr4 & 2));
		assert_int_equal(shadow_view(0xffff888000000000).present, cr4 != 0);
		mmu_load_cr3(vcpu, a | 1);
		assert_false(shadow_view(0x400000).present);
		assert_int_equal(shadow_view(0xffff888000000000).present, cr4 & 1);
		*guest_pte(a, 0x400000, 0) |= PTE_P;
	}
}

/* A flush of the user half re-reads: what is right stays, what lost rights has less, the rest goes. */
static void resync_keeps_downgrades_and_drops(void **state)
{
	static const struct {
		uint64_t from, to;
		bool present, write, user, exec;
	} cases[] = {
		{ URW | PTE_A | PTE_D, URW | PTE_A | PTE_D, true, true, true, true },
		{ URW | PTE_A | PTE_D, URW | PTE_A, true, false, true, true },		/* cleaned */
		{ URW | PTE_A | PTE_D, URW | PTE_D, false, false, false, false },	/* aged */
		{ URW | PTE_A | PTE_D, PTE_P | PTE_U | PTE_A | PTE_D, true, false, true, true },
		{ URW | PTE_A | PTE_D, PTE_P | PTE_W | PTE_A | PTE_D, true, true, false, true },
		{ URW | PTE_A | PTE_D, URW | PTE_NX | PTE_A | PTE_D, true, true, true, false },
		{ URW | PTE_A | PTE_D, PTE_W | PTE_U | PTE_A | PTE_D, false, false, false, false },
		{ URW | PTE_A | PTE_D, 0, false, false, false, false },
	};
	vaddr_t base = 0x400000;

	(void)state;
	for (size_t i = 0; i < NELEM(cases); i++) {
		map(base + i * 0x1000, (OWN + 0x2000000) | cases[i].from);
		assert_int_equal(cpu_access(base + i * 0x1000, PF_U | PF_W, NULL), MMU_FILLED);
	}
	map(base + 0x8000, (OWN + 0x2000000) | URW | PTE_A | PTE_D);	/* -> another frame */
	map(base + 0x9000, (OWN + 0x2000000) | URW | PTE_A | PTE_D);	/* -> another's frame */
	map(base + 0xa000, (OWN + 0x2000000) | URW | PTE_A | PTE_D);	/* -> no window */
	for (unsigned int i = 8; i < 11; i++)
		assert_int_equal(cpu_access(base + i * 0x1000, PF_U | PF_W, NULL), MMU_FILLED);
	for (size_t i = 0; i < NELEM(cases); i++)
		map(base + i * 0x1000, (OWN + 0x2000000) | cases[i].to);
	map(base + 0x8000, (OWN + 0x2005000) | URW | PTE_A | PTE_D);
	map(base + 0x9000, FOREIGN | URW | PTE_A | PTE_D);
	map(base + 0xa000, NO_MMIO | URW | PTE_A | PTE_D);
	mmu_flush_user(vcpu);
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct view w = shadow_view(base + i * 0x1000);

		assert_int_equal(w.present, cases[i].present);
		if (!w.present)
			continue;
		assert_int_equal(w.write, cases[i].write);
		assert_int_equal(w.user, cases[i].user);
		assert_int_equal(w.exec, cases[i].exec);
	}
	assert_int_equal(shadow_view(base + 0x8000).pa, OWN + 0x2005000);
	assert_false(shadow_view(base + 0x9000).present);
	assert_false(shadow_view(base + 0xa000).present);
}

/* The same through the upper levels: rights taken there count for all below. */
static void resync_follows_the_upper_levels(void **state)
{
	(void)state;
	for (unsigned int level = 1; level < 4; level++)
		for (unsigned int what = 0; what < 5; what++) {
			vaddr_t va = 0x400000;
			uint64_t *e = guest_pte(pgd(), va, level), old;
			struct view w;

			map(va, (OWN + 0x2000000) | URW);
			assert_int_equal(cpu_access(va, PF_U | PF_W, NULL), MMU_FILLED);
			old = *e;
			switch (what) {
			case 0: *e &= ~PTE_P; break;
			case 1: *e &= ~PTE_W; break;
			case 2: *e &= ~PTE_U; break;
			case 3: *e |= PTE_NX; break;
			case 4: *e = (*e & ~PTE_ADDR) | FOREIGN; break;
			}
			mmu_flush_user(vcpu);
			w = shadow_view(va);
			assert_int_equal(w.present, what != 0 && what != 4);
			if (w.present) {
				assert_int_equal(w.write, what != 1);
				assert_int_equal(w.user, what != 2);
				assert_int_equal(w.exec, what != 3);
			}
			check_shadow();
			*e = old;
			mmu_flush_all(vcpu);
		}
}

/* What TLBs do by themselves: the user halves go, the kernel half stays. */
static void ageing_forgets_user_halves(void **state)
{
	(void)state;
	map(0x400000, (OWN + 0x2000000) | URW);
	map(0xffff888000000000, (OWN + 0x2000000) | PTE_P | PTE_W);
	for (uint64_t pcid = 0; pcid < 7; pcid++) {
		mmu_load_cr3(vcpu, pgd() | pcid);
		assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_FILLED);
	}
	assert_int_equal(cpu_access(0xffff888000000000, 0, NULL), MMU_FILLED);
	mmu_age(vcpu);
	for (uint64_t pcid = 7; pcid--; ) {
		mmu_load_cr3(vcpu, pgd() | pcid | NOFLUSH);
		assert_false(shadow_view(0x400000).present);
		assert_true(shadow_view(0xffff888000000000).present);
		check_shadow();
	}
	/* a way to a leaf table that was remembered is forgotten */
	assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_FILLED);
	mmu_age(vcpu);
	map(0x401000, (OWN + 0x2000000) | URW);
	assert_int_equal(cpu_access(0x401000, PF_U, NULL), MMU_FILLED);
	check_shadow();
}

/* ---- Bounds (I5) -------------------------------------------------------------------------------------- */

#define NSPREAD	300

/* The i-th of many places that have no leaf table in common. */
static vaddr_t spread(unsigned int i)
{
	return 0x40000000UL * (i / 4) + 0x200000UL * (i % 4);
}

static void map_spread(void)
{
	for (unsigned int i = 0; i < NSPREAD; i++) {
		map(spread(i), (OWN + 0x2000000) | URW);
		assert_int_equal(cpu_access(spread(i), PF_U | PF_W, NULL), MMU_FILLED);
		map(0xffff888000000000 + spread(i), (OWN + 0x2000000) | URW);
		assert_int_equal(cpu_access(0xffff888000000000 + spread(i), PF_W, NULL), MMU_FILLED);
	}
}

/* Everything below the top goes by taking the way to it: no table there is read or written. */
static void dropping_touches_only_the_top(void **state)
{
	static uint64_t before[2048][512];

	(void)state;
	for (unsigned int how = 0; how < 3; how++) {
		unsigned int nchanged = 0, nleft = 0;

		machine_start(2048, true);
		map_spread();
		mmu_load_cr3(vcpu, pgd() | 2);
		map_spread();
		memcpy(before, vcpu->pool.page, sizeof(before));
		switch (how) {
		case 0: mmu_flush_all(vcpu); break;
		case 1: mmu_age(vcpu); break;
		case 2: mmu_load_cr3(vcpu, table_new() | 2); break;
		}
		for (unsigned int i = 0; i < 2048; i++)
			nchanged += !!memcmp(before[i], vcpu->pool.page[i], PAGE_SIZE);
		assert_in_range(nchanged, 1, 5);	/* the roots, and the three on the way to the last 2 MiB */
		check_shadow();
		for (unsigned int i = 0; i < NSPREAD; i++)
			nleft += shadow_view(spread(i)).present;
		assert_int_equal(nleft, 0);
	}
	mmu_flush_all(vcpu);
	assert_int_equal(machine_used(), BASE_USED);
	check_shadow();
}

/* More than one flush re-reads: the rest is dropped, not kept. */
static void resync_of_many_tables_drops_the_rest(void **state)
{
	unsigned int kept = 0;

	(void)state;
	machine_start(2048, true);
	map_spread();
	for (unsigned int i = 0; i < NSPREAD; i++)
		*guest_pte(pgd(), spread(i), 0) &= ~PTE_W;
	mmu_flush_user(vcpu);
	for (unsigned int i = 0; i < NSPREAD; i++) {
		struct view w = shadow_view(spread(i));

		assert_false(w.write);
		kept += w.present;
	}
	assert_in_range(kept, 96, NSPREAD - 1);
	check_shadow();
}

static void resync_of_many_entries_drops_the_rest(void **state)
{
	unsigned int kept = 0;

	(void)state;
	machine_start(2048, true);
	for (vaddr_t va = 0x40000000; va < 0x42000000; va += PAGE_SIZE) {
		map(va, (OWN + 0x2000000) | URW | PTE_A | PTE_D);
		assert_int_equal(cpu_access(va, PF_U | PF_W, NULL), MMU_FILLED);
		*guest_pte(pgd(), va, 0) &= ~PTE_W;
	}
	mmu_flush_user(vcpu);
	for (vaddr_t va = 0x40000000; va < 0x42000000; va += PAGE_SIZE) {
		struct view w = shadow_view(va);

		assert_false(w.write);
		kept += w.present;
	}
	assert_in_range(kept, 1000, 2048);	/* of 8,192 */
	check_shadow();
}

/* Pages that were dropped with what was above them are all found again when they are needed. */
static void a_dropped_tree_is_used_up_again(void **state)
{
	(void)state;
	machine_start(1024, true);
	for (unsigned int round = 0; round < 8; round++) {
		map_spread();
		assert_true(vcpu->pool.nused > 2 * NSPREAD);
		check_shadow();
		if (round & 1)
			mmu_age(vcpu);
		else
			mmu_flush_all(vcpu);
		check_shadow();
		if (round & 2)
			mmu_load_cr3(vcpu, pgd() | round);
	}
	mmu_flush_all(vcpu);
	assert_int_equal(machine_used(), BASE_USED);
}

/* ---- The pool ------------------------------------------------------------------------------------------ */

static void sixty_four_pages_are_enough(void **state)
{
	uint64_t seed = 7;

	(void)state;
	machine_start(64, true);
	for (unsigned int i = 0; i < 100; i++)		/* tables in the guest: each address its own */
		map((vaddr_t)(i % 50) * 0x8000000000 + (i >= 50 ? 0xffff800000000000 : 0),
		    (OWN + 0x2000000 + i * 0x1000) | URW);
	for (unsigned int n = 0; n < 20000; n++) {
		unsigned int i = unit_below(&seed, 100);
		vaddr_t va = (vaddr_t)(i % 50) * 0x8000000000 + (i >= 50 ? 0xffff800000000000 : 0);

		if (!(n % 7))
			mmu_load_cr3(vcpu, OWN | unit_below(&seed, 9) | (n & 8 ? NOFLUSH : 0));
		assert_int_equal(cpu_access(va, n & 1 ? PF_W : 0, NULL), MMU_FILLED);
		assert_int_equal(shadow_view(va).pa, OWN + 0x2000000 + i * 0x1000);
		assert_in_range(vcpu->pool.nused, BASE_USED, 64);
		if (!(n % 97))
			check_shadow();
	}
	mmu_flush_all(vcpu);
	assert_int_equal(machine_used(), BASE_USED);
	check_shadow();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, mmu_start, mmu_stop)
	const struct CMUnitTest tests[] = {
		T(ranges_flush_their_pages_and_no_others),
		T(upper_half_is_flushed_in_all_roots),
		T(the_last_2_mib_are_out_of_reach),
		T(cr3_loads_flush_as_bit_63_says),
		T(without_pcids_and_global_pages_every_load_flushes),
		T(resync_keeps_downgrades_and_drops),
		T(resync_follows_the_upper_levels),
		T(resync_of_many_tables_drops_the_rest),
		T(sixty_four_pages_are_enough),
		T(dropping_touches_only_the_top),
		T(resync_of_many_entries_drops_the_rest),
		T(a_dropped_tree_is_used_up_again),
		T(ageing_forgets_user_halves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

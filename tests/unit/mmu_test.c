// SPDX-License-Identifier: MIT
/*
 * Property: the shadow MMU lets the CPU do what the partition's own tables allow, and never what is not the
 * partition's to do (I2).
 * Failure looks like: a wrong result of mmu_fault(), a leaf or table check_shadow() objects to, or a
 * sanitizer report.
 */
#include "mmu.h"

/* ---- Filling ------------------------------------------------------------------------------------- */

static void absent_is_the_guests_fault(void **state)
{
	uint64_t error = 0;

	(void)state;
	assert_int_equal(cpu_access(0x400000, PF_U | PF_W, &error), MMU_GUEST);
	assert_int_equal(error, PF_U | PF_W);
	map(0x400000, OWN + 0x2000000);		/* not present, with an address */
	assert_int_equal(cpu_access(0x400000, PF_U | PF_I, &error), MMU_GUEST);
	assert_int_equal(error, PF_U | PF_I);
	assert_int_equal(*guest_pte(pgd(), 0x400000, 0) & PTE_A, 0);
	assert_int_equal(machine_used(), BASE_USED);
}

static void a_fill_holds_until_it_is_flushed(void **state)
{
	struct view w;

	(void)state;
	map(0x400000, (OWN + 0x2000000) | URW);
	assert_int_equal(cpu_access(0x400123, PF_U, NULL), MMU_FILLED);
	w = shadow_view(0x400123);
	assert_int_equal(w.pa, OWN + 0x2000123);
	assert_int_equal(machine_used(), BASE_USED + 3);
	/* like a TLB: the change shows after the flush, not before */
	map(0x400000, 0);
	assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_FILLED);
	mmu_flush_range(vcpu, 0x400000, 1);
	assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_GUEST);
	map(0x400000, (OWN + 0x2001000) | URW);
	assert_int_equal(cpu_access(0x400000, PF_U | PF_W, NULL), MMU_FILLED);
	assert_int_equal(shadow_view(0x400000).pa, OWN + 0x2001000);
}

/* The product of all levels decides, for each right, kind of access, and half of the address space. */
static void rights_are_the_product_of_all_levels(void **state)
{
	static const vaddr_t vas[] = { 0x0000123456789000, 0xffff923456789000, 0xffffffffbfe00000,
				       0xffffffffffc00000 };
	static const uint64_t kinds[] = { 0, PF_W, PF_I, PF_U, PF_U | PF_W, PF_U | PF_I };

	(void)state;
	for (size_t a = 0; a < NELEM(vas); a++) {
		/* 3 bits a level: without W, without U, with NX */
		for (unsigned int combo = 0; combo < 4096; combo++) {
			bool w = true, u = true, x = true;

			for (unsigned int level = 0; level < 4; level++) {
				unsigned int bits = combo >> (3 * level) & 7;
				uint64_t *e = guest_pte(pgd(), vas[a], level);

				w = w && !(bits & 1);
				u = u && !(bits & 2);
				x = x && !(bits & 4);
				if (!level)
					*e = OWN + 0x2000000;
				*e = (*e & PTE_ADDR) | PTE_P | (bits & 1 ? 0 : PTE_W) |
				     (bits & 2 ? 0 : PTE_U) | (bits & 4 ? PTE_NX : 0);
			}
			for (size_t k = 0; k < NELEM(kinds); k++) {
				uint64_t error = 0, kind = kinds[k];
				bool ok = (!(kind & PF_U) || u) && (!(kind & PF_W) || w) &&
					  (!(kind & PF_I) || (x && ((kind & PF_U) || !u)));
				enum mmu_result got;

				if (combo & 1)
					mmu_flush_range(vcpu, vas[a], 1);
				else
					mmu_flush_all(vcpu);
				got = cpu_access(vas[a], kind, &error);
				if (got != (ok ? MMU_FILLED : MMU_GUEST))
					fail_msg("va %#lx combo %#o error %#lx: %d", vas[a], combo, kind, got);
				if (!ok)
					assert_int_equal(error, kind | PF_P);
			}
		}
		check_shadow();
	}
}

static void clean_pages_are_read_only_until_a_write(void **state)
{
	uint64_t *e[4];

	(void)state;
	for (unsigned int large = 0; large < 3; large++) {
		vaddr_t va = 0x7d0000000000 + large * 0x8000000000UL;

		if (large)
			map_large(va, large, OWN_1G | URW);
		else
			map(va, OWN_1G | URW);
		for (unsigned int level = large; level < 4; level++)
			e[level] = guest_pte(pgd(), va, level);
		assert_int_equal(cpu_access(va, PF_U, NULL), MMU_FILLED);
		for (unsigned int level = large; level < 4; level++)
			assert_int_equal(*e[level] & (PTE_A | PTE_D), PTE_A);
		assert_false(shadow_view(va).write);
		assert_int_equal(cpu_access(va, PF_U | PF_W, NULL), MMU_FILLED);
		assert_int_equal(*e[large] & (PTE_A | PTE_D), PTE_A | PTE_D);
		for (unsigned int level = large + 1; level < 4; level++)	/* never D above a leaf */
			assert_int_equal(*e[level] & (PTE_A | PTE_D), PTE_A);
		assert_true(shadow_view(va).write);
		/* cleaned again: after the flush the next write is seen */
		*e[large] &= ~PTE_D;
		mmu_flush_range(vcpu, va, 1);
		assert_int_equal(cpu_access(va, PF_U, NULL), MMU_FILLED);
		assert_false(shadow_view(va).write);
		assert_int_equal(*e[large] & PTE_D, 0);
		assert_int_equal(cpu_access(va, PF_U | PF_W, NULL), MMU_FILLED);
		assert_int_equal(*e[large] & PTE_D, PTE_D);
	}
}

/* A refused access leaves no trace in the guest's tables. */
static void refused_accesses_set_no_bits(void **state)
{
	static const paddr_t frames[] = { OWN + 0x2000000, FOREIGN, CHAN_OTHER, NO_MMIO };

	(void)state;
	for (size_t i = 0; i < NELEM(frames); i++) {
		vaddr_t va = 0x400000 + i * 0x1000;

		map(va, frames[i] | PTE_P | (i ? URW : PTE_U));
		assert_int_equal(cpu_access(va, PF_U | PF_W, NULL), i ? MMU_FORBIDDEN : MMU_GUEST);
		for (unsigned int level = 0; level < 4; level++)
			assert_int_equal(*guest_pte(pgd(), va, level) & (PTE_A | PTE_D), 0);
	}
	assert_int_equal(machine_used(), BASE_USED);
}

static void memory_types_are_kept(void **state)
{
	(void)state;
	for (unsigned int type = 0; type < 8; type++) {
		uint64_t low = (type & 1 ? PTE_PWT : 0) | (type & 2 ? PTE_PCD : 0);
		uint64_t cache = low | (type & 4 ? 0x80 : 0);
		vaddr_t small = 0x400000 + type * 0x1000, large = 0x40000000 + type * 0x200000,
			split = 0x80000000 + type * 0x200000, giant = (vaddr_t)(type + 8) << 30;

		map(small, (OWN + 0x2000000) | URW | low | (type & 4 ? PTE_PS : 0));
		map_large(large, 1, (OWN + 0x2000000) | URW | low | (type & 4 ? PTE_PAT_LARGE : 0));
		map_large(split, 1, MIXED | URW | low | (type & 4 ? PTE_PAT_LARGE : 0));
		map_large(giant, 2, OWN_1G | URW | low | (type & 4 ? PTE_PAT_LARGE : 0));
		for (int i = 0; i < 4; i++) {
			vaddr_t va = i == 0 ? small : i == 1 ? large : i == 2 ? split : giant;

			assert_int_equal(cpu_access(va + 0x234, PF_U | PF_W, NULL), MMU_FILLED);
			assert_int_equal(shadow_view(va + 0x234).cache, cache);
			assert_int_equal(shadow_view(va + 0x234).level, i & 1);
		}
	}
}

/* Rule 21: who takes a frame over must know that it was uncached, however it was mapped. */
static void uncached_frames_are_remembered(void **state)
{
	vaddr_t va = 0x400000;

	(void)state;
	for (unsigned int i = 0; i < 16; i++)
		map(va + i * 0x1000, (OWN + 0x2000000 + i * 0x1000) | URW | PTE_A | PTE_PCD);
	assert_int_equal(cpu_access(va, PF_U, NULL), MMU_FILLED);	/* and its neighbours */
	for (unsigned int i = 0; i < 16; i++) {
		assert_true(shadow_view(va + i * 0x1000).present);
		assert_true(frames_take_uncached(((OWN + 0x2000000) >> 12) + i));
	}
	for (unsigned int i = 0; i < 16; i++)				/* by a flush that re-reads */
		map(va + i * 0x1000, (OWN + 0x2100000 + i * 0x1000) | URW | PTE_A | PTE_PWT);
	mmu_flush_user(vcpu);
	for (unsigned int i = 0; i < 16; i++)
		if (shadow_view(va + i * 0x1000).present)
			assert_true(frames_take_uncached(((OWN + 0x2100000) >> 12) + i));
	map_large(0x40000000, 1, (OWN + 0x2400000) | URW | PTE_PAT_LARGE);
	assert_int_equal(cpu_access(0x40000000, PF_U, NULL), MMU_FILLED);
	for (unsigned int i = 0; i < 512; i++)
		assert_true(frames_take_uncached(((OWN + 0x2400000) >> 12) + i));
	assert_false(frames_take_uncached((OWN + 0x2600000) >> 12));
	/* a channel's frames never are */
	map(0x600000, CHAN | URW | PTE_PCD | PTE_PWT | PTE_PS);
	assert_int_equal(cpu_access(0x600000, PF_U | PF_W, NULL), MMU_FILLED);
	assert_int_equal(shadow_view(0x600000).cache, 0);
	assert_false(frames_take_uncached(CHAN >> 12));
}

/* ---- Large pages ----------------------------------------------------------------------------------- */

static void large_pages_of_one_owner_stay_large(void **state)
{
	(void)state;
	map_large(0x40000000, 1, (OWN + 0x2000000) | URW | PTE_D);
	assert_int_equal(cpu_access(0x40123456, PF_U, NULL), MMU_FILLED);
	assert_int_equal(shadow_view(0x401fffff).level, 1);
	assert_int_equal(shadow_view(0x401fffff).pa, OWN + 0x21fffff);
	assert_false(shadow_view(0x40200000).present);
	map_large(0x80000000, 2, OWN_1G | URW | PTE_D);
	assert_int_equal(cpu_access(0x80600000, PF_U, NULL), MMU_FILLED);
	assert_int_equal(shadow_view(0x80600000).level, 1);
	assert_int_equal(shadow_view(0x80600000).pa, OWN_1G + 0x600000);
	assert_int_equal(cpu_access(0xbfffffff, PF_U, NULL), MMU_FILLED);
	assert_int_equal(shadow_view(0xbfffffff).pa, OWN_1G + 0x3fffffff);
	mmu_flush_range(vcpu, 0x40100000, 1);
	assert_false(shadow_view(0x40123456).present);
}

static void large_pages_of_several_owners_are_split(void **state)
{
	(void)state;
	map_large(0x40000000, 1, MIXED | URW);
	for (vaddr_t va = 0x40000000; va < 0x40200000; va += 0x1000) {
		bool own = va < 0x40100000;

		assert_int_equal(cpu_access(va, PF_U | PF_W, NULL), own ? MMU_FILLED : MMU_FORBIDDEN);
		assert_int_equal(shadow_view(va).present, own);
	}
	check_shadow();
	mmu_flush_range(vcpu, 0x401ff000, 1);		/* of any address in it: all small ones go */
	for (vaddr_t va = 0x40000000; va < 0x40200000; va += 0x1000)
		assert_false(shadow_view(va).present);
	/* a 1 GiB page with another's 2 MiB in it */
	map_large(0x80000000, 2, OWN_1G | URW);
	assert_int_equal(cpu_access(0x80000000 + (HOLE_1G - OWN_1G), 0, NULL), MMU_FORBIDDEN);
	assert_int_equal(cpu_access(0x80000000 + (HOLE_1G - OWN_1G) - 1, PF_U, NULL), MMU_FILLED);
	assert_int_equal(cpu_access(0x80000000 + (HOLE_1G - OWN_1G) + 0x200000, PF_U, NULL), MMU_FILLED);
	/* channel frames are mapped one by one, with the large page's rights */
	map_large(0xc0000000, 1, (CHAN & ~0x1fffffUL) | PTE_P | PTE_U);
	assert_int_equal(cpu_access(0xc0000000 + (CHAN & 0x1fffff), PF_U, NULL), MMU_FILLED);
	assert_int_equal(cpu_access(0xc0000000 + (CHAN & 0x1fffff), PF_U | PF_W, NULL), MMU_GUEST);
	assert_int_equal(cpu_access(0xc0000000 + (CHAN_OTHER & 0x1fffff), PF_U, NULL), MMU_FORBIDDEN);
}

/* INVLPG drops the translation of the whole page, whatever its size (SDM vol. 3A, 4.10.4.1). */
static void one_flush_drops_all_of_a_1_gib_page(void **state)
{
	static const vaddr_t vas[] = { 0x80000000, 0xffffffffc0000000 };	/* own L2 table; the shared one */

	(void)state;
	for (size_t i = 0; i < NELEM(vas); i++) {
		vaddr_t va = vas[i];

		map_large(va, 2, OWN_1G | URW);
		for (vaddr_t at = 0; at < 0x3fe00000; at += 0x600000)
			if (OWN_1G + at < HOLE_1G || OWN_1G + at >= HOLE_1G + 0x200000)
				assert_int_equal(cpu_access(va + at, PF_W, NULL), MMU_FILLED);
		check_shadow();
		mmu_flush_range(vcpu, va + 0x12345000, 1);
		for (vaddr_t at = 0; at < 0x3fe00000; at += 0x200000)
			assert_false(shadow_view(va + at).present);
		check_shadow();
	}
	/* neighbours that are no part of it stay */
	map(0x40000000, (OWN + 0x2000000) | URW);
	assert_int_equal(cpu_access(0x40000000, PF_U, NULL), MMU_FILLED);
	mmu_flush_range(vcpu, 0x80000000, 1);
	assert_true(shadow_view(0x40000000).present);
}

static void a_page_may_change_its_size(void **state)
{
	vaddr_t va = 0x40000000;
	paddr_t l1;

	(void)state;
	for (unsigned int i = 0; i < 50; i++) {
		bool mixed = i & 1;
		uint64_t *e2;

		map(va + i * 0x1000, (OWN + 0x2000000) | URW);
		assert_int_equal(cpu_access(va + i * 0x1000, PF_U, NULL), MMU_FILLED);
		e2 = guest_pte(pgd(), va, 1);
		l1 = *e2;
		*e2 = (mixed ? MIXED : OWN + 0x2200000) | URW | PTE_PS;
		/* filled without a flush between, as another address of the large page would */
		assert_int_equal(cpu_access(va + 0x80000, PF_U | PF_W, NULL), MMU_FILLED);
		check_shadow();
		*e2 = l1;
		if (i & 2)
			mmu_flush_range(vcpu, va, 1);
		map(va + 0x90000, (OWN + 0x2300000) | URW);
		mmu_flush_range(vcpu, va + 0x90000, 1);
		assert_int_equal(cpu_access(va + 0x90000, PF_U, NULL), MMU_FILLED);
		assert_int_equal(shadow_view(va + 0x90000).pa, OWN + 0x2300000);
		check_shadow();
	}
}

/* ---- I2 ---------------------------------------------------------------------------------------------- */

static void frames_of_others_are_forbidden(void **state)
{
	/* NO: never. YES: any partition. DEV: who has the devices. EMPTY: nothing there. */
	enum { NO, YES, DEV, EMPTY };
	static const struct { paddr_t pa; int kind; } cases[] = {
		{ OWN + 0x2000000, YES }, { OWN_END - 0x1000, YES }, { MIXED, YES }, { MIXED + 0xff000, YES },
		{ MIXED + 0x100000, NO }, { FOREIGN, NO }, { CHAN, YES }, { CHAN_OTHER - 0x1000, YES },
		{ CHAN_OTHER, NO }, { MMIO, DEV }, { MMIO + 0x1ff000, DEV }, { NO_MMIO, EMPTY }, { 0, EMPTY },
		{ 0x9f000, EMPTY }, { 0xa0000, DEV }, { 0xff000, DEV }, { 0x100000, NO }, { 0x200000, NO },
		{ 0xfcfff000, EMPTY }, { 0xfd000000, DEV }, { 0xfdfff000, DEV }, { 0xfe000000, EMPTY },
		{ 0xfee00000, EMPTY }, { 0x000ffffffffff000, EMPTY },
	};

	(void)state;
	for (int devices = 1; devices >= 0; devices--) {
		if (!devices)
			machine_start(256, false);
		for (size_t i = 0; i < NELEM(cases); i++) {
			vaddr_t va = 0x400000 + i * 0x10000;
			int kind = cases[i].kind;
			bool ok = kind == YES || (kind == DEV && devices), ones = kind == EMPTY && devices;

			map(va, cases[i].pa | URW);
			assert_int_equal(cpu_access(va, PF_U | PF_W, NULL), ok ? MMU_FILLED : MMU_FORBIDDEN);
			assert_int_equal(cpu_access(va, PF_U | PF_I, NULL), ok ? MMU_FILLED : MMU_FORBIDDEN);
			/* nothing there: reads as all ones for who has the devices */
			assert_int_equal(cpu_access(va, PF_U, NULL), ok || ones ? MMU_FILLED : MMU_FORBIDDEN);
			if (ones)
				assert_int_equal(shadow_view(va).pa, part.ones_pa);
		}
		check_shadow();
	}
}

/* The page of ones is its own, so it may give it away. */
static void ones_that_are_another_s_stand_in_for_nothing(void **state)
{
	vaddr_t va = 0x400000;

	(void)state;
	map(va, 0xfee00000 | URW);
	assert_int_equal(cpu_access(va, PF_U, NULL), MMU_FILLED);
	assert_int_equal(frames_claim(part.ones_pa >> 12, 1, OWNER, OTHER), 0);
	mmu_flush_all(vcpu);
	assert_int_equal(cpu_access(va, PF_U, NULL), MMU_FORBIDDEN);
}

/* Rule 20: no walk through them, and above all no write into them. */
static void tables_in_frames_of_others_are_not_walked(void **state)
{
	static const paddr_t frames[] = { FOREIGN, CHAN, CHAN_OTHER, MIXED + 0x100000, 0x200000 };
	uint64_t error, before[512];

	(void)state;
	for (size_t i = 0; i < NELEM(frames); i++) {
		uint64_t *table = pa_to_va(frames[i]);

		for (unsigned int n = 0; n < 512; n++)
			before[n] = table[n] = (OWN + 0x2000000) | URW;
		for (unsigned int level = 1; level < 4; level++) {
			vaddr_t va = (vaddr_t)(i * 4 + level) << 39;

			*guest_pte(pgd(), va, level) = frames[i] | URW;
			assert_int_equal(cpu_access(va, PF_U | PF_W, &error), MMU_GUEST);
			assert_int_equal(error, PF_U | PF_W);
			assert_int_equal(mmu_fill_hint(vcpu, va, PF_U | PF_W), -KEEL_EFAULT);
			assert_int_equal(mmu_read_guest(vcpu, va, &error, 8), -KEEL_EFAULT);
			assert_memory_equal(table, before, sizeof(before));
		}
		mmu_load_cr3(vcpu, frames[i] | 3);
		assert_int_equal(cpu_access(0, PF_U | PF_W, &error), MMU_GUEST);
		mmu_flush_user(vcpu);
		assert_memory_equal(table, before, sizeof(before));
		mmu_load_cr3(vcpu, OWN);
	}
	mmu_load_cr3(vcpu, 0x000ffffffffff000);		/* nowhere */
	assert_int_equal(cpu_access(0, PF_U | PF_W, &error), MMU_GUEST);
	mmu_flush_user(vcpu);
	mmu_load_cr3(vcpu, OWN);
}

/* A table that leaves the partition between fill and flush is not re-read. */
static void tables_that_change_owner_are_not_re_read(void **state)
{
	vaddr_t va = 0x400000;
	paddr_t l1;
	uint64_t *e;

	(void)state;
	map(va, (OWN + 0x2000000) | URW);
	assert_int_equal(cpu_access(va, PF_U, NULL), MMU_FILLED);
	e = guest_pte(pgd(), va, 1);
	l1 = OWN + 0x3000000;
	memcpy(pa_to_va(l1), pa_to_va(*e & PTE_ADDR), PAGE_SIZE);
	*e = l1 | URW;
	assert_int_equal(frames_claim(l1 >> 12, 1, OWNER, OTHER), 0);
	mmu_flush_user(vcpu);
	assert_false(shadow_view(va).present);
	assert_int_equal(frames_claim(l1 >> 12, 1, OTHER, OWNER), 0);
}

/* What happens to memory that is given to a channel: afterwards nothing of the old mapping is left. */
static void a_flush_of_all_makes_way_for_a_new_owner(void **state)
{
	(void)state;
	map(0x400000, (OWN + 0x2000000) | URW);
	map(0xffff888000000000, (OWN + 0x2000000) | PTE_P | PTE_W);
	map_large(0xffff888040000000, 1, (OWN + 0x2000000) | PTE_P | PTE_W);
	map(0xffffffffff000000, (OWN + 0x2000000) | PTE_P | PTE_W);
	assert_int_equal(cpu_access(0x400000, PF_U | PF_W, NULL), MMU_FILLED);
	assert_int_equal(cpu_access(0xffff888000000000, PF_W, NULL), MMU_FILLED);
	assert_int_equal(cpu_access(0xffff888040000000, PF_W, NULL), MMU_FILLED);
	assert_int_equal(cpu_access(0xffffffffff000000, PF_W, NULL), MMU_FILLED);
	mmu_load_cr3(vcpu, pgd() | 2);		/* a second root with the same user half */
	assert_int_equal(cpu_access(0x400000, PF_U | PF_W, NULL), MMU_FILLED);
	assert_int_equal(frames_claim((OWN + 0x2000000) >> 12, 1, OWNER, OTHER), 0);
	mmu_flush_all(vcpu);
	assert_int_equal(machine_used(), BASE_USED);
	assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_FORBIDDEN);
	assert_int_equal(cpu_access(0xffff888000000000, 0, NULL), MMU_FORBIDDEN);
	assert_int_equal(cpu_access(0xffff888040000000, 0, NULL), MMU_FORBIDDEN);
	assert_int_equal(cpu_access(0xffff888040001000, PF_W, NULL), MMU_FILLED);	/* its neighbour */
	mmu_load_cr3(vcpu, pgd() | NOFLUSH);
	assert_int_equal(cpu_access(0x400000, PF_U, NULL), MMU_FORBIDDEN);
	assert_int_equal(frames_claim((OWN + 0x2000000) >> 12, 1, OTHER, OWNER), 0);
}

static void fault_around_takes_what_is_accessed_and_its_own(void **state)
{
	static const uint64_t entry[16] = {
		(OWN + 0x2000000) | URW,			/* 0: the one that faults */
		(OWN + 0x2001000) | URW | PTE_A,		/* 1: comes along, clean */
		(OWN + 0x2002000) | URW | PTE_A | PTE_D,	/* 2: comes along, writable */
		(OWN + 0x2003000) | URW,			/* 3: not accessed */
		(OWN + 0x2004000) | PTE_A | PTE_D,		/* 4: not present */
		FOREIGN | URW | PTE_A | PTE_D,			/* 5: not its own */
		CHAN | URW | PTE_A | PTE_D,			/* 6: attached channel */
		CHAN_OTHER | URW | PTE_A | PTE_D,		/* 7: not attached */
		MMIO | URW | PTE_A | PTE_D,			/* 8 */
		NO_MMIO | URW | PTE_A | PTE_D,			/* 9 */
		(OWN + 0x200a000) | PTE_P | PTE_A | PTE_D,	/* 10: supervisor, read-only */
		(OWN + 0x200b000) | URW | PTE_A | PTE_NX,	/* 11: no-execute */
	};
	static const uint16_t present = 0xd47;
	vaddr_t base = 0x410000;

	(void)state;
	for (unsigned int i = 0; i < 16; i++)
		map(base + i * 0x1000, entry[i]);
	map(base + 0x10000, (OWN + 0x2010000) | URW | PTE_A);	/* outside the group of 16 */
	map(base - 0x1000, (OWN + 0x2010000) | URW | PTE_A);
	assert_int_equal(cpu_access(base, PF_U, NULL), MMU_FILLED);
	for (unsigned int i = 0; i < 16; i++) {
		struct view s = shadow_view(base + i * 0x1000), g = guest_view(pgd(), base + i * 0x1000);

		assert_int_equal(s.present, present >> i & 1);
		if (!s.present)
			continue;
		assert_int_equal(s.pa, g.pa);
		assert_int_equal(s.user, g.user);
		assert_int_equal(s.exec, g.exec);
		assert_int_equal(s.write, g.write && g.dirty);
	}
	assert_false(shadow_view(base + 0x10000).present);
	assert_false(shadow_view(base - 0x1000).present);
	for (unsigned int i = 1; i < 16; i++)			/* and it wrote none of them */
		assert_int_equal(*guest_pte(pgd(), base + i * 0x1000, 0), entry[i]);
}

static void hints_load_what_is_allowed_to_the_user(void **state)
{
	(void)state;
	map(0x400000, (OWN + 0x2000000) | URW);
	map(0x401000, (OWN + 0x2000000) | PTE_P | PTE_W);
	map(0x402000, FOREIGN | URW);
	map(0x403000, NO_MMIO | URW);
	map(0xffff888000000000, (OWN + 0x2000000) | URW);
	assert_int_equal(mmu_fill_hint(vcpu, 0x400123, PF_W), 0);
	assert_true(shadow_view(0x400000).write);
	assert_int_equal(mmu_fill_hint(vcpu, 0x401000, 0), -KEEL_EFAULT);	/* not the user's */
	assert_int_equal(mmu_fill_hint(vcpu, 0x402000, 0), -KEEL_EFAULT);
	assert_int_equal(mmu_fill_hint(vcpu, 0x403000, 0), -KEEL_EFAULT);
	assert_int_equal(mmu_fill_hint(vcpu, 0x404000, 0), -KEEL_EFAULT);
	assert_int_equal(mmu_fill_hint(vcpu, 0xffff888000000000, 0), -KEEL_EFAULT);
	assert_int_equal(mmu_fill_hint(vcpu, 0x0000800000000000, 0), -KEEL_EFAULT);
	assert_int_equal(mmu_fill_hint(vcpu, KEEL_VCPU_VA, PF_W), -KEEL_EFAULT);
}

/* ---- Memory of the guest for the emulator -------------------------------------------------------------- */

static void emulation_reads_and_writes_across_pages(void **state)
{
	uint8_t out[0x3000], in[0x3000];
	vaddr_t va = 0x400000;

	(void)state;
	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + i / 256);
	map(va, (OWN + 0x2005000) | URW);
	map(va + 0x1000, (OWN + 0x2001000) | URW);
	map(va + 0x2000, (OWN + 0x2003000) | URW);
	map(va + 0x3000, (OWN + 0x2007000) | PTE_P);
	map(va + 0x4000, CHAN | URW);
	map(va + 0x5000, MMIO | URW);
	map(va + 0x6000, FOREIGN | URW);
	map(va + 0x8000, CHAN_OTHER | URW);
	assert_int_equal(mmu_write_guest(vcpu, va + 0x800, out, 0x1800), 0);
	assert_int_equal(mmu_read_guest(vcpu, va + 0x800, in, 0x1800), 0);
	assert_memory_equal(in, out, 0x1800);
	assert_memory_equal((char *)pa_to_va(OWN + 0x2005800), out, 0x800);
	assert_memory_equal(pa_to_va(OWN + 0x2001000), out + 0x800, 0x1000);
	assert_int_equal(*guest_pte(pgd(), va, 0) & (PTE_A | PTE_D), PTE_A | PTE_D);
	assert_int_equal(*guest_pte(pgd(), va + 0x2000, 0) & (PTE_A | PTE_D), 0);
	assert_int_equal(mmu_read_guest(vcpu, va + 0x2fff, in, 2), 0);
	assert_int_equal(*guest_pte(pgd(), va + 0x3000, 0) & (PTE_A | PTE_D), PTE_A);
	assert_int_equal(mmu_write_guest(vcpu, va + 0x2fff, out, 2), -KEEL_EFAULT);	/* read-only */
	assert_int_equal(*guest_pte(pgd(), va + 0x3000, 0) & PTE_D, 0);
	memset(pa_to_va(CHAN), 0x5a, 0x1000);
	assert_int_equal(mmu_read_guest(vcpu, va + 0x3fff, in, 2), 0);			/* a channel's of its own: only to read */
	assert_int_equal(in[1], 0x5a);
	assert_int_equal(mmu_write_guest(vcpu, va + 0x4000, out, 1), -KEEL_EFAULT);
	assert_int_equal(mmu_read_guest(vcpu, va + 0x8000, in, 1), -KEEL_EFAULT);	/* one of others */
	assert_int_equal(mmu_read_guest(vcpu, va + 0x5000, in, 1), -KEEL_EFAULT);	/* a device */
	assert_int_equal(mmu_read_guest(vcpu, va + 0x6000, in, 1), -KEEL_EFAULT);
	assert_int_equal(mmu_read_guest(vcpu, va + 0x7000, in, 1), -KEEL_EFAULT);
	assert_int_equal(mmu_read_guest(vcpu, 0x0000800000000000 - 1, in, 2), -KEEL_EFAULT);
	assert_int_equal(mmu_read_guest(vcpu, UINT64_MAX, in, 2), -KEEL_EFAULT);
	map_large(0x40000000, 1, (OWN + 0x2200000) | URW);
	assert_int_equal(mmu_write_guest(vcpu, 0x401ff000, out, 0x1000), 0);
	assert_memory_equal(pa_to_va(OWN + 0x23ff000), out, 0x1000);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, mmu_start, mmu_stop)
	const struct CMUnitTest tests[] = {
		T(absent_is_the_guests_fault),
		T(a_fill_holds_until_it_is_flushed),
		T(rights_are_the_product_of_all_levels),
		T(clean_pages_are_read_only_until_a_write),
		T(refused_accesses_set_no_bits),
		T(memory_types_are_kept),
		T(uncached_frames_are_remembered),
		T(large_pages_of_one_owner_stay_large),
		T(large_pages_of_several_owners_are_split),
		T(one_flush_drops_all_of_a_1_gib_page),
		T(a_page_may_change_its_size),
		T(frames_of_others_are_forbidden),
		T(ones_that_are_another_s_stand_in_for_nothing),
		T(tables_in_frames_of_others_are_not_walked),
		T(tables_that_change_owner_are_not_re_read),
		T(a_flush_of_all_makes_way_for_a_new_owner),
		T(fault_around_takes_what_is_accessed_and_its_own),
		T(hints_load_what_is_allowed_to_the_user),
		T(emulation_reads_and_writes_across_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

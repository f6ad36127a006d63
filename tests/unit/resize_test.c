// SPDX-License-Identifier: MIT
/*
 * Property: memory that comes to a partition while it runs, or goes, is the creator's or the partition's and in between nobody's; the one
 * never sees what the other had there; nothing is written to it before all vCPUs of who had it have forgotten it.
 * Failure looks like: content of one in the hands of the other, a write before the shoot-down, frames that are missing
 * at the end, a piece without a bound.
 */
#include "made.h"

#define MORE		(MEM + 0x600000)
#define MORE_PAGES	100

static int grow_all(paddr_t pa, uint64_t npages)
{
	int err, pieces = 0;

	loser = by;
	do {
		memcpy(before, unit_arena, ARENA);
		err = made_resize(by, 1, KEEL_HC_PART_GROW, pa, npages);
		assert_in_range(changed(), 0, CLEAN_PAGES * PAGE_SIZE + PAGE_SIZE);	/* and its books */
		assert_in_range(++pieces, 1, MANY);
		obeyed = true;
	} while (err == -KEEL_EAGAIN);
	return err;
}

static int shrink_all(paddr_t pa)
{
	int err, pieces = 0;

	do {
		memcpy(before, unit_arena, ARENA);
		err = made_resize(by, 1, KEEL_HC_PART_SHRINK, pa, 0);
		assert_in_range(changed(), 0, CLEAN_PAGES * PAGE_SIZE + PAGE_SIZE);	/* and its books */
		assert_in_range(++pieces, 1, MANY);
		obeyed = true;
	} while (err == -KEEL_EAGAIN);
	return err;
}

static void started(void)
{
	assert_int_equal(create("made"), 1);
	assert_int_equal(made_give(by, 1, GIVEN, 16), 0);
	assert_int_equal(boot(1), 0);
}

static int release(paddr_t pa)
{
	loser = &parts[1];
	return made_release(&parts[1], pa);
}

/* Pages of the n-th piece that a partition has, at pa; -KEEL_EINVAL: there is none. */
static int64_t piece_of(struct partition *p, uint64_t n, paddr_t *pa)
{
	uint64_t npages;
	int err = made_extent(p, n, pa, &npages);

	return err ? err : (int64_t)npages;
}

static void memory_comes_and_goes_without_a_trace(void **state)
{
	paddr_t pa;

	(void)state;
	started();
	for (unsigned int round = 1; round <= 100; round++) {
		memset(unit_arena + MORE, 0xa5, MORE_PAGES * PAGE_SIZE);	/* the creator's secret */
		assert_int_equal(grow_all(MORE, MORE_PAGES), 0);
		assert_int_equal(nmemory, round);
		expect_zero(MORE, MORE_PAGES * PAGE_SIZE);
		assert_int_equal(frames_count(parts[1].owner), 16 + MORE_PAGES);
		assert_int_equal(piece_of(&parts[1], 1, &pa), MORE_PAGES);
		assert_int_equal(pa, MORE);
		assert_int_equal(piece_of(&parts[1], 2, &pa), -KEEL_EINVAL);

		memset(unit_arena + MORE, 0x5a, MORE_PAGES * PAGE_SIZE);	/* its own */
		assert_int_equal(made_resize(by, 1, KEEL_HC_PART_SHRINK, MORE, 0), -KEEL_EBUSY);
		assert_int_equal(release(MORE), 0);
		assert_int_equal(ncame_back, round);
		assert_int_equal(piece_of(&parts[1], 1, &pa), 0);
		assert_int_equal(frames_count(parts[1].owner), 16);
		assert_int_equal(shrink_all(MORE), 0);
		expect_zero(MORE, MORE_PAGES * PAGE_SIZE);
		assert_int_equal(frames_owner(PAGES(MORE)), OWNER);
		assert_int_equal(frames_count(OWNER), PAGES(MEM_BYTES) - needed() - 16);
	}
	parts[1].alive = running = false;
	loser = by;
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void nothing_moves_before_the_loser_forgot(void **state)
{
	(void)state;
	started();
	memcpy(before, unit_arena, ARENA);
	for (int i = 0; i < 3; i++)
		assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EAGAIN);
	assert_memory_equal(before + MORE, unit_arena + MORE, 4 * PAGE_SIZE);
	assert_int_equal(frames_owner(PAGES(MORE)), FRAMES_MK);
	assert_int_equal(nmemory, 0);
	assert_int_equal(release(MORE), -KEEL_EINVAL);		/* it is not there yet */
	assert_int_equal(grow_all(MORE, 4), 0);
	assert_int_equal(release(MORE), 0);
	memcpy(before, unit_arena, ARENA);
	for (int i = 0; i < 3; i++)
		assert_int_equal(made_resize(by, 1, KEEL_HC_PART_SHRINK, MORE, 0), -KEEL_EAGAIN);
	assert_memory_equal(before + MORE, unit_arena + MORE, 4 * PAGE_SIZE);
	assert_int_equal(frames_owner(PAGES(MORE)), FRAMES_MK);
	assert_int_equal(release(MORE), -KEEL_EINVAL);		/* twice */
}

/* It ends while one piece comes, another leaves and a third is its own. */
static void an_end_in_between_loses_nothing(void **state)
{
	(void)state;
	started();
	assert_int_equal(grow_all(MORE, 4), 0);
	assert_int_equal(grow_all(MORE + 0x10000, 4), 0);
	assert_int_equal(release(MORE), 0);
	loser = by;
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE + 0x20000, 4), -KEEL_EAGAIN);
	parts[1].alive = running = false;
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE + 0x20000, 4), -KEEL_EBUSY);
	assert_int_equal(frames_owner(PAGES(MORE + 0x20000)), OWNER);		/* an error: the creator's */
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE + 0x20000, 4), -KEEL_EBUSY);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void wrong_sizes_are_refused(void **state)
{
	paddr_t pa;

	(void)state;
	assert_int_equal(create("made"), 1);
	assert_int_equal(made_give(by, 1, GIVEN, 16), 0);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EBUSY);		/* not started */
	assert_int_equal(boot(1), 0);
	assert_int_equal(made_resize(by, 0, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EPERM);
	assert_int_equal(made_resize(by, 7, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EBADF);
	assert_int_equal(made_resize(&parts[1], 0, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EPERM);	/* by itself */
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE + 1, 4), -KEEL_EINVAL);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, 0), -KEEL_EINVAL);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, KEEL_GIVE_MAX + 1), -KEEL_EINVAL);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, GIVEN, 4), -KEEL_EFAULT);	/* it has that */
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, QUOTA, 1), -KEEL_EFAULT);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, ~0xfffUL, 1), -KEEL_EFAULT);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_SHRINK, GIVEN, 0), -KEEL_EBUSY);
	assert_int_equal(release(GIVEN + PAGE_SIZE), -KEEL_EINVAL);	/* in the middle */
	assert_int_equal(release(QUOTA), -KEEL_EINVAL);
	assert_int_equal(made_release(by, GIVEN), -KEEL_EINVAL);
	assert_int_equal(piece_of(by, 0, &pa), -KEEL_EINVAL);
	assert_int_equal(piece_of(&parts[1], UINT64_MAX, &pa), -KEEL_EINVAL);
	for (unsigned int i = 1; i < KEEL_PART_EXTENTS; i++)
		assert_int_equal(grow_all(MORE + 2 * i * PAGE_SIZE, 1), 0);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, 1), -KEEL_ENOSPC);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_MEMORY, 12345, 0), 0);
	assert_int_equal(parts[1].vcpu->vp->mem_target, 12345);
	parts[1].alive = running = false;
	loser = by;
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(memory_comes_and_goes_without_a_trace, start, stop),
		cmocka_unit_test_setup_teardown(nothing_moves_before_the_loser_forgot, start, stop),
		cmocka_unit_test_setup_teardown(an_end_in_between_loses_nothing, start, stop),
		cmocka_unit_test_setup_teardown(wrong_sizes_are_refused, start, stop),
	};

	return cmocka_run_group_tests_name("resize", tests, NULL, NULL);
}

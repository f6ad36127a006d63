// SPDX-License-Identifier: MIT
/*
 * Property: a partition made at run time consists of its creator's memory and all of that comes back, zeroed,
 * once nobody can look at it; nothing is written to what was given before the giver has forgotten it; handles mean
 * something from one end to the other, and nothing afterwards.
 * Failure looks like: frames with a third owner, content of one in the hands of the other, a write before the
 * shoot-down or a return before each CPU has left the metakernel, a piece without a bound, a handle too many.
 */
#include "made.h"

/* ---- Cases ------------------------------------------------------------------------------------------ */

static void whole_life_gives_everything_back(void **state)
{
	uint64_t quota = needed() * PAGE_SIZE;
	int handle, chan;

	(void)state;
	for (int round = 0; round < 3; round++) {
		memset(unit_arena + MEM, 0xa5, MEM_BYTES);
		handle = create("made");
		assert_int_equal(handle, 1);
		assert_int_equal(frames_count(FRAMES_MK), quota / PAGE_SIZE);
		assert_int_equal(parts[1].quota_next, QUOTA + quota);		/* all of it is used */
		assert_null(made_take(&parts[1], 1));
		assert_null(made_take(&parts[1], UINT64_MAX / PAGE_SIZE));
		assert_int_equal(made_give(by, 1, GIVEN, PAGES(GIVEN_BYTES)), 0);
		assert_int_equal((uint8_t)unit_arena[GIVEN + 5], 0xa5);			/* content included */
		chan = connect_to(1, WINDOW_BYTES);
		assert_int_equal(chan, 2);
		offer_window(chan);
		memset(unit_arena + WINDOW, 0x66, WINDOW_BYTES);
		assert_int_equal(part_cap(&parts[1], 1, KEEL_CAP_CHANNEL).rights, KEEL_RIGHT_USE);
		assert_int_equal(boot(handle), 0);
		assert_int_equal((uint8_t)unit_arena[GIVEN + GIVEN_BYTES - 1], 0xa5);
		assert_int_equal(parts[1].vcpu->regs->rdi, 0x403000);
		assert_int_equal(parts[1].budget_ns, 12);		/* promised while it may run */
		assert_int_equal(made_reclaim(by, 1), -KEEL_EBUSY);
		parts[1].alive = running = false;
		chan_part_died(&parts[1]);
		assert_int_equal(take_back(1), 0);
		expect_all_back();
		assert_int_equal(parts[1].budget_ns, 0);
		expect_zero(QUOTA, quota);
		expect_zero(GIVEN, GIVEN_BYTES);
		expect_zero(WINDOW, WINDOW_BYTES);
		assert_int_equal((uint8_t)unit_arena[QUOTA + quota], 0xa5);		/* and nothing else */
		assert_int_equal(nshoots, 3u * ((unsigned int)round + 1));
	}
}

static void nothing_is_written_before_the_giver_forgot(void **state)
{
	struct keel_part_create want = request();
	uint64_t need;
	int slot;

	(void)state;
	want.quota_pages = needed();
	slot = made_begin(by, &want, &need);
	memcpy(before, unit_arena, ARENA);
	for (int i = 0; i < 5; i++)
		assert_int_equal(made_go_on(by, (uint64_t)slot), -KEEL_EAGAIN);
	assert_int_equal(changed(), 0);
	assert_int_equal(frames_owner(PAGES(QUOTA)), FRAMES_MK);
	assert_int_equal(made_go_on(&parts[2], (uint64_t)slot), -KEEL_EINVAL);		/* not by another */
	assert_int_equal(made_go_on(by, (uint64_t)slot + 1), -KEEL_EINVAL);
	assert_int_equal(made_go_on(by, UINT64_MAX >> 8), -KEEL_EINVAL);
	assert_int_equal(made_reclaim(by, 1), -KEEL_EBUSY);
	assert_int_equal(made_give(by, 1, GIVEN, 1), -KEEL_EBUSY);
}

/* By a handle that was good until its slot was free, a CPU may still look at it. */
static void a_slot_is_another_when_all_cpus_have_left(void **state)
{
	struct keel_part_create want = request();
	uint64_t need;
	int slot;

	(void)state;
	want.quota_pages = needed();
	slot = made_begin(by, &want, &need);
	assert_int_equal(nasked, 1);
	obeyed = true;
	memcpy(before, unit_arena, ARENA);
	for (int i = 0; i < 5; i++)
		assert_int_equal(made_go_on(by, (uint64_t)slot), -KEEL_EAGAIN);
	assert_int_equal(changed(), 0);
	assert_int_equal(parts[slot].nvcpus, 0);
	left = true;
	for (int i = 0; made_go_on(by, (uint64_t)slot) == -KEEL_EAGAIN; i++)
		assert_in_range(i, 0, MANY);
	assert_int_equal(parts[slot].nvcpus, NVCPUS);
}

static void nothing_returns_before_all_cpus_have_left(void **state)
{
	int handle;

	(void)state;
	handle = create("made");
	assert_int_equal(made_give(by, 1, GIVEN, 16), 0);
	assert_int_equal(boot(handle), 0);
	parts[1].alive = false;
	for (int i = 0; i < 3; i++)		/* a CPU has still to let go of its vCPU */
		assert_int_equal(made_reclaim(by, 1), -KEEL_EAGAIN);
	assert_int_equal(nasked, 1);		/* when it was made */
	assert_int_equal(nroster, NVCPUS);
	running = false;
	for (int i = 0; nasked == 1; i++) {
		assert_int_equal(made_reclaim(by, 1), -KEEL_EAGAIN);
		assert_in_range(i, 0, NVCPUS + 2);
	}
	assert_int_equal(nroster, 0);
	assert_string_equal(parts[1].man->name, "");
	memcpy(before, unit_arena, ARENA);
	for (int i = 0; i < 3; i++)
		assert_int_equal(made_reclaim(by, 1), -KEEL_EAGAIN);
	assert_int_equal(changed(), 0);
	assert_int_equal(frames_count(OWNER), PAGES(MEM_BYTES) - needed() - 16);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void one_that_never_ran_gives_everything_back(void **state)
{
	(void)state;
	assert_int_equal(create("made"), 1);
	assert_int_equal(made_give(by, 1, GIVEN, 3), 0);
	assert_int_equal(made_give(by, 1, GIVEN + 0x10000, 100), 0);
	assert_int_equal(connect_to(1, WINDOW_BYTES), 2);
	assert_int_equal(connect_to(1, WINDOW_BYTES), 3);		/* as many as it likes */
	no_promise = -KEEL_ENOSPC;
	assert_int_equal(boot(1), -KEEL_ENOSPC);
	no_promise = 0;
	assert_int_equal(take_back(1), 0);
	expect_all_back();
	assert_int_equal(made_reclaim(by, 1), -KEEL_EBADF);
	assert_int_equal(chan_kick(by, 2), -KEEL_EBADF);

	/* Without a handle left there is no channel, and it is not lost. */
	assert_int_equal(create("made"), 1);
	while (cap_add(by, KEEL_CAP_CHANNEL, 0, MAX_CHANS - 1) > 0)
		;
	assert_int_equal(connect_to(1, WINDOW_BYTES), -KEEL_ENOSPC);
	assert_int_equal(part_cap(&parts[1], 1, KEEL_CAP_CHANNEL).word, 0);
	cap_remove(by, KEEL_CAP_CHANNEL, MAX_CHANS - 1);
	assert_int_equal(connect_to(1, WINDOW_BYTES), 2);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void wrong_requests_are_refused(void **state)
{
	struct keel_part_create good = request(), want;
	uint64_t need;

	(void)state;
	good.quota_pages = needed();
#define REFUSED(change, error) do { want = good; change; \
	assert_int_equal(made_begin(by, &want, &need), -(error)); } while (0)
	REFUSED(want.name[0] = 0, KEEL_EINVAL);
	REFUSED(want.name[0] = 'A', KEEL_EINVAL);
	REFUSED(memset(want.name, 'a', sizeof(want.name)), KEEL_EINVAL);
	REFUSED(want.budget_ns = 0, KEEL_EINVAL);	/* and a priority above the creator's */
	REFUSED(want.priority = 32, KEEL_EINVAL);
	REFUSED(want.nvcpus = 0, KEEL_EINVAL);
	REFUSED(want.nvcpus = 65, KEEL_EINVAL);
	REFUSED(want.shadow_pages = 63, KEEL_EINVAL);
	REFUSED(want.shadow_pages = UINT32_MAX, KEEL_EINVAL);
	REFUSED(want.flags = 1, KEEL_EINVAL);
	REFUSED(want.reserved[4] = 1, KEEL_EINVAL);
	REFUSED(want.cpus = 4, KEEL_EINVAL);
	REFUSED(want.quota_pa++, KEEL_EINVAL);
	REFUSED(want.quota_pages--, KEEL_ENOMEM);
	REFUSED(want.quota_pages = KEEL_GIVE_MAX + 1, KEEL_ENOMEM);
	REFUSED(want.quota_pages = UINT64_MAX, KEEL_ENOMEM);
	REFUSED(want.quota_pa = MEM - PAGE_SIZE, KEEL_EFAULT);
	REFUSED(want.quota_pa = MEM + MEM_BYTES - PAGE_SIZE, KEEL_EFAULT);
	REFUSED(want.quota_pa = ~0xfffUL, KEEL_EFAULT);
	REFUSED(strcpy(want.name, "linux"), KEEL_EEXIST);
	expect_all_back();
	assert_int_equal(create("made"), 1);
	assert_int_equal(create("made"), -KEEL_EEXIST);
	assert_int_equal(made_give(by, 0, GIVEN, 1), -KEEL_EPERM);
	assert_int_equal(made_give(by, 2, GIVEN, 1), -KEEL_EBADF);
	assert_int_equal(made_give(by, 1, GIVEN + 1, 1), -KEEL_EINVAL);
	assert_int_equal(made_give(by, 1, GIVEN, 0), -KEEL_EINVAL);
	assert_int_equal(made_give(by, 1, GIVEN, KEEL_GIVE_MAX + 1), -KEEL_EINVAL);
	assert_int_equal(made_give(by, 1, QUOTA, 1), -KEEL_EFAULT);
	assert_int_equal(made_give(by, 1, MEM - PAGE_SIZE, 1), -KEEL_EFAULT);
	assert_int_equal(connect_to(1, 0), -KEEL_EINVAL);
	assert_int_equal(connect_to(1, PAGE_SIZE + 1), -KEEL_EINVAL);
	assert_int_equal(connect_to(1, MANIFEST_MAX_WINDOW + PAGE_SIZE), -KEEL_EINVAL);
	assert_int_equal(boot(1), -KEEL_EINVAL);	/* no tables of its own */
	for (unsigned int i = 0; i < KEEL_PART_EXTENTS; i++)
		assert_int_equal(made_give(by, 1, GIVEN + 2 * i * PAGE_SIZE, 1), 0);
	assert_int_equal(made_give(by, 1, GIVEN + 2 * KEEL_PART_EXTENTS * PAGE_SIZE, 1), -KEEL_ENOSPC);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void slots_and_handles_run_out_and_come_back(void **state)
{
	struct keel_part_create want = request();
	uint64_t need, quota = needed() / NVCPUS + 10;
	char name[32];
	int n, slot;

	(void)state;
	want.nvcpus = 1;
	for (n = 0; n < 100; n++) {
		snprintf(want.name, sizeof(want.name), "made-%d", n);
		want.quota_pages = quota;
		want.quota_pa = MEM + (uint64_t)n * quota * PAGE_SIZE;
		if ((uint64_t)(n + 1) * quota > PAGES(MEM_BYTES))
			fail_msg("the test has too little memory");
		slot = made_begin(by, &want, &need);
		if (slot < 0)
			break;
		obeyed = left = true;
		while (made_go_on(by, (uint64_t)slot) == -KEEL_EAGAIN)
			;
	}
	assert_int_equal(slot, -KEEL_ENOSPC);
	assert_int_equal(n, MAX_PARTS - 1);
	left = true;
	for (n = 1; n < (int)MAX_PARTS; n++) {
		int err;

		while ((err = made_reclaim(by, (uint64_t)n)) == -KEEL_EAGAIN)
			left = true;
		assert_int_equal(err, 0);
	}
	expect_all_back();
	snprintf(name, sizeof(name), "made-%d", 5);
	assert_int_equal(create(name), 1);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole_life_gives_everything_back, start, stop),
		cmocka_unit_test_setup_teardown(nothing_is_written_before_the_giver_forgot, start, stop),
		cmocka_unit_test_setup_teardown(a_slot_is_another_when_all_cpus_have_left, start, stop),
		cmocka_unit_test_setup_teardown(nothing_returns_before_all_cpus_have_left, start, stop),
		cmocka_unit_test_setup_teardown(one_that_never_ran_gives_everything_back, start, stop),
		cmocka_unit_test_setup_teardown(wrong_requests_are_refused, start, stop),
		cmocka_unit_test_setup_teardown(slots_and_handles_run_out_and_come_back, start, stop),
	};

	return cmocka_run_group_tests_name("made", tests, NULL, NULL);
}

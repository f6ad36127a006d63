// SPDX-License-Identifier: MIT
/*
 * Property: every frame has exactly one owner (I1); a claim changes all frames of its range or none; the
 * 2 MiB summaries and the counters always say what the single frames say.
 * Failure looks like: the table differs from a naive model after some step, or a sanitizer report.
 */
#include "unit.h"

#include "mm/frames.h"
#include "keel/abi.h"

#define NPFNS	(16 * 512)

static void *memory;

static void start(uint64_t npfns)
{
	free(memory);
	memory = malloc(frames_bytes(npfns));
	assert_non_null(memory);
	memset(memory, 0xa5, frames_bytes(npfns));
	frames_init(memory, npfns);
}

static int teardown(void **state)
{
	(void)state;
	free(memory);
	memory = NULL;
	return 0;
}

static void starts_without_ram(void **state)
{
	(void)state;
	start(1000);
	assert_int_equal(frames_count(FRAMES_NONE), 1024);	/* rounded up to whole 2 MiB */
	assert_int_equal(frames_count(FRAMES_FREE), 0);
	for (uint64_t pfn = 0; pfn < 2000; pfn++) {
		assert_int_equal(frames_owner(pfn), FRAMES_NONE);
		assert_int_equal(frames_owner_2m(pfn), FRAMES_NONE);
	}
	assert_int_equal(frames_alloc_mk(1), 0);
}

static void any_frame_number_is_safe(void **state)
{
	static const uint64_t odd[] = { NPFNS, NPFNS + 1, 1ull << 40, 1ull << 52, (uint64_t)INT64_MAX,
					1ull << 63, UINT64_MAX - 1, UINT64_MAX };
	(void)state;
	start(NPFNS);
	frames_add_ram(0, UINT64_MAX);
	assert_int_equal(frames_count(FRAMES_FREE), NPFNS);
	for (size_t i = 0; i < NELEM(odd); i++) {
		assert_int_equal(frames_owner(odd[i]), FRAMES_NONE);
		assert_int_equal(frames_owner_2m(odd[i]), FRAMES_NONE);
		assert_int_equal(frames_add_ram(odd[i], 1), 0);
		assert_int_equal(frames_claim(odd[i], 1, FRAMES_NONE, 2), -KEEL_EPERM);
		assert_int_equal(frames_claim(0, odd[i] + 1, FRAMES_FREE, 2), odd[i] + 1 ? -KEEL_EPERM : -KEEL_EINVAL);
		assert_int_equal(frames_claim(NPFNS - 1, odd[i], FRAMES_FREE, 2), -KEEL_EPERM);
		assert_int_equal(frames_alloc_mk(odd[i] + 1), 0);
		frames_note_uncached(odd[i], 2);
		frames_note_uncached(NPFNS - 1, odd[i]);
		assert_false(frames_take_uncached(odd[i]));
	}
	assert_int_equal(frames_count(FRAMES_FREE), NPFNS);
	for (uint64_t pfn = 0; pfn < NPFNS; pfn++) {
		assert_int_equal(frames_owner(pfn), FRAMES_FREE);
		assert_int_equal(frames_owner_2m(pfn), FRAMES_FREE);
	}
}

/* No two owners share a counter. */
static void every_owner_is_counted_alone(void **state)
{
	(void)state;
	start(NPFNS);
	for (unsigned int round = 1; round <= 2; round++) {
		for (unsigned int o = 1; o <= FRAMES_FREE; o++) {
			assert_int_equal(frames_claim(o * 2 + round, 1, FRAMES_NONE, (uint16_t)o), 0);
			assert_int_equal(frames_count((uint16_t)o), round);
		}
		for (unsigned int c = 0; c < FRAMES_MAX_CHANNELS; c++) {
			uint16_t o = (uint16_t)(FRAMES_CHANNEL | c);

			assert_int_equal(frames_claim(1000 + c * 2 + round, 1, FRAMES_NONE, o), 0);
			assert_int_equal(frames_count(o), round);
		}
	}
	assert_int_equal(frames_count(FRAMES_NONE), NPFNS - 2 * (FRAMES_FREE + FRAMES_MAX_CHANNELS));
}

static void owners_that_do_not_exist_are_refused(void **state)
{
	static const uint16_t odd[] = { FRAMES_FREE + 1, 200, FRAMES_MIXED, FRAMES_CHANNEL | FRAMES_MAX_CHANNELS, 0xffff };

	(void)state;
	start(NPFNS);
	frames_add_ram(0, NPFNS);
	for (size_t i = 0; i < NELEM(odd); i++) {
		assert_int_equal(frames_claim(0, 1, FRAMES_FREE, odd[i]), -KEEL_EINVAL);
		assert_int_equal(frames_claim(0, 1, odd[i], FRAMES_FREE), -KEEL_EINVAL);
		assert_int_equal(frames_alloc(odd[i], 1), 0);
		assert_int_equal(frames_claim_all(FRAMES_FREE, odd[i]), 0);
		assert_int_equal(frames_count(odd[i]), 0);
	}
	assert_int_equal(frames_claim(0, 0, FRAMES_FREE, 2), -KEEL_EINVAL);
	assert_int_equal(frames_count(FRAMES_FREE), NPFNS);
}

/* One wrong frame anywhere in the range: nothing may have changed. */
static void claim_is_all_or_nothing(void **state)
{
	(void)state;
	start(NPFNS);
	frames_add_ram(0, NPFNS);
	for (uint64_t bad = 100; bad < 1700; bad += 7) {
		assert_int_equal(frames_claim(bad, 1, FRAMES_FREE, 3), 0);
		assert_int_equal(frames_claim(100, 1600, FRAMES_FREE, 2), -KEEL_EPERM);
		assert_int_equal(frames_count(2), 0);
		assert_int_equal(frames_owner(100), bad == 100 ? 3 : FRAMES_FREE);
		assert_int_equal(frames_claim(bad, 1, 3, FRAMES_FREE), 0);
	}
	assert_int_equal(frames_claim(100, 1600, FRAMES_FREE, 2), 0);
	assert_int_equal(frames_claim(100, 1600, FRAMES_FREE, 2), -KEEL_EPERM);
	assert_int_equal(frames_count(2), 1600);
}

static void summary_follows_each_frame(void **state)
{
	(void)state;
	start(NPFNS);
	frames_add_ram(0, NPFNS);
	assert_int_equal(frames_owner_2m(512), FRAMES_FREE);
	for (uint64_t i = 0; i < 512; i++) {	/* down, then up */
		assert_int_equal(frames_claim(1023 - i, 1, FRAMES_FREE, 2), 0);
		assert_int_equal(frames_owner_2m(700), i < 511 ? FRAMES_MIXED : 2);
	}
	for (uint64_t i = 0; i < 512; i++) {
		assert_int_equal(frames_claim(512 + i, 1, 2, FRAMES_CHANNEL | 1), 0);
		assert_int_equal(frames_owner_2m(700), i < 511 ? FRAMES_MIXED : FRAMES_CHANNEL | 1);
	}
	assert_int_equal(frames_owner_2m(511), FRAMES_FREE);
	assert_int_equal(frames_owner_2m(1024), FRAMES_FREE);
}

static void allocation_is_from_the_top_and_aligned(void **state)
{
	uint64_t a, b, c;

	(void)state;
	start(NPFNS);
	frames_add_ram(0, NPFNS - 100);
	a = frames_alloc_mk(1);
	assert_int_equal(a >> 12, NPFNS - 101);
	b = frames_alloc(2, 512);
	assert_int_equal(b >> 12, NPFNS - 1024);
	c = frames_alloc(3, 513);
	assert_int_equal(c >> 12, NPFNS - 2048);
	assert_int_equal(frames_owner(c >> 12), 3);
	assert_int_equal(frames_owner((c >> 12) + 512), 3);
	assert_int_equal(frames_owner((c >> 12) + 513), FRAMES_FREE);
	/* small ones use the gaps, larger ones pass over them */
	assert_int_equal(frames_alloc_mk(411) >> 12, NPFNS - 512);
	assert_int_equal(frames_alloc_mk(1) >> 12, NPFNS - 1025);
	assert_int_equal(frames_count(FRAMES_MK), 413);
}

static void everything_above_1_mib_can_be_allocated(void **state)
{
	uint64_t n = 0;

	(void)state;
	start(2048);
	frames_add_ram(0, 2048);
	while (frames_alloc_mk(3))
		n += 3;
	while (frames_alloc_mk(1))
		n++;
	assert_int_equal(n, 2048 - FRAMES_LOWEST_ALLOC);
	assert_int_equal(frames_owner(FRAMES_LOWEST_ALLOC), FRAMES_MK);
	assert_int_equal(frames_owner(FRAMES_LOWEST_ALLOC - 1), FRAMES_FREE);
	start(2048);
	frames_add_ram(0, 2048);
	assert_int_equal(frames_alloc(2, 2048), 0);
	assert_int_equal(frames_alloc(2, 1537), 0);
	assert_int_equal(frames_alloc(2, 1536) >> 12, 512);
	assert_int_equal(frames_alloc(2, 0), 0);
}

static void ram_ranges_may_overlap(void **state)
{
	(void)state;
	start(NPFNS);
	assert_int_equal(frames_add_ram(10, 100), 100);
	assert_int_equal(frames_claim(20, 5, FRAMES_FREE, FRAMES_MK), 0);
	assert_int_equal(frames_add_ram(0, 200), 100);
	assert_int_equal(frames_owner(22), FRAMES_MK);
	assert_int_equal(frames_count(FRAMES_FREE), 195);
	assert_int_equal(frames_add_ram(NPFNS - 1, UINT64_MAX), 1);
}

static void runs_are_found(void **state)
{
	uint64_t pfn = 0, n;

	(void)state;
	start(NPFNS);
	frames_add_ram(0, NPFNS);
	frames_claim(5, 3, FRAMES_FREE, 2);
	frames_claim(500, 1500, FRAMES_FREE, 2);
	frames_claim(NPFNS - 1, 1, FRAMES_FREE, 2);
	assert_true(frames_next_run(2, &pfn, &n));
	assert_true(pfn == 5 && n == 3);
	pfn += n;
	assert_true(frames_next_run(2, &pfn, &n));
	assert_true(pfn == 500 && n == 1500);
	pfn = 600;
	assert_true(frames_next_run(2, &pfn, &n));
	assert_true(pfn == 600 && n == 1400);
	pfn += n;
	assert_true(frames_next_run(2, &pfn, &n));
	assert_true(pfn == NPFNS - 1 && n == 1);
	pfn += n;
	assert_false(frames_next_run(2, &pfn, &n));
	assert_int_equal(frames_claim_all(2, FRAMES_CHANNEL | 31), 1504);
	assert_int_equal(frames_count(2), 0);
	assert_int_equal(frames_count(FRAMES_CHANNEL | 31), 1504);
	assert_int_equal(frames_owner(1999), FRAMES_CHANNEL | 31);
	assert_int_equal(frames_claim_all(FRAMES_FREE, FRAMES_FREE), NPFNS - 1504);
}

static void uncached_marks_are_taken_once(void **state)
{
	(void)state;
	start(NPFNS);
	frames_add_ram(0, NPFNS);
	frames_note_uncached(7, 2);
	assert_false(frames_take_uncached(6));
	assert_true(frames_take_uncached(7));
	assert_false(frames_take_uncached(7));
	assert_int_equal(frames_claim(8, 1, FRAMES_FREE, 2), 0);	/* a claim does not forget it */
	assert_true(frames_take_uncached(8));
	assert_false(frames_take_uncached(9));
}

/* ---- Random operations against a model ---------------------------------------------------------- */

static uint16_t model[NPFNS];

static const uint16_t owners[] = { FRAMES_NONE, FRAMES_FREE, FRAMES_MK, 2, 3, FRAMES_CHANNEL, FRAMES_CHANNEL | 5 };

static bool model_all(uint64_t pfn, uint64_t n, uint16_t owner)
{
	if (pfn + n > NPFNS)
		return false;
	for (uint64_t i = pfn; i < pfn + n; i++)
		if (model[i] != owner)
			return false;
	return true;
}

static void model_set(uint64_t pfn, uint64_t n, uint16_t owner)
{
	for (uint64_t i = pfn; i < pfn + n; i++)
		model[i] = owner;
}

/* The highest range, found the slow way. */
static uint64_t model_alloc(uint64_t n)
{
	for (uint64_t at = NPFNS - n + 1; at-- > FRAMES_LOWEST_ALLOC; )
		if ((n < 512 || at % 512 == 0) && model_all(at, n, FRAMES_FREE))
			return at;
	return 0;
}

static void assert_same(void)
{
	uint64_t count[NELEM(owners)] = { 0 };

	for (uint64_t b = 0; b < NPFNS / 512; b++) {
		uint16_t all = model[b * 512];

		for (uint64_t i = b * 512; i < b * 512 + 512; i++) {
			if (frames_owner(i) != model[i])
				fail_msg("frame %lu: owner %#x, should be %#x", i, frames_owner(i), model[i]);
			if (model[i] != all)
				all = FRAMES_MIXED;
			for (size_t k = 0; k < NELEM(owners); k++)
				count[k] += owners[k] == model[i];
		}
		if (frames_owner_2m(b * 512 + b) != all)
			fail_msg("block %lu: summary %#x, should be %#x", b, frames_owner_2m(b * 512), all);
	}
	for (size_t k = 0; k < NELEM(owners); k++)
		assert_int_equal(frames_count(owners[k]), count[k]);
}

static uint64_t random_length(uint64_t *seed)
{
	static const uint32_t sizes[] = { 1, 4, 511, 512, 513, 1024, 3000 };
	uint32_t max = sizes[unit_below(seed, NELEM(sizes))];

	return unit_below(seed, 2) ? max : 1 + unit_below(seed, max);
}

static void one_operation(uint64_t *seed)
{
	uint64_t n = random_length(seed), pfn = unit_below(seed, NPFNS + 50), at;
	uint16_t to = owners[unit_below(seed, NELEM(owners))];
	/* mostly the owner that is there, so that most claims succeed */
	uint16_t from = pfn < NPFNS && unit_below(seed, 4) ? model[pfn] : owners[unit_below(seed, NELEM(owners))];

	if (unit_below(seed, 2))
		pfn = pfn / 512 * 512;
	switch (unit_below(seed, 8)) {
	case 0:
		at = model_alloc(n);
		assert_int_equal(frames_alloc(to, n) >> 12, at);
		if (at)
			model_set(at, n, to);
		break;
	case 1:
		frames_add_ram(pfn, n);
		for (at = pfn; at < pfn + n && at < NPFNS; at++)
			if (model[at] == FRAMES_NONE)
				model[at] = FRAMES_FREE;
		break;
	case 2:
		if (unit_below(seed, 50))
			break;
		frames_claim_all(from, to);
		for (at = 0; at < NPFNS; at++)
			if (model[at] == from)
				model[at] = to;
		break;
	default:
		if (model_all(pfn, n, from)) {
			assert_int_equal(frames_claim(pfn, n, from, to), 0);
			model_set(pfn, n, to);
		} else {
			assert_int_equal(frames_claim(pfn, n, from, to), -KEEL_EPERM);
		}
	}
}

static void random_operations_match_the_model(void **state)
{
	uint64_t seed = 0x6672616d;

	(void)state;
	for (int round = 0; round < 10; round++) {
		start(NPFNS);
		memset(model, 0, sizeof(model));
		frames_add_ram(0, NPFNS / 2);
		model_set(0, NPFNS / 2, FRAMES_FREE);
		for (int i = 0; i < 1000; i++) {
			one_operation(&seed);
			if (i % 8 == 0)
				assert_same();
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_without_ram),
		cmocka_unit_test(any_frame_number_is_safe),
		cmocka_unit_test(every_owner_is_counted_alone),
		cmocka_unit_test(owners_that_do_not_exist_are_refused),
		cmocka_unit_test(claim_is_all_or_nothing),
		cmocka_unit_test(summary_follows_each_frame),
		cmocka_unit_test(allocation_is_from_the_top_and_aligned),
		cmocka_unit_test(everything_above_1_mib_can_be_allocated),
		cmocka_unit_test(ram_ranges_may_overlap),
		cmocka_unit_test(runs_are_found),
		cmocka_unit_test(uncached_marks_are_taken_once),
		cmocka_unit_test(random_operations_match_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, teardown) ? 1 : 0;
}

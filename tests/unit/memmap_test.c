// SPDX-License-Identifier: MIT
/*
 * Property: a normalised memory map is sorted, disjoint and joined, and calls RAM only what the
 * firmware called RAM and nothing else claimed.
 * Failure looks like: a region or an address with the wrong type, or a report of a sanitizer.
 */
#include "unit.h"

#include <hal/memmap.h>

static void expect(const struct boot_region *got, unsigned int n, const struct boot_region *want, unsigned int nwant)
{
	assert_int_equal(n, nwant);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(got[i].base, want[i].base);
		assert_int_equal(got[i].bytes, want[i].bytes);
		assert_int_equal(got[i].type, want[i].type);
	}
}

static void overlaps_go_to_the_less_usable(void **state)
{
	struct boot_region r[8] = {
		{ 0x100000, 0x100000, BOOT_RAM, 0 },
		{ 0x180000, 0x1000, BOOT_RESERVED, 0 },
		{ 0, 0xa0000, BOOT_RAM, 0 },
		{ 0x9f000, 0x2000, BOOT_RESERVED, 0 },
		{ 0x200000, 0x1000, BOOT_RAM, 0 },
		{ 0x300000, 0, BOOT_RAM, 0 },
	};
	const struct boot_region want[] = {
		{ 0, 0x9f000, BOOT_RAM, 0 },
		{ 0x9f000, 0x2000, BOOT_RESERVED, 0 },
		{ 0x100000, 0x80000, BOOT_RAM, 0 },
		{ 0x180000, 0x1000, BOOT_RESERVED, 0 },
		{ 0x181000, 0x80000, BOOT_RAM, 0 },
	};

	(void)state;
	expect(r, memmap_normalise(r, 6, 8), want, NELEM(want));
}

static void sizes_that_wrap_are_clamped(void **state)
{
	struct boot_region r[2] = { { UINT64_MAX - 0xfff, UINT64_MAX, BOOT_RESERVED, 0 } };

	(void)state;
	assert_int_equal(memmap_normalise(r, 1, 2), 1);
	assert_int_equal(r[0].bytes, 0xfff);
}

static void what_does_not_fit_is_not_ram(void **state)
{
	struct boot_region r[3] = {
		{ 0, 0x1000, BOOT_RAM, 0 }, { 0x2000, 0x1000, BOOT_RAM, 0 }, { 0x4000, 0x1000, BOOT_RAM, 0 },
	};

	(void)state;
	assert_int_equal(memmap_normalise(r, 3, 2), 2);
	assert_int_equal(memmap_memory(r, 2, 0x4000, 0x1000), MEMMAP_NONE);
}

static unsigned int rank(uint32_t type)
{
	static const unsigned int by_type[] = { 0, 1, 4, 2, 3, 5 };

	return type < NELEM(by_type) ? by_type[type] : 4;
}

/* Random maps of small numbers against a byte-by-byte answer. */
static void random_maps_agree_with_a_simple_answer(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (unsigned int round = 0; round < 2000; round++) {
		struct boot_region r[BOOT_MAX_REGIONS] = { 0 };
		uint32_t want[128] = { 0 };
		unsigned int n = unit_below(&seed, 12);

		for (unsigned int i = 0; i < n; i++) {
			r[i].base = unit_below(&seed, 64);
			r[i].bytes = unit_below(&seed, 64);
			r[i].type = 1 + unit_below(&seed, 7);
			for (uint64_t p = r[i].base; p < r[i].base + r[i].bytes; p++)
				if (rank(r[i].type) > rank(want[p]))
					want[p] = r[i].type;
		}
		n = memmap_normalise(r, n, BOOT_MAX_REGIONS);
		for (unsigned int i = 0; i < n; i++) {
			assert_true(r[i].bytes > 0);
			if (i)
				assert_true(r[i - 1].base + r[i - 1].bytes <= r[i].base);
			for (uint64_t p = r[i].base; p < r[i].base + r[i].bytes; p++) {
				assert_int_equal(rank(want[p]), rank(r[i].type));
				want[p] = 0;
			}
		}
		for (unsigned int p = 0; p < NELEM(want); p++)
			assert_int_equal(want[p], 0);
	}
}

static void memory_kinds(void **state)
{
	const struct boot_region r[] = {
		{ 0, 0x9f000, BOOT_RAM, 0 },
		{ 0x9f000, 0x61000, BOOT_RESERVED, 0 },
		{ 0x100000, 0x300000, BOOT_RAM, 0 },
		{ 0x400000, 0x200000, BOOT_ACPI, 0 },
	};

	(void)state;
	assert_int_equal(memmap_memory(r, 4, 0, 0x200000), MEMMAP_SOME);
	assert_int_equal(memmap_memory(r, 4, 0x200000, 0x200000), MEMMAP_ALL);
	assert_int_equal(memmap_memory(r, 4, 0x300000, 0x200000), MEMMAP_ALL);
	assert_int_equal(memmap_memory(r, 4, 0x9f000, 0x1000), MEMMAP_NONE);
	assert_int_equal(memmap_memory(r, 4, 0x10000000, 0x200000), MEMMAP_NONE);
}

static void found_ram_avoids_the_hole(void **state)
{
	const struct boot_region r[] = {
		{ 0, 0x9f000, BOOT_RAM, 0 },
		{ 0x100000, 0x100000, BOOT_RAM, 0 },
		{ 0x200000, 0x100000, BOOT_RESERVED, 0 },
		{ 0x300000, 0x100000, BOOT_RAM, 0 },
	};

	(void)state;
	assert_int_equal(memmap_find_ram(r, 4, 0x123456, 0x1000, 0, 0), 0x124000);
	/* the hole begins right there, in its middle, and ends inside a page */
	assert_int_equal(memmap_find_ram(r, 4, 0x120000, 0x1000, 0x120000, 0x5001), 0x126000);
	assert_int_equal(memmap_find_ram(r, 4, 0x120000, 0x2000, 0x121000, 0x1000), 0x122000);
	assert_int_equal(memmap_find_ram(r, 4, 0x120000, 0x1000, 0x121000, 0x1000), 0x120000);
	/* not enough room before the reserved part */
	assert_int_equal(memmap_find_ram(r, 4, 0x1ff000, 0x2000, 0, 0), 0x300000);
	assert_int_equal(memmap_find_ram(r, 4, 0x3ff000, 0x2000, 0, 0), 0);
	assert_int_equal(memmap_find_ram(r, 4, 0x100000, 0x1000, 0x100000, 0x300000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(overlaps_go_to_the_less_usable),
		cmocka_unit_test(sizes_that_wrap_are_clamped),
		cmocka_unit_test(what_does_not_fit_is_not_ram),
		cmocka_unit_test(random_maps_agree_with_a_simple_answer),
		cmocka_unit_test(memory_kinds),
		cmocka_unit_test(found_ram_avoids_the_hole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

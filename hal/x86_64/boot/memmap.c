// SPDX-License-Identifier: MIT
/*
 * memmap.c - make a firmware memory map usable.
 *
 * Firmware maps overlap and come unsorted. We cut the address space at every start and end, give
 * each piece the least usable type that claims it, and join equal neighbours.
 *
 * Context:    boot, one CPU (static scratch arrays); also built on the host for unit tests.
 * Trusts:     nothing; bases and sizes may be anything, sums are clamped.
 */
#include <hal/memmap.h>

static uint64_t region_end(const struct boot_region *r)
{
	return r->base + r->bytes < r->base ? UINT64_MAX : r->base + r->bytes;
}

/* Higher wins where regions overlap. */
static unsigned int severity(uint32_t type)
{
	switch (type) {
	case BOOT_RAM:
		return 1;
	case BOOT_ACPI:
		return 2;
	case BOOT_NVS:
		return 3;
	case BOOT_BAD:
		return 5;
	default:
		return 4;
	}
}

static void sort(uint64_t *v, unsigned int n)
{
	for (unsigned int i = 1; i < n; i++) {
		uint64_t x = v[i];
		unsigned int j = i;

		for (; j > 0 && v[j - 1] > x; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
}

/* The type of [at, next piece), 0 if nobody claims it. */
static uint32_t type_at(const struct boot_region *region, unsigned int n, uint64_t at)
{
	uint32_t type = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (at < region[i].base || at >= region_end(&region[i]))
			continue;
		if (!type || severity(region[i].type) > severity(type))
			type = region[i].type;
	}
	return type;
}

unsigned int memmap_normalise(struct boot_region *region, unsigned int n, unsigned int max)
{
	static uint64_t cut[2 * BOOT_MAX_REGIONS];
	static struct boot_region in[BOOT_MAX_REGIONS];
	unsigned int ncuts = 0, out = 0;

	if (n > BOOT_MAX_REGIONS)
		n = BOOT_MAX_REGIONS;
	for (unsigned int i = 0; i < n; i++) {
		in[i] = region[i];
		cut[ncuts++] = in[i].base;
		cut[ncuts++] = region_end(&in[i]);
	}
	sort(cut, ncuts);
	for (unsigned int i = 0; i + 1 < ncuts; i++) {
		uint64_t base = cut[i], end = cut[i + 1];
		uint32_t type = type_at(in, n, base);

		if (base == end || !type)
			continue;
		if (out && region[out - 1].type == type && region_end(&region[out - 1]) == base) {
			region[out - 1].bytes += end - base;
			continue;
		}
		if (out == max)
			break;
		region[out].base = base;
		region[out].bytes = end - base;
		region[out].type = type;
		region[out].reserved = 0;
		out++;
	}
	return out;
}

enum memmap_kind memmap_memory(const struct boot_region *region, unsigned int n,
			       uint64_t base, uint64_t bytes)
{
	uint64_t end = base + bytes, covered = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t lo = max_u64(base, region[i].base), hi = min_u64(end, region_end(&region[i]));

		if (lo < hi && severity(region[i].type) <= 3)
			covered += hi - lo;
	}
	if (!covered)
		return MEMMAP_NONE;
	return covered == bytes ? MEMMAP_ALL : MEMMAP_SOME;
}

uint64_t memmap_find_ram(const struct boot_region *region, unsigned int n, uint64_t from,
			 uint64_t bytes, uint64_t hole, uint64_t hole_bytes)
{
	for (unsigned int i = 0; i < n; i++) {
		uint64_t base = align_up(max_u64(from, region[i].base), PAGE_SIZE);
		uint64_t end = align_down(region_end(&region[i]), PAGE_SIZE);

		if (region[i].type != BOOT_RAM)
			continue;
		if (base < hole + hole_bytes && base + bytes > hole && hole_bytes)
			base = align_up(hole + hole_bytes, PAGE_SIZE);
		if (base < end && end - base >= bytes)
			return base;
	}
	return 0;
}

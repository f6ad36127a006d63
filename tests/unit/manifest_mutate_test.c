// SPDX-License-Identifier: MIT
/*
 * Property: 10,000 manifests, mutated at random from good ones, are each either refused with a place and
 * a reason or read into a struct manifest that keeps every promise of manifest.h; none causes a fault.
 * Failure looks like: a sanitizer report, a refusal without a reason, or a broken promise. The number of
 * the mutation is printed; the seed is fixed, so each run does the same.
 *
 * Usage: manifest_mutate_test [COUNT [SEED]]
 */
#include "unit.h"

#include <libfdt.h>

#include "dts.h"
#include "boot/manifest.h"

static unsigned long count = 10000;
static uint64_t seed = 0x4b65656c;

static void assert_terminated(const char *s, size_t size, bool may_be_empty)
{
	assert_true(strnlen(s, size) < size);
	assert_true(may_be_empty || s[0]);
}

/* As load_all() does, on a machine of any size. */
static void place(struct manifest *m, uint64_t ram)
{
	struct parse_error e;

	for (unsigned int i = 0; i < m->nparts; i++) {
		manifest_place(&m->parts[i], UINT64_MAX >> (unsigned int)ram % MANIFEST_MAX_VCPUS);
		assert_in_range(m->parts[i].vcpus, 1, MANIFEST_MAX_VCPUS);
	}
	manifest_size_pools(m, ram);
	manifest_fits(m, ram, &e);
}

static void assert_part(const struct manifest *m, unsigned int i)
{
	const struct manifest_part *p = &m->parts[i];

	assert_terminated(p->name, sizeof(p->name), false);
	assert_terminated(p->image, sizeof(p->image), false);
	assert_terminated(p->initrd, sizeof(p->initrd), true);
	assert_terminated(p->cmdline, sizeof(p->cmdline), true);
	assert_terminated(p->console, sizeof(p->console), true);
	assert_true(p->kind < MANIFEST_NKINDS && p->priority < MANIFEST_NPRIORITIES);
	assert_in_range(p->vcpus, p->kind != MANIFEST_LINUX, MANIFEST_MAX_VCPUS);
	assert_in_range(p->shadow_pages, MANIFEST_MIN_SHADOW, MANIFEST_MAX_SHADOW);
	if (p->mem_rest)
		assert_int_equal(p->mem_bytes, 0);
	else
		assert_in_range(p->mem_bytes, MANIFEST_MIN_MEMORY, MANIFEST_MAX_MEMORY);
	assert_int_equal(p->mem_bytes % MANIFEST_PAGE, 0);
	assert_true(p->mem_rest == (p->kind == MANIFEST_LINUX) || p->kind == MANIFEST_TEST);
	assert_true(p->nmodules <= MANIFEST_MAX_MODULES);
	for (unsigned int k = 0; k < p->nmodules; k++)
		assert_terminated(p->modules[k], sizeof(p->modules[k]), false);
	for (unsigned int k = 0; k < i; k++) {
		const struct manifest_part *o = &m->parts[k];

		assert_string_not_equal(p->name, o->name);
		assert_false((p->mem_rest && o->mem_rest) || (p->devices && o->devices));
	}
}

static void assert_promises(const struct manifest *m)
{
	assert_in_range(m->nparts, 1, MANIFEST_MAX_PARTS);
	assert_true(m->nchans <= MANIFEST_MAX_CHANS);
	for (unsigned int i = 0; i < m->nparts; i++)
		assert_part(m, i);
	for (unsigned int i = 0; i < m->nchans; i++) {
		const struct manifest_chan *c = &m->chans[i];

		assert_terminated(c->name, sizeof(c->name), false);
		assert_true(c->server < m->nparts && c->client < m->nparts && c->server != c->client);
		assert_in_range(c->window, MANIFEST_PAGE, MANIFEST_MAX_WINDOW);
		assert_int_equal(c->window % MANIFEST_PAGE, 0);
	}
}

/* Move, repeat or remove a piece, as a careless tool would. Keeps the length. */
static void shuffle(uint8_t *data, size_t len)
{
	size_t n = 4 * (1 + unit_below(&seed, 16));
	size_t from = 4 * unit_below(&seed, (uint32_t)((len - n) / 4));
	size_t to = 4 * unit_below(&seed, (uint32_t)((len - n) / 4));

	memmove(data + to, data + from, n);
}

static void put_word(uint8_t *data, size_t len)
{
	static const uint32_t words[] = { 0, 1, 2, 3, 4, 8, 9, 31, 32, 64, 0x1000, 0xffff, 0x10000, 0x7fffffff,
					  0x80000000, 0xfffffffc, 0xffffffff };
	uint32_t v = words[unit_below(&seed, NELEM(words))];
	uint8_t *p = data + 4 * unit_below(&seed, (uint32_t)len / 4);

	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

/* One change. Mostly small, so that many mutations get past the first checks. */
static void mutate(uint8_t *data, size_t len)
{
	switch (unit_below(&seed, 8)) {
	case 0:
		data[unit_below(&seed, (uint32_t)len)] ^= (uint8_t)(1u << unit_below(&seed, 8));
		break;
	case 1:
		data[unit_below(&seed, (uint32_t)len)] = (uint8_t)unit_random(&seed);
		break;
	case 2:
	case 3:
		put_word(data, len);
		break;
	case 4:
		put_word(data, 40);	/* the header */
		break;
	case 5:
		shuffle(data, len);
		break;
	default: {			/* a printable character: names, values */
		uint8_t *p = data + unit_below(&seed, (uint32_t)len);

		if (*p >= 'a' && *p <= 'z')
			*p = (uint8_t)('a' + unit_below(&seed, 26));
	}
	}
}

static void mutated_manifests_do_no_harm(void **state)
{
	static struct manifest m;
	struct parse_error e;
	char *minimal = dts_replace("/dts-v1/; / { compatible = \"keel,system-1\"; partitions { a {"
				    "kind = \"test\"; image = \"a\"; memory-rest; priority = <1>;"
				    "shadow-pages = <64>; }; }; X };", "X", "channels { };");
	size_t len[2];
	void *good[2] = { dts_compile(dts_good, "", &len[0]), dts_compile(minimal, "", &len[1]) };
	unsigned long accepted = 0, refused = 0;

	(void)state;
	for (unsigned long i = 0; i < count; i++) {
		unsigned int which = unit_below(&seed, 8) ? 0 : 1;
		size_t n = len[which];
		uint8_t *fdt = unit_copy(good[which], n);

		for (uint32_t k = 1 + unit_below(&seed, 4); k; k--)
			mutate(fdt, n);
		if (!unit_below(&seed, 16)) {	/* cut short */
			void *whole = fdt;

			n = unit_below(&seed, (uint32_t)n);
			fdt = unit_copy(whole, n);
			free(whole);
		}
		memset(&e, 0, sizeof(e));
		if (!manifest_parse(fdt, n, &m, &e)) {
			assert_promises(&m);
			place(&m, unit_random(&seed));
			accepted++;
		} else {
			assert_true(e.node[0] == '/' && e.msg[0]);
			assert_terminated(e.node, sizeof(e.node), false);
			assert_terminated(e.prop, sizeof(e.prop), true);
			assert_terminated(e.msg, sizeof(e.msg), false);
			refused++;
		}
		unit_free(fdt, n);
	}
	printf("%lu mutated manifests: %lu refused, %lu still correct, no fault\n", count, refused, accepted);
	assert_true(refused > accepted && accepted > 0);
	free(good[0]);
	free(good[1]);
	free(minimal);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(mutated_manifests_do_no_harm),
	};

	if (argc > 1)
		count = strtoul(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0) | 1;
	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

// SPDX-License-Identifier: MIT
/*
 * runtime_heap_test.c - the runtime's allocator on a block of the host's memory.
 *
 * Shows: blocks are aligned, apart, inside the heap, and keep their bytes through a long random
 * mix of calls; after all is freed the heap is one piece again; impossible requests are NULL.
 */
#include "unit.h"

#include <errno.h>
#include <malloc.h>

#define malloc		rt_malloc
#define free		rt_free
#define calloc		rt_calloc
#define realloc		rt_realloc
#define aligned_alloc	rt_aligned_alloc
#define memalign	rt_memalign
#define posix_memalign	rt_posix_memalign
#define malloc_usable_size rt_malloc_usable_size
#define __libc_malloc	rt_libc_malloc
#define __libc_calloc	rt_libc_calloc
#define __libc_realloc	rt_libc_realloc
#define __libc_free	rt_libc_free

void *rt_malloc(size_t n);
void rt_free(void *p);
void *rt_calloc(size_t n, size_t each);
void *rt_realloc(void *p, size_t n);
void *rt_aligned_alloc(size_t align, size_t n);
void *rt_memalign(size_t align, size_t n);
int rt_posix_memalign(void **out, size_t align, size_t n);
size_t rt_malloc_usable_size(void *p);

#include "../../unikernel-runtime/heap.c"

#define HEAP_BYTES	(1UL << 20)
#define BLOCKS		300
#define STEPS		300000

static _Alignas(4096) char heap[HEAP_BYTES + 4096];

static struct block {
	unsigned char *p;
	size_t n;
	unsigned char tag;
} blocks[BLOCKS];

static int panicked;

_Noreturn void rt_panic(const char *why)
{
	(void)why;
	panicked++;
	fail();
	__builtin_unreachable();
}

static char later[65536] __attribute__((aligned(16)));
static bool comes;		/* when malloc() asks */
static int asked;

bool memory_look(void)
{
	asked++;
	if (!comes)
		return false;
	comes = false;
	heap_add(later, sizeof(later));
	return true;
}

/* Every chunk from the start: sizes add up, free flags agree, no two free neighbours. */
static void check_chunks(void)
{
	struct chunk *c = (struct chunk *)heap;
	size_t before = 0;

	while (size_of(c)) {
		assert_int_equal(!!(c->head & PREV_FREE), before != 0);
		if (before)
			assert_int_equal(c->prev_size, before);
		if (c->head & THIS_FREE)
			assert_int_equal(before, 0);
		before = c->head & THIS_FREE ? size_of(c) : 0;
		c = at(c, size_of(c));
	}
	assert_ptr_equal(c, heap + HEAP_BYTES - HEAD);
}

static void check_block(const struct block *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->p[i] != b->tag)
			fail_msg("byte %zu of %zu: %#x, not %#x", i, b->n, b->p[i], b->tag);
}

static void fill_block(struct block *b, unsigned char *p, size_t n, unsigned char tag)
{
	assert_true((char *)p >= heap && (char *)p + n <= heap + HEAP_BYTES);
	assert_int_equal((uintptr_t)p % 16, 0);
	b->p = p;
	b->n = n;
	b->tag = tag;
	for (size_t i = 0; i < n; i++)
		p[i] = tag;
}

static size_t random_size(uint64_t *state)
{
	return unit_random(state) % (1UL << (unit_random(state) % 15 + 1));
}

static void one_step(uint64_t *state, unsigned step)
{
	struct block *b = &blocks[unit_random(state) % BLOCKS];
	size_t n = random_size(state), keep;
	unsigned char *p;

	if (b->p)
		check_block(b);
	if (!b->p) {
		bool aligned = unit_random(state) % 8 == 0;
		size_t align = 32UL << unit_random(state) % 8;

		p = aligned ? rt_aligned_alloc(align, n) : rt_malloc(n);
		if (!p)
			return;
		if (aligned)
			assert_int_equal((uintptr_t)p % align, 0);
		assert_true(rt_malloc_usable_size(p) >= n);
		fill_block(b, p, n, (unsigned char)step);
	} else if (unit_random(state) % 2) {
		p = rt_realloc(b->p, n);
		if (!p)
			return;		/* the old block stays: checked at its next turn */
		keep = b->n < n ? b->n : n;
		b->p = p;
		b->n = keep;
		check_block(b);
		fill_block(b, p, n, (unsigned char)step);
	} else {
		rt_free(b->p);
		b->p = NULL;
	}
}

static void random_calls_keep_the_heap_whole(void **state)
{
	uint64_t seed = 1;
	size_t whole;

	(void)state;
	heap_add(heap, HEAP_BYTES);
	whole = size_of((struct chunk *)heap);
	for (unsigned step = 0; step < STEPS; step++) {
		one_step(&seed, step);
		if (step % 1000 == 0)
			check_chunks();
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		rt_free(blocks[i].p);
	check_chunks();
	assert_int_equal(size_of((struct chunk *)heap), whole);
	assert_int_equal(panicked, 0);
}

static void impossible_requests_are_refused(void **state)
{
	void *p = (void *)1;

	(void)state;
	errno = 0;
	assert_null(rt_malloc(HEAP_BYTES));
	assert_int_equal(errno, ENOMEM);
	assert_null(rt_malloc(SIZE_MAX));
	assert_null(rt_malloc((size_t)PTRDIFF_MAX));
	assert_null(rt_calloc(SIZE_MAX / 2, 3));
	assert_null(rt_aligned_alloc(3 * 16, 100));
	assert_null(rt_aligned_alloc(1UL << 62, 100));
	assert_int_equal(rt_posix_memalign(&p, 1UL << 40, 1), ENOMEM);
	assert_ptr_equal(p, (void *)1);
	p = rt_malloc(100);
	assert_null(rt_realloc(p, SIZE_MAX - 5));
	rt_free(p);
	rt_free(NULL);
}

static void zeroed_memory_is_zero(void **state)
{
	unsigned char *p = rt_malloc(5000);

	(void)state;
	memset(p, 0xff, 5000);
	rt_free(p);
	p = rt_calloc(50, 100);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(p[i], 0);
	rt_free(p);
}

/* Two ranges with a gap: both are used, never joined over the gap. */
static void ranges_need_not_adjoin(void **state)
{
	static _Alignas(16) char more[2][4096];
	void *p[64];
	unsigned n = 0, in_more = 0;

	(void)state;
	heap_add(more[0], 2000);
	heap_add(more[1] + 5, 3001);
	while (n < NELEM(p) && (p[n] = rt_malloc(n < 2 ? 1900 : HEAP_BYTES / 40)))
		n++;
	for (unsigned i = 0; i < n; i++)
		in_more += (char *)p[i] >= more[0] && (char *)p[i] < more[0] + sizeof(more);
	assert_true(in_more >= 1);
	for (unsigned i = 0; i < n; i++)
		rt_free(p[i]);
	check_chunks();
}

/* A range that came later is used before malloc() fails, and can be taken back while nothing of it is in use. */
static void what_comes_later_can_go(void **state)
{
	char *all[64], *p;
	int n = 0;

	(void)state;
	while (n < 64 && (all[n] = rt_malloc(60000)))
		n++;
	assert_in_range(n, 1, 63);
	asked = 0;
	comes = true;
	p = rt_malloc(60000);
	assert_int_equal(asked, 1);
	assert_true(p >= later && p + 60000 <= later + sizeof(later));
	assert_false(heap_remove(later, sizeof(later)));
	rt_free(p);
	assert_true(heap_remove(later, sizeof(later)));
	memset(later, 0xff, sizeof(later));		/* nothing leads there any more */
	assert_null(rt_malloc(60000));
	while (n)
		rt_free(all[--n]);
	check_chunks();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_calls_keep_the_heap_whole),
		cmocka_unit_test(impossible_requests_are_refused),
		cmocka_unit_test(zeroed_memory_is_zero),
		cmocka_unit_test(what_comes_later_can_go),
		cmocka_unit_test(ranges_need_not_adjoin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

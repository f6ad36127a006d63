// SPDX-License-Identifier: MIT
/*
 * map_storm - 20,000 random mmap, munmap, mprotect, mremap and madvise calls on an arena of pages,
 * with a model beside it that says what each page must hold and allow; pages are looked at directly,
 * and a handler turns a refused access into a value. Private pages and two views of one shared
 * object are mixed. Failure: content or permission differs from the model.
 */
#include <setjmp.h>

#include "stress.h"

#define PAGES	512u
#define STEPS	20000u
#define LOOKS	4u

enum { GONE, READ, WRITE, NONE };

struct page {
	uint8_t  access;	/* GONE, READ ... */
	uint16_t shared;	/* page of the shared object, + 1; 0: private */
	uint64_t value;		/* of a private page's first word */
};

static struct page model[PAGES];
static uint64_t shared_value[PAGES];
static uint8_t *arena;
static int object;
static uint64_t seed = 7;
static sigjmp_buf back;

static void refused(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	siglongjmp(back, 1);
}

static uint32_t draw(uint32_t n)
{
	return (uint32_t)(stress_random(&seed) % n);
}

static volatile uint64_t *word(uint32_t page)
{
	return (volatile uint64_t *)(arena + page * PAGE);
}

static uint64_t *expected(uint32_t page)
{
	return model[page].shared ? &shared_value[model[page].shared - 1] : &model[page].value;
}

static int may_access(uint32_t page, int write, uint64_t *value)
{
	if (sigsetjmp(back, 0))
		return 0;
	if (write)
		*word(page) = *value;
	else
		*value = *word(page);
	return 1;
}

static void look(uint32_t page)
{
	const struct page *m = &model[page];
	uint64_t value = 0, fresh = stress_random(&seed);
	int readable = m->access == READ || m->access == WRITE;

	CHECK(may_access(page, 0, &value) == readable);
	if (readable)
		CHECK(value == *expected(page));
	if (draw(2))
		return;
	CHECK(may_access(page, 1, &fresh) == (m->access == WRITE));
	if (m->access == WRITE)
		*expected(page) = fresh;
}

static void map_private(uint32_t first, uint32_t n)
{
	NEED(mmap(arena + first * PAGE, n * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	for (uint32_t i = first; i < first + n; i++)
		model[i] = (struct page){ .access = WRITE };
}

static void map_shared(uint32_t first, uint32_t n)
{
	uint32_t offset = draw(PAGES - n);

	NEED(mmap(arena + first * PAGE, n * PAGE, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_FIXED, object, (off_t)(offset * PAGE)) != MAP_FAILED);
	for (uint32_t i = 0; i < n; i++)
		model[first + i] = (struct page){ .access = WRITE, .shared = (uint16_t)(offset + i + 1) };
}

static void unmap(uint32_t first, uint32_t n)
{
	NEED(munmap(arena + first * PAGE, n * PAGE) == 0);
	for (uint32_t i = first; i < first + n; i++)
		model[i].access = GONE;
}

static void protect(uint32_t first, uint32_t n)
{
	static const int flags[] = { [READ] = PROT_READ, [WRITE] = PROT_READ | PROT_WRITE, [NONE] = PROT_NONE };
	uint8_t to = (uint8_t)(READ + draw(3));

	for (uint32_t i = first; i < first + n; i++) {
		if (model[i].access == GONE)
			continue;
		NEED(mprotect(arena + i * PAGE, PAGE, flags[to]) == 0);
		model[i].access = to;
	}
}

/* MADV_DONTNEED: private pages read as zero, shared ones as before. */
static void drop(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (model[i].access == GONE)
			continue;
		NEED(madvise(arena + i * PAGE, PAGE, MADV_DONTNEED) == 0);
		model[i].value = 0;
	}
}

/* One page moves onto another place; what was there is gone. */
static void move(uint32_t from, uint32_t to)
{
	if (from == to || model[from].access == GONE)
		return;
	NEED(mremap(arena + from * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, arena + to * PAGE) != MAP_FAILED);
	model[to] = model[from];
	model[from].access = GONE;
}

static void step(void)
{
	uint32_t n = 1 + draw(draw(8) ? 8 : 100), first = draw(PAGES - n);

	switch (draw(8)) {
	case 0:
		map_private(first, n);
		break;
	case 1:
		map_shared(first, n);
		break;
	case 2:
		unmap(first, n);
		break;
	case 3:
		drop(first, n);
		break;
	case 4:
	case 5:
		protect(first, n);
		break;
	default:
		move(draw(PAGES), draw(PAGES));
	}
	for (uint32_t i = 0; i < LOOKS; i++)
		look(draw(4) ? first + draw(n) : draw(PAGES));
}

int main(void)
{
	stress_handle(SIGSEGV, refused, SA_NODEFER);
	object = memfd_create("storm", 0);
	NEED(object >= 0 && ftruncate(object, PAGES * PAGE) == 0);
	arena = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(arena != MAP_FAILED);
	map_private(0, PAGES);
	for (uint32_t i = 0; i < STEPS && stress_failures < 20; i++)
		step();
	for (uint32_t i = 0; i < PAGES; i++)
		look(i);
	return stress_end("map_storm");
}

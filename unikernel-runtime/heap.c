// SPDX-License-Identifier: MIT
/*
 * heap.c - malloc and friends: two-level segregated fit over the partition's free memory.
 *
 * Free chunks hang in lists by size: 8 lists per power of two, so a search is two bit scans and
 * never a walk, and what is taken wastes at most 1/8. Neighbours are joined when freed. Memory never
 * handed out is one large chunk in the topmost list, used last: it stays untouched (and costs no
 * page faults) until the rest is full.
 *
 *   chunk:  | prev_size | size+flags | payload ........................ |   next chunk
 *                                    ^ 16-aligned          its prev_size ^ belongs to our payload
 *                                                          while we are in use
 *
 * So a chunk in use costs 8 bytes. A chunk's size is a multiple of 16 and at least 32.
 * Owns:       [free_va, stack guard) of the partition, and what heap_add is given.
 * Invariants: no two free chunks adjoin; each range ends in a zero-size chunk that is never free.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <rt/rt.h>

#define CHUNK_ALIGN	16UL
#define CHUNK_MIN	sizeof(struct chunk)
#define HEAD		16UL		/* chunk start to payload */
#define OVERHEAD	8UL		/* chunk size minus what the caller may use */
#define THIS_FREE	1UL
#define PREV_FREE	2UL
#define FLAGS		15UL

#define SL_LOG2		3		/* 8 lists per power of two */
#define SL		(1U << SL_LOG2)
#define FL		32		/* sizes up to 2^38 */
#define SMALL		(CHUNK_ALIGN << SL_LOG2)	/* below: one list per size */
#define SMALL_LOG2	7

struct chunk {
	size_t prev_size;		/* of the chunk before, valid while that is free */
	size_t head;			/* size | flags */
	struct chunk *next, *prev;	/* in its list, while free */
};
static_assert(sizeof(struct chunk) == 32, "smallest chunk");

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t each);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static struct chunk *lists[FL][SL];
static uint32_t fl_map;			/* bit f: some list of lists[f] has chunks */
static uint8_t sl_map[FL];

static inline size_t size_of(const struct chunk *c)
{
	return c->head & ~FLAGS;
}

static inline struct chunk *at(struct chunk *c, size_t off)
{
	return (struct chunk *)((char *)c + off);
}

static inline void *payload(struct chunk *c)
{
	return (char *)c + HEAD;
}

static inline struct chunk *chunk_of(void *p)
{
	return (struct chunk *)((char *)p - HEAD);
}

/* The list whose chunks are all at least as large as its lower bound <= size. */
static void list_of(size_t size, unsigned *f, unsigned *s)
{
	unsigned log2;

	if (size < SMALL) {
		*f = 0;
		*s = (unsigned)(size / CHUNK_ALIGN);
		return;
	}
	log2 = 63U - (unsigned)__builtin_clzl(size);
	*f = log2 - SMALL_LOG2 + 1;
	*s = (unsigned)(size >> (log2 - SL_LOG2)) & (SL - 1);
}

static void list_add(struct chunk *c)
{
	unsigned f, s;

	list_of(size_of(c), &f, &s);
	c->prev = NULL;
	c->next = lists[f][s];
	if (c->next)
		c->next->prev = c;
	lists[f][s] = c;
	fl_map |= 1U << f;
	sl_map[f] = (uint8_t)(sl_map[f] | 1U << s);
}

static void list_del(struct chunk *c)
{
	unsigned f, s;

	if (c->next)
		c->next->prev = c->prev;
	if (c->prev) {
		c->prev->next = c->next;
		return;
	}
	list_of(size_of(c), &f, &s);
	lists[f][s] = c->next;
	if (!c->next) {
		sl_map[f] = (uint8_t)(sl_map[f] & ~(1U << s));
		if (!sl_map[f])
			fl_map &= ~(1U << f);
	}
}

/* Some free chunk of at least `size` bytes, still in its list; NULL if there is none. */
static struct chunk *list_find(size_t size)
{
	unsigned f, s, map;

	/* Round up to a list boundary: then every chunk of the list fits. */
	if (size >= SMALL)
		size += (1UL << (63 - __builtin_clzl(size) - SL_LOG2)) - 1;
	list_of(size, &f, &s);
	if (f >= FL)
		return NULL;
	map = sl_map[f] & ~0U << s;
	if (!map) {
		uint32_t larger = f + 1 < FL ? fl_map & ~0U << (f + 1) : 0;

		if (!larger)
			return NULL;
		f = (unsigned)__builtin_ctz(larger);
		map = sl_map[f];
	}
	return lists[f][__builtin_ctz(map)];
}

/* Chunk size for a request of n bytes; 0 if there can be none. */
static size_t chunk_size(size_t n)
{
	if (n > PTRDIFF_MAX - PAGE_BYTES)
		return 0;
	n = (n + OVERHEAD + CHUNK_ALIGN - 1) & ~(CHUNK_ALIGN - 1);
	return n < CHUNK_MIN ? CHUNK_MIN : n;
}

/* Make c, in no list, a free chunk of `size` bytes. Neighbours are in use. */
static void make_free(struct chunk *c, size_t size)
{
	c->head = size | THIS_FREE | (c->head & PREV_FREE);
	at(c, size)->prev_size = size;
	at(c, size)->head |= PREV_FREE;
	list_add(c);
}

/* Join c (in use, in no list) with free neighbours and free the result. */
static void release(struct chunk *c)
{
	size_t size = size_of(c);
	struct chunk *next = at(c, size);

	if (next->head & THIS_FREE) {
		list_del(next);
		size += size_of(next);
	}
	if (c->head & PREV_FREE) {
		size += c->prev_size;
		c = (struct chunk *)((char *)c - c->prev_size);
		list_del(c);
		c->head &= ~THIS_FREE;
	}
	make_free(c, size);
}

/* c is in use and has more than `size`: give the rest back if it makes a chunk. */
static void trim(struct chunk *c, size_t size)
{
	size_t rest = size_of(c) - size;
	struct chunk *tail = at(c, size);

	if (rest < CHUNK_MIN)
		return;
	c->head = size | (c->head & FLAGS);
	tail->head = rest;
	release(tail);
}

/* Take a free chunk out of its list and mark it used. */
static void take(struct chunk *c)
{
	list_del(c);
	c->head &= ~THIS_FREE;
	at(c, size_of(c))->head &= ~PREV_FREE;
}

void heap_add(void *start, size_t bytes)
{
	uintptr_t from = ((uintptr_t)start + CHUNK_ALIGN - 1) & ~(CHUNK_ALIGN - 1);
	uintptr_t to = ((uintptr_t)start + bytes) & ~(CHUNK_ALIGN - 1);
	struct chunk *c = (struct chunk *)from;

	if (to < from + CHUNK_MIN + HEAD)
		return;
	c->head = 0;
	at(c, to - from - HEAD)->head = 0;	/* end mark: in use for ever */
	make_free(c, to - from - HEAD);
}

bool heap_remove(void *start, size_t bytes)
{
	struct chunk *c = start;

	if (!(c->head & THIS_FREE) || size_of(c) != bytes - HEAD)
		return false;
	list_del(c);
	return true;
}

void *malloc(size_t n)
{
	size_t size = chunk_size(n);
	struct chunk *c = size ? list_find(size) : NULL;

	if (!c && size && memory_look())
		c = list_find(size);
	if (!c) {
		errno = ENOMEM;
		return NULL;
	}
	take(c);
	trim(c, size);
	return payload(c);
}

void free(void *p)
{
	struct chunk *c;

	if (!p)
		return;
	c = chunk_of(p);
	if (c->head & THIS_FREE)
		rt_panic("free() of free memory");
	release(c);
}

void *calloc(size_t n, size_t each)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, each, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	p = malloc(bytes);
	return p ? memset(p, 0, bytes) : NULL;
}

void *realloc(void *p, size_t n)
{
	size_t size = chunk_size(n), have;
	struct chunk *c, *next;
	void *q;

	if (!p)
		return malloc(n);
	if (!size) {
		errno = ENOMEM;
		return NULL;
	}
	c = chunk_of(p);
	have = size_of(c);
	next = at(c, have);
	if (size > have && next->head & THIS_FREE && have + size_of(next) >= size) {
		size_t grown = have + size_of(next);

		take(next);
		c->head += grown - have;
		have = grown;
	}
	if (size <= have) {
		trim(c, size);
		return p;
	}
	q = malloc(n);
	if (!q)
		return NULL;
	memcpy(q, p, have - OVERHEAD);
	free(p);
	return q;
}

void *aligned_alloc(size_t align, size_t n)
{
	size_t size = chunk_size(n), lead;
	struct chunk *c, *fit;

	if (align <= CHUNK_ALIGN)
		return malloc(n);
	if (!size || align & (align - 1) || align > PTRDIFF_MAX - size) {
		errno = size ? EINVAL : ENOMEM;
		return NULL;
	}
	c = list_find(size + align + CHUNK_MIN);
	if (!c && memory_look())
		c = list_find(size + align + CHUNK_MIN);
	if (!c) {
		errno = ENOMEM;
		return NULL;
	}
	take(c);
	lead = -(uintptr_t)payload(c) & (align - 1);
	if (lead && lead < CHUNK_MIN)
		lead += align;
	if (lead) {
		fit = at(c, lead);
		fit->head = size_of(c) - lead;
		c->head = lead | (c->head & FLAGS);
		release(c);
		c = fit;
	}
	trim(c, size);
	return payload(c);
}

void *memalign(size_t align, size_t n)
{
	return aligned_alloc(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
	void *p = aligned_alloc(align, n);

	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

size_t malloc_usable_size(void *p)
{
	return p ? size_of(chunk_of(p)) - OVERHEAD : 0;
}

void *heap_pages(size_t bytes)
{
	void *p = aligned_alloc(PAGE_BYTES, bytes);

	return p ? memset(p, 0, bytes) : NULL;
}

/*
 * With a block in use at p, free its bytes [from, to), whole pages; to == bytes is the end of the block.
 * What is left on either side are blocks of their own, with the payload where it was: the heads of
 * chunks go into the pages given back.
 *
 *	| head | kept ....... | head | freed ............. | head | kept ....... |
 *	       p              p+from                              p+to
 */
void heap_free_part(void *p, size_t from, size_t to, size_t bytes)
{
	struct chunk *c = chunk_of(p), *end = at(c, size_of(c)), *part = c;

	if (to < bytes) {
		struct chunk *rest = at(c, to);

		rest->head = (size_t)((char *)end - (char *)rest);
		c->head = to | (c->head & FLAGS);
		end = rest;
	}
	if (from) {
		part = at(c, from + HEAD);
		part->head = (size_t)((char *)end - (char *)part);
		c->head = (from + HEAD) | (c->head & FLAGS);
	}
	release(part);
}

/* The names by which musl's own code allocates. */
void *__libc_malloc(size_t n)
{
	return malloc(n);
}

void *__libc_calloc(size_t n, size_t each)
{
	return calloc(n, each);
}

void *__libc_realloc(void *p, size_t n)
{
	return realloc(p, n);
}

void __libc_free(void *p)
{
	free(p);
}

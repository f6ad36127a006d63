/* SPDX-License-Identifier: MIT */
/*
 * unit.h - what the unit tests share: cmocka with the headers it wants, and helpers that make a read
 * beyond an input's end visible to the address sanitizer.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* A heap block of exactly `len` bytes, so that byte `len` is poisoned. */
static inline void *unit_copy(const void *data, size_t len)
{
	char *p = malloc(len ? len : 1);

	if (!p)
		abort();
	memcpy(p, data, len);
	return len ? p : p + 1;		/* of nothing, not even the first byte may be read */
}

static inline void unit_free(void *p, size_t len)
{
	free(len ? p : (char *)p - 1);
}

/* xorshift64*: small, and the same everywhere. */
static inline uint64_t unit_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* 0 .. n - 1 */
static inline uint32_t unit_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((unit_random(state) >> 32) % n);
}

#endif /* TESTS_UNIT_H */

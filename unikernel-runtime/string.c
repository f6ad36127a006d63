// SPDX-License-Identifier: MIT
/*
 * string.c - memcpy, memmove, memset and memcmp in place of musl's.
 *
 * musl's for x86-64 start a string instruction for every copy, which costs some 30 cycles however
 * short it is, and most copies of an interpreter are a few bytes long. Here: up to 32 bytes without a
 * loop, by two loads that may overlap; beyond that 32 bytes a round; and the string instruction from
 * where it pays. Compiled without LTO and without builtins, or the compiler would see memcpy in the
 * loops and call it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LONG	1024	/* bytes */

typedef uint16_t __attribute__((aligned(1), may_alias)) u16;
typedef uint32_t __attribute__((aligned(1), may_alias)) u32;
typedef uint64_t __attribute__((aligned(1), may_alias)) u64;
typedef long long __attribute__((vector_size(16), aligned(1), may_alias)) v16;

/* Both ends of n bytes as a type of half to all of that size. */
#define COPY_ENDS(type, d, s, n) do {					\
	type first = *(const type *)(s);				\
	type last = *(const type *)((s) + (n) - sizeof(type));		\
									\
	*(type *)(d) = first;						\
	*(type *)((d) + (n) - sizeof(type)) = last;			\
} while (0)

/* n <= 32. All loads before all stores: the ranges may overlap. */
static inline void copy_small(char *d, const char *s, size_t n)
{
	if (n > 16)
		COPY_ENDS(v16, d, s, n);
	else if (n >= 8)
		COPY_ENDS(u64, d, s, n);
	else if (n >= 4)
		COPY_ENDS(u32, d, s, n);
	else if (n >= 2)
		COPY_ENDS(u16, d, s, n);
	else if (n)
		*d = *s;
}

/* n > 32, upwards: right if d is below s or the ranges do not overlap. */
static inline void copy_up(char *d, const char *s, size_t n)
{
	v16 last0 = *(const v16 *)(s + n - 32), last1 = *(const v16 *)(s + n - 16);
	char *end = d + n;

	if (n >= LONG) {
		size_t words = (n - 32 + 7) / 8;

		__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
	}
	for (; d < end - 32; d += 32, s += 32) {
		v16 a = *(const v16 *)s, b = *(const v16 *)(s + 16);

		*(v16 *)d = a;
		*(v16 *)(d + 16) = b;
	}
	*(v16 *)(end - 32) = last0;
	*(v16 *)(end - 16) = last1;
}

static inline void copy_down(char *d, const char *s, size_t n)
{
	v16 first0 = *(const v16 *)s, first1 = *(const v16 *)(s + 16);

	for (; n > 32; n -= 32) {
		v16 a = *(const v16 *)(s + n - 32), b = *(const v16 *)(s + n - 16);

		*(v16 *)(d + n - 32) = a;
		*(v16 *)(d + n - 16) = b;
	}
	*(v16 *)d = first0;
	*(v16 *)(d + 16) = first1;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	if (n <= 32)
		copy_small(to, from, n);
	else
		copy_up(to, from, n);
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	if (n <= 32)
		copy_small(to, from, n);
	else if ((uintptr_t)to - (uintptr_t)from >= n)
		copy_up(to, from, n);
	else
		copy_down(to, from, n);
	return to;
}

void *memset(void *to, int c, size_t n)
{
	uint64_t word = (uint8_t)c * 0x0101010101010101ULL;
	char *d = to, *end = d + n;
	v16 v = { (long long)word, (long long)word };

	if (n > 32) {
		for (; d < end - 32; d += 32) {
			*(v16 *)d = v;
			*(v16 *)(d + 16) = v;
		}
		*(v16 *)(end - 32) = v;
		*(v16 *)(end - 16) = v;
	} else if (n > 16) {
		*(v16 *)d = v;
		*(v16 *)(end - 16) = v;
	} else if (n >= 8) {
		*(u64 *)d = word;
		*(u64 *)(end - 8) = word;
	} else if (n >= 4) {
		*(u32 *)d = (uint32_t)word;
		*(u32 *)(end - 4) = (uint32_t)word;
	} else {
		while (d < end)
			*d++ = (char)c;
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (; n >= 8; n -= 8, p += 8, q += 8) {
		uint64_t x = *(const u64 *)p, y = *(const u64 *)q;

		if (x != y) {
			/* The first byte that differs is the highest of the swapped words. */
			x = __builtin_bswap64(x);
			y = __builtin_bswap64(y);
			return x < y ? -1 : 1;
		}
	}
	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * hal/types.h - address types, the fixed address map of the metakernel, and small helpers.
 *
 *   0xffff800000000000  direct map: all physical memory, writable, never executable
 *   0xffffffff80000000  physical 0 once more, but only the image is mapped: [0x100000, __image_end)
 *
 * The lower half is empty after boot.
 */
#ifndef HAL_TYPES_H
#define HAL_TYPES_H

#define HAL_IMAGE_BASE	0xffffffff80000000	/* virtual = physical + this, for the image */
#define HAL_IMAGE_PA	0x100000
#define HAL_DIRECT_MAP	0xffff800000000000

#define PAGE_SHIFT	12
#define PAGE_SIZE	0x1000
#define PAGE_MASK	0xfff

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t paddr_t;	/* physical (machine) address */
typedef uint64_t vaddr_t;	/* virtual address, of the metakernel or of a partition */

#define __must_check	__attribute__((warn_unused_result))
#define __noreturn	__attribute__((noreturn))
#define __packed	__attribute__((packed))
#define __cold		__attribute__((cold))	/* small rather than fast */
#define __aligned(n)	__attribute__((aligned(n)))
/* Only called before the first partition runs: small, and its memory is given away (keel.lds). */
#define __once		__attribute__((cold, noinline, section(".text.once")))
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* One load or store the compiler may neither repeat nor tear: for words others write (I6). */
#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))

static inline uint64_t align_down(uint64_t x, uint64_t a) { return x & ~(a - 1); }
static inline uint64_t align_up(uint64_t x, uint64_t a) { return (x + a - 1) & ~(a - 1); }
static inline uint64_t pages_of(uint64_t bytes) { return align_up(bytes, PAGE_SIZE) / PAGE_SIZE; }
static inline bool is_aligned(uint64_t x, uint64_t a) { return (x & (a - 1)) == 0; }
static inline uint64_t bit64(unsigned int n) { return 1ULL << n; }
static inline uint64_t min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Index of the lowest or highest set bit; x must not be 0. */
static inline unsigned int bit_lowest(uint64_t x) { return (unsigned int)__builtin_ctzll(x); }
static inline unsigned int bit_highest(uint64_t x) { return 63u - (unsigned int)__builtin_clzll(x); }

static inline unsigned int bits_set(uint64_t x)
{
	unsigned int n = 0;

	for (; x; x &= x - 1)
		n++;
	return n;
}

/* 48-bit canonical form (LA57 is never on). */
static inline bool is_canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

/* Where the metakernel reads and writes physical address pa. Valid for RAM and low MMIO. */
static inline void *pa_to_va(paddr_t pa)
{
	return (void *)(pa + HAL_DIRECT_MAP);
}

/* Back again, from the direct map or from the image. */
static inline paddr_t va_to_pa(const void *va)
{
	uint64_t v = (uint64_t)va;

	return v >= HAL_IMAGE_BASE ? v - HAL_IMAGE_BASE : v - HAL_DIRECT_MAP;
}

#endif /* __ASSEMBLER__ */
#endif

/* SPDX-License-Identifier: MIT */
/*
 * fpu.h - patterns in all vector, x87 and control registers. Between fpu_put() and fpu_get() nothing
 * of libc may run, which uses these registers: hence the system calls of our own.
 */
#ifndef TESTS_STRESS_FPU_H
#define TESTS_STRESS_FPU_H

#include "stress.h"

struct fpu_vectors { uint64_t word[16][4]; } __attribute__((aligned(32)));

struct fpu_state {
	struct fpu_vectors v;
	uint32_t mxcsr;
	uint16_t control, zero;
	double x87[4];
	uint64_t zeros[3];		/* no padding: states are compared as bytes */
};

static int has_avx;

static inline void fpu_begin(void)
{
	has_avx = __builtin_cpu_supports("avx") != 0;
	printf("with %s registers\n", has_avx ? "AVX" : "SSE");
}

#define EACH(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define LOAD_Y(n)	"vmovups " #n "*32(%0), %%ymm" #n "\n"
#define SAVE_Y(n)	"vmovups %%ymm" #n ", " #n "*32(%0)\n"
#define LOAD_X(n)	"movups " #n "*32(%0), %%xmm" #n "\n"
#define SAVE_X(n)	"movups %%xmm" #n ", " #n "*32(%0)\n"
#define VECTORS		"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", \
			"xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

static inline void fpu_make(struct fpu_state *s, uint64_t seed)
{
	memset(s, 0, sizeof(*s));
	for (int r = 0; r < 16; r++)
		for (int w = 0; w < (has_avx ? 4 : 2); w++)
			s->v.word[r][w] = stress_random(&seed);
	s->mxcsr = 0x1f80 | (uint32_t)(seed & 3) << 13;		/* rounding mode; all exceptions masked */
	s->control = (uint16_t)(0x037f | (seed >> 2 & 3) << 10);
	for (int i = 0; i < 4; i++)
		s->x87[i] = (double)(stress_random(&seed) >> 40);
}

static inline void fpu_put(const struct fpu_state *s)
{
	__asm__ volatile("fninit; fldcw %0; fldl %1; fldl %2; fldl %3; fldl %4; ldmxcsr %5"
			 :: "m"(s->control), "m"(s->x87[0]), "m"(s->x87[1]), "m"(s->x87[2]), "m"(s->x87[3]), "m"(s->mxcsr));
	if (has_avx)
		__asm__ volatile(EACH(LOAD_Y) :: "r"(&s->v) : VECTORS, "memory");
	else
		__asm__ volatile(EACH(LOAD_X) :: "r"(&s->v) : VECTORS, "memory");
}

/* Registers first: the compiler may use them for what comes after. */
static inline void fpu_get(struct fpu_state *s)
{
	if (has_avx)
		__asm__ volatile(EACH(SAVE_Y) :: "r"(&s->v) : "memory");
	else
		__asm__ volatile(EACH(SAVE_X) :: "r"(&s->v) : "memory");
	__asm__ volatile("fnstcw %0; stmxcsr %1; fstpl %2; fstpl %3; fstpl %4; fstpl %5"
			 : "=m"(s->control), "=m"(s->mxcsr), "=m"(s->x87[3]), "=m"(s->x87[2]), "=m"(s->x87[1]), "=m"(s->x87[0]));
	for (int r = 0; r < 16 && !has_avx; r++)
		s->v.word[r][2] = s->v.word[r][3] = 0;
	s->zero = 0;
	memset(s->zeros, 0, sizeof(s->zeros));
}

/* System calls without libc around them: it may use vector registers. */
static inline long raw_call0(long number)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
	return result;
}

static inline long raw_call3(long number, long a, long b, const void *c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

static inline long raw_call2(long number, long a, long b)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return result;
}

#endif /* TESTS_STRESS_FPU_H */

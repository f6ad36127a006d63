/* SPDX-License-Identifier: MIT */
/*
 * lib/panic.h - the end of the metakernel: say what was expected and seen, then exit with 122.
 *
 * ASSERT is for our own mistakes only. What a partition does wrong is an error code or that
 * partition's end (I7).
 */
#ifndef LIB_PANIC_H
#define LIB_PANIC_H

#include <stdint.h>

/* Registers of a fault in the metakernel itself. */
struct panic_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags, cs, ss, cr2, vector, error;
};

/* regs may be NULL; then the backtrace starts at the caller. */
void panic_at(const char *file, int line, const struct panic_regs *regs, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 4, 5)));

/* Return addresses by the chain of frame pointers from rbp on, on the console and in the log. */
void panic_backtrace(uint64_t rbp);

#define panic(...)		panic_at(__FILE__, __LINE__, 0, __VA_ARGS__)
#define panic_regs(regs, ...)	panic_at(__FILE__, __LINE__, (regs), __VA_ARGS__)

#define ASSERT(x)									\
	do {										\
		if (__builtin_expect(!(x), 0))						\
			panic("expected %s", #x);					\
	} while (0)

#ifdef KEEL_DEBUG
# define DEBUG_ASSERT(x)	ASSERT(x)
#else
# define DEBUG_ASSERT(x)	((void)sizeof(!(x)))
#endif

#endif

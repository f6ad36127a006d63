/* SPDX-License-Identifier: MIT */
/*
 * rt/machine.h - the few instructions that only ring 1 of a Keel partition may use.
 *
 * All of the runtime's contact with the metakernel goes through here: the hypercall instruction and
 * the words of the vCPU page. Both have one fixed encoding each (`int $15`; an 8-byte move or
 * exchange between RAX and an absolute address), so that tests/unit/runtime can run the very same
 * image as a Linux process, catch exactly these instructions and play the metakernel.
 */
#ifndef RT_MACHINE_H
#define RT_MACHINE_H

#include <keel/abi.h>

static inline long hc3(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	__asm__ volatile("int $15" : "+a"(nr) : "D"(a), "S"(b), "d"(c) : "memory");
	return nr;
}

#define hc0(nr)		hc3(nr, 0, 0, 0)
#define hc1(nr, a)	hc3(nr, a, 0, 0)
#define hc2(nr, a, b)	hc3(nr, a, b, 0)

/* Load a word of the vCPU page; `off` is one of the KEEL_VP_* offsets or offsetof(). */
static inline __attribute__((always_inline)) uint64_t vp_load(const unsigned off)
{
	uint64_t v;

	__asm__ volatile("movq %c1, %0" : "=a"(v) : "i"(KEEL_VCPU_VA + off) : "memory");
	return v;
}

/* Take and clear the event bits. XCHG is locked: pairs with the metakernel's locked OR. */
static inline uint64_t vp_take_events(void)
{
	uint64_t v = 0;

	__asm__ volatile("xchgq %0, %c1" : "+a"(v) : "i"(KEEL_VCPU_VA + KEEL_VP_EVENTS) : "memory");
	return v;
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline void set_fs_base(uint64_t va)
{
	__asm__ volatile("wrfsbase %0" : : "r"(va) : "memory");
}

#endif /* RT_MACHINE_H */

/* SPDX-License-Identifier: MIT */
/*
 * lib/measure.h - `make MEASURE=1` builds a metakernel that knows its longest stretch with interrupts off.
 *
 * Ticks of the TSC from an entry to the way out; in QEMU with -icount that is instructions. A partition asks
 * for it by a hypercall (tests/bench/peer/irqs.c). In every other build nothing of this is there.
 */
#ifndef LIB_MEASURE_H
#define LIB_MEASURE_H

#include <hal/cpu.h>
#include <stdint.h>
#include "keel/abi.h"

#define HC_MEASURE	0x4b45454dUL	/* far above all numbers of the ABI */
#define MEASURE_IDLE	0x100		/* an entry that is none: after waiting */

#ifdef KEEL_MEASURE
/* what: vector in bits 0..15, RAX of a hypercall above; for the report. */
void measure_enter(uint64_t what);
void measure_leave(void);
void measure_pause(void);	/* waiting for another CPU: hal_pause() */
/* A call that is made again may do so for another CPU, which in QEMU with -icount has its turn only now. */
#define measure_again()	measure_pause()
/* 0: begin anew; 1: -> the longest since then; 2: -> what that one was; 3: -> the longest ever. */
int64_t measure_hcall(uint64_t op);
#else
static inline void measure_enter(uint64_t what)
{
	(void)what;
}

static inline void measure_leave(void)
{
}

static inline void measure_pause(void) { hal_pause(); }
static inline void measure_again(void) { }

static inline int64_t measure_hcall(uint64_t op)
{
	(void)op;
	return -KEEL_ENOSYS;
}
#endif

#endif

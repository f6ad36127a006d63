/* SPDX-License-Identifier: MIT */
/*
 * hcall.h - what the fuzzer of the hypercalls is made of.
 *
 *   hcall_machine.c   the metakernel on a machine that is played: two CPUs, a small memory, the HAL
 *   hcall_check.c     who owns what, and everything else that must be so after each entry
 *   hcall_fuzz.c      what partitions do, out of the fuzzer's input
 */
#ifndef TESTS_FUZZ_HCALL_H
#define TESTS_FUZZ_HCALL_H

#include "part/part.h"

#define NCPUS		2
#define MACHINE_PAGES	2048U
#define MEMORY_VA	0x400000UL		/* a partition's memory, in the tables that it starts with */
#define DIRECT_VA	0xffff888000000000UL	/* of one that has an upper half: the whole machine */
#define CALL_RIP	0x401000UL		/* of the hypercall instruction */

struct range {
	paddr_t base;
	uint64_t npages;
};

/* Before the first input: boot, and keep how everything is then. */
void machine_boot(void);
/* Everything as it was then. */
void machine_reset(void);
/* The partition's own memory, as far as it was given in one piece. */
struct range machine_memory(const struct partition *p);
/* Page tables at the start of a range that map it at MEMORY_VA; as many pages as are needed for that, or nothing. */
void machine_lay_out(struct range r);

/* An entry into the metakernel and the way out, on a CPU. False: the machine has been turned off. */
bool machine_enter(unsigned int cpu, unsigned int vector, uint64_t error);
bool machine_called(unsigned int cpu);		/* does an interrupt wait that another CPU sent? */
bool machine_timer_due(unsigned int cpu);

/* After every entry. `thorough`: what takes long, too. Traps if something is wrong. */
void check_begin(void);
void check_all(bool thorough);
struct range check_given(const struct partition *p);	/* the first extent of one made at run time */

#endif

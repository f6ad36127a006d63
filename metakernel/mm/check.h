/* SPDX-License-Identifier: MIT */
/*
 * check.h - what `make DEBUG=1` adds: the shadow tables are checked as the machine runs (mmu_check),
 * and a hypercall lets tests provoke what no partition can.
 */
#ifndef METAKERNEL_CHECK_H
#define METAKERNEL_CHECK_H

#include "run/vcpu.h"

/* I2 over every live table of the vCPU; panics on a violation. Returns leaves seen. */
uint64_t mmu_check(const struct vcpu *v);

struct partition;

/* What of a shoot-down is left out on purpose, for the tests: the call to whom it concerns, the wait for it; and
 * whether check_obeyed() looks away. */
#define CHECK_OMIT_RING	1U
#define CHECK_OMIT_WAIT	2U
#define CHECK_OMIT_LOOK	4U

#define HC_DEBUG	0x4b45454cUL	/* "KEEL"; far above all numbers of the ABI */

#ifdef KEEL_DEBUG
/* Once per entry, before the way out: check every CHECK_EVERY-th time, name this entry if it fails. */
void check_entry(const struct vcpu *v, const struct regs *r);
/* RDI says what: 0 are you there, 1 interrupt with vector RSI, 2 the same and then IRET, 3 NMI, ... */
int64_t check_hcall(struct vcpu *v, struct regs *r);
bool check_omits(unsigned int what);
/* Of these vCPUs none runs that has a note from before this ticket; panics. */
void check_obeyed(const struct partition *p, uint64_t set, uint64_t ticket);
/* This CPU has the vCPU whose pool this is, or none has it; panics. */
void check_holder(const struct shadow_pool *s);
#else
static inline bool check_omits(unsigned int what)
{
	(void)what;
	return false;
}

static inline void check_obeyed(const struct partition *p, uint64_t set, uint64_t ticket)
{
	(void)p, (void)set, (void)ticket;
}

static inline void check_holder(const struct shadow_pool *s)
{
	(void)s;
}

static inline void check_entry(const struct vcpu *v, const struct regs *r)
{
	(void)v, (void)r;
}

static inline int64_t check_hcall(struct vcpu *v, struct regs *r)
{
	(void)v, (void)r;
	return -KEEL_ENOSYS;
}
#endif

#endif

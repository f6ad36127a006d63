/* SPDX-License-Identifier: MIT */
/*
 * hcall.h - the hypercalls (keel/abi.h has the contract of each).
 */
#ifndef METAKERNEL_ENTRY_HCALL_H
#define METAKERNEL_ENTRY_HCALL_H

#include "lib/measure.h"
#include "run/vcpu.h"

void hcall_handle(struct vcpu *v, struct regs *r);

#define HCALL_BITS	8	/* of RAX: the number; above it, a call made again may keep how far it is */
#define HCALL_MASK	((1UL << HCALL_BITS) - 1)

/* The hypercall is made again, with `rax` for its number. -> what to put there */
static inline int64_t hcall_again(struct regs *r, uint64_t rax)
{
	measure_again();
	r->rip -= 2;		/* of `int $15` */
	return (int64_t)rax;
}

/* All that are not in hcall.c; -KEEL_ENOSYS: there is no such call. */
int64_t hcall_seldom(struct vcpu *v, struct regs *r, uint64_t n);

/* Calls between vCPUs (hcall_vcpu.c). */
int64_t hc_vcpu_start(struct vcpu *v, struct regs *r);
int64_t hc_vcpu_state(struct vcpu *v, struct regs *r);
int64_t hc_ipi(struct vcpu *v, struct regs *r);
int64_t hc_ipi_set(struct vcpu *v, struct regs *r);
int64_t hc_flush_set(struct vcpu *v, struct regs *r);
int64_t hc_flush_wait(struct vcpu *v, struct regs *r);	/* a FLUSH_SET that goes on waiting */
int64_t hc_yield(struct vcpu *v, struct regs *r);

#endif

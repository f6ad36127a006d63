/* SPDX-License-Identifier: MIT */
/*
 * call.h - a client calls, the server answers. entry/fast.c does the same where both are on this CPU and nothing is in the way.
 */
#ifndef METAKERNEL_RUN_CALL_H
#define METAKERNEL_RUN_CALL_H

#include "run/vcpu.h"

struct chan;

void call_enter(struct vcpu *v, struct regs *r);	/* KEEL_HC_CALL or REPLY_WAIT of the current vCPU: results in r */
void call_forget(struct vcpu *v);			/* it is off: neither caller nor server */
/* Its server is down, or `only` does not call by it any more; LOCK_CHAN is held. */
void call_end(const struct chan *c, const struct vcpu *only);

/* The words go along, in the registers of both. */
static inline void call_words(struct regs *to, const struct regs *from)
{
	to->rsi = from->rsi;
	to->rdx = from->rdx;
	to->r10 = from->r10;
	to->r8 = from->r8;
}

#endif

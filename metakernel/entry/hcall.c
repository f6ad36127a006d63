// SPDX-License-Identifier: MIT
/*
 * hcall.c - the hypercall table (keel/abi.h has the contract of each call), and the calls that are made often.
 *
 * Trusts: nothing. Arguments are registers; handles are looked up in the caller's own table.
 * Locks:  none here: what a call reaches beyond its own vCPU takes its own.
 * Bounds: a call does a piece of work, at most some 20,000 instructions. If more is left the caller goes back
 *         onto its hypercall instruction and calls again, with the same registers; interrupts and
 *         whoever else is ready come first. How far the work has come is kept with its object (I5).
 */
#include <hal/cpu.h>
#include "entry/hcall.h"
#include "mm/check.h"
#include "mm/flush.h"
#include "mm/frames.h"
#include "mm/root.h"
#include "mm/shadow.h"
#include "part/chan.h"
#include "part/part.h"
#include "run/call.h"
#include "run/event.h"
#include "run/irq.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/measure.h"

static int64_t hc_block(struct vcpu *v, struct regs *r)
{
	if (r->rdi)
		v->vp->flags = 0x200;
	if (r->rsi && r->rsi <= hal_rdtsc())
		return 0;
	v->wake_tsc = r->rsi;
	sched_block(v);
	return 0;
}

static int64_t hc_flush(struct vcpu *v, struct regs *r)
{
	switch (r->rdi) {
	case KEEL_FLUSH_USER:
		stat_inc(v, KEEL_STAT_FLUSH_USER);
		mmu_flush_user(v);
		return 0;
	case KEEL_FLUSH_ALL:
		stat_inc(v, KEEL_STAT_FLUSH_ALL);
		mmu_flush_all(v);
		return 0;
	case KEEL_FLUSH_RANGE:
		if (r->rdx > 512)
			return -KEEL_EINVAL;
		stat_inc(v, KEEL_STAT_FLUSH_RANGE);
		mmu_flush_range(v, r->rsi & ~(uint64_t)PAGE_MASK, r->rdx);
		return 0;
	}
	return -KEEL_EINVAL;
}

static int64_t hc_fill(struct vcpu *v, struct regs *r)
{
	stat_inc(v, KEEL_STAT_FILL);
	return mmu_fill_hint(v, r->rdi, r->rsi);
}

static int64_t hc_flush_fill(struct vcpu *v, struct regs *r)
{
	stat_inc(v, KEEL_STAT_FILL);
	mmu_flush_range(v, r->rdi & ~(uint64_t)PAGE_MASK, 1);
	return mmu_fill_hint(v, r->rdi, r->rsi);
}

static int64_t hc_load_gs(struct vcpu *v, struct regs *r)
{
	stat_inc(v, KEEL_STAT_LOAD_GS);
	return (int64_t)vcpu_load_gs(v, r->rdi);
}

static int64_t hc_set_desc(struct vcpu *v, struct regs *r)
{
	stat_inc(v, KEEL_STAT_DESC);
	return vcpu_set_desc(v, r->rdi, r->rsi);
}

static int64_t hc_timer(struct vcpu *v, struct regs *r)
{
	stat_inc(v, KEEL_STAT_TIMER);
	sched_set_timer(v, r->rdi);
	return 0;
}

static int64_t hc_chan_kick(struct vcpu *v, struct regs *r)
{
	stat_inc(v, KEEL_STAT_KICK);
	return chan_kick(v->part, r->rdi);
}

/* A switch, compiled to compares: the metakernel has no indirect branch (rule 29). */
static int64_t dispatch(struct vcpu *v, struct regs *r, uint64_t n)
{
	switch (n) {
	case KEEL_HC_ABI_VERSION: return KEEL_ABI_VERSION;
	case KEEL_HC_IRQ_WINDOW: return 0;	/* delivery is what every way out does */
	case KEEL_HC_BLOCK: return hc_block(v, r);
	case KEEL_HC_IRET: event_iret(v, r); return (int64_t)r->rax;
	case KEEL_HC_LOAD_CR3: mmu_load_cr3(v, r->rdi); return 0;
	case KEEL_HC_FLUSH: return hc_flush(v, r);
	case KEEL_HC_LOAD_GS: return hc_load_gs(v, r);
	case KEEL_HC_SET_DESC: return hc_set_desc(v, r);
	case KEEL_HC_EOI: return irq_eoi(v);
	case KEEL_HC_IPI: return hc_ipi(v, r);
	case KEEL_HC_TIMER: return hc_timer(v, r);
	case KEEL_HC_FLUSH_FILL: return hc_flush_fill(v, r);
	case KEEL_HC_IPI_SET: return hc_ipi_set(v, r);
	case KEEL_HC_FLUSH_SET: return hc_flush_set(v, r);
	case KEEL_HC_YIELD: return hc_yield(v, r);
	case HC_DEBUG: return check_hcall(v, r);
	case HC_MEASURE: return measure_hcall(r->rdi);
	}
	if (n <= INT64_MAX && (n & HCALL_MASK) == KEEL_HC_FLUSH_SET)
		return hc_flush_wait(v, r);
	return hcall_seldom(v, r, n);
}

/* Calls with a counter of their own; the rest is "hc_other". */
static const uint8_t counter[KEEL_HC_NR] = {
	[KEEL_HC_IRQ_WINDOW] = KEEL_STAT_IRQ_WINDOW,
	[KEEL_HC_BLOCK] = KEEL_STAT_BLOCK,
	[KEEL_HC_IRET] = KEEL_STAT_IRET,
	[KEEL_HC_LOAD_CR3] = KEEL_STAT_NR,	/* counted by kind where it is done */
	[KEEL_HC_FLUSH] = KEEL_STAT_NR,
	[KEEL_HC_FLUSH_FILL] = KEEL_STAT_NR,
	[KEEL_HC_LOAD_GS] = KEEL_STAT_NR,
	[KEEL_HC_SET_DESC] = KEEL_STAT_NR,
	[KEEL_HC_TIMER] = KEEL_STAT_NR,
	[KEEL_HC_FLUSH_SET] = KEEL_STAT_NR,
};

void hcall_handle(struct vcpu *v, struct regs *r)
{
	uint64_t n = r->rax;
	unsigned int what;

	if (n == KEEL_HC_FILL) {	/* by far the most frequent one */
		r->rax = (uint64_t)hc_fill(v, r);
		return;
	}
	if (n == KEEL_HC_CHAN_KICK) {	/* and this one has the least to do */
		r->rax = (uint64_t)hc_chan_kick(v, r);
		return;
	}
	if (n == KEEL_HC_CALL || n == KEEL_HC_REPLY_WAIT) {	/* the result is written by others when it sleeps */
		call_enter(v, r);
		return;
	}
	what = n < KEEL_HC_NR ? counter[frames_clamp(n, KEEL_HC_NR)] : 0;
	if (what != KEEL_STAT_NR)
		stat_inc(v, what ? what : KEEL_STAT_HC_OTHER);
	r->rax = (uint64_t)dispatch(v, r, n);
}

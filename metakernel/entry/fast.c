// SPDX-License-Identifier: MIT
/*
 * fast.c - a call, an answer and a doorbell that go straight from one vCPU to another.
 *
 * Each first looks whether everything is as it most often is: one CPU, the other vCPU asleep, nothing else to do on the
 * way out, and no state that few have. Then it does what the usual way (hcall.c, run/call.c, run/sched.c, vcpu_save,
 * vcpu_load) does, and no more. If anything is otherwise it has changed nothing, and says so.
 *
 * Context:    as trap.c, but nothing has been looked at yet, not even whether it was ring 1 that called.
 * Invariants: who leaves here has a frame that vcpu_sanitize() would not change (rule 10): who sleeps for a call or an answer
 *             was looked at when it began to, and since then the frame is the metakernel's; others are looked at here.
 * Locks:      none: there is one CPU (vcpu_note_special).
 */
#include <hal/cpu.h>
#include "entry/trap.h"
#include "mm/check.h"
#include "part/chan.h"
#include "part/part.h"
#include "run/call.h"
#include "run/cpu.h"

#define __always	inline __attribute__((always_inline))

/*
 * As the CPU has just written it for INT in ring 1, where IF is always set; RIP is behind two bytes that have an
 * address, so that it has one itself or is the first that has none.
 */
static __always bool frame_fine(const struct regs *r)
{
	return r->cs == KEEL_CS_RING1 && r->ss == KEEL_SS_RING1 && !(r->rflags & ~(RFLAGS_GUEST | 0x202)) &&
	       r->rip >> 32 != 1UL << 15;
}

/* What lies in the way: bits of a word, most often 0. `more`: of the caller's. */
static __always bool usual(const struct cpu *c, const struct vcpu *v, const struct vcpu *to, uint64_t more)
{
	return !(hal_selectors() | more | c->work | v->unusual | to->unusual) && !shoot_due(to);
}

static __always uint64_t interrupts(const struct vcpu *v)
{
	return v->irr[0] | v->irr[1] | v->irr[2] | v->irr[3];
}

static __always uint64_t switch_to(struct cpu *c, struct vcpu *v, struct vcpu *to)
{
	uint64_t now = hal_rdtsc(), ran = now - v->run_since;

	__asm__("" : "+r"(ran));	/* one addition to memory */
	v->run_tsc += ran;
	to->run_since = now;
	to->state = VCPU_RUNNING;
	v->fs_base = hal_rdfsbase();
	v->gs_base = hal_rdgsbase();
	hal_xswitch(v->xstate, to->xstate);
	hal_wrfsbase(to->fs_base);
	hal_wrgsbase(to->gs_base);
	stat_inc(v, KEEL_STAT_TOTAL);
	v->loaded = false;
	to->loaded = true;
	c->current = to;
	check_entry(to, to->regs);
	return to->root_pa;
}

/* The same, but for the two that have three instructions to spare. */
static __attribute__((noinline)) uint64_t switch_away(struct cpu *c, struct vcpu *v, struct vcpu *to)
{
	return switch_to(c, v, to);
}

/* The channel of a handle whose type and rights are these. */
static __always bool find(const struct partition *p, uint64_t handle, uint32_t mask, uint32_t kind, const struct chan **ch)
{
	uint32_t word;
	int64_t below;

	if (unlikely(handle >= KEEL_MAX_HANDLES))
		return false;
	below = (int64_t)handle - KEEL_MAX_HANDLES;
	__asm__("" : "+r"(below));
	handle &= (uint64_t)(below >> 63);	/* as frames_clamp() */
	__asm__("" : "+r"(handle));		/* an index and an offset: no sum of the two */
	word = p->caps[handle].word;
	*ch = &chans[word >> 16];
	__asm__("" : "+r"(*ch));		/* nor this again for each use */
	return likely((word & mask) == kind);
}

uint64_t fast_call(uint64_t handle)
{
	struct cpu *c = this_cpu;
	struct vcpu *v = c->current, *to;
	struct regs *r = v->regs, *answers;
	const struct chan *ch;

	if (unlikely(!find(v->part, handle, 0xffff, KEEL_CAP_CHANNEL | KEEL_RIGHT_USE << 8, &ch)) || unlikely(!frame_fine(r)) ||
	    unlikely(!(ch->state & KEEL_CHAN_SERVER_UP)))
		return 0;
	to = ch->side[0]->receiver;
	if (unlikely(to->state != VCPU_WAITING) || unlikely(!usual(c, v, to, 0)))
		return 0;
	to->caller = v;
	to->node.priority = v->node.priority;
	stat_inc(v, KEEL_STAT_CALL);
	answers = to->regs;
	answers->rax = ch->handle[0];
	call_words(answers, r);
	v->state = VCPU_CALLING;
	return switch_to(c, v, to);
}

uint64_t fast_reply_wait(uint64_t flags)
{
	struct cpu *c = this_cpu;
	struct vcpu *v = c->current, *to = v->caller;
	struct regs *r = v->regs, *asks;

	if (unlikely(!to) || unlikely(!frame_fine(r)) ||
	    unlikely(!usual(c, v, to, flags | (uint64_t)v->part->callers | v->vp->pending | v->vp->events | interrupts(to))))
		return 0;
	v->caller = NULL;
	v->node.priority = v->priority;
	asks = to->regs;
	asks->rax = 0;
	call_words(asks, r);
	r->rax = (uint64_t)-KEEL_EAGAIN;	/* if an event ends it */
	v->state = VCPU_WAITING;
	return switch_away(c, v, to);
}

/* Who rings is ready, behind others of its priority. */
uint64_t fast_kick(uint64_t handle)
{
	struct cpu *c = this_cpu;
	struct vcpu *v = c->current, *to;
	const struct chan *ch;
	unsigned int other;

	if (v->special || unlikely(!find(v->part, handle, 0xff, KEEL_CAP_CHANNEL, &ch)))
		return 0;
	other = ch->side[0] == v->part;
	to = ch->side[other]->vcpu;
	if (to->entry[KEEL_ENTRY_EVENT_KERNEL] || to->state != VCPU_BLOCKED || to->node.priority <= v->node.priority ||
	    unlikely(!frame_fine(v->regs)) || unlikely(!frame_fine(to->regs)) ||
	    unlikely(!usual(c, v, to, interrupts(to) | c->runq.ready >> to->node.priority | ch->event[other] >> 6)))
		return 0;
	__atomic_fetch_or(&to->vp->events, bit64(ch->event[other]), __ATOMIC_RELAXED);
	to->wake_tsc = 0;
	runq_push(&c->runq, &v->node);
	v->ready_since = hal_rdtsc();
	v->regs->rax = 0;
	c->slice_over = 0;
	c->slice_tsc = 0;
	stat_inc(v, KEEL_STAT_KICK);
	v->state = VCPU_READY;
	return switch_away(c, v, to);
}

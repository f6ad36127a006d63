// SPDX-License-Identifier: MIT
/*
 * call.c - calls between partitions: who waits for whom, and what becomes of them when one of the two ends.
 *
 *   caller    RUNNING ──CALL──> CALLING, in the server's queue ──> CALLING, had by a server ──answer──> READY
 *   server    RUNNING ──REPLY_WAIT──> WAITING ──call or event──> READY; or at once RUNNING, with the first of the queue
 *
 * A server has one call at most, and that is all there is to a reply capability: whom it answers is what the metakernel
 * remembers, and nothing it could name. While it has one its priority is the caller's.
 *
 * Locks:      LOCK_CHAN: who has whose call, and queues. The fast way (entry/fast.c) is for machines with one CPU.
 * Invariants: who is CALLING is in one queue, or had by one server, or about to end (call_forget).
 * Bounds:     a queue has each vCPU of the clients once; looking through one is within a piece.
 * Trusts:     nothing. The frame of who sleeps is the metakernel's, and RDI in it still says which channel it called by.
 */
#include "part/chan.h"
#include "part/part.h"
#include "run/call.h"
#include "run/cpu.h"
#include "run/sched.h"

/* Which channel a vCPU's call goes by. */
static struct chan *called_by(const struct vcpu *v)
{
	unsigned int side;

	return chan_of(v->part, v->regs->rdi, &side);
}

/* Who sleeps is made ready and is in no queue, so that no event wakes it. False: it has ended, or does something else. */
static bool claim(struct vcpu *v, enum vcpu_state from)
{
	struct cpu *c = lock_home(v);
	bool mine = v->state == from;

	if (mine)
		v->state = VCPU_READY;
	lock_release(&c->lock);
	return mine;
}

/* Who has a call has its caller's priority, who has none its own; in a queue or not. -> whose it had */
static struct vcpu *have(struct vcpu *s, struct vcpu *caller)
{
	struct cpu *c = lock_home(s);
	struct vcpu *had = s->caller;
	bool queued = runq_queued(&s->node);

	if (queued)
		runq_remove(&c->runq, &s->node);
	s->caller = caller;
	s->node.priority = caller ? caller->node.priority : s->priority;
	budget_serve(s, caller);
	if (queued)
		runq_push(&c->runq, &s->node);
	lock_release(&c->lock);
	return had;
}

/* A server has taken a call, which is in its registers now. */
static void take_call(struct vcpu *s, struct vcpu *caller)
{
	have(s, caller);
	s->regs->rax = called_by(caller)->handle[0];
	call_words(s->regs, caller->regs);
}

/* It goes on, if it has not ended. words: NULL for an error */
static void answer(struct vcpu *caller, int64_t result, const struct regs *words)
{
	if (!caller || !claim(caller, VCPU_CALLING))
		return;
	caller->regs->rax = (uint64_t)result;
	if (words)
		call_words(caller->regs, words);
	sched_go_on(caller);
}

static int64_t begin(struct vcpu *v, const struct regs *r)
{
	unsigned int side, i;
	struct chan *c = chan_of(v->part, r->rdi, &side);
	struct partition *p;
	struct vcpu **last;

	stat_inc(v, KEEL_STAT_CALL);
	if (!c || !side)
		return c ? -KEEL_EPERM : -KEEL_EBADF;
	if (!(c->state & KEEL_CHAN_SERVER_UP))
		return -KEEL_EPIPE;
	sched_sleep(v, VCPU_CALLING);
	p = c->side[0];
	for (i = 0; i < p->nvcpus; i++) {
		struct vcpu *s = &p->vcpu[i];

		if (claim(s, VCPU_WAITING)) {
			p->receiver = s;
			take_call(s, v);
			sched_go_on(s);
			return 0;
		}
	}
	for (last = &p->callers; *last; last = &(*last)->behind)
		;
	v->behind = NULL;
	*last = v;
	return 0;
}

static int64_t reply_wait(struct vcpu *v, struct regs *r)
{
	struct vcpu *next = v->part->callers;

	if (r->rdi > KEEL_REPLY_NONE || (r->rdi && v->caller))
		return r->rdi > KEEL_REPLY_NONE ? -KEEL_EINVAL : -KEEL_EBUSY;
	answer(have(v, NULL), 0, r);
	r->rax = (uint64_t)-KEEL_EAGAIN;	/* if an event ends it */
	if (next) {
		v->part->callers = next->behind;
		take_call(v, next);
	} else {
		v->part->receiver = v;
		sched_sleep(v, VCPU_WAITING);
	}
	return 0;
}

void call_enter(struct vcpu *v, struct regs *r)
{
	int64_t err = -KEEL_EPIPE;

	/* As it leaves (rule 10): fast.c does not look again. Without an address it has its fault first. */
	r->cs = KEEL_CS_RING1;
	r->ss = KEEL_SS_RING1;
	r->rflags = (r->rflags & RFLAGS_GUEST) | 0x202;
	if (!is_canonical(r->rip))
		return;
	lock_take(&chan_lock);
	if (vcpu_on(v))		/* else call_forget() has been here, and nobody would come after it */
		err = r->rax == KEEL_HC_CALL ? begin(v, r) : reply_wait(v, r);
	if (err)
		r->rax = (uint64_t)err;
	lock_release(&chan_lock);
}

void call_end(const struct chan *c, const struct vcpu *only)
{
	struct partition *p = c->side[0];
	struct vcpu *v, **at = &p->callers;
	unsigned int i;

	while ((v = *at)) {
		if (called_by(v) != c || (only && v != only)) {
			at = &v->behind;
			continue;
		}
		*at = v->behind;
		answer(v, -KEEL_EPIPE, NULL);
	}
	for (i = 0; i < p->nvcpus; i++) {
		v = p->vcpu[i].caller;
		if (v && called_by(v) == c && (!only || v == only))
			answer(have(&p->vcpu[i], NULL), -KEEL_EPIPE, NULL);
	}
}

void call_forget(struct vcpu *v)
{
	const struct chan *c;

	lock_take(&chan_lock);
	c = called_by(v);
	if (c)
		call_end(c, v);
	answer(have(v, NULL), -KEEL_EPIPE, NULL);
	lock_release(&chan_lock);
}

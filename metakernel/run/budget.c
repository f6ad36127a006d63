// SPDX-License-Identifier: MIT
/* budget.c - see budget.h. */
#include <hal/cpu.h>
#include <hal/irq.h>
#include "part/part.h"
#include "run/cpu.h"
#include "run/sched.h"

#define TELL_MS	100	/* who controls a vCPU hears of its exhaustion no more often */

/* What is back by now. -> is some left? */
static __attribute__((noinline)) bool come_back(struct budget *b, uint64_t now)
{
	const struct refill *r;

	for (; b->first != b->end; b->first++) {
		r = &b->refill[b->first % BUDGET_REFILLS];
		if (r->at > now)
			break;
		b->left += (int64_t)r->ticks;
	}
	return b->left > 0;
}

static void use(struct budget *b, uint64_t from, uint64_t now)
{
	struct refill *r = &b->refill[(b->end - 1) % BUDGET_REFILLS];
	unsigned int away;

	from = from > b->since ? from : b->since;
	if (from >= now)
		return;
	come_back(b, now);
	b->left -= (int64_t)(now - from);
	away = b->end - b->first;
	if (away < BUDGET_EXACT || (from - r->since >= b->period / 8 && away < BUDGET_REFILLS)) {
		r = &b->refill[b->end++ % BUDGET_REFILLS];
		*r = (struct refill) { .since = from };
	}
	r->at = from + b->period;
	r->ticks += now - from;
	if (b->left < 0)	/* what takes so long to earn, rounded up */
		r->at += (uint64_t)-b->left * ((b->period - 1) / b->ticks + 1);
}

/* Charge what it ran since somebody last did: one run at most, since each load does. */
static void settle(struct vcpu *v)
{
	uint64_t ran = __atomic_load_n(&v->run_tsc, __ATOMIC_RELAXED) - v->charged_tsc;

	v->charged_tsc += ran;
	if (v->payer)
		use(&v->payer->budget, v->run_since, v->run_since + ran);
}

void budget_charge(struct vcpu *v, struct vcpu *payer)
{
	settle(v);
	v->payer = payer;
	v->plain = v->pinned && !payer;
	vcpu_note_special(v);
}

void budget_serve(struct vcpu *v, struct vcpu *caller)
{
	struct vcpu *payer = v->budget.ticks ? v : NULL;
	uint64_t now;

	if (caller && caller->payer == caller && caller->pinned && v->pinned && caller->cpu == v->cpu)
		payer = caller;
	if (payer == v->payer)
		return;
	if (v == this_cpu->current) {	/* what it has run so far, before */
		now = hal_rdtsc();
		v->run_tsc += now - v->run_since;
		settle(v);
		v->run_since = now;
	}
	budget_charge(v, payer);
}

/* A new one is full; what has been used of one that is changed comes back after a period. */
void budget_set(struct vcpu *v, uint64_t ticks, uint64_t period)
{
	struct cpu *c = lock_home(v);
	struct budget *b = &v->budget;
	uint64_t now = hal_rdtsc();
	int64_t away;

	budget_charge(v, ticks ? v : NULL);
	away = b->period ? (int64_t)b->ticks - b->left : 0;
	b->since = b->period ? b->since : now;
	b->ticks = ticks;
	b->period = period;
	b->left = ticks ? (int64_t)ticks - away : INT64_MAX / 2;
	b->first = 0;
	b->end = away > 0;
	b->refill[0] = (struct refill) { now, now + period, (uint64_t)away };
	c->spent_tsc = 1;	/* long ago: if it runs there, it is looked at, */
	if (v->state == VCPU_SPENT)
		v->wake_tsc = 1;	/* and so it is if it waits */
	lock_release(&c->lock);
	cpu_work(c, WORK_TIMER);
}

/* Has it nothing left? Then it is SPENT, with the time when some is back as a deadline. */
static bool spent(struct vcpu *v, uint64_t now)
{
	struct budget *b;

	settle(v);
	if (!v->payer)
		return false;
	settle(v->payer);	/* the call itself */
	b = &v->payer->budget;
	if (come_back(b, now))
		return false;
	b->exhausted++;
	v->state = VCPU_SPENT;
	v->wake_tsc = b->refill[b->first % BUDGET_REFILLS].at;
	if (!v->ready_since)
		v->ready_since = now;
	return true;
}

void budget_look(struct cpu *c, struct vcpu *v, uint64_t now)
{
	lock_take(&c->lock);
	c->spent_tsc = 0;
	if (v == c->current)
		v->run_tsc += now - v->run_since;
	if (v->state == VCPU_RUNNING && spent(v, now))
		cpu_work_here(WORK_RESCHED | WORK_TIMER);
	else if (v->payer)
		c->spent_tsc = now + (uint64_t)v->payer->budget.left;
	v->run_since = now;
	lock_release(&c->lock);
	if (v->state == VCPU_SPENT && now - v->budget.told >= TELL_MS * hal_tsc_khz()) {
		v->budget.told = now;
		part_tell_control(KEEL_EV_BUDGET);
	}
}

// SPDX-License-Identifier: MIT
/*
 * sched.c - fixed-priority preemptive scheduling of vCPUs, and the one physical timer behind all
 * deadlines.
 *
 * The highest-priority ready vCPU runs; equal priorities take turns of SLICE_NS. A switch happens
 * only on the way out of the metakernel (sched_leave), never inside it.
 *
 * Context: interrupts off, except in idle(), which waits with `sti; hlt` and takes its interrupts
 *          through the metakernel's own IDT.
 */
#include <hal/boot.h>
#include <hal/cpu.h>
#include <hal/irq.h>
#include "mm/check.h"
#include "mm/flush.h"
#include "mm/root.h"
#include "part/console.h"
#include "part/ending.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/runq.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/measure.h"
#include "lib/panic.h"

#define AGE_MS	4000

static uint64_t age_tsc;	/* when shadows are next aged, */
static unsigned int age_next;	/* and the partition before that one */
static uint64_t slice_tsc;	/* SLICE_NS in TSC ticks */

static bool vcpu_alive(const struct vcpu *v)
{
	return v->state != VCPU_OFF;
}

/* Set the physical timer for the earliest of all deadlines. */
static void timer_rearm(void)
{
	uint64_t next = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < nparts; i++) {
		const struct vcpu *v = &parts[i].vcpu;

		if (!vcpu_alive(v))
			continue;
		if (v->timer_tsc && v->timer_tsc < next)
			next = v->timer_tsc;
		if (v->wake_tsc && v->wake_tsc < next)
			next = v->wake_tsc;
	}
	if (this_cpu->slice_tsc && this_cpu->slice_tsc < next)
		next = this_cpu->slice_tsc;
	if (console_poll_tsc() && console_poll_tsc() < next)
		next = console_poll_tsc();
	this_cpu->armed_tsc = next;
	hal_timer_arm_tsc(next != UINT64_MAX ? next : 0);
}

/*
 * One more deadline (0: none). A switch touches the timer only when it brings an earlier one than is set; one that
 * was taken back meanwhile costs a tick that finds nothing to do.
 */
static void timer_want(uint64_t deadline)
{
	if (!deadline || deadline >= this_cpu->armed_tsc)
		return;
	this_cpu->armed_tsc = deadline;
	hal_timer_arm_tsc(deadline);
}

void sched_init(void)
{
	runq_init(&this_cpu->runq);
	this_cpu->armed_tsc = UINT64_MAX;
	slice_tsc = hal_tsc_khz() * (SLICE_NS / 1000000);
}

void sched_wake(struct vcpu *v)
{
	struct vcpu *cur = this_cpu->current;

	if (v->state != VCPU_BLOCKED)
		return;
	v->state = VCPU_READY;
	v->wake_tsc = 0;
	v->part->state = KEEL_PART_RUNNING;
	runq_push(&this_cpu->runq, &v->node);
	if (!cur || v->node.priority > cur->node.priority)
		this_cpu->resched = true;
	else if (v->node.priority == cur->node.priority && !this_cpu->slice_tsc) {
		this_cpu->slice_tsc = hal_rdtsc() + slice_tsc;
		timer_want(this_cpu->slice_tsc);
	}
}

void sched_block(struct vcpu *v)
{
	v->state = VCPU_BLOCKED;
	v->part->state = KEEL_PART_BLOCKED;
	timer_want(v->wake_tsc);
	this_cpu->resched = true;
}

void sched_remove(struct vcpu *v)
{
	if (v->state == VCPU_READY)
		runq_remove(&this_cpu->runq, &v->node);
	v->state = VCPU_OFF;
	v->timer_tsc = v->wake_tsc = 0;
	this_cpu->resched = true;
}

void sched_set_timer(struct vcpu *v, uint64_t deadline_tsc)
{
	bool earliest = v->timer_tsc == this_cpu->armed_tsc;

	v->timer_tsc = deadline_tsc;
	if (earliest)
		timer_rearm();
	else
		timer_want(deadline_tsc);
}

/*
 * Linux clears accessed bits without a flush and expects a TLB to forget by itself. Forget now and
 * then, or hot pages would look idle for ever and be reclaimed. One partition a tick (I5), each every AGE_MS.
 */
static void age_one(uint64_t now)
{
	age_tsc = now + hal_tsc_khz() * AGE_MS / nparts;
	age_next = (age_next + 1) % nparts;
	if (vcpu_alive(&parts[age_next].vcpu))
		mmu_age(&parts[age_next].vcpu);
}

void sched_tick(void)
{
	uint64_t now = hal_rdtsc();
	unsigned int i;

	for (i = 0; i < nparts; i++) {
		struct vcpu *v = &parts[i].vcpu;

		if (!vcpu_alive(v))
			continue;
		if (v->timer_tsc && v->timer_tsc <= now) {
			v->timer_tsc = 0;
			event_raise(v, KEEL_EV_TIMER);
		}
		if (v->wake_tsc && v->wake_tsc <= now)
			sched_wake(v);
	}
	if (now >= age_tsc)
		age_one(now);
	if (this_cpu->slice_tsc && this_cpu->slice_tsc <= now) {
		this_cpu->slice_tsc = 0;
		this_cpu->resched = true;
	}
	if (console_poll_tsc() <= now)
		console_poll();
	timer_rearm();
}

/* Nothing to run: wait with interrupts on until something became ready. */
static struct vcpu *idle(void)
{
	struct runq_node *n;

	ending_idle();
	this_cpu->idle = true;
	while (!(n = runq_pop(&this_cpu->runq))) {
		measure_leave();
		hal_sti_hlt_cli();
		measure_enter(MEASURE_IDLE);
	}
	this_cpu->idle = false;
	return (struct vcpu *)n;
}

void sched_leave(void)
{
	struct vcpu *cur = this_cpu->current;
	struct runq_node *top;
	struct vcpu *next;

	this_cpu->resched = false;
	top = runq_peek(&this_cpu->runq);
	if (cur && cur->state == VCPU_RUNNING) {
		if (!top || top->priority < cur->node.priority ||
		    (top->priority == cur->node.priority && this_cpu->slice_tsc))
			return;
		cur->state = VCPU_READY;
		vcpu_save(cur);
		runq_push(&this_cpu->runq, &cur->node);
	} else if (cur) {
		vcpu_save(cur);
	}
	next = (struct vcpu *)runq_pop(&this_cpu->runq);
	if (!next)
		next = idle();
	next->state = VCPU_RUNNING;
	next->part->state = KEEL_PART_RUNNING;
	top = runq_peek(&this_cpu->runq);
	this_cpu->slice_tsc = top && top->priority == next->node.priority ? hal_rdtsc() + slice_tsc : 0;
	timer_want(this_cpu->slice_tsc);
	this_cpu->resched = false;
	vcpu_load(next);
}

uint64_t sched_exit(void)
{
	for (;;) {
		struct vcpu *v;
		struct regs *r;

		if (this_cpu->resched)
			sched_leave();
		v = this_cpu->current;
		r = v->regs;
		event_deliver(v, r);
		/*
		 * Where it would go on is no address: AMD's IRETQ, and QEMU's, get there before they fault, and an
		 * interrupt may come between. Deliver the fault that the next fetch would have been.
		 */
		if (!vcpu_sanitize(v, r)) {
			event_exception(v, r, VEC_GP, 0);
			continue;
		}
		check_entry(v, r);
		if (!this_cpu->resched)
			return mmu_root_pa(v);
	}
}

void sched_start(void)
{
	unsigned int i;

	for (i = 0; i < nparts; i++)
		if (parts[i].vcpu.state == VCPU_READY)
			runq_push(&this_cpu->runq, &parts[i].vcpu.node);
	sched_leave();
	timer_rearm();
	hal_once_over();
	entry_start(sched_exit());
}

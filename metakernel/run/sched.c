// SPDX-License-Identifier: MIT
/*
 * sched.c - fixed-priority preemptive scheduling of vCPUs, and the one physical timer behind all
 * deadlines of a CPU.
 *
 * Each CPU has a queue. Its highest-priority ready vCPU runs; equal priorities take turns of SLICE_NS. A switch
 * happens only on the way out of the metakernel (sched_leave), never inside it. A vCPU that is not pinned is taken by
 * a CPU that has nothing else to do.
 *
 *              sched_make_ready()          take()
 *   OFF ──────────> READY, in a queue ────────────────> RUNNING, loaded
 *                     ^          ^─── its slice is over ───│
 *                     │ wake                               v
 *                     └──────────────────────────────── BLOCKED      any ──> OFF: sched_remove()
 *
 * Locks:   the state changes by compare and exchange, so whoever changes it has done so alone. LOCK_RUNQ of a CPU
 *          guards its queue, and `loaded` and `cpu` of what is taken from there: a vCPU is loaded from when it leaves a
 *          queue until its registers are saved, and only one that is not may be taken by another CPU.
 * Context: interrupts off, except in idle(), which waits with `sti; hlt` and takes its interrupts
 *          through the metakernel's own IDT.
 */
#include <hal/boot.h>
#include <hal/cpu.h>
#include <hal/irq.h>
#include "mm/check.h"
#include "mm/flush.h"
#include "mm/root.h"
#include "mm/shootdown.h"
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

#define AGE_MS		4000
#define LOOK_AGAIN_US	50

static uint64_t slice_ticks, age_ticks;
static struct vcpu *movers;	/* vCPUs that are not pinned, by sibling */
static uint64_t idle_cpus;	/* a bit each */

/* ---- Deadlines ----------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t next, uint64_t deadline)
{
	return deadline && deadline < next ? deadline : next;
}

/* The vCPUs whose deadlines are this CPU's: its own, then those that happen to be here. */
static struct vcpu *next_here(const struct cpu *c, struct vcpu *v)
{
	v = v->sibling;
	while (v && !v->pinned && v->cpu != c->index)
		v = v->sibling;
	return v;
}

static struct vcpu *first_of(const struct cpu *c, struct vcpu *list)
{
	return !list || list->pinned || list->cpu == c->index ? list : next_here(c, list);
}

static uint64_t first_deadline(const struct cpu *c, struct vcpu *list, uint64_t next)
{
	const struct vcpu *v;

	for (v = first_of(c, list); v; v = next_here(c, (struct vcpu *)v))
		if (vcpu_on(v))
			next = earlier(earlier(next, v->timer_tsc), v->wake_tsc);
	return next;
}

/* Set the physical timer for the earliest of all deadlines. */
static void timer_rearm(void)
{
	struct cpu *c = this_cpu;
	uint64_t next = first_deadline(c, c->vcpus, UINT64_MAX);

	next = first_deadline(c, movers, next);
	next = earlier(next, c->slice_tsc);
	if (!c->index)
		next = earlier(next, console_poll_tsc());
	c->armed_tsc = next;
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

void sched_set_timer(struct vcpu *v, uint64_t deadline_tsc)
{
	bool earliest = v->timer_tsc == this_cpu->armed_tsc;

	v->timer_tsc = deadline_tsc;
	if (earliest)
		timer_rearm();
	else
		timer_want(deadline_tsc);
}

void sched_look_again(void)
{
	timer_want(hal_rdtsc() + hal_tsc_khz() * LOOK_AGAIN_US / 1000);
}

/* A mover may be taken to another CPU meanwhile: whoever takes the deadline away raises the event. */
static void deadlines(const struct cpu *c, struct vcpu *list, uint64_t now)
{
	struct vcpu *v;

	for (v = first_of(c, list); v; v = next_here(c, v)) {
		uint64_t timer = v->timer_tsc, wake = v->wake_tsc;

		if (!vcpu_on(v))
			continue;
		if (timer && timer <= now &&
		    __atomic_compare_exchange_n(&v->timer_tsc, &timer, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			event_raise(v, KEEL_EV_TIMER);
		if (wake && wake <= now)
			sched_wake(v);
	}
}

/*
 * Linux clears accessed bits without a flush and expects a TLB to forget by itself. Forget now and
 * then, or hot pages would look idle for ever and be reclaimed. One vCPU a tick (I5), each every AGE_MS; of those
 * that move, the one that is here.
 */
static void age_one(struct cpu *c, uint64_t now)
{
	struct vcpu *v = c->age_next ? c->age_next : c->vcpus;

	c->age_tsc = now + age_ticks / (c->nvcpus ? c->nvcpus : 1);
	c->age_next = v ? v->sibling : NULL;
	if (c->current && !c->current->pinned)
		mmu_age(c->current);
	else if (v && vcpu_on(v))
		mmu_age(v);
}

void sched_tick(void)
{
	struct cpu *c = this_cpu;
	uint64_t now = hal_rdtsc();

	deadlines(c, c->vcpus, now);
	deadlines(c, movers, now);
	if (now >= c->age_tsc)
		age_one(c, now);
	if (c->slice_tsc && c->slice_tsc <= now) {
		c->slice_tsc = 0;
		c->slice_over = true;
		cpu_work(c, WORK_RESCHED);
	}
	if (!c->index && console_poll_tsc() <= now)
		console_poll();
	timer_rearm();
}

/* ---- Queues --------------------------------------------------------------------------------------- */

/* A CPU with nothing to do may take what waits elsewhere. */
static void call_idle(void)
{
	uint64_t idle = __atomic_load_n(&idle_cpus, __ATOMIC_RELAXED);

	if (idle)
		cpu_work(cpus[bit_lowest(idle)], WORK_RESCHED);
}

void sched_make_ready(struct vcpu *v)
{
	struct cpu *c = cpus[v->cpu];
	const struct vcpu *cur;

	lock_take(&c->lock);
	/* It may have ended since, and even have been started and queued anew. */
	if (v->state == VCPU_READY && !runq_queued(&v->node))
		runq_push(&c->runq, &v->node);
	lock_release(&c->lock);
	cur = c->current;
	if (!cur || v->node.priority > cur->node.priority || v->cpu != this_cpu->index) {
		cpu_work(c, WORK_RESCHED);
	} else if (v->node.priority == cur->node.priority && !c->slice_tsc) {
		c->slice_tsc = hal_rdtsc() + slice_ticks;
		timer_want(c->slice_tsc);
	}
	if (!v->pinned)
		call_idle();
}

void sched_wake(struct vcpu *v)
{
	if (v->state != VCPU_BLOCKED || !vcpu_change(v, VCPU_BLOCKED, VCPU_READY))
		return;
	v->wake_tsc = 0;
	sched_make_ready(v);
}

/*
 * Whoever adds an event looks at the state after it, whoever blocks looks at the events after that: one of the two
 * sees the other.
 */
void sched_block(struct vcpu *v)
{
	if (vcpu_change(v, VCPU_RUNNING, VCPU_BLOCKED) && event_waiting(v) &&
	    vcpu_change(v, VCPU_BLOCKED, VCPU_RUNNING))
		return;
	timer_want(v->wake_tsc);
	cpu_work(this_cpu, WORK_RESCHED);
}

void sched_add(struct vcpu *v)
{
	struct vcpu **list = v->pinned ? &cpus[v->cpu]->vcpus : &movers;

	while (*list)		/* in the manifest's order */
		list = &(*list)->sibling;
	*list = v;
	cpus[v->cpu]->nvcpus += v->pinned;
}

/* Out of the queue it is in, if any; another CPU may be taking it. */
static void unqueue(struct vcpu *v)
{
	struct cpu *c;

	for (;;) {
		c = cpus[__atomic_load_n(&v->cpu, __ATOMIC_ACQUIRE)];
		lock_take(&c->lock);
		if (c->index == v->cpu)
			break;
		lock_release(&c->lock);
	}
	if (runq_queued(&v->node))
		runq_remove(&c->runq, &v->node);
	lock_release(&c->lock);
}

void sched_remove(struct vcpu *v)
{
	__atomic_store_n(&v->state, VCPU_OFF, __ATOMIC_SEQ_CST);
	unqueue(v);
	v->timer_tsc = v->wake_tsc = 0;
	if (v->loaded)
		cpu_work(cpus[v->cpu], WORK_RESCHED);
}

bool sched_gone(struct vcpu *v)
{
	return !vcpu_on(v) && !__atomic_load_n(&v->loaded, __ATOMIC_ACQUIRE);
}

void sched_yield(struct vcpu *v, struct vcpu *to)
{
	struct cpu *c = cpus[to ? to->cpu : v->cpu];

	lock_take(&c->lock);
	if (to && runq_queued(&to->node) && to->cpu == c->index) {
		runq_remove(&c->runq, &to->node);
		runq_push_front(&c->runq, &to->node);
	}
	lock_release(&c->lock);
	c->slice_over = true;
	cpu_work(c, WORK_RESCHED);
}

/* The first of a queue that still wants to run becomes this CPU's; NULL: there is none. */
static struct vcpu *take(struct cpu *c)
{
	struct vcpu *v;

	lock_take(&c->lock);
	do {
		v = (struct vcpu *)runq_pop(&c->runq);
	} while (v && !vcpu_change(v, VCPU_READY, VCPU_RUNNING));
	if (v)
		__atomic_store_n(&v->loaded, true, __ATOMIC_SEQ_CST);	/* before a look at its notes */
	lock_release(&c->lock);
	return v;
}

/* One that waits in another CPU's queue, may move and is in nobody's registers. */
static struct vcpu *take_from(struct cpu *from, unsigned int to)
{
	struct runq_node *n, *found = NULL;
	struct vcpu *v = NULL;

	if (!__atomic_load_n(&from->runq.ready, __ATOMIC_RELAXED))
		return NULL;
	lock_take(&from->lock);
	for (n = runq_peek(&from->runq); n && !found; n = runq_next(&from->runq, n)) {
		v = (struct vcpu *)n;
		if (!v->pinned && !v->loaded && vcpu_change(v, VCPU_READY, VCPU_RUNNING))
			found = n;
	}
	if (found) {
		runq_remove(&from->runq, found);
		__atomic_store_n(&v->cpu, to, __ATOMIC_RELEASE);
		__atomic_store_n(&v->loaded, true, __ATOMIC_SEQ_CST);
	}
	lock_release(&from->lock);
	return found ? v : NULL;
}

static struct vcpu *take_any(const struct cpu *c)
{
	struct vcpu *v = NULL;
	unsigned int i;

	for (i = 0; movers && i < ncpus && !v; i++)
		if (i != c->index)
			v = take_from(cpus[i], c->index);
	return v;
}

/* Nothing to run: wait with interrupts on until something became ready. */
static struct vcpu *idle(struct cpu *c)
{
	uint64_t bit = bit64(c->index);
	struct vcpu *v;

	ending_idle();
	c->idle = true;
	__atomic_fetch_or(&idle_cpus, bit, __ATOMIC_SEQ_CST);
	for (;;) {
		/* Before looking: a bit set later comes with an interrupt. */
		if (__atomic_exchange_n(&c->work, 0, __ATOMIC_SEQ_CST) & WORK_TIMER)
			timer_rearm();
		v = take(c);
		if (!v)
			v = take_any(c);
		if (v)
			break;
		measure_leave();
		hal_sti_hlt_cli();
		measure_enter(MEASURE_IDLE);
	}
	__atomic_fetch_and(&idle_cpus, ~bit, __ATOMIC_SEQ_CST);
	c->idle = false;
	return v;
}

/* ---- Switching ------------------------------------------------------------------------------------ */

/* Is it still the turn of the one that runs? */
static bool goes_on(struct cpu *c, const struct vcpu *cur)
{
	uint32_t ready = __atomic_load_n(&c->runq.ready, __ATOMIC_RELAXED);
	unsigned int top;

	if (!ready)
		return true;
	top = 31U - (unsigned int)__builtin_clz(ready);
	if (top != cur->node.priority)
		return top < cur->node.priority;
	if (c->slice_over)
		return false;
	if (!c->slice_tsc) {
		c->slice_tsc = hal_rdtsc() + slice_ticks;
		timer_want(c->slice_tsc);
	}
	return true;
}

static void preempt(struct cpu *c, struct vcpu *cur)
{
	bool ready = vcpu_change(cur, VCPU_RUNNING, VCPU_READY);

	vcpu_save(cur);
	if (!ready)
		return;		/* it has just ended */
	cur->ready_since = hal_rdtsc();
	lock_take(&c->lock);
	if (cur->state == VCPU_READY && !runq_queued(&cur->node))
		runq_push(&c->runq, &cur->node);
	lock_release(&c->lock);
}

void sched_leave(void)
{
	struct cpu *c = this_cpu;
	struct vcpu *cur = c->current, *next;
	uint32_t ready;

	if (cur && cur->state == VCPU_RUNNING) {
		if (goes_on(c, cur))
			return;
		preempt(c, cur);
	} else if (cur) {
		vcpu_save(cur);
	}
	next = take(c);
	if (!next)
		next = idle(c);
	ready = __atomic_load_n(&c->runq.ready, __ATOMIC_RELAXED);
	c->slice_over = false;
	c->slice_tsc = ready >> next->node.priority & 1 ? hal_rdtsc() + slice_ticks : 0;
	timer_want(c->slice_tsc);
	if (!next->pinned) {
		timer_want(next->timer_tsc);
		timer_want(next->wake_tsc);
	}
	vcpu_load(next);
	/* It ended between the queue and here: whoever ended it may have looked for it too early. */
	if (next->state != VCPU_RUNNING)
		cpu_work(c, WORK_RESCHED);
}

/* What others, or this entry, have left for the way out. */
static void do_work(struct cpu *c)
{
	uint32_t work = __atomic_exchange_n(&c->work, 0, __ATOMIC_SEQ_CST);

	if (work & WORK_TIMER)
		timer_rearm();
	if (work & WORK_RESCHED)
		sched_leave();
	if ((work & WORK_NOTE) && c->current)
		shoot_obey(c->current);
}

uint64_t sched_exit(void)
{
	for (;;) {
		struct vcpu *v;
		struct regs *r;

		if (this_cpu->work)
			do_work(this_cpu);
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
		if (!__atomic_load_n(&this_cpu->work, __ATOMIC_RELAXED))
			return mmu_root_pa(v);
	}
}

/* ---- Start ---------------------------------------------------------------------------------------- */

void sched_init(void)
{
	slice_ticks = hal_tsc_khz() * (SLICE_NS / 1000000);
	age_ticks = hal_tsc_khz() * AGE_MS;
}

/* The first time out of the metakernel, with the first vCPU that is here. */
static void __attribute__((noreturn)) go(struct cpu *c)
{
	cpu_work(c, WORK_RESCHED);
	timer_rearm();
	entry_start(sched_exit());
}

void sched_start(void)
{
	hal_once_over();
	cpus_release();
	go(this_cpu);
}

void sched_join(void)
{
	go(this_cpu);
}

// SPDX-License-Identifier: MIT
/*
 * sched.c - fixed-priority preemptive scheduling of vCPUs, and the one physical timer behind all
 * deadlines of a CPU.
 *
 * Each CPU has a queue. Its highest-priority ready vCPU runs; equal priorities take turns of SLICE_NS. A switch
 * happens only on the way out of the metakernel (sched_leave), never inside it. A vCPU that is not pinned is taken by
 * a CPU that has nothing else to do.
 *
 *           sched_begin()                take()
 *   OFF ──────────> READY, in a queue ──────────> RUNNING, loaded      any ──> OFF: sched_remove()
 *                     ^   ^──── its turn is over ────│
 *                     │ sched_wake()                 v
 *                     └─────────────────────────── BLOCKED
 * Who has used its budget up is SPENT instead of READY, in no queue, until some is back (run/budget.h).
 *
 * Locks:   LOCK_RUNQ of the vCPU's CPU: its state, the queue, and `loaded` and `cpu` of what is taken from there. A vCPU
 *          is loaded from when it leaves a queue until its registers are saved; only one that is not may be taken by
 *          another CPU.
 * Context: interrupts off, except in idle(), which waits with `sti; hlt` and takes its interrupts
 *          through the metakernel's own IDT.
 */
#include <hal/boot.h>
#include <hal/cpu.h>
#include <hal/irq.h>
#include "mm/check.h"
#include "mm/root.h"
#include "mm/shootdown.h"
#include "part/busmaster.h"
#include "part/console.h"
#include "part/ending.h"
#include "part/part.h"
#include "run/call.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/irq.h"
#include "run/roster.h"
#include "run/runq.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/measure.h"
#include "lib/panic.h"

#define LOOK_AGAIN_US	50
#define TURN_GOES_ON	2

static uint64_t slice_ticks;
static uint64_t idle_cpus;	/* a bit each */

static void make_ready(struct vcpu *v, enum vcpu_state from);

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
	next = earlier(earlier(earlier(next, c->slice_tsc), c->spent_tsc), c->storm.until_tsc);
	if (!c->index)
		next = earlier(earlier(next, console_poll_tsc()), busmaster_tsc());
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
		if (timer && timer <= now) {
			__atomic_fetch_add(&this_cpu->wakes, 1, __ATOMIC_SEQ_CST);	/* it is about to be */
			if (__atomic_compare_exchange_n(&v->timer_tsc, &timer, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
				event_raise(v, KEEL_EV_TIMER);
		}
		if (wake && wake <= now)
			make_ready(v, v->state == VCPU_SPENT ? VCPU_SPENT : VCPU_BLOCKED);
	}
}

void sched_tick(void)
{
	struct cpu *c = this_cpu;
	uint64_t now = hal_rdtsc();

	deadlines(c, c->vcpus, now);
	deadlines(c, movers, now);
	if (now >= c->age_tsc)
		roster_age(c, now);
	if (c->slice_tsc && c->slice_tsc <= now) {
		c->slice_tsc = 0;
		c->slice_over = 1;
		cpu_work_here(WORK_RESCHED);
	}
	if (c->spent_tsc && c->spent_tsc <= now) {
		c->spent_tsc = 0;
		if (c->current)
			budget_look(c, c->current, now);
	}
	if (c->storm.until_tsc && c->storm.until_tsc <= now)
		irq_calm();
	if (!c->index && console_poll_tsc() <= now)
		console_poll();
	if (!c->index && busmaster_tsc() && busmaster_tsc() <= now)
		busmaster_piece();
	timer_rearm();
}

/* ---- Queues --------------------------------------------------------------------------------------- */

/* A CPU with nothing to do may take what waits elsewhere; the next to wait calls another. */
static void call_idle(void)
{
	uint64_t idle = __atomic_load_n(&idle_cpus, __ATOMIC_RELAXED), one;

	for (; idle; idle &= ~one) {
		one = idle & -idle;
		if (__atomic_fetch_and(&idle_cpus, ~one, __ATOMIC_SEQ_CST) & one) {
			cpu_work(cpus[bit_lowest(one)], WORK_RESCHED);
			return;
		}
	}
}

/* Into the queue, if it is in that state. */
static inline bool enqueue(struct cpu *c, struct vcpu *v, enum vcpu_state from)
{
	const struct vcpu *cur = __atomic_load_n(&c->current, __ATOMIC_RELAXED);

	if (v->state != from)
		return false;
	c->wakes++;
	v->state = VCPU_READY;
	v->wake_tsc = 0;
	if (cur && v->node.priority < cur->node.priority && !v->ready_since)
		v->ready_since = hal_rdtsc();
	runq_push(&c->runq, &v->node);
	return true;
}

static __attribute__((noinline)) void make_ready_elsewhere(struct vcpu *v, enum vcpu_state from)
{
	struct cpu *c = lock_home(v);
	bool queued = enqueue(c, v, from);

	lock_release(&c->lock);
	if (queued)
		cpu_work(c, WORK_RESCHED);
	if (queued && !v->pinned)
		call_idle();
}

/* And see to it that its CPU looks. A mover that is here may be taken away meanwhile. */
static void make_ready(struct vcpu *v, enum vcpu_state from)
{
	struct cpu *c = this_cpu;
	const struct vcpu *cur = c->current;
	bool mine, queued;

	lock_take(&c->lock);
	mine = v->cpu == c->index;
	queued = mine && enqueue(c, v, from);
	lock_release(&c->lock);
	if (!mine)
		make_ready_elsewhere(v, from);
	if (!queued)
		return;
	if (!cur || v->node.priority > cur->node.priority) {
		cpu_work_here(WORK_RESCHED);
	} else if (v->node.priority == cur->node.priority && !c->slice_tsc) {
		c->slice_tsc = hal_rdtsc() + slice_ticks;
		timer_want(c->slice_tsc);
	}
	if (!v->pinned)
		call_idle();
}

void sched_begin(struct vcpu *v)
{
	make_ready(v, VCPU_OFF);
}

/*
 * Without the lock: whoever adds an event looks at the state after it, whoever blocks looks at the events after
 * that, so one of the two sees the other.
 */
void sched_wake(struct vcpu *v)
{
	enum vcpu_state state = __atomic_load_n(&v->state, __ATOMIC_RELAXED);

	if (state == VCPU_BLOCKED || state == VCPU_WAITING)
		make_ready(v, state);
}

void sched_interrupt(struct vcpu *v)
{
	enum vcpu_state state = __atomic_load_n(&v->state, __ATOMIC_RELAXED);

	if (state == VCPU_BLOCKED || state == VCPU_WAITING)
		make_ready(v, state);
	else if (state == VCPU_RUNNING && v->cpu != this_cpu->index)
		cpu_work(cpus[v->cpu], WORK_EVENT);
}

void sched_sleep(struct vcpu *v, enum vcpu_state until)
{
	struct cpu *c = this_cpu;	/* while it runs it is nobody else's */
	bool stays = false;

	lock_take(&c->lock);
	if (likely(v->state == VCPU_RUNNING)) {
		__atomic_store_n(&v->state, until, __ATOMIC_SEQ_CST);
		stays = until != VCPU_CALLING && event_waiting(v);
		if (stays) {
			v->state = VCPU_RUNNING;
			v->wake_tsc = 0;	/* or the timer would be set for it when it is long over */
		}
	}
	lock_release(&c->lock);
	if (stays)
		return;
	timer_want(v->wake_tsc);
	cpu_work_here(WORK_RESCHED);
}

void sched_go_on(struct vcpu *v)
{
	make_ready(v, VCPU_READY);
}

void sched_remove(struct vcpu *v)
{
	struct cpu *c = lock_home(v);

	if (runq_queued(&v->node))
		runq_remove(&c->runq, &v->node);
	v->state = VCPU_OFF;
	v->timer_tsc = v->wake_tsc = 0;
	lock_release(&c->lock);
	if (v->loaded)
		cpu_work(c, WORK_RESCHED);
	call_forget(v);
}

bool sched_gone(struct vcpu *v)
{
	return !vcpu_on(v) && !__atomic_load_n(&v->loaded, __ATOMIC_ACQUIRE);
}

/* Only the turn of its own partition can it hand on or end, and handed on it is no longer. */
void sched_yield(struct vcpu *v, struct vcpu *to)
{
	struct cpu *c = lock_home(to ? to : v);
	const struct vcpu *cur = __atomic_load_n(&c->current, __ATOMIC_RELAXED);
	uint8_t goes_on = 0;	/* its CPU's tick may end it meanwhile */

	if (cur && cur->part == v->part) {
		if (to && runq_queued(&to->node) &&
		    __atomic_compare_exchange_n(&c->slice_over, &goes_on, TURN_GOES_ON, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			runq_remove(&c->runq, &to->node);
			runq_push_front(&c->runq, &to->node);
		} else {
			__atomic_store_n(&c->slice_over, 1, __ATOMIC_RELAXED);
		}
	}
	lock_release(&c->lock);
	cpu_work(c, WORK_RESCHED);
}

/* Under the lock of the queue it was in. Its notes are looked at after this. */
static struct vcpu *taken(struct vcpu *v)
{
	v->state = VCPU_RUNNING;
	__atomic_store_n(&v->loaded, true, __ATOMIC_SEQ_CST);
	return v;
}

/* The first of a queue becomes this CPU's; NULL: there is none. */
static struct vcpu *take(struct cpu *c)
{
	struct vcpu *v;

	lock_take(&c->lock);
	v = (struct vcpu *)runq_pop(&c->runq);
	if (v)
		taken(v);
	lock_release(&c->lock);
	return v;
}

/* One that waits in another CPU's queue, may move and is in nobody's registers. */
static struct vcpu *take_from(struct cpu *from, unsigned int to)
{
	struct runq_node *n;
	struct vcpu *v = NULL;

	if (!__atomic_load_n(&from->runq.ready, __ATOMIC_RELAXED))
		return NULL;
	lock_take(&from->lock);
	for (n = runq_peek(&from->runq); n; n = runq_next(&from->runq, n)) {
		v = (struct vcpu *)n;
		if (!v->pinned && !v->loaded)
			break;
	}
	if (n) {
		runq_remove(&from->runq, n);
		__atomic_store_n(&v->cpu, to, __ATOMIC_RELAXED);
		taken(v);
	}
	lock_release(&from->lock);
	return n ? v : NULL;
}

static struct vcpu *take_any(const struct cpu *c)
{
	struct vcpu *v = NULL;
	unsigned int i;

	for (i = 0; movers && !(spare_cpus >> c->index & 1) && i < ncpus && !v; i++)
		if (i != c->index)
			v = take_from(cpus[i], c->index);
	return v;
}

/* Nothing to run: wait with interrupts on until something became ready. */
static struct vcpu *idle(struct cpu *c)
{
	uint64_t bit = bit64(c->index) & ~spare_cpus;
	struct vcpu *v;
	uint32_t work;

	ending_idle();
	c->idle = true;
	for (;;) {
		/* Before looking: a bit set later comes with an interrupt. */
		__atomic_fetch_or(&idle_cpus, bit, __ATOMIC_SEQ_CST);
		work = __atomic_exchange_n(&c->work, 0, __ATOMIC_SEQ_CST);
		if (work & WORK_TIMER)
			timer_rearm();
		if (work & WORK_FORGET)
			roster_forget(c);
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

/* A vCPU's turn on this CPU begins. */
static inline void turn(struct cpu *c, const struct vcpu *v, uint64_t now)
{
	uint32_t ready = __atomic_load_n(&c->runq.ready, __ATOMIC_RELAXED);

	if (c->slice_over != TURN_GOES_ON)
		c->slice_tsc = ready >> v->node.priority & 1 ? now + slice_ticks : 0;
	c->slice_over = 0;
	timer_want(c->slice_tsc);
}

/*
 * Who has to give way is queued before it is saved: while it is loaded nobody else takes it, and one that ends
 * meanwhile is not gone.
 */
static inline __attribute__((always_inline)) struct vcpu *give_way(struct cpu *c, struct vcpu *cur, uint64_t now)
{
	struct vcpu *next;

	lock_take(&c->lock);
	if (cur && cur->state == VCPU_RUNNING) {	/* it may just have ended */
		cur->state = VCPU_READY;
		cur->ready_since = now;
		runq_push(&c->runq, &cur->node);
	}
	next = (struct vcpu *)runq_pop(&c->runq);
	if (likely(next))
		taken(next);
	lock_release(&c->lock);
	return next;
}

void sched_leave(void)
{
	struct cpu *c = this_cpu;
	struct vcpu *cur = c->current, *next;
	uint64_t now;

	if (cur && cur->state == VCPU_RUNNING && goes_on(c, cur))
		return;
	now = hal_rdtsc();
	next = give_way(c, cur, now);
	if (cur && next != cur) {
		vcpu_save(cur, now);
		if (!cur->pinned && cur->state == VCPU_READY)
			call_idle();	/* it waits here, and from now on may be taken */
	}
	if (!next) {
		next = idle(c);
		now = hal_rdtsc();
	}
	turn(c, next, now);
	if (next == c->current) {
		next->ready_since = 0;
		return;			/* it was woken, or is the only one, before it was let go */
	}
	if (unlikely(!next->plain)) {
		next->ro->mk_cr3 = c->mk_cr3;
		timer_want(next->timer_tsc);
		timer_want(next->wake_tsc);
		if (next->payer) {
			budget_look(c, next, now);
			timer_want(c->spent_tsc);
		}
	}
	vcpu_load(next, now);
}

/* What others, or this entry, have left for the way out. */
static void do_work(void)
{
	uint32_t work = __atomic_exchange_n(&this_cpu->work, 0, __ATOMIC_SEQ_CST);

	if (work & WORK_TIMER)
		timer_rearm();
	if (work & WORK_FORGET)
		roster_forget(this_cpu);
	if (work & WORK_RESCHED)
		sched_leave();
	if ((work & WORK_NOTE) && this_cpu->current)
		shoot_obey(this_cpu->current);
}

uint64_t sched_exit(void)
{
	for (;;) {
		struct vcpu *v;
		struct regs *r;

		if (this_cpu->work)
			do_work();
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
			return v->root_pa;
	}
}

/* ---- Start ---------------------------------------------------------------------------------------- */

__once void sched_init(void)
{
	slice_ticks = hal_tsc_khz() * (SLICE_NS / 1000000);
}

/* The first time out of the metakernel, with the first vCPU that is here. */
void sched_join(void)
{
	cpu_work_here(WORK_RESCHED);
	timer_rearm();
	entry_start();
}

void sched_start(void)
{
	hal_once_over();
	cpus_release();
	sched_join();
}

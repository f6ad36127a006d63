// SPDX-License-Identifier: MIT
/*
 * Property: whatever CPUs do at the same time, a vCPU is on one of them at most, none that has an event stays
 * blocked, who may move runs when some CPU has nothing to do, and a deadline comes once.
 * Failure looks like: a vCPU that two have, one that is blocked or queued when it should run, a missing interrupt to
 * another CPU, or, with threads, a test that does not end.
 *
 * What another CPU does meanwhile is played at the points where that matters (`meanwhile`), then by threads.
 */
#include "unit.h"

#include <pthread.h>
#include <sched.h>

static void rest(void)
{
	sched_yield();
}
#define sched_yield	keel_sched_yield	/* not the C library's */

#include <hal/cpu.h>
#define hal_pause()	rest()		/* on the host who holds a lock may have lost its CPU */
#include <hal/entry.h>

static _Thread_local struct cpu *here;
static uint64_t tsc;
static void halted(void);

#undef MK_CPU_VA
#define MK_CPU_VA	here		/* this_cpu, in cpu.h too */
#define hal_rdtsc()	__atomic_load_n(&tsc, __ATOMIC_RELAXED)
#define hal_sti_hlt_cli() halted()
#define hal_flush_tlb()	((void)0)
#define hal_hlt()	abort()
#include "metakernel/run/cpu.c"
#include "metakernel/run/sched.c"

#define NCPUS	3
#define NVCPUS	6
#define IDLE	(-1)
#define ROUNDS	20000

char *unit_arena;
size_t unit_arena_bytes;
unsigned int nparts;
struct partition parts[MAX_PARTS];
static struct cpu cpu_memory[NCPUS];
static struct vcpu vcpus[NVCPUS];
static bool waits[NVCPUS];		/* an event for it */
static unsigned int nipis[NCPUS], nraised[NVCPUS], has[NVCPUS];	/* has: by how many CPUs it is loaded */
static bool called[NCPUS];		/* an interrupt is on its way */
static uint64_t armed[NCPUS];
static bool threads;
static jmp_buf idled;
static void (*meanwhile)(void);		/* once, at the next such point */

/* ---- What sched.c and cpu.c call ------------------------------------------------------------------ */

void *unit_pa_to_va(paddr_t pa) { (void)pa; abort(); }
paddr_t unit_va_to_pa(const void *va) { (void)va; abort(); }
void panic_at(const char *at, int line, const struct panic_regs *r, const char *fmt, ...)
{
	(void)at, (void)line, (void)r, (void)fmt;
	abort();
}
void serial_break_lock(void) { abort(); }
void serial_finish(void) { abort(); }
void hal_apic_nmi(uint32_t apic_id) { (void)apic_id; abort(); }
void hal_delay_us(uint64_t us) { (void)us; abort(); }
void hal_once_over(void) { abort(); }
void entry_start(uint64_t cr3) { (void)cr3; abort(); }
uint64_t hal_tsc_khz(void) { return 1000000; }
uint64_t console_poll_tsc(void) { return UINT64_MAX; }
void console_poll(void) { abort(); }
uint64_t busmaster_tsc(void) { return 0; }
void busmaster_piece(void) { abort(); }
void irq_calm(void) { abort(); }
void ending_idle(void) { }
void mmu_age(struct vcpu *v) { assert_true(v->cpu == here->index); }
paddr_t mmu_root_pa(const struct vcpu *v) { return v->id; }
void shoot_obey(struct vcpu *v) { assert_ptr_equal(v, here->current); }
void event_deliver(struct vcpu *v, struct regs *r) { (void)v, (void)r; }
void event_exception(struct vcpu *v, struct regs *r, unsigned int n, uint64_t e) { (void)v, (void)r, (void)n, (void)e; abort(); }
bool vcpu_sanitize(struct vcpu *v, struct regs *r) { (void)v, (void)r; return true; }

void hal_apic_ipi(uint32_t apic_id, uint8_t vector)
{
	assert_int_equal(vector, VEC_WORK);
	__atomic_add_fetch(&nipis[apic_id], 1, __ATOMIC_RELAXED);
	__atomic_store_n(&called[apic_id], true, __ATOMIC_SEQ_CST);
}

void hal_timer_arm_tsc(uint64_t deadline)
{
	armed[here->index] = deadline;
}

static void play(void)
{
	void (*f)(void) = meanwhile;
	struct cpu *c = here;

	meanwhile = NULL;
	if (f)
		f();
	here = c;
}

bool event_waiting(const struct vcpu *v)
{
	return __atomic_load_n(&waits[v->id], __ATOMIC_SEQ_CST);
}

void event_raise(struct vcpu *v, unsigned int bit)
{
	assert_int_equal(bit, KEEL_EV_TIMER);
	nraised[v->id]++;
	__atomic_store_n(&waits[v->id], true, __ATOMIC_SEQ_CST);
	sched_wake(v);
}

void vcpu_load(struct vcpu *v)
{
	if (__atomic_add_fetch(&has[v->id], 1, __ATOMIC_SEQ_CST) != 1 || !v->loaded || v->cpu != here->index)
		abort();	/* in a thread, too */
	here->current = v;
}

void vcpu_save(struct vcpu *v)
{
	if (here->current != v || __atomic_sub_fetch(&has[v->id], 1, __ATOMIC_SEQ_CST))
		abort();
	here->current = NULL;
	__atomic_store_n(&v->loaded, false, __ATOMIC_RELEASE);
	play();
}

/* Asleep until somebody calls; alone, there is nobody. */
static void halted(void)
{
	unsigned int n = here->index;

	if (!threads) {
		bool plays = meanwhile;

		play();
		if (!plays)
			longjmp(idled, 1);
		assert_true(here->work || here->nvcpus);
	}
	while (threads && !__atomic_exchange_n(&called[n], false, __ATOMIC_SEQ_CST))
		rest();
}

/* ---- Playing CPUs --------------------------------------------------------------------------------- */

static int start(void **state)
{
	(void)state;
	memset(cpu_memory, 0, sizeof(cpu_memory));
	memset(vcpus, 0, sizeof(vcpus));
	memset(waits, 0, sizeof(waits));
	memset(nipis, 0, sizeof(nipis));
	memset(nraised, 0, sizeof(nraised));
	memset(has, 0, sizeof(has));
	memset(called, 0, sizeof(called));
	memset(armed, 0, sizeof(armed));
	movers = NULL;
	idle_cpus = 0;
	meanwhile = NULL;
	threads = false;
	tsc = 1000;
	ncpus = NCPUS;
	for (unsigned int i = 0; i < NCPUS; i++) {
		cpus[i] = &cpu_memory[i];
		cpus[i]->index = cpus[i]->apic_id = i;
		cpus[i]->armed_tsc = UINT64_MAX;
		cpus[i]->age_tsc = UINT64_MAX;
		cpus[i]->lock = (struct lock)LOCK_INIT(LOCK_RUNQ);
	}
	sched_init();
	here = cpus[0];
	return 0;
}

static void on(unsigned int cpu)
{
	here = cpus[cpu];
}

static struct vcpu *add(unsigned int i, unsigned int cpu, bool pinned, uint8_t priority)
{
	vcpus[i].id = i;
	vcpus[i].cpu = cpu;
	vcpus[i].pinned = pinned;
	vcpus[i].node.priority = priority;
	sched_add(&vcpus[i]);
	return &vcpus[i];
}

/* The way out of an entry on a CPU. -> the vCPU that it leaves to, IDLE if there is none */
static int leaves(unsigned int cpu)
{
	on(cpu);
	/* out of its sleep, if it slept */
	here->idle = false;
	__atomic_fetch_and(&idle_cpus, ~bit64(cpu), __ATOMIC_SEQ_CST);
	if (!here->current)
		cpu_work_here(WORK_RESCHED);
	if (setjmp(idled))
		return IDLE;
	return (int)sched_exit();
}

static void begin(struct vcpu *v)
{
	sched_begin(v);
}

static void block(struct vcpu *v)
{
	here = cpus[v->cpu];
	sched_block(v);
}

static unsigned int queued(unsigned int cpu)
{
	unsigned int n = 0;

	for (struct runq_node *q = runq_peek(&cpus[cpu]->runq); q; q = runq_next(&cpus[cpu]->runq, q))
		n++;
	return n;
}

/* ---- Blocking and waking ---------------------------------------------------------------------------- */

/* The waker looked at the state before it was BLOCKED; its deadline must not stay, or the timer never rests. */
static void an_event_before_the_look_keeps_it_running(void **state)
{
	struct vcpu *v = add(0, 0, true, 5);

	(void)state;
	begin(v);
	assert_int_equal(leaves(0), 0);
	sched_wake(v);			/* of one that runs: nothing */
	assert_int_equal(queued(0), 0);
	waits[0] = true;
	v->wake_tsc = tsc + 50;
	block(v);
	assert_int_equal(v->state, VCPU_RUNNING);
	assert_int_equal(leaves(0), 0);
	tsc += 100;
	sched_tick();
	assert_true(!armed[0] || armed[0] > tsc);
}

static void an_event_after_the_look_wakes_it(void **state)
{
	struct vcpu *v = add(0, 0, true, 5);

	(void)state;
	begin(v);
	assert_int_equal(leaves(0), 0);
	v->wake_tsc = tsc + 50;
	block(v);
	assert_int_equal(v->state, VCPU_BLOCKED);
	assert_int_equal(armed[0], tsc + 50);
	on(1);
	sched_wake(v);
	on(2);
	sched_wake(v);			/* once is enough */
	assert_int_equal(queued(0), 1);
	assert_true(cpus[0]->work & WORK_RESCHED);
	assert_int_equal(leaves(0), 0);
	assert_int_equal(v->wake_tsc, 0);
	assert_int_equal(queued(0), 0);
	block(v);
	assert_int_equal(leaves(0), IDLE);
	on(1);
	sched_wake(v);
	assert_int_equal(nipis[0], 1);	/* out of its sleep */
	assert_int_equal(leaves(0), 0);
}

static void wake_0_from_1(void)
{
	on(1);
	sched_wake(&vcpus[0]);
}

static void a_wake_up_meets_one_that_is_leaving_or_asleep(void **state)
{
	struct vcpu *v = add(0, 0, true, 5);

	(void)state;
	begin(v);
	assert_int_equal(leaves(0), 0);
	block(v);
	meanwhile = wake_0_from_1;	/* its registers have just been saved */
	assert_int_equal(leaves(0), 0);
	block(v);
	assert_int_equal(leaves(0), IDLE);
	cpus[0]->work = 0;
	meanwhile = wake_0_from_1;	/* the CPU sleeps */
	assert_int_equal(leaves(0), 0);
}

/* ---- Ending and beginning --------------------------------------------------------------------------- */

static void remove_0_from_1(void)
{
	on(1);
	sched_remove(&vcpus[0]);
}

static void one_that_ends_is_let_go_from_wherever_it_is(void **state)
{
	struct vcpu *v = add(0, 0, true, 5), *other = add(1, 0, true, 5);

	(void)state;
	begin(v);
	remove_0_from_1();		/* queued */
	assert_true(sched_gone(v));
	assert_int_equal(queued(0), 0);
	on(0);
	begin(v);
	assert_int_equal(leaves(0), 0);
	nipis[0] = 0;
	remove_0_from_1();		/* running */
	assert_false(sched_gone(v));
	assert_int_equal(nipis[0], 1);
	assert_int_equal(leaves(0), IDLE);
	assert_true(sched_gone(v));
	on(0);
	begin(v);
	assert_int_equal(leaves(0), 0);
	block(v);
	assert_int_equal(leaves(0), IDLE);
	remove_0_from_1();		/* blocked */
	sched_wake(v);
	assert_true(sched_gone(v));
	assert_int_equal(queued(0), 0);
	on(0);
	begin(v);
	begin(other);
	assert_int_equal(leaves(0), 0);
	cpus[0]->slice_over = true;
	cpu_work_here(WORK_RESCHED);
	meanwhile = remove_0_from_1;	/* about to be queued behind the other */
	assert_int_equal(leaves(0), 1);
	assert_true(sched_gone(v));
	assert_int_equal(queued(0), 0);
}

static void restart_0_on_1(void)
{
	on(1);
	sched_remove(&vcpus[0]);
	if (sched_gone(&vcpus[0]))
		sched_begin(&vcpus[0]);
	meanwhile = NULL;
	leaves(1);
}

/* CPU 0 stands still where it gives it up, for as long as a restart takes. */
static void one_that_was_restarted_meanwhile_is_on_one_cpu(void **state)
{
	struct vcpu *v = add(0, 0, false, 5), *other = add(1, 0, true, 5);

	(void)state;
	begin(v);
	begin(other);
	assert_int_equal(leaves(0), 0);
	cpus[0]->slice_over = true;
	cpu_work_here(WORK_RESCHED);
	meanwhile = restart_0_on_1;
	assert_int_equal(leaves(0), 1);
	assert_true(has[0] ? v->loaded && !runq_queued(&v->node) : !v->loaded);
	assert_true(v->state != VCPU_READY || runq_queued(&v->node));
}

/* ---- Those that move ---------------------------------------------------------------------------------- */

static void a_mover_in_somebodys_registers_is_not_taken(void **state)
{
	struct vcpu *v = add(0, 0, false, 5);

	(void)state;
	begin(v);
	assert_int_equal(leaves(0), 0);
	block(v);			/* CPU 0 has it still */
	on(2);
	sched_wake(v);
	assert_int_equal(queued(0), 1);
	assert_int_equal(leaves(1), IDLE);
	assert_int_equal(leaves(0), 0);
}

static void an_idle_cpu_takes_what_may_move(void **state)
{
	struct vcpu *pinned = add(0, 0, true, 9), *stays = add(1, 0, true, 9);
	struct vcpu *low = add(2, 0, false, 2), *high = add(3, 0, false, 7);

	(void)state;
	begin(pinned);
	begin(stays);
	begin(low);
	begin(high);
	assert_int_equal(leaves(0), 0);
	assert_int_equal(leaves(1), 3);
	assert_int_equal(high->cpu, 1);
	assert_int_equal(leaves(2), 2);
	assert_int_equal(low->cpu, 2);
	assert_int_equal(queued(0), 1);
	block(high);
	assert_int_equal(leaves(1), IDLE);
	on(0);
	sched_wake(high);		/* where it was last */
	assert_int_equal(leaves(1), 3);
}

/* It waits behind another: the CPU that sleeps has to hear of it. */
static void who_may_move_waits_for_no_cpu_while_another_sleeps(void **state)
{
	struct vcpu *v = add(0, 0, false, 5), *above = add(1, 0, true, 9);

	(void)state;
	begin(v);
	assert_int_equal(leaves(0), 0);
	assert_int_equal(leaves(1), IDLE);
	cpus[1]->work = 0;
	on(0);
	begin(above);			/* and takes its CPU */
	assert_int_equal(leaves(0), 1);
	assert_true(cpus[1]->work & WORK_RESCHED);
	assert_int_equal(leaves(1), 0);
	/* woken when CPU 1 has it still: only CPU 1 may take it, which then has something better to do */
	add(2, 1, true, 9);
	block(v);
	assert_int_equal(leaves(2), IDLE);
	on(0);
	sched_wake(v);
	assert_int_equal(leaves(2), IDLE);	/* too early */
	cpus[2]->work = 0;
	begin(&vcpus[2]);
	assert_int_equal(leaves(1), 2);
	assert_true(cpus[2]->work & WORK_RESCHED);
	assert_int_equal(leaves(2), 0);
}

static void two_that_may_move_call_two_cpus(void **state)
{
	struct vcpu *above = add(2, 0, true, 9);

	(void)state;
	begin(above);
	assert_int_equal(leaves(0), 2);
	assert_int_equal(leaves(1), IDLE);
	assert_int_equal(leaves(2), IDLE);
	cpus[1]->work = cpus[2]->work = 0;
	on(0);
	begin(add(0, 0, false, 5));
	begin(add(1, 0, false, 5));
	assert_true(cpus[1]->work & WORK_RESCHED);
	assert_true(cpus[2]->work & WORK_RESCHED);
	assert_true(leaves(1) != IDLE && leaves(2) != IDLE);
}

/* ---- Turns and deadlines ------------------------------------------------------------------------------ */

static void yielding_lets_that_one_go_first(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		begin(add(i, 0, true, 5));
	assert_int_equal(leaves(0), 0);
	sched_yield(&vcpus[0], &vcpus[3]);
	assert_int_equal(leaves(0), 3);
	sched_yield(&vcpus[3], NULL);	/* the next, whoever it is */
	assert_int_equal(leaves(0), 1);
	on(1);
	begin(add(4, 1, true, 5));
	assert_int_equal(leaves(1), 4);
	nipis[0] = 0;
	sched_yield(&vcpus[4], &vcpus[0]);	/* on another CPU */
	assert_int_equal(nipis[0], 1);
	assert_int_equal(leaves(0), 0);
}

static void equals_take_turns_and_lower_ones_wait(void **state)
{
	(void)state;
	begin(add(0, 0, true, 5));
	begin(add(1, 0, true, 5));
	begin(add(2, 0, true, 4));
	assert_int_equal(leaves(0), 0);
	for (int i = 1; i < 9; i++) {
		assert_int_equal(leaves(0), (i - 1) % 2);
		assert_in_range(armed[0], tsc + 1, tsc + slice_ticks);
		tsc = armed[0];
		sched_tick();
		assert_int_equal(leaves(0), i % 2);
	}
}

/* Wherever it was when its timer was set: by the CPU whose it is then, and once. */
static void a_deadline_moves_along_and_comes_once(void **state)
{
	struct vcpu *v = add(0, 0, false, 5), *above = add(1, 0, true, 9);
	uint64_t deadline = tsc + 500;

	(void)state;
	begin(v);
	assert_int_equal(leaves(0), 0);
	sched_set_timer(v, deadline);
	assert_int_equal(armed[0], deadline);
	begin(above);
	assert_int_equal(leaves(0), 1);
	assert_int_equal(leaves(1), 0);		/* taken there */
	assert_int_equal(armed[1], deadline);
	block(v);
	assert_int_equal(leaves(1), IDLE);
	tsc = deadline;
	for (unsigned int cpu = 0; cpu < NCPUS; cpu++) {
		on(cpu);
		sched_tick();
		assert_int_equal(nraised[0], cpu >= 1);
		assert_true(!armed[cpu] || armed[cpu] > tsc);
	}
	assert_int_equal(v->timer_tsc, 0);
	assert_int_equal(leaves(1), 0);
}

static void one_interrupt_calls_a_cpu_until_it_looks(void **state)
{
	(void)state;
	cpu_work(cpus[1], WORK_NOTE);
	cpu_work(cpus[1], WORK_RESCHED);
	assert_int_equal(nipis[1], 1);
	assert_int_equal(cpus[1]->work, WORK_NOTE | WORK_RESCHED);
	cpus[1]->work = 0;
	cpu_work(cpus[1], WORK_TIMER);
	assert_int_equal(nipis[1], 2);
	cpu_work(cpus[0], WORK_TIMER);	/* itself */
	assert_int_equal(nipis[0], 0);
}

/* ---- Threads ------------------------------------------------------------------------------------------ */

static unsigned int rounds[NVCPUS], nleft;

/* A vCPU runs: it wakes its partner, and blocks until that wakes it. */
static void run(struct vcpu *v)
{
	struct vcpu *other = &vcpus[v->id ^ 1];

	if (v->state == VCPU_OFF)
		return;
	if (!__atomic_exchange_n(&waits[v->id], false, __ATOMIC_SEQ_CST)) {
		sched_block(v);
		return;
	}
	if (rounds[v->id]++ % 7 == 0)
		sched_yield(v, &vcpus[(v->id + 2) % NVCPUS]);
	__atomic_store_n(&waits[other->id], true, __ATOMIC_SEQ_CST);
	sched_wake(other);
	if (rounds[v->id] == ROUNDS)
		__atomic_sub_fetch(&nleft, 1, __ATOMIC_SEQ_CST);
}

static void *cpu_thread(void *arg)
{
	struct vcpu *last = &vcpus[0];

	here = arg;
	cpu_work_here(WORK_RESCHED);
	while (__atomic_load_n(&nleft, __ATOMIC_SEQ_CST)) {
		last = &vcpus[sched_exit()];
		run(last);
	}
	/* the end: nobody sleeps any more */
	for (unsigned int i = 0; i < NCPUS; i++)
		__atomic_store_n(&called[i], true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* A lost wake-up ends the game of a pair, and so the test never. The two that are pinned keep every CPU busy to the end. */
static void no_wake_up_is_lost_between_cpus(void **state)
{
	pthread_t t[NCPUS];

	(void)state;
	threads = true;
	nleft = NVCPUS;
	memset(rounds, 0, sizeof(rounds));
	for (unsigned int i = 0; i < NVCPUS; i++) {
		add(i, i % NCPUS, i < 2, 5);
		waits[i] = !(i & 1);
		begin(&vcpus[i]);
	}
	for (unsigned int i = 0; i < NCPUS; i++)
		pthread_create(&t[i], NULL, cpu_thread, cpus[i]);
	for (unsigned int i = 0; i < NCPUS; i++)
		pthread_join(t[i], NULL);
	for (unsigned int i = 0; i < NVCPUS; i++)
		assert_true(rounds[i] >= ROUNDS);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, start)
	const struct CMUnitTest tests[] = {
		T(an_event_before_the_look_keeps_it_running),
		T(an_event_after_the_look_wakes_it),
		T(a_wake_up_meets_one_that_is_leaving_or_asleep),
		T(one_that_ends_is_let_go_from_wherever_it_is),
		T(one_that_was_restarted_meanwhile_is_on_one_cpu),
		T(a_mover_in_somebodys_registers_is_not_taken),
		T(an_idle_cpu_takes_what_may_move),
		T(who_may_move_waits_for_no_cpu_while_another_sleeps),
		T(two_that_may_move_call_two_cpus),
		T(yielding_lets_that_one_go_first),
		T(equals_take_turns_and_lower_ones_wait),
		T(a_deadline_moves_along_and_comes_once),
		T(one_interrupt_calls_a_cpu_until_it_looks),
		T(no_wake_up_is_lost_between_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

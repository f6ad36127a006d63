// SPDX-License-Identifier: MIT
/*
 * Property: whatever CPUs do at the same time, a vCPU is on one of them at most, none that has an event stays
 * blocked, who may move runs when some CPU has nothing to do, and a deadline comes once.
 * Failure looks like: a vCPU that two have, one that is blocked or queued when it should run, or a missing interrupt
 * to another CPU.
 */
#include "sched_cpus.h"

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
	sched_begin(v);
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

/* It would else come with the other CPU's next tick. One that no CPU has needs no call. */
static void an_event_for_one_that_runs_elsewhere_calls_its_cpu(void **state)
{
	struct vcpu *v = add(0, 1, true, 5), *waits_there = add(1, 1, true, 4);

	(void)state;
	sched_begin(v);
	sched_begin(waits_there);
	assert_int_equal(leaves(1), 0);
	on(0);
	nipis[1] = 0;
	sched_interrupt(waits_there);
	sched_wake(v);			/* who polls its events needs no interrupt */
	assert_int_equal(nipis[1], 0);
	sched_interrupt(v);
	assert_int_equal(nipis[1], 1);
	assert_int_equal(leaves(1), 0);
}

static void an_event_after_the_look_wakes_it(void **state)
{
	struct vcpu *v = add(0, 0, true, 5);

	(void)state;
	sched_begin(v);
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
	sched_begin(v);
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
	sched_begin(v);
	remove_0_from_1();		/* queued */
	assert_true(sched_gone(v));
	assert_int_equal(queued(0), 0);
	on(0);
	sched_begin(v);
	assert_int_equal(leaves(0), 0);
	nipis[0] = 0;
	remove_0_from_1();		/* running */
	assert_false(sched_gone(v));
	assert_int_equal(nipis[0], 1);
	assert_int_equal(leaves(0), IDLE);
	assert_true(sched_gone(v));
	on(0);
	sched_begin(v);
	assert_int_equal(leaves(0), 0);
	block(v);
	assert_int_equal(leaves(0), IDLE);
	remove_0_from_1();		/* blocked */
	sched_wake(v);
	assert_true(sched_gone(v));
	assert_int_equal(queued(0), 0);
	on(0);
	sched_begin(v);
	sched_begin(other);
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
	sched_begin(v);
	sched_begin(other);
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
	sched_begin(v);
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
	sched_begin(pinned);
	sched_begin(stays);
	sched_begin(low);
	sched_begin(high);
	assert_int_equal(leaves(0), 0);
	assert_int_equal(leaves(1), 3);
	assert_int_equal(high->cpu, 1);
	assert_int_equal(high->ro->mk_cr3, cpus[1]->mk_cr3);	/* its way in is that CPU's */
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
	sched_begin(v);
	assert_int_equal(leaves(0), 0);
	assert_int_equal(leaves(1), IDLE);
	cpus[1]->work = 0;
	on(0);
	sched_begin(above);			/* and takes its CPU */
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
	sched_begin(&vcpus[2]);
	assert_int_equal(leaves(1), 2);
	assert_true(cpus[2]->work & WORK_RESCHED);
	assert_int_equal(leaves(2), 0);
}

static void two_that_may_move_call_two_cpus(void **state)
{
	struct vcpu *above = add(2, 0, true, 9);

	(void)state;
	sched_begin(above);
	assert_int_equal(leaves(0), 2);
	assert_int_equal(leaves(1), IDLE);
	assert_int_equal(leaves(2), IDLE);
	cpus[1]->work = cpus[2]->work = 0;
	on(0);
	sched_begin(add(0, 0, false, 5));
	sched_begin(add(1, 0, false, 5));
	assert_true(cpus[1]->work & WORK_RESCHED);
	assert_true(cpus[2]->work & WORK_RESCHED);
	assert_true(leaves(1) != IDLE && leaves(2) != IDLE);
}

/* ---- Turns and deadlines ------------------------------------------------------------------------------ */

static void yielding_lets_that_one_go_first(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 4; i++)
		sched_begin(add(i, 0, true, 5));
	assert_int_equal(leaves(0), 0);
	sched_yield(&vcpus[0], &vcpus[3]);
	assert_int_equal(leaves(0), 3);
	sched_yield(&vcpus[3], NULL);	/* the next, whoever it is */
	assert_int_equal(leaves(0), 1);
	on(1);
	sched_begin(add(4, 1, true, 5));
	assert_int_equal(leaves(1), 4);
	nipis[0] = 0;
	sched_yield(&vcpus[4], &vcpus[0]);	/* on another CPU */
	assert_int_equal(nipis[0], 1);
	assert_int_equal(leaves(0), 0);
}

/* Two of one partition that hand on to each other all the time have one turn, not one after the other. */
static void a_turn_that_is_handed_on_is_no_longer(void **state)
{
	static struct partition other;
	uint64_t begin;

	(void)state;
	for (unsigned int i = 0; i < 3; i++)
		sched_begin(add(i, 0, true, 5));
	vcpus[2].part = &other;
	assert_int_equal(leaves(0), 0);
	begin = tsc;
	for (unsigned int i = 0; here->current != &vcpus[2]; i++) {
		sched_yield(&vcpus[i % 2], &vcpus[!(i % 2)]);
		assert_int_equal(leaves(0), !(i % 2));
		assert_in_range(i, 0, 12);
		tsc += SLICE_NS / 10;
		if (here->armed_tsc <= tsc) {
			sched_tick();
			leaves(0);
		}
	}
	assert_true(tsc - begin >= SLICE_NS * 9 / 10);
	/* Another's turn it can neither end nor take. */
	sched_yield(&vcpus[0], &vcpus[1]);
	assert_int_equal(leaves(0), 2);
	on(1);
	sched_begin(add(4, 1, true, 5));
	assert_int_equal(leaves(1), 4);
	sched_yield(&vcpus[4], &vcpus[0]);
	assert_int_equal(leaves(0), 2);
}

static void equals_take_turns_and_lower_ones_wait(void **state)
{
	(void)state;
	sched_begin(add(0, 0, true, 5));
	sched_begin(add(1, 0, true, 5));
	sched_begin(add(2, 0, true, 4));
	assert_int_equal(leaves(0), 0);
	for (int i = 1; i < 9; i++) {
		assert_int_equal(leaves(0), (i - 1) % 2);
		assert_in_range(armed[0], tsc + 1, tsc + slice_ticks);
		tsc = armed[0];
		sched_tick();
		assert_int_equal(leaves(0), i % 2);
	}
}

/* What Linux calls steal time (vcpu_load): from the wake-up on, if others have its CPU. */
static void who_waits_for_its_cpu_waits_since_it_was_woken(void **state)
{
	struct vcpu *above = add(0, 0, true, 9), *v = add(1, 0, true, 5);

	(void)state;
	sched_begin(v);
	assert_int_equal(leaves(0), 1);
	block(v);
	assert_int_equal(leaves(0), IDLE);
	tsc += 10;
	on(1);
	sched_wake(v);			/* nobody has its CPU: it does not wait */
	assert_int_equal(v->ready_since, 0);
	assert_int_equal(leaves(0), 1);
	block(v);
	on(0);
	sched_begin(above);
	assert_int_equal(leaves(0), 0);
	tsc += 10;
	on(1);
	sched_wake(v);
	assert_int_equal(v->ready_since, tsc);
	tsc += 10;
	block(above);
	assert_int_equal(v->ready_since, tsc - 10);
	assert_int_equal(leaves(0), 1);
	/* woken before it was let go, it has not waited */
	block(v);
	on(1);
	sched_wake(v);
	assert_int_equal(leaves(0), 1);
	assert_int_equal(v->ready_since, 0);
}

/* Wherever it was when its timer was set: by the CPU whose it is then, and once. */
static void a_deadline_moves_along_and_comes_once(void **state)
{
	struct vcpu *v = add(0, 0, false, 5), *above = add(1, 0, true, 9);
	uint64_t deadline = tsc + 500;

	(void)state;
	sched_begin(v);
	assert_int_equal(leaves(0), 0);
	sched_set_timer(v, deadline);
	assert_int_equal(armed[0], deadline);
	sched_begin(above);
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

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, start)
	const struct CMUnitTest tests[] = {
		T(an_event_before_the_look_keeps_it_running),
		T(an_event_for_one_that_runs_elsewhere_calls_its_cpu),
		T(an_event_after_the_look_wakes_it),
		T(a_wake_up_meets_one_that_is_leaving_or_asleep),
		T(one_that_ends_is_let_go_from_wherever_it_is),
		T(one_that_was_restarted_meanwhile_is_on_one_cpu),
		T(a_mover_in_somebodys_registers_is_not_taken),
		T(an_idle_cpu_takes_what_may_move),
		T(who_may_move_waits_for_no_cpu_while_another_sleeps),
		T(two_that_may_move_call_two_cpus),
		T(yielding_lets_that_one_go_first),
		T(a_turn_that_is_handed_on_is_no_longer),
		T(equals_take_turns_and_lower_ones_wait),
		T(who_waits_for_its_cpu_waits_since_it_was_woken),
		T(a_deadline_moves_along_and_comes_once),
		T(one_interrupt_calls_a_cpu_until_it_looks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

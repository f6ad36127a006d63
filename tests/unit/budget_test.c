// SPDX-License-Identifier: MIT
/*
 * Property: in no stretch of time as long as its period does a vCPU run for more than its budget, whatever it and
 * others do; what it may have it gets, if nobody of higher priority takes it; and neither wake-ups, moves nor changes
 * of the budget lose it or make it more.
 * Failure looks like: too much in some window, a vCPU that waits although it has time left or time is back, a
 * timer that is not set for the moment when a budget ends, and one that is used up and runs on.
 */
#include "sched_cpus.h"

#define BUDGET	200
#define PERIOD	1000
#define NRUNS	100000

static struct { uint64_t from, to; } runs[NRUNS];
static unsigned int nruns;

static struct vcpu *limited(unsigned int i, unsigned int cpu, bool pinned, uint8_t priority)
{
	struct vcpu *v = add(i, cpu, pinned, priority);

	budget_set(v, BUDGET, PERIOD);
	return v;
}

static void tick(unsigned int cpu)
{
	on(cpu);
	cpus[cpu]->armed_tsc = UINT64_MAX;	/* it has fired */
	sched_tick();
}

/* Time passes on a CPU until `until`, with its timer's interrupts. -> who runs then */
static int pass(unsigned int cpu, uint64_t until)
{
	int runs_now = leaves(cpu);

	while (armed[cpu] && armed[cpu] <= until) {
		if (tsc < armed[cpu])
			tsc = armed[cpu];
		tick(cpu);
		runs_now = leaves(cpu);
	}
	tsc = until;
	return runs_now;
}

static uint64_t ran(const struct vcpu *v)
{
	return v->run_tsc + (v->loaded ? tsc - v->run_since : 0);
}

/* ---- One CPU ---------------------------------------------------------------------------------------- */

static void its_budget_used_up_it_waits_for_the_next(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9), *low = add(1, 0, true, 5);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(low);
	sched_begin(v);
	assert_int_equal(pass(0, t0), 0);
	assert_int_equal(armed[0], t0 + BUDGET);
	assert_int_equal(pass(0, t0 + BUDGET - 1), 0);
	assert_int_equal(pass(0, t0 + BUDGET), 1);
	assert_int_equal(v->state, VCPU_SPENT);
	assert_int_equal(v->budget.exhausted, 1);
	assert_int_equal(armed[0], t0 + PERIOD);
	assert_int_equal(pass(0, t0 + PERIOD - 1), 1);
	assert_int_equal(pass(0, t0 + PERIOD), 0);
	assert_int_equal(ran(v), BUDGET);
}

/* vcpu_load() makes steal time of it. */
static void what_it_waits_for_its_budget_and_then_its_cpu_is_one(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9), *above = add(1, 0, true, 12);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, t0 + BUDGET), IDLE);
	assert_int_equal(v->ready_since, t0 + BUDGET);
	sched_begin(above);
	assert_int_equal(pass(0, t0 + PERIOD + 100), 1);
	assert_int_equal(v->state, VCPU_READY);
	assert_int_equal(v->ready_since, t0 + BUDGET);
	block(above);
	assert_int_equal(leaves(0), 0);
	assert_int_equal(v->ready_since, 0);
}

static void one_that_never_waits_gets_all_of_it(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9), *low = add(1, 0, true, 5);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	sched_begin(low);
	pass(0, t0 + 1000 * PERIOD);
	assert_int_equal(ran(v), 1000 * BUDGET);
	assert_int_equal(ran(low), 1000 * (PERIOD - BUDGET));
}

/* Alone on its CPU, too: a budget is a limit, and the CPU sleeps. */
static void an_idle_cpu_does_not_lengthen_a_budget(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, t0 + BUDGET), IDLE);
	assert_int_equal(pass(0, t0 + PERIOD - 1), IDLE);
	assert_int_equal(pass(0, t0 + PERIOD), 0);
	pass(0, t0 + 10 * PERIOD - 1);
	assert_int_equal(ran(v), 10 * BUDGET);
	assert_int_equal(pass(0, t0 + 10 * PERIOD), 0);	/* and the timer of a CPU that sleeps does not fire all the time */
}

/* What it did not use it keeps, but never more than one budget. */
static void a_budget_does_not_grow_while_it_sleeps(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9);

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, tsc + 50), 0);
	block(v);
	pass(0, tsc + 100 * PERIOD);
	on(0);
	sched_wake(v);
	assert_int_equal(pass(0, tsc + BUDGET - 1), 0);
	assert_int_equal(pass(0, tsc + 1), IDLE);
	assert_int_equal(ran(v), 50 + BUDGET);
}

/* 100 at the beginning of a period and 100 at its end: 100 are back at once, the others later. */
static void what_was_used_comes_back_a_period_later(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	pass(0, t0 + 100);
	block(v);
	pass(0, t0 + 800);
	on(0);
	sched_wake(v);
	assert_int_equal(pass(0, t0 + 899), 0);
	assert_int_equal(pass(0, t0 + 900), IDLE);
	assert_int_equal(pass(0, t0 + PERIOD), 0);
	assert_int_equal(pass(0, t0 + PERIOD + 99), 0);
	assert_int_equal(pass(0, t0 + PERIOD + 100), IDLE);
	assert_int_equal(pass(0, t0 + 800 + PERIOD - 1), IDLE);
	assert_int_equal(pass(0, t0 + 800 + PERIOD), 0);
}

static void woken_without_a_budget_it_waits_and_its_event_does_too(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9), *low = add(1, 0, true, 5);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	sched_begin(low);
	assert_int_equal(pass(0, t0 + BUDGET - 1), 0);
	block(v);
	tsc++;				/* the last of it, on the way out */
	assert_int_equal(leaves(0), 1);
	for (int i = 0; i < 3; i++) {
		on(1);			/* by another CPU */
		sched_wake(v);
		assert_int_equal(pass(0, t0 + BUDGET + 10), 1);
		assert_int_equal(v->state, VCPU_SPENT);
	}
	assert_int_equal(v->budget.exhausted, 1);
	assert_int_equal(pass(0, t0 + PERIOD - 1), 1);
	assert_int_equal(pass(0, t0 + PERIOD), 0);
}

/* What its interrupts give by coming late it waits for: in the long run there is no more than the budget. */
static void be_late_by(unsigned int late)
{
	struct vcpu *v = limited(0, 0, true, 9), *low = add(1, 0, true, 5);
	uint64_t t0 = tsc, most;

	sched_begin(v);
	sched_begin(low);
	while (tsc < t0 + 1000 * PERIOD) {
		leaves(0);
		tsc = armed[0] + late;
		tick(0);
		leaves(0);
	}
	most = (tsc - t0) / PERIOD * BUDGET + BUDGET + late;
	assert_in_range(ran(v), most * 8 / 10, most);
}

static void late_interrupts_make_it_no_more(void **state)
{
	be_late_by(30);
	start(state);
	be_late_by(7 * BUDGET);
}

static void who_controls_it_hears_of_it_now_and_then(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9);
	unsigned int nperiods = 250 * 1000000 / PERIOD;		/* 250 ms */

	(void)state;
	tsc = 1000000000;
	budget_set(v, BUDGET, PERIOD);
	sched_begin(v);
	pass(0, tsc + (uint64_t)nperiods * PERIOD - 1);
	assert_int_equal(v->budget.exhausted, nperiods);
	assert_int_equal(ntold, 3);
}

/* ---- Whatever it does -------------------------------------------------------------------------------- */

static void note_run(const struct vcpu *v, uint64_t from)
{
	if (!v->loaded || from == tsc)
		return;
	if (nruns && runs[nruns - 1].to == from) {
		runs[nruns - 1].to = tsc;
		return;
	}
	assert_true(nruns < NRUNS);
	runs[nruns].from = from;
	runs[nruns++].to = tsc;
}

/* The most it ran in any window of a period: one of them ends where a run ends. */
static uint64_t most_in_a_period(void)
{
	uint64_t most = 0;

	for (unsigned int i = 0; i < nruns; i++) {
		uint64_t begin = runs[i].to > PERIOD ? runs[i].to - PERIOD : 0, sum = 0;

		for (unsigned int k = i + 1; k-- > 0 && runs[k].to > begin; )
			sum += runs[k].to - (runs[k].from > begin ? runs[k].from : begin);
		most = sum > most ? sum : most;
	}
	return most;
}

/* Blocks and wakes at random, pushed aside by one above and preempting one below, all as the seed says. */
static uint64_t play_at_random(uint64_t seed, uint64_t until)
{
	struct vcpu *v = limited(0, 0, true, 9), *above = add(1, 0, true, 12), *low = add(2, 0, true, 5);
	uint32_t lull = 1 + unit_below(&seed, 300);

	nruns = 0;
	sched_begin(v);
	sched_begin(low);
	leaves(0);
	while (tsc < until) {
		uint64_t next = tsc + 1 + unit_below(&seed, lull), from = tsc;

		if (armed[0] && armed[0] <= next) {
			tsc = armed[0] > tsc ? armed[0] : tsc;
			note_run(v, from);
			tick(0);
		} else {
			tsc = next;
			note_run(v, from);
			on(0);
			switch (unit_below(&seed, 4)) {
			case 0: if (v->state == VCPU_RUNNING) block(v); break;
			case 1: sched_wake(v); break;
			case 2: if (above->state == VCPU_OFF) sched_begin(above); else sched_wake(above); break;
			case 3: if (above->state == VCPU_RUNNING) block(above); break;
			}
		}
		leaves(0);
	}
	return ran(v);
}

static void no_window_has_more_than_the_budget(void **state)
{
	uint64_t least = UINT64_MAX;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint64_t all;

		start(state);
		all = play_at_random(seed * 0x9e3779b97f4a7c15, 300 * PERIOD);
		assert_in_range(most_in_a_period(), 1, BUDGET);
		least = all < least ? all : least;
	}
	assert_true(least > 300 * BUDGET / 10);		/* it was no idle game */
}

/* Once late for any reason, a job a period is not late for ever: each time it catches up by what it does not need. */
static void a_delay_heals(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9), *above = add(1, 0, true, 12);
	static const uint64_t took[] = { 260, 220, 180, 160, 160 };
	uint64_t t0 = tsc, due;

	(void)state;
	sched_begin(above);
	leaves(0);
	sched_begin(v);
	assert_int_equal(pass(0, t0 + 100), 1);
	block(above);
	for (unsigned int i = 0; i < NELEM(took); i++) {
		due = t0 + i * PERIOD;
		if (i) {
			pass(0, due);
			on(0);
			sched_wake(v);
		}
		for (uint64_t before = ran(v); ran(v) - before < 160; tsc++)
			pass(0, tsc);
		assert_int_equal(tsc - due, took[i]);
		block(v);
		leaves(0);
	}
}

/* A doorbell's life: some ticks of work, some of sleep, as long as it may. An eighth of a period is the price, at most. */
static void run_in_pieces(unsigned int work, unsigned int sleep)
{
	struct vcpu *v = limited(0, 0, true, 9);
	uint64_t end = tsc + 200 * PERIOD, from;

	nruns = 0;
	sched_begin(v);
	while (tsc < end) {
		from = tsc;
		if (leaves(0) == 0) {
			tsc += work;
			note_run(v, from);
			if (armed[0] && armed[0] <= tsc)
				tick(0);
			if (v->state == VCPU_RUNNING)
				block(v);
			leaves(0);
		}
		pass(0, tsc + sleep);
		on(0);
		sched_wake(v);
	}
	assert_true(ran(v) >= 200 * BUDGET * 8 / 9 - BUDGET);
	assert_in_range(most_in_a_period(), 1, BUDGET + work);	/* its interrupts come late by a piece here */
}

static void one_that_runs_in_pieces_gets_eight_ninths(void **state)
{
	run_in_pieces(7, 3);
	start(state);
	run_in_pieces(1, 4);	/* never more than it may */
	start(state);
	run_in_pieces(3, 9);
}

/* ---- Several CPUs ------------------------------------------------------------------------------------ */

static void a_budget_moves_along_with_its_vcpu(void **state)
{
	struct vcpu *v = limited(0, 0, false, 5), *above = add(1, 0, true, 9);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, t0 + 120), 0);
	sched_begin(above);
	assert_int_equal(leaves(0), 1);
	assert_int_equal(leaves(1), 0);		/* taken there, with 80 */
	assert_int_equal(armed[1], t0 + BUDGET);
	assert_int_equal(pass(1, t0 + BUDGET), IDLE);
	assert_int_equal(armed[1], t0 + PERIOD);
	assert_int_equal(pass(0, t0 + PERIOD), 1);	/* CPU 0 does not think it has to wake it */
	tsc = t0 + PERIOD;
	assert_int_equal(v->state, VCPU_SPENT);
	assert_int_equal(pass(1, t0 + PERIOD), 0);
	assert_int_equal(ran(v), BUDGET);
}

/* It waits where others run; when some is back, who has nothing to do takes it. */
static void what_is_back_may_be_used_elsewhere(void **state)
{
	struct vcpu *v = limited(0, 0, false, 5), *same = add(1, 0, true, 5);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, t0 + BUDGET), IDLE);
	assert_int_equal(leaves(1), IDLE);
	cpus[1]->work = 0;
	on(0);
	sched_begin(same);
	assert_int_equal(leaves(0), 1);
	assert_int_equal(pass(0, t0 + PERIOD), 1);
	assert_true(cpus[1]->work & WORK_RESCHED);
	assert_int_equal(leaves(1), 0);
}

/* ---- Changes ----------------------------------------------------------------------------------------- */

static void more_budget_for_one_that_waits_is_used_at_once(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, t0 + BUDGET), IDLE);
	on(1);
	budget_set(v, BUDGET + 100, PERIOD);
	assert_int_equal(nipis[0], 1);		/* its CPU sleeps */
	assert_int_equal(pass(0, tsc), 0);
	assert_int_equal(pass(0, t0 + BUDGET + 99), 0);
	assert_int_equal(pass(0, t0 + BUDGET + 100), IDLE);
	/* what was used before the change: a period after that. What was used since: a period after it was */
	assert_int_equal(pass(0, t0 + BUDGET + PERIOD - 1), IDLE);
	assert_int_equal(pass(0, t0 + BUDGET + PERIOD + BUDGET + 99), 0);
	assert_int_equal(pass(0, t0 + BUDGET + PERIOD + BUDGET + 100), IDLE);
}

static void less_budget_stops_one_that_has_used_it_on_another_cpu(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, t0 + 150), 0);
	nipis[0] = 0;
	on(1);
	budget_set(v, 100, 2 * PERIOD);
	assert_int_equal(nipis[0], 1);
	assert_int_equal(pass(0, tsc), IDLE);
	assert_int_equal(ran(v), 150);
	/* 150 of 100 in 2000 take 3000 to earn */
	assert_int_equal(pass(0, t0 + 3 * PERIOD - 1), IDLE);
	assert_int_equal(pass(0, t0 + 3 * PERIOD), 0);
}

static void a_limit_begins_when_it_is_set(void **state)
{
	struct vcpu *v = add(0, 0, true, 9);

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, tsc + 1000 * PERIOD), 0);
	budget_set(v, BUDGET, PERIOD);
	assert_int_equal(pass(0, tsc + BUDGET - 1), 0);
	assert_int_equal(pass(0, tsc + 1), IDLE);
}

static void without_a_limit_it_runs_on(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9);

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, tsc + BUDGET), IDLE);
	budget_set(v, 0, 0);
	assert_int_equal(pass(0, tsc), 0);
	assert_true(v->plain);
	assert_int_equal(pass(0, tsc + 10 * PERIOD), 0);
	assert_true(!armed[0] || armed[0] > tsc);
	budget_set(v, BUDGET, PERIOD);		/* and a new one is a new one */
	assert_int_equal(pass(0, tsc + BUDGET - 1), 0);
	assert_int_equal(pass(0, tsc + 1), IDLE);
}

static void one_that_ends_and_begins_again_has_no_new_budget(void **state)
{
	struct vcpu *v = limited(0, 0, true, 9);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(v);
	assert_int_equal(pass(0, t0 + BUDGET), IDLE);
	on(1);
	sched_remove(v);
	assert_true(sched_gone(v));
	on(1);
	sched_begin(v);
	assert_int_equal(pass(0, t0 + PERIOD - 1), IDLE);
	assert_int_equal(pass(0, t0 + PERIOD), 0);
}

/* A server runs on its caller's time: the caller's is used up, its own is not. */
static void what_a_server_runs_is_its_callers(void **state)
{
	struct vcpu *caller = limited(0, 0, true, 9), *server = limited(1, 0, true, 9);
	uint64_t t0 = tsc;

	(void)state;
	sched_begin(caller);
	assert_int_equal(pass(0, t0 + 50), 0);
	block(caller);
	budget_charge(server, caller->payer);
	sched_begin(server);
	assert_int_equal(pass(0, t0 + BUDGET - 1), 1);
	assert_int_equal(pass(0, t0 + BUDGET), IDLE);
	assert_int_equal(server->state, VCPU_SPENT);
	assert_int_equal(pass(0, t0 + 50 + PERIOD), 1);	/* with all of that */
	block(server);
	assert_int_equal(leaves(0), IDLE);
	budget_charge(server, server);
	on(0);
	sched_wake(server);
	assert_int_equal(pass(0, t0 + 50 + PERIOD + BUDGET - 1), 1);	/* all of it is there */
	assert_int_equal(pass(0, t0 + 50 + PERIOD + BUDGET), IDLE);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, start)
	const struct CMUnitTest tests[] = {
		T(its_budget_used_up_it_waits_for_the_next),
		T(what_it_waits_for_its_budget_and_then_its_cpu_is_one),
		T(one_that_never_waits_gets_all_of_it),
		T(an_idle_cpu_does_not_lengthen_a_budget),
		T(a_budget_does_not_grow_while_it_sleeps),
		T(what_was_used_comes_back_a_period_later),
		T(woken_without_a_budget_it_waits_and_its_event_does_too),
		T(late_interrupts_make_it_no_more),
		T(who_controls_it_hears_of_it_now_and_then),
		T(no_window_has_more_than_the_budget),
		T(a_delay_heals),
		T(one_that_runs_in_pieces_gets_eight_ninths),
		T(a_budget_moves_along_with_its_vcpu),
		T(what_is_back_may_be_used_elsewhere),
		T(more_budget_for_one_that_waits_is_used_at_once),
		T(less_budget_stops_one_that_has_used_it_on_another_cpu),
		T(a_limit_begins_when_it_is_set),
		T(without_a_limit_it_runs_on),
		T(one_that_ends_and_begins_again_has_no_new_budget),
		T(what_a_server_runs_is_its_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

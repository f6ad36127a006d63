// SPDX-License-Identifier: MIT
/*
 * Property: the ready queue gives out the highest priority first and equals in the order they came.
 * Failure looks like: another node than a sorted array would give, or a sanitizer report.
 */
#include "unit.h"

#include "run/runq.h"

#define NNODES	40

static struct runq q;
static struct runq_node nodes[NNODES];

static void start(void)
{
	memset(nodes, 0, sizeof(nodes));
	memset(&q, 0xa5, sizeof(q));
	runq_init(&q);
}

static void empty_queue_gives_nothing(void **state)
{
	(void)state;
	start();
	assert_null(runq_peek(&q));
	assert_null(runq_pop(&q));
	assert_false(runq_queued(&nodes[0]));
}

static void higher_priority_runs_first(void **state)
{
	(void)state;
	start();
	for (unsigned int i = 0; i < RUNQ_PRIORITIES; i++) {
		nodes[i].priority = (uint8_t)(i * 7 % RUNQ_PRIORITIES);
		runq_push(&q, &nodes[i]);
	}
	for (int p = RUNQ_PRIORITIES - 1; p >= 0; p--) {
		assert_int_equal(runq_peek(&q)->priority, p);
		assert_int_equal(runq_pop(&q)->priority, p);
	}
	assert_null(runq_pop(&q));
}

static void equals_take_turns(void **state)
{
	(void)state;
	start();
	for (int i = 0; i < 3; i++)
		runq_push(&q, &nodes[i]);
	for (int i = 0; i < 9; i++) {
		struct runq_node *n = runq_pop(&q);

		assert_ptr_equal(n, &nodes[i % 3]);
		assert_false(runq_queued(n));
		runq_push(&q, n);
		assert_true(runq_queued(n));
	}
}

static void front_keeps_its_turn(void **state)
{
	(void)state;
	start();
	runq_push(&q, &nodes[0]);
	runq_push(&q, &nodes[1]);
	runq_push_front(&q, &nodes[2]);
	assert_ptr_equal(runq_pop(&q), &nodes[2]);
	assert_ptr_equal(runq_pop(&q), &nodes[0]);
	assert_ptr_equal(runq_pop(&q), &nodes[1]);
}

static void removed_nodes_do_not_come_back(void **state)
{
	(void)state;
	for (int which = 0; which < 4; which++) {
		start();
		for (int i = 0; i < 4; i++)
			runq_push(&q, &nodes[i]);
		runq_remove(&q, &nodes[which]);
		assert_false(runq_queued(&nodes[which]));
		for (int i = 0; i < 4; i++)
			if (i != which)
				assert_ptr_equal(runq_pop(&q), &nodes[i]);
		assert_null(runq_pop(&q));
	}
}

/* ---- Random operations against a list ----------------------------------------------------------- */

static struct runq_node *list[NNODES];	/* in the order of arrival */
static size_t nlist;

static size_t list_best(void)
{
	size_t best = 0;

	for (size_t i = 1; i < nlist; i++)
		if (list[i]->priority > list[best]->priority)
			best = i;
	return best;
}

static void list_remove(size_t at)
{
	memmove(&list[at], &list[at + 1], (--nlist - at) * sizeof(list[0]));
}

static void list_insert(size_t at, struct runq_node *n)
{
	memmove(&list[at + 1], &list[at], (nlist++ - at) * sizeof(list[0]));
	list[at] = n;
}

/* One after the other, as if each were gone: what one pops from the queue, which stays as it is. */
static void match_order(void)
{
	struct runq_node *n = runq_peek(&q);
	struct runq_node *left[NNODES];
	size_t nleft = nlist;

	memcpy(left, list, sizeof(list));
	for (; n; n = runq_next(&q, n)) {
		size_t best = list_best();

		assert_true(nlist && n == list[best]);
		list_remove(best);
	}
	assert_int_equal(nlist, 0);
	memcpy(list, left, sizeof(list));
	nlist = nleft;
}

static void random_operations_match_a_list(void **state)
{
	uint64_t seed = 0x72756e71;

	(void)state;
	start();
	nlist = 0;
	for (int i = 0; i < 200000; i++) {
		struct runq_node *n = &nodes[unit_below(&seed, NNODES)];

		if (!runq_queued(n)) {
			n->priority = (uint8_t)(unit_below(&seed, 2) ? unit_below(&seed, 32) : 8);
			if (unit_below(&seed, 4)) {
				runq_push(&q, n);
				list_insert(nlist, n);
			} else {
				runq_push_front(&q, n);
				list_insert(0, n);
			}
		} else if (unit_below(&seed, 2)) {
			size_t at = 0;

			while (list[at] != n)
				at++;
			runq_remove(&q, n);
			list_remove(at);
		} else {
			size_t best = list_best();

			assert_ptr_equal(runq_pop(&q), list[best]);
			list_remove(best);
		}
		assert_ptr_equal(runq_peek(&q), nlist ? list[list_best()] : NULL);
		if (!(i % 50))
			match_order();
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_queue_gives_nothing),
		cmocka_unit_test(higher_priority_runs_first),
		cmocka_unit_test(equals_take_turns),
		cmocka_unit_test(front_keeps_its_turn),
		cmocka_unit_test(removed_nodes_do_not_come_back),
		cmocka_unit_test(random_operations_match_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}

// SPDX-License-Identifier: MIT
/*
 * runq.c - ready queue with fixed priorities.
 *
 * Locks:      LOCK_RUNQ of the CPU whose queue it is, the caller's.
 * Invariants: bit p of ready is set if and only if head[p] is; all nodes of a ring have its priority.
 */
#include "run/runq.h"

#include <string.h>

void runq_init(struct runq *q)
{
	memset(q, 0, sizeof(*q));
}

static void insert(struct runq *q, struct runq_node *n, bool front)
{
	unsigned int p = n->priority % RUNQ_PRIORITIES;
	struct runq_node *head = q->head[p];

	if (!head) {
		n->next = n->prev = n;
		q->head[p] = n;
		q->ready |= 1u << p;
		return;
	}
	/* A ring: before the head is also behind the last. */
	n->next = head;
	n->prev = head->prev;
	head->prev->next = n;
	head->prev = n;
	if (front)
		q->head[p] = n;
}

void runq_push(struct runq *q, struct runq_node *n)
{
	insert(q, n, false);
}

void runq_push_front(struct runq *q, struct runq_node *n)
{
	insert(q, n, true);
}

struct runq_node *runq_next(const struct runq *q, const struct runq_node *n)
{
	unsigned int p = n->priority % RUNQ_PRIORITIES;
	uint32_t lower = q->ready & ((1u << p) - 1);

	if (n->next != q->head[p])
		return n->next;
	return lower ? q->head[31 - __builtin_clz(lower)] : NULL;
}

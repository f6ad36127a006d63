/* SPDX-License-Identifier: MIT */
/*
 * runq.h - ready queue of one CPU: fixed priorities, round robin among equals.
 *
 * One doubly linked ring for each priority and a bit for each ring that is not empty; every operation
 * takes the same few steps however many are queued (I5). A node is in at most one queue, and its
 * priority does not change while it is.
 *
 * Locks:   the caller's, one a queue.
 */
#ifndef METAKERNEL_RUNQ_H
#define METAKERNEL_RUNQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNQ_PRIORITIES	32	/* 0 .. 31, higher runs first */

struct runq_node {
	struct runq_node *next, *prev;	/* NULL: in no queue */
	uint8_t priority;
};

struct runq {
	uint32_t ready;				/* bit p: head[p] is set */
	struct runq_node *head[RUNQ_PRIORITIES];	/* runs first; its prev is the last */
};

void runq_init(struct runq *q);

/* Add behind all of the same priority. The node is in no queue. */
void runq_push(struct runq *q, struct runq_node *n);

/* Add before all of the same priority: for one that was interrupted before its slice was over. */
void runq_push_front(struct runq *q, struct runq_node *n);

/* p is its priority. */
static inline void runq_unlink(struct runq *q, struct runq_node *n, unsigned int p)
{
	if (n->next == n) {
		q->head[p] = NULL;
		q->ready &= ~(1u << p);
	} else {
		n->next->prev = n->prev;
		n->prev->next = n->next;
		if (q->head[p] == n)
			q->head[p] = n->next;
	}
	n->next = n->prev = NULL;
}

/* Take a node out. It is in this queue. */
static inline void runq_remove(struct runq *q, struct runq_node *n)
{
	runq_unlink(q, n, n->priority % RUNQ_PRIORITIES);
}

/* The first of the highest priority, or NULL. */
static inline struct runq_node *runq_peek(const struct runq *q)
{
	return q->ready ? q->head[31 - __builtin_clz(q->ready)] : NULL;
}

/* The one that would run if `n` were not there; NULL behind the last. */
struct runq_node *runq_next(const struct runq *q, const struct runq_node *n);


/* As runq_peek(), and take it out. */
static inline struct runq_node *runq_pop(struct runq *q)
{
	struct runq_node *n;
	unsigned int p;

	if (!q->ready)
		return NULL;
	p = 31U - (unsigned int)__builtin_clz(q->ready);
	n = q->head[p];
	runq_unlink(q, n, p);
	return n;
}

static inline bool runq_queued(const struct runq_node *n)
{
	return n->next;
}

#endif /* METAKERNEL_RUNQ_H */

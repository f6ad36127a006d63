/* SPDX-License-Identifier: MIT */
/* uring.h - io_uring without its library: requests into one ring, completions out of the other. */
#ifndef TESTS_STRESS_URING_H
#define TESTS_STRESS_URING_H

#include <linux/io_uring.h>
#include <sys/syscall.h>

#include "stress.h"

struct uring {
	int fd;
	uint32_t *sq_tail, *sq_mask, *sq_array, *sq_flags, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	uint32_t unsubmitted;		/* always 0 with a thread of the kernel that polls */
	int polled;
};

struct uring_result {
	uint64_t user_data;
	int32_t res;
};

/* 0, or -1 and errno. */
static inline int uring_begin(struct uring *r, uint32_t entries, uint32_t flags)
{
	struct io_uring_params p = { .flags = flags };
	uint8_t *sq, *cq;

	r->fd = (int)syscall(SYS_io_uring_setup, entries, &p);
	if (r->fd < 0)
		return -1;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		  r->fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*r->cqes), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, p.sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		       r->fd, IORING_OFF_SQES);
	NEED(sq != MAP_FAILED && cq != MAP_FAILED && r->sqes != MAP_FAILED);
	r->sq_tail = (uint32_t *)(sq + p.sq_off.tail);
	r->sq_mask = (uint32_t *)(sq + p.sq_off.ring_mask);
	r->sq_array = (uint32_t *)(sq + p.sq_off.array);
	r->sq_flags = (uint32_t *)(sq + p.sq_off.flags);
	r->cq_head = (uint32_t *)(cq + p.cq_off.head);
	r->cq_tail = (uint32_t *)(cq + p.cq_off.tail);
	r->cq_mask = (uint32_t *)(cq + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	r->polled = (flags & IORING_SETUP_SQPOLL) != 0;
	return 0;
}

static inline struct io_uring_sqe *uring_request(struct uring *r, uint8_t op, int fd, const void *addr, size_t len, uint64_t tag)
{
	uint32_t tail = *r->sq_tail, slot = tail & *r->sq_mask;
	struct io_uring_sqe *sqe = &r->sqes[slot];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->len = (uint32_t)len;
	sqe->user_data = tag;
	r->sq_array[slot] = slot;
	__atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
	r->unsubmitted += !r->polled;
	return sqe;
}

static inline void uring_submit(struct uring *r, uint32_t wait)
{
	uint32_t flags = IORING_ENTER_GETEVENTS;
	long n;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);	/* our tail before the kernel's flag */
	if (r->polled && __atomic_load_n(r->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP)
		flags |= IORING_ENTER_SQ_WAKEUP;
	n = syscall(SYS_io_uring_enter, r->fd, r->unsubmitted, wait, flags, NULL, 0);
	CHECK(n == (long)r->unsubmitted);
	r->unsubmitted = 0;
}

/* The next one, if there is one: for a thread other than the one that submits. */
static inline int uring_try_completion(struct uring *r, struct uring_result *result)
{
	uint32_t head = *r->cq_head;

	if (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
		return 0;
	result->user_data = r->cqes[head & *r->cq_mask].user_data;
	result->res = r->cqes[head & *r->cq_mask].res;
	__atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
	return 1;
}

static inline struct uring_result uring_completion(struct uring *r)
{
	struct uring_result result;

	while (!uring_try_completion(r, &result))
		uring_submit(r, 1);
	return result;
}

#endif /* TESTS_STRESS_URING_H */

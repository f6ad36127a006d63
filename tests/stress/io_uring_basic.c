// SPDX-License-Identifier: MIT
/*
 * io_uring_basic - requests put into the shared ring come back once each with the right result:
 * no-ops, file writes and reads with content check, polls, timeouts, linked requests, an eventfd.
 * This is the machinery that keeld uses. Failure: a lost or doubled completion, or wrong data.
 */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>

#include "stress.h"

#define ENTRIES	64
#define BLOCK	8192

static int ring;
static uint32_t *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;
static uint32_t unsubmitted;

static int set_up(void)
{
	struct io_uring_params p = { 0 };
	uint8_t *sq, *cq;

	ring = (int)syscall(SYS_io_uring_setup, ENTRIES, &p);
	if (ring < 0)
		return -1;
	sq = mmap(NULL, p.sq_off.array + p.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		  ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, p.cq_off.cqes + p.cq_entries * sizeof(*cqes), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_CQ_RING);
	sqes = mmap(NULL, p.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		    ring, IORING_OFF_SQES);
	NEED(sq != MAP_FAILED && cq != MAP_FAILED && sqes != MAP_FAILED);
	sq_tail = (uint32_t *)(sq + p.sq_off.tail);
	sq_mask = (uint32_t *)(sq + p.sq_off.ring_mask);
	sq_array = (uint32_t *)(sq + p.sq_off.array);
	cq_head = (uint32_t *)(cq + p.cq_off.head);
	cq_tail = (uint32_t *)(cq + p.cq_off.tail);
	cq_mask = (uint32_t *)(cq + p.cq_off.ring_mask);
	cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
	return 0;
}

static struct io_uring_sqe *request(uint8_t op, int fd, const void *addr, size_t len, uint64_t tag)
{
	uint32_t tail = *sq_tail, slot = tail & *sq_mask;
	struct io_uring_sqe *sqe = &sqes[slot];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)addr;
	sqe->len = (uint32_t)len;
	sqe->user_data = tag;
	sq_array[slot] = slot;
	__atomic_store_n(sq_tail, tail + 1, __ATOMIC_RELEASE);
	unsubmitted++;
	return sqe;
}

static void submit(uint32_t wait)
{
	long n = syscall(SYS_io_uring_enter, ring, unsubmitted, wait, IORING_ENTER_GETEVENTS, NULL, 0);

	CHECK(n == (long)unsubmitted);
	unsubmitted = 0;
}

struct result {
	uint64_t user_data;
	int32_t res;
};

static struct result completion(void)
{
	struct result cqe;
	uint32_t head = *cq_head;

	while (head == __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE))
		submit(1);
	cqe.user_data = cqes[head & *cq_mask].user_data;
	cqe.res = cqes[head & *cq_mask].res;
	__atomic_store_n(cq_head, head + 1, __ATOMIC_RELEASE);
	return cqe;
}

static void no_ops(void)
{
	for (uint64_t round = 0; round < 100; round++) {
		uint64_t seen = 0;

		for (uint64_t i = 0; i < ENTRIES; i++)
			request(IORING_OP_NOP, -1, NULL, 0, round << 8 | i);
		submit(ENTRIES);
		for (uint64_t i = 0; i < ENTRIES; i++) {
			struct result cqe = completion();

			CHECK(cqe.user_data >> 8 == round && cqe.res == 0);
			CHECK(!(seen >> (cqe.user_data & 63) & 1));
			seen |= 1ull << (cqe.user_data & 63);
		}
		CHECK(seen == UINT64_MAX);
	}
}

static void files(void)
{
	static uint8_t blocks[ENTRIES / 2][BLOCK], again[ENTRIES / 2][BLOCK];
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);
	uint64_t seed = 5;

	NEED(fd >= 0);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < ENTRIES / 2; i++) {
			for (int k = 0; k < BLOCK; k += 8)
				*(uint64_t *)(void *)&blocks[i][k] = stress_random(&seed);
			request(IORING_OP_WRITE, fd, blocks[i], BLOCK, (uint64_t)i)->off = (uint64_t)i * BLOCK;
		}
		submit(ENTRIES / 2);
		for (int i = 0; i < ENTRIES / 2; i++)
			CHECK(completion().res == BLOCK);
		for (int i = 0; i < ENTRIES / 2; i++)
			request(IORING_OP_READ, fd, again[i], BLOCK, (uint64_t)i)->off = (uint64_t)i * BLOCK;
		submit(ENTRIES / 2);
		for (int i = 0; i < ENTRIES / 2; i++)
			CHECK(completion().res == BLOCK);
		CHECK(memcmp(blocks, again, sizeof(blocks)) == 0);
	}
	request(IORING_OP_FSYNC, fd, NULL, 0, 1);
	CHECK(completion().res == 0);
	request(IORING_OP_READ, fd, (void *)0xffffffffffe30000, 16, 2);
	CHECK(completion().res == -EFAULT);
	close(fd);
}

static void polls_and_timeouts(void)
{
	struct __kernel_timespec soon = { .tv_nsec = 3000000 };
	int fd[2], event = eventfd(0, EFD_NONBLOCK);
	uint64_t n;
	uint8_t byte;
	pid_t pid;

	NEED(pipe(fd) == 0 && event >= 0);
	NEED(syscall(SYS_io_uring_register, ring, IORING_REGISTER_EVENTFD, &event, 1) == 0);
	for (int i = 0; i < 100; i++) {
		request(IORING_OP_TIMEOUT, -1, &soon, 1, 7);
		request(IORING_OP_POLL_ADD, fd[0], NULL, 0, 8)->poll32_events = POLLIN;
		pid = -1;
		if (i % 2) {
			submit(0);
			pid = stress_fork();
			if (pid == 0)
				_exit(write(fd[1], "y", 1) != 1);
		} else {
			CHECK(write(fd[1], "y", 1) == 1);
			submit(0);
		}
		for (int k = 0; k < 2; k++) {
			struct result cqe = completion();

			/* the timeout also ends well when it is counted by one completion */
			CHECK(cqe.user_data == 7 ? cqe.res == -ETIME || cqe.res == 0 : cqe.user_data == 8 && cqe.res == POLLIN);
		}
		CHECK(read(fd[0], &byte, 1) == 1);
		if (pid > 0)
			CHECK(stress_wait(pid) == 0);
		CHECK(read(event, &n, 8) == 8 && n >= 1);
	}
	/* A linked pair: the read waits for the write before it. */
	for (int i = 0; i < 100; i++) {
		byte = 0;
		request(IORING_OP_WRITE, fd[1], "z", 1, 1)->flags = IOSQE_IO_LINK;
		request(IORING_OP_READ, fd[0], &byte, 1, 2);
		CHECK(completion().res == 1);
		CHECK(completion().res == 1 && byte == 'z');
	}
}

int main(void)
{
	if (set_up() < 0) {
		printf("io_uring_setup: %s\n", strerror(errno));
		return SKIP;
	}
	no_ops();
	files();
	polls_and_timeouts();
	return stress_end("io_uring_basic");
}

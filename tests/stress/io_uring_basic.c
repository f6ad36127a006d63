// SPDX-License-Identifier: MIT
/*
 * io_uring_basic - requests put into the shared ring come back once each with the right result:
 * no-ops, file writes and reads with content check, polls, timeouts, linked requests, an eventfd.
 * This is the machinery that keeld uses. Failure: a lost or doubled completion, or wrong data.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "stress.h"
#include "uring.h"

#define ENTRIES	64
#define BLOCK	8192

static struct uring ring;

static struct io_uring_sqe *request(uint8_t op, int fd, const void *addr, size_t len, uint64_t tag)
{
	return uring_request(&ring, op, fd, addr, len, tag);
}

static void submit(uint32_t wait)
{
	uring_submit(&ring, wait);
}

static struct uring_result completion(void)
{
	return uring_completion(&ring);
}

static void no_ops(void)
{
	for (uint64_t round = 0; round < 100; round++) {
		uint64_t seen = 0;

		for (uint64_t i = 0; i < ENTRIES; i++)
			request(IORING_OP_NOP, -1, NULL, 0, round << 8 | i);
		submit(ENTRIES);
		for (uint64_t i = 0; i < ENTRIES; i++) {
			struct uring_result cqe = completion();

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
	NEED(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_EVENTFD, &event, 1) == 0);
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
			struct uring_result cqe = completion();

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
	if (uring_begin(&ring, ENTRIES, 0) < 0) {
		printf("io_uring_setup: %s\n", strerror(errno));
		return SKIP;
	}
	no_ops();
	files();
	polls_and_timeouts();
	return stress_end("io_uring_basic");
}

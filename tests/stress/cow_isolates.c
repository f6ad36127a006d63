// SPDX-License-Identifier: MIT
/*
 * cow_isolates - after fork, what one process writes another never sees, whoever writes first and
 * in whichever way: by store, by a system call that writes to user memory, by /proc/PID/mem, and
 * over three generations. Shared mappings stay shared. Failure: a page with someone else's content.
 */
#include <fcntl.h>
#include <sys/uio.h>

#include "stress.h"

#define PAGES	64u
#define ROUNDS	150u

static uint64_t *area, *common;
static uint64_t seed = 3;

static uint64_t *word(uint32_t page)
{
	return area + page * (PAGE / sizeof(uint64_t)) + page % 500;
}

static void fill(uint64_t tag)
{
	for (uint32_t i = 0; i < PAGES; i++)
		*word(i) = tag << 32 | i;
}

static int holds(uint64_t tag)
{
	for (uint32_t i = 0; i < PAGES; i++)
		if (*(volatile uint64_t *)word(i) != (tag << 32 | i)) {
			printf("page %u: %#lx instead of tag %#lx\n", i, (unsigned long)*word(i), (unsigned long)tag);
			return 0;
		}
	return 1;
}

/* The kernel writes to the pages, by read() and by preadv into several at once. */
static void fill_by_kernel(int pipe_fd[2], uint64_t tag)
{
	for (uint32_t i = 0; i < PAGES; i += 2) {
		uint64_t value[2] = { tag << 32 | i, tag << 32 | (i + 1) };
		struct iovec to[2] = { { word(i), 8 }, { word(i + 1), 8 } };

		NEED(write(pipe_fd[1], value, 16) == 16);
		NEED(readv(pipe_fd[0], to, 2) == 16);
	}
}

/* Through another mapping of the process: get_user_pages breaks the sharing. */
static void fill_by_proc(uint64_t tag)
{
	int fd = open("/proc/self/mem", O_RDWR);

	NEED(fd >= 0);
	for (uint32_t i = 0; i < PAGES; i++) {
		uint64_t value = tag << 32 | i;

		NEED(pwrite(fd, &value, 8, (off_t)(uintptr_t)word(i)) == 8);
	}
	close(fd);
}

static void fill_somehow(uint64_t tag, uint64_t how)
{
	int fd[2];

	switch (how % 3) {
	case 0:
		fill(tag);
		break;
	case 1:
		NEED(pipe(fd) == 0);
		fill_by_kernel(fd, tag);
		close(fd[0]);
		close(fd[1]);
		break;
	default:
		fill_by_proc(tag);
	}
}

static int generation(int depth, uint64_t tag, int go, int done);

/* Start a generation below; both write in an order that the pipes fix or nobody fixes. */
static int split(int depth, uint64_t tag)
{
	int down[2], up[2], status;
	uint8_t byte = 0;
	uint64_t how = stress_random(&seed);
	pid_t pid;

	NEED(pipe(down) == 0 && pipe(up) == 0);
	pid = stress_fork();
	if (pid == 0)
		_exit(generation(depth, tag, down[0], up[1]));
	if (how & 4)
		fill_somehow(tag + 1000, how >> 8);	/* parent first */
	NEED(write(down[1], &byte, 1) == 1);
	NEED(read(up[0], &byte, 1) == 1);
	CHECK(holds(how & 4 ? tag + 1000 : tag));
	if (!(how & 4))
		fill_somehow(tag + 1000, how >> 8);	/* child first */
	NEED(write(down[1], &byte, 1) == 1);
	CHECK(holds(tag + 1000));
	status = stress_wait(pid);
	CHECK(status == 0);
	CHECK(holds(tag + 1000));
	close(down[0]);
	close(down[1]);
	close(up[0]);
	close(up[1]);
	return stress_failures ? 1 : 0;
}

static int generation(int depth, uint64_t tag, int go, int done)
{
	uint8_t byte;

	NEED(read(go, &byte, 1) == 1);
	CHECK(holds(tag));
	fill_somehow(tag + 1, (uint64_t)depth + tag);
	NEED(write(done, &byte, 1) == 1);
	NEED(read(go, &byte, 1) == 1);
	CHECK(holds(tag + 1));
	__atomic_fetch_add(common, 1, __ATOMIC_SEQ_CST);
	return depth ? split(depth - 1, tag + 1) : stress_failures ? 1 : 0;
}

int main(void)
{
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	common = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(area != MAP_FAILED && common != MAP_FAILED);
	for (uint64_t round = 1; round <= ROUNDS && !stress_failures; round++) {
		uint64_t tag = round * 10000;

		if (round % 2)
			NEED(madvise(area, PAGES * PAGE, MADV_DONTNEED) == 0);
		fill(tag);
		split(2, tag);
		CHECK(*common == round * 3);
	}
	return stress_end("cow_isolates");
}

// SPDX-License-Identifier: MIT
/*
 * memory_storm - page tables that change all the time keep showing the right memory: fork with
 * copy-on-write, mprotect, mremap, munmap and reuse of addresses, each with a check of contents.
 * Failure: a page holds another's content, or an access is allowed or refused wrongly.
 */
#include "guest.h"

#define PAGE	4096ul
#define PAGES	64ul
#define ROUNDS	40u

static uint32_t seed = 1;
static uint8_t *probe;

static uint32_t draw(uint32_t n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % n;
}

static void mark(uint8_t *base, uint64_t tag)
{
	for (uint64_t i = 0; i < PAGES; i++)
		*(volatile uint64_t *)(base + i * PAGE) = tag << 32 | i;
}

static int marked(const uint8_t *base, uint64_t tag, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		if (*(const volatile uint64_t *)(base + i * PAGE) != (tag << 32 | i))
			return 0;
	return 1;
}

static uint8_t *map(void)
{
	void *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

/* The child sees the parent's old content and its own writes; the parent never sees the child's. */
static void fork_and_check(uint8_t *area, uint64_t tag)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int good = marked(area, tag, PAGES);

		mark(area, tag + 1000);
		good &= marked(area, tag + 1000, PAGES);
		_exit(good ? 0 : 1);
	}
	CHECK(pid > 0);
	*(volatile uint64_t *)(area + draw(PAGES) * PAGE + 8) = tag;	/* break a share while the child runs */
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(marked(area, tag, PAGES));
}

static void probe_write(void)	{ *(volatile uint8_t *)probe = 1; }
static void probe_read(void)	{ (void)*(volatile uint8_t *)probe; }

static void protect_and_check(uint8_t *area, uint64_t tag)
{
	uint64_t page = draw(PAGES);

	probe = area + page * PAGE + 100;
	CHECK(mprotect(area + page * PAGE, PAGE, PROT_READ) == 0);
	CHECK(guest_signal_of(probe_write) == SIGSEGV);
	CHECK(guest_signal_of(probe_read) == 0);
	CHECK(mprotect(area + page * PAGE, PAGE, PROT_NONE) == 0);
	CHECK(guest_signal_of(probe_read) == SIGSEGV);
	CHECK(mprotect(area + page * PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
	CHECK(guest_signal_of(probe_write) == 0);
	CHECK(marked(area, tag, PAGES));
}

static uint8_t *move_and_check(uint8_t *area, uint64_t tag)
{
	uint8_t *moved = mremap(area, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map());

	CHECK(moved != MAP_FAILED && marked(moved, tag, PAGES));
	probe = area;
	CHECK(guest_signal_of(probe_read) == SIGSEGV);
	return moved;
}

/* A hole punched with MADV_DONTNEED reads as zero and takes new content. */
static void drop_and_check(uint8_t *area, uint64_t tag)
{
	uint64_t page = draw(PAGES);

	CHECK(madvise(area + page * PAGE, PAGE, MADV_DONTNEED) == 0);
	CHECK(*(volatile uint64_t *)(area + page * PAGE) == 0);
	*(volatile uint64_t *)(area + page * PAGE) = tag << 32 | page;
	CHECK(marked(area, tag, PAGES));
}

int main(void)
{
	uint8_t *area = map();

	for (uint64_t tag = 1; tag <= ROUNDS && !guest_failures; tag++) {
		mark(area, tag);
		switch (draw(4)) {
		case 0:
			fork_and_check(area, tag);
			break;
		case 1:
			protect_and_check(area, tag);
			break;
		case 2:
			area = move_and_check(area, tag);
			break;
		default:
			drop_and_check(area, tag);
			break;
		}
	}
	return guest_result();
}

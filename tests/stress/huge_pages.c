// SPDX-License-Identifier: MIT
/*
 * huge_pages - memory that may come in 2 MiB pages keeps its content while parts of it are forked,
 * protected, unmapped, moved and merged again. Failure: other content, or an access that is wrongly
 * allowed or refused. (Says at the end whether the kernel gave huge pages at all.)
 */
#include <setjmp.h>

#include "stress.h"

#define HUGE	(2ul << 20)
#define AREAS	4
#define ROUNDS	25

static sigjmp_buf back;

static void refused(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	siglongjmp(back, 1);
}

static int writable(uint8_t *at)
{
	if (sigsetjmp(back, 0))
		return 0;
	*(volatile uint8_t *)(at + 4000) = 1;
	return 1;
}

static void fill(uint8_t *area, uint64_t tag)
{
	for (size_t i = 0; i < HUGE; i += PAGE)
		*(volatile uint64_t *)(area + i) = tag + i;
}

static size_t wrong_pages(const uint8_t *area, uint64_t tag)
{
	size_t wrong = 0;

	for (size_t i = 0; i < HUGE; i += PAGE)
		wrong += *(const volatile uint64_t *)(area + i) != tag + i;
	return wrong;
}

static unsigned long huge_kilobytes(void)
{
	unsigned long kilobytes = 0, one;
	char line[200];
	FILE *smaps = fopen("/proc/self/smaps", "r");

	while (smaps && fgets(line, sizeof(line), smaps))
		if (sscanf(line, "AnonHugePages: %lu", &one) == 1)
			kilobytes += one;
	if (smaps)
		fclose(smaps);
	return kilobytes;
}

/* Linux turns huge pages off on a small machine. */
static void ask_for_huge_pages(void)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "w");

	if (file) {
		fputs("always", file);
		fclose(file);
	}
}

int main(void)
{
	uint8_t *space = mmap(NULL, (2 * AREAS + 1) * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *area[AREAS], *spare;
	unsigned long most = 0;
	uint64_t seed = 11;

	ask_for_huge_pages();
	NEED(space != MAP_FAILED);
	space = (uint8_t *)(((uintptr_t)space + HUGE - 1) & ~(HUGE - 1));
	stress_handle(SIGSEGV, refused, SA_NODEFER);
	spare = space + AREAS * HUGE;
	for (uint64_t i = 0; i < AREAS; i++) {
		area[i] = space + i * HUGE;
		NEED(mmap(area[i], HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area[i]);
		madvise(area[i], HUGE, MADV_HUGEPAGE);
		fill(area[i], i << 40);
	}
	for (uint64_t round = 1; round <= ROUNDS && !stress_failures; round++) {
		uint64_t i = stress_random(&seed) % AREAS, tag = round << 48 | i << 40;
		size_t page = stress_random(&seed) % 512 * PAGE;
		unsigned long now = huge_kilobytes();

		most = now > most ? now : most;
		fill(area[i], tag);
		pid_t pid = stress_fork();
		if (pid == 0) {
			CHECK(wrong_pages(area[i], tag) == 0);
			fill(area[i], 1);
			_exit(stress_failures || wrong_pages(area[i], 1));
		}
		*(volatile uint64_t *)(area[i] + page) = tag + page;	/* the parent breaks the sharing of one page */
		CHECK(stress_wait(pid) == 0);
		CHECK(wrong_pages(area[i], tag) == 0);
		CHECK(mprotect(area[i] + page, PAGE, PROT_READ) == 0);
		CHECK(!writable(area[i] + page));
		CHECK(wrong_pages(area[i], tag) == 0);
		CHECK(mprotect(area[i] + page, PAGE, PROT_READ | PROT_WRITE) == 0);
		CHECK(writable(area[i] + page));
		CHECK(mremap(area[i], HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, spare) == spare);
		CHECK(!writable(area[i]));
		CHECK(wrong_pages(spare, tag) == 0);
		uint8_t *moved = area[i];
		area[i] = spare;
		spare = moved;
		CHECK(madvise(area[i] + page, PAGE, MADV_DONTNEED) == 0);
		CHECK(wrong_pages(area[i], tag) == (tag + page != 0));
		*(volatile uint64_t *)(area[i] + page) = tag + page;
		if (round % 5 == 0) {		/* a whole new one: huge from the first touch */
			CHECK(madvise(area[i], HUGE, MADV_DONTNEED) == 0);
			CHECK(*(volatile uint64_t *)(area[i] + page) == 0);
			fill(area[i], tag);
		}
		CHECK(wrong_pages(area[i], tag) == 0);
	}
	printf("at most %lu kB in huge pages\n", most);
	return stress_end("huge_pages");
}

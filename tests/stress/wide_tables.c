// SPDX-License-Identifier: MIT
/*
 * wide_tables - a program whose pages lie so far apart that each needs a page table of its own, more
 * of them than the metakernel has pages for shadows, still finds its content in every page, and so
 * do other processes beside it. Failure: wrong content, or no progress (watchdog).
 */
#include <sched.h>

#include "stress.h"

#define REGIONS		3000u
#define APART		(2ul << 20)
#define ROUNDS		3
#define FAR		40u
#define FAR_APART	(512ul << 30)	/* a table at each of three levels */

static uint64_t *region[REGIONS + FAR];
static unsigned int regions;

static uint64_t *map_at(uintptr_t address)
{
	uint64_t *p = mmap((void *)address, PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void check_all(uint64_t tag)
{
	for (unsigned int i = 0; i < regions; i++)
		CHECK(*(volatile uint64_t *)region[i] == (tag << 32 | i));
}

static void work(uint64_t tag, unsigned int rounds)
{
	for (unsigned int round = 0; round < rounds && !stress_failures; round++, tag++) {
		for (unsigned int i = 0; i < regions; i++) {
			*(volatile uint64_t *)region[i] = tag << 32 | i;
			if (i % 500 == 0)
				sched_yield();
		}
		check_all(tag);
	}
}

int main(void)
{
	pid_t pids[2];

	for (unsigned int i = 0; i < REGIONS; i++) {
		region[regions] = map_at(0x100000000000 + i * APART);
		NEED(region[regions]);
		regions++;
	}
	for (unsigned int i = 1; i <= FAR; i++) {
		region[regions] = map_at(0x200000000000 + i * FAR_APART);
		if (region[regions])
			regions++;
	}
	work(1, ROUNDS);
	for (uint64_t i = 0; i < 2; i++) {
		pids[i] = stress_fork();
		if (pids[i] == 0) {
			check_all(ROUNDS);
			work(1000 * (i + 1), ROUNDS);
			_exit(stress_failures != 0);
		}
	}
	work(100, ROUNDS);
	for (int i = 0; i < 2; i++)
		CHECK(stress_wait(pids[i]) == 0);
	for (unsigned int i = 0; i < regions; i += 2)
		NEED(munmap(region[i], PAGE) == 0);
	for (unsigned int i = 1; i < regions; i += 2)
		CHECK(*(volatile uint64_t *)region[i] == ((100ull + ROUNDS - 1) << 32 | i));
	return stress_end("wide_tables");
}

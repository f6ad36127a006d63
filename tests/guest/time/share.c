// SPDX-License-Identifier: MIT
/*
 * share.c - how much does a program get done in so many milliseconds? `share MS` prints "SHARE ROUNDS", rounds of a
 * loop that touches no memory, while MS milliseconds pass by the monotonic clock.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS	1000	/* between two looks at the clock */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	uint64_t end = now_ns() + (argc > 1 ? strtoull(argv[1], NULL, 10) : 1000) * 1000000, done = 0;

	while (now_ns() < end) {
		uint64_t rounds = ROUNDS;

		__asm__ volatile("1: decq %0; jnz 1b" : "+r"(rounds) : : "cc");
		done += ROUNDS;
	}
	printf("SHARE %llu\n", (unsigned long long)done);
	return 0;
}

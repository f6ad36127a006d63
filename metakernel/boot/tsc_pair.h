/* SPDX-License-Identifier: MIT */
/*
 * tsc_pair.h - how far apart are the time-stamp counters of two CPUs?
 *
 * They pass a turn to and fro, each noting its counter: what one wrote before the other read it was earlier. So each
 * passage bounds the difference from one side, whatever kept a CPU away meanwhile; delay makes a bound wide, never wrong.
 */
#ifndef METAKERNEL_BOOT_TSC_PAIR_H
#define METAKERNEL_BOOT_TSC_PAIR_H

#include <stdbool.h>
#include <stdint.h>

struct tsc_pair {
	uint32_t turn;		/* odd: the other CPU's; TSC_PAIR_OVER: nobody's */
	uint64_t tsc;		/* the other CPU's when it last had the turn */
	int64_t low, high;	/* its counter minus the asking CPU's lies between these */
};

#define TSC_PAIR_OVER	0xfffffffe

/*
 * The asking CPU: pass the turn some times and then until the bounds are no more than `goal` apart, or `most` ticks
 * have gone by. False: the other did not answer for `patience` ticks.
 */
bool tsc_pair_ask(struct tsc_pair *p, uint64_t goal, uint64_t most, uint64_t patience);

/* The other CPU: answer until the asking one is through. */
void tsc_pair_answer(struct tsc_pair *p);

/* By how much do they differ for certain? 0 if they may be equal. */
int64_t tsc_pair_differ(const struct tsc_pair *p);

#endif

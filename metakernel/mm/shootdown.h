/* SPDX-License-Identifier: MIT */
/*
 * shootdown.h - telling the vCPUs of a partition what to forget.
 *
 * A vCPU's shadow tables are touched only by the CPU that has it, so others leave a note. Who has the vCPU obeys it
 * before the vCPU runs on: at once, called by an interrupt, or when the vCPU is loaded next. Nobody waits in here:
 * shoot_ring() gives a ticket, shoot_obeyed() says whether it is over.
 */
#ifndef METAKERNEL_MM_SHOOTDOWN_H
#define METAKERNEL_MM_SHOOTDOWN_H

#include <hal/types.h>
#include "lib/lock.h"

struct vcpu;
struct partition;

#define SHOOT_RANGES	4	/* on one note, */
#define SHOOT_PAGES	512	/* and pages in all of them; more: everything */

enum shoot_what { SHOOT_RANGE, SHOOT_USER, SHOOT_ALL };

struct shoot {
	uint64_t pgd;		/* lower half: of roots filled from this table */
	vaddr_t va;
	uint32_t npages;
	enum shoot_what what;
};

struct shootdown {
	struct lock lock;	/* LOCK_NOTE */
	bool noted;
	unsigned int n;
	struct shoot list[SHOOT_RANGES];
	uint64_t since;		/* how many tickets had been drawn when the oldest note was left */
	uint64_t obeyed;	/* the ticket up to which all has been */
};

void shoot_init(struct shootdown *s);
/* Leave a note. It counts from the next shoot_ring() on. */
void shoot_note(struct vcpu *v, const struct shoot *what);
/* Call those of the set (bit n: vCPU n) that a CPU has. -> a ticket */
uint64_t shoot_ring(struct partition *p, uint64_t set);
/* All of it, by all vCPUs: nobody's leaf, remembered way or walk has anything of what they had (I3), once they have obeyed. */
uint64_t shoot_forget(struct partition *p);
/* Has each of the set obeyed all notes up to the ticket, or will it before it runs on? */
bool shoot_obeyed(const struct partition *p, uint64_t set, uint64_t ticket);
/* All that is noted for a vCPU that this CPU has. -> was there anything? */
bool shoot_obey(struct vcpu *v);
/* Does somebody's ticket wait for this vCPU, which this CPU has? */
bool shoot_due(const struct vcpu *v);
/* This CPU has just got the vCPU, which is about to run. */
void shoot_loaded(struct vcpu *v);

static inline bool shoot_noted(const struct shootdown *s)
{
	return __atomic_load_n(&s->noted, __ATOMIC_ACQUIRE);
}

/* All vCPUs of a partition. */
uint64_t shoot_everybody(const struct partition *p);

#endif

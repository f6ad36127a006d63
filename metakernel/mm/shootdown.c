// SPDX-License-Identifier: MIT
/*
 * shootdown.c - notes, tickets, and who has obeyed.
 *
 *   asks                                     has the vCPU
 *   note under its lock
 *   ticket = ++tickets
 *   bit in `work`, interrupt  ───────────>   seen = tickets
 *                                            take the note, under its lock; forget
 *   obeyed >= ticket?         <───────────   obeyed = seen
 *
 * A note that was written before the ticket was drawn is seen by whoever reads that ticket, so `obeyed` never
 * promises too much. A vCPU that no CPU has when it is looked at will look for tickets when it is loaded
 * (vcpu_load), before it runs; not for a note, which it may have obeyed before the ticket was drawn: no CPU's TLB has anything of it either, because every entry into the
 * metakernel loads CR3 without PCID.
 *
 * Locks:   LOCK_NOTE of each vCPU, never two.
 * Bounds:  a note says each thing once, and names SHOOT_PAGES pages at most: one user half is re-read, the rest is dropped.
 */
#include "mm/check.h"
#include "mm/flush.h"
#include "mm/pool.h"
#include "mm/shootdown.h"
#include "part/part.h"
#include "run/cpu.h"

#define for_each_in(set, i) \
	for (; (set) && ((i) = bit_lowest(set), true); (set) &= (set) - 1)

void shoot_init(struct shootdown *s)
{
	s->lock = (struct lock)LOCK_INIT(LOCK_NOTE);
	s->n = 0;
}

uint64_t shoot_everybody(const struct partition *p)
{
	return ~0UL >> (64 - p->nvcpus);
}

/* A line more, or what it says is there already, or it is too much and everything has to go. */
static __cold void add_line(struct shootdown *s, const struct shoot *what)
{
	uint32_t npages = what->npages;
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		const struct shoot *line = &s->list[i];

		if (line->what == SHOOT_ALL || (line->what == what->what && line->what == SHOOT_USER && line->pgd == what->pgd))
			return;
		npages += line->npages;
	}
	if (s->n < SHOOT_RANGES && npages <= SHOOT_PAGES && what->what != SHOOT_ALL) {
		s->list[s->n++] = *what;
		return;
	}
	s->list[0] = (struct shoot) { .what = SHOOT_ALL };
	s->n = 1;
}

void shoot_note(struct vcpu *v, const struct shoot *what)
{
	struct shootdown *s = &v->shootdown;

	lock_take(&s->lock);
	if (!s->noted)
		s->since = __atomic_load_n(&v->part->tickets, __ATOMIC_RELAXED);
	add_line(s, what);
	__atomic_store_n(&s->noted, true, __ATOMIC_RELAXED);
	lock_release(&s->lock);
}

uint64_t shoot_ring(struct partition *p, uint64_t set)
{
	uint64_t ticket = __atomic_add_fetch(&p->tickets, 1, __ATOMIC_SEQ_CST);
	unsigned int i;

	for_each_in(set, i) {
		const struct vcpu *v = &p->vcpu[i];

		if (__atomic_load_n(&v->loaded, __ATOMIC_SEQ_CST) && !check_omits(CHECK_OMIT_RING))
			cpu_work(cpus[v->cpu], WORK_NOTE);
	}
	return ticket;
}

uint64_t shoot_forget(struct partition *p)
{
	unsigned int i;

	for (i = 0; i < p->nvcpus; i++)
		shoot_note(&p->vcpu[i], &(struct shoot) { .what = SHOOT_ALL });
	return p->nvcpus ? shoot_ring(p, shoot_everybody(p)) : 0;	/* none: it is being taken apart */
}

bool shoot_obeyed(const struct partition *p, uint64_t set, uint64_t ticket)
{
	uint64_t all = set;
	unsigned int i;

	for_each_in(set, i) {
		const struct vcpu *v = &p->vcpu[i];

		if (!check_omits(CHECK_OMIT_WAIT) && __atomic_load_n(&v->loaded, __ATOMIC_SEQ_CST) &&
		    __atomic_load_n(&v->shootdown.obeyed, __ATOMIC_ACQUIRE) < ticket)
			return false;
	}
	check_obeyed(p, all, ticket);
	return true;
}

bool shoot_due(const struct vcpu *v)
{
	return __atomic_load_n(&v->part->tickets, __ATOMIC_SEQ_CST) != v->shootdown.obeyed;
}

bool shoot_obey(struct vcpu *v)
{
	struct shootdown *s = &v->shootdown;
	uint64_t seen = __atomic_load_n(&v->part->tickets, __ATOMIC_SEQ_CST);
	struct shoot list[SHOOT_RANGES];
	unsigned int n, i;

	lock_take(&s->lock);
	n = s->n;
	for (i = 0; i < n; i++)
		list[i] = s->list[i];
	s->n = 0;
	__atomic_store_n(&s->noted, false, __ATOMIC_RELAXED);
	lock_release(&s->lock);
	for (i = 0; i < n; i++)
		mmu_forget(v, &list[i]);
	__atomic_store_n(&s->obeyed, seen, __ATOMIC_RELEASE);
	return n;
}

void shoot_loaded(struct vcpu *v)
{
	if (shoot_due(v))
		shoot_obey(v);
}

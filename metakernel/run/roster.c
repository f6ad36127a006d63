// SPDX-License-Identifier: MIT
/* roster.c - the lists of vCPUs. */
#include <hal/irq.h>
#include "mm/flush.h"
#include "run/roster.h"

#define AGE_MS	4000

struct vcpu *movers;

static struct vcpu **head(const struct vcpu *v)
{
	return v->pinned ? &cpus[v->cpu]->vcpus : &movers;
}

void roster_add(struct vcpu *v)
{
	struct vcpu **list = head(v);

	while (*list)		/* in the manifest's order */
		list = &(*list)->sibling;
	__atomic_store_n(list, v, __ATOMIC_RELEASE);
	if (v->pinned)
		cpus[v->cpu]->nvcpus++;
}

void roster_remove(struct vcpu *v)
{
	struct vcpu **list = head(v);

	while (*list != v)
		list = &(*list)->sibling;
	__atomic_store_n(list, v->sibling, __ATOMIC_RELEASE);
	if (v->pinned)
		cpus[v->cpu]->nvcpus--;
}

void roster_forget(struct cpu *c)
{
	c->age_next = NULL;
	c->last = NULL;		/* another partition may have its place: then what predictors learnt is not its own */
}

/*
 * Linux clears accessed bits without a flush and expects a TLB to forget by itself. Forget now and
 * then, or hot pages would look idle for ever and be reclaimed. One vCPU a tick (I5), each every AGE_MS; of those
 * that move, the one that is here.
 */
void roster_age(struct cpu *c, uint64_t now)
{
	struct vcpu *v = c->age_next ? c->age_next : c->vcpus;

	c->age_tsc = now + AGE_MS * hal_tsc_khz() / (c->nvcpus ? c->nvcpus : 1);
	c->age_next = v ? v->sibling : NULL;
	if (c->current && !c->current->pinned)
		mmu_age(c->current);
	else if (v && vcpu_on(v))
		mmu_age(v);
}

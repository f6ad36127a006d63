// SPDX-License-Identifier: MIT
/* roster.c - the lists of vCPUs. */
#include "run/roster.h"

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

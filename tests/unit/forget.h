/* SPDX-License-Identifier: MIT */
/* forget.h - shoot_forget() as it is, for tests that play what it calls. */
#ifndef FORGET_H
#define FORGET_H

uint64_t shoot_forget(struct partition *p)
{
	for (unsigned int i = 0; i < p->nvcpus; i++)
		shoot_note(&p->vcpu[i], &(struct shoot) { .what = SHOOT_ALL });
	return p->nvcpus ? shoot_ring(p, shoot_everybody(p)) : 0;
}

#endif

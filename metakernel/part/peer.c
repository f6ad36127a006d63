// SPDX-License-Identifier: MIT
/*
 * peer.c - a peer's memory as it is when the peer starts, at boot and at every restart.
 *
 * Owns:    what is kept of that memory, from boot on (boot/load_peer.c has made it); and how far each load has come.
 * Locks:   LOCK_LIFE, the caller's; at boot none.
 * Bounds:  peer_load() does a piece of the work, at most some 20,000 instructions, and is called again
 *          until all is done (I5). Nothing runs in that memory meanwhile, so any piece may be the last one.
 */
#include <hal/irq.h>
#include "mm/flush.h"
#include "part/peer.h"
#include "lib/string.h"

#define PIECE_BYTES	0x20000UL	/* cleared or copied in one go */

struct peer_start peer_starts[MANIFEST_MAX_PARTS];

static struct load {
	bool begun;
	uint64_t cleared;	/* bytes */
	unsigned int run;	/* of what is copied, and how much of it */
	uint64_t copied;
} loads[MANIFEST_MAX_PARTS];

/* False: all is as it was at boot. */
static bool fill(struct load *l, const struct partition *p, const struct peer_start *s)
{
	const struct peer_run *r = &s->runs[l->run];
	uint8_t *mem = pa_to_va(p->mem_pa);
	uint64_t n;

	if (l->cleared < p->mem_bytes) {
		n = min_u64(p->mem_bytes - l->cleared, PIECE_BYTES);
		memset(mem + l->cleared, 0, n);
		l->cleared += n;
		return true;
	}
	if (l->run == s->nruns)
		return false;
	n = min_u64(r->bytes - l->copied, PIECE_BYTES);
	memcpy(mem + r->at + l->copied, r->data + l->copied, n);
	l->copied += n;
	if (l->copied == r->bytes) {
		l->run++;
		l->copied = 0;
	}
	return true;
}

int peer_load(struct partition *p)
{
	const struct peer_start *s = &peer_starts[p->index];
	struct load *l = &loads[p->index];
	struct vcpu *v = p->vcpu;

	if (!l->begun) {
		*l = (struct load) { .begun = true };
		mmu_flush_all(v);
		return -KEEL_EAGAIN;
	}
	if (fill(l, p, s))
		return -KEEL_EAGAIN;
	l->begun = false;
	vcpu_reset(v, s->cr3_pa);
	v->regs->rip = s->rip;
	v->regs->rdi = s->rdi;
	v->regs->rsp = s->rsp;
	return 0;
}

bool peer_loading(const struct partition *p)
{
	return loads[p->index].begun;
}

void peer_load_abandon(const struct partition *p)
{
	loads[p->index].begun = false;
}

// SPDX-License-Identifier: MIT
/*
 * hcall_vcpu.c - hypercalls between the vCPUs of a partition: start and stop, interrupts, shoot-downs.
 *
 * Trusts: nothing. APIC ids and vcpu_ids are looked up in the caller's partition; bits of a set beyond its vCPUs
 *         count for nothing.
 *
 * Locks:  none here: part.c, sched.c, event.c and shootdown.c have theirs. Nobody waits with one held.
 */
#include <hal/cpu.h>
#include "entry/hcall.h"
#include "mm/flush.h"
#include "mm/pte.h"
#include "mm/shootdown.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/sched.h"

#define RANGE_MAX	512
#define WAIT_LOOKS	2000	/* at whether another has obeyed, before interrupts are let in */

__cold int64_t hc_vcpu_start(struct vcpu *v, struct regs *r)
{
	struct vcpu *other = part_vcpu(v->part, r->rdi);

	if (!other || !is_canonical(r->rsi) || r->rsi >= KEEL_HOLE_BASE || (r->rdx & ~(PTE_ADDR | PAGE_MASK)))
		return -KEEL_EINVAL;
	return part_vcpu_start(v, other, r->rsi, r->rdx, r->r10);
}

int64_t hc_vcpu_state(struct vcpu *v, struct regs *r)
{
	struct vcpu *other = part_vcpu(v->part, r->rdi);

	if (!other)
		return -KEEL_EINVAL;
	return sched_gone(other) ? KEEL_VCPU_OFF : KEEL_VCPU_ON;
}

static bool vector_ok(uint64_t vector)
{
	return vector == VEC_NMI || (vector >= 0x20 && vector <= 0xff);
}

static void interrupt(struct vcpu *v, unsigned int vector)
{
	if (vcpu_on(v))
		event_vector(v, vector);
}

int64_t hc_ipi(struct vcpu *v, struct regs *r)
{
	struct vcpu *other = r->rdi == v->vp->apic_id ? v : part_vcpu(v->part, r->rdi);

	if (!other || !vector_ok(r->rsi))
		return -KEEL_EINVAL;
	interrupt(other, (unsigned int)r->rsi);
	return 0;
}

int64_t hc_ipi_set(struct vcpu *v, struct regs *r)
{
	uint64_t set = r->rsi & shoot_everybody(v->part);

	if (!vector_ok(r->rdi))
		return -KEEL_EINVAL;
	for (; set; set &= set - 1)
		interrupt(&v->part->vcpu[bit_lowest(set)], (unsigned int)r->rdi);
	return 0;
}

/*
 * Until all have obeyed. Meanwhile what others ask of this CPU is done, so that two that wait for each other do not
 * wait for ever; and after a while the caller goes back onto its hypercall, so that interrupts come in. RAX says
 * that it waits, and for what: an interrupt's handler may make such a call of its own.
 */
static int64_t wait(struct vcpu *v, struct regs *r, uint64_t set, uint64_t ticket)
{
	unsigned int n, step = bits_set(set);
	bool obeyed = false;

	for (n = 0; n < WAIT_LOOKS; n += step) {
		if (shoot_obeyed(v->part, set, ticket))
			return 0;
		if (shoot_due(v)) {
			if (obeyed)
				break;		/* once is enough with interrupts off (I5) */
			obeyed = shoot_obey(v);
		}
		measure_pause();
	}
	return hcall_again(r, ticket << HCALL_BITS | KEEL_HC_FLUSH_SET);
}

int64_t hc_flush_wait(struct vcpu *v, struct regs *r)
{
	uint64_t set = r->rdi & shoot_everybody(v->part) & ~(1UL << v->id), ticket = r->rax >> HCALL_BITS;

	return ticket > __atomic_load_n(&v->part->tickets, __ATOMIC_RELAXED) ? -KEEL_EINVAL : wait(v, r, set, ticket);
}

int64_t hc_flush_set(struct vcpu *v, struct regs *r)
{
	uint64_t all = r->rdi & shoot_everybody(v->part), others = all & ~(1UL << v->id), set;
	struct shoot what = {
		.pgd = r->rdx & PTE_ADDR, .va = r->r10 & ~(uint64_t)PAGE_MASK, .npages = (uint32_t)r->r8,
		.what = r->rsi == KEEL_FLUSH_RANGE ? SHOOT_RANGE : r->rsi == KEEL_FLUSH_USER ? SHOOT_USER : SHOOT_ALL,
	};

	if (r->rsi > KEEL_FLUSH_RANGE || (r->rsi == KEEL_FLUSH_RANGE && r->r8 > RANGE_MAX))
		return -KEEL_EINVAL;
	stat_inc(v, r->rsi == KEEL_FLUSH_RANGE ? KEEL_STAT_FLUSH_RANGE :
		 r->rsi == KEEL_FLUSH_USER ? KEEL_STAT_FLUSH_USER : KEEL_STAT_FLUSH_ALL);
	for (set = others; set; set &= set - 1)
		shoot_note(&v->part->vcpu[bit_lowest(set)], &what);
	if (all != others)
		mmu_forget(v, &what);
	return others ? wait(v, r, others, shoot_ring(v->part, others)) : 0;
}

int64_t hc_yield(struct vcpu *v, struct regs *r)
{
	uint64_t id = r->rdi;

	sched_yield(v, id < v->part->nvcpus ? &v->part->vcpu[id] : NULL);
	return 0;
}

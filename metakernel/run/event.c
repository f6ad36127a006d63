// SPDX-License-Identifier: MIT
/*
 * event.c - delivering exceptions and interrupts to ring 1.
 *
 * The metakernel never writes a partition's stack: it puts the interrupted frame into the vCPU page
 * and resumes at an entry point the partition registered, which pushes the frame where it wants it
 * (so a missing stack page is an ordinary fault of ordinary guest code).
 *
 * Invariants: vif is 0 whenever ring 3 runs, and 0 on arrival at every entry point.
 * Locks:      none. Anybody may add to irr and vcpu_page.events, atomically; all else here is changed only by the
 *             CPU that has the vCPU, `pending` too, so that ring 1 and its CPU alone see it change (rule 28).
 * Trusts:     vcpu_page.flags is loaded once and only bit 9 is used; gates are loaded once from the
 *             partition's own frame, and only the handler address is taken, checked canonical.
 */
#include <hal/cpu.h>
#include "mm/frames.h"
#include "part/part.h"
#include "run/event.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/log.h"
#include "lib/panic.h"

#define ENTRY_RFLAGS	0x202UL		/* IF and the bit that is always 1 */
/* Cleared on entry: TF, DF, NT, RF, AC. IOPL and VM are never set. */
#define RFLAGS_ENTRY_CLEAR (0x100UL | 0x400 | 0x4000 | 0x10000 | 0x40000 | 0x3000 | 0x20000)
#define GATE_PRESENT	(1UL << 47)
#define STUB_BYTES	64	/* an entry stub is no longer than this */

static bool vif_set(const struct vcpu *v)
{
	return __atomic_load_n(&v->vp->flags, __ATOMIC_RELAXED) & RFLAGS_IF;
}

/* Handler from the partition's IDT; 0 when there is none. */
static uint64_t gate_handler(const struct vcpu *v, unsigned int vector)
{
	paddr_t pa = v->idt_pa;
	const uint64_t *gate;
	uint64_t low, high, handler;

	if (!pa || vector * 16 + 15 > v->idt_limit ||
	    frames_owner(pa >> PAGE_SHIFT) != v->part->owner)
		return 0;
	gate = (const uint64_t *)pa_to_va(pa) + 2 * vector;
	low = __atomic_load_n(&gate[0], __ATOMIC_RELAXED);
	high = __atomic_load_n(&gate[1], __ATOMIC_RELAXED);
	handler = (low & 0xffff) | ((low >> 48) << 16) | high << 32;
	return (low & GATE_PRESENT) && is_canonical(handler) ? handler : 0;
}

/*
 * Is ring 1 on its way back to ring 3, beyond the point where an event could still be told apart
 * from one in ring 3? Move RIP to the fix-up the partition registered for that point.
 */
static void tail_fix(const struct vcpu *v, struct regs *r)
{
	const uint64_t *e = v->entry;

	if (!e[KEEL_ENTRY_TAIL_IRET] || r->rip < e[KEEL_ENTRY_TAIL_TEST] ||
	    r->rip > e[KEEL_ENTRY_TAIL_IRET])
		return;
	if (r->rip < e[KEEL_ENTRY_TAIL_POP])
		r->rip = e[KEEL_ENTRY_TAIL_TEST];
	else if (r->rip < e[KEEL_ENTRY_TAIL_SKIP])
		r->rip = e[KEEL_ENTRY_FIX_POP];
	else if (r->rip < e[KEEL_ENTRY_TAIL_IRET])
		r->rip = e[KEEL_ENTRY_FIX_SKIP];
	else
		r->rip = e[KEEL_ENTRY_FIX_IRET];
}

static void inject(struct vcpu *v, struct regs *r, unsigned int vector, uint64_t error)
{
	struct keel_vcpu_page *vp = v->vp;
	bool user = from_user(r);
	uint64_t entry = v->entry[user ? KEEL_ENTRY_EVENT_USER : KEEL_ENTRY_EVENT_KERNEL];
	uint64_t handler = gate_handler(v, vector);

	if (!entry || !handler) {
		part_fault(v, r, hal_read_cr2(), "exception without a handler");
		return;
	}
	if (!user && r->rip - entry < STUB_BYTES) {
		/* The stub faulted pushing the last event: its stack is gone. */
		part_fault(v, r, hal_read_cr2(), "kernel stack overflow");
		return;
	}
	vp->event.handler = handler;
	vp->event.frame.rip = r->rip;
	vp->event.frame.cs = r->cs;
	vp->event.frame.rflags = user || vif_set(v) ? r->rflags | RFLAGS_IF : r->rflags & ~(uint64_t)RFLAGS_IF;
	vp->event.frame.rsp = r->rsp;
	vp->event.frame.ss = r->ss;
	vp->event.error = error == EV_NO_ERROR ? 0 : error;
	vp->event.vector = vector | (error == EV_NO_ERROR ? 0 : KEEL_EV_HAS_ERROR);
	vp->flags = 0;
	r->rip = entry;
	r->cs = KEEL_CS_RING1;
	r->ss = KEEL_SS_RING1;
	r->rsp = user ? KEEL_VCPU_VA + KEEL_VP_SIZE : r->rsp & ~15UL;
	r->rflags = (r->rflags & ~RFLAGS_ENTRY_CLEAR) | ENTRY_RFLAGS;
}

/* Ring 1's IRETQ to ring 3 met a frame the user had made bad: deliver the fault as "from user". */
static void bad_iret(struct vcpu *v, struct regs *r, unsigned int vector, uint64_t error)
{
	uint64_t entry = v->entry[KEEL_ENTRY_BAD_IRET], handler = gate_handler(v, vector);

	if (!entry || !handler) {
		part_fault(v, r, hal_read_cr2(), "bad return to ring 3");
		return;
	}
	v->vp->event.handler = handler;
	v->vp->event.vector = vector | (error == EV_NO_ERROR ? 0 : KEEL_EV_HAS_ERROR);
	v->vp->event.error = error == EV_NO_ERROR ? 0 : error;
	r->rip = entry;
}

void event_exception(struct vcpu *v, struct regs *r, unsigned int vector, uint64_t error)
{
	stat_inc(v, vector == 14 ? KEEL_STAT_PF_GUEST : KEEL_STAT_EXC);
	if (!from_user(r) && r->rip == v->entry[KEEL_ENTRY_TAIL_IRET])
		bad_iret(v, r, vector, error);
	else
		inject(v, r, vector, error);
}

/* ---- Interrupts --------------------------------------------------------------------------------- */

static bool any(const uint64_t *set)
{
	return set[0] | set[1] | set[2] | set[3];
}

/* The highest vector of a set that is not empty. */
static unsigned int highest(const uint64_t *set)
{
	int w;

	for (w = 3; w > 0 && !set[w]; w--)
		;
	return (unsigned int)(w * 64 + 63 - __builtin_clzl(set[w]));
}

static bool in(const uint64_t *set, unsigned int vector)
{
	return set[vector >> 6] >> (vector & 63) & 1;
}

/* Atomic: other CPUs add to irr. */
static void put(uint64_t *set, unsigned int vector)
{
	__atomic_fetch_or(&set[vector >> 6], 1UL << (vector & 63), __ATOMIC_SEQ_CST);
}

static void take(uint64_t *set, unsigned int vector)
{
	__atomic_fetch_and(&set[vector >> 6], ~(1UL << (vector & 63)), __ATOMIC_SEQ_CST);
}

bool event_waiting(const struct vcpu *v)
{
	return any(v->irr) || __atomic_load_n(&v->vp->events, __ATOMIC_RELAXED);
}

void event_vector(struct vcpu *v, unsigned int vector)
{
	put(v->irr, vector);
	sched_interrupt(v);
}

inline __attribute__((always_inline)) void event_raise(struct vcpu *v, unsigned int bit)
{
	if (bit >= EV_HANDLE) {
		put(v->vp->chan_events, bit - EV_HANDLE);	/* first: who takes the other one looks here */
		bit = KEEL_EV_CHANNEL;
	}
	/* atomic: ring 1 clears with xchg; and before the look at the state (sched_wake) */
	__atomic_fetch_or(&v->vp->events, 1UL << bit, __ATOMIC_SEQ_CST);
	if (v->entry[KEEL_ENTRY_EVENT_KERNEL])
		event_vector(v, KEEL_EVENT_VECTOR);
	else
		sched_wake(v);
}

void part_raise(struct partition *p, unsigned int bit)
{
	struct vcpu *v = p->vcpu;
	unsigned int n;

	if (unlikely(!vcpu_on(v))) {
		/* Read once: it may have ended since the caller looked, and its vCPUs become fewer (made.c). */
		for (n = READ_ONCE(p->nvcpus); n && !vcpu_on(v); n--)
			v++;
		if (!n)
			return;
	}
	event_raise(v, bit);
}

void event_hold(struct vcpu *v, unsigned int vector)
{
	put(v->held, vector);
}

/*
 * As the APIC's in-service register: an EOI is for the highest vector in service. Ring 1 asks for one only
 * while level_isr is not 0, that is from the delivery of a level-triggered vector on; what interrupts its
 * handler has to be told from it, what went before need not be.
 */
static void in_service(struct vcpu *v, unsigned int vector)
{
	if (!in(v->held, vector) && !any(v->isr))
		return;
	put(v->isr, vector);
	v->vp->level_isr = 1;
}

unsigned int event_eoi(struct vcpu *v)
{
	unsigned int vector;

	if (!any(v->isr)) {
		v->vp->level_isr = 0;
		return 0;
	}
	vector = highest(v->isr);
	take(v->isr, vector);
	v->vp->level_isr = any(v->isr);
	if (!in(v->held, vector))
		return 0;
	take(v->held, vector);
	return vector;
}

/* An NMI-like event, which virtual IF does not hold back. Ring 1 says where it cannot come (abi.h). */
static bool deliver_nmi(struct vcpu *v, struct regs *r)
{
	const uint64_t *e = v->entry;

	if (!from_user(r) && !vif_set(v) &&
	    (!e[KEEL_ENTRY_TEXT_END] || (r->rip >= e[KEEL_ENTRY_TEXT_BEGIN] && r->rip < e[KEEL_ENTRY_TEXT_END]))) {
		sched_look_again();
		return false;
	}
	take(v->irr, VEC_NMI);
	stat_inc(v, KEEL_STAT_NMI);
	inject(v, r, VEC_NMI, EV_NO_ERROR);
	v->vp->pending = any(v->irr);
	return true;
}

void event_deliver(struct vcpu *v, struct regs *r)
{
	unsigned int vector;
	bool user = from_user(r);

	if (!any(v->irr)) {
		if (v->vp->pending)
			v->vp->pending = 0;
		return;
	}
	if ((v->irr[0] & 1UL << VEC_NMI) && deliver_nmi(v, r))
		return;
	if (!user && !vif_set(v)) {
		v->vp->pending = 1;
		/* Past its last look at `pending`: send it back, or the wake-up is lost. */
		tail_fix(v, r);
		return;
	}
	vector = highest(v->irr);
	if (vector == VEC_NMI)
		return;		/* alone, and not now */
	take(v->irr, vector);
	in_service(v, vector);
	v->vp->pending = any(v->irr);
	inject(v, r, vector, EV_NO_ERROR);
}

void event_iret(struct vcpu *v, struct regs *r)
{
	struct keel_frame f = v->vp->iret;	/* copied once, then checked by vcpu_sanitize() */
	uint64_t gs = __atomic_load_n(&v->vp->user_gs, __ATOMIC_RELAXED);

	r->rax = __atomic_load_n(&v->vp->ret1, __ATOMIC_RELAXED);
	if (!vcpu_user_frame_ok(v, &f)) {
		/* What its own IRETQ would have met: a frame the user made bad (sigreturn). */
		bad_iret(v, r, VEC_GP, 0);
		return;
	}
	r->rip = f.rip;
	r->cs = f.cs;
	r->rflags = f.rflags;
	r->rsp = f.rsp;
	r->ss = f.ss;
	v->vp->flags = 0;
	hal_wrgsbase(is_canonical(gs) ? gs : 0);
}

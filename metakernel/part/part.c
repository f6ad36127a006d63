// SPDX-License-Identifier: MIT
/*
 * part.c - partitions: making, ending and naming them.
 *
 * Owns:       the static table of partitions and their handles.
 * Locks:      LOCK_LIFE: whether a partition is alive, why it ended, which of its vCPUs are on, loading a peer, and handles.
 * Invariants: I7: whatever a partition does wrong ends in part_end(), with a line in the log and a
 *             reason in its part_info; the caller goes on with other partitions. I4: everything a
 *             partition needs is allocated here, once.
 */
#include <hal/cpu.h>
#include <hal/irq.h>
#include <stdarg.h>
#include "part/peer.h"
#include "mm/flush.h"
#include "mm/frames.h"
#include "mm/walk.h"
#include "part/busmaster.h"
#include "part/chan.h"
#include "part/console.h"
#include "part/ending.h"
#include "part/made.h"
#include "part/manifest.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/irq.h"
#include "run/roster.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/printf.h"
#include "lib/string.h"

#define LOG_LINES_PER_SECOND 20	/* that one partition may cause */

struct partition parts[MAX_PARTS];
unsigned int nparts;
struct manifest manifest;
struct lock life_lock = LOCK_INIT(LOCK_LIFE);

/*
 * The n-th of the manifest's list, in turn. Without a list vCPU n of who holds the devices is CPU n's for good, or
 * messages of devices would not find it; others begin at the other end, where fewer are.
 */
static unsigned int place(const struct manifest_part *man, unsigned int n)
{
	uint64_t set = man->cpus ? man->cpus : ~spare_cpus & ~0UL >> (64 - ncpus);

	n %= bits_set(set);
	if (!man->cpus && !man->devices)
		n = bits_set(set) - 1 - n;
	while (n--)
		set &= set - 1;
	return bit_lowest(set);
}

__once static void *take_free(uint64_t npages)
{
	paddr_t pa = frames_alloc_mk(npages);

	return pa ? memset(pa_to_va(pa), 0, npages * PAGE_SIZE) : NULL;
}

void *part_take(struct partition *p, uint64_t npages)
{
	return p->creator ? made_take(p, npages) : take_free(npages);
}

int part_take_vcpus(struct partition *p, unsigned int n)
{
	p->vcpu = part_take(p, pages_of(n * sizeof(struct vcpu)));
	p->nvcpus = p->vcpu ? n : 0;
	p->receiver = p->vcpu;
	return p->vcpu ? 0 : -KEEL_ENOMEM;
}

int part_take_console(struct partition *p)
{
	struct cons_ring *rings = part_take(p, pages_of(2 * sizeof(*rings)));

	if (!rings)
		return -KEEL_ENOMEM;
	p->cons_out = &rings[0];
	p->cons_in = &rings[1];
	return 0;
}

int part_make_vcpu(struct partition *p, unsigned int n)
{
	struct vcpu *v = &p->vcpu[n];

	v->pinned = v->plain = p->man->devices || p->man->cpus || ncpus == 1;
	if (vcpu_init(v, p, n, place(p->man, n)))
		return -KEEL_ENOMEM;
	roster_add(v);
	return 0;
}

void *part_buffer(const struct partition *p, paddr_t pa, uint64_t len)
{
	if (len > PAGE_SIZE || (pa & PAGE_MASK) + len > PAGE_SIZE ||
	    frames_owner(pa >> PAGE_SHIFT) != p->owner)
		return NULL;
	return pa_to_va(pa);
}

bool part_log_ok(struct partition *p)
{
	uint64_t second = hal_rdtsc() / (hal_tsc_khz() * 1000);

	if (p->log_second != second) {
		p->log_second = second;
		p->log_budget = LOG_LINES_PER_SECOND;
	}
	if (!p->log_budget)
		return false;
	if (!--p->log_budget) {
		log_printf("%s: more lines suppressed this second\n", p->man->name);
		return false;
	}
	return true;
}

static const char *state_name(uint32_t state)
{
	static const char *const names[] = { "empty", "running", "blocked", "exited", "faulted",
					     "crashed", "destroyed" };

	return state < ARRAY_SIZE(names) ? names[state] : "?";
}

void part_tell_control(unsigned int bit)
{
	unsigned int i;

	for (i = 0; i < nparts; i++)
		if (parts[i].man->control)
			part_raise(&parts[i], bit);
}

static void end(struct partition *p, uint32_t state, const char *fmt, va_list ap)
{
	unsigned int i;

	if (!p->alive) {
		if (!p->creator)
			peer_load_abandon(p);	/* a restart that was under way */
		return;
	}
	vsnprintf(p->reason, sizeof(p->reason), fmt, ap);
	console_flush(p);
	p->alive = false;
	for (i = 0; i < p->nvcpus; i++)
		sched_remove(&p->vcpu[i]);
	p->state = state;
	log_printf("%s: %s: %s\n", p->man->name, state_name(state), p->reason);
	irq_part_died(p);
	chan_part_died(p);
	if (p->man->devices)
		busmaster_off(p);
	part_tell_control(KEEL_EV_PARTITION);
	ending_of(p);
}

void part_end(struct partition *p, uint32_t state, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	lock_take(&life_lock);
	end(p, state, fmt, ap);
	lock_release(&life_lock);
	va_end(ap);
}

/* ---- vCPUs ------------------------------------------------------------------------------------------ */

struct vcpu *part_vcpu(const struct partition *p, uint64_t apic_id)
{
	unsigned int i;

	for (i = 0; i < p->nvcpus; i++)
		if (apic_id == (p->man->devices ? cpus[p->vcpu[i].cpu]->apic_id : i))
			return &p->vcpu[i];
	return NULL;
}

int part_vcpu_start(struct vcpu *by, struct vcpu *v, vaddr_t rip, paddr_t cr3, uint64_t value)
{
	int err = 0;

	lock_take(&life_lock);
	if (!by->part->alive || !sched_gone(v)) {
		err = -KEEL_EBUSY;
	} else {
		mmu_flush_all(v);
		vcpu_reset(v, cr3);
		vcpu_inherit(v, by);
		v->regs->rip = rip;
		v->regs->rdi = value;
		sched_begin(v);
	}
	lock_release(&life_lock);
	return err;
}

void part_vcpu_stop(struct vcpu *v)
{
	struct partition *p = v->part;
	unsigned int i, on = 0;

	lock_take(&life_lock);
	for (i = 0; i < p->nvcpus; i++)
		on += vcpu_on(&p->vcpu[i]);
	if (on > 1)
		sched_remove(v);
	lock_release(&life_lock);
	if (on == 1)
		part_end(p, KEEL_PART_EXITED, "its last vCPU stopped");
}

/* ---- Faults ----------------------------------------------------------------------------------------- */

/* Frame-pointer walk of the partition's own stack; every step is a checked guest read. */
static void log_backtrace(struct vcpu *v, uint64_t rbp)
{
	unsigned int depth;
	uint64_t frame[2];

	for (depth = 0; depth < 16; depth++, rbp = frame[0]) {
		if ((rbp & 7) || mmu_read_guest(v, rbp, frame, sizeof(frame)))
			return;
		log_printf("%s:   called from %#lx\n", v->part->man->name, frame[1]);
		if (frame[0] <= rbp)
			return;
	}
}

void part_fault(struct vcpu *v, const struct regs *r, uint64_t cr2, const char *why)
{
	struct partition *p = v->part;
	const char *name = p->man->name;

	p->fault_vector = (uint32_t)r->vector;
	p->fault_error = r->error;
	p->fault_rip = r->rip;
	p->fault_rsp = r->rsp;
	p->fault_cr2 = cr2;
	log_printf("%s: %s at rip %#lx (ring %lu)\n", name, why, r->rip, r->cs & 3);
	log_printf("%s: vector %lu error %#lx cr2 %#lx rflags %#lx cr3 %#lx\n", name, r->vector,
		   r->error, cr2, r->rflags, v->cr3);
	log_printf("%s: rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", name, r->rax, r->rbx,
		   r->rcx, r->rdx);
	log_printf("%s: rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", name, r->rsi, r->rdi,
		   r->rbp, r->rsp);
	log_printf("%s: r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", name, r->r8, r->r9,
		   r->r10, r->r11);
	log_printf("%s: r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", name, r->r12, r->r13,
		   r->r14, r->r15);
	log_backtrace(v, r->rbp);
	if (r->vector == 14)
		part_end(p, KEEL_PART_FAULTED, "%s, address %#lx, rip %#lx", why, cr2, r->rip);
	else
		part_end(p, KEEL_PART_FAULTED, "%s, rip %#lx", why, r->rip);
}

void part_start(struct partition *p)
{
	p->state = KEEL_PART_RUNNING;
	p->alive = true;
	sched_begin(p->vcpu);
}

bool part_gone(const struct partition *p)
{
	unsigned int i;

	for (i = 0; i < p->nvcpus && sched_gone(&p->vcpu[i]); i++)
		;
	return i == p->nvcpus;
}

/* A piece of bringing back one that has ended. No CPU may have any of its vCPUs any more. */
static int revive(struct partition *p)
{
	int err;

	if (!part_gone(p) || chan_take_back(p) || (p->man->devices && busmaster_tsc()))
		return -KEEL_EAGAIN;
	err = peer_load(p);
	if (!err)
		part_start(p);
	return err;
}

/* Its memory is then not all its own. */
static bool has_made(const struct partition *p)
{
	unsigned int i;

	for (i = manifest.nparts; i < nparts; i++)
		if (parts[i].creator == p)
			return true;
	return false;
}

int part_restart(struct partition *p)
{
	int err = -KEEL_EAGAIN;
	bool alive;

	if (p->man->kind == MANIFEST_LINUX || p->creator)
		return -KEEL_EINVAL;
	if (chan_window_given(p) || has_made(p))
		return -KEEL_EBUSY;
	lock_take(&life_lock);
	alive = p->alive;
	if (!alive)
		err = revive(p);
	lock_release(&life_lock);
	if (alive)
		part_end(p, KEEL_PART_DESTROYED, "restarted");
	return err;
}

static bool blocked(const struct partition *p)
{
	unsigned int i;

	for (i = 0; i < p->nvcpus; i++)
		if (vcpu_on(&p->vcpu[i]) && !vcpu_sleeps(&p->vcpu[i]))
			return false;
	return true;
}

void part_fill_stats(const struct partition *p, struct keel_part_stats *st)
{
	unsigned int i, n;

	memset(st, 0, sizeof(*st));
	for (i = 0; i < p->nvcpus; i++)
		for (n = 0; n < KEEL_STAT_NR; n++)
			st->count[n] += p->vcpu[i].stats[n];
}

void part_fill_info(const struct partition *p, struct keel_part_info *info)
{
	uint64_t ticks = 0, now = hal_rdtsc(), khz = hal_tsc_khz();
	unsigned int i;

	memset(info, 0, sizeof(*info));
	strlcpy(info->name, p->man->name, sizeof(info->name));
	info->state = p->alive && blocked(p) ? KEEL_PART_BLOCKED : p->state;
	info->ring = 1;
	info->nvcpus = p->nvcpus;
	info->status = p->status;
	info->mem_bytes = frames_count(p->owner) * PAGE_SIZE;
	for (i = 0; i < p->nvcpus; i++) {
		const struct vcpu *v = &p->vcpu[i];

		info->shadow_pages += v->pool.npages;
		info->shadow_used += v->pool.nused;
		info->exhausted += v->budget.exhausted;
		ticks += v->run_tsc;
		if (v->loaded && now > v->run_since)
			ticks += now - v->run_since;
	}
	info->cpu_ns = ticks / khz * 1000000 + ticks % khz * 1000000 / khz;
	info->budget_ns = p->budget_ns;
	info->period_ns = p->period_ns;
	info->priority = p->man->priority;
	info->fault.vector = p->fault_vector;
	info->fault.error = p->fault_error;
	info->fault.rip = p->fault_rip;
	info->fault.rsp = p->fault_rsp;
	info->fault.cr2 = p->fault_cr2;
	strlcpy(info->reason, p->reason, sizeof(info->reason));
}

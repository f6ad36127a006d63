// SPDX-License-Identifier: MIT
/*
 * part.c - partitions: making, ending and naming them.
 *
 * Owns:       the static table of partitions and their handles.
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
#include "part/chan.h"
#include "part/console.h"
#include "part/ending.h"
#include "part/manifest.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/irq.h"
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

static void cap_add(struct partition *p, unsigned int type, unsigned int rights, unsigned int index)
{
	ASSERT(p->ncaps < KEEL_MAX_HANDLES);
	p->caps[p->ncaps++] = (struct cap) {
		.type = (uint8_t)type, .rights = (uint8_t)rights, .index = (uint8_t)index,
	};
}

/* Handle 0 is the partition itself; then, for a controller, the others; then channels. */
static void caps_init(struct partition *p)
{
	unsigned int i;

	cap_add(p, KEEL_CAP_PARTITION,
		KEEL_RIGHT_INFO | (p->man->control ? KEEL_RIGHT_CONTROL : 0), p->index);
	for (i = 0; p->man->control && i < manifest.nparts; i++)
		if (i != p->index)
			cap_add(p, KEEL_CAP_PARTITION, KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL, i);
	for (i = 0; i < manifest.nchans; i++) {
		const struct manifest_chan *c = &manifest.chans[i];

		if (c->server == p->index) {
			chans[i].handle[0] = (uint8_t)p->ncaps;
			cap_add(p, KEEL_CAP_CHANNEL, KEEL_RIGHT_SERVE, i);
		} else if (c->client == p->index) {
			chans[i].handle[1] = (uint8_t)p->ncaps;
			cap_add(p, KEEL_CAP_CHANNEL, KEEL_RIGHT_USE, i);
		}
	}
}

struct partition *part_create(const struct manifest_part *man)
{
	struct partition *p = &parts[nparts];

	p->index = nparts++;
	p->owner = (uint16_t)(FRAMES_PARTITION + p->index);
	p->man = man;
	p->log_second = UINT64_MAX;	/* none yet; the TSC may be within its first second */
	p->vcpu.node.priority = (uint8_t)man->priority;
	caps_init(p);
	if (vcpu_init(&p->vcpu, p))
		return NULL;
	if (man->devices) {
		p->ones_pa = frames_alloc_mk(1);	/* its own when memory is handed out */
		if (!p->ones_pa)
			return NULL;
		memset(pa_to_va(p->ones_pa), 0xff, PAGE_SIZE);
	}
	return p;
}

const struct cap *part_cap(const struct partition *p, uint64_t handle, unsigned int type)
{
	const struct cap *c;

	if (handle >= p->ncaps)
		return NULL;
	c = &p->caps[frames_clamp(handle, p->ncaps)];
	return type == KEEL_CAP_NONE || c->type == type ? c : NULL;
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

void part_end(struct partition *p, uint32_t state, const char *fmt, ...)
{
	unsigned int i;
	va_list ap;

	if (p->vcpu.state == VCPU_OFF) {
		peer_load_abandon(p);	/* a restart that was under way */
		return;
	}
	va_start(ap, fmt);
	vsnprintf(p->reason, sizeof(p->reason), fmt, ap);
	va_end(ap);
	console_flush(p);
	sched_remove(&p->vcpu);
	p->state = state;
	log_printf("%s: %s: %s\n", p->man->name, state_name(state), p->reason);
	mmu_flush_all(&p->vcpu);
	irq_part_died(p);
	chan_part_died(p);
	for (i = 0; i < nparts; i++)
		if (parts[i].man->control && parts[i].vcpu.state != VCPU_OFF)
			event_raise(&parts[i].vcpu, KEEL_EV_PARTITION);
	ending_of(p);
}

/* Frame-pointer walk of the partition's own stack; every step is a checked guest read. */
static void log_backtrace(struct partition *p, uint64_t rbp)
{
	unsigned int depth;
	uint64_t frame[2];

	for (depth = 0; depth < 16; depth++, rbp = frame[0]) {
		if ((rbp & 7) || mmu_read_guest(&p->vcpu, rbp, frame, sizeof(frame)))
			return;
		log_printf("%s:   called from %#lx\n", p->man->name, frame[1]);
		if (frame[0] <= rbp)
			return;
	}
}

void part_fault(struct partition *p, const struct regs *r, uint64_t cr2, const char *why)
{
	const char *name = p->man->name;

	p->fault_vector = (uint32_t)r->vector;
	p->fault_error = r->error;
	p->fault_rip = r->rip;
	p->fault_rsp = r->rsp;
	p->fault_cr2 = cr2;
	log_printf("%s: %s at rip %#lx (ring %lu)\n", name, why, r->rip, r->cs & 3);
	log_printf("%s: vector %lu error %#lx cr2 %#lx rflags %#lx cr3 %#lx\n", name, r->vector,
		   r->error, cr2, r->rflags, p->vcpu.cr3);
	log_printf("%s: rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", name, r->rax, r->rbx,
		   r->rcx, r->rdx);
	log_printf("%s: rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", name, r->rsi, r->rdi,
		   r->rbp, r->rsp);
	log_printf("%s: r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", name, r->r8, r->r9,
		   r->r10, r->r11);
	log_printf("%s: r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", name, r->r12, r->r13,
		   r->r14, r->r15);
	log_backtrace(p, r->rbp);
	if (r->vector == 14)
		part_end(p, KEEL_PART_FAULTED, "%s, address %#lx, rip %#lx", why, cr2, r->rip);
	else
		part_end(p, KEEL_PART_FAULTED, "%s, rip %#lx", why, r->rip);
}

int part_restart(struct partition *p)
{
	int err;

	if (p->man->kind == MANIFEST_LINUX)
		return -KEEL_EINVAL;
	if (chan_window_given(p))
		return -KEEL_EBUSY;
	if (p->vcpu.state != VCPU_OFF) {
		part_end(p, KEEL_PART_DESTROYED, "restarted");
		return -KEEL_EAGAIN;
	}
	if (chan_take_back(p))
		return -KEEL_EAGAIN;
	err = peer_load(p);
	if (err)
		return err;
	p->vcpu.state = VCPU_BLOCKED;
	sched_wake(&p->vcpu);
	return 0;
}

void part_fill_info(const struct partition *p, struct keel_part_info *info)
{
	const struct vcpu *v = &p->vcpu;
	uint64_t ticks = v->run_tsc;

	if (v == this_cpu->current)
		ticks += hal_rdtsc() - v->run_since;
	memset(info, 0, sizeof(*info));
	strlcpy(info->name, p->man->name, sizeof(info->name));
	info->state = p->state;
	info->ring = 1;
	info->nvcpus = 1;
	info->status = p->status;
	info->mem_bytes = frames_count(p->owner) * PAGE_SIZE;
	info->shadow_pages = p->pool.npages;
	info->shadow_used = p->pool.nused;
	info->cpu_ns = ticks / (hal_tsc_khz() / 1000) * 1000;
	info->priority = v->node.priority;
	info->fault.vector = p->fault_vector;
	info->fault.error = p->fault_error;
	info->fault.rip = p->fault_rip;
	info->fault.rsp = p->fault_rsp;
	info->fault.cr2 = p->fault_cr2;
	strlcpy(info->reason, p->reason, sizeof(info->reason));
}

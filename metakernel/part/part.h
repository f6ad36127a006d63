/* SPDX-License-Identifier: MIT */
/*
 * part.h - a partition: what it owns, what it may do, what became of it.
 *
 * Everything here lives in memory the metakernel owns; a partition's share of it comes out of its
 * quota when it is created (I4). Partitions reach objects only through the handles in caps[].
 */
#ifndef METAKERNEL_PART_PART_H
#define METAKERNEL_PART_PART_H

#include "mm/frames.h"
#include "part/cap.h"
#include "part/console.h"
#include "part/manifest.h"
#include "run/vcpu.h"

#define MAX_PARTS	FRAMES_MAX_PARTITIONS	/* the manifest's, then those made at run time */

struct partition {
	unsigned int index;
	uint16_t owner;		/* its id in the frame table */
	uint32_t state;		/* KEEL_PART_* */
	const struct manifest_part *man;
	bool alive;		/* from its start to its end */
	unsigned int nvcpus;
	struct vcpu *vcpu;	/* nvcpus of them */
	struct vcpu *receiver;	/* the last of them that waited for calls: most often it does now */
	struct vcpu *callers;	/* who waits for any of them to take a call, in this order (run/call.c) */
	uint64_t tickets;	/* of what its vCPUs were told to forget (mm/shootdown.h) */
	union cap caps[KEEL_MAX_HANDLES];

	paddr_t ones_pa;	/* devices: page of all ones, stands in for what it may not map */
	paddr_t mem_pa;		/* peers: contiguous memory */
	uint64_t mem_bytes;

	int32_t status;
	uint32_t fault_vector;
	uint64_t fault_error, fault_rip, fault_rsp, fault_cr2;
	char reason[64];

	struct cons_ring *cons_out, *cons_in;	/* NULL: it is being taken apart */
	struct serial_source serial;	/* what of cons_out waits for the serial port */
	uint64_t attached_tsc;		/* until then somebody reads cons_out, and the port does not show it */
	uint64_t budget_ns, period_ns;	/* of each vCPU (promise.h); 0: no limit */
	uint32_t log_budget;	/* lines this partition may still cause in this second */
	uint64_t log_second;

	/* Made at run time (made.c): */
	struct partition *creator;	/* NULL: by the manifest, or there is none */
	unsigned int stage;		/* enum made_stage */
	unsigned int handle;		/* the creator's */
	struct keel_part_create request;
	uint64_t ticket;		/* of the creator's vCPUs being told that memory is no longer theirs */
	paddr_t quota_next;		/* of the quota, what is not used yet */
	uint64_t done;			/* bytes or frames of what this stage does */
	struct made *made;		/* in the quota */
};

/* What a handle stands for, whatever that is. */
static inline union cap cap_at(const struct partition *p, uint64_t handle)
{
	union cap c = { .word = 0 };

	if (handle < KEEL_MAX_HANDLES)
		c.word = __atomic_load_n(&p->caps[frames_clamp(handle, KEEL_MAX_HANDLES)].word, __ATOMIC_ACQUIRE);
	return c;
}

extern struct partition parts[MAX_PARTS];
extern unsigned int nparts;
extern struct manifest manifest;
extern struct lock life_lock;		/* LOCK_LIFE */

/* Zeroed memory for what is kept of p: of its quota, or at boot of what is free. NULL: not enough. */
void *part_take(struct partition *p, uint64_t npages);
int part_take_vcpus(struct partition *p, unsigned int n);	/* memory for so many; 0 or -KEEL_ENOMEM */
int part_make_vcpu(struct partition *p, unsigned int n);	/* the n-th of them */
int part_take_console(struct partition *p);
void part_end(struct partition *p, uint32_t state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void part_fault(struct vcpu *v, const struct regs *r, uint64_t cr2, const char *why);
void part_start(struct partition *p);	/* loaded and not running: its first vCPU runs */
bool part_gone(const struct partition *p);	/* it has ended, and no CPU has a vCPU of it any more */
int part_restart(struct partition *p);	/* a piece of it; -KEEL_EAGAIN: call again */
/* vcpu_page.events bit (or EV_HANDLE + n) for a partition: the first of its vCPUs that is on gets it (run/event.c). */
void part_raise(struct partition *p, unsigned int bit);
void part_tell_control(unsigned int bit);	/* the same to all with the control right */
/* Start, and by the vCPU itself end, a vCPU other than the first one's start. 0 or -KEEL_E*. */
int part_vcpu_start(struct vcpu *by, struct vcpu *v, vaddr_t rip, paddr_t cr3, uint64_t value);
void part_vcpu_stop(struct vcpu *v);
struct vcpu *part_vcpu(const struct partition *p, uint64_t apic_id);	/* NULL: there is none */
void part_fill_stats(const struct partition *p, struct keel_part_stats *st);
void part_fill_info(const struct partition *p, struct keel_part_info *info);
bool part_log_ok(struct partition *p);	/* may p cause a log line now? (rate limit) */
void *part_buffer(const struct partition *p, paddr_t pa, uint64_t len); /* NULL if not p's own */

#endif

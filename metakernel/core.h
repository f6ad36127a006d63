/* SPDX-License-Identifier: MIT */
/*
 * core.h - the metakernel's central structures: CPU, vCPU, partition, channel.
 *
 * Everything here lives in memory the metakernel owns; a partition's share of it comes out of its
 * quota when it is created (I4). Partitions reach objects only through the handles in caps[].
 *
 * Locks: none yet. One CPU runs the metakernel, with interrupts off from entry to exit; per-CPU
 * data is reached through this_cpu so that the second CPU adds locks, not a redesign.
 */
#ifndef METAKERNEL_CORE_H
#define METAKERNEL_CORE_H

#include <keel/abi.h>
#include <hal/types.h>
#include <hal/entry.h>
#include "runq.h"
#include "manifest.h"

#define MAX_PARTS	MANIFEST_MAX_PARTS
#define MAX_CHANS	MANIFEST_MAX_CHANS
#define NROOTS		8	/* shadow roots of a vCPU: PCID values 0..7 (Linux uses 1..6) */
#define CONS_BYTES	4096	/* console ring of a partition, each way; a power of two */
#define SLICE_NS	10000000	/* round robin inside a priority */

struct partition;

/* One shadow page table page: its page in the pool, and which cache lines of it were written. */
struct shadow_page {
	uint64_t groups;	/* bit g: entries 8g..8g+7 may be non-zero */
	uint32_t next_free;
	uint32_t giant;		/* an L2 table with pieces of a 1 GiB guest page */
};

/*
 * The way to the leaf table used last, as a CPU's paging-structure cache: guest table and shadow
 * table for the 2 MiB around one address. Forgotten by every flush, CR3 load and freed table.
 */
struct shadow_last {
	uint64_t tag;		/* va >> 21, or NO_TAG */
	uint64_t *guest, *l1;
	uint64_t upper_rights;
};
#define NO_TAG UINT64_MAX

struct shadow_pool {
	struct shadow_last last;
	uint64_t (*page)[512];
	struct shadow_page *meta;
	uint32_t npages, nused, free_head;
};

struct shadow_root {
	uint64_t *l4;		/* NULL: not built */
	uint64_t pgd;		/* guest top-level table its user half was filled from */
};

enum vcpu_state { VCPU_OFF, VCPU_READY, VCPU_RUNNING, VCPU_BLOCKED };

struct vcpu {
	struct runq_node node;	/* first: runq links */
	struct partition *part;
	enum vcpu_state state;
	unsigned int id;

	/* Pages the trampoline and ring 1 see; all metakernel-owned. */
	struct keel_vcpu_page *vp;
	struct vcpu_ro *ro;
	uint64_t *hole_pt;

	/* Virtual control state. */
	uint64_t cr0, cr3, cr4, xcr0;
	paddr_t idt_pa;
	uint32_t idt_limit;
	uint32_t dr6;		/* bits of the last #DB, until ring 1 clears them */
	uint64_t entry[KEEL_ENTRY_NR];
	uint64_t msr_syscall[7];	/* STAR..SFMASK, SYSENTER_*: kept for reading back only */

	/* Shadow MMU. */
	struct shadow_root root[NROOTS];
	unsigned int cur;	/* loaded root */
	uint64_t *kl4;		/* upper half shared by all roots (entries 256..510) */
	uint64_t *kl3, *kl2;	/* the way to the last 2 MiB: entry 511 each */

	/* Interrupts waiting: bit per vector; and level-triggered ones in service. */
	uint64_t irr[4], level_isr[4];
	uint64_t timer_tsc;	/* deadline of KEEL_HC_TIMER, 0 off */
	uint64_t wake_tsc;	/* deadline of KEEL_HC_BLOCK, 0 none */

	/* State while not loaded. */
	struct regs regs;
	uint64_t fs_base, gs_base;
	uint16_t ds, es, fs, gs;
	uint32_t tsc_aux;
	void *xstate;

	uint64_t run_tsc, run_since;	/* TSC ticks run, and since when */
};

struct cons_ring {
	uint32_t head, tail;	/* free-running; head is written, tail is read */
	char data[CONS_BYTES];
};

struct cap {
	uint8_t type, rights;
	uint8_t index;		/* partition or channel */
};

struct partition {
	unsigned int index;
	uint16_t owner;		/* its id in the frame table */
	uint32_t state;		/* KEEL_PART_* */
	const struct manifest_part *man;
	struct vcpu vcpu;	/* one in this version */
	struct shadow_pool pool;
	struct cap caps[KEEL_MAX_HANDLES];
	unsigned int ncaps;

	paddr_t ones_pa;	/* devices: page of all ones, stands in for what it may not map */
	paddr_t mem_pa;		/* peers: contiguous memory */
	uint64_t mem_bytes;

	int32_t status;
	uint32_t fault_vector;
	uint64_t fault_error, fault_rip, fault_rsp, fault_cr2;
	char reason[64];

	struct cons_ring cons_out, cons_in;
	char line[120];		/* partial line for the echo on the serial port */
	unsigned int line_len;
	uint32_t log_budget;	/* lines this partition may still cause in this second */
	uint64_t log_second;

	uint64_t stats[KEEL_STAT_NR];
};

struct chan {
	const struct manifest_chan *man;
	uint16_t owner;		/* in the frame table */
	uint32_t state, generation;
	paddr_t window_pa;
	uint64_t window_bytes;
	struct partition *side[2];	/* 0 server, 1 client */
	uint8_t handle[2];		/* of this channel in the side's caps[] */
};

/* Per CPU, at MK_CPU_VA under this CPU's metakernel CR3. */
struct cpu {
	struct vcpu *current;	/* whose state is in the registers and ENTRY_REGS */
	struct runq runq;
	bool resched;
	bool idle;
	uint32_t apic_id;
	uint64_t mk_cr3;
	paddr_t stack_pa;
	uint64_t slice_tsc;	/* end of the current slice */
	struct partition *stack_user;	/* whose values may lie in the stack page */
};
#define this_cpu	((struct cpu *)MK_CPU_VA)

extern struct partition parts[MAX_PARTS];
extern unsigned int nparts;
extern struct chan chans[MAX_CHANS];
extern unsigned int nchans;
extern struct manifest manifest;
extern uint64_t boot_wall_ns, boot_wall_tsc;	/* Unix time at a TSC value */

static inline void stat_inc(struct vcpu *v, unsigned int what)
{
	v->part->stats[what]++;
}

static inline bool from_user(const struct regs *r)
{
	return (r->cs & 3) == 3;
}

/* ---- trap.c ---- */
uint64_t trap_handle(struct regs *regs);
void mk_trap_handle(struct regs *regs);
void mk_resume_db(struct regs *regs, uint64_t cr3) __attribute__((noreturn));

/* ---- event.c: exceptions and interrupts into ring 1 ---- */
#define EV_NO_ERROR	UINT64_MAX
void event_exception(struct vcpu *v, struct regs *r, unsigned int vector, uint64_t error);
void event_vector(struct vcpu *v, unsigned int vector);		/* make pending, wake */
void event_raise(struct vcpu *v, unsigned int bit);		/* vcpu_page.events bit, wake */
void event_deliver(struct vcpu *v, struct regs *r);		/* on the way out */
void event_iret(struct vcpu *v, struct regs *r);		/* KEEL_HC_IRET */
bool event_waiting(const struct vcpu *v);

/* ---- sched.c ---- */
void sched_init(void);
void sched_wake(struct vcpu *v);
void sched_block(struct vcpu *v);	/* current; takes effect on the way out */
void sched_remove(struct vcpu *v);	/* its partition ended */
void sched_tick(void);			/* the physical timer fired */
void sched_set_timer(struct vcpu *v, uint64_t deadline_tsc);
void sched_leave(void);			/* switch if needed; on return current is what runs */
void sched_start(void) __attribute__((noreturn));

/* ---- vcpu.c ---- */
int vcpu_init(struct vcpu *v, struct partition *p);
void vcpu_reset(struct vcpu *v, paddr_t cr3);	/* state at the start of a partition */
void vcpu_load(struct vcpu *v);		/* make it current: registers, FPU, segments */
void vcpu_save(struct vcpu *v);
/* Could IRETQ go to ring 3 by this frame without a fault? */
bool vcpu_user_frame_ok(const struct vcpu *v, const struct keel_frame *f);
void vcpu_sanitize(struct vcpu *v, struct regs *r);
int vcpu_set_desc(struct vcpu *v, uint64_t index, uint64_t desc);
uint64_t vcpu_load_gs(struct vcpu *v, uint64_t sel);
int vcpu_set_xcr0(struct vcpu *v, uint64_t value);

/* ---- part.c ---- */
struct partition *part_create(const struct manifest_part *man);
void part_end(struct partition *p, uint32_t state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void part_fault(struct partition *p, const struct regs *r, uint64_t cr2, const char *why);
int part_restart(struct partition *p);
const struct cap *part_cap(const struct partition *p, uint64_t handle, unsigned int type);
void part_fill_info(const struct partition *p, struct keel_part_info *info);
bool part_log_ok(struct partition *p);	/* may p cause a log line now? (rate limit) */
void *part_buffer(const struct partition *p, paddr_t pa, uint64_t len); /* NULL if not p's own */

/* ---- chan.c ---- */
void chan_init(void);
int chan_offer(struct partition *p, uint64_t handle, paddr_t pa, uint64_t npages);
int chan_set_state(struct partition *p, uint64_t handle, uint64_t up);
int chan_info(struct partition *p, uint64_t handle, struct keel_chan_info *info);
int chan_kick(struct partition *p, uint64_t handle);
void chan_part_died(struct partition *p);
bool chan_attached(uint16_t owner, const struct partition *p);

/* ---- console.c ---- */
void console_init(struct partition *focus);
int console_write(struct partition *p, const char *buf, unsigned int len);
int console_read(struct partition *p, char *buf, unsigned int len);
int console_peer_read(struct partition *p, char *buf, unsigned int len);
int console_peer_write(struct partition *p, const char *buf, unsigned int len);
void console_input(void);		/* the UART has bytes */
void console_flush(struct partition *p);

/* ---- hcall.c, emul.c, emul_io.c, emul_msr.c ---- */
void hcall_handle(struct vcpu *v, struct regs *r);
bool emul_gp(struct vcpu *v, struct regs *r);	/* true: done, false: deliver #GP */
uint64_t *emul_reg(struct regs *r, unsigned int n);
uint32_t emul_port_in(struct vcpu *v, uint16_t port, unsigned int size);
void emul_port_out(struct vcpu *v, uint16_t port, unsigned int size, uint32_t value);
void emul_port_power(uint16_t port);	/* where PM1a control is: needs the control right */
bool emul_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool emul_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);

/* ---- irq.c: IOAPIC entries and physical interrupts ---- */
void irq_init(void);
void irq_handle(unsigned int vector);
int64_t irq_ioapic_read(struct vcpu *v, uint64_t index, uint64_t reg);
int irq_ioapic_write(struct vcpu *v, uint64_t index, uint64_t reg, uint64_t value);
int irq_eoi(struct vcpu *v);
void irq_part_died(struct partition *p);

#endif

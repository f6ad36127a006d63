// SPDX-License-Identifier: MIT
/*
 * trap.c - every entry into the metakernel ends here and leaves from here.
 *
 * Context: interrupts off, on this CPU's metakernel stack; the partition's registers are in its vCPU's
 *          stack page. "Where did it come from" is answered by where the frame lies first (rule 9):
 *          at the top of the ring-0 stack only rings 1 and 3 can have put it.
 */
#include <hal/cpu.h>
#include <hal/irq.h>
#include "entry/emul.h"
#include "entry/hcall.h"
#include "entry/trap.h"
#include "mm/check.h"
#include "mm/pte.h"
#include "mm/root.h"
#include "mm/shadow.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/irq.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/log.h"
#include "lib/measure.h"
#include "lib/panic.h"
#include "lib/string.h"

enum {
	VEC_DB = 1, VEC_BP = 3, VEC_DF = 8, VEC_TS = 10, VEC_PF = 14, VEC_AC = 17,
	VEC_MC = 18, VEC_CP = 21, VEC_VC = 29, VEC_SX = 30,
};
/* Exceptions with an error code, SDM vol. 3A, table 6-1. */
#define HAS_ERROR (1U << VEC_DF | 0xfU << VEC_TS | 1U << VEC_PF | 1U << VEC_AC | \
		   1U << VEC_CP | 1U << VEC_VC | 1U << VEC_SX)

static void trap_pf(struct vcpu *v, struct regs *r)
{
	uint64_t va = hal_read_cr2(), error;

	switch (mmu_fault(v, va, r->error, &error)) {
	case MMU_FILLED:
		stat_inc(v, KEEL_STAT_PF_FILL);
		return;
	case MMU_RETRY:
		return;
	case MMU_FORBIDDEN:
		if ((r->error & PF_W) && !from_user(r) && emul_drop_store(v, r, va))
			return;
		if (part_log_ok(v->part))
			log_printf("%s: access to a frame it does not own, va %#lx, rip %#lx\n",
				   v->part->man->name, va, r->rip);
		if (!v->entry[KEEL_ENTRY_EVENT_KERNEL]) {
			part_fault(v, r, va, "access to memory that is not its own");
			return;
		}
		/* As a page fault Linux would find its entry in order and retry for ever. */
		if (r->error & (PF_W | PF_I)) {
			event_exception(v, r, VEC_GP, 0);
			return;
		}
		break;
	case MMU_GUEST:
		if (!v->entry[KEEL_ENTRY_EVENT_KERNEL]) {
			part_fault(v, r, va, "page fault");
			return;
		}
		break;
	}
	v->vp->cr2 = va;
	event_exception(v, r, VEC_PF, error);
}

static struct panic_regs panic_frame(const struct regs *r)
{
	return (struct panic_regs) {
		.rax = r->rax, .rbx = r->rbx, .rcx = r->rcx, .rdx = r->rdx, .rsi = r->rsi,
		.rdi = r->rdi, .rbp = r->rbp, .rsp = r->rsp, .r8 = r->r8, .r9 = r->r9,
		.r10 = r->r10, .r11 = r->r11, .r12 = r->r12, .r13 = r->r13, .r14 = r->r14,
		.r15 = r->r15, .rip = r->rip, .rflags = r->rflags, .cs = r->cs, .ss = r->ss,
		.cr2 = hal_read_cr2(), .vector = r->vector, .error = r->error,
	};
}

static void __noreturn trap_panic(const struct regs *r, const char *where)
{
	struct panic_regs pr = panic_frame(r);

	panic_regs(&pr, "vector %lu, error %#lx in %s", r->vector, r->error, where);
}

/*
 * The frame of an event in a partition, whatever its CS says: QEMU's emulator lets ring 3 enter
 * virtual-8086 mode by IRET, with any CS it likes, ring 0's or ring 1's among them (rule 9).
 */
static void normalise(struct regs *r)
{
	if (!(r->rflags & RFLAGS_VM) && (r->cs & 3))
		return;
	r->rflags &= ~(uint64_t)RFLAGS_VM;
	r->cs = KEEL_CS_USER;
	r->ss = KEEL_SS_USER;
}

/*
 * #DB of an instruction in the trampoline: a trap that MOV SS has put off until behind the way in (CVE-2018-8897).
 * Nothing to see, go on (rule 13). In its own stub it lies where the frame before it was: that one is lost, and
 * with it the way back. No CPU known to us does that, the first #DB takes the second along.
 */
static void trap_db_in_tramp(struct vcpu *v, struct regs *r, struct regs *pushed)
{
	hal_write_dr6(DR6_INIT);
	if (!entry_in_stub(r->rip, VEC_DB))
		mk_resume_db(pushed, v->root_pa);
	part_fault(v, r, 0, "debug exception on the way in of one");
}

/* Frames on an IST stack: #DB is moved to the usual place, the others end the machine. */
static struct regs *trap_ist(struct vcpu *v, struct regs *r, struct regs *pushed)
{
	if (r->vector == VEC_DB) {
		if (r->cs == MK_CS && !(r->rflags & RFLAGS_VM) && entry_in_tramp(r->rip))
			trap_db_in_tramp(v, r, pushed);
		*v->regs = *r;
		return v->regs;
	}
	trap_panic(r, "ring 0 under a partition's page tables");
}

static void trap_exception(struct vcpu *v, struct regs *r)
{
	unsigned int vector = (unsigned int)r->vector;
	bool has_error = vector < 32 && (HAS_ERROR >> vector & 1);

	if (vector >= 16 && hal_apic_in_service((uint8_t)vector)) {
		/* No exception: a device of a trusted partition was told to send this vector. */
		hal_apic_eoi();
		return;
	}
	if (vector == VEC_DB)
		seldom_hit(v);
	if (!v->entry[KEEL_ENTRY_EVENT_KERNEL]) {
		static const char *const names[] = {
			"divide error", "debug exception", "NMI", "breakpoint", "overflow",
			"bound range exceeded", "invalid opcode", "no FPU", "double fault", "vector 9",
			"invalid TSS", "segment not present", "stack fault", "general protection",
			"page fault", "vector 15", "x87 error", "alignment check", "machine check",
			"SIMD error",
		};

		part_fault(v, r, 0, vector < 20 ? names[vector] : "exception");
		return;
	}
	event_exception(v, r, vector, has_error ? r->error : EV_NO_ERROR);
}

static void trap_gp(struct vcpu *v, struct regs *r)
{
	if (!from_user(r) && emul_gp(v, r))
		return;
	trap_exception(v, r);
}

/* `pushed` is an address under the partition's page tables, `offset` that in the page of entry stacks. */
static inline __attribute__((always_inline)) void trap_from(struct vcpu *v, vaddr_t offset, struct regs *pushed)
{
	struct regs *r = (struct regs *)((uint8_t *)v->stack + offset);

	measure_enter(r->vector | r->rax << 16);
	if (r != v->regs)
		r = trap_ist(v, r, pushed);
	normalise(r);
	stat_inc(v, KEEL_STAT_TOTAL);
	switch (r->vector) {
	case VEC_PF:
		trap_pf(v, r);
		break;
	case VEC_GP:
		trap_gp(v, r);
		break;
	default:
		if (r->vector >= 0x20) {
			stat_inc(v, KEEL_STAT_IRQ);
			irq_handle((unsigned int)r->vector);
		} else {
			trap_exception(v, r);
		}
	}
}

static inline __attribute__((always_inline)) void trap_hcall(struct vcpu *v)
{
	struct regs *r = v->regs;

	measure_enter(KEEL_HC_VECTOR | r->rax << 16);
	stat_inc(v, KEEL_STAT_TOTAL);
	if (likely((r->cs & 3) == 1) && likely(!(r->rflags & RFLAGS_VM))) {
		hcall_handle(v, r);
		return;
	}
	normalise(r);
	if (part_log_ok(v->part))	/* such an interrupt ignores the DPL (rule 6) */
		log_printf("interrupt on the hypercall vector dropped\n");
}

/* From entry to exit in one function: what is called saves registers, and here nobody has any worth saving. */
uint64_t trap_handle(struct regs *pushed, bool hcall)
{
	vaddr_t offset = (vaddr_t)pushed & PAGE_MASK;
	uint64_t cr3;

	if (hcall)
		trap_hcall(this_cpu->current);
	else if (likely(offset))
		trap_from(this_cpu->current, offset, pushed);
	else
		measure_enter(MEASURE_IDLE);
	cr3 = sched_exit();
	measure_leave();
	return cr3;
}

/* A trap while the metakernel itself runs. */
void mk_trap_handle(struct regs *r)
{
	if (r->vector == 2) {
		cpu_called();	/* to stop; else it is nobody's */
		return;
	}
	/* Below 0x20 it is an interrupt only if the APIC says so (a device can be told any vector). */
	if (this_cpu->idle && (r->vector >= 0x20 || hal_apic_in_service((uint8_t)r->vector))) {
		measure_enter(r->vector);
		irq_handle((unsigned int)r->vector);
		measure_leave();
		return;
	}
	trap_panic(r, "the metakernel");
}

// SPDX-License-Identifier: MIT
/*
 * vcpu.c - a virtual CPU: its pages, its register state in and out of the machine, its descriptors.
 *
 * Owns:       the vCPU page, the read-only page (GDT, TSS, IRETQ frames), the entry stacks and the hole page
 *             table: per vCPU, so that a switch inside the SYSCALL stub cannot mix two users (rule 3).
 * Locks:      none: only the CPU that has a vCPU loaded, or whoever starts it while nobody has, touches it.
 * Invariants: after vcpu_sanitize() the frame on its way out holds one of the listed CS and SS, and
 *             IF=1, IOPL=VM=NT=0 (rule 10); it tells whether RIP is canonical, without which nothing leaves.
 * Trusts:     nothing a partition passes: bases are checked canonical before they reach an MSR.
 */
#include <hal/cpu.h>
#include <hal/irq.h>
#include "mm/frames.h"
#include "mm/root.h"
#include "part/manifest.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/vcpu.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"

#define DESC_S		(1UL << 44)
#define DESC_CODE	(1UL << 43)
#define DESC_A		(1UL << 40)
#define DESC_WRITE	(1UL << 41)	/* data: writable */
#define DESC_PRESENT	(1UL << 47)
#define DESC_DPL(d)	((d) >> 45 & 3)
#define MSR_TSC_AUX	0xc0000103
#define MSR_FS_BASE	0xc0000100

__cold int vcpu_init(struct vcpu *v, struct partition *p, unsigned int id, unsigned int cpu)
{
	uint64_t npages = pages_of(hal_cpu()->xsave_size);

	v->part = p;
	v->id = id;
	v->cpu = cpu;
	v->node.priority = v->priority = (uint8_t)p->man->priority;
	shoot_init(&v->shootdown);
	v->xstate = part_take(p, npages ? npages : 1);
	v->vp = part_take(p, 1);
	v->ro = part_take(p, 1);
	v->hole_pt = part_take(p, 1);
	v->stack = part_take(p, 1);
	if (!v->vp || !v->ro || !v->hole_pt || !v->stack || !v->xstate)
		return -KEEL_ENOMEM;
	v->regs = entry_regs(v->stack);
	entry_init_vcpu_ro(v->ro, cpus[cpu]->mk_cr3);
	entry_init_hole(v->hole_pt, va_to_pa(v->ro), va_to_pa(v->vp), va_to_pa(v->stack));
	return mmu_init_vcpu(v);
}

__cold void vcpu_reset(struct vcpu *v, paddr_t cr3)
{
	struct partition *p = v->part;
	uint64_t npages = pages_of(hal_cpu()->xsave_size);

	memset(v->vp, 0, sizeof(*v->vp));
	memset(v->entry, 0, sizeof(v->entry));
	memset(v->irr, 0, sizeof(v->irr));
	memset(v->held, 0, sizeof(v->held));
	memset(v->isr, 0, sizeof(v->isr));
	memset(v->xstate, 0, npages * PAGE_SIZE);
	/* FCW and MXCSR at their reset values (SDM vol. 1, 13.5.1 and 10.5.1). */
	((uint16_t *)v->xstate)[0] = 0x37f;
	((uint32_t *)v->xstate)[6] = 0x1f80;
	v->ro->syscall.rip = v->ro->pf.rip = 0;
	v->ro->pf_direct = 0;
	memset(&v->ro->gdt[KEEL_GDT_TLS_MIN], 0, 4 * sizeof(uint64_t));
	memset(v->msr_syscall, 0, sizeof(v->msr_syscall));
	memset(&v->breakpoints, 0, sizeof(v->breakpoints));
	v->seldom = 0;
	v->idt_pa = 0;
	v->cr0 = 0x80050033;
	v->cr4 = 0x20 | 0x200 | 0x400 | 0x10000;	/* PAE OSFXSR OSXMMEXCPT FSGSBASE */
	if (hal_cpu()->xsave)
		v->cr4 |= 0x40000;
	v->xcr0 = hal_cpu()->xsave ? hal_cpu()->xcr0_mask & 7 : 0;
	if (p->man->kind == MANIFEST_LINUX)
		v->xcr0 &= XCR0_X87 | XCR0_SSE;		/* Linux sets its own */
	v->timer_tsc = v->wake_tsc = v->ready_since = 0;
	v->ds = v->es = v->fs = v->gs = 0;
	v->fs_base = v->gs_base = 0;
	v->tsc_aux = 0;
	vcpu_note_special(v);
	v->vp->cr4 = v->cr4;
	v->vp->tsc_khz = hal_tsc_khz();
	v->vp->apic_id = p->man->devices ? cpus[v->cpu]->apic_id : v->id;
	v->vp->vcpu_id = v->id;
	v->vp->nvcpus = p->nvcpus;
	v->vp->wall_ns = boot_wall_ns;
	v->vp->wall_tsc = boot_wall_tsc;
	mmu_load_cr3(v, cr3);
	memset(v->stack, 0, PAGE_SIZE);
	v->regs->cs = KEEL_CS_RING1;
	v->regs->ss = KEEL_SS_RING1;
	v->regs->rflags = 0x202;
}

void vcpu_inherit(struct vcpu *v, const struct vcpu *from)
{
	memcpy(v->entry, from->entry, sizeof(v->entry));
	v->ro->syscall.rip = from->ro->syscall.rip;
	v->ro->pf.rip = from->ro->pf.rip;
	v->ro->pf_direct = from->ro->pf_direct;
	v->idt_pa = from->idt_pa;
	v->idt_limit = from->idt_limit;
}

/* ---- Descriptors and selectors ---------------------------------------------------------------- */

/* May ring 3 or the way to it use this selector? Only what the metakernel put into the GDT. */
static bool user_selector_ok(const struct vcpu *v, uint64_t sel)
{
	uint64_t i = sel >> 3;

	if (sel < 4)
		return true;
	if ((sel & 7) != 3)
		return false;
	if (i == KEEL_SS_USER >> 3)
		return true;
	return i >= KEEL_GDT_TLS_MIN && i < KEEL_GDT_CPUNODE && (v->ro->gdt[i] & DESC_PRESENT);
}

/* For the IRETQ in ring 0: SS must be writable there, or the fault is the metakernel's. */
static bool user_stack_ok(const struct vcpu *v, uint64_t sel)
{
	return sel == KEEL_SS_USER ||
	       (sel >= 4 && user_selector_ok(v, sel) && (v->ro->gdt[sel >> 3] & DESC_WRITE));
}

/* Before a selector is loaded in here: the metakernel's GDT has the TLS entries of whoever needed them last. */
static void show_tls(const struct vcpu *v)
{
	uint64_t *gdt = ((struct vcpu_ro *)KEEL_VCPU_RO_VA)->gdt;
	unsigned int i;

	for (i = KEEL_GDT_TLS_MIN; i <= KEEL_GDT_CPUNODE; i++)
		gdt[i] = v->ro->gdt[i];
}

int vcpu_set_desc(struct vcpu *v, uint64_t index, uint64_t desc)
{
	if (index < KEEL_GDT_TLS_MIN || index > KEEL_GDT_CPUNODE)
		return -KEEL_EINVAL;
	if (!(desc & DESC_PRESENT))
		desc = 0;
	/* Data segments of ring 3 only: no code, no system descriptor, no other DPL (rule 10). */
	if (desc && (!(desc & DESC_S) || (desc & DESC_CODE) || DESC_DPL(desc) != 3))
		return -KEEL_EPERM;
	v->ro->gdt[index] = desc ? desc | DESC_A : 0;
	return 0;
}

uint64_t vcpu_load_gs(struct vcpu *v, uint64_t sel)
{
	uint64_t kernel_gs = hal_rdgsbase(), base;

	sel &= 0xffff;
	if (!user_selector_ok(v, sel))
		sel = 0;
	if (sel >= 4)
		show_tls(v);
	hal_write_gs((uint16_t)sel);
	base = sel < 4 ? 0 : hal_rdgsbase();
	hal_wrgsbase(kernel_gs);
	v->vp->user_gs = base;
	return base;
}

/*
 * XCR0 other than a peer's at its start, or more in the area than that; what a CPU that leaks needs at each switch; and
 * other CPUs, without which no lock is needed; and a budget.
 */
void vcpu_note_special(struct vcpu *v)
{
	const struct hal_cpu *cpu = hal_cpu();

	v->special = lock_others || !v->plain || !cpu->xsave || cpu->barrier || v->seldom || v->tsc_aux || v->xcr0 != (cpu->xcr0_mask & 7) ||
		     (((const uint64_t *)v->xstate)[64] & ~v->xcr0);
}

/* ---- Extended state ----------------------------------------------------------------------------- */

/* XSETBV is slow, slower still inside a virtual machine. */
static void load_xcr0(uint64_t value)
{
	if (this_cpu->xcr0 == value)
		return;
	this_cpu->xcr0 = value;
	hal_xsetbv(0, value);
}

/* What its XCR0 has not enabled it cannot have changed since it was loaded. */
static void xstate_save(struct vcpu *v)
{
	if (!hal_cpu()->xsave) {
		hal_fxsave(v->xstate);
		return;
	}
	hal_xsave(v->xstate, UINT64_MAX);
}

static void xstate_load(struct vcpu *v)
{
	/* AMD restores the x87 pointers of an exception only when one is pending: leave none of another's. */
	if (hal_cpu()->x87_pointers_stay)
		hal_fninit();
	if (unlikely(!hal_cpu()->xsave)) {
		hal_fxrstor(v->xstate);
		return;
	}
	/*
	 * With every component enabled, those not in the area become initial: nothing leaks. Between two with the same
	 * XCR0 all others stay as they are, out of reach of both (vcpu_set_xcr0).
	 */
	if (unlikely(this_cpu->xcr0 != v->xcr0) || unlikely(((const uint64_t *)v->xstate)[64] & ~v->xcr0)) {
		load_xcr0(hal_cpu()->xcr0_mask);	/* XSTATE_BV keeps what it had */
		hal_xrstor(v->xstate, UINT64_MAX);
		load_xcr0(v->xcr0);
		return;
	}
	hal_xrstor(v->xstate, UINT64_MAX);
}

__cold int vcpu_set_xcr0(struct vcpu *v, uint64_t value)
{
	uint64_t mask = hal_cpu()->xcr0_mask;

	/* SDM vol. 1, 13.3: x87 always; AVX needs SSE, AVX-512 needs AVX; some go only together. */
	if (!hal_cpu()->xsave || !(value & XCR0_X87) || (value & ~mask) ||
	    ((value & XCR0_AVX) && !(value & XCR0_SSE)) ||
	    ((value & XCR0_MPX) && (value & XCR0_MPX) != XCR0_MPX) ||
	    ((value & XCR0_AVX512) && ((value & XCR0_AVX512) != XCR0_AVX512 || !(value & XCR0_AVX))))
		return -KEEL_EINVAL;
	value |= XCR0_SSE;	/* SSE works without, and then it would not be switched */
	if (value == v->xcr0)
		return 0;
	/* What comes into reach is its own, not what another left there. */
	xstate_save(v);
	v->xcr0 = value;
	load_xcr0(hal_cpu()->xcr0_mask);
	xstate_load(v);
	vcpu_note_special(v);
	return 0;
}

/* ---- Switching ---------------------------------------------------------------------------------- */

static __cold void save_selectors(struct vcpu *v)
{
	v->ds = (uint8_t)hal_read_ds();
	v->es = (uint8_t)hal_read_es();
	v->fs = (uint8_t)hal_read_fs();
	v->gs = (uint8_t)hal_read_gs();
}

void vcpu_save(struct vcpu *v, uint64_t now)
{
	v->fs_base = hal_rdfsbase();
	v->gs_base = hal_rdgsbase();
	v->selectors = 0;
	this_cpu->selectors = hal_selectors();
	if (unlikely(this_cpu->selectors))	/* most often all are null */
		save_selectors(v);
	xstate_save(v);
	v->run_tsc += now - v->run_since;
	this_cpu->current = NULL;
	__atomic_store_n(&v->loaded, false, __ATOMIC_RELEASE);	/* pairs with whoever loads it next */
}

static uint16_t selector_or_null(const struct vcpu *v, uint16_t sel)
{
	/* Ring 1's own data selector is fine too; anything else that went stale becomes null. */
	return sel == KEEL_SS_RING1 || user_selector_ok(v, sel) ? sel : 0;
}

void vcpu_load_tsc_aux(const struct vcpu *v)
{
	if (this_cpu->tsc_aux == v->tsc_aux)	/* 0 without the register */
		return;
	this_cpu->tsc_aux = v->tsc_aux;
	hal_wrmsr(MSR_TSC_AUX, v->tsc_aux);
}

/*
 * From a copy of the vCPU's TLS entries. The cached descriptors stay when CR3, and with it the GDT behind the
 * address, changes.
 */
static __cold void load_selectors(const struct vcpu *v)
{
	show_tls(v);
	hal_write_ds(selector_or_null(v, v->ds));
	hal_write_es(selector_or_null(v, v->es));
	hal_write_fs(selector_or_null(v, v->fs));
	hal_write_gs(selector_or_null(v, v->gs));
}

void vcpu_load(struct vcpu *v, uint64_t now)
{
	if (unlikely(this_cpu->selectors | v->selectors))	/* of who was saved last, and its own */
		load_selectors(v);
	hal_wrfsbase(v->fs_base);
	hal_wrgsbase(v->gs_base);
	vcpu_load_tsc_aux(v);
	xstate_load(v);
	if (v->seldom | this_cpu->seldom)
		seldom_load(v);
	v->run_since = now;
	if (v->ready_since) {
		v->vp->steal_tsc += v->run_since - v->ready_since;
		v->ready_since = 0;
	}
	shoot_loaded(v);
	this_cpu->current = v;
}

bool vcpu_user_frame_ok(const struct vcpu *v, const struct keel_frame *f)
{
	if (f->cs == KEEL_CS_USER32 ? f->rip >> 32 : f->cs != KEEL_CS_USER)
		return false;
	return is_canonical(f->rip) && user_stack_ok(v, f->ss);
}

bool vcpu_sanitize(struct vcpu *v, struct regs *r)
{
	bool user = from_user(r);

	if (user) {
		if (r->cs != KEEL_CS_USER && r->cs != KEEL_CS_USER32)
			r->cs = KEEL_CS_USER;
		if (r->cs == KEEL_CS_USER32)
			r->rip = (uint32_t)r->rip;	/* beyond the segment's limit IRETQ faults */
		if (!user_stack_ok(v, r->ss))
			r->ss = KEEL_SS_USER;
	} else {
		r->cs = KEEL_CS_RING1;
		if (r->ss != 1)		/* null with RPL 1: what a gate to ring 1 leaves */
			r->ss = KEEL_SS_RING1;
	}
	r->rflags = (r->rflags & RFLAGS_GUEST) | 0x202;
	return is_canonical(r->rip);
}

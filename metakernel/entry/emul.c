// SPDX-License-Identifier: MIT
/*
 * emul.c - trap-and-emulate of privileged instructions in ring 1: the cold paths of Linux that were
 * not worth a hypercall.
 *
 * The instruction's bytes are fetched once (15 at most), decoded, and acted on; anything the table
 * does not know goes back to the partition as #GP. One repetition of a string instruction a trap
 * (I5): RIP stays while RCX is not zero.
 *
 * Context: the vCPU that trapped is this CPU's; ports and configuration space have a lock (emul_io.c).
 */
#include <hal/cpu.h>
#include "entry/emul.h"
#include "entry/insn.h"
#include "mm/flush.h"
#include "mm/root.h"
#include "mm/walk.h"
#include "part/part.h"
#include "run/event.h"
#include "run/sched.h"
#include "run/vcpu.h"
#include "lib/log.h"
#include "lib/string.h"

#define CR0_FIXED	0x80050033UL	/* PE MP ET NE WP AM PG: what Linux runs with */
/* Virtual CR4 bits a partition may set; of the real CR4 only TSD follows (rule 15, seldom.c). */
#define CR4_VIRTUAL	(0x7fcUL | 0x10000 | 0x20000 | 0x40000 | 0x100000)
#define CR4_TLB_BITS	(0x80UL | 0x10 | 0x20 | 0x20000)	/* PGE PSE PAE PCIDE */

static uint64_t size_mask(unsigned int size)
{
	return size == 1 ? 0xff : size == 2 ? 0xffff : 0xffffffff;
}

static bool emul_io(struct vcpu *v, struct regs *r, struct insn *in, uint8_t op)
{
	unsigned int size = op & 1 ? (in->operand16 ? 2 : 4) : 1;
	uint16_t port = (uint16_t)(op & 8 ? r->rdx : insn_next(in));

	stat_inc(v, KEEL_STAT_EMUL_IO);
	if (in->bad)
		return false;
	if (op & 2) {
		emul_port_out(v, port, size, (uint32_t)(r->rax & size_mask(size)));
	} else {
		uint64_t value = emul_port_in(v, port, size) & size_mask(size);

		r->rax = size == 4 ? value : (r->rax & ~size_mask(size)) | value;
	}
	return true;
}

/* INS, OUTS: one element; with REP, RIP moves on only when RCX is used up. */
static bool emul_string_io(struct vcpu *v, struct regs *r, struct insn *in, uint8_t op)
{
	unsigned int size = op & 1 ? (in->operand16 ? 2 : 4) : 1;
	uint64_t step = r->rflags & 0x400 ? -(uint64_t)size : size;
	uint32_t value = 0;

	stat_inc(v, KEEL_STAT_EMUL_IO);
	if (in->rep && !r->rcx)
		return true;
	if (op & 2) {
		if (mmu_read_guest(v, r->rsi, &value, size))
			return false;
		emul_port_out(v, (uint16_t)r->rdx, size, value);
		r->rsi += step;
	} else {
		value = emul_port_in(v, (uint16_t)r->rdx, size);
		if (mmu_write_guest(v, r->rdi, &value, size))
			return false;
		r->rdi += step;
	}
	if (in->rep && --r->rcx)
		in->pos = 0;
	return true;
}

static void write_cr4(struct vcpu *v, uint64_t value)
{
	uint64_t changed = value ^ v->cr4;

	v->cr4 = value & CR4_VIRTUAL;
	v->vp->cr4 = v->cr4;
	if (changed & CR4_TLB_BITS)
		mmu_flush_all(v);
	if (changed & CR4_TSD)
		seldom_set_tsd(v, value & CR4_TSD);
	/* The machine's stays on: who asks XGETBV, on whichever CPU, must not find what it cannot rely on everywhere. */
	if (changed & ~value & CR4_OSXSAVE)
		vcpu_set_xcr0(v, XCR0_X87);
}

static bool emul_mov_cr(struct vcpu *v, struct regs *r, struct insn *in, bool write)
{
	uint8_t modrm = insn_next(in);
	unsigned int cr = (modrm >> 3 & 7) | (in->rex & 4) << 1;
	uint64_t *reg = insn_reg(r, (modrm & 7) | (in->rex & 1) << 3);

	if (in->bad)
		return false;
	switch (cr | (write ? 16 : 0)) {
	case 0: *reg = v->cr0; return true;
	case 2: *reg = v->vp->cr2; return true;
	case 3: *reg = v->cr3; return true;
	case 4: *reg = v->cr4; return true;
	case 8: *reg = 0; return true;
	case 16: v->cr0 = (*reg & 0xe005003fUL) | CR0_FIXED; return true;
	case 18: v->vp->cr2 = *reg; return true;
	case 19: mmu_load_cr3(v, *reg); return true;
	case 20: write_cr4(v, *reg); return true;
	case 24: return true;
	}
	return false;
}

static bool emul_mov_dr(struct vcpu *v, struct regs *r, struct insn *in, bool write)
{
	uint8_t modrm = insn_next(in);
	uint64_t *reg = insn_reg(r, (modrm & 7) | (in->rex & 1) << 3);

	if (in->bad)
		return false;
	if (write)
		return seldom_write_dr(v, modrm >> 3 & 7, *reg);
	*reg = seldom_read_dr(v, modrm >> 3 & 7);
	return true;
}

static void rdtsc(struct regs *r)
{
	uint64_t now = hal_rdtsc();

	r->rax = now & 0xffffffff;
	r->rdx = now >> 32;
}

/* 0F 01: LGDT, LIDT (memory), INVLPG, and the register forms XSETBV, SWAPGS, RDTSCP. */
static bool emul_0f01(struct vcpu *v, struct regs *r, struct insn *in)
{
	struct { uint16_t limit; uint64_t base; } __packed d;
	uint8_t modrm = insn_next(in);
	uint64_t a, gs;

	if (in->bad)
		return false;
	if (modrm == 0xd1)	/* XSETBV */
		return (uint32_t)r->rcx == 0 &&
		       !vcpu_set_xcr0(v, (r->rax & 0xffffffff) | r->rdx << 32);
	if (modrm == 0xf8) {	/* SWAPGS */
		gs = v->vp->user_gs;
		v->vp->user_gs = hal_rdgsbase();
		hal_wrgsbase(is_canonical(gs) ? gs : 0);
		return true;
	}
	if (modrm == 0xf9 && hal_cpu()->rdtscp) {	/* as RDTSC */
		rdtsc(r);
		r->rcx = v->tsc_aux;
		return true;
	}
	if (modrm >> 6 == 3)
		return false;
	a = insn_address(in, r, modrm);
	if (in->bad)
		return false;
	switch (modrm >> 3 & 7) {
	case 2:			/* LGDT: the metakernel's stays */
		return true;
	case 3:			/* LIDT by address: only useful through KEEL_HC_LOAD_IDT */
		return !mmu_read_guest(v, a, &d, sizeof(d));
	case 7:			/* INVLPG */
		if (is_canonical(a))
			mmu_flush_range(v, a & ~(uint64_t)PAGE_MASK, 1);
		return true;
	}
	return false;
}

static bool emul_0f(struct vcpu *v, struct regs *r, struct insn *in)
{
	uint64_t value = 0;
	uint8_t op = insn_next(in), modrm;

	if (in->bad)
		return false;
	if (op == 0x30 || op == 0x32) {
		stat_inc(v, KEEL_STAT_EMUL_MSR);
		if (op == 0x30)
			return emul_wrmsr(v, (uint32_t)r->rcx, (r->rax & 0xffffffff) | r->rdx << 32);
		if (!emul_rdmsr(v, (uint32_t)r->rcx, &value))
			return false;
		r->rax = value & 0xffffffff;
		r->rdx = value >> 32;
		return true;
	}
	stat_inc(v, KEEL_STAT_EMUL_OTHER);
	switch (op) {
	case 0x00:		/* LLDT, LTR */
		modrm = insn_next(in);
		if ((modrm >> 3 & 7) != 2 && (modrm >> 3 & 7) != 3)
			return false;
		if (modrm >> 6 != 3)
			insn_address(in, r, modrm);
		return !in->bad;
	case 0x01:
		return emul_0f01(v, r, in);
	case 0x06:		/* CLTS */
	case 0x08:		/* INVD: as WBINVD, never lose data */
	case 0x09:		/* WBINVD: memory is coherent without it */
		return true;
	case 0x20:
	case 0x22:
		return emul_mov_cr(v, r, in, op == 0x22);
	case 0x21:
	case 0x23:
		return emul_mov_dr(v, r, in, op == 0x23);
	case 0x31:		/* RDTSC: CR4.TSD is set, and real */
		rdtsc(r);
		return true;
	case 0x33:		/* RDPMC */
		r->rax = r->rdx = 0;
		return true;
	}
	return false;
}

static bool emul_hlt(struct vcpu *v)
{
	if (!(v->vp->flags & 0x200)) {
		part_end(v->part, KEEL_PART_FAULTED, "HLT with interrupts off");
		return true;
	}
	sched_block(v);
	return true;
}

static bool emul(struct vcpu *v, struct regs *r, struct insn *in)
{
	uint8_t op = insn_next(in);

	if (in->bad)
		return false;
	switch (op) {
	case 0xe4: case 0xe5: case 0xe6: case 0xe7:
	case 0xec: case 0xed: case 0xee: case 0xef:
		return emul_io(v, r, in, op);
	case 0x6c: case 0x6d: case 0x6e: case 0x6f:
		return emul_string_io(v, r, in, op);
	case 0xf4:
		stat_inc(v, KEEL_STAT_EMUL_OTHER);
		return emul_hlt(v);
	case 0xfa:		/* CLI */
	case 0xfb:		/* STI */
		stat_inc(v, KEEL_STAT_EMUL_OTHER);
		v->vp->flags = op == 0xfb ? 0x200 : 0;
		return true;
	case 0x0f:
		return emul_0f(v, r, in);
	}
	return false;
}

bool emul_gp(struct vcpu *v, struct regs *r)
{
	struct insn in;

	/* Peers have nothing to emulate, but ports that they were given: for them every privileged instruction is a fault. */
	if (!v->entry[KEEL_ENTRY_EVENT_KERNEL] && !v->part->man->devices && !cap_holds(v->part, KEEL_CAP_PORTS))
		return false;
	if (r->error || !insn_fetch(v, r, &in) || in.lock || !emul(v, r, &in))
		return false;
	r->rip += in.pos;
	return true;
}

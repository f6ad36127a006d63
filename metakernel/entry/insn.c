// SPDX-License-Identifier: MIT
/*
 * insn.c - see insn.h.
 *
 * Trusts: nothing. The bytes are read once; 15 at most, fewer where the next page is not readable.
 *
 * Context: the vCPU that trapped is this CPU's.
 */
#include <hal/cpu.h>
#include "entry/insn.h"
#include "mm/walk.h"
#include "lib/string.h"

enum { SEG_FS = 0x64, SEG_GS = 0x65 };

static int32_t next32(struct insn *in)
{
	uint32_t v = insn_next(in);

	v |= (uint32_t)insn_next(in) << 8;
	v |= (uint32_t)insn_next(in) << 16;
	v |= (uint32_t)insn_next(in) << 24;
	return (int32_t)v;
}

bool insn_fetch(struct vcpu *v, const struct regs *r, struct insn *in)
{
	unsigned int room = (unsigned int)(PAGE_SIZE - (r->rip & PAGE_MASK));
	unsigned int first = room < INSN_MAX ? room : INSN_MAX;

	memset(in, 0, sizeof(*in));
	if (mmu_read_guest(v, r->rip, in->byte, first))
		return false;
	in->len = first;
	if (first < INSN_MAX && !mmu_read_guest(v, r->rip + first, in->byte + first,
						INSN_MAX - first))
		in->len = INSN_MAX;
	for (;;) {
		uint8_t b = insn_next(in);

		switch (b) {
		case 0x66: in->operand16 = true; continue;
		case 0xf2: case 0xf3: in->rep = true; continue;
		case 0xf0: in->lock = true; continue;
		case SEG_FS: case SEG_GS: in->segment = b; continue;
		case 0x2e: case 0x36: case 0x3e: case 0x26: continue;
		}
		if ((b & 0xf0) == 0x40) {
			in->rex = b & 15;
			return !in->bad;
		}
		in->pos--;
		return !in->bad;
	}
}

uint64_t *insn_reg(struct regs *r, unsigned int n)
{
	switch (n) {
	case 0: return &r->rax;
	case 1: return &r->rcx;
	case 2: return &r->rdx;
	case 3: return &r->rbx;
	case 4: return &r->rsp;
	case 5: return &r->rbp;
	case 6: return &r->rsi;
	case 7: return &r->rdi;
	case 8: return &r->r8;
	case 9: return &r->r9;
	case 10: return &r->r10;
	case 11: return &r->r11;
	case 12: return &r->r12;
	case 13: return &r->r13;
	case 14: return &r->r14;
	default: return &r->r15;
	}
}

uint64_t insn_address(struct insn *in, struct regs *r, uint8_t modrm)
{
	unsigned int mod = modrm >> 6, rm = modrm & 7;
	bool rip_relative = false;
	uint64_t a = 0;

	if (rm == 4) {
		uint8_t sib = insn_next(in);
		unsigned int base = (sib & 7) | (in->rex & 1) << 3;
		unsigned int index = (sib >> 3 & 7) | (in->rex & 2) << 2;

		if (index != 4)
			a = *insn_reg(r, index) << (sib >> 6);
		if ((sib & 7) == 5 && mod == 0)
			a += (uint64_t)(int64_t)next32(in);
		else
			a += *insn_reg(r, base);
	} else if (mod == 0 && rm == 5) {
		a = (uint64_t)(int64_t)next32(in);
		rip_relative = true;
	} else {
		a = *insn_reg(r, rm | (in->rex & 1) << 3);
	}
	if (mod == 1)
		a += (uint64_t)(int64_t)(int8_t)insn_next(in);
	else if (mod == 2)
		a += (uint64_t)(int64_t)next32(in);
	if (rip_relative)
		a += r->rip + in->pos;	/* no group here has an immediate behind the operand */
	if (in->segment == SEG_GS)
		a += hal_rdgsbase();
	else if (in->segment == SEG_FS)
		a += hal_rdfsbase();
	return a;
}

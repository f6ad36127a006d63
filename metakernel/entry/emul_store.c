// SPDX-License-Identifier: MIT
/*
 * emul_store.c - stores to what a partition with the devices may not write: dropped, and named.
 *
 * Firmware tables are read-only, and some devices are the metakernel's. A page fault would not do: Linux
 * looks at its own entry, finds it in order, and retries for ever. As on a bus where nobody takes the
 * data, the store has no effect and the next instruction follows. What is not a plain store is #GP,
 * which names itself.
 *
 * Context: the vCPU that trapped is this CPU's; what was named already is told by a bit, which two may set at once.
 */
#include <hal/cpu.h>
#include "entry/emul.h"
#include "entry/insn.h"
#include "mm/frames.h"
#include "mm/walk.h"
#include "part/part.h"
#include "lib/log.h"

#define RFLAGS_ZF	0x40UL

static void skip(struct insn *in, unsigned int n)
{
	while (n--)
		insn_next(in);
}

/* The memory operand, and n bytes of immediate behind it. */
static bool skip_operand(struct insn *in, struct regs *r, unsigned int n)
{
	uint8_t modrm = insn_next(in);

	if (in->bad || modrm >> 6 == 3)
		return false;
	insn_address(in, r, modrm);
	skip(in, n);
	return !in->bad;
}

/* STOS, MOVS: one element, as in emul_string_io(). */
static bool skip_string(struct insn *in, struct regs *r, bool wide, bool move)
{
	uint64_t size = !wide ? 1 : in->rex & INSN_REX_W ? 8 : in->operand16 ? 2 : 4;
	uint64_t step = r->rflags & RFLAGS_DF ? -size : size;

	if (in->rep && !r->rcx)
		return true;
	r->rdi += step;
	if (move)
		r->rsi += step;
	if (in->rep && --r->rcx)
		in->pos = 0;
	return true;
}

static bool skip_store(struct insn *in, struct regs *r)
{
	uint8_t op = insn_next(in);

	switch (in->bad ? 0 : op) {
	case 0x88: case 0x89:			/* MOV from a register */
		return skip_operand(in, r, 0);
	case 0xc6:				/* MOV of an immediate */
		return skip_operand(in, r, 1);
	case 0xc7:
		return skip_operand(in, r, in->operand16 ? 2 : 4);
	case 0xa2: case 0xa3:			/* MOV from AL, RAX to an address */
		skip(in, 8);
		return !in->bad;
	case 0xa4: case 0xa5:
		return skip_string(in, r, op & 1, true);
	case 0xaa: case 0xab:
		return skip_string(in, r, op & 1, false);
	case 0x0f:
		op = insn_next(in);
		if (op == 0xc3)			/* MOVNTI */
			return skip_operand(in, r, 0);
		/*
		 * CMPXCHG: the lock that Linux shares with the firmware, in the FACS (ACPI 5.2.10.1). Memory is
		 * what it was just read as, or Linux would not be here: it is as if it was equal and stored.
		 */
		if ((op == 0xb0 || op == 0xb1) && skip_operand(in, r, 0)) {
			r->rflags |= RFLAGS_ZF;
			return true;
		}
	}
	return false;
}

bool emul_drop_store(struct vcpu *v, struct regs *r, vaddr_t va)
{
	static uint64_t named[EMUL_NAMED];
	struct insn in;
	struct walk w;

	if (!v->part->man->devices || !guest_walk(v, va, &w) ||
	    frames_owner(w.pa >> PAGE_SHIFT) != FRAMES_NONE || !insn_fetch(v, r, &in) ||
	    !skip_store(&in, r))
		return false;
	r->rip += in.pos;
	stat_inc(v, KEEL_STAT_EMUL_OTHER);
	if (emul_first(named, w.pa >> PAGE_SHIFT) && part_log_ok(v->part))
		log_printf("%s: writes to frame %#lx, which it may not write, are dropped (rip %#lx)\n",
			   v->part->man->name, w.pa >> PAGE_SHIFT, r->rip);
	return true;
}

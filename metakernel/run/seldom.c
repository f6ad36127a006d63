// SPDX-License-Identifier: MIT
/*
 * seldom.c - breakpoints, and CR4.TSD: state of the CPU that only its users pay for; and what a CPU that is known to
 * leak between partitions needs between two of them.
 *
 * Breakpoints match linear addresses under any CR3. A vCPU's debug registers are therefore virtual, and the
 * CPU gets of them what ring 0 can never meet: data and code of the lower half, where the metakernel and
 * the trampoline have nothing (rule 13). They stay armed while the metakernel runs.
 *
 * Locks:      none: a vCPU's are changed while this CPU has it.
 * Invariants: DR7 as loaded arms nothing in the upper half and has GD clear; while a vCPU runs,
 *             this_cpu->seldom is its word, but for SELDOM_BARRIER.
 */
#include <hal/cpu.h>
#include "part/part.h"
#include "run/cpu.h"
#include "run/seldom.h"
#include "run/vcpu.h"
#include "lib/log.h"

/* DR7 (SDM vol. 3B, 18.2.4): two enable bits each from bit 0, kind and length each from bit 16. */
#define DR7_OFF		0x400UL		/* the bit that is always 1 */
#define DR7_EXACT	0x300U		/* LE, GE */
#define DR7_KEPT	0xffff03ffU	/* of what ring 1 writes; no GD */
#define DR7_ENABLE(n)	(3U << 2 * (n))
#define DR7_KIND(n)	(0xfU << (16 + 4 * (n)))
#define KIND_EXECUTE	0U
#define KIND_PORT	2U

/*
 * Its range is aligned to its length, and so all in the lower half if its address is. Code has length 0; of
 * ports nobody here may be told.
 */
static bool may_arm(const struct breakpoints *b, unsigned int n)
{
	uint32_t kind = b->dr7 >> (16 + 4 * n) & 3, length = b->dr7 >> (18 + 4 * n) & 3;

	return !(b->address[n] >> 47) && kind != KIND_PORT && (kind != KIND_EXECUTE || !length);
}

static void refuse(struct vcpu *v, unsigned int n)
{
	if (v->breakpoints.named || !part_log_ok(v->part))
		return;
	v->breakpoints.named = true;
	log_printf("%s: breakpoint at %#lx not armed: neither data nor code of the lower half\n",
		   v->part->man->name, v->breakpoints.address[n]);
}

static void arm(struct vcpu *v)
{
	const struct breakpoints *b = &v->breakpoints;
	uint32_t dr7 = 0;
	unsigned int n;

	for (n = 0; n < 4; n++) {
		if (!(b->dr7 & DR7_ENABLE(n)))
			continue;
		if (may_arm(b, n))
			dr7 |= (b->dr7 & (DR7_ENABLE(n) | DR7_KIND(n) | DR7_EXACT)) | (uint32_t)DR7_OFF;
		else
			refuse(v, n);
	}
	v->seldom = (v->seldom & SELDOM_TSD) | dr7;
	vcpu_note_special(v);
	seldom_load(v);
}

/* Rule 29: another partition finds no traces of the one before. */
static void barrier(const struct vcpu *v)
{
	if (this_cpu->last != v->part)
		hal_switch_barrier();
	this_cpu->last = v->part;
}

void seldom_load(const struct vcpu *v)
{
	const uint64_t *address = v->breakpoints.address;
	uint32_t dr7 = (uint32_t)v->seldom;

	if (this_cpu->seldom & SELDOM_BARRIER)
		barrier(v);
	if ((v->seldom ^ this_cpu->seldom) & SELDOM_TSD)
		hal_write_cr4(hal_read_cr4() ^ CR4_TSD);
	if (dr7 | (uint32_t)this_cpu->seldom)
		hal_write_dr7(DR7_OFF);
	if (dr7) {
		hal_write_dr0(address[0]);
		hal_write_dr1(address[1]);
		hal_write_dr2(address[2]);
		hal_write_dr3(address[3]);
		hal_write_dr7(dr7);
	}
	this_cpu->seldom = v->seldom | (this_cpu->seldom & SELDOM_BARRIER);
}

uint64_t seldom_read_dr(const struct vcpu *v, unsigned int n)
{
	const struct breakpoints *b = &v->breakpoints;

	if (n < 4)
		return b->address[n & 3];
	return n & 1 ? DR7_OFF | b->dr7 : DR6_INIT | b->dr6;	/* 4 and 5 are 6 and 7 */
}

bool seldom_write_dr(struct vcpu *v, unsigned int n, uint64_t value)
{
	struct breakpoints *b = &v->breakpoints;

	if (n >= 4 && value >> 32)
		return false;
	if (n >= 4 && !(n & 1)) {
		b->dr6 = (uint32_t)value & DR6_FLAGS;
		return true;
	}
	if (n < 4)
		b->address[n & 3] = value;
	else
		b->dr7 = (uint32_t)value & DR7_KEPT;
	arm(v);
	return true;
}

/* Only what is armed: the other registers may hold another vCPU's addresses. */
void seldom_hit(struct vcpu *v)
{
	uint32_t dr7 = (uint32_t)v->seldom, seen = DR6_BS;
	unsigned int n;

	for (n = 0; n < 4; n++)
		if (dr7 & DR7_ENABLE(n))
			seen |= 1U << n;
	v->breakpoints.dr6 |= (uint32_t)hal_read_dr6() & seen;
	hal_write_dr6(DR6_INIT);
}

void seldom_set_tsd(struct vcpu *v, bool on)
{
	v->seldom = (v->seldom & ~SELDOM_TSD) | (on ? SELDOM_TSD : 0);
	vcpu_note_special(v);
	seldom_load(v);
}

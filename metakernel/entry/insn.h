/* SPDX-License-Identifier: MIT */
/*
 * insn.h - a partition's instruction, fetched once and decoded as far as emulation needs.
 */
#ifndef METAKERNEL_ENTRY_INSN_H
#define METAKERNEL_ENTRY_INSN_H

#include "run/vcpu.h"

#define INSN_MAX	15
#define INSN_REX_W	8U

struct insn {
	uint8_t byte[INSN_MAX];
	unsigned int len;	/* bytes fetched */
	unsigned int pos;	/* next to decode */
	unsigned int rex;
	uint8_t segment;
	bool operand16, rep, lock, bad;	/* bad: ended too early */
};

/* Fetch the bytes at RIP and decode the prefixes. False: not even the first byte is readable. */
bool insn_fetch(struct vcpu *v, const struct regs *r, struct insn *in);

static inline uint8_t insn_next(struct insn *in)
{
	if (in->pos >= in->len) {
		in->bad = true;
		return 0;
	}
	return in->byte[in->pos++];
}

/* General register n, in the encoding of instructions. */
uint64_t *insn_reg(struct regs *r, unsigned int n);
/* Address of a memory operand (SDM vol. 2A, 2.1.5); modrm was read, the rest is consumed. */
uint64_t insn_address(struct insn *in, struct regs *r, uint8_t modrm);

#endif

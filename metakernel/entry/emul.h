/* SPDX-License-Identifier: MIT */
/*
 * emul.h - trap-and-emulate of privileged instructions in ring 1.
 */
#ifndef METAKERNEL_ENTRY_EMUL_H
#define METAKERNEL_ENTRY_EMUL_H

#include "run/vcpu.h"

bool emul_gp(struct vcpu *v, struct regs *r);	/* true: done, false: deliver #GP */
uint64_t *emul_reg(struct regs *r, unsigned int n);
uint32_t emul_port_in(struct vcpu *v, uint16_t port, unsigned int size);
void emul_port_out(struct vcpu *v, uint16_t port, unsigned int size, uint32_t value);
void emul_port_power(uint16_t port);	/* where PM1a control is: needs the control right */
bool emul_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
bool emul_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * hcall.h - the hypercalls (keel/abi.h has the contract of each).
 */
#ifndef METAKERNEL_ENTRY_HCALL_H
#define METAKERNEL_ENTRY_HCALL_H

#include "run/vcpu.h"

void hcall_handle(struct vcpu *v, struct regs *r);

#endif

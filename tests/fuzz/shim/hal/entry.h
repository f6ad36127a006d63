/* SPDX-License-Identifier: MIT */
/*
 * shim/hal/entry.h - hal/entry.h for the fuzzer of hypercalls: what the metakernel has at fixed addresses of its own is
 * where hcall_machine.c says.
 */
#ifndef FUZZ_SHIM_HAL_ENTRY_H
#define FUZZ_SHIM_HAL_ENTRY_H

#include_next <hal/entry.h>

extern char *fuzz_cpu;			/* the page of the CPU that is played */
extern struct vcpu_ro fuzz_mk_ro;	/* the metakernel's own descriptors */

#undef MK_CPU_VA
#define MK_CPU_VA	((uintptr_t)fuzz_cpu)
#undef KEEL_VCPU_RO_VA
#define KEEL_VCPU_RO_VA	((uintptr_t)&fuzz_mk_ro)

#endif

/* SPDX-License-Identifier: MIT */
/*
 * trap.h - where every entry into the metakernel arrives.
 */
#ifndef METAKERNEL_ENTRY_TRAP_H
#define METAKERNEL_ENTRY_TRAP_H

#include <hal/entry.h>

uint64_t trap_handle(struct regs *regs);	/* NULL: none yet, this CPU begins. -> the CR3 to leave with */
void mk_trap_handle(struct regs *regs);
void mk_resume_db(struct regs *regs, uint64_t cr3) __attribute__((noreturn));

#endif

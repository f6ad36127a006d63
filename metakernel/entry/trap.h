/* SPDX-License-Identifier: MIT */
/*
 * trap.h - where every entry into the metakernel arrives.
 */
#ifndef METAKERNEL_ENTRY_TRAP_H
#define METAKERNEL_ENTRY_TRAP_H

#include <hal/entry.h>

uint64_t trap_handle(struct regs *regs, bool hcall);	/* NULL: none yet, this CPU begins. -> the CR3 to leave with */
/*
 * What is done often and needs little, without the ways in and out of everything else (fast.c). -> the CR3 to leave with; 0:
 * nothing was done, it goes the usual way.
 */
uint64_t fast_call(uint64_t handle);
uint64_t fast_reply_wait(uint64_t flags);
uint64_t fast_kick(uint64_t handle);
void mk_trap_handle(struct regs *regs);
void mk_resume_db(struct regs *regs, uint64_t cr3) __attribute__((noreturn));

#endif

/* SPDX-License-Identifier: MIT */
/*
 * hostile_asm.h - offsets shared by entry.S and hostile.h, which asserts them.
 */
#ifndef HOSTILE_ASM_H
#define HOSTILE_ASM_H

#define HOW_NOTHING	0	/* the attempt came back by itself */
#define HOW_KERNEL	1	/* event in ring 1 */
#define HOW_USER	2	/* event in ring 3 */
#define HOW_SYSCALL	3
#define HOW_PF		4	/* #PF of ring 3, delivered directly */
#define HOW_BAD_IRET	5
#define HOW_RETURNED	6	/* a hypercall that should not return did */

#define HAP_HOW		0
#define HAP_RAX		8
#define HAP_RBX		16
#define HAP_RCX		24
#define HAP_RDX		32
#define HAP_RSI		40
#define HAP_RDI		48
#define HAP_RSP		56
#define HAP_RESULT	64

#define USER_RIP	0
#define USER_CS		8
#define USER_RFLAGS	16
#define USER_RSP	24
#define USER_SS		32
#define USER_RAX	40
#define USER_RCX	48
#define USER_RDX	56
#define USER_RSI	64
#define USER_RDI	72

#endif

/* SPDX-License-Identifier: MIT */
/*
 * entry.S - first instructions of the partition.
 *
 * The metakernel enters with RDI = struct keel_start_info, RSP = top of a 16 KiB stack, virtual
 * interrupts off. start.c picks a larger stack out of the free memory and returns here to move to
 * it; nothing of the first stack is used after that.
 */
#define KEEL_NOTE_SHARED		/* nothing asks for the machine address of code */
#include <keel/note.h>

	.section .text._keel_entry, "ax", @progbits
	.globl	_keel_entry
	.type	_keel_entry, @function
_keel_entry:
	xorl	%ebp, %ebp
	cld
	fninit
	pushq	$0x1f80			/* MXCSR: all exceptions masked, round to nearest */
	ldmxcsr	(%rsp)
	popq	%rax
	call	rt_early		/* RDI = start info; returns the top of the real stack */
	movq	%rax, %rsp
	xorl	%ebp, %ebp
	call	rt_main			/* does not return */
	ud2
	.size	_keel_entry, . - _keel_entry

	.section .note.GNU-stack, "", @progbits

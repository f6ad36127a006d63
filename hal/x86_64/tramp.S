/* SPDX-License-Identifier: MIT */
/*
 * tramp.S - the instructions that run in ring 0 under a partition's page tables, and the entry
 * into the metakernel proper behind them.
 *
 * Executed at KEEL_TRAMP_VA (this text is mapped there, read-only). Design rule 5: constant
 * addresses only; no partition pointer, no partition stack, no call, ret, indirect jump, no %gs.
 * A jump to the metakernel's own text goes through mk_entry_from_tramp, an absolute symbol that
 * module.mk corrects for the distance between link address and KEEL_TRAMP_VA.
 */
#include <hal/entry.h>

/* struct regs below vector and error code (hal/entry.h). */
.macro PUSH_REGS
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
.endm

.macro POP_REGS
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
.endm

	.section .tramp_text, "ax"
	.code64

/* 256 stubs of 16 bytes; the CPU pushes an error code for the vectors in the list. */
	.globl	tramp_stubs
	.balign	16
tramp_stubs:
	.set	vec, 0
	.rept	256
	.balign	16
	.if (vec == 8) || (vec == 10) || (vec == 11) || (vec == 12) || (vec == 13) || (vec == 14) || (vec == 17) || (vec == 21) || (vec == 29) || (vec == 30)
	.else
	pushq	$0
	.endif
	pushq	$vec
	jmp	tramp_common
	.set	vec, vec + 1
	.endr

/*
 * Vectors 17, 21, 29 and 30 push an error code as exceptions but not as external interrupts
 * (an MSI can carry any vector above 15; design rule 8). The ring-0 stack starts 16-aligned at a
 * constant, so RSP tells which it was.
 */
	.globl	tramp_maybe_error
	.balign	32
tramp_maybe_error:
	.irp	vec, 17, 21, 29, 30
	.balign	32
	cmpq	$(KEEL_STACK_VA + STK_RSP0 - 48), %rsp
	je	1f
	pushq	$0
1:	pushq	$\vec
	jmp	tramp_common
	.endr

tramp_common:
	PUSH_REGS
	movq	KEEL_VCPU_RO_VA + RO_MK_CR3, %rax
	movq	%rax, %cr3
	jmp	mk_entry_from_tramp

/* A hypercall: RAX and the arguments are still in their registers when the metakernel looks. */
	.globl	tramp_hcall
tramp_hcall:
	pushq	$0
	pushq	$KEEL_HC_VECTOR
	PUSH_REGS
	movq	KEEL_VCPU_RO_VA + RO_MK_CR3, %rcx
	movq	%rcx, %cr3
	jmp	mk_hcall_from_tramp

	.globl	tramp_exit
tramp_exit:			/* RAX = CR3 of the vCPU, RSP = struct regs in the stack page */
	movq	%rax, %cr3
	POP_REGS
	addq	$16, %rsp
	iretq

/* SYSCALL: three instructions. vif is 0 all through ring 3, so nothing is masked here. */
	.globl	tramp_syscall
	.balign	16
tramp_syscall:
	movq	%rsp, KEEL_VCPU_VA + KEEL_VP_USER_RSP
	movq	$(KEEL_VCPU_RO_VA + RO_FRAME_SYSCALL), %rsp
	iretq

/* #PF: one from ring 3 on a lower-half address goes to ring 1 at once, if the vCPU asked for it. */
	.globl	tramp_pf
	.balign	16
tramp_pf:
	testb	$2, 16(%rsp)
	jz	1f
	cmpb	$0, KEEL_VCPU_RO_VA + RO_PF_DIRECT
	je	1f
	pushq	%rax
	movq	%cr2, %rax
	testq	%rax, %rax
	js	2f
	movq	%rax, KEEL_VCPU_VA + KEEL_VP_CR2
	popq	%rax
	popq	KEEL_VCPU_VA + KEEL_VP_PF_ERROR
	popq	KEEL_VCPU_VA + KEEL_VP_PF_RIP
	popq	KEEL_VCPU_VA + KEEL_VP_PF_CS
	popq	KEEL_VCPU_VA + KEEL_VP_PF_RFLAGS
	popq	KEEL_VCPU_VA + KEEL_VP_PF_RSP
	popq	KEEL_VCPU_VA + KEEL_VP_PF_SS
	movq	$(KEEL_VCPU_RO_VA + RO_FRAME_PF), %rsp
	iretq
2:	popq	%rax
1:	pushq	$14
	jmp	tramp_common

/* NMI: note it and go on; no CR3 switch, no decision (design rule 14). */
	.globl	tramp_nmi
	.balign	16
tramp_nmi:
	incl	KEEL_STACK_VA + STK_NMI_COUNT
	iretq

/* CSTAR: never legal to arrive here in earnest; 32-bit SYSCALL from AMD compatibility mode. */
	.globl	tramp_cstar
	.balign	16
tramp_cstar:
	movq	%rsp, KEEL_VCPU_VA + KEEL_VP_USER_RSP
	movq	$(KEEL_STACK_VA + STK_RSP0), %rsp
	pushq	$KEEL_SS_USER
	pushq	KEEL_VCPU_VA + KEEL_VP_USER_RSP
	pushq	%r11
	pushq	$KEEL_CS_USER32
	pushq	%rcx
	pushq	$0
	pushq	$6		/* as if it were #UD: 32-bit system calls are not offered */
	jmp	tramp_common
	.globl	tramp_end
tramp_end:

/* ---- Under the metakernel's own CR3 -------------------------------------------------------- */
	.text
	.globl	mk_entry
mk_entry:
	cld
	movq	%rsp, %rdi
mk_begin:
	movq	$MK_STACK_TOP, %rsp
	xorl	%esi, %esi
mk_handle:
	xorl	%ebp, %ebp
	call	trap_handle
mk_exit:
	movq	$(KEEL_STACK_VA + STK_RSP0 - REGS_SIZE), %rsp
	jmp	tramp_exit_from_mk

/* Calls with a fast way (entry/fast.c): the first argument is in C's register. */
.macro FAST number, function
	cmpq	$\number, %rax
	jne	1f
	call	\function
	testq	%rax, %rax
	jnz	mk_exit
	jmp	mk_slow
1:
.endm

	.globl	mk_hcall
mk_hcall:
	cld
	movq	$MK_STACK_TOP, %rsp
	FAST	KEEL_HC_CALL, fast_call
	FAST	KEEL_HC_REPLY_WAIT, fast_reply_wait
	FAST	KEEL_HC_CHAN_KICK, fast_kick
mk_slow:
	movb	$1, %sil		/* a hypercall, whose frame lies where they do */
	jmp	mk_handle

	.globl	entry_start
entry_start:			/* an entry from nobody */
	xorl	%edi, %edi
	jmp	mk_begin

	.globl	mk_resume_db	/* back to ring 0 in the trampoline: rdi = struct regs, rsi = CR3 */
mk_resume_db:
	movq	%rsi, %rax
	movq	%rdi, %rsp
	jmp	tramp_exit_from_mk

/*
 * Traps taken while the metakernel runs. NMI: nothing. External interrupts come only where it
 * waits with interrupts on (idle). Everything else is our bug: panic.
 */
	.globl	mk_stubs
	.balign	16
mk_stubs:
	.set	vec, 0
	.rept	256
	.balign	16
	.if (vec == 8) || (vec == 10) || (vec == 11) || (vec == 12) || (vec == 13) || (vec == 14) || (vec == 17) || (vec == 21) || (vec == 29) || (vec == 30)
	.else
	pushq	$0
	.endif
	pushq	$vec
	jmp	mk_trap
	.set	vec, vec + 1
	.endr
mk_trap:
	PUSH_REGS
	cld
	movq	%rsp, %rdi
	movq	%rsp, %rbx
	andq	$-16, %rsp
	call	mk_trap_handle
	movq	%rbx, %rsp
	POP_REGS
	addq	$16, %rsp
	iretq
	.section .note.GNU-stack, "", @progbits

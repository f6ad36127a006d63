/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * entry.S - into and out of a kernel in ring 1.
 *
 * The metakernel never writes to a kernel stack. It leaves what the CPU would have pushed in the
 * vCPU page and enters here; these stubs build the frame where Linux expects it and go on to the
 * handler that Linux put into its IDT. Virtual IF is 0 then, so nothing can overwrite the page
 * meanwhile. The way back to ring 3 is a plain IRETQ; ring 3 counts as "interrupts enabled", so
 * virtual IF stays 0 across it and needs no store.
 *
 *   GS base   user's in ring 3 and at *_user entries, until switched here
 *   USER_GS   user's GS base while the kernel runs; KERNEL_GS: this CPU's per-CPU base
 */
#include <linux/export.h>
#include <linux/init.h>
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/processor-flags.h>
#include <asm/ptrace-abi.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>
#include <keel/abi.h>
#include "../entry/calling.h"

/* A word of the vCPU page: absolute, reachable with a sign-extended 32-bit displacement. */
#define VP(offset)	KEEL_VCPU_VA + KEEL_VP_##offset

/* From ring 3: GS to the kernel's, RSP to the top of the task's stack. Uses no other register. */
.macro KEEL_FROM_USER
	rdgsbase %rsp
	movq	%rsp, VP(USER_GS)
	movq	VP(KERNEL_GS), %rsp
	wrgsbase %rsp
	movq	PER_CPU_VAR(pcpu_hot + X86_top_of_stack), %rsp
.endm

.macro KEEL_PUSH_EVENT
	pushq	VP(EV_SS)
	pushq	VP(EV_RSP)
	pushq	VP(EV_RFLAGS)
	pushq	VP(EV_CS)
	pushq	VP(EV_RIP)
.endm

/* The error code, if the event has one, and off to the handler. */
.macro KEEL_TO_HANDLER
	testb	$(KEEL_EV_HAS_ERROR >> 8), VP(EV_VECTOR) + 1
	jz	.Lno_error_\@
	pushq	VP(EV_ERROR)
.Lno_error_\@:
	ANNOTATE_RETPOLINE_SAFE
	jmp	*VP(EV_HANDLER)
.endm

.pushsection .entry.text, "ax"

/*
 * From here to keel_text_end no NMI is delivered: it would overwrite the event in the vCPU page, or find
 * the user's GS base or no stack. Elsewhere an NMI may come at any instruction, also in the handler of
 * another one: exc_nmi() expects that.
 */
SYM_INNER_LABEL(keel_text_begin, SYM_L_GLOBAL)

/* SYSCALL from ring 3. RCX, R11 as the CPU left them. */
SYM_CODE_START(keel_entry_syscall)
	UNWIND_HINT_ENTRY
	KEEL_FROM_USER
	pushq	$__USER_DS
	pushq	VP(USER_RSP)
	pushq	%r11
	pushq	$__USER_CS
	pushq	%rcx
	jmp	entry_SYSCALL_64_after_hwframe
SYM_CODE_END(keel_entry_syscall)

/* #PF from ring 3 on a lower-half address; the metakernel has not looked at it. */
SYM_CODE_START(keel_entry_pf_user)
	UNWIND_HINT_ENTRY
	KEEL_FROM_USER
	pushq	VP(PF_SS)
	pushq	VP(PF_RSP)
	pushq	VP(PF_RFLAGS)
	pushq	VP(PF_CS)
	pushq	VP(PF_RIP)
	pushq	VP(PF_ERROR)
	jmp	asm_exc_page_fault
SYM_CODE_END(keel_entry_pf_user)

/* Anything else from ring 3. */
SYM_CODE_START(keel_entry_event_user)
	UNWIND_HINT_ENTRY
	KEEL_FROM_USER
	KEEL_PUSH_EVENT
	KEEL_TO_HANDLER
SYM_CODE_END(keel_entry_event_user)

/*
 * An event in ring 1. RSP is the interrupted one, aligned as the CPU does it. (The metakernel takes a
 * fault in the first 64 bytes for a stack overflow: all pushes are there.)
 *
 * An interrupt that arrives just before keel_iret_kernel's IRETQ finds the frame it is about to
 * pop right at its RSP, and all other registers restored. Use that frame again: interrupts that
 * come as fast as they are handled would otherwise fill the stack with frames.
 */
SYM_CODE_START(keel_entry_event_kernel)
	UNWIND_HINT_ENTRY
	KEEL_PUSH_EVENT
	testb	$(KEEL_EV_HAS_ERROR >> 8), VP(EV_VECTOR) + 1
	jz	.Lkernel_no_error
	pushq	VP(EV_ERROR)
	ANNOTATE_RETPOLINE_SAFE
	jmp	*VP(EV_HANDLER)
.Lkernel_no_error:
	cmpb	$0x20, VP(EV_VECTOR)		/* not an interrupt */
	jb	.Lkernel_handler
	cmpq	$keel_iret_window, VP(EV_RIP)
	je	.Lkernel_reuse_rax
	cmpq	$keel_iret_test, VP(EV_RIP)
	jb	.Lkernel_handler
	cmpq	$keel_iret_iret, VP(EV_RIP)
	ja	.Lkernel_handler
	movq	VP(EV_RSP), %rsp
.Lkernel_handler:
	ANNOTATE_RETPOLINE_SAFE
	jmp	*VP(EV_HANDLER)
.Lkernel_reuse_rax:
	movq	VP(EV_RSP), %rsp
	popq	%rax
	ANNOTATE_RETPOLINE_SAFE
	jmp	*VP(EV_HANDLER)
SYM_CODE_END(keel_entry_event_kernel)

/*
 * Return to the kernel, RSP -> frame. early_xen_iret_patch jumps here. Sets virtual IF as the
 * frame says (IRETQ leaves it alone) and looks for what came while it was 0.
 */
SYM_CODE_START(keel_iret_kernel)
	UNWIND_HINT_IRET_REGS
	testb	$(X86_EFLAGS_IF >> 8), 2*8+1(%rsp)
	jz	keel_iret_iret
	movb	$(X86_EFLAGS_IF >> 8), VP(VIF)
SYM_INNER_LABEL(keel_iret_test, SYM_L_LOCAL)
	cmpb	$0, VP(PENDING)
	jne	.Liret_pending
SYM_INNER_LABEL(keel_iret_iret, SYM_L_LOCAL)
	iretq
.Liret_pending:
	pushq	%rax
	movl	$KEEL_HC_IRQ_WINDOW, %eax
	int	$KEEL_HC_VECTOR
SYM_INNER_LABEL(keel_iret_window, SYM_L_LOCAL)
	popq	%rax
	jmp	keel_iret_iret
SYM_CODE_END(keel_iret_kernel)

/*
 * Return to ring 3, RSP -> struct pt_regs. The metakernel knows the four tail labels: an event
 * that must be delivered while RIP is among them continues at the matching fix-up, which finishes
 * the return by hypercall, and the event is then delivered as one from ring 3.
 */
SYM_CODE_START(keel_return_to_user)
	UNWIND_HINT_REGS
	POP_REGS pop_rdi=0
SYM_INNER_LABEL(keel_tail_test, SYM_L_GLOBAL)
	cmpb	$0, VP(PENDING)
	jne	keel_fix_pop
	movq	VP(USER_GS), %rdi
	wrgsbase %rdi
SYM_INNER_LABEL(keel_tail_pop, SYM_L_GLOBAL)
	popq	%rdi
SYM_INNER_LABEL(keel_tail_skip, SYM_L_GLOBAL)
	addq	$8, %rsp
SYM_INNER_LABEL(keel_tail_iret, SYM_L_GLOBAL)
	iretq

SYM_INNER_LABEL(keel_fix_pop, SYM_L_GLOBAL)	/* RSP -> rdi, orig_rax, frame */
	popq	%rdi
SYM_INNER_LABEL(keel_fix_skip, SYM_L_GLOBAL)	/* RSP -> orig_rax, frame */
	addq	$8, %rsp
SYM_INNER_LABEL(keel_fix_iret, SYM_L_GLOBAL)	/* RSP -> frame; stays there, see keel_bad_iret */
	movq	%rax, VP(RET1)			/* KEEL_HC_IRET loads RAX from there */
	movq	0*8(%rsp), %rax
	movq	%rax, VP(IRET) + 0*8
	movq	1*8(%rsp), %rax
	movq	%rax, VP(IRET) + 1*8
	movq	2*8(%rsp), %rax
	movq	%rax, VP(IRET) + 2*8
	movq	3*8(%rsp), %rax
	movq	%rax, VP(IRET) + 3*8
	movq	4*8(%rsp), %rax
	movq	%rax, VP(IRET) + 4*8
	movl	$KEEL_HC_IRET, %eax
	int	$KEEL_HC_VECTOR
	ud2
SYM_CODE_END(keel_return_to_user)

/*
 * The frame of a return to ring 3 was refused (sigreturn can ask for anything). RSP -> that frame,
 * at the top of the task's stack; all other registers are the user's. Deliver the fault as if it
 * had come from ring 3 right after the return: what fixup_bad_iret() does natively. The user's GS
 * base is in USER_GS already, GS itself may be either.
 */
SYM_CODE_START(keel_bad_iret)
	UNWIND_HINT_ENTRY
	pushq	VP(EV_ERROR)
	pushq	%rdi
	movq	VP(KERNEL_GS), %rdi
	wrgsbase %rdi
	popq	%rdi
	ANNOTATE_RETPOLINE_SAFE
	jmp	*VP(EV_HANDLER)
SYM_CODE_END(keel_bad_iret)
SYM_INNER_LABEL(keel_text_end, SYM_L_GLOBAL)
.popsection

/* ---- pv_ops that may not touch any register but RAX -------------------------------------------- */

.pushsection .noinstr.text, "ax"

SYM_FUNC_START(keel_save_fl)
	movl	VP(FLAGS), %eax
	RET
SYM_FUNC_END(keel_save_fl)

SYM_FUNC_START(keel_irq_disable)
	movb	$0, VP(VIF)
	RET
SYM_FUNC_END(keel_irq_disable)

SYM_FUNC_START(keel_irq_enable)
	movb	$(X86_EFLAGS_IF >> 8), VP(VIF)
	cmpb	$0, VP(PENDING)
	jne	1f
	RET
1:	pushq	%rax
	movl	$KEEL_HC_IRQ_WINDOW, %eax
	int	$KEEL_HC_VECTOR
	popq	%rax
	RET
SYM_FUNC_END(keel_irq_enable)

SYM_FUNC_START(keel_read_cr2)
	movq	VP(CR2), %rax
	RET
SYM_FUNC_END(keel_read_cr2)

.popsection

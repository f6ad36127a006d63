/* SPDX-License-Identifier: MIT */
/*
 * entry.S - the hostile partition's machine code: start, the ring-1 entry points it registers, the
 * way to ring 3 and back, and the instruction sequences it attacks with.
 *
 * Whatever happens to an attack, it ends in recover: the last attempt() or go_user() returns, with
 * what happened in struct happened and the registers of that moment in it.
 */
#include <keel/note.h>
#include "hostile_asm.h"

	.text
	.globl	_start
_start:
	cld
	xorl	%ebp, %ebp
	call	hostile_main
	ud2

/* Where vCPUs other than the first begin: rdi = start info, behind which the stack is. */
	.globl	clone_start
clone_start:
	leaq	4096 + 16384(%rdi), %rsp
	cld
	xorl	%ebp, %ebp
	call	hostile_main
	ud2

/* For a vCPU without a stack: rdi = three words. Count, wait until the second is not 0, stop. */
	.globl	bounce
bounce:
	movq	%rsp, 16(%rdi)
	lock incq (%rdi)
1:	pause
	cmpq	$0, 8(%rdi)
	je	1b
	movl	$KEEL_HC_VCPU_STOP, %eax
	int	$KEEL_HC_VECTOR
	ud2

	.macro	PUSH_CALLEE_SAVED
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	.endm

	.macro	SAVE_REGS how
	movl	$\how, happened + HAP_HOW
	movq	%rax, happened + HAP_RAX
	movq	%rbx, happened + HAP_RBX
	movq	%rcx, happened + HAP_RCX
	movq	%rdx, happened + HAP_RDX
	movq	%rsi, happened + HAP_RSI
	movq	%rdi, happened + HAP_RDI
	movq	%rsp, happened + HAP_RSP
	.endm

/* int attempt(fn, a, b, c): call fn(a, b, c); 1 if an event came instead of its return. */
	.globl	attempt
attempt:
	PUSH_CALLEE_SAVED
	movl	$0, happened + HAP_HOW
	movq	%rsp, recover_rsp
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	movq	%rcx, %rdx
	call	*%rax
	movq	%rax, happened + HAP_RESULT
	xorl	%eax, %eax
	jmp	1f
recover:
	cld
	cmpq	$0, recover_rsp
	je	stray
	movq	recover_rsp, %rsp
	movl	$1, %eax
1:	movq	$0, recover_rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* void go_user(struct user_regs *): own IRETQ to ring 3 (or wherever its selectors say). */
	.globl	go_user
go_user:
	PUSH_CALLEE_SAVED
	movl	$0, happened + HAP_HOW
	movq	%rsp, recover_rsp
	pushq	USER_SS(%rdi)
	pushq	USER_RSP(%rdi)
	pushq	USER_RFLAGS(%rdi)
	pushq	USER_CS(%rdi)
	pushq	USER_RIP(%rdi)
	movq	USER_RAX(%rdi), %rax
	movq	USER_RCX(%rdi), %rcx
	movq	USER_RDX(%rdi), %rdx
	movq	USER_RSI(%rdi), %rsi
	movq	USER_RDI(%rdi), %rdi
	iretq

/* void hc_iret(uint64_t number): hypercall with the frame already in the vCPU page. */
	.globl	hc_iret
hc_iret:
	PUSH_CALLEE_SAVED
	movl	$0, happened + HAP_HOW
	movq	%rsp, recover_rsp
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	int	$KEEL_HC_VECTOR
	SAVE_REGS HOW_RETURNED
	jmp	recover

/*
 * Entry points. A fault within 64 bytes of ev_kernel ends the partition, so it stands alone.
 */
	.balign	128
	.globl	ev_kernel
ev_kernel:
	jmp	1f
	.balign	128
1:	SAVE_REGS HOW_KERNEL
	jmp	recover
/*
 * The same for who wants interrupts: counted in irq_c(), then back to where they came. Up to ev_irq_end the frame is
 * in the vCPU page alone.
 */
	.balign	128
	.globl	ev_irq, ev_irq_end
ev_irq:
	pushq	KEEL_VCPU_VA + KEEL_VP_EVENT + 40
	pushq	KEEL_VCPU_VA + KEEL_VP_EVENT + 32
	pushq	KEEL_VCPU_VA + KEEL_VP_EVENT + 24
	pushq	KEEL_VCPU_VA + KEEL_VP_EVENT + 16
	pushq	KEEL_VCPU_VA + KEEL_VP_EVENT + 8
	pushq	KEEL_VCPU_VA + KEEL_VP_EVENT + 56
ev_irq_end:
	cmpb	$2, (%rsp)
	je	1f
	cmpb	$0x20, (%rsp)
	jb	2f
1:	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbx
	movzbl	80(%rsp), %edi
	movq	104(%rsp), %rsi
	movq	%rsp, %rbx
	andq	$-16, %rsp
	call	irq_c
	movq	%rbx, %rsp
	popq	%rbx
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$8, %rsp
	iretq
2:	SAVE_REGS HOW_KERNEL
	jmp	recover
	.globl	ev_user
ev_user:
	SAVE_REGS HOW_USER
	jmp	recover
	.globl	ev_syscall
ev_syscall:
	SAVE_REGS HOW_SYSCALL
	jmp	recover
	.globl	ev_pf_user
ev_pf_user:
	SAVE_REGS HOW_PF
	jmp	recover
	.globl	ev_bad_iret
ev_bad_iret:
	SAVE_REGS HOW_BAD_IRET
	jmp	recover
	.globl	ev_kernel_stack
ev_kernel_stack:		/* an entry point that needs the stack, for the attack on it */
	pushq	%rax
	jmp	recover

/* ---- Sequences for ring 3, also callable from ring 1 ---------------------------------------- */
	.section .user, "ax"
	.macro	FN name
	.globl	\name
	.balign	16
\name:
	.endm

FN u_syscall
	syscall
	ud2
FN u_flags
	pushfq
	popq	%rax
	movl	%cs, %edx
	movl	%ss, %esi
	syscall
	ud2
FN u_read
	movb	(%rdi), %al
	syscall
	ud2
FN u_int15
	int	$KEEL_HC_VECTOR
	syscall
	ud2
FN u_spin
	pause
	jmp	u_spin
FN u_icebp
	.byte	0xf1
	syscall
	ud2
FN u_int3
	int3
	syscall
	ud2
FN u_ud2
	ud2
	syscall
FN u_popf_syscall		/* rsi = flags */
	pushq	%rsi
	popfq
	syscall
	ud2
FN u_popf_int15
	pushq	%rsi
	popfq
	int	$KEEL_HC_VECTOR
	ud2
FN u_movss_syscall		/* the interrupt shadow of MOV SS, then a way into ring 0 */
	pushq	%rsi
	movl	$KEEL_SS_USER, %eax
	popfq
	movl	%eax, %ss
	syscall
	ud2
FN u_movss_int3
	pushq	%rsi
	movl	$KEEL_SS_USER, %eax
	popfq
	movl	%eax, %ss
	int3
	ud2
FN u_movss_icebp
	pushq	%rsi
	movl	$KEEL_SS_USER, %eax
	popfq
	movl	%eax, %ss
	.byte	0xf1
	ud2
FN u_store
	movb	$1, (%rdi)
	nop
	syscall
	ud2
FN u_rdtsc
	rdtsc
	syscall
	ud2
	.macro	WATCHED_SS name, way:vararg	/* rdi: a watched selector */
FN u_watchss_\name
	movw	(%rdi), %ss
	\way
	nop
	syscall
	ud2
	.endm
	WATCHED_SS syscall, syscall
	WATCHED_SS int15, int $KEEL_HC_VECTOR
	WATCHED_SS int3, int3
	WATCHED_SS icebp, .byte 0xf1
	WATCHED_SS ud2, ud2
	WATCHED_SS fault, movb 0x300000, %al
	WATCHED_SS hlt, hlt
FN u_iretq			/* rsi = flags, rdx = CS, rdi = RIP, rcx = SS */
	leaq	-64(%rsp), %rax
	pushq	%rcx
	pushq	%rax
	pushq	%rsi
	pushq	%rdx
	pushq	%rdi
	iretq
FN u_iretl			/* as above, 32-bit; in QEMU, VM=1 in the image is believed */
	subq	$64, %rsp
	movl	%edi, (%rsp)
	movl	%edx, 4(%rsp)
	movl	%esi, 8(%rsp)
	leal	32(%rsp), %eax
	movl	%eax, 12(%rsp)
	movl	%ecx, 16(%rsp)
	movl	%ecx, 20(%rsp)
	movl	%ecx, 24(%rsp)
	movl	%ecx, 28(%rsp)
	movl	%ecx, 32(%rsp)
	iretl
FN u_lretq			/* rdx = CS, rdi = RIP */
	pushq	%rdx
	pushq	%rdi
	lretq
FN u_lcall			/* rdx = selector */
	subq	$16, %rsp
	movl	$0, (%rsp)
	movl	%edx, 4(%rsp)
	lcall	*(%rsp)
	syscall
	ud2

	.code32
FN u32_syscall
	syscall
	ud2
FN u32_sysenter
	sysenter
	ud2
	.code64
FN u_sysenter
	sysenter
	ud2
	.globl	u_sysexit_ret
FN u_done			/* where a probe's RET goes in ring 3 */
	syscall
	ud2

/* Real mode address 0x1334 in QEMU's idea of VM86; also what ring 0 must never execute. */
	.globl	payload, payload_end
	.balign	16
payload:
	movl	%cs, %eax
	movl	%eax, payload_ran
	movl	$0, %eax
	ud2
payload_end:

/*
 * One privileged instruction each: text, allowed in ring 1 without effect (1) or must fault (0) -
 * in ring 3 all must fault. Arguments: rdi = 64 bytes of scratch, rax = CR3.
 */
	.set	TRAMP, KEEL_TRAMP_VA
	.macro	PROBE name, text
	.section .user, "ax"
	.balign	16
9:	\text
	ret
	.section .rodata
8:	.asciz	"\name"
	.section .data.probes, "aw"
	.quad	9b, 8b
	.endm

	.section .data.probes, "aw"
	.balign	8
	.globl	probes
probes:
	PROBE "cli", "cli"
	PROBE "sti", "sti"
	PROBE "in al,dx", "movl $0xf4,%edx; inb %dx,%al"
	PROBE "in eax,dx", "movl $0xcf8,%edx; inl %dx,%eax"
	PROBE "in al,imm", "inb $0x64,%al"
	PROBE "out dx,al", "movl $0xf4,%edx; movl $0x55,%eax; outb %al,%dx"
	PROBE "out dx,eax", "movl $0xf4,%edx; movl $0x55,%eax; outl %eax,%dx"
	PROBE "out imm,al", "movb $6,%al; outb %al,$0xf4"
	PROBE "insb", "movl $0xf4,%edx; insb"
	PROBE "outsb", "movl $0xf4,%edx; movq %rdi,%rsi; outsb"
	PROBE "rep outsl", "movl $0xf4,%edx; movq %rdi,%rsi; movl $4,%ecx; rep outsl"
	PROBE "rep insl", "movl $0xf4,%edx; movl $4,%ecx; rep insl"
	PROBE "mov rax,cr0", "movq %cr0,%rax"
	PROBE "mov rax,cr2", "movq %cr2,%rax"
	PROBE "mov rax,cr3", "movq %cr3,%rax"
	PROBE "mov rax,cr4", "movq %cr4,%rax"
	PROBE "mov rax,cr8", "movq %cr8,%rax"
	PROBE "mov cr0,0", "xorl %eax,%eax; movq %rax,%cr0"
	PROBE "mov cr2,rax", "movq %rax,%cr2"
	PROBE "mov cr3,rax", "movq %rax,%cr3"
	PROBE "mov cr4,0", "xorl %eax,%eax; movq %rax,%cr4"
	PROBE "mov cr4,-1", "movq $-1,%rax; movq %rax,%cr4"
	PROBE "mov cr8,15", "movl $15,%eax; movq %rax,%cr8"
	PROBE "mov rax,dr0", "movq %dr0,%rax"
	PROBE "mov rax,dr7", "movq %dr7,%rax"
	PROBE "mov dr0,rax", "movq $TRAMP,%rax; movq %rax,%dr0"
	PROBE "mov dr7,-1", "movl $0xffff27ff,%eax; movq %rax,%dr7"
	PROBE "mov dr6,0", "xorl %eax,%eax; movq %rax,%dr6"
	PROBE "clts", "clts"
	PROBE "lmsw", "xorl %eax,%eax; lmsw %ax"
	PROBE "lgdt", "lgdt (%rdi)"
	PROBE "lidt", "lidt (%rdi)"
	PROBE "lldt", "xorl %eax,%eax; lldt %ax"
	PROBE "ltr", "movl $0x90,%eax; ltr %ax"
	PROBE "rdmsr efer", "movl $0xc0000080,%ecx; rdmsr"
	PROBE "wrmsr lstar", "movl $0xc0000082,%ecx; xorl %eax,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr cstar", "movl $0xc0000083,%ecx; xorl %eax,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr star", "movl $0xc0000081,%ecx; xorl %eax,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr sfmask", "movl $0xc0000084,%ecx; xorl %eax,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr efer", "movl $0xc0000080,%ecx; xorl %eax,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr sysenter_cs", "movl $0x174,%ecx; movl $0x10,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr apic_base", "movl $0x1b,%ecx; xorl %eax,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr x2apic icr", "movl $0x830,%ecx; movl $0x4500,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr pat", "movl $0x277,%ecx; xorl %eax,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr debugctl", "movl $0x1d9,%ecx; movl $3,%eax; xorl %edx,%edx; wrmsr"
	PROBE "wrmsr gs_base bad", "movl $0xc0000101,%ecx; xorl %eax,%eax; movl $0x800000,%edx; wrmsr"
	PROBE "wrmsr fs_base bad", "movl $0xc0000100,%ecx; xorl %eax,%eax; movl $0x800000,%edx; wrmsr"
	PROBE "rdpmc", "xorl %ecx,%ecx; rdpmc"
	PROBE "wbinvd", "wbinvd"
	PROBE "invd", "invd"
	PROBE "invlpg", "invlpg (%rdi)"
	PROBE "invlpg hole", "invlpg TRAMP"
	PROBE "swapgs", "swapgs; swapgs"
	PROBE "sysretq", "leaq 1f(%rip),%rcx; movl $2,%r11d; .byte 0x48,0x0f,0x07; 1: nop"
	PROBE "sysexit", "leaq 1f(%rip),%rdx; movq %rsp,%rcx; .byte 0x48,0x0f,0x35; 1: nop"
	PROBE "xsetbv 0", "xorl %ecx,%ecx; xorl %edx,%edx; xorl %eax,%eax; xsetbv"
	PROBE "xsetbv -1", "xorl %ecx,%ecx; movl $-1,%edx; movl $-1,%eax; xsetbv"
	PROBE "invpcid", "xorl %eax,%eax; invpcid (%rdi),%rax"
	PROBE "xsaves", "movl $3,%eax; xorl %edx,%edx; xsaves64 (%rdi)"
	PROBE "stac", "stac"
	PROBE "monitor", "movq %rdi,%rax; xorl %ecx,%ecx; xorl %edx,%edx; monitor"
	PROBE "mwait", "xorl %eax,%eax; xorl %ecx,%ecx; mwait"
	PROBE "vmxoff", "vmxoff"
	PROBE "vmrun", ".byte 0x0f,0x01,0xd8"
	PROBE "stgi", ".byte 0x0f,0x01,0xdc"
	PROBE "rsm", "rsm"
	.section .data.probes, "aw"
	.quad	0, 0

	.section .note.GNU-stack, "", @progbits

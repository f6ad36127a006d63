/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * head.S - where the metakernel enters the kernel.
 *
 * CR3 = early_top_pgt, which maps the image at its link address as it stands in the file.
 * RSI = physical address of struct boot_params. Ring 1, virtual IF 0, no stack, GS base 0.
 * All of head_64.S is skipped: mode, descriptor tables and page tables are there already.
 */
#include <linux/elfnote.h>
#include <linux/init.h>
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/page_types.h>
#include <asm/percpu.h>
#include <asm/unwind_hints.h>
#include <keel/abi.h>

	__INIT
SYM_CODE_START(keel_start)
	UNWIND_HINT_END_OF_STACK
	cld
	leaq	__top_init_kernel_stack(%rip), %rsp
	movq	$INIT_PER_CPU_VAR(fixed_percpu_data), %rdx
	wrgsbase %rdx
	movq	%rdx, KEEL_VCPU_VA + KEEL_VP_KERNEL_GS
	movq	%rsi, %rdi
	call	keel_start_kernel
	ud2
SYM_CODE_END(keel_start)
	__FINIT

/*
 * Another CPU, started by keel_kick_ap(): RDI = its number, CR3 = init_top_pgt, else as above. The IDT
 * is the starter's. Its idle task's stack is where common_cpu_up() and the scheduler left it.
 */
	.text
SYM_CODE_START(keel_start_ap)
	UNWIND_HINT_END_OF_STACK
	cld
	movq	__per_cpu_offset(, %rdi, 8), %rdx
	wrgsbase %rdx
	movq	%rdx, KEEL_VCPU_VA + KEEL_VP_KERNEL_GS
	movq	PER_CPU_VAR(pcpu_hot + X86_current_task), %rax
	movq	TASK_threadsp(%rax), %rsp
	xorl	%ebp, %ebp	/* end of the chain of frames */
	call	keel_start_secondary
	ud2
SYM_CODE_END(keel_start_ap)

	/* struct keel_elf_start */
	ELFNOTE(Keel, KEEL_ELF_NOTE_START,
		.long KEEL_ABI_VERSION; .long 0;
		.quad keel_start;
		.quad early_top_pgt - __START_KERNEL_map)

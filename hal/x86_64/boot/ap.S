/* SPDX-License-Identifier: MIT */
/*
 * ap.S - a started CPU's way from real mode to keel_cpu_start() on its own stack and tables.
 *
 * The part from hal_ap_page to hal_ap_page_end is copied below 1 MiB (smp.c), where the CPU begins with
 * CS:IP = page:0, and refers to itself only by offsets. Words at its end are filled in there. It runs
 * under tables of smp.c that show this page where it is, and leaves them for its CPU's own in the image.
 *
 * Context: one CPU at a time, interrupts off, no IDT. Nothing of this stays once partitions run.
 */
#include <hal/cpu.h>
#include <hal/entry.h>
#include "ap.h"

#define AT(sym)		(sym - hal_ap_page)

	.section .rodata
	.balign 16
	.globl hal_ap_page, hal_ap_page_end, hal_ap_words
	.code16
hal_ap_page:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	/* One CPU only: another that was given up wakes late and must not get this one's stack. */
	lock btsl $0, AT(hal_ap_words) + AP_TAKEN
	jc 9f
	xorl %esi, %esi
	movw %ax, %si
	shll $4, %esi
	lgdtl AT(hal_ap_words) + AP_GDT_PTR
	movl $(CR0_ET | CR0_PE), %eax
	movl %eax, %cr0
	ljmpl *(AT(hal_ap_words) + AP_JUMP32)
9:	hlt
	jmp 9b

	.code32
	.globl hal_ap_32
hal_ap_32:
	movl $AP_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	/* As start.S: PAE, CR3, LME, PG. */
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl AT(hal_ap_words) + AP_START_CR3(%esi), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	movl $(EFER_SCE | EFER_LME | EFER_NXE), %eax
	xorl %edx, %edx
	wrmsr
	movl $(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE), %eax
	movl %eax, %cr0
	ljmpl *(AT(hal_ap_words) + AP_JUMP64)(%esi)

	.code64
	.globl hal_ap_64
hal_ap_64:
	movq AT(hal_ap_words) + AP_OWN_CR3(%rsi), %rdi
	movq $hal_ap_high, %rax
	jmp *%rax			/* boot only: no partition exists yet */

	.balign 8
hal_ap_words:
	.skip AP_WORDS_SIZE
hal_ap_page_end:

	.text
hal_ap_high:
	movq %rdi, %cr3
	movq $MK_STACK_TOP, %rsp
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	xorl %ebp, %ebp
	call keel_cpu_start
1:	hlt
	jmp 1b

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: MIT */
/*
 * start.S - from the boot loader's 32-bit protected mode to hal_boot() in 64-bit mode.
 *
 * Both Multiboot headers carry explicit addresses, so a loader copies the ELF64 file to 1 MiB as a
 * flat image and jumps to _start with EAX = magic and EBX = information, paging off.
 *
 *   boot_pml4[0]   -> boot_pdpt_low    identity, gone once hal_boot has its own map
 *   boot_pml4[256] -> boot_pdpt_low    direct map of 4 GiB: 2 MiB pages, the last GiB uncached
 *   boot_pml4[511] -> boot_pdpt_image[510] -> boot_pd_image: the image, 32 MiB from physical 0
 *
 * NX and the exact memory types come in boot.c, when CPUID and the memory map have been read.
 * Context: one CPU, interrupts off. The 32-bit part uses physical addresses: PA(symbol).
 */
#include <hal/cpu.h>
#include <hal/types.h>

#define PA(sym)		sym - HAL_IMAGE_BASE

#define MB1_MAGIC	0x1badb002
#define MB1_FLAGS	0x00010003	/* page-aligned modules, memory map, address fields */
#define MB2_MAGIC	0xe85250d6

#define PTE_P		0x001
#define PTE_RW		0x002
#define PTE_UC		0x018		/* PCD | PWT: PAT entry 3, uncached */
#define PTE_PS		0x080

#define BOOT_CS		0x08
#define BOOT_DS		0x10

	.section .multiboot, "a"
	.balign 8
mb1_header:
	.long MB1_MAGIC
	.long MB1_FLAGS
	.long -(MB1_MAGIC + MB1_FLAGS)
	.long PA(mb1_header)
	.long PA(__image_start)
	.long PA(__data_end)
	.long PA(__bss_end)
	.long PA(_start)

	.balign 8
mb2_header:
	.long MB2_MAGIC
	.long 0				/* i386 protected mode */
	.long mb2_header_end - mb2_header
	.long -(MB2_MAGIC + 0 + (mb2_header_end - mb2_header))
	.balign 8
	.short 2, 0			/* address tag */
	.long 24
	.long PA(mb2_header)
	.long PA(__image_start)
	.long PA(__data_end)
	.long PA(__bss_end)
	.balign 8
	.short 3, 0			/* entry address tag */
	.long 12
	.long PA(_start)
	.balign 8
	.short 6, 0			/* modules page-aligned */
	.long 8
	.balign 8
	.short 0, 0			/* end */
	.long 8
mb2_header_end:

	.section .boot, "ax"
	.code32
	.globl _start
_start:
	cli
	cld
	movl %eax, %esi
	movl %ebx, %ebp
	/* Loaders should have cleared .bss; stack and tables live there, so be sure. */
	movl $PA(__bss_start), %edi
	movl $PA(__bss_end), %ecx
	subl %edi, %ecx
	shrl $2, %ecx
	xorl %eax, %eax
	rep stosl
	movl $PA(hal_boot_stack_end), %esp

	/* CPUID exists if EFLAGS.ID can be changed (vol. 1, 20.1). */
	pushfl
	popl %eax
	movl %eax, %ecx
	xorl $RFLAGS_ID, %eax
	pushl %eax
	popfl
	pushfl
	popl %eax
	xorl %ecx, %eax
	testl $RFLAGS_ID, %eax
	jz no_long_mode
	movl $0x80000000, %eax
	cpuid
	cmpl $0x80000001, %eax
	jb no_long_mode
	movl $0x80000001, %eax
	cpuid
	testl $(1 << 29), %edx		/* LM */
	jz no_long_mode
	andl $(1 << 20), %edx		/* NX, moved to where EFER.NXE is */
	shrl $9, %edx
	movl %edx, %ebx

	/* Direct map and identity: 2048 entries of 2 MiB. */
	movl $PA(boot_pd_low), %edi
	movl $(PTE_P | PTE_RW | PTE_PS), %eax
	xorl %ecx, %ecx
1:	cmpl $1536, %ecx
	jne 2f
	orl $PTE_UC, %eax		/* from 3 GiB on: devices */
2:	movl %eax, (%edi,%ecx,8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $2048, %ecx
	jne 1b

	movl $PA(boot_pd_image), %edi
	movl $(PTE_P | PTE_RW | PTE_PS), %eax
	xorl %ecx, %ecx
3:	movl %eax, (%edi,%ecx,8)
	addl $0x200000, %eax
	incl %ecx
	cmpl $16, %ecx
	jne 3b

	movl $(PA(boot_pd_low) + PTE_P + PTE_RW), PA(boot_pdpt_low)
	movl $(PA(boot_pd_low) + 0x1000 + PTE_P + PTE_RW), PA(boot_pdpt_low) + 8
	movl $(PA(boot_pd_low) + 0x2000 + PTE_P + PTE_RW), PA(boot_pdpt_low) + 16
	movl $(PA(boot_pd_low) + 0x3000 + PTE_P + PTE_RW), PA(boot_pdpt_low) + 24
	movl $(PA(boot_pd_image) + PTE_P + PTE_RW), PA(boot_pdpt_image) + 510 * 8
	movl $(PA(boot_pdpt_low) + PTE_P + PTE_RW), PA(boot_pml4)
	movl $(PA(boot_pdpt_low) + PTE_P + PTE_RW), PA(boot_pml4) + 256 * 8
	movl $(PA(boot_pdpt_image) + PTE_P + PTE_RW), PA(boot_pml4) + 511 * 8

	/* The order of vol. 3A, 10.8.5: PAE, CR3, LME, PG. */
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl $PA(boot_pml4), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	orl %ebx, %eax
	wrmsr
	movl $(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE), %eax
	movl %eax, %cr0
	lgdt PA(boot_gdt_ptr32)
	ljmp $BOOT_CS, $PA(start64_low)

/* Say why on COM1, tell the emulator, stop. */
no_long_mode:
	movl $PA(no_long_mode_text), %esi
1:	movw $0x3fd, %dx
2:	inb %dx, %al
	testb $0x20, %al		/* transmitter empty */
	jz 2b
	lodsb
	testb %al, %al
	jz 3f
	movw $0x3f8, %dx
	outb %al, %dx
	jmp 1b
3:	movb $121, %al			/* HAL_EXIT_CPU */
	outb %al, $0xf4
4:	hlt
	jmp 4b

no_long_mode_text:
	.asciz "[keel] this CPU lacks: long-mode\r\n[keel] exit status 121\r\n"

	.balign 8
boot_gdt_ptr32:
	.short boot_gdt_end - boot_gdt - 1
	.long PA(boot_gdt)

	.code64
start64_low:
	movabsq $start64, %rax
	jmp *%rax			/* boot only: no partition exists yet */

	.section .text.boot, "ax"
start64:
	lgdt boot_gdt_ptr64(%rip)
	movl $BOOT_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	lldt %ax			/* LDTR after reset is not null (design 8, rule 31) */
	leaq hal_boot_stack_end(%rip), %rsp
	movl %esi, %edi
	movl %ebp, %esi
	xorl %ebp, %ebp			/* end of the frame-pointer chain */
	pushq $0
	pushq $0
	call hal_boot
1:	cli
	hlt
	jmp 1b

	.section .rodata
	.balign 8
boot_gdt:				/* Accessed bits preset: the page is read-only later */
	.quad 0
	.quad 0x00af9b000000ffff	/* code, 64 bit, ring 0 */
	.quad 0x00cf93000000ffff	/* data, ring 0 */
boot_gdt_end:
	.balign 8
boot_gdt_ptr64:
	.short boot_gdt_end - boot_gdt - 1
	.quad boot_gdt

	/* The last bytes of the file part: boot.c checks that the loader placed them right. */
	.section .image_end_mark, "aw"
	.globl hal_image_end_mark
hal_image_end_mark:
	.quad 0x646e65206c65656b	/* "keel end" */
	.quad 0

	.section .bss.page_aligned, "aw", @nobits
	.balign 4096
	.globl boot_pml4, boot_pdpt_low, boot_pd_low, boot_pdpt_image, boot_pd_image
boot_pml4:	.skip 4096
boot_pdpt_low:	.skip 4096
boot_pd_low:	.skip 4 * 4096
boot_pdpt_image: .skip 4096
boot_pd_image:	.skip 4096
	.globl hal_boot_stack_guard, hal_boot_stack, hal_boot_stack_end
hal_boot_stack_guard: .skip 4096	/* unmapped by boot.c */
hal_boot_stack:	.skip 16384
hal_boot_stack_end:

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: MIT */
/*
 * hal/entry.h - how a CPU leaves the metakernel for a partition and comes back.
 *
 * Under a partition's page tables only the last 2 MiB of the address space belong to the
 * metakernel (keel/abi.h has the addresses): read-only trampoline text, IDT, and per-vCPU page with
 * GDT, TSS and prebuilt IRETQ frames; a writable vCPU page; and a writable page of entry stacks. Under
 * the metakernel's own CR3 the same addresses show other frames for IDT and GDT/TSS
 * (all ring 0), so nothing needs LIDT or LGDT on the way in.
 *
 *   partition CR3                                metakernel CR3
 *   ring 3/1 --event--> stub: push registers --> mov cr3 --> mk_entry --> trap_handle(regs)
 *   ring 3/1 <--iretq-- pop registers <-- mov cr3 <-- tramp_exit <------- returns CR3
 *
 * The register frame stays in the stack page, which belongs to the vCPU: nobody else's values pass
 * through it, so a switch copies and clears nothing. Its ring 1 can write that page, but does not run while
 * the metakernel does (design rule 1), so it is private memory from entry to exit, and what lies in it when
 * the vCPU runs again is checked as any frame on its way out (vcpu_sanitize).
 */
#ifndef HAL_ENTRY_H
#define HAL_ENTRY_H

#include <stdbool.h>
#include <hal/types.h>
#include <keel/abi.h>

/* Metakernel-only addresses in the last 2 MiB, under the metakernel's CR3 of each CPU. */
#define MK_CPU_VA	0xffffffffffe50000	/* struct cpu of this CPU, one page */
#define MK_STACK_VA	0xffffffffffe60000	/* metakernel stack, 16 KiB, guard page below */
#define MK_STACK_TOP	(MK_STACK_VA + 0x4000)
#define MK_IST_VA	0xffffffffffe70000	/* stacks inside the metakernel: NMI, and one for #DF, #MC, #DB */

/* Selectors of the metakernel (GDT indices 16.., behind everything Linux uses). */
#define MK_CS		0x80
#define MK_SS		0x88
#define MK_TSS		0x90
#define MK_GDT_WORDS	20

/* Offsets in the read-only per-vCPU page (struct vcpu_ro). */
#define RO_MK_CR3	0x100
#define RO_PF_DIRECT	0x108
#define RO_FRAME_SYSCALL 0x140
#define RO_FRAME_PF	0x180
#define RO_TSS		0x200

/* Entry stacks inside the stack page: tops of the IST stacks, and the ring-0 stack. */
#define STK_NMI_COUNT	0x10		/* a hint only: ring 1 can write it */
#define STK_NMI		0x400
#define STK_DB		0x800
#define STK_DF		0xa00
#define STK_MC		0xc00
#define STK_RSP0	0x1000
#define REGS_SIZE	176

/* Interrupt vectors of the metakernel. 0x20..0xef are Linux's. */
#define VEC_TIMER	0xf0
#define VEC_UART	0xf1
#define VEC_WORK	0xf2	/* from another CPU */
#define VEC_SPURIOUS	0xff

#ifndef __ASSEMBLER__

/* What the entry stub pushes, lowest address first. */
struct regs {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};
static_assert(sizeof(struct regs) == REGS_SIZE, "struct regs");

struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t iomap_base;
} __attribute__((packed));

/* Read-only for ring 1: one page per vCPU. The metakernel's own instance has ring-0 stacks. */
struct vcpu_ro {
	uint64_t gdt[32];
	uint64_t mk_cr3;
	uint8_t  pf_direct;	/* deliver ring-3 #PF straight to ring 1 */
	uint8_t  pad0[RO_FRAME_SYSCALL - 0x109];
	struct keel_frame syscall;
	uint8_t  pad1[RO_FRAME_PF - RO_FRAME_SYSCALL - 40];
	struct keel_frame pf;
	uint8_t  pad2[RO_TSS - RO_FRAME_PF - 40];
	struct tss tss;
	uint8_t  pad3[4096 - RO_TSS - sizeof(struct tss)];
};
static_assert(sizeof(struct vcpu_ro) == 4096, "struct vcpu_ro");
static_assert(offsetof(struct vcpu_ro, mk_cr3) == RO_MK_CR3, "RO_MK_CR3");
static_assert(offsetof(struct vcpu_ro, pf_direct) == RO_PF_DIRECT, "RO_PF_DIRECT");
static_assert(offsetof(struct vcpu_ro, syscall) == RO_FRAME_SYSCALL, "RO_FRAME_SYSCALL");
static_assert(offsetof(struct vcpu_ro, pf) == RO_FRAME_PF, "RO_FRAME_PF");
static_assert(offsetof(struct vcpu_ro, tss) == RO_TSS, "RO_TSS");

/* Frame of an event from a partition, at the top of its vCPU's stack page. */
static inline struct regs *entry_regs(void *stack)
{
	return (struct regs *)((uint8_t *)stack + STK_RSP0 - REGS_SIZE);
}

/* Fill the GDT, TSS and frames of a partition's vCPU page; iret frames start with RIP 0. */
void entry_init_vcpu_ro(struct vcpu_ro *ro, uint64_t mk_cr3);
/* Once: the IDTs. */
void entry_init(void);
/* Once per CPU, by whoever: fill ro with the metakernel's GDT and TSS and map what is this CPU's. hole_pt is the
 * page table of the last 2 MiB in the CPU's metakernel CR3. */
void entry_init_cpu(uint64_t *hole_pt, struct vcpu_ro *ro, paddr_t cpu_pa, paddr_t ist_pa);
/* By the CPU itself, under that CR3: descriptor tables, segment registers, SYSCALL MSRs, PAT. */
void entry_load_cpu(void);
/* Page table of the last 2 MiB for a vCPU: everything but its own three pages is common. */
void entry_init_hole(uint64_t *hole_pt, paddr_t ro_pa, paddr_t vcpu_pa, paddr_t stack_pa);
/* Leave for the first time: trap_handle(NULL) says where to. */
void entry_start(void) __attribute__((noreturn));
/* RIP ranges in the trampoline, for reports and for "resume #DB here". */
bool entry_in_tramp(uint64_t rip);
bool entry_in_stub(uint64_t rip, unsigned int vector);	/* of a vector that tramp_stubs serves */

#endif /* !__ASSEMBLER__ */
#endif

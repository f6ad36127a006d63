// SPDX-License-Identifier: MIT
/*
 * entry_init.c - fills what tramp.S runs on, once: the IDTs, and of each CPU its own tables and SYSCALL MSRs.
 */
#include "../entry_tables.h"

#define GATE_INT		0xe	/* interrupt gate, SDM vol. 3A, 6.14.1 */

#define MSR_STAR	0xc0000081
#define MSR_LSTAR	0xc0000082
#define MSR_CSTAR	0xc0000083
#define MSR_SFMASK	0xc0000084
#define MSR_SYSENTER_CS	0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_PAT		0x277
/*
 * TF, IF, DF, IOPL, NT, AC cleared by SYSCALL (design fact 7). VM too: QEMU's emulator lets ring 3 set
 * it by IRET, and with it the trampoline's IRETQ would be a real-mode one and fault in ring 0.
 */
#define SFMASK		0x67700
/* What Linux programs: WB WC UC- UC WB WP UC- WT (arch/x86/mm/pat/memtype.c). */
#define PAT_VALUE	0x0407050600070106UL

static void gate_set(struct gate *g, vaddr_t handler, unsigned int dpl, unsigned int ist)
{
	g->offset_low = (uint16_t)handler;
	g->offset_mid = (uint16_t)(handler >> 16);
	g->offset_high = (uint32_t)(handler >> 32);
	g->selector = MK_CS;
	g->ist = (uint8_t)ist;
	g->type = (uint8_t)(0x80 | dpl << 5 | GATE_INT);
}

/* IST slots: 1 NMI, 2 #DF, 3 #DB, 4 #MC. */
static unsigned int ist_of(unsigned int vector)
{
	switch (vector) {
	case 2: return 1;
	case 8: return 2;
	case 1: return 3;
	case 18: return 4;
	}
	return 0;
}

void entry_init(void)
{
	static const uint8_t maybe_error[] = { 17, 21, 29, 30 };
	unsigned int v;

	for (v = 0; v < 256; v++) {
		/* INT3 and INTO are for everybody, INT 15 for ring 1. */
		unsigned int dpl = v == 3 || v == 4 ? 3 : v == KEEL_HC_VECTOR ? 1 : 0;
		const char *stub = v == KEEL_HC_VECTOR ? tramp_hcall : tramp_stubs + 16 * v;

		gate_set(&guest_idt[v], tramp_va(stub), dpl, ist_of(v));
		gate_set(&mk_idt[v], (vaddr_t)mk_stubs + 16 * v, 0, ist_of(v));
	}
	for (v = 0; v < sizeof(maybe_error); v++)
		gate_set(&guest_idt[maybe_error[v]], tramp_va(tramp_maybe_error) + 32 * v, 0, 0);
	gate_set(&guest_idt[14], tramp_va(tramp_pf), 0, 0);
	gate_set(&guest_idt[2], tramp_va(tramp_nmi), 0, 1);
}

static void load_segments(void)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed))
		gdtr = { MK_GDT_WORDS * 8 - 1, KEEL_VCPU_RO_VA },
		idtr = { sizeof(guest_idt) - 1, KEEL_IDT_VA };

	asm volatile("lgdt %0; lidt %1" : : "m" (gdtr), "m" (idtr));
	asm volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq\n"
		     "1: movl %1, %%eax; movl %%eax, %%ss; xorl %%eax, %%eax\n"
		     "movl %%eax, %%ds; movl %%eax, %%es; movl %%eax, %%fs; movl %%eax, %%gs\n"
		     "movl %2, %%eax; ltr %%ax; xorl %%eax, %%eax; lldt %%ax"
		     : : "i" (MK_CS), "i" (MK_SS), "i" (MK_TSS) : "rax", "memory");
}

void entry_init_cpu(uint64_t *hole_pt, struct vcpu_ro *ro, paddr_t cpu_pa, paddr_t ist_pa)
{
	entry_gdt(ro->gdt);
	/* The three others end in a panic, which needs room and does not come back: it may have the NMI's too. */
	entry_tss(&ro->tss, MK_STACK_TOP, MK_IST_VA + 0x400, MK_IST_VA + 0x1000, MK_IST_VA + 0x1000,
		 MK_IST_VA + 0x1000);

	entry_map_tramp(hole_pt);
	hole_pt[entry_slot(KEEL_IDT_VA)] = va_to_pa(mk_idt) | PTE_P | PTE_NX;
	hole_pt[entry_slot(KEEL_VCPU_RO_VA)] = va_to_pa(ro) | PTE_P | PTE_W | PTE_NX;
	hole_pt[entry_slot(MK_CPU_VA)] = cpu_pa | PTE_P | PTE_W | PTE_NX;
	hole_pt[entry_slot(MK_IST_VA)] = ist_pa | PTE_P | PTE_W | PTE_NX;
}

void entry_load_cpu(void)
{
	/* LTR sets the busy bit, so it must see the writable page: now, under this CR3 (rule 1). */
	load_segments();

	/* SYSCALL lands in the trampoline, everything else that could run ring 0 is shut (rule 4). */
	hal_wrmsr(MSR_STAR, (uint64_t)KEEL_CS_USER32 << 48 | (uint64_t)MK_CS << 32);
	hal_wrmsr(MSR_LSTAR, tramp_va(tramp_syscall));
	hal_wrmsr(MSR_CSTAR, tramp_va(tramp_cstar));
	hal_wrmsr(MSR_SFMASK, SFMASK);
	hal_wrmsr(MSR_SYSENTER_CS, 0);
	hal_wrmsr(MSR_SYSENTER_ESP, 0);
	hal_wrmsr(MSR_SYSENTER_EIP, 0);
	hal_wrmsr(MSR_PAT, PAT_VALUE);
}

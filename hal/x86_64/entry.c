// SPDX-License-Identifier: MIT
/*
 * entry.c - builds what tramp.S runs on: GDT, TSS, IDTs, the hole page tables, SYSCALL MSRs.
 *
 * Owns:       the two IDT frames, which all CPUs share.
 * Invariants: nothing here is G(lobal); GDT descriptors have Accessed preset (the page is
 *             read-only for ring 1, and a CPU that had to set the bit would fault); no ring-1 gate,
 *             no 32-bit ring-1 segment, no call gate.
 */
#include <hal/types.h>
#include <hal/cpu.h>
#include <hal/entry.h>

/* Descriptor bits, SDM vol. 3A, 3.4.5: base 0, limit 4 GiB, present, Accessed. */
#define DESC_CODE64(dpl)	(0x00af9b000000ffffUL | (uint64_t)(dpl) << 45)
#define DESC_CODE32(dpl)	(0x00cf9b000000ffffUL | (uint64_t)(dpl) << 45)
#define DESC_DATA(dpl)		(0x00cf93000000ffffUL | (uint64_t)(dpl) << 45)
#define GATE_INT		0xe	/* interrupt gate, SDM vol. 3A, 6.14.1 */
#define TSS_LIMIT		(sizeof(struct tss) - 1)

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

#define PTE_P		1UL
#define PTE_W		2UL
#define PTE_NX		(1UL << 63)

extern char __tramp_text_start[], __tramp_text_end[];
extern char tramp_stubs[], tramp_maybe_error[], tramp_syscall[], tramp_pf[], tramp_nmi[],
	    tramp_cstar[], tramp_end[], mk_stubs[];

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};

static struct gate guest_idt[256] __attribute__((aligned(4096)));
static struct gate mk_idt[256] __attribute__((aligned(4096)));

static vaddr_t tramp_va(const char *label)
{
	return KEEL_TRAMP_VA + (vaddr_t)(label - __tramp_text_start);
}

__once static void gate_set(struct gate *g, vaddr_t handler, unsigned int dpl, unsigned int ist)
{
	g->offset_low = (uint16_t)handler;
	g->offset_mid = (uint16_t)(handler >> 16);
	g->offset_high = (uint32_t)(handler >> 32);
	g->selector = MK_CS;
	g->ist = (uint8_t)ist;
	g->type = (uint8_t)(0x80 | dpl << 5 | GATE_INT);
}

/* IST slots: 1 NMI, 2 #DF, 3 #DB, 4 #MC. */
__once static unsigned int ist_of(unsigned int vector)
{
	switch (vector) {
	case 2: return 1;
	case 8: return 2;
	case 1: return 3;
	case 18: return 4;
	}
	return 0;
}

__once void entry_init(void)
{
	static const uint8_t maybe_error[] = { 17, 21, 29, 30 };
	unsigned int v;

	for (v = 0; v < 256; v++) {
		/* INT3 and INTO are for everybody, INT 15 for ring 1. */
		unsigned int dpl = v == 3 || v == 4 ? 3 : v == KEEL_HC_VECTOR ? 1 : 0;

		gate_set(&guest_idt[v], tramp_va(tramp_stubs) + 16 * v, dpl, ist_of(v));
		gate_set(&mk_idt[v], (vaddr_t)mk_stubs + 16 * v, 0, ist_of(v));
	}
	for (v = 0; v < sizeof(maybe_error); v++)
		gate_set(&guest_idt[maybe_error[v]], tramp_va(tramp_maybe_error) + 32 * v, 0, 0);
	gate_set(&guest_idt[14], tramp_va(tramp_pf), 0, 0);
	gate_set(&guest_idt[2], tramp_va(tramp_nmi), 0, 1);
}

__once static void gdt_init(uint64_t *gdt)
{
	uint64_t tss_va = KEEL_VCPU_RO_VA + RO_TSS;

	gdt[2] = DESC_CODE64(1);
	gdt[3] = DESC_DATA(1);
	gdt[4] = DESC_CODE32(3);
	gdt[5] = DESC_DATA(3);
	gdt[6] = DESC_CODE64(3);
	gdt[MK_CS / 8] = DESC_CODE64(0);
	gdt[MK_SS / 8] = DESC_DATA(0);
	gdt[MK_TSS / 8] = TSS_LIMIT | (tss_va & 0xffffff) << 16 | 0x89UL << 40 |
			  ((tss_va >> 24) & 0xff) << 56;
	gdt[MK_TSS / 8 + 1] = tss_va >> 32;
}

__once static void tss_init(struct tss *tss, vaddr_t rsp0, vaddr_t nmi, vaddr_t df, vaddr_t db, vaddr_t mc)
{
	tss->rsp[0] = rsp0;
	tss->ist[0] = nmi;
	tss->ist[1] = df;
	tss->ist[2] = db;
	tss->ist[3] = mc;
	tss->iomap_base = sizeof(*tss);	/* beyond the limit: every port traps */
}

static struct keel_frame ring1_frame(void)
{
	return (struct keel_frame) {
		.cs = KEEL_CS_RING1, .ss = KEEL_SS_RING1, .rflags = 0x202,
		.rsp = KEEL_VCPU_VA + KEEL_VP_SIZE,
	};
}

__once void entry_init_vcpu_ro(struct vcpu_ro *ro, uint64_t mk_cr3)
{
	gdt_init(ro->gdt);
	ro->mk_cr3 = mk_cr3;
	ro->syscall = ring1_frame();
	ro->pf = ring1_frame();
	tss_init(&ro->tss, KEEL_STACK_VA + STK_RSP0, KEEL_STACK_VA + STK_NMI,
		 KEEL_STACK_VA + STK_DF, KEEL_STACK_VA + STK_DB, KEEL_STACK_VA + STK_MC);
}

static unsigned int slot(vaddr_t va)
{
	return (va >> 12) & 511;
}

static void map_tramp(uint64_t *hole_pt)
{
	paddr_t pa = va_to_pa(__tramp_text_start);
	vaddr_t va = KEEL_TRAMP_VA;

	for (; pa < va_to_pa(__tramp_text_end); pa += 4096, va += 4096)
		hole_pt[slot(va)] = pa | PTE_P;
}

void entry_init_hole(uint64_t *hole_pt, paddr_t ro_pa, paddr_t vcpu_pa, paddr_t stack_pa)
{
	map_tramp(hole_pt);
	hole_pt[slot(KEEL_IDT_VA)] = va_to_pa(guest_idt) | PTE_P | PTE_NX;
	hole_pt[slot(KEEL_VCPU_RO_VA)] = ro_pa | PTE_P | PTE_NX;
	hole_pt[slot(KEEL_VCPU_VA)] = vcpu_pa | PTE_P | PTE_W | PTE_NX;
	hole_pt[slot(KEEL_STACK_VA)] = stack_pa | PTE_P | PTE_W | PTE_NX;
}

__once static void load_segments(void)
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

__once void entry_init_cpu(uint64_t *hole_pt, struct vcpu_ro *ro, paddr_t cpu_pa, paddr_t ist_pa)
{
	gdt_init(ro->gdt);
	/* The three others end in a panic, which needs room and does not come back: it may have the NMI's too. */
	tss_init(&ro->tss, MK_STACK_TOP, MK_IST_VA + 0x400, MK_IST_VA + 0x1000, MK_IST_VA + 0x1000,
		 MK_IST_VA + 0x1000);

	map_tramp(hole_pt);
	hole_pt[slot(KEEL_IDT_VA)] = va_to_pa(mk_idt) | PTE_P | PTE_NX;
	hole_pt[slot(KEEL_VCPU_RO_VA)] = va_to_pa(ro) | PTE_P | PTE_W | PTE_NX;
	hole_pt[slot(MK_CPU_VA)] = cpu_pa | PTE_P | PTE_W | PTE_NX;
	hole_pt[slot(MK_IST_VA)] = ist_pa | PTE_P | PTE_W | PTE_NX;
}

__once void entry_load_cpu(void)
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

bool entry_in_tramp(uint64_t rip)
{
	return rip >= KEEL_TRAMP_VA && rip < tramp_va(tramp_end);
}

bool entry_in_stub(uint64_t rip, unsigned int vector)
{
	return rip - (tramp_va(tramp_stubs) + 16 * vector) < 16;
}

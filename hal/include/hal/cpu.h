/* SPDX-License-Identifier: MIT */
/*
 * hal/cpu.h - CPU primitives, one instruction each, and what this CPU can do.
 *
 * Section numbers are those of Intel's SDM (combined volumes) unless they say AMD.
 */
#ifndef HAL_CPU_H
#define HAL_CPU_H

/* Control register bits (vol. 3A, 2.5). */
#define CR0_PE		0x1
#define CR0_MP		0x2
#define CR0_ET		0x10
#define CR0_NE		0x20
#define CR0_WP		0x10000
#define CR0_AM		0x40000
#define CR0_PG		0x80000000

#define CR4_TSD		0x4
#define CR4_PAE		0x20
#define CR4_PGE		0x80
#define CR4_OSFXSR	0x200
#define CR4_OSXMMEXCPT	0x400
#define CR4_FSGSBASE	0x10000
#define CR4_PCIDE	0x20000
#define CR4_OSXSAVE	0x40000
#define CR4_SMEP	0x100000

/* DR6 (vol. 3B, 18.2.3). */
#define DR6_INIT	0xffff0ff0U	/* nothing reported */
#define DR6_BS		0x4000U		/* single step */
#define DR6_FLAGS	0xe00fU		/* B0..B3, BD, BS, BT */

/* RFLAGS (vol. 1, 3.4.3). */
#define RFLAGS_FIXED	0x2
#define RFLAGS_TF	0x100
#define RFLAGS_IF	0x200
#define RFLAGS_DF	0x400
#define RFLAGS_IOPL	0x3000
#define RFLAGS_NT	0x4000
#define RFLAGS_RF	0x10000
#define RFLAGS_VM	0x20000
#define RFLAGS_AC	0x40000
#define RFLAGS_ID	0x200000

/* Model-specific registers (vol. 4, 2.1). */
#define MSR_APIC_BASE		0x1b	/* bit 10 x2APIC, bit 11 enable (vol. 3A, 11.4.4) */
#define MSR_TSC_ADJUST		0x3b	/* vol. 3B, 18.17.3 */
#define MSR_SYSENTER_CS		0x174
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_PRED_CMD		0x49	/* bit 0: IBPB */
#define MSR_PAT			0x277
#define MSR_TSC_DEADLINE	0x6e0	/* vol. 3A, 11.5.4.1 */
#define MSR_X2APIC		0x800	/* + register offset / 16 (vol. 3A, 11.12.1.2) */
#define MSR_EFER		0xc0000080
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SFMASK		0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103

#define EFER_SCE	0x1
#define EFER_LME	0x100
#define EFER_LMA	0x400
#define EFER_NXE	0x800

/* XCR0 components a partition may turn on: x87, SSE, AVX, AVX-512 (vol. 1, 13.1). No PKRU, no AMX. */
#define XCR0_X87	0x1
#define XCR0_SSE	0x2
#define XCR0_AVX	0x4
#define XCR0_MPX	0x18	/* BNDREGS and BNDCSR, only together */
#define XCR0_AVX512	0xe0
#define XCR0_ALLOWED	(XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_MPX | XCR0_AVX512)

/* Types of INVPCID (vol. 2A). */

#ifndef __ASSEMBLER__
#include <hal/types.h>

struct hal_cpu {
	char vendor[13];
	bool intel, amd;
	bool hypervisor;	/* CPUID.1:ECX.31 */
	bool nx, syscall, cx16, apic, fsgsbase;		/* required */
	bool x2apic, tsc_deadline, tsc_invariant, rdtscp;
	bool tsc_adjust;
	bool smep, smap, umip, pcid, invpcid, pge, pdpe1gb;
	bool xsave, xsaveopt, la57, pku, mwait;
	bool x87_pointers_stay;	/* FXRSTOR, XRSTOR: old FIP, FDP, FOP stay if no exception is pending */
	bool mtrr, pat, mce, erms, clflushopt;
	bool ibpb, ibpb_rsb, md_clear;	/* IBPB; which clears return addresses too; VERW clears buffers */
	bool barrier;		/* hal_switch_barrier() has something to do */
	uint8_t phys_bits;
	uint8_t thread_bits;	/* of an APIC id: which thread of its core (hal_cpu_core) */
	uint32_t family, model, stepping;
	uint32_t apic_id;	/* initial id of the CPU that asked */
	uint32_t max_leaf, max_ext_leaf;
	uint32_t xsave_size;	/* bytes for xcr0_mask in standard format; 512 (FXSAVE) without XSAVE */
	uint64_t xcr0_mask;	/* what the CPU has, cut to XCR0_ALLOWED; x87|SSE without XSAVE */
};

/* What CPUID said at boot; read through hal_cpu(). */
extern struct hal_cpu hal_cpu_info;

static inline const struct hal_cpu *hal_cpu(void)
{
	return &hal_cpu_info;
}

/* Fill the above. Called by hal_boot before anything else needs it. */
void hal_cpu_init(void);

/* The same about the CPU that asks; *c is zeroed. */
void hal_cpu_read(struct hal_cpu *c);

/* Name every missing required feature on the console and leave with HAL_EXIT_CPU, or return. */
void hal_cpu_check(void);

/* CPUs with the same number are threads of one core. */
static inline uint32_t hal_cpu_core(uint32_t apic_id)
{
	return apic_id >> hal_cpu()->thread_bits;
}

/* Nothing that ran on this CPU before steers what is predicted after, nor is found in its buffers. */
void hal_switch_barrier(void);

struct hal_cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct hal_cpuid hal_cpuid(uint32_t leaf, uint32_t sub)
{
	struct hal_cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "0"(leaf), "2"(sub));
	return r;
}

/* Ports. */
static inline void hal_outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0,%1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void hal_outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0,%1" : : "a"(v), "Nd"(port) : "memory");
}

static inline void hal_outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0,%1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t hal_inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1,%0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint16_t hal_inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1,%0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

static inline uint32_t hal_inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1,%0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}

/* Device registers: exactly one access of that width. */
static inline uint32_t hal_mmio_read32(const volatile void *p)
{
	return *(const volatile uint32_t *)p;
}

static inline void hal_mmio_write32(volatile void *p, uint32_t v)
{
	*(volatile uint32_t *)p = v;
}

static inline uint64_t hal_rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void hal_wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static inline uint64_t hal_rdtsc(void)
{
	uint64_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return hi << 32 | lo;
}

/* Control and debug registers. */
#define HAL_REG64(name, reg)							\
static inline uint64_t hal_read_##name(void)					\
{										\
	uint64_t v;								\
										\
	__asm__ volatile("mov %%" reg ",%0" : "=r"(v) : : "memory");		\
	return v;								\
}										\
static inline void hal_write_##name(uint64_t v)					\
{										\
	__asm__ volatile("mov %0,%%" reg : : "r"(v) : "memory");		\
}
HAL_REG64(cr0, "cr0")
HAL_REG64(cr2, "cr2")
HAL_REG64(cr3, "cr3")
HAL_REG64(cr4, "cr4")
HAL_REG64(cr8, "cr8")	/* the local APIC's task priority: vectors up to 16 * it + 15 wait */
HAL_REG64(dr0, "dr0")
HAL_REG64(dr1, "dr1")
HAL_REG64(dr2, "dr2")
HAL_REG64(dr3, "dr3")
HAL_REG64(dr6, "dr6")
HAL_REG64(dr7, "dr7")
#undef HAL_REG64

/* Segment bases: need CR4.FSGSBASE. */
#define HAL_BASE(name)								\
static inline uint64_t hal_rd##name(void)					\
{										\
	uint64_t v;								\
										\
	__asm__ volatile("rd" #name " %0" : "=r"(v) : : "memory");		\
	return v;								\
}										\
static inline void hal_wr##name(uint64_t v)					\
{										\
	__asm__ volatile("wr" #name " %0" : : "r"(v) : "memory");		\
}
HAL_BASE(fsbase)
HAL_BASE(gsbase)
#undef HAL_BASE

/* Segment selectors. Loading one that the GDT or LDT does not back is #GP. */
#define HAL_SEL(name)								\
static inline uint16_t hal_read_##name(void)					\
{										\
	uint16_t v;								\
										\
	__asm__ volatile("mov %%" #name ",%0" : "=r"(v) : : "memory");		\
	return v;								\
}										\
static inline void hal_write_##name(uint16_t v)					\
{										\
	__asm__ volatile("mov %0,%%" #name : : "r"(v) : "memory");		\
}
HAL_SEL(ds)
HAL_SEL(es)
HAL_SEL(fs)
HAL_SEL(gs)
#undef HAL_SEL

static inline __attribute__((always_inline)) uint64_t hal_selectors(void)	/* 0: all four are null, as they most often are */
{
	uint64_t all, one;

	__asm__ volatile("mov %%ds, %k0; mov %%es, %k1; or %k1, %k0; mov %%fs, %k1; or %k1, %k0; mov %%gs, %k1; or %k1, %k0"
			 : "=&r"(all), "=&r"(one));
	return all;
}

static inline void hal_flush_tlb(void)	/* current PCID; there are no global entries */
{
	hal_write_cr3(hal_read_cr3());
}

/* Extended state: area is 64-byte aligned, hal_cpu()->xsave_size bytes; header zeroed before first use. */
static inline void hal_xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((uint32_t)mask),
			 "d"((uint32_t)(mask >> 32)) : "memory");
}

static inline void hal_xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((uint32_t)mask),
			 "d"((uint32_t)(mask >> 32)) : "memory");
}

/* From one to another with the same XCR0. FNINIT: see xstate_load() in vcpu.c; to ask for who needs it would cost more. */
static inline __attribute__((always_inline)) void hal_xswitch(void *from, const void *to)
{
	__asm__ volatile("xsave64 (%0); fninit; xrstor64 (%1)" : : "r"(from), "r"(to), "a"(-1), "d"(-1) : "memory");
}

static inline void hal_fxsave(void *area)	/* 512 bytes, 16-byte aligned */
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void hal_fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static inline void hal_fninit(void) { __asm__ volatile("fninit" : : : "memory"); }

static inline void hal_xsetbv(uint32_t reg, uint64_t v)
{
	__asm__ volatile("xsetbv" : : "c"(reg), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

/* Interrupt flag and waiting. */
static inline void hal_cli(void) { __asm__ volatile("cli" : : : "memory"); }
static inline void hal_hlt(void) { __asm__ volatile("hlt" : : : "memory"); }
static inline void hal_pause(void) { __asm__ volatile("pause" : : : "memory"); }

/* Interrupts on for exactly the sleep: sti's shadow closes the window before hlt. */
static inline void hal_sti_hlt_cli(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static inline void hal_clflush(const void *p)
{
	__asm__ volatile("clflush (%0)" : : "r"(p) : "memory");
}

/*
 * Past the caches: nobody reads it soon. And an emulator takes many times as long for each step of REP STOS as for a store.
 * hal_mfence() before anybody else is told of it.
 */
static inline void hal_zero_page(void *page)
{
	char *at = page, *end = at + 4096;

	__asm__ volatile("1: .irp n, 0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120\n"
			 "movnti %2, \\n(%0)\n"
			 ".endr\n"
			 "add $128, %0; cmp %1, %0; jb 1b"
			 : "+r"(at) : "r"(end), "r"(0UL) : "memory", "cc");
}

static inline void hal_mfence(void) { __asm__ volatile("mfence" : : : "memory"); }
static inline void hal_lfence(void) { __asm__ volatile("lfence" : : : "memory"); }

#endif /* __ASSEMBLER__ */
#endif

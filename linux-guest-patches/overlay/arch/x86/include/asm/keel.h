/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * asm/keel.h - Linux as a ring-1 guest of the Keel metakernel: hypercalls and the vCPU page.
 *
 * keel/abi.h has the numbers. Everything here is usable from the first instruction of boot: the
 * vCPU page is at a fixed address, and a hypercall needs no stack.
 */
#ifndef _ASM_X86_KEEL_H
#define _ASM_X86_KEEL_H

#include <linux/thread_info.h>
#include <linux/types.h>
#include <linux/errno.h>
#include <asm/cpufeature.h>
#include <asm/percpu.h>
#include <asm/ptrace.h>
#include <asm/trap_pf.h>

#ifdef CONFIG_KEEL_GUEST

#include <keel/abi.h>

#define keel_vcpu	((struct keel_vcpu_page *)KEEL_VCPU_VA)

/* RAX: number and result. Every other register is kept. */
static __always_inline long keel_hypercall(unsigned long nr, unsigned long a1, unsigned long a2,
					   unsigned long a3)
{
	asm volatile("int %[vector]"
		     : "+a" (nr)
		     : [vector] "i" (KEEL_HC_VECTOR), "D" (a1), "S" (a2), "d" (a3)
		     : "memory", "cc");
	return (long)nr;
}

/* The same with up to five arguments */
static __always_inline long keel_hypercall5(unsigned long nr, unsigned long a1, unsigned long a2,
					    unsigned long a3, unsigned long a4, unsigned long a5)
{
	register unsigned long r10 asm("r10") = a4;
	register unsigned long r8 asm("r8") = a5;

	asm volatile("int %[vector]"
		     : "+a" (nr)
		     : [vector] "i" (KEEL_HC_VECTOR), "D" (a1), "S" (a2), "d" (a3), "r" (r10), "r" (r8)
		     : "memory", "cc");
	return (long)nr;
}

#define keel_hypercall0(nr)		keel_hypercall(nr, 0, 0, 0)
#define keel_hypercall1(nr, a)		keel_hypercall(nr, (unsigned long)(a), 0, 0)
#define keel_hypercall2(nr, a, b)	keel_hypercall(nr, (unsigned long)(a), (unsigned long)(b), 0)
#define keel_hypercall3(nr, a, b, c)	keel_hypercall(nr, (unsigned long)(a), (unsigned long)(b), \
						       (unsigned long)(c))

static __always_inline bool keel_guest(void)
{
	return cpu_feature_enabled(X86_FEATURE_KEEL);
}

/* GS base of ring 3 while ring 1 runs */
static __always_inline unsigned long keel_user_gs(void)
{
	return READ_ONCE(keel_vcpu->user_gs);
}

static __always_inline void keel_set_user_gs(unsigned long base)
{
	WRITE_ONCE(keel_vcpu->user_gs, base);
}

/* PCI configuration space, 1, 2 or 4 bytes within a dword. What cannot be read is all ones. */
static inline u32 keel_pci_read(unsigned int bus, unsigned int devfn, unsigned int reg, unsigned int bytes)
{
	long ret = keel_hypercall2(KEEL_HC_PCI_READ, bus << 16 | devfn << 8 | reg, bytes);

	return ret < 0 ? ~0 : ret;
}

static inline void keel_pci_write(unsigned int bus, unsigned int devfn, unsigned int reg, unsigned int bytes,
				  u32 value)
{
	keel_hypercall3(KEEL_HC_PCI_WRITE, bus << 16 | devfn << 8 | reg, bytes, value);
}

/* Called in hard interrupt context with the bits of vcpu_page.events, KEEL_EV_TIMER excepted. */
extern void (*keel_event_handler)(u64 events);

__noreturn void keel_shutdown(unsigned int how, unsigned int status);

/* Console output at a machine address: bytes taken, -EAGAIN: call again, 0: give up. */
long keel_console_put(phys_addr_t pa, size_t len);

/* Exit status handed over at power-off, /sys/module/keel/parameters/exit_status. */
extern unsigned int keel_exit_status;

#define KEEL_FAULT_DONE	(~0UL)
unsigned long __keel_user_fault(unsigned long error_code, unsigned long address);
void __keel_flush_tlb_range(unsigned long start, unsigned long end, bool reload);
void __keel_flush_kernel_range(unsigned long start, unsigned long end);
bool __keel_no_vcpu(u32 apic_id);
struct flush_tlb_info;
void keel_flush_tlb_self(const struct flush_tlb_info *info);	/* mm/tlb.c */

/* The translation for this fault has been loaded already. A wrong value costs one hypercall. */
DECLARE_PER_CPU(bool, keel_filled);

/*
 * A user page fault arrives without the metakernel having looked at the page tables. If they allow
 * the access already, ask for the translation to be loaded and be done. If not, make the error code
 * what it would be after a walk of the tables: "present" is what the page tables say, not what had
 * been loaded. Interrupts are off.
 */
static __always_inline bool keel_user_fault_spurious(struct pt_regs *regs,
						     unsigned long *error_code,
						     unsigned long address)
{
	unsigned long code;

	if (!keel_guest() || !user_mode(regs))
		return false;
	code = __keel_user_fault(*error_code, address);
	if (code == KEEL_FAULT_DONE)
		return true;
	*error_code = code;
	return false;
}

/*
 * A user page fault has been handled: load the translation, it will be used at once. Not if a signal
 * comes first, which most often is because there is none.
 */
static __always_inline void keel_user_fault_done(struct pt_regs *regs, unsigned long error_code,
						 unsigned long address)
{
	if (keel_guest() && user_mode(regs) && !this_cpu_read(keel_filled) &&
	    !test_thread_flag(TIF_SIGPENDING))
		keel_hypercall2(KEEL_HC_FILL, address, error_code);
}

/* Flush [start, end) on this CPU. `reload`: the page tables are still there. False: use INVLPG. */
static __always_inline bool keel_flush_tlb_range(unsigned long start, unsigned long end, bool reload)
{
	if (!keel_guest())
		return false;
	__keel_flush_tlb_range(start, end, reload);
	return true;
}

/* Flush kernel addresses on all online CPUs; all of them if `end` is TLB_FLUSH_ALL. */
static __always_inline bool keel_flush_kernel_range(unsigned long start, unsigned long end)
{
	if (!keel_guest())
		return false;
	__keel_flush_kernel_range(start, end);
	return true;
}

/* A CPU that the MADT names, but that this partition has no vCPU for. */
static inline bool keel_no_vcpu(u32 apic_id)
{
	return keel_guest() && __keel_no_vcpu(apic_id);
}

#else /* !CONFIG_KEEL_GUEST */

static inline bool keel_guest(void) { return false; }
static inline bool keel_no_vcpu(u32 apic_id) { return false; }
static inline u32 keel_pci_read(unsigned int bus, unsigned int devfn, unsigned int reg, unsigned int bytes)
{
	return ~0;
}

static inline void keel_pci_write(unsigned int bus, unsigned int devfn, unsigned int reg, unsigned int bytes,
				  u32 value) { }

static inline unsigned long keel_user_gs(void) { return 0; }
static inline void keel_set_user_gs(unsigned long base) { }

static inline bool keel_user_fault_spurious(struct pt_regs *regs, unsigned long *error_code,
					    unsigned long address)
{
	return false;
}

static inline void keel_user_fault_done(struct pt_regs *regs, unsigned long error_code,
					unsigned long address) { }

static inline bool keel_flush_tlb_range(unsigned long start, unsigned long end, bool reload)
{
	return false;
}

static inline bool keel_flush_kernel_range(unsigned long start, unsigned long end)
{
	return false;
}

#endif /* CONFIG_KEEL_GUEST */

void start_secondary(void *unused);	/* kernel/smpboot.c */

#endif /* _ASM_X86_KEEL_H */

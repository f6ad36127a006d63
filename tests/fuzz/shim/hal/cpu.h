/* SPDX-License-Identifier: MIT */
/*
 * shim/hal/cpu.h - hal/cpu.h for the fuzzer of hypercalls: what only ring 0 may do, or what must be the same in every
 * run of an input, is played by hcall_machine.c or does nothing. All else is the real header's.
 */
#ifndef FUZZ_SHIM_HAL_CPU_H
#define FUZZ_SHIM_HAL_CPU_H

#include_next <hal/cpu.h>

/* Of the CPU that is played. */
struct fuzz_registers {
	uint64_t tsc, cr2, cr4, cr8, dr6, fsbase, gsbase;
	uint16_t ds, es, fs, gs;
};
extern struct fuzz_registers fuzz_registers;

static inline uint64_t fuzz_rdtsc(void)
{
	return fuzz_registers.tsc += 16;
}

void fuzz_idle(void) __attribute__((noreturn));		/* until somebody calls this CPU */

#define hal_rdtsc()		fuzz_rdtsc()
#define hal_read_cr2()		(fuzz_registers.cr2)
#define hal_read_cr4()		(fuzz_registers.cr4)
#define hal_write_cr4(v)	((void)(fuzz_registers.cr4 = (v)))
#define hal_read_cr8()		(fuzz_registers.cr8)
#define hal_write_cr8(v)	((void)(fuzz_registers.cr8 = (v)))
#define hal_read_dr6()		(fuzz_registers.dr6)
#define hal_write_dr6(v)	((void)(fuzz_registers.dr6 = (v)))
#define hal_write_dr0(v)	((void)(v))
#define hal_write_dr1(v)	((void)(v))
#define hal_write_dr2(v)	((void)(v))
#define hal_write_dr3(v)	((void)(v))
#define hal_write_dr7(v)	((void)(v))
#define hal_rdfsbase()		(fuzz_registers.fsbase)
#define hal_wrfsbase(v)		((void)(fuzz_registers.fsbase = (v)))
#define hal_rdgsbase()		(fuzz_registers.gsbase)
#define hal_wrgsbase(v)		((void)(fuzz_registers.gsbase = (v)))
#define hal_read_ds()		(fuzz_registers.ds)
#define hal_write_ds(v)		((void)(fuzz_registers.ds = (v)))
#define hal_read_es()		(fuzz_registers.es)
#define hal_write_es(v)		((void)(fuzz_registers.es = (v)))
#define hal_read_fs()		(fuzz_registers.fs)
#define hal_write_fs(v)		((void)(fuzz_registers.fs = (v)))
#define hal_read_gs()		(fuzz_registers.gs)
#define hal_write_gs(v)		((void)(fuzz_registers.gs = (v)))
#define hal_xsave(area, mask)	((void)(area))
#define hal_xrstor(area, mask)	((void)(area))
#define hal_xswitch(from, to)	((void)(from), (void)(to))
#define hal_selectors()		((uint64_t)(fuzz_registers.ds | fuzz_registers.es | fuzz_registers.fs | fuzz_registers.gs))
#define hal_fxsave(area)	((void)(area))
#define hal_fxrstor(area)	((void)(area))
#define hal_fninit()		((void)0)
#define hal_xsetbv(reg, v)	((void)(v))
#define hal_wrmsr(msr, v)	((void)(v))
#define hal_rdmsr(msr)		((void)(msr), 0UL)
#define hal_outb(port, v)	((void)(port), (void)(v))
#define hal_outw(port, v)	((void)(port), (void)(v))
#define hal_outl(port, v)	((void)(port), (void)(v))
#define hal_inb(port)		((void)(port), (uint8_t)0xff)
#define hal_inw(port)		((void)(port), (uint16_t)0xffff)
#define hal_inl(port)		((void)(port), 0xffffffffU)
#define hal_hlt()		fuzz_idle()
#define hal_sti_hlt_cli()	fuzz_idle()
#define hal_flush_tlb()		((void)0)

#endif

// SPDX-License-Identifier: MIT
/*
 * emul_msr.c - RDMSR and WRMSR of a Linux-like partition.
 *
 * Few are real: segment bases, TSC_AUX. The SYSCALL set is remembered, never loaded. Everything
 * else reads as zero and swallows writes, with a log line, so that a driver's probing is no fault.
 *
 * Context: the vCPU that trapped is this CPU's; nothing here is another's.
 */
#include <hal/cpu.h>
#include "entry/emul.h"
#include "part/part.h"
#include "run/vcpu.h"
#include "lib/log.h"

#define MSR_TSC			0x10
#define MSR_APIC_BASE		0x1b
#define MSR_MISC_ENABLE		0x1a0
#define MSR_MTRR_CAP		0xfe
#define MSR_MTRR_DEF_TYPE	0x2ff
#define MSR_PAT			0x277
#define MSR_EFER		0xc0000080
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103
#define EFER_VALUE		0xd01	/* SCE, LME, LMA, NXE */
#define PAT_VALUE		0x0407050600070106UL
#define APIC_BASE_BSP		0x100UL
#define APIC_BASE_ENABLE	0x800UL

/* STAR, LSTAR, CSTAR, SFMASK, SYSENTER_CS, _ESP, _EIP: slots of vcpu.msr_syscall. */
static int syscall_slot(uint32_t msr)
{
	if (msr >= 0xc0000081 && msr <= 0xc0000084)
		return (int)(msr - 0xc0000081);
	if (msr >= 0x174 && msr <= 0x176)
		return (int)(msr - 0x174) + 4;
	return -1;
}

bool emul_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
	int slot = syscall_slot(msr);

	if (slot >= 0) {
		*value = v->msr_syscall[slot];
		return true;
	}
	switch (msr) {
	case MSR_TSC: *value = hal_rdtsc(); return true;
	case MSR_APIC_BASE: *value = 0xfee00000 | APIC_BASE_BSP | APIC_BASE_ENABLE; return true;
	case MSR_EFER: *value = EFER_VALUE; return true;
	case MSR_PAT: *value = PAT_VALUE; return true;
	case MSR_FS_BASE: *value = hal_rdfsbase(); return true;
	case MSR_GS_BASE: *value = hal_rdgsbase(); return true;
	case MSR_KERNEL_GS_BASE: *value = v->vp->user_gs; return true;
	case MSR_TSC_AUX: *value = v->tsc_aux; return true;
	case MSR_MTRR_CAP:
	case MSR_MTRR_DEF_TYPE:
	case MSR_MISC_ENABLE: *value = 0; return true;
	}
	if (part_log_ok(v->part))
		log_printf("%s: rdmsr %#x reads 0\n", v->part->man->name, msr);
	*value = 0;
	return true;
}

bool emul_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	int slot = syscall_slot(msr);

	if (slot >= 0) {
		v->msr_syscall[slot] = value;
		return true;
	}
	switch (msr) {
	case MSR_FS_BASE:
		if (!is_canonical(value))
			return false;
		hal_wrfsbase(value);
		return true;
	case MSR_GS_BASE:
		if (!is_canonical(value))
			return false;
		hal_wrgsbase(value);
		v->vp->kernel_gs = value;
		return true;
	case MSR_KERNEL_GS_BASE:
		v->vp->user_gs = value;
		return true;
	case MSR_TSC_AUX:
		if (value >> 32 || !hal_cpu()->rdtscp)
			return false;
		v->tsc_aux = (uint32_t)value;
		vcpu_load_tsc_aux(v);
		vcpu_note_special(v);
		return true;
	case MSR_EFER:
	case MSR_PAT:
		return true;
	}
	if (part_log_ok(v->part))
		log_printf("%s: wrmsr %#x = %#lx ignored\n", v->part->man->name, msr, value);
	return true;
}

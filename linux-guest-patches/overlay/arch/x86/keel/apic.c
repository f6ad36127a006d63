// SPDX-License-Identifier: GPL-2.0-only
/*
 * apic.c - interrupt controllers, seen from ring 1.
 *
 * The metakernel owns the local APIC and ends each interrupt there before Linux sees it. What is
 * left for Linux: a register file per CPU that native setup code may write to, IPIs by hypercall, and an
 * EOI that only level-triggered interrupts need (their IO-APIC line stays masked until then). The
 * IO-APIC keeps its native driver; register accesses are hypercalls. The legacy PIC is not there,
 * but its 16 interrupt numbers are.
 */
#include <linux/cpumask.h>
#include <linux/irq.h>
#include <asm/apic.h>
#include <asm/i8259.h>
#include <asm/io_apic.h>
#include <asm/x86_init.h>
#include "../kernel/apic/local.h"
#include "keel.h"

/* ---- Local APIC ----------------------------------------------------------------------------------- */

#define KEEL_APIC_VERSION	0x14	/* integrated, LVT entries 0 to 0, no ESR to speak of */
#define KEEL_APIC_REGS		(0x400 / 0x10)

static DEFINE_PER_CPU(u32 [KEEL_APIC_REGS], keel_apic_regs) = {	/* as after reset */
	[APIC_SPIV / 0x10]	= 0xff,
	[APIC_DFR / 0x10]	= APIC_DFR_FLAT,
	[APIC_LVTT / 0x10]	= APIC_LVT_MASKED,
	[APIC_LVTTHMR / 0x10]	= APIC_LVT_MASKED,
	[APIC_LVTPC / 0x10]	= APIC_LVT_MASKED,
	[APIC_LVT0 / 0x10]	= APIC_LVT_MASKED,
	[APIC_LVT1 / 0x10]	= APIC_LVT_MASKED,
	[APIC_LVTERR / 0x10]	= APIC_LVT_MASKED,
};

static u32 keel_apic_read(u32 reg)
{
	if (reg >= 0x400)
		return 0;

	switch (reg) {
	case APIC_ID:
		return keel_vcpu->apic_id;
	case APIC_LVR:
		return KEEL_APIC_VERSION;
	case APIC_ESR:
	case APIC_ICR:		/* never busy */
	case APIC_TMCCT:
		return 0;
	}
	/* Who asks has a level-triggered interrupt and wants to hear that it was one */
	if (reg >= APIC_TMR && reg < APIC_IRR)
		return ~0U;
	/* A CPU that goes off hands on what waits (fixup_irqs()): it may be any, and to raise all is harmless */
	if (reg >= APIC_IRR && reg < APIC_ESR)
		return !cpu_online(smp_processor_id()) && READ_ONCE(keel_vcpu->pending) ? ~0U : 0;
	if (reg >= APIC_ISR && reg < APIC_TMR)
		return 0;
	return this_cpu_read(keel_apic_regs[reg / 0x10]);
}

static void keel_apic_write(u32 reg, u32 value)
{
	if (reg < 0x400)
		this_cpu_write(keel_apic_regs[reg / 0x10], value);
}

static void keel_apic_eoi(void)
{
	if (READ_ONCE(keel_vcpu->level_isr))
		keel_hypercall0(KEEL_HC_EOI);
}

static u64 keel_apic_icr_read(void)
{
	return 0;
}

static void keel_apic_icr_write(u32 low, u32 id)
{
	if ((low & APIC_DM_FIXED_MASK) == APIC_DM_FIXED)
		keel_hypercall2(KEEL_HC_IPI, id, low & APIC_VECTOR_MASK);
}

static void keel_send_IPI(int cpu, int vector)
{
	keel_hypercall2(KEEL_HC_IPI, per_cpu(x86_cpu_to_apicid, cpu), vector);
}

static void keel_send_IPI_set(u64 set, int vector)
{
	if (set)
		keel_hypercall2(KEEL_HC_IPI_SET, vector, set);
}

static void keel_send_IPI_mask(const struct cpumask *mask, int vector)
{
	keel_send_IPI_set(keel_vcpu_set(mask) & keel_vcpu_set(cpu_online_mask), vector);
}

static void keel_send_IPI_mask_allbutself(const struct cpumask *mask, int vector)
{
	u64 others = keel_vcpu_set(cpu_online_mask) & ~keel_vcpu_bit(smp_processor_id());

	keel_send_IPI_set(keel_vcpu_set(mask) & others, vector);
}

static void keel_send_IPI_allbutself(int vector)
{
	keel_send_IPI_mask_allbutself(cpu_online_mask, vector);
}

static void keel_send_IPI_all(int vector)
{
	keel_send_IPI_set(keel_vcpu_set(cpu_online_mask), vector);
}

static void keel_send_IPI_self(int vector)
{
	keel_send_IPI(smp_processor_id(), vector);
}

static u32 keel_get_apic_id(u32 x)
{
	return x;	/* not shifted: the register is 32 bits wide, as an x2APIC's */
}

static int keel_apic_probe(void)
{
	return keel_guest();
}

static int keel_madt_oem_check(char *oem_id, char *oem_table_id)
{
	return keel_guest();
}

static struct apic keel_apic __ro_after_init = {
	.name				= "Keel",
	.probe				= keel_apic_probe,
	.acpi_madt_oem_check		= keel_madt_oem_check,
	.dest_mode_logical		= false,
	.disable_esr			= 0,
	.cpu_present_to_apicid		= default_cpu_present_to_apicid,
	.max_apic_id			= 0xFE,
	.get_apic_id			= keel_get_apic_id,
	/* Devices' MSI messages carry what this returns */
	.calc_dest_apicid		= apic_default_calc_apicid,
	.send_IPI			= keel_send_IPI,
	.send_IPI_mask			= keel_send_IPI_mask,
	.send_IPI_mask_allbutself	= keel_send_IPI_mask_allbutself,
	.send_IPI_allbutself		= keel_send_IPI_allbutself,
	.send_IPI_all			= keel_send_IPI_all,
	.send_IPI_self			= keel_send_IPI_self,
	.read				= keel_apic_read,
	.write				= keel_apic_write,
	.eoi				= keel_apic_eoi,
	.icr_read			= keel_apic_icr_read,
	.icr_write			= keel_apic_icr_write,
};
apic_driver(keel_apic);

void __init keel_apic_install(void)
{
	apic_install_driver(&keel_apic);
}

/* ---- IO-APIC -------------------------------------------------------------------------------------- */

static unsigned int keel_io_apic_read(unsigned int apic, unsigned int reg)
{
	long value = keel_hypercall2(KEEL_HC_IOAPIC_READ, apic, reg);

	return value < 0 ? ~0U : (unsigned int)value;
}

static void keel_io_apic_write(unsigned int apic, unsigned int reg, unsigned int value)
{
	long err = keel_hypercall3(KEEL_HC_IOAPIC_WRITE, apic, reg, value);

	if (err)
		pr_warn_ratelimited("keel: IO-APIC %u: register %#x = %#x refused: %ld\n",
				    apic, reg, value, err);
}

static void keel_io_apic_eoi(unsigned int apic, unsigned int vector)
{
	/* The metakernel has ended the interrupt already */
}

/* ---- Legacy PIC: numbers without a chip ----------------------------------------------------------- */

static void keel_pic_noop(void) { }
static void keel_pic_uint_noop(unsigned int irq) { }
static void keel_pic_init(int auto_eoi) { }

static int keel_pic_probe(void)
{
	return NR_IRQS_LEGACY;
}

static int keel_pic_irq_pending(unsigned int irq)
{
	return 0;
}

static struct legacy_pic keel_legacy_pic = {
	.nr_legacy_irqs	= NR_IRQS_LEGACY,
	.chip		= &dummy_irq_chip,
	.mask		= keel_pic_uint_noop,
	.unmask		= keel_pic_uint_noop,
	.mask_all	= keel_pic_noop,
	.restore_mask	= keel_pic_noop,
	.init		= keel_pic_init,
	.probe		= keel_pic_probe,
	.irq_pending	= keel_pic_irq_pending,
	.make_irq	= keel_pic_uint_noop,
};

void __init keel_apic_init_ops(void)
{
	x86_apic_ops.io_apic_read = keel_io_apic_read;
	x86_apic_ops.io_apic_write = keel_io_apic_write;
	x86_apic_ops.io_apic_eoi = keel_io_apic_eoi;
	legacy_pic = &keel_legacy_pic;
}

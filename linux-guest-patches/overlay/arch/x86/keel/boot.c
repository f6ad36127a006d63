// SPDX-License-Identifier: GPL-2.0-only
/*
 * boot.c - from keel_start to start_kernel(), and the end of it all.
 *
 * keel_start_kernel() does for ring 1 what head_64.S and x86_64_start_kernel() do natively, in the
 * order in which the rest of the kernel needs it: .bss, the metakernel's entry points, paravirt
 * operations, CPU capabilities, early IDT. From then on everything is the native path.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/console.h>
#include <linux/ioport.h>
#include <linux/panic.h>
#include <linux/panic_notifier.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/start_kernel.h>
#include <linux/string.h>
#include <asm/bootparam.h>
#include <asm/cpu.h>
#include <asm/desc.h>
#include <asm/hpet.h>
#include <asm/hypervisor.h>
#include <asm/insn.h>
#include <asm/mtrr.h>
#include <asm/paravirt.h>
#include <asm/pci_x86.h>
#include <asm/reboot.h>
#include <asm/setup.h>
#include <asm/text-patching.h>
#include <asm/tlbflush.h>
#include <asm/x86_init.h>
#include "../kernel/cpu/cpu.h"
#include "keel.h"

extern char early_xen_iret_patch[];
extern pgd_t early_top_pgt[];

static bool keel_entered __ro_after_init;	/* through keel_start */

unsigned int keel_exit_status;
EXPORT_SYMBOL_GPL(keel_exit_status);

/* ---- Console: shared by drivers/keel/hvc.c and the console of the first moments ------------------ */

/* No byte taken for so long: nobody listens at the far end. */
#define KEEL_CONSOLE_PATIENCE_MS	3000

static char keel_console_page[PAGE_SIZE] __page_aligned_bss;

/*
 * The metakernel takes as much as its queue has room for. Returns the bytes taken; -EAGAIN when there is no
 * room now; 0 when there has been none for so long that whoever cannot sleep (printk) must go on without.
 */
long keel_console_put(phys_addr_t pa, size_t len)
{
	static u64 moved;
	long taken = keel_hypercall2(KEEL_HC_CONSOLE_WRITE, pa, len);
	u64 now = rdtsc();

	if (taken > 0)
		WRITE_ONCE(moved, now);
	else if (!taken && len && now - READ_ONCE(moved) < (u64)KEEL_CONSOLE_PATIENCE_MS * keel_vcpu->tsc_khz)
		return -EAGAIN;
	return taken;
}

static void keel_console_write(struct console *con, const char *s, unsigned int len)
{
	while (len) {
		unsigned int n = min_t(unsigned int, len, PAGE_SIZE);
		long taken;

		memcpy(keel_console_page, s, n);
		taken = keel_console_put(__pa_symbol(keel_console_page), n);
		if (taken == -EAGAIN)
			continue;
		if (taken <= 0)
			return;
		s += taken;
		len -= taken;
	}
}

static struct console keel_boot_console = {
	.name	= "keelboot",
	.write	= keel_console_write,
	.flags	= CON_PRINTBUFFER | CON_BOOT | CON_ANYTIME,
	.index	= -1,
};

/* ---- End --------------------------------------------------------------------------------------- */

void __noreturn keel_shutdown(unsigned int how, unsigned int status)
{
	keel_hypercall2(KEEL_HC_SHUTDOWN, how, status);
	for (;;)
		keel_hypercall2(KEEL_HC_BLOCK, 0, 0);
}

static void keel_power_off(void)
{
	keel_shutdown(KEEL_SHUTDOWN_POWEROFF, keel_exit_status & 0x7f);
}

static void keel_restart(char *cmd)
{
	keel_shutdown(KEEL_SHUTDOWN_REBOOT, 0);
}

static void keel_emergency_restart(void)
{
	keel_shutdown(KEEL_SHUTDOWN_REBOOT, 0);
}

static void keel_machine_shutdown(void)
{
	/* Devices are quiet by now; APIC and IO-APIC are the metakernel's to clean up */
}

static char keel_info_page[PAGE_SIZE] __page_aligned_bss;

/* Whether this partition may reset the machine; else a "reboot" is only its own end. */
static bool keel_has_control(void)
{
	const struct keel_cap_info *self = (const void *)keel_info_page;

	return !keel_hypercall2(KEEL_HC_CAP_INFO, 0, __pa_symbol(keel_info_page)) &&
	       self->rights & KEEL_RIGHT_CONTROL;
}

/* panic=0: this partition has crashed, the others run on. Else panic() waits and resets. */
static int keel_panic(struct notifier_block *nb, unsigned long event, void *unused)
{
	console_flush_on_panic(CONSOLE_FLUSH_PENDING);
	if (panic_timeout && keel_has_control())
		return NOTIFY_DONE;
	keel_shutdown(KEEL_SHUTDOWN_CRASH, 0);
}

static struct notifier_block keel_panic_block = {
	.notifier_call	= keel_panic,
	.priority	= INT_MIN,	/* after everybody else has said what they know */
};

/* ---- Hooks -------------------------------------------------------------------------------------- */

static uint32_t __init keel_detect(void)
{
	return keel_entered ? UINT_MAX : 0;
}

static void __init keel_arch_setup(void)
{
	register_console(&keel_boot_console);
}

static void __init keel_legacy_features(void)
{
	x86_platform.legacy.rtc = 0;
	x86_platform.legacy.no_vga = 1;
	x86_platform.legacy.warm_reset = 0;
	x86_platform.legacy.reserve_bios_regions = 0;
	x86_platform.legacy.i8042 = X86_LEGACY_I8042_PLATFORM_ABSENT;
}

/* No chipset behind it: an NMI is an IPI */
static unsigned char keel_get_nmi_reason(void)
{
	return 0;
}

/* The metakernel's own serial port: keep the 8250 driver from probing it. */
static struct resource keel_com1 = {
	.name	= "Keel console",
	.start	= 0x3f8,
	.end	= 0x3ff,
	.flags	= IORESOURCE_IO | IORESOURCE_BUSY,
};

static void __init keel_init_platform(void)
{
	keel_apic_install();
	guest_force_mtrr_state(NULL, 0, MTRR_TYPE_WRBACK);
	request_resource(&ioport_resource, &keel_com1);
	atomic_notifier_chain_register(&panic_notifier_list, &keel_panic_block);
	pm_power_off = keel_power_off;
	add_preferred_console("hvc", 0, NULL);
	keel_smp_limit();
	boot_hpet_disable = true;
}

const __initconst struct hypervisor_x86 x86_hyper_keel = {
	.name			= "Keel",
	.detect			= keel_detect,
	.type			= X86_HYPER_KEEL,
	.init.init_platform	= keel_init_platform,
	.ignore_nopv		= true,
};

static void __init keel_set_entry(unsigned int nr, const void *entry)
{
	keel_hypercall2(KEEL_HC_SET_ENTRY, nr, entry);
}

static void __init keel_set_entries(void)
{
	keel_set_entry(KEEL_ENTRY_SYSCALL, keel_entry_syscall);
	keel_set_entry(KEEL_ENTRY_PF_USER, keel_entry_pf_user);
	keel_set_entry(KEEL_ENTRY_EVENT_USER, keel_entry_event_user);
	keel_set_entry(KEEL_ENTRY_EVENT_KERNEL, keel_entry_event_kernel);
	keel_set_entry(KEEL_ENTRY_TAIL_TEST, keel_tail_test);
	keel_set_entry(KEEL_ENTRY_TAIL_POP, keel_tail_pop);
	keel_set_entry(KEEL_ENTRY_TAIL_SKIP, keel_tail_skip);
	keel_set_entry(KEEL_ENTRY_TAIL_IRET, keel_tail_iret);
	keel_set_entry(KEEL_ENTRY_FIX_POP, keel_fix_pop);
	keel_set_entry(KEEL_ENTRY_FIX_SKIP, keel_fix_skip);
	keel_set_entry(KEEL_ENTRY_FIX_IRET, keel_fix_iret);
	keel_set_entry(KEEL_ENTRY_BAD_IRET, keel_bad_iret);
	keel_set_entry(KEEL_ENTRY_TEXT_BEGIN, keel_text_begin);
	keel_set_entry(KEEL_ENTRY_TEXT_END, keel_text_end);
}

static void __init keel_init_hooks(void)
{
	x86_init.resources.probe_roms = x86_init_noop;
	x86_init.mpparse.find_mptable = x86_init_noop;
	x86_init.mpparse.early_parse_smp_cfg = x86_init_noop;
	x86_init.oem.arch_setup = keel_arch_setup;
	x86_platform.set_legacy_features = keel_legacy_features;
	x86_platform.realmode_reserve = x86_init_noop;
	x86_platform.realmode_init = x86_init_noop;
	x86_platform.get_nmi_reason = keel_get_nmi_reason;

	machine_ops.power_off = keel_power_off;
	machine_ops.restart = keel_restart;
	machine_ops.halt = keel_power_off;
	machine_ops.emergency_restart = keel_emergency_restart;
	machine_ops.shutdown = keel_machine_shutdown;
#ifdef CONFIG_PCI
	pci_probe &= ~PCI_PROBE_BIOS;
#endif
}

asmlinkage __visible void __init __noreturn keel_start_kernel(unsigned long boot_params_pa)
{
	/* First: capabilities and everything below keep their state in .bss */
	clear_bss();

	keel_set_entries();
	keel_entered = true;
	early_boot_irqs_disabled = true;

	/* Not an alternative: interrupts are on long before alternatives are applied */
	__text_gen_insn(early_xen_iret_patch, JMP32_INSN_OPCODE, early_xen_iret_patch,
			keel_iret_kernel, JMP32_INSN_SIZE);

	pv_info.name = "Keel";
	keel_cpu_init_ops();
	keel_mmu_init_ops();
	keel_apic_init_ops();
	keel_smp_init_ops();
	keel_time_init_ops();
	keel_init_hooks();

	idt_setup_early_handler();
	cr4_init_shadow();
	early_console = &keel_boot_console;

	/* As x86_64_start_kernel(): the kernel image in the tables to come */
	init_top_pgt[511] = early_top_pgt[511];

	x86_64_start_reservations((char *)boot_params_pa);
}

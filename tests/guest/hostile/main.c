// SPDX-License-Identifier: MIT
/*
 * main.c - what this hostile partition does: the first word of its command line says.
 *
 *   checks [NAME]     all checks, or those whose names begin so; with the word quick, no long ones
 *   devices           the checks for a partition that holds the devices
 *   attack            the attack that the partition is named after
 *   devfuzz=SEED,COUNT random writes to ports and configuration space (holds the devices)
 *   fuzz=SEED,COUNT   random hypercalls
 *   watch[=SECONDS]   look how the others end (needs the control right), then switch off
 *   marker            keep a pattern in all registers, for others to look for
 *   wait              for ever, for what never comes
 *   outlive           the server of its first channel, by a second
 *   stop              exit at once
 *   smp [NAME]        the checks between vCPUs; with the word long, more rounds
 *   omitted           a shoot-down that forgets something (debug builds); it must be noticed
 *   die               make hypercalls on all vCPUs until the last one faults
 *   makes=COUNT       partitions of its own memory's, until they have made so many random hypercalls (control right)
 *   restarts=COUNT    restart the others so often (needs the control right), then end them
 *
 * With the word clones each vCPU of the partition does it, with a slice of the memory (clone.c).
 */
#include "hostile.h"

void hostile_main(const struct keel_start_info *si) __attribute__((noreturn));

static const struct {
	const char *name;
	const char *(*fn)(void);
	bool slow;
} checks[] = {
	{ "hole-scan", check_hole_scan, false },
	{ "hole-kept", check_hole_kept, false },
	{ "hole-not-dropped", check_hole_not_dropped, false },
	{ "stack-residue", check_stack_residue, true },
	{ "registers-kept", check_registers_kept, true },
	{ "compat-syscall", check_compat_syscall, false },
	{ "sysenter", check_sysenter, false },
	{ "gates", check_gates, false },
	{ "descriptors", check_descriptors, false },
	{ "int-n", check_int_n, false },
	{ "iretl-vm", check_iretl_vm, false },
	{ "vm-entries", check_vm_entries, false },
	{ "return-ring0", check_return_ring0, false },
	{ "iret-frames", check_iret_frames, false },
	{ "set-desc", check_set_desc, true },
	{ "stack-selector", check_stack_selector, false },
	{ "stale-selectors", check_stale_selectors, false },
	{ "load-gs", check_load_gs, false },
	{ "debug-registers", check_debug_registers, false },
	{ "watchpoints", check_watchpoints, false },
	{ "mov-ss", check_mov_ss, false },
	{ "time-stamp", check_time_stamp, false },
	{ "single-step", check_single_step, false },
	{ "control-registers", check_control_registers, false },
	{ "privileged-ring1", check_privileged_ring1, false },
	{ "privileged-ring3", check_privileged_ring3, false },
	{ "random-instructions", check_random_instructions, true },
	{ "foreign-frames", check_foreign_frames, true },
	{ "huge-leaves", check_huge_leaves, true },
	{ "global-bit", check_global_bit, false },
	{ "table-in-window", check_table_in_window, false },
	{ "table-foreign", check_table_foreign, true },
	{ "table-loops", check_table_loops, false },
	{ "table-garbage", check_table_garbage, true },
	{ "thrash", check_thrash, true },
	{ "cr3-pcids", check_cr3_pcids, true },
	{ "smep", check_smep, false },
	{ "calls-refuse", check_calls_refuse, false },
	{ "handles", check_handles, false },
	{ "ports", check_ports, false },
	{ "entries", check_entries, false },
	{ "external-vectors", check_external_vectors, false },
	{ "nmi", check_nmi, false },
	{ "vcpu-page-garbage", check_vcpu_page_garbage, false },
};

static const struct {
	const char *name;
	const char *(*fn)(void);
} device_checks[] = {
	{ "device-windows", check_device_windows },
	{ "ioapic", check_ioapic },
	{ "storm", check_storm },
	{ "device-ports", check_device_ports },
	{ "device-stores", check_device_stores },
	{ "firmware-tables", check_firmware_tables },
	{ "chipset-registers", check_chipset_registers },
	{ "bars", check_bars },
	{ "sleep", check_sleep },
};

static const struct {
	const char *name;
	const char *(*fn)(void);
} smp_checks[] = {
	{ "start-errors", check_start_errors },
	{ "ipis", check_ipis },
	{ "ping-pong", check_ping_pong },
	{ "flush-set", check_flush_set },
	{ "flush-each-other", check_flush_each_other },
	{ "offers", check_offers },
};

void finish(unsigned int ngood, unsigned int nbad)
{
	if (clones > 1) {
		__atomic_fetch_add(&shared->good, ngood, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&shared->bad, nbad, __ATOMIC_SEQ_CST);
		if (__atomic_add_fetch(&shared->finished, 1, __ATOMIC_SEQ_CST) < clones)
			hcall(KEEL_HC_VCPU_STOP, 0, 0, 0);
		ngood = shared->good;
		nbad = shared->bad;
	}
	say("HOSTILE done %u ok, %u failed\n", ngood, nbad);
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_EXIT, nbad, 0);
	for (;;)
		asm volatile("ud2");
}

static unsigned int good, bad;

static void run(const char *name, const char *(*fn)(void))
{
	const char *why;

	meet();		/* on all vCPUs at once */
	why = fn();
	hcall(HC_DEBUG, 10, 0, 0);	/* debug builds: are all shadow tables right, now? */
	if (why)
		say("HOSTILE %s FAIL %s\n", name, why);
	else
		say("HOSTILE %s ok\n", name);
	good += !why;
	bad += !!why;
}

static void run_checks(const char *only)
{
	const char *why;
	unsigned int i;

	kernel_init();
	sanity_init();
	why = sanity();
	if (why) {
		say("HOSTILE start FAIL %s\n", why);
		finish(0, 1);
	}
	for (i = 0; word("devices") && i < sizeof(device_checks) / sizeof(device_checks[0]); i++)
		run(device_checks[i].name, device_checks[i].fn);
	if (word("devices"))
		finish(good, bad);
	if (word("smp"))
		irqs_init();
	for (i = 0; word("smp") && i < sizeof(smp_checks) / sizeof(smp_checks[0]); i++)
		if (starts_with(smp_checks[i].name, only))
			run(smp_checks[i].name, smp_checks[i].fn);
	if (word("smp"))
		finish(good, bad);
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (!starts_with(checks[i].name, only) || (checks[i].slow && word("quick")))
			continue;
		run(checks[i].name, checks[i].fn);
	}
	finish(good, bad);
}

static void run_omitted(void)
{
	kernel_init();
	irqs_init();
	run("omitted", check_omitted);
	finish(good, bad);
}

/* For ever, or until the server of channel 1 is dead and a second longer. */
static void wait(bool outlive)
{
	struct keel_chan_info *info = page_alloc(1);
	bool was_up = false;

	while (!outlive) {
		__atomic_exchange_n(&vcpu_page->events, 0, __ATOMIC_ACQUIRE);
		hcall(KEEL_HC_BLOCK, 0, 0, 0);
	}
	do {
		nap_us(10000);
		hcall(KEEL_HC_CHAN_INFO, 1, pa_of(info), 0);
		was_up |= info->state & KEEL_CHAN_SERVER_UP;
	} while (!was_up || info->state & KEEL_CHAN_SERVER_UP);
	nap_us(1000000);
	finish(1, 0);
}

void hostile_main(const struct keel_start_info *si)
{
	const char *arg;

	start_info = si;
	me = (unsigned int)vcpu_page->vcpu_id;
	random_state += me;
	if (!me) {
		whole_pa = si->mem_pa;
		whole_bytes = si->mem_bytes;
		if (word("smp"))
			run("start-stop", check_start_stop);
		if (word("clones"))
			clones_start();
	} else {
		clones = shared->clones;
		good = bad = 0;		/* what is copied may say something else */
		pages_again();
	}
	if ((arg = word("smp")))
		run_checks(*arg == ' ' && !starts_with(arg, " clones") ? arg + 1 : "");
	if (word("omitted"))
		run_omitted();
	if (word("die"))
		smp_die();
	if ((arg = word("restarts")))
		restarts(arg);
	if (word("devices"))
		run_checks("");
	if ((arg = word("checks")))
		run_checks(*arg == ' ' && !starts_with(arg, " quick") && !starts_with(arg, " clones") ? arg + 1 : "");
	if (word("attack"))
		attack(si->name);
	if ((arg = word("devfuzz")))
		fuzz_devices(arg);
	if ((arg = word("fuzz")))
		fuzz(arg);
	if ((arg = word("makes")))
		makes(arg);
	if ((arg = word("watch")))
		watch(arg);
	if (word("wait") || word("outlive"))
		wait(word("outlive"));
	if (word("marker"))
		marker();
	if (word("debug")) {
		arg = word("debug");
		hcall(HC_DEBUG, number(&arg), 0, 0);
	}
	finish(0, !word("stop"));
}

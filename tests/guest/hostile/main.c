// SPDX-License-Identifier: MIT
/*
 * main.c - what this hostile partition does: the first word of its command line says.
 *
 *   checks [NAME]     all checks, or those whose names begin so
 *   attack            the attack that the partition is named after
 *   fuzz=SEED,COUNT   random hypercalls
 *   watch[=SECONDS]   look how the others end (needs the control right), then switch off
 *   marker            keep a pattern in all registers, for others to look for
 *   stop              exit at once
 */
#include "hostile.h"

void hostile_main(const struct keel_start_info *si) __attribute__((noreturn));

static const struct {
	const char *name;
	const char *(*fn)(void);
} checks[] = {
	{ "hole-scan", check_hole_scan },
	{ "hole-kept", check_hole_kept },
	{ "hole-not-dropped", check_hole_not_dropped },
	{ "stack-residue", check_stack_residue },
	{ "registers-kept", check_registers_kept },
	{ "compat-syscall", check_compat_syscall },
	{ "sysenter", check_sysenter },
	{ "gates", check_gates },
	{ "descriptors", check_descriptors },
	{ "int-n", check_int_n },
	{ "iretl-vm", check_iretl_vm },
	{ "return-ring0", check_return_ring0 },
	{ "iret-frames", check_iret_frames },
	{ "set-desc", check_set_desc },
	{ "stack-selector", check_stack_selector },
	{ "stale-selectors", check_stale_selectors },
	{ "load-gs", check_load_gs },
	{ "debug-registers", check_debug_registers },
	{ "single-step", check_single_step },
	{ "control-registers", check_control_registers },
	{ "privileged-ring1", check_privileged_ring1 },
	{ "privileged-ring3", check_privileged_ring3 },
	{ "foreign-frames", check_foreign_frames },
	{ "huge-leaves", check_huge_leaves },
	{ "global-bit", check_global_bit },
	{ "table-in-window", check_table_in_window },
	{ "table-foreign", check_table_foreign },
	{ "table-loops", check_table_loops },
	{ "table-garbage", check_table_garbage },
	{ "thrash", check_thrash },
	{ "cr3-pcids", check_cr3_pcids },
	{ "smep", check_smep },
	{ "calls-refuse", check_calls_refuse },
	{ "handles", check_handles },
	{ "ports", check_ports },
	{ "entries", check_entries },
	{ "external-vectors", check_external_vectors },
	{ "nmi", check_nmi },
	{ "vcpu-page-garbage", check_vcpu_page_garbage },
};

void finish(unsigned int good, unsigned int bad)
{
	say("HOSTILE done %u ok, %u failed\n", good, bad);
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_EXIT, bad, 0);
	for (;;)
		asm volatile("ud2");
}

static void run_checks(const char *only)
{
	unsigned int i, good = 0, bad = 0;
	const char *why;

	kernel_init();
	sanity_init();
	why = sanity();
	if (why) {
		say("HOSTILE start FAIL %s\n", why);
		finish(0, 1);
	}
	for (i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (!starts_with(checks[i].name, only))
			continue;
		why = checks[i].fn();
		if (why)
			say("HOSTILE %s FAIL %s\n", checks[i].name, why);
		else
			say("HOSTILE %s ok\n", checks[i].name);
		good += !why;
		bad += !!why;
	}
	finish(good, bad);
}

void hostile_main(const struct keel_start_info *si)
{
	const char *arg;

	start_info = si;
	if ((arg = word("checks")))
		run_checks(*arg == ' ' ? arg + 1 : arg);
	if (word("attack"))
		attack(si->name);
	if ((arg = word("fuzz")))
		fuzz(arg);
	if ((arg = word("watch")))
		watch(arg);
	if (word("marker"))
		marker();
	if (word("debug")) {
		arg = word("debug");
		hcall(HC_DEBUG, number(&arg), 0, 0);
	}
	finish(0, !word("stop"));
}

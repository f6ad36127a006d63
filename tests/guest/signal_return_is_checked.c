// SPDX-License-Identifier: MIT
/*
 * signal_return_is_checked - a signal handler that puts nonsense into its saved context ends in a
 * signal for the process, never in a stronger ring and never in a dead machine. (A bad iretq faults
 * in the kernel, which in ring 1 is the metakernel's and Linux's joint business.)
 */
#include <keel/abi.h>
#include <ucontext.h>

#include "guest.h"

static void (*change)(mcontext_t *);
static volatile int ran;

static void handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	change(&((ucontext_t *)context)->uc_mcontext);
	ran = 1;
}

static void set_selectors(mcontext_t *m, uint16_t cs, uint16_t ss)
{
	uint64_t packed = (uint64_t)m->gregs[REG_CSGSFS] & 0x0000ffffffff0000u;

	m->gregs[REG_CSGSFS] = (greg_t)(packed | cs | (uint64_t)ss << 48);
}

static void ring1_selectors(mcontext_t *m)	{ set_selectors(m, KEEL_CS_RING1, KEEL_SS_RING1); }
static void ring0_selectors(mcontext_t *m)	{ set_selectors(m, 0x08, 0x10); }
static void ldt_selectors(mcontext_t *m)	{ set_selectors(m, 0x0f, 0x17); }
static void null_cs(mcontext_t *m)		{ set_selectors(m, 0, KEEL_SS_USER); }
static void tss_as_cs(mcontext_t *m)		{ set_selectors(m, 0x43, KEEL_SS_USER); }
static void data_as_cs(mcontext_t *m)		{ set_selectors(m, KEEL_SS_USER, KEEL_SS_USER); }
static void kernel_rip(mcontext_t *m)		{ m->gregs[REG_RIP] = (greg_t)0xffffffff81000000; }
static void odd_rip(mcontext_t *m)		{ m->gregs[REG_RIP] = (greg_t)0x0000800000000000; }
static void hole_rip(mcontext_t *m)		{ m->gregs[REG_RIP] = (greg_t)KEEL_TRAMP_VA; }
static void trap_flag(mcontext_t *m)		{ m->gregs[REG_EFL] |= 0x100; }
static void io_privilege(mcontext_t *m)		{ m->gregs[REG_EFL] |= 0x3000; }
static void interrupts_off(mcontext_t *m)	{ m->gregs[REG_EFL] &= ~0x200; }
static void unchanged(mcontext_t *m)		{ (void)m; }

static void raise_it(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	if (!ran)
		_exit(2);
	/* With I/O privilege this would end the machine; without it, SIGSEGV. */
	if (change == io_privilege)
		__asm__ volatile("outb %%al, $0xf4" :: "a"(5));
	/* Interrupts off would hang here: the alarm could not end it. */
	if (change == interrupts_off) {
		alarm(1);
		for (;;)
			;
	}
}

static const struct {
	const char *name;
	void (*fn)(mcontext_t *);
	int sig;		/* expected; -1 is any fatal one */
} cases[] = {
	{ "unchanged", unchanged, 0 },
	{ "ring-1 selectors", ring1_selectors, -1 },
	{ "ring-0 selectors", ring0_selectors, -1 },
	{ "LDT selectors", ldt_selectors, -1 },
	{ "null CS", null_cs, -1 },
	{ "TSS as CS", tss_as_cs, -1 },
	{ "data segment as CS", data_as_cs, -1 },
	{ "kernel RIP", kernel_rip, SIGSEGV },
	{ "non-canonical RIP", odd_rip, SIGSEGV },
	{ "RIP in the metakernel's window", hole_rip, SIGSEGV },
	{ "trap flag", trap_flag, SIGTRAP },
	{ "I/O privilege level 3", io_privilege, SIGSEGV },
	{ "interrupts off", interrupts_off, SIGALRM },
};

int main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int sig;

		change = cases[i].fn;
		sig = guest_signal_of(raise_it);
		if (cases[i].sig < 0 ? sig == 0 : sig != cases[i].sig) {
			printf("%s: expected signal %d, got %d\n", cases[i].name, cases[i].sig, sig);
			guest_failures++;
		}
	}
	return guest_result();
}

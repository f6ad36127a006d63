// SPDX-License-Identifier: MIT
/*
 * attack.c - what ends a partition (I7), one attack a partition, and the watcher that looks on.
 *
 * The table is both sides' knowledge: the attacker finds its function, the watcher the reason the
 * metakernel must give for the end. A partition carries its attack as its name.
 */
#include "hostile.h"

static long wild_pointer(void)
{
	return *(volatile long *)0x7fff12345000;
}

static long null_call(void)
{
	asm volatile("xor %%eax, %%eax; call *%%rax" : : : "rax", "memory");
	return 0;
}

static long write_gdt(void)
{
	*(volatile uint64_t *)KEEL_VCPU_RO_VA = 0;
	return 0;
}

static long write_idt(void)
{
	*(volatile uint64_t *)(KEEL_IDT_VA + 16 * KEEL_HC_VECTOR) = 0;
	return 0;
}

static long write_trampoline(void)
{
	*(volatile uint8_t *)KEEL_TRAMP_VA = 0xcc;
	return 0;
}

static long run_trampoline(void)
{
	/* From the CR3 load on in ring 1: privileged there. */
	asm volatile("mov %0, %%rsp; jmp *%1" : : "r" (KEEL_STACK_VA + 0xff0),
		     "r" (KEEL_TRAMP_VA + 16 * 0x40));
	return 0;
}

static long halt(void)
{
	asm volatile("hlt");
	return 0;
}

static long halt_as_kernel(void)
{
	kernel_init();
	asm volatile("hlt");
	return 0;
}

static long write_cr3(void)
{
	asm volatile("mov %0, %%cr3" : : "r" (0x1000UL) : "memory");
	return 0;
}

static long undefined(void)
{
	asm volatile("ud2");
	return 0;
}

static long divide(void)
{
	asm volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx" : : : "eax", "ecx", "edx");
	return 0;
}

static long breakpoint(void)
{
	asm volatile("int3");
	return 0;
}

static long icebp(void)
{
	asm volatile(".byte 0xf1");
	return 0;
}

static long noncanonical_jump(void)
{
	asm volatile("jmp *%0" : : "r" (0x8000000000000000));
	return 0;
}

static long noncanonical_stack(void)
{
	asm volatile("mov %0, %%rsp; push %%rax" : : "r" (0x8000000000000000));
	return 0;
}

static long foreign_frame(void)
{
	map(WINDOW_VA, start_info->mem_pa - PAGE, PTE_P | PTE_W | PTE_A | PTE_D);
	flush();
	return *(volatile long *)WINDOW_VA;
}

static long foreign_code(void)
{
	map(WINDOW_VA, 0x100000, PTE_P | PTE_A);
	flush();
	((void (*)(void))WINDOW_VA)();
	return 0;
}

static long cr3_garbage(void)
{
	return hcall(KEEL_HC_LOAD_CR3, 0xdeadbeefdeadb000, 0, 0);
}

static long cr3_foreign(void)
{
	return hcall(KEEL_HC_LOAD_CR3, 0x100000, 0, 0);
}

static long tables_gone(void)
{
	uint64_t *t = at_pa(start_info->cr3_pa);
	unsigned int i;

	for (i = 0; i < 512; i++)
		t[i] = ~0UL;
	flush();
	return 0;
}

static long run_data(void)
{
	static uint8_t code[] __attribute__((aligned(16))) = { 0xc3 };

	((void (*)(void))code)();
	return 0;
}

static long write_text(void)
{
	*(volatile uint8_t *)user_text = 0x90;
	return 0;
}

static long syscall_nowhere(void)
{
	asm volatile("syscall" : : : "rcx", "r11", "memory");
	return 0;
}

static long no_handler(void)
{
	kernel_init();
	hcall(KEEL_HC_LOAD_IDT, pa_of(page_alloc(1)), 4095, 0);
	asm volatile("ud2");
	return 0;
}

static long bad_iret(void)
{
	vcpu_page->iret.cs = 0x80;
	hcall(KEEL_HC_IRET, 0, 0, 0);
	return 0;
}

static long no_stack(void)
{
	kernel_init();
	hcall(KEEL_HC_SET_ENTRY, KEEL_ENTRY_EVENT_KERNEL, (uint64_t)ev_kernel_stack, 0);
	asm volatile("mov %0, %%rsp; ud2" : : "r" (0x100000UL));
	return 0;
}

static long crash(void)
{
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_CRASH, 3, 0);
	return 0;
}

static long power_off(void)	/* only its own: it has no control right */
{
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_POWEROFF, 9, 0);
	return 0;
}

static long reboot(void)
{
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_REBOOT, 0, 0);
	return 0;
}

static long out_exit_port(void)
{
	asm volatile("outb %b0, %w1" : : "a" (5), "d" (0xf4));
	return 0;
}

static long user_alone(void)	/* a kernel's ring 3 goes wrong and the kernel has no handler */
{
	struct user_regs u;

	kernel_init();
	hcall(KEEL_HC_LOAD_IDT, pa_of(page_alloc(1)), 4095, 0);
	user_init(&u, u_iretl);
	u.rdi = 0x1234;
	u.rdx = 0x80;
	u.rsi = 0x20302;
	u.rcx = 0x10;
	go_user(&u);
	return 0;
}

static long ipi_nowhere(void)
{
	kernel_init();
	hcall(KEEL_HC_LOAD_IDT, pa_of(page_alloc(1)), 15, 0);
	vcpu_page->flags = 0x200;
	hcall(KEEL_HC_IPI, vcpu_page->apic_id, 0x40, 0);
	return 0;
}

static const struct {
	const char *name;
	long (*fn)(void);
	uint32_t state;
	const char *reason;	/* how it must begin */
	const char *or;		/* emulators differ */
} attacks[] = {
	{ "wild-pointer", wild_pointer, KEEL_PART_FAULTED, "page fault, address 0x7fff12345000", NULL },
	{ "null-call", null_call, KEEL_PART_FAULTED, "page fault, address 0", NULL },
	{ "write-gdt", write_gdt, KEEL_PART_FAULTED, "page fault, address 0xffffffffffe20000", NULL },
	{ "write-idt", write_idt, KEEL_PART_FAULTED, "page fault, address 0xffffffffffe100f0", NULL },
	{ "write-trampoline", write_trampoline, KEEL_PART_FAULTED, "page fault, address 0xffffffffffe00000", NULL },
	{ "run-trampoline", run_trampoline, KEEL_PART_FAULTED, "general protection", NULL },
	{ "halt", halt, KEEL_PART_FAULTED, "general protection", NULL },
	{ "halt-as-kernel", halt_as_kernel, KEEL_PART_FAULTED, "HLT with interrupts off", NULL },
	{ "write-cr3", write_cr3, KEEL_PART_FAULTED, "general protection", NULL },
	{ "undefined", undefined, KEEL_PART_FAULTED, "invalid opcode", NULL },
	{ "divide", divide, KEEL_PART_FAULTED, "divide error", NULL },
	{ "breakpoint", breakpoint, KEEL_PART_FAULTED, "breakpoint", NULL },
	{ "icebp", icebp, KEEL_PART_FAULTED, "debug exception", "invalid opcode" },
	{ "noncanonical-jump", noncanonical_jump, KEEL_PART_FAULTED, "general protection", NULL },
	{ "noncanonical-stack", noncanonical_stack, KEEL_PART_FAULTED, "stack fault", "general protection" },
	{ "foreign-frame", foreign_frame, KEEL_PART_FAULTED, "access to memory that is not its own", NULL },
	{ "foreign-code", foreign_code, KEEL_PART_FAULTED, "access to memory that is not its own", NULL },
	{ "cr3-garbage", cr3_garbage, KEEL_PART_FAULTED, "page fault", NULL },
	{ "cr3-foreign", cr3_foreign, KEEL_PART_FAULTED, "page fault", NULL },
	{ "tables-gone", tables_gone, KEEL_PART_FAULTED, "", NULL },
	{ "run-data", run_data, KEEL_PART_FAULTED, "page fault", NULL },
	{ "write-text", write_text, KEEL_PART_FAULTED, "page fault", NULL },
	{ "syscall-nowhere", syscall_nowhere, KEEL_PART_FAULTED, "page fault, address 0", NULL },
	{ "no-handler", no_handler, KEEL_PART_FAULTED, "exception without a handler", NULL },
	{ "bad-iret", bad_iret, KEEL_PART_FAULTED, "bad return to ring 3", NULL },
	{ "no-stack", no_stack, KEEL_PART_FAULTED, "kernel stack overflow", NULL },
	{ "crash", crash, KEEL_PART_CRASHED, "reported a panic of its own", NULL },
	{ "power-off", power_off, KEEL_PART_EXITED, "powered off, status 9", NULL },
	{ "reboot", reboot, KEEL_PART_EXITED, "asked for a reboot", NULL },
	{ "out-exit-port", out_exit_port, KEEL_PART_FAULTED, "general protection", NULL },
	{ "user-alone", user_alone, KEEL_PART_FAULTED, "exception without a handler", NULL },
	{ "ipi-nowhere", ipi_nowhere, KEEL_PART_FAULTED, "exception without a handler", NULL },
};
#define NATTACKS (sizeof(attacks) / sizeof(attacks[0]))

void attack(const char *name)
{
	unsigned int i;

	for (i = 0; i < NATTACKS; i++)
		if (same(attacks[i].name, name)) {
			nap_us(1000);
			attacks[i].fn();
			say("HOSTILE %s FAIL it lived on\n", name);
			finish(0, 1);
		}
	say("HOSTILE %s FAIL unknown attack\n", name);
	finish(0, 1);
}

/* ---- The watcher ------------------------------------------------------------------------------------- */

static bool ended(uint32_t state)
{
	return state >= KEEL_PART_EXITED;
}

/* One partition's end: true if as it should be. */
static bool judge(const struct keel_part_info *info)
{
	unsigned int i;

	for (i = 0; i < NATTACKS; i++) {
		if (!same(attacks[i].name, info->name))
			continue;
		if (info->state == attacks[i].state &&
		    (starts_with(info->reason, attacks[i].reason) ||
		     (attacks[i].or && starts_with(info->reason, attacks[i].or)))) {
			say("HOSTILE %s ok (%s)\n", info->name, info->reason);
			return true;
		}
		say("HOSTILE %s FAIL state %u, %s\n", info->name, info->state, info->reason);
		return false;
	}
	/* not an attacker: it must have left by itself, with no failure */
	if (info->state == KEEL_PART_EXITED && info->status == 0) {
		say("HOSTILE %s ok\n", info->name);
		return true;
	}
	say("HOSTILE %s FAIL state %u status %d, %s\n", info->name, info->state, info->status, info->reason);
	return false;
}

/* Judge who has ended since; false: nobody is waited for any more. */
static bool look(struct keel_part_info *info, bool *seen, uint64_t *good, uint64_t *bad)
{
	bool waiting = false;
	uint64_t h;

	for (h = 1; !hcall(KEEL_HC_PART_INFO, h, pa_of(info), 0); h++) {
		if (seen[h] || starts_with(info->name, "marker"))
			continue;
		if (!ended(info->state)) {
			waiting = true;
			continue;
		}
		seen[h] = true;
		if (judge(info))
			++*good;
		else
			++*bad;
	}
	return waiting;
}

/* Give each of those named fuzz control over the others of them, and the log: what they do with that ends with them. */
static void share(struct keel_part_info *info)
{
	uint64_t from, to, log = 0;
	int64_t err = 0;

	while (hcall(KEEL_HC_CAP_INFO, log, pa_of(info), 0) || *(uint32_t *)info != KEEL_CAP_LOG)
		log++;
	for (to = 1; !hcall(KEEL_HC_PART_INFO, to, pa_of(info), 0); to++) {
		if (!starts_with(info->name, "fuzz"))
			continue;
		if (hcall(KEEL_HC_CAP_GRANT, log, to, KEEL_RIGHT_INFO) < 1)
			err = 1;
		for (from = 1; !hcall(KEEL_HC_PART_INFO, from, pa_of(info), 0); from++)
			if (from != to && starts_with(info->name, "fuzz") &&
			    hcall(KEEL_HC_CAP_GRANT, from, to, KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL) < 1)
				err = 1;
	}
	if (err)
		say("HOSTILE share FAIL\n");
}

/*
 * Wait until all others have ended or `limit` seconds are over (those named marker never end), judge
 * them, and switch the machine off with the number of failures. arg: limit in seconds; `,share`: share() first.
 */
void watch(const char *arg)
{
	struct keel_part_info *info = page_alloc(1);
	uint64_t limit = number(&arg), h, good = 0, bad = 0;
	uint64_t end = rdtsc() + (limit ? limit : 60) * start_info->tsc_khz * 1000;
	int64_t sum = hcall(HC_DEBUG, 15, 0, 0);	/* of the metakernel, in debug builds */
	bool seen[KEEL_MAX_HANDLES] = { 0 };

	if (same(arg, ",share"))
		share(info);
	while (look(info, seen, &good, &bad) && rdtsc() < end)
		nap_us(5000);
	for (h = 1; !hcall(KEEL_HC_PART_INFO, h, pa_of(info), 0); h++) {
		bool mark = starts_with(info->name, "marker");

		if (mark && ended(info->state)) {
			say("HOSTILE %s FAIL %s\n", info->name, info->reason);
			bad++;
		} else if (!mark && !seen[h]) {
			say("HOSTILE %s FAIL still running, state %u\n", info->name, info->state);
			bad++;
		}
	}
	if (hcall(HC_DEBUG, 15, 0, 0) != sum) {
		say("HOSTILE watch FAIL the metakernel has changed\n");
		bad++;
	}
	say("HOSTILE done %lu ok, %lu failed\n", good, bad);
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_POWEROFF, bad, 0);
	finish(0, 1);
}

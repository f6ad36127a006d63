// SPDX-License-Identifier: MIT
/*
 * ring3_denied - user code cannot use privileged instructions, the hypercall vector or the
 * metakernel's addresses. Failure: a line naming what did not end in the expected signal, or worse,
 * the machine stops.
 */
#include <keel/abi.h>

#include "guest.h"

static uint64_t address;

static void do_cli(void)	{ __asm__ volatile("cli"); }
static void do_sti(void)	{ __asm__ volatile("sti"); }
static void do_hlt(void)	{ __asm__ volatile("hlt"); }
static void do_in(void)		{ __asm__ volatile("inb $0x60, %%al" ::: "rax"); }
static void do_out(void)	{ __asm__ volatile("outb %%al, $0xf4" :: "a"(5)); }
static void do_insb(void)
{
	char buffer[16];

	__asm__ volatile("rep insb" :: "D"(buffer), "c"(4ul), "d"(0x3f8) : "memory");
}
static void do_rdmsr(void)	{ __asm__ volatile("rdmsr" :: "c"(0xc0000082) : "rax", "rdx"); }
static void do_wrmsr(void)	{ __asm__ volatile("wrmsr" :: "c"(0xc0000082), "a"(0), "d"(0)); }
static void do_read_cr3(void)	{ __asm__ volatile("mov %%cr3, %%rax" ::: "rax"); }
static void do_write_cr3(void)	{ __asm__ volatile("mov %0, %%cr3" :: "r"(0ul)); }
static void do_read_dr7(void)	{ __asm__ volatile("mov %%dr7, %%rax" ::: "rax"); }
static void do_invlpg(void)	{ __asm__ volatile("invlpg (%0)" :: "r"(0ul)); }
static void do_swapgs(void)	{ __asm__ volatile("swapgs"); }
static void do_clts(void)	{ __asm__ volatile("clts"); }
static void do_sysret(void)	{ __asm__ volatile("sysretq" :: "c"(0ul)); }
static void do_ltr(void)	{ __asm__ volatile("ltr %w0" :: "r"(0x40)); }
static void do_lidt(void)
{
	struct { uint16_t limit; uint64_t base; } __attribute__((packed)) table = { 0xfff, 0 };

	__asm__ volatile("lidt %0" :: "m"(table));
}
static void do_hypercall(void)	{ __asm__ volatile("int $15" :: "a"(0ul) : "memory"); }
static void do_load_ring1_ss(void) { __asm__ volatile("mov %0, %%ss" :: "r"(KEEL_SS_RING1)); }
static void do_far_to_ring1(void)
{
	struct { uint64_t offset; uint16_t selector; } __attribute__((packed)) far = { (uint64_t)&do_cli, KEEL_CS_RING1 };

	__asm__ volatile(".byte 0x48, 0xff, 0x28" :: "a"(&far), "m"(far));	/* rex.W ljmp *(%rax) */
}
static void do_iret_to_ring1(void)
{
	__asm__ volatile("pushq %0; pushq %%rsp; pushfq; pushq %1; pushq %2; iretq"
		:: "r"((uint64_t)KEEL_SS_RING1), "r"((uint64_t)KEEL_CS_RING1), "r"((uint64_t)&do_cli) : "memory");
}
static void do_read(void)	{ (void)*(volatile uint8_t *)address; }
static void do_write(void)	{ *(volatile uint8_t *)address = 1; }
static void do_call(void)	{ ((void (*)(void))address)(); }

static const struct {
	const char *name;
	void (*fn)(void);
} privileged[] = {
	{ "cli", do_cli }, { "sti", do_sti }, { "hlt", do_hlt }, { "in", do_in }, { "out", do_out },
	{ "rep ins", do_insb }, { "rdmsr", do_rdmsr }, { "wrmsr", do_wrmsr }, { "read cr3", do_read_cr3 },
	{ "write cr3", do_write_cr3 }, { "read dr7", do_read_dr7 }, { "invlpg", do_invlpg },
	{ "swapgs", do_swapgs }, { "clts", do_clts }, { "sysret", do_sysret }, { "ltr", do_ltr },
	{ "lidt", do_lidt }, { "hypercall", do_hypercall }, { "ring-1 ss", do_load_ring1_ss },
	{ "far jump to ring 1", do_far_to_ring1 }, { "iret to ring 1", do_iret_to_ring1 },
};

static const uint64_t hidden[] = {
	KEEL_TRAMP_VA, KEEL_IDT_VA, KEEL_VCPU_RO_VA, KEEL_VCPU_VA, KEEL_STACK_VA, KEEL_HOLE_BASE + 0x100000,
	0xfffffffffffff000, 0xffffffff81000000, 0xffff888000000000, 0x0000800000000000,
};

int main(void)
{
	for (size_t i = 0; i < sizeof(privileged) / sizeof(privileged[0]); i++) {
		int sig = guest_signal_of(privileged[i].fn);

		/*
		 * QEMU 7.2 reads iretq's frame with supervisor rights, so SMAP makes it a page fault
		 * that Linux takes for its own and ends with SIGKILL: dead all the same.
		 */
		if (sig == SIGKILL && privileged[i].fn == do_iret_to_ring1)
			continue;
		if (sig != SIGSEGV && sig != SIGBUS && sig != SIGILL) {
			printf("%s in ring 3: signal %d\n", privileged[i].name, sig);
			guest_failures++;
		}
	}
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		address = hidden[i];
		if (guest_signal_of(do_read) != SIGSEGV || guest_signal_of(do_write) != SIGSEGV ||
		    guest_signal_of(do_call) != SIGSEGV) {
			printf("%#lx is reachable from ring 3\n", (unsigned long)address);
			guest_failures++;
		}
	}
	return guest_result();
}

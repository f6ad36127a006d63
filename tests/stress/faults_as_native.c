// SPDX-License-Identifier: MIT
/*
 * faults_as_native - each kind of fault a program can make gives the signal, si_code, si_addr, trap
 * number and error code that bare hardware gives. The program checks what the architecture and Linux
 * define, and prints a line for each (FAULT name ...), which the harness compares between a native
 * run and one on Keel. Failure: a line that differs. (Far returns are left out: QEMU's emulation
 * reads the frame with supervisor rights, so with SMAP they fault in ways of its own.)
 */
#include <setjmp.h>
#include <ucontext.h>

#include "stress.h"

#define KERNEL_TEXT	0xffffffff81000000u
#define HOLE		0xffffffffffe00000u	/* the metakernel's, when there is one */
#define DIRECT_MAP	0xffff888000000000u
#define NOT_CANONICAL	0x0000800000000000u

static sigjmp_buf back;
static siginfo_t got;
static greg_t trap, error, cr2, at;
static uint8_t *read_only, *no_exec, *unmapped, *past_end;

static void caught(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)sig;
	got = *info;
	trap = regs[REG_TRAPNO];
	error = regs[REG_ERR];
	cr2 = regs[REG_CR2];
	at = regs[REG_RIP];
	siglongjmp(back, 1);
}

static void load(uintptr_t a)	{ __asm__ volatile("movb (%0), %%al" :: "r"(a) : "rax", "memory"); }
static void store(uintptr_t a)	{ __asm__ volatile("movb $1, (%0)" :: "r"(a) : "memory"); }
static void call(uintptr_t a)	{ ((void (*)(void))a)(); }

static void null_load(void)	{ load(0); }
static void null_store(void)	{ store(8); }
static void null_call(void)	{ call(0); }
static void gone_load(void)	{ load((uintptr_t)unmapped + 5); }
static void gone_store(void)	{ store((uintptr_t)unmapped + 6); }
static void ro_store(void)	{ store((uintptr_t)read_only + 7); }
static void text_store(void)	{ store((uintptr_t)load); }
static void nx_call(void)	{ call((uintptr_t)no_exec + 16); }
static void kernel_load(void)	{ load(KERNEL_TEXT + 3); }
static void kernel_store(void)	{ store(KERNEL_TEXT + 3); }
static void kernel_call(void)	{ call(KERNEL_TEXT); }
static void direct_load(void)	{ load(DIRECT_MAP + 0x100000); }
static void direct_store(void)	{ store(DIRECT_MAP + 0x100000); }
static void hole_load(void)	{ load(HOLE); }
static void hole_store(void)	{ store(HOLE + 0x30100); }
static void hole_call(void)	{ call(HOLE); }
static void idt_load(void)	{ load(HOLE + 0x10000); }
static void last_load(void)	{ load(UINTPTR_MAX); }
static void odd_load(void)	{ load(NOT_CANONICAL); }
static void odd_store(void)	{ store(NOT_CANONICAL); }
static void odd_call(void)	{ call(NOT_CANONICAL); }
static void bus_load(void)	{ load((uintptr_t)past_end); }
static void do_ud2(void)	{ __asm__ volatile("ud2"); }
static void do_ud0(void)	{ __asm__ volatile(".byte 0x0f, 0xff, 0xc0"); }
static void do_push_es(void)	{ __asm__ volatile(".byte 0x06"); }
static void do_int3(void)	{ __asm__ volatile("int3"); }
static void do_icebp(void)	{ __asm__ volatile(".byte 0xf1"); }
static void do_int4(void)	{ __asm__ volatile("int $4"); }
static void do_int13(void)	{ __asm__ volatile("int $13"); }
static void do_int14(void)	{ __asm__ volatile("int $14"); }
static void do_int15(void)	{ __asm__ volatile("int $15"); }
static void do_int64(void)	{ __asm__ volatile("int $0x40"); }
static void do_int128(void)	{ __asm__ volatile("int $0x80" :: "a"(20) : "r8", "r9", "r10", "r11"); }	/* getpid, where there is one */
static void do_int130(void)	{ __asm__ volatile("int $0x82"); }
static void do_int_event(void)	{ __asm__ volatile("int $0xf7"); }
static void do_int255(void)	{ __asm__ volatile("int $0xff"); }
static void do_hlt(void)	{ __asm__ volatile("hlt"); }
static void do_cli(void)	{ __asm__ volatile("cli"); }
static void do_sti(void)	{ __asm__ volatile("sti"); }
static void do_in(void)		{ __asm__ volatile("inb $0x60, %%al" ::: "rax"); }
static void do_out(void)	{ __asm__ volatile("outb %%al, $0xf4" :: "a"(5)); }
static void do_rdmsr(void)	{ __asm__ volatile("rdmsr" :: "c"(0xc0000080) : "rax", "rdx"); }
static void do_wrmsr(void)	{ __asm__ volatile("wrmsr" :: "c"(0xc0000082), "a"(0), "d"(0)); }
static void do_cr0(void)	{ __asm__ volatile("mov %%cr0, %%rax" ::: "rax"); }
static void do_cr3(void)	{ __asm__ volatile("mov %0, %%cr3" :: "r"(0ul)); }
static void do_dr7(void)	{ __asm__ volatile("mov %0, %%dr7" :: "r"(0ul)); }
static void do_lgdt(void)	{ __asm__ volatile("lgdt (%0)" :: "r"(read_only)); }
static void do_lidt(void)	{ __asm__ volatile("lidt (%0)" :: "r"(read_only)); }
static void do_ltr(void)	{ __asm__ volatile("ltr %w0" :: "r"(0x40)); }
static void do_invlpg(void)	{ __asm__ volatile("invlpg (%0)" :: "r"(read_only)); }
static void do_wbinvd(void)	{ __asm__ volatile("wbinvd"); }
static void do_swapgs(void)	{ __asm__ volatile("swapgs"); }
static void do_sysret(void)	{ __asm__ volatile("sysretq" ::: "rcx", "r11"); }
static void do_xsetbv(void)	{ __asm__ volatile("xsetbv" :: "a"(7), "d"(0), "c"(0)); }
static void do_clts(void)	{ __asm__ volatile("clts"); }
static void do_lmsw(void)	{ __asm__ volatile("lmsw %w0" :: "r"(0)); }
static void load_ds(void)	{ __asm__ volatile("mov %0, %%ds" :: "r"(0x10)); }
static void load_ds_ring1(void)	{ __asm__ volatile("mov %0, %%ds" :: "r"(0x19)); }
static void load_fs_free(void)	{ __asm__ volatile("mov %0, %%es" :: "r"(0xf3)); }
static void load_ss_null(void)	{ __asm__ volatile("mov %0, %%ss" :: "r"(0)); }
static void load_ldt(void)	{ __asm__ volatile("mov %0, %%ds" :: "r"(0x0f)); }
static void do_divide(void)
{
	__asm__ volatile("xorl %%edx, %%edx; movl $1, %%eax; xorl %%ecx, %%ecx; divl %%ecx" ::: "rax", "rcx", "rdx");
}
static void do_x87(void)
{
	uint16_t control = 0x37f & ~4;	/* division by zero is not masked */

	__asm__ volatile("fninit; fldcw %0; fldz; fld1; fdivp; fwait" :: "m"(control));
}
static void do_step(void)
{
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop" ::: "cc", "memory");
}
static void odd_stack(void)
{
	__asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; pop %%rax" :: "r"(NOT_CANONICAL) : "rax", "rbx", "memory");
}
#define ANY	0x7fffffff	/* emulators and CPUs differ; but Keel and native must not */

static const struct {
	const char *name;
	void (*fn)(void);
	int sig, code, trapno;
	uintptr_t address;
} faults[] = {
	{ "null_load", null_load, SIGSEGV, SEGV_MAPERR, 14, 0 },
	{ "null_store", null_store, SIGSEGV, SEGV_MAPERR, 14, 8 },
	{ "null_call", null_call, SIGSEGV, SEGV_MAPERR, 14, 0 },
	{ "gone_load", gone_load, SIGSEGV, SEGV_MAPERR, 14, 1 },
	{ "gone_store", gone_store, SIGSEGV, SEGV_MAPERR, 14, 1 },
	{ "ro_store", ro_store, SIGSEGV, SEGV_ACCERR, 14, 1 },
	{ "text_store", text_store, SIGSEGV, SEGV_ACCERR, 14, 1 },
	{ "nx_call", nx_call, SIGSEGV, SEGV_ACCERR, 14, 1 },
	{ "kernel_load", kernel_load, SIGSEGV, SEGV_MAPERR, 14, KERNEL_TEXT + 3 },
	{ "kernel_store", kernel_store, SIGSEGV, SEGV_MAPERR, 14, KERNEL_TEXT + 3 },
	{ "kernel_call", kernel_call, SIGSEGV, SEGV_MAPERR, 14, KERNEL_TEXT },
	{ "direct_load", direct_load, SIGSEGV, SEGV_MAPERR, 14, DIRECT_MAP + 0x100000 },
	{ "direct_store", direct_store, SIGSEGV, SEGV_MAPERR, 14, DIRECT_MAP + 0x100000 },
	{ "hole_load", hole_load, SIGSEGV, SEGV_MAPERR, 14, HOLE },
	{ "hole_store", hole_store, SIGSEGV, SEGV_MAPERR, 14, HOLE + 0x30100 },
	{ "hole_call", hole_call, SIGSEGV, SEGV_MAPERR, 14, HOLE },
	{ "idt_load", idt_load, SIGSEGV, SEGV_MAPERR, 14, HOLE + 0x10000 },
	{ "last_load", last_load, SIGSEGV, SEGV_MAPERR, 14, UINTPTR_MAX },
	{ "odd_load", odd_load, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "odd_store", odd_store, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "odd_call", odd_call, SIGSEGV, ANY, ANY, 1 },		/* TCG faults at the target, CPUs at the call */
	{ "bus_load", bus_load, SIGBUS, BUS_ADRERR, 14, 1 },
	{ "ud2", do_ud2, SIGILL, ILL_ILLOPN, 6, 1 },
	{ "ud0", do_ud0, SIGILL, ILL_ILLOPN, 6, 1 },
	{ "push_es", do_push_es, SIGILL, ILL_ILLOPN, 6, 1 },
	{ "int3", do_int3, SIGTRAP, SI_KERNEL, 3, 0 },
	{ "icebp", do_icebp, ANY, ANY, ANY, 0 },
	{ "int4", do_int4, SIGSEGV, SI_KERNEL, 4, 0 },		/* vector 4 is open to ring 3 */
	{ "int13", do_int13, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "int14", do_int14, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "int15", do_int15, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "int64", do_int64, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "int128", do_int128, ANY, ANY, ANY, 0 },
	{ "int130", do_int130, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "int_event", do_int_event, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "int255", do_int255, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "hlt", do_hlt, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "cli", do_cli, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "sti", do_sti, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "in", do_in, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "out", do_out, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "rdmsr", do_rdmsr, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "wrmsr", do_wrmsr, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "cr0", do_cr0, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "cr3", do_cr3, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "dr7", do_dr7, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "lgdt", do_lgdt, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "lidt", do_lidt, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "ltr", do_ltr, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "invlpg", do_invlpg, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "wbinvd", do_wbinvd, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "swapgs", do_swapgs, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "sysret", do_sysret, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "xsetbv", do_xsetbv, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "clts", do_clts, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "lmsw", do_lmsw, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "load_ds", load_ds, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "load_ds_ring1", load_ds_ring1, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "load_es_free", load_fs_free, ANY, ANY, ANY, 0 },
	{ "load_ss_null", load_ss_null, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "load_ldt", load_ldt, SIGSEGV, SI_KERNEL, 13, 0 },
	{ "divide", do_divide, SIGFPE, FPE_INTDIV, 0, 1 },
	{ "x87", do_x87, SIGFPE, FPE_FLTDIV, 16, 1 },
	{ "step", do_step, SIGTRAP, TRAP_TRACE, 1, 1 },
	{ "odd_stack", odd_stack, ANY, ANY, ANY, 0 },
};

static int about_address(size_t i)
{
	uintptr_t address = (uintptr_t)got.si_addr;

	/* 1: whatever the name says, compared between the runs through its page offset */
	return faults[i].address == 1 ? address != 0 : address == faults[i].address;
}

static void run(void (*fn)(void))
{
	if (!sigsetjmp(back, 1))
		fn();
}

static void provoke(size_t i, int say)
{
	memset(&got, 0, sizeof(got));
	trap = error = -1;
	cr2 = 0;
	run(faults[i].fn);
	/* What was done must not linger: direction, trap and FPU state, data segments */
	__asm__ volatile("cld; fninit; mov %0, %%ds; mov %0, %%es" :: "r"(0));
	if (faults[i].sig != ANY && (got.si_signo != faults[i].sig ||
	    (faults[i].code != ANY && (got.si_code != faults[i].code || trap != faults[i].trapno || !about_address(i))))) {
		stress_failures++;
		printf("%s: wanted signal %d code %d trap %d address %#lx\n", faults[i].name, faults[i].sig,
		       faults[i].code, faults[i].trapno, (unsigned long)faults[i].address);
		say = 1;
	}
	if (say)
		printf("FAULT %s signal %d code %d trap %lld error %#llx address ...%03lx cr2 ...%03llx\n", faults[i].name,
		       got.si_signo, got.si_code, (long long)trap, (long long)error, (unsigned long)got.si_addr & 0xfff,
		       trap == 14 ? (long long)cr2 & 0xfff : 0);
}

int main(void)
{
	static uint8_t stack[64 << 10];
	stack_t other = { .ss_sp = stack, .ss_size = sizeof(stack) };
	static const int signals[] = { SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS };
	int fd = memfd_create("short", 0);

	NEED(sigaltstack(&other, NULL) == 0);
	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		stress_handle(signals[i], caught, SA_ONSTACK | SA_NODEFER);
	read_only = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	no_exec = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unmapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	past_end = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(read_only != MAP_FAILED && no_exec != MAP_FAILED && unmapped != MAP_FAILED && past_end != MAP_FAILED);
	memset(no_exec, 0xc3, PAGE);
	past_end += 0x123;
	*unmapped = 1;
	NEED(munmap(unmapped, PAGE) == 0);
	for (size_t round = 0; round < 20; round++)
		for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
			provoke(i, round == 0);
	return stress_end("faults_as_native");
}

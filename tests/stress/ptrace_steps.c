// SPDX-License-Identifier: MIT
/*
 * ptrace_steps - a debugger sees every instruction of its child: single steps count exactly, also
 * over system calls and a handler; a breakpoint written into the code stops the child there;
 * registers and memory read and written through ptrace are the child's. Failure: a step too many or
 * too few, a wrong register, or a child that runs away.
 */
#include <sys/syscall.h>

#include "ptrace.h"

#define LOOPS	200

/* 5 instructions before the loop, 3 in each round, then exit with ebx through a system call. */
void traced_code(void);
extern const char traced_loop[], traced_call[], traced_end[];
__asm__(
	".text\n.globl traced_code, traced_loop, traced_call, traced_end\n"
	"traced_code:\n"
	"	movl	$200, %ecx\n"
	"	xorl	%ebx, %ebx\n"
	"	movl	$39, %eax\n"
	"traced_call:\n"
	"	movq	%rcx, %r12\n"
	"	syscall\n"
	"	movq	%r12, %rcx\n"
	"traced_loop:\n"
	"	incl	%ebx\n"
	"	decl	%ecx\n"
	"	jnz	traced_loop\n"
	"traced_end:\n"
	"	movl	%ebx, %edi\n"
	"	movl	$231, %eax\n"
	"	syscall\n"
	"	ud2\n");

static pid_t start_traced(void)
{
	pid_t pid = stress_fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		traced_code();
	}
	wait_first_stop(pid);
	return pid;
}

static int wait_stop(pid_t pid)
{
	int status;

	NEED(waitpid(pid, &status, 0) == pid);
	return WIFSTOPPED(status) ? WSTOPSIG(status) : 1000 + WEXITSTATUS(status);
}

static void run_to(pid_t pid, const void *where)
{
	uintptr_t address = (uintptr_t)where;
	long code;

	errno = 0;
	code = ptrace(PTRACE_PEEKTEXT, pid, address, NULL);
	NEED(errno == 0);
	NEED(ptrace(PTRACE_POKETEXT, pid, address, (code & ~0xffl) | 0xcc) == 0);
	NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	CHECK(wait_stop(pid) == SIGTRAP);
	struct user_regs_struct regs = registers(pid);
	CHECK(regs.rip == address + 1);
	regs.rip = address;
	NEED(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
	NEED(ptrace(PTRACE_POKETEXT, pid, address, code) == 0);
}

static void steps_are_exact(void)
{
	pid_t pid = start_traced();
	unsigned int steps = 0;

	run_to(pid, (const void *)traced_code);
	while (registers(pid).rip != (uintptr_t)traced_end && steps < 5000) {
		NEED(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
		CHECK(wait_stop(pid) == SIGTRAP);
		steps++;
	}
	CHECK(steps == 6 + 3 * LOOPS);
	CHECK(registers(pid).rbx == LOOPS);
	CHECK((pid_t)registers(pid).rax == pid);
	NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	CHECK(wait_stop(pid) == 1000 + LOOPS);
}

static void registers_can_be_changed(void)
{
	pid_t pid = start_traced();
	struct user_regs_struct regs;

	run_to(pid, traced_end);
	regs = registers(pid);
	CHECK(regs.rbx == LOOPS);
	regs.rbx = 77;
	NEED(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
	NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	CHECK(wait_stop(pid) == 1000 + 77);
}

static void calls_are_traced(void)
{
	pid_t pid = start_traced();

	NEED(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD) == 0);
	run_to(pid, traced_call);
	NEED(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0);
	CHECK(wait_stop(pid) == (SIGTRAP | 0x80));
	CHECK(registers(pid).orig_rax == SYS_getpid && (long)registers(pid).rax == -ENOSYS);
	struct user_regs_struct regs = registers(pid);
	regs.orig_rax = SYS_getuid;			/* another call instead */
	NEED(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
	NEED(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0);
	CHECK(wait_stop(pid) == (SIGTRAP | 0x80));
	CHECK(registers(pid).rax == getuid());
	regs = registers(pid);
	regs.r12 = 3;					/* fewer rounds */
	NEED(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
	NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	CHECK(wait_stop(pid) == 1000 + 3);
}

/* A non-canonical instruction pointer is refused or kills the child, never the kernel. */
static void nonsense_registers(void)
{
	static const uint64_t rips[] = { 0x0000800000000000, 0xffffffff81000000, 0xffffffffffe00000, 1 };

	for (size_t i = 0; i < 4; i++) {
		pid_t pid = start_traced();
		struct user_regs_struct regs = registers(pid);
		int status = 0;

		regs.rip = rips[i];
		regs.eflags |= 0x3000 | 0x4000;		/* IOPL and NT are not the debugger's to set */
		if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0) {
			CHECK((registers(pid).eflags & 0x3000) == 0);
			NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
			CHECK(wait_stop(pid) == SIGSEGV);
		}
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
}

int main(void)
{
	for (int i = 0; i < 5; i++) {
		steps_are_exact();
		registers_can_be_changed();
		calls_are_traced();
	}
	nonsense_registers();
	return stress_end("ptrace_steps");
}

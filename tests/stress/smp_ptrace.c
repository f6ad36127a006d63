// SPDX-License-Identifier: MIT
/*
 * smp_ptrace - a debugger on one CPU and its child on another: single steps count exactly; a child
 * that computes is interrupted anywhere, its registers are consistent then, and one changed there is
 * what it goes on with; a word written into its memory it sees; and it is killed while it runs.
 * Failure: a step too many or too few, registers that cannot be, a hang.
 */
#include "ptrace.h"
#include "smp.h"

#define STEPS		300
#define INTERRUPTS	200

static volatile uint64_t *shared;	/* what a child says to its debugger */

/* r12 counts; r13 = 3 * r12 and r14 = ~r12 but for the few instructions in between. */
void counting(void);
extern const char counting_whole[], counting_end[];
__asm__(
	".text\n.globl counting, counting_whole, counting_end\n"
	"counting:\n"
	"	xorl	%r12d, %r12d\n"
	"	xorl	%r13d, %r13d\n"
	"	movq	$-1, %r14\n"
	"counting_whole:\n"
	"	nop\n"
	"	testq	%r15, %r15\n"
	"	jnz	counting_end\n"
	"	incq	%r12\n"
	"	addq	$3, %r13\n"
	"	decq	%r14\n"
	"	jmp	counting_whole\n"
	"counting_end:\n"
	"	movl	$57, %edi\n"
	"	movl	$231, %eax\n"
	"	syscall\n");

static pid_t start_child(int cpu)
{
	pid_t pid = stress_fork();

	if (pid == 0) {
		smp_run_on(cpu);
		NEED(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
		raise(SIGSTOP);
		__asm__ volatile("xorl %%r15d, %%r15d\n\tjmp counting" ::: "memory");
		__builtin_unreachable();
	}
	wait_first_stop(pid);
	return pid;
}

static void wait_for(pid_t pid, int sig)
{
	int status;

	NEED(waitpid(pid, &status, 0) == pid);
	NEED(WIFSTOPPED(status) && WSTOPSIG(status) == sig);
}

static void step(pid_t pid)
{
	NEED(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
	wait_for(pid, SIGTRAP);
}

static void to_whole(pid_t pid)
{
	while (registers(pid).rip != (uintptr_t)counting_whole)
		step(pid);
}

/* Seven instructions are one round. */
static void steps_count(pid_t pid)
{
	uint64_t before;

	to_whole(pid);
	before = registers(pid).r12;
	for (int i = 0; i < STEPS; i++) {
		CHECK(registers(pid).r12 == before + (uint64_t)(i + 3) / 7);
		step(pid);
	}
}

static void interrupts_find_it_whole(pid_t pid)
{
	uint64_t least = registers(pid).r12;

	for (int i = 0; i < INTERRUPTS; i++) {
		NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
		for (int k = i % 50 * 20; k; k--)
			__asm__ volatile("pause");
		NEED(kill(pid, SIGUSR1) == 0);
		wait_for(pid, SIGUSR1);
		to_whole(pid);
		struct user_regs_struct regs = registers(pid);

		CHECK(regs.r13 == 3 * regs.r12 && regs.r14 == ~regs.r12);
		CHECK(regs.r12 >= least);
		least = regs.r12 + 1000000;
		regs.r12 = least;
		regs.r13 = 3 * least;
		regs.r14 = ~least;
		NEED(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
	}
}

static void ends_as_told(pid_t pid)
{
	struct user_regs_struct regs = registers(pid);

	regs.r15 = 1;
	NEED(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
	NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	CHECK(stress_wait(pid) == 57);
}

/* A child that watches a word which its debugger writes with ptrace, and copies it. */
static void memory_is_seen(int cpu)
{
	pid_t pid = stress_fork();
	int status;
	static volatile uint64_t word;

	if (pid == 0) {
		smp_run_on(cpu);
		NEED(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
		raise(SIGSTOP);
		for (;;)
			shared[0] = word;
	}
	NEED(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	for (uint64_t i = 1; i <= INTERRUPTS; i++) {
		NEED(ptrace(PTRACE_POKEDATA, pid, &word, i * 0x1234567) == 0);
		NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
		while (shared[0] != i * 0x1234567)
			sched_yield();
		NEED(kill(pid, SIGUSR1) == 0);
		wait_for(pid, SIGUSR1);
	}
	NEED(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	NEED(kill(pid, SIGKILL) == 0);
	CHECK(stress_wait(pid) == 1000 + SIGKILL);
}

int main(void)
{
	if (smp_begin() == SKIP)
		return SKIP;
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(shared != MAP_FAILED);
	for (int i = 0; i < smp_cpus; i++) {
		pid_t pid;

		smp_run_on(i);
		pid = start_child((i + 1) % smp_cpus);
		steps_count(pid);
		interrupts_find_it_whole(pid);
		ends_as_told(pid);
		memory_is_seen((i + 1) % smp_cpus);
	}
	return stress_end("smp_ptrace");
}

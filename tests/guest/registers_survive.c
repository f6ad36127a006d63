// SPDX-License-Identifier: MIT
/*
 * registers_survive - general, vector and segment-base registers of a process are its own across
 * system calls, page faults, interrupts and switches to other processes. Several processes keep
 * different values in all of them and look again and again. Failure: a value of another process.
 */
#include <asm/prctl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

#include "guest.h"

#define WORKERS	4
#define SECONDS	2

/*
 * Fill the registers from tag, wait for about n rounds while the kernel may interrupt, compare.
 * r12..r15, rbx and xmm8..xmm15 stand for the rest: the kernel's own code uses the others.
 */
static uint64_t spin_and_compare(uint64_t tag, uint64_t rounds, uint8_t *page)
{
	uint64_t differs = 0;

	__asm__ volatile(
		"movq %[tag], %%rbx; leaq 1(%%rbx), %%r12; leaq 2(%%rbx), %%r13; leaq 3(%%rbx), %%r14; leaq 4(%%rbx), %%r15\n"
		"movq %%rbx, %%xmm8; movq %%r12, %%xmm9; movq %%r13, %%xmm15\n"
		"1: movb $1, (%[page])\n"
		"movl $39, %%eax; syscall\n"			/* getpid */
		"2: decq %[rounds]; jz 3f; testq $1023, %[rounds]; jnz 2b; jmp 1b\n"
		"3: movq %%xmm8, %%rax; xorq %[tag], %%rax; orq %%rax, %[differs]\n"
		"movq %%xmm9, %%rax; subq $1, %%rax; xorq %[tag], %%rax; orq %%rax, %[differs]\n"
		"movq %%xmm15, %%rax; subq $2, %%rax; xorq %[tag], %%rax; orq %%rax, %[differs]\n"
		"movq %%rbx, %%rax; xorq %[tag], %%rax; orq %%rax, %[differs]\n"
		"leaq -1(%%r12), %%rax; xorq %[tag], %%rax; orq %%rax, %[differs]\n"
		"leaq -2(%%r13), %%rax; xorq %[tag], %%rax; orq %%rax, %[differs]\n"
		"leaq -3(%%r14), %%rax; xorq %[tag], %%rax; orq %%rax, %[differs]\n"
		"leaq -4(%%r15), %%rax; xorq %[tag], %%rax; orq %%rax, %[differs]\n"
		: [differs] "+&r"(differs), [rounds] "+&r"(rounds)
		: [tag] "r"(tag), [page] "r"(page)
		: "rax", "rbx", "rcx", "r11", "r12", "r13", "r14", "r15", "xmm8", "xmm9", "xmm15", "memory", "cc");
	return differs;
}

static int work(unsigned int number)
{
	uint64_t tag = 0x0101010101010101u * (number + 1), base = 0;
	uint64_t gs = 0x100000u * (number + 1);
	time_t end = time(NULL) + SECONDS;
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED || syscall(SYS_arch_prctl, ARCH_SET_GS, gs))
		return 1;
	do {
		madvise(page, 4096, MADV_DONTNEED);	/* the next round takes a page fault */
		if (spin_and_compare(tag, 20000, page)) {
			printf("worker %u: a register changed\n", number);
			return 1;
		}
		if (syscall(SYS_arch_prctl, ARCH_GET_GS, &base) || base != gs) {
			printf("worker %u: GS base %#lx instead of %#lx\n", number, (unsigned long)base, (unsigned long)gs);
			return 1;
		}
		sched_yield();
	} while (time(NULL) < end);
	return 0;
}

int main(void)
{
	for (unsigned int i = 0; i < WORKERS; i++) {
		pid_t pid = fork();

		if (pid == 0)
			exit(work(i));		/* exit, not _exit: prints */
		CHECK(pid > 0);
	}
	for (int i = 0; i < WORKERS; i++) {
		int status = -1;

		CHECK(wait(&status) > 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	return guest_result();
}

// SPDX-License-Identifier: MIT
/*
 * ops_memory.c - page faults and changes of mappings.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include "linux_bench.h"

static volatile uint8_t *map(unsigned long pages, int advice)
{
	uint8_t *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	if (advice >= 0)
		must(madvise(p, pages * PAGE, advice) == 0, "madvise");
	return p;
}

static void touch(volatile uint8_t *p, unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		p[i * PAGE] = 1;
}

static void touch_fresh(unsigned int n, int advice)
{
	volatile uint8_t *p = map(n, advice);

	begin();
	touch(p, n);
	end();
	munmap((void *)p, n * PAGE);
}

/* As the kernel is set up: with multi-size THP one fault brings several pages. */
void op_page_fault(unsigned int n)
{
	touch_fresh(n, -1);
}

/* A fault for each page. */
void op_page_fault_4k(unsigned int n)
{
	touch_fresh(n, MADV_NOHUGEPAGE);
}

/* What an allocator does for a large piece: map, use, unmap. */
void op_mmap_touch16(unsigned int n)
{
	begin();
	while (n--) {
		volatile uint8_t *p = map(16, -1);

		touch(p, 16);
		munmap((void *)p, 16 * PAGE);
	}
	end();
}

/* Of one page, in turn to read-only and back, and then written. */
void op_mprotect(unsigned int n)
{
	volatile uint8_t *p = map(1, -1);

	touch(p, 1);
	begin();
	for (unsigned int i = 0; i < n / 2; i++) {
		must(mprotect((void *)p, PAGE, PROT_READ) == 0, "mprotect");
		must(mprotect((void *)p, PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
		*p = 1;
	}
	end();
	munmap((void *)p, PAGE);
}

/* The store that faults is MOVB $1, (%RAX): three bytes. */
static void skip_store(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 3;
}

/* A fault that becomes a signal: a write to a page that may only be read. */
void op_prot_fault(unsigned int n)
{
	struct sigaction action = { .sa_sigaction = skip_store, .sa_flags = SA_SIGINFO }, old;
	volatile uint8_t *p = map(1, -1);

	touch(p, 1);
	must(mprotect((void *)p, PAGE, PROT_READ) == 0, "mprotect");
	must(sigaction(SIGSEGV, &action, &old) == 0, "sigaction");
	begin();
	while (n--)
		__asm__ volatile("movb $1, (%%rax)" : : "a"(p) : "memory");
	end();
	sigaction(SIGSEGV, &old, NULL);
	munmap((void *)p, PAGE);
}

/* The first write to a page that a child has, too. */
void op_cow_fault(unsigned int n)
{
	volatile uint8_t *p = map(n, MADV_NOHUGEPAGE);
	int hold[2];
	char c;
	pid_t pid;

	touch(p, n);
	must(pipe(hold) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		close(hold[1]);
		_exit((int)read(hold[0], &c, 1));
	}
	begin();
	touch(p, n);
	end();
	close(hold[1]);
	close(hold[0]);
	wait_for(pid);
	munmap((void *)p, n * PAGE);
}

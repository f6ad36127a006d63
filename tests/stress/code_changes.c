// SPDX-License-Identifier: MIT
/*
 * code_changes - code that a program writes runs as written: rewritten in place, through a second
 * mapping of the same memory, and after mprotect takes execution away and gives it back. Data is
 * not executable. Failure: old code runs, or forbidden code runs.
 */
#include <setjmp.h>

#include "stress.h"

#define ROUNDS	3000

static sigjmp_buf back;
static volatile int code_of_signal;

static void refused(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	code_of_signal = info->si_code;
	siglongjmp(back, 1);
}

/* mov $value, %eax; ret */
static void write_code(uint8_t *at, uint32_t value)
{
	at[0] = 0xb8;
	memcpy(at + 1, &value, 4);
	at[5] = 0xc3;
}

static uint32_t run(const uint8_t *code)
{
	return ((uint32_t (*)(void))(uintptr_t)code)();
}

static int is_refused(const uint8_t *code)
{
	code_of_signal = 0;
	if (sigsetjmp(back, 0))
		return code_of_signal == SEGV_ACCERR;
	run(code);
	return 0;
}

int main(void)
{
	int fd = memfd_create("code", 0);
	uint8_t *both, *writable, *executable, *toggled;

	NEED(fd >= 0 && ftruncate(fd, PAGE) == 0);
	stress_handle(SIGSEGV, refused, SA_NODEFER);
	both = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	executable = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	toggled = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(both != MAP_FAILED && writable != MAP_FAILED && executable != MAP_FAILED && toggled != MAP_FAILED);
	for (uint32_t i = 0; i < ROUNDS && !stress_failures; i++) {
		uint8_t *across = toggled + PAGE - 1 - i % 5;	/* an instruction over a page boundary */

		write_code(both + i % 1000, i * 3);
		CHECK(run(both + i % 1000) == i * 3);
		write_code(writable + i % 500, i * 5);
		CHECK(run(executable + i % 500) == i * 5);
		write_code(across, i * 7);
		CHECK(is_refused(across));
		CHECK(mprotect(toggled, 2 * PAGE, PROT_READ | PROT_EXEC) == 0);
		CHECK(run(across) == i * 7);
		CHECK(mprotect(toggled + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
		CHECK(is_refused(across));
		CHECK(mprotect(toggled, PAGE, PROT_READ | PROT_WRITE) == 0);
		CHECK(is_refused(writable + i % 500));
	}
	return stress_end("code_changes");
}

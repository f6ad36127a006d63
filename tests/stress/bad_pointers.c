// SPDX-License-Identifier: MIT
/*
 * bad_pointers - system calls that are given addresses the program may not use (unmapped, read-only,
 * the kernel's, the metakernel's, not canonical) answer EFAULT, copy what can be copied before the
 * bad page and nothing else, over and over. Failure: another result, data from such an address, or
 * a kernel that dies of a fault of its own.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "stress.h"

#define ROUNDS	200

static const uintptr_t bad[] = {
	8, 0x1000, 0x7ffffffff000, 0x0000800000000000, 0xffff7fffffffffff, 0xffff800000000000, 0xffff888000100000,
	0xffffffff81000000, 0xffffffff82000000, 0xffffffffffe00000, 0xffffffffffe10000, 0xffffffffffe20000,
	0xffffffffffe30000, 0xffffffffffe40000, 0xffffffffff600000, 0xfffffffffffff000, 0xfffffffffffffff8,
};

static int null_fd, zero_fd, pipe_fd[2];

/* Numbers straight to the kernel: libc would look at some of the pointers itself. */
static long raw(long number, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)
{
	long result = syscall(number, a, b, c, d);

	return result < 0 ? -errno : result;
}

static void all_calls(uintptr_t p)
{
	struct iovec io = { (void *)p, 16 };
	uint8_t byte;

	CHECK(raw(SYS_write, (uintptr_t)pipe_fd[1], p, 16, 0) == -EFAULT);
	CHECK(raw(SYS_read, (uintptr_t)zero_fd, p, 16, 0) == -EFAULT);
	CHECK(raw(SYS_readv, (uintptr_t)zero_fd, (uintptr_t)&io, 1, 0) == -EFAULT);
	CHECK(raw(SYS_readv, (uintptr_t)zero_fd, p, 1, 0) == -EFAULT);
	CHECK(raw(SYS_openat, (uintptr_t)AT_FDCWD, p, O_RDONLY, 0) == -EFAULT);
	CHECK(raw(SYS_pipe, p, 0, 0, 0) == -EFAULT);
	CHECK(raw(SYS_getcwd, p, 100, 0, 0) == -EFAULT);
	CHECK(raw(SYS_clock_gettime, CLOCK_MONOTONIC, p, 0, 0) == -EFAULT);
	CHECK(raw(SYS_nanosleep, p, 0, 0, 0) == -EFAULT);
	CHECK(raw(SYS_newfstatat, (uintptr_t)AT_FDCWD, (uintptr_t)"/", p, 0) == -EFAULT);
	CHECK(raw(SYS_rt_sigaction, SIGUSR1, p, 0, 8) == -EFAULT);
	CHECK(raw(SYS_rt_sigprocmask, SIG_BLOCK, p, 0, 8) == -EFAULT);
	CHECK(raw(SYS_sigaltstack, p, 0, 0, 0) == -EFAULT);
	CHECK(raw(SYS_execve, p, 0, 0, 0) == -EFAULT);
	CHECK(raw(SYS_execve, (uintptr_t)"/proc/self/exe", p, 0, 0) == -EFAULT);
	CHECK(raw(SYS_uname, p, 0, 0, 0) == -EFAULT);
	CHECK(raw(SYS_getrandom, p, 8, 0, 0) == -EFAULT);
	if (p % 4 == 0)
		CHECK(raw(SYS_futex, p, 0, 0, 0) == -EFAULT);
	/* Nothing has got into the pipe. */
	CHECK(raw(SYS_read, (uintptr_t)pipe_fd[0], (uintptr_t)&byte, 1, 0) == -EAGAIN);
}

/* Across the end of a mapping: the part before it is copied. */
static void partial_copies(uint8_t *last)
{
	uint8_t out[32];

	for (size_t before = 1; before < 24; before++) {
		uint8_t *start = last + PAGE - before;

		memset(start, 0x5a, before);
		long n = raw(SYS_write, (uintptr_t)pipe_fd[1], (uintptr_t)start, 24, 0);
		CHECK(n == (long)before || n == -EFAULT);
		if (n > 0) {
			CHECK(raw(SYS_read, (uintptr_t)pipe_fd[0], (uintptr_t)out, 32, 0) == n);
			for (long i = 0; i < n; i++)
				CHECK(out[i] == 0x5a);
		}
		n = raw(SYS_read, (uintptr_t)zero_fd, (uintptr_t)start, 24, 0);
		CHECK(n == (long)before || n == -EFAULT);
		CHECK(raw(SYS_uname, (uintptr_t)start, 0, 0, 0) == -EFAULT);
	}
}

int main(void)
{
	uint8_t *area = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *constant = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	null_fd = open("/dev/null", O_RDWR);
	zero_fd = open("/dev/zero", O_RDWR);
	NEED(area != MAP_FAILED && constant != MAP_FAILED && null_fd >= 0 && zero_fd >= 0);
	NEED(munmap(area + PAGE, PAGE) == 0);
	NEED(pipe2(pipe_fd, O_NONBLOCK) == 0);
	for (int round = 0; round < ROUNDS && !stress_failures; round++) {
		for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
			all_calls(bad[i]);
			if (stress_failures) {
				printf("that was with %#lx\n", (unsigned long)bad[i]);
				break;
			}
		}
		all_calls((uintptr_t)area + PAGE);
		CHECK(raw(SYS_read, (uintptr_t)zero_fd, (uintptr_t)constant, 8, 0) == -EFAULT);
		CHECK(raw(SYS_getrandom, (uintptr_t)constant, 8, 0, 0) == -EFAULT);
		CHECK(constant[0] == 0);
		partial_copies(area);
	}
	return stress_end("bad_pointers");
}

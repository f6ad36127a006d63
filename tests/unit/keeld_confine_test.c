// SPDX-License-Identifier: MIT
/*
 * keeld_confine_test.c - the filter that who serves a partition runs behind: every call there is, and every request of
 * /dev/keel, made by a child of its own behind it.
 *
 * Failure looks like a call that is made although it is not on the list here, or that ends a worker which needs it.
 */
#include "unit.h"

#include "confine.h"

#include <keel/ioctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS		700		/* more than there are */
#define UPROBES		335u		/* and the one behind it: only trampolines make them, newer kernels ask no filter */
#define X32		0x40000000u	/* the same calls by another table */

/* What serving takes: files, the ring, waiting, memory, an end. No program, process, network, mount, or identity. */
static const unsigned int needed[] = {
	SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_preadv2, SYS_close, SYS_poll, SYS_ppoll, SYS_io_uring_enter,
	SYS_openat, SYS_openat2, SYS_fcntl, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_readlinkat, SYS_flock, SYS_rename,
	SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_madvise,
	SYS_futex, SYS_getrandom, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_rt_sigreturn, SYS_restart_syscall, SYS_getpid,
	SYS_gettid, SYS_tgkill, SYS_exit, SYS_exit_group,
};

/* Arguments that no call can do anything with, or wait for. */
static bool call_is_made(unsigned int number, unsigned long request)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);	/* what a return from no signal ends in */
		if (confine_calls())
			_exit(1);
		syscall(number, -1, request, 1, 1, 1, 1);
		syscall(SYS_exit_group, 0);	/* before _exit() the sanitizer makes calls of its own */
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static bool is_needed(unsigned int number)
{
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (needed[i] == number)
			return true;
	return false;
}

static void test_every_call(void **state)
{
	(void)state;
	for (unsigned int number = 0; number < CALLS; number++)
		if (number != UPROBES && number != UPROBES + 1 && call_is_made(number, 0) != is_needed(number))
			fail_msg("call %u: %s", number, is_needed(number) ? "needed" : "made");
}

static void test_calls_by_another_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		assert_false(call_is_made(needed[i] | X32, 0));
	assert_false(call_is_made(UINT32_MAX, 0));
}

/* A channel is served; partitions are not made, ended or looked at, and nothing is typed into a terminal. */
static void test_requests(void **state)
{
	static const unsigned long good[] = {
		KEEL_IOC_CHAN_SERVE, KEEL_IOC_CHAN_UP, KEEL_IOC_CHAN_KICK, KEEL_IOC_CHAN_WAIT, KEEL_IOC_CHAN_KICK_WAIT,
		KEEL_IOC_CHAN_INFO,
	};
	static const unsigned long bad[] = {
		KEEL_IOC_PART_INFO, KEEL_IOC_PART_CTL, KEEL_IOC_PART_CREATE, KEEL_IOC_PART_BOOT, KEEL_IOC_CAP_INFO,
		KEEL_IOC_CONS_READ, KEEL_IOC_CONS_WRITE, 0, 0x5412 /* TIOCSTI */,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(call_is_made(SYS_ioctl, good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(call_is_made(SYS_ioctl, bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_call),
		cmocka_unit_test(test_calls_by_another_table),
		cmocka_unit_test(test_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

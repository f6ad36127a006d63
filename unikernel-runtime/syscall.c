// SPDX-License-Identifier: MIT
/*
 * syscall.c - where musl's system calls arrive, as function calls.
 *
 * The numbers and structures are Linux's for x86-64. What is not here is -ENOSYS; what cannot happen
 * with one thread and no signals succeeds and does nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <rt/machine.h>
#include <rt/rt.h>

#define RT_PID	1

long keel_syscall(long n, long a, long b, long c, long d, long e, long f);
int __set_thread_area(void *p);

/* Anonymous memory only; it comes from the heap. Protection cannot be changed. */
static long do_mmap(size_t len, long flags)
{
	void *p;

	if (!(flags & MAP_ANONYMOUS))
		return -ENODEV;
	if (flags & MAP_FIXED || !len)
		return -EINVAL;
	p = heap_pages((len + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1));
	return p ? (long)p : -ENOMEM;
}

static long do_uname(struct utsname *u)
{
	memset(u, 0, sizeof(*u));
	strcpy(u->sysname, "Keel");
	memcpy(u->nodename, rt_info->name, KEEL_NAME_LEN - 1);
	strcpy(u->release, "1");
	strcpy(u->machine, "x86_64");
	return 0;
}

long keel_syscall(long n, long a, long b, long c, long d, long e, long f)
{
	(void)e, (void)f;

	switch (n) {
	case SYS_clock_gettime:
		return clock_gettime_rt((int)a, (struct timespec *)b);
	case SYS_nanosleep:
		return clock_nanosleep_rt(CLOCK_MONOTONIC, 0, (const struct timespec *)a);
	case SYS_clock_nanosleep:
		return clock_nanosleep_rt((int)a, (int)b, (const struct timespec *)c);
	case SYS_mmap:
		return do_mmap((size_t)b, d);
	case SYS_munmap:
		free((void *)a);
		return 0;
	case SYS_exit:
	case SYS_exit_group:
		rt_shutdown(KEEL_SHUTDOWN_EXIT, (int)a & 0xff);
	case SYS_tkill:
	case SYS_kill:		/* abort() raises SIGABRT in itself; there is nobody else to signal */
		rt_shutdown(KEEL_SHUTDOWN_CRASH, 128 + (int)b);
	case SYS_uname:
		return do_uname((struct utsname *)a);
	case SYS_getpid:
	case SYS_gettid:
	case SYS_set_tid_address:
		return RT_PID;
	case SYS_rt_sigaction:
	case SYS_rt_sigprocmask:
	case SYS_futex:
	case SYS_madvise:
	case SYS_sched_yield:
		return 0;
	case SYS_brk:
	case SYS_mremap:
	case SYS_mprotect:
		return -ENOSYS;
	}
	return file_syscall(n, a, b, c, d);
}

/* Replaces musl's assembly: the thread pointer is the FS base. */
int __set_thread_area(void *p)
{
	set_fs_base((uint64_t)p);
	return 0;
}

/* There is no other program to run. Keeps posix_spawn and its relatives out of the image. */
int system(const char *command)
{
	if (!command)
		return 0;	/* no command processor */
	errno = ENOSYS;
	return -1;
}

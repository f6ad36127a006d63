// SPDX-License-Identifier: MIT
/*
 * syscall.c - where musl's system calls arrive, as function calls.
 *
 * The numbers and structures are Linux's for x86-64; rt/calls.h lists what there is. Anything else is
 * -ENOSYS, and is named once on the console, so that a program which does not work says why.
 *
 * There is one process (1) with one thread (1), whose user and group are 0: keeld decides about files,
 * not an identity. No code in an image may execute a real SYSCALL instruction: it would go to the
 * metakernel as if ring 3 had made it. musl's assembly that holds one is replaced here, and the link
 * fails if another one gets in (module.mk).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <rt/calls.h>
#include <rt/machine.h>
#include <rt/rt.h>

#define CALLS	335		/* numbers below this have a place; what came later in Linux is not there */

#define FUTEX_WAIT	0
#define FUTEX_WAKE	1
#define FUTEX_REQUEUE	3
#define FUTEX_CMD_MASK	127	/* without the flags PRIVATE and CLOCK_REALTIME */

long keel_syscall(long n, long a, long b, long c, long d, long e, long f);
int __set_thread_area(void *p);
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
_Noreturn void __unmapself(void *base, size_t bytes);
pid_t vfork(void);
void __restore(void);
void __restore_rt(void);

typedef long call_fn(const long *a);

#define CALL_ENTRY(name) [SYS_##name] = sys_##name,
static call_fn *const calls[CALLS] = { RT_CALLS(CALL_ENTRY) };

/* "read\0write\0...", made from musl's list: the names of 0, 1, ... */
static const char names[] =
#include "syscall_names.h"
	;

static const char *name_of(long n)
{
	const char *p = names;

	while (n-- > 0 && *p)
		p += strlen(p) + 1;
	return *p ? p : "unknown";
}

static long unsupported(long n)
{
	static uint8_t named[512 / 8];	/* one bit a number */
	char number[24];

	if (n < 0 || n >= 512 || named[n / 8] >> (n % 8) & 1)
		return -ENOSYS;
	named[n / 8] = (uint8_t)(named[n / 8] | 1 << n % 8);
	rt_say("system call ", rt_decimal((uint64_t)n, number), " (", name_of(n), ") is not there");
	return -ENOSYS;
}

long keel_syscall(long n, long a, long b, long c, long d, long e, long f)
{
	const long args[] = { a, b, c, d, e, f };

	if (n < 0 || n >= CALLS || !calls[n])
		return unsupported(n);
	return calls[n](args);
}

/* ---- ending ------------------------------------------------------------------------------------ */

long sys_exit_group(const long *a)
{
	rt_shutdown(KEEL_SHUTDOWN_EXIT, (int)a[0] & 0xff);
}

long sys_exit(const long *a)
{
	return sys_exit_group(a);
}

/* ---- identity ----------------------------------------------------------------------------------- */

long sys_uname(const long *a)
{
	struct utsname *u = (struct utsname *)a[0];

	memset(u, 0, sizeof(*u));
	strcpy(u->sysname, "Keel");
	memcpy(u->nodename, rt_info->name, KEEL_NAME_LEN - 1);
	strcpy(u->release, "1");
	strcpy(u->machine, "x86_64");
	return 0;
}

long sys_getpid(const long *a)
{
	(void)a;
	return RT_PID;
}

long sys_gettid(const long *a)
{
	return sys_getpid(a);
}

long sys_set_tid_address(const long *a)
{
	return sys_getpid(a);
}

long sys_getpgrp(const long *a)
{
	return sys_getpid(a);
}

/* Of process a[0], where 0 is the caller. */
long sys_getpgid(const long *a)
{
	return a[0] == 0 || a[0] == RT_PID ? RT_PID : -ESRCH;
}

long sys_getsid(const long *a)
{
	return sys_getpgid(a);
}

/* Nobody: as for the first process of a PID namespace. */
long sys_getppid(const long *a)
{
	(void)a;
	return 0;
}

static long zero(void)
{
	return 0;
}

long sys_getuid(const long *a)
{
	(void)a;
	return zero();
}

long sys_geteuid(const long *a)
{
	(void)a;
	return zero();
}

long sys_getgid(const long *a)
{
	(void)a;
	return zero();
}

long sys_getegid(const long *a)
{
	(void)a;
	return zero();
}

long sys_getgroups(const long *a)
{
	(void)a;
	return zero();
}

long sys_getresuid(const long *a)
{
	for (int i = 0; i < 3; i++)
		*(uid_t *)a[i] = 0;
	return 0;
}

long sys_getresgid(const long *a)
{
	return sys_getresuid(a);
}

/* The one identity there is may be asked for, or "leave it" (-1). */
static long become(const long *a, int n)
{
	for (int i = 0; i < n; i++)
		if ((uid_t)a[i] != 0 && (uid_t)a[i] != (uid_t)-1)
			return -EPERM;
	return 0;
}

long sys_setuid(const long *a)
{
	return (uid_t)a[0] == (uid_t)-1 ? -EINVAL : become(a, 1);
}

long sys_setgid(const long *a)
{
	return sys_setuid(a);
}

long sys_setreuid(const long *a)
{
	return become(a, 2);
}

long sys_setregid(const long *a)
{
	return become(a, 2);
}

long sys_setresuid(const long *a)
{
	return become(a, 3);
}

long sys_setresgid(const long *a)
{
	return become(a, 3);
}

/* ---- the one thread ------------------------------------------------------------------------------- */

long sys_sched_yield(const long *a)
{
	(void)a;
	return 0;
}

/* Nobody else can change the word, so who waits for that waits until the time is over. */
long sys_futex(const long *a)
{
	const struct timespec *timeout = (const struct timespec *)a[3];

	switch (a[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAKE:
	case FUTEX_REQUEUE:
		return 0;
	case FUTEX_WAIT:
		break;
	default:
		return -ENOSYS;
	}
	if (*(const volatile uint32_t *)a[0] != (uint32_t)a[2])
		return -EAGAIN;
	if (!timeout)
		rt_panic("a wait that nothing can end (futex)");
	return clock_sleep(CLOCK_MONOTONIC, 0, timeout) ?: -ETIMEDOUT;
}

/* Replaces musl's assembly: the thread pointer is the FS base. */
int __set_thread_area(void *p)
{
	set_fs_base((uint64_t)p);
	return 0;
}

/* ---- in place of what holds a SYSCALL instruction ------------------------------------------------- */

/* pthread_create gives EAGAIN for it, posix_spawn the error itself. */
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	(void)fn, (void)stack, (void)flags, (void)arg;
	return (int)unsupported(SYS_clone);
}

pid_t vfork(void)
{
	errno = (int)-unsupported(SYS_vfork);
	return -1;
}

/* Ends a detached thread; there is none. */
_Noreturn void __unmapself(void *base, size_t bytes)
{
	(void)base, (void)bytes;
	rt_panic("end of a thread that never began");
}

/* Where Linux returns to from a handler; signal.c just calls handlers. */
void __restore(void)
{
	rt_panic("return from a signal that Linux never sent");
}

void __restore_rt(void)
{
	__restore();
}

/* There is no other program to run. Keeps posix_spawn and its relatives out of the image. */
int system(const char *command)
{
	if (!command)
		return 0;	/* no command processor */
	errno = ENOSYS;
	return -1;
}

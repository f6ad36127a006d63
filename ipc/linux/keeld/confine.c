// SPDX-License-Identifier: MIT
/*
 * confine.c - see confine.h.
 *
 * The filter knows calls by number, and of ioctl() the request: who got hold of this process could still open what
 * its user can open, but not run a program, reach the network, trace anybody, or control partitions. What a ring of io_uring may do is not
 * the filter's: server.c restricts it.
 */
#include "confine.h"

#include <errno.h>
#include <keel/ioctl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int confine_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	unsigned long cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;		/* EPERM: no root, which has none anyway */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0)
		return -errno;
	return 0;
}

static const unsigned int calls[] = {
	SYS_read, SYS_write, SYS_pread64, SYS_pwrite64, SYS_preadv2, SYS_close, SYS_poll, SYS_ppoll,
	SYS_io_uring_enter,
	SYS_openat, SYS_openat2, SYS_fcntl, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_readlinkat, SYS_flock,
	SYS_rename,			/* a full log */
	SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep,
	SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_madvise, SYS_futex, SYS_getrandom,
	SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_rt_sigreturn, SYS_restart_syscall,
	SYS_getpid, SYS_gettid, SYS_tgkill,	/* abort() */
	SYS_exit, SYS_exit_group,
};	/* and SYS_ioctl: */

/* The one of every driver call first. */
static const unsigned int requests[] = {
	KEEL_IOC_CHAN_KICK_WAIT, KEEL_IOC_CHAN_WAIT, KEEL_IOC_CHAN_KICK, KEEL_IOC_CHAN_SERVE, KEEL_IOC_CHAN_UP, KEEL_IOC_CHAN_INFO,
};

#define NCALLS		(sizeof(calls) / sizeof(calls[0]))
#define NREQUESTS	(sizeof(requests) / sizeof(requests[0]))

#define LOAD(field)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)offsetof(struct seccomp_data, field))
#define IS(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define FROM(value, yes) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, yes, 0)
#define ANSWER(what)	BPF_STMT(BPF_RET | BPF_K, what)

#define LEAF		3u			/* instructions for one call */
#define MOST		(7 + NCALLS * (LEAF + 1) + 2 * NREQUESTS)

static_assert(MOST < 256, "a jump reaches that far");

struct program {
	struct sock_filter f[MOST];
	unsigned short n;
};

static void put(struct program *p, struct sock_filter instruction)
{
	p->f[p->n++] = instruction;
}

/* This value and no other, of what has been loaded. */
static void put_only(struct program *p, unsigned int value)
{
	put(p, (struct sock_filter)IS(value, 0, 1));
	put(p, (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW));
}

/* Before all others: the kernel asks about it each time, since only the program knows which request is allowed. */
static void put_ioctl(struct program *p)
{
	size_t i;

	put(p, (struct sock_filter)IS(SYS_ioctl, 0, 2 + 2 * NREQUESTS));
	put(p, (struct sock_filter)LOAD(args[1]));	/* the low half: all that the kernel looks at */
	for (i = 0; i < NREQUESTS; i++)
		put_only(p, requests[i]);
	put(p, (struct sock_filter)ANSWER(SECCOMP_RET_KILL_PROCESS));
}

/*
 * n sorted calls, as a tree: the kernel runs the program for every call there is when it takes it, to know which need not be
 * asked about again. Six comparisons each instead of all make a partition's start half a million instructions shorter.
 */
static void put_tree(struct program *p, const unsigned int *sorted, size_t n)
{
	unsigned short branch;

	if (n > 1) {
		branch = p->n;
		put(p, (struct sock_filter)FROM(sorted[n / 2], 0));
		put_tree(p, sorted, n / 2);
		p->f[branch].jt = (unsigned char)(p->n - branch - 1);
		put_tree(p, sorted + n / 2, n - n / 2);
	} else {
		put_only(p, sorted[0]);
		put(p, (struct sock_filter)ANSWER(SECCOMP_RET_KILL_PROCESS));
	}
}

static void sort(unsigned int sorted[NCALLS])
{
	unsigned int value;
	size_t i, j;

	for (i = 0; i < NCALLS; i++) {
		value = calls[i];
		for (j = i; j && sorted[j - 1] > value; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = value;
	}
}

int confine_calls(void)
{
	struct sock_fprog filter = { 0 };
	struct program p = { .n = 0 };
	unsigned int sorted[NCALLS];

	sort(sorted);
	put(&p, (struct sock_filter)LOAD(arch));
	put(&p, (struct sock_filter)IS(AUDIT_ARCH_X86_64, 1, 0));
	put(&p, (struct sock_filter)ANSWER(SECCOMP_RET_KILL_PROCESS));
	put(&p, (struct sock_filter)LOAD(nr));
	put_ioctl(&p);
	put_tree(&p, sorted, NCALLS);
	filter.filter = p.f;
	filter.len = p.n;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) < 0 ? -errno : 0;
}

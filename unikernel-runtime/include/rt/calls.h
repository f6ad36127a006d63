/* SPDX-License-Identifier: MIT */
/*
 * rt/calls.h - the system calls there are. sys_NAME(a) does SYS_NAME with the arguments a[0..5] and
 * returns what Linux would: 0, a value, or a negative errno. The table in syscall.c is made of this list,
 * so a call that is not here is -ENOSYS whatever its arguments are.
 */
#ifndef RT_CALLS_H
#define RT_CALLS_H

/* fd.c: on descriptors */
#define RT_CALLS_FD(X)	X(read) X(write) X(readv) X(writev) X(pread64) X(pwrite64) X(lseek) X(fstat) \
	X(ftruncate) X(fsync) X(fdatasync) X(ioctl) X(close) X(fcntl) X(dup) X(dup2) X(dup3) X(poll)

/* file.c: on paths */
#define RT_CALLS_PATH(X) X(open) X(openat) X(creat) X(stat) X(lstat) X(newfstatat) X(access) X(faccessat) \
	X(unlink) X(unlinkat) X(rmdir) X(mkdir) X(mkdirat) X(rename) X(renameat) X(chdir) X(getcwd) X(umask)

/* mman.c */
#define RT_CALLS_MEM(X)	X(mmap) X(munmap) X(madvise)

/* clock.c */
#define RT_CALLS_TIME(X) X(clock_gettime) X(clock_getres) X(gettimeofday) X(nanosleep) X(clock_nanosleep)

/* signal.c */
#define RT_CALLS_SIG(X)	X(rt_sigaction) X(rt_sigprocmask) X(rt_sigpending) X(kill) X(tkill) X(tgkill)

/* syscall.c: the one process, its one thread and its user */
#define RT_CALLS_SELF(X) X(exit) X(exit_group) X(uname) X(getpid) X(gettid) X(getppid) X(set_tid_address) \
	X(getpgrp) X(getpgid) X(getsid) X(getuid) X(geteuid) X(getgid) X(getegid) X(getresuid) \
	X(getresgid) X(getgroups) X(setuid) X(setgid) X(setreuid) X(setregid) X(setresuid) X(setresgid) \
	X(futex) X(sched_yield)

#define RT_CALLS(X) RT_CALLS_FD(X) RT_CALLS_PATH(X) RT_CALLS_MEM(X) RT_CALLS_TIME(X) RT_CALLS_SIG(X) \
	RT_CALLS_SELF(X)

#define RT_CALL_DECLARE(name) long sys_##name(const long *a);
RT_CALLS(RT_CALL_DECLARE)

#endif /* RT_CALLS_H */

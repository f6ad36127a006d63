// SPDX-License-Identifier: MIT
/*
 * runtime_probe.c - a program on the unikernel runtime, in Lua's place: does what Lua's own code never
 * does and prints what it saw. runtime_calls_test.c runs it (word 1: which part) and knows what is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <rt/calls.h>

#define PAGE	4096UL
#define LAST_SIGNAL 64

long keel_syscall(long n, long a, long b, long c, long d, long e, long f);
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
int main(int argc, char **argv);

static long call(long n, long a, long b, long c)
{
	return keel_syscall(n, a, b, c, 0, 0, 0);
}

/* ---- calls --------------------------------------------------------------------------------------- */

static void probe_unsupported(void)
{
#define KNOWN(name) [SYS_##name] = true,
	static const bool known[1024] = { RT_CALLS(KNOWN) };
	static const long args[] = { 0, 1, 63, -1, 1L << 40 };
	long asked = 0, wrong = 0;

	for (long n = -2; n < 1024; n++) {
		if (n >= 0 && known[n])
			continue;
		for (unsigned i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
			long res = keel_syscall(n, args[i], args[i], args[i], args[i], args[i], args[i]);

			asked++;
			if (res != -ENOSYS && wrong++ < 5)
				printf("call %ld with %ld: %ld\n", n, args[i], res);
		}
	}
	printf("asked %ld, wrong %ld\n", asked, wrong);
}

static void probe_identity(void)
{
	uid_t id[3] = { 7, 7, 7 };
	struct utsname u;

	printf("pid %ld tid %ld ppid %ld pgrp %ld sid %ld\n", call(SYS_getpid, 0, 0, 0), call(SYS_gettid, 0, 0, 0),
	       call(SYS_getppid, 0, 0, 0), call(SYS_getpgid, 1, 0, 0), call(SYS_getsid, 0, 0, 0));
	printf("uid %ld euid %ld gid %ld egid %ld groups %ld\n", call(SYS_getuid, 0, 0, 0),
	       call(SYS_geteuid, 0, 0, 0), call(SYS_getgid, 0, 0, 0), call(SYS_getegid, 0, 0, 0),
	       call(SYS_getgroups, 0, 0, 0));
	printf("getresuid %ld:", call(SYS_getresuid, (long)&id[0], (long)&id[1], (long)&id[2]));
	printf(" %u %u %u\n", id[0], id[1], id[2]);
	printf("setuid 0 %ld, 5 %ld, -1 %ld; setresgid %ld %ld\n", call(SYS_setuid, 0, 0, 0),
	       call(SYS_setuid, 5, 0, 0), call(SYS_setuid, -1, 0, 0), call(SYS_setresgid, -1, 0, -1),
	       call(SYS_setresgid, 0, 0, 3));
	printf("pgid of 2 %ld, uname %ld", call(SYS_getpgid, 2, 0, 0), call(SYS_uname, (long)&u, 0, 0));
	printf(" %s %s\n", u.sysname, u.nodename);
}

static void probe_umask(void)
{
	static const char *const names[] = { "/mnt/first", "/mnt/second" };

	printf("mask %lo", (unsigned long)call(SYS_umask, 077, 0, 0));
	call(SYS_close, call(SYS_open, (long)names[0], O_CREAT | O_WRONLY, 0666), 0, 0);
	printf(" %lo", (unsigned long)call(SYS_umask, 07002, 0, 0));
	printf(" %lo\n", (unsigned long)call(SYS_umask, 02, 0, 0));
	call(SYS_close, call(SYS_open, (long)names[1], O_CREAT | O_WRONLY, 0666), 0, 0);
	call(SYS_mkdir, (long)"/mnt/dir", 0777, 0);
}

static void probe_no_thread(void)
{
	printf("clone %d\n", __clone(NULL, NULL, 0, NULL));
	printf("vfork %d", (int)vfork());
	printf(" %s\n", strerror(errno));
}

/* ---- signals ------------------------------------------------------------------------------------- */

static volatile int handled, inside;

static void on_signal(int sig)
{
	sigset_t now;

	handled = sig;
	call(SYS_rt_sigpending, (long)&now, 0, 0);
	if (!inside++) {
		raise(sig);	/* is blocked in here: comes after the end */
		printf("handler of %d, pending %d\n", sig, inside);
	}
}

static void on_info(int sig, siginfo_t *info, void *context)
{
	printf("info %d %d %d\n", sig, info->si_signo, context != NULL);
}

static void act(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	if (sigaction(sig, &sa, NULL))
		printf("sigaction(%d): %s\n", sig, strerror(errno));
}

static void probe_signals(void)
{
	struct sigaction sa;
	uint64_t set = 1ULL << (SIGUSR2 - 1), seen = 0;

	act(SIGUSR1, on_signal, 0);
	printf("raise %d", raise(SIGUSR1));
	printf(" handled %d times %d\n", handled, inside);
	handled = 0;
	act(SIGUSR1, SIG_IGN, 0);
	printf("ignored %d %d\n", raise(SIGUSR1), handled);
	printf("default of SIGCHLD %d\n", raise(SIGCHLD));
	act(SIGUSR2, on_signal, (int)SA_RESETHAND);
	keel_syscall(SYS_rt_sigprocmask, SIG_BLOCK, (long)&set, 0, 8, 0, 0);
	raise(SIGUSR2);
	call(SYS_rt_sigpending, (long)&seen, 0, 0);
	printf("blocked: handled %d, pending %d\n", handled, seen == set);
	keel_syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&set, 0, 8, 0, 0);
	sigaction(SIGUSR2, NULL, &sa);
	printf("unblocked: handled %d, then default %d\n", handled, sa.sa_handler == SIG_DFL);
	sa = (struct sigaction){ .sa_sigaction = on_info, .sa_flags = SA_SIGINFO };
	sigaction(LAST_SIGNAL, &sa, NULL);
	printf("kill %ld", call(SYS_kill, 1, LAST_SIGNAL, 0));
	printf(" test %ld other %ld bad %ld\n", call(SYS_kill, 1, 0, 0), call(SYS_kill, 99, SIGTERM, 0),
	       call(SYS_kill, 1, 65, 0));
	printf("uncatchable %ld\n", keel_syscall(SYS_rt_sigaction, SIGKILL, (long)&sa, 0, 8, 0, 0));
}

static void probe_end(const char *sig)
{
	printf("ends\n");
	raise((int)strtol(sig, NULL, 10));
	printf("goes on\n");
}

/* ---- memory -------------------------------------------------------------------------------------- */

static unsigned char *map(size_t pages)
{
	unsigned char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	for (size_t i = 0; i < pages; i++)
		memset(p + i * PAGE, (int)i + 1, PAGE);
	return p;
}

/* Whether pages [from, to) of a mapping still have what map() put there. */
static bool intact(const unsigned char *p, size_t from, size_t to)
{
	for (size_t i = from * PAGE; i < to * PAGE; i++)
		if (p[i] != i / PAGE + 1)
			return false;
	return true;
}

/* The largest block there is: the same before and after, if nothing is lost. */
static size_t largest(void)
{
	size_t n = 0;

	for (size_t step = 1 << 24; step >= 16; step /= 2) {
		void *p = malloc(n + step);

		if (p)
			n += step;
		free(p);
	}
	return n;
}

static int unmap(unsigned char *p, size_t from, size_t to)
{
	return munmap(p + from * PAGE, (to - from) * PAGE);
}

static void probe_munmap(void)
{
	size_t before = largest(), after;
	unsigned char *p = map(10), *q;
	void *small[16];

	printf("head %d", unmap(p, 0, 2));
	printf(" %d", intact(p, 2, 10));
	printf(" tail %d", unmap(p, 8, 10));
	printf(" %d", intact(p, 2, 8));
	printf(" middle %d", unmap(p, 4, 5));
	printf(" %d %d\n", intact(p, 2, 4), intact(p, 5, 8));
	/* What was given back is used by others, and what was not is not. */
	for (int i = 0; i < 16; i++)
		memset(small[i] = malloc(2000), 0xaa, 2000);
	printf("beside others %d %d\n", intact(p, 2, 4), intact(p, 5, 8));
	for (int i = 0; i < 16; i++)
		free(small[i]);
	q = map(4);
	printf("over both %d", munmap(p < q ? p : q, (size_t)((p < q ? q - p + 4 * (long)PAGE : p - q + 10 * (long)PAGE))));
	printf(" again %d\n", unmap(p, 0, 10));
	after = largest();
	printf("lost %ld\n", (long)(before - after));
	printf("odd %d", munmap(p + 1, PAGE));
	printf(" none %d", munmap(p, 0));
	printf(" round %d\n", munmap((void *)-PAGE, 2 * PAGE));
}

static void probe_madvise(void)
{
	unsigned char *p = map(4);

	printf("dontneed %ld", call(SYS_madvise, (long)(p + PAGE), 2 * PAGE, MADV_DONTNEED));
	printf(" %d %d %d %d\n", p[PAGE - 1], p[PAGE], p[3 * PAGE - 1], p[3 * PAGE]);
}

/* ---- descriptors --------------------------------------------------------------------------------- */

static void probe_dup(void)
{
	int a = open("/mnt/text", O_RDONLY), b;
	char s[8] = "";
	FILE *f;

	b = (int)call(SYS_dup, a, 0, 0);
	call(SYS_read, a, (long)s, 3);
	printf("%s", s);
	call(SYS_read, b, (long)s, 3);
	printf("%s at %ld\n", s, call(SYS_lseek, a, 0, SEEK_CUR));
	printf("dup2 %ld %ld", call(SYS_dup2, a, 20, 0) - 20, call(SYS_dup2, a, a, 0) - a);
	printf(" dup3 %ld %ld", call(SYS_dup3, a, 21, O_CLOEXEC) - 21, call(SYS_dup3, a, a, 0));
	printf(" bad %ld %ld %ld\n", call(SYS_dup2, a, 64, 0), call(SYS_dup2, 50, 3, 0), call(SYS_dup3, a, 22, 1));
	call(SYS_close, a, 0, 0);
	call(SYS_close, b, 0, 0);
	call(SYS_lseek, 20, 1, SEEK_SET);
	call(SYS_read, 21, (long)s, 3);
	printf("%s closed %ld\n", s, call(SYS_read, a, (long)s, 3));
	printf("fcntl %ld\n", call(SYS_fcntl, 20, F_DUPFD, 30) - 30);
	f = freopen("/mnt/other", "r", stdin);
	printf("freopen %d", f != NULL);
	if (f && fgets(s, sizeof(s), f))
		printf(" %s", s);
}

/* ---- time ---------------------------------------------------------------------------------------- */

static void probe_clock(void)
{
	struct timespec ts, a, b;
	struct timeval tv;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	printf("cpu %ld.%09ld\n", (long)ts.tv_sec, ts.tv_nsec);
	clock_gettime(CLOCK_REALTIME, &ts);
	printf("wall %ld\n", (long)ts.tv_sec);
	call(SYS_gettimeofday, (long)&tv, 0, 0);
	printf("wall %ld\n", (long)tv.tv_sec);
	clock_gettime(CLOCK_MONOTONIC, &a);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("monotonic %d %d\n", a.tv_sec < 100, b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
	/* A moment that has passed is not waited for, one in ten years is. */
	ts.tv_sec--;
	printf("past %ld\n", keel_syscall(SYS_clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, (long)&ts, 0, 0, 0));
}

static void probe_sleep(void)
{
	struct timespec wish = { 1000, 0 }, left = { 0 };
	char c;

	act(SIGINT, on_signal, SA_RESTART);
	inside = 1;
	printf("sleep %ld", call(SYS_nanosleep, (long)&wish, (long)&left, 0));
	printf(" left %d handled %d\n", left.tv_sec > 900 && left.tv_sec < 1000, handled);
	handled = 0;
	printf("read %ld", call(SYS_read, 0, (long)&c, 1));	/* restarted: gives the line behind the ^C */
	printf(" %c handled %d\n", c, handled);
	act(SIGINT, on_signal, 0);
	while (c != '\n')
		call(SYS_read, 0, (long)&c, 1);
	printf("read %ld\n", call(SYS_read, 0, (long)&c, 1));
}

static long wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (long)ts.tv_sec;
}

/* The wall clock over two pauses, and the monotonic one. */
static void probe_wall(void)
{
	struct timespec pause = { 5, 0 }, a, b;
	long before, between;

	clock_gettime(CLOCK_MONOTONIC, &a);
	before = wall();
	call(SYS_nanosleep, (long)&pause, 0, 0);
	between = wall();
	call(SYS_nanosleep, (long)&pause, 0, 0);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("wall %ld %ld %ld monotonic %ld\n", before, between - before, wall() - between, (long)(b.tv_sec - a.tv_sec));
}

/* ---- standard streams ---------------------------------------------------------------------------- */

static void probe_streams(void)
{
	struct stat st[3];
	int tty[3];
	char c;

	for (int fd = 0; fd < 3; fd++) {
		tty[fd] = isatty(fd);
		call(SYS_fstat, fd, (long)&st[fd], 0);
	}
	for (int fd = 0; fd < 3; fd++)
		printf("%d: tty %d mode %o seek %ld pread %ld flags %ld\n", fd, tty[fd], st[fd].st_mode & S_IFMT,
		       call(SYS_lseek, fd, 0, SEEK_CUR), keel_syscall(SYS_pread64, fd, (long)&c, 1, 0, 0, 0),
		       call(SYS_fcntl, fd, F_GETFL, 0));
	printf("read of output %ld, write of input %ld", call(SYS_read, 1, (long)&c, 1), call(SYS_write, 0, (long)&c, 1));
	c = '2';
	printf(", dup ");
	fflush(stdout);
	call(SYS_write, call(SYS_dup, 1, 0, 0), (long)&c, 1);
	printf("\n");
}

static void on_read(int sig)
{
	printf("handler of %d, opened %d\n", sig, open("/mnt/new", O_CREAT | O_WRONLY, 0644) > 2);
	fflush(stdout);
}

static void probe_stream_read(void)
{
	char s[16] = "";
	long n;

	act(SIGINT, on_read, SA_RESTART);
	n = call(SYS_read, 0, (long)s, sizeof(s) - 1);
	printf("read %ld %s\n", n, s);
}

static void on_write(int sig)
{
	(void)sig;
	call(SYS_write, 1, (long)"handler\n", 8);
}

static void probe_stream_write(void)
{
	act(SIGINT, on_write, 0);
	printf("wrote %ld\n", call(SYS_write, 1, (long)"first\n", 6));
}

static void poll_and_read(size_t most)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	long ready = call(SYS_poll, (long)&p, 1, -1);
	char s[16] = "";

	printf("poll %ld revents %d\n", ready, p.revents);
	printf("read %ld", call(SYS_read, 0, (long)s, (long)most));
	printf(" %s\n", s);
}

static void probe_stream_poll(void)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };

	setvbuf(stdout, NULL, _IONBF, 0);
	printf("nothing %ld\n", call(SYS_poll, (long)&p, 1, 20));
	printf(">\n");
	poll_and_read(2);
	poll_and_read(15);
	printf(".\n");
	poll_and_read(15);
}

/* ---- the end ------------------------------------------------------------------------------------- */

static __attribute__((noinline)) int deep(int n)
{
	volatile int *nowhere = (volatile int *)16;
	volatile int below = n ? deep(n - 1) : *nowhere;

	return below + 1;
}

static void probe_fault(void)
{
	printf("%d\n", deep(5));
}

static void probe_words(int argc, char **argv)
{
	printf("%d", argc);
	for (int i = 1; i < argc; i += argc > 20 ? 13 : 1)
		printf(" %s", argv[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	static const struct {
		const char *name;
		void (*fn)(void);
	} probes[] = {
		{ "unsupported", probe_unsupported }, { "identity", probe_identity }, { "umask", probe_umask },
		{ "no_thread", probe_no_thread }, { "signals", probe_signals }, { "munmap", probe_munmap },
		{ "madvise", probe_madvise }, { "dup", probe_dup }, { "clock", probe_clock },
		{ "sleep", probe_sleep }, { "wall", probe_wall }, { "fault", probe_fault },
		{ "streams", probe_streams }, { "stream_read", probe_stream_read },
		{ "stream_write", probe_stream_write }, { "stream_poll", probe_stream_poll },
	};

	for (unsigned i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		if (strcmp(probes[i].name, what) == 0)
			return probes[i].fn(), 0;
	if (strcmp(what, "words") == 0)
		probe_words(argc, argv);
	else if (strcmp(what, "end") == 0 && argc > 2)
		probe_end(argv[2]);
	else
		return 9;
	return 0;
}

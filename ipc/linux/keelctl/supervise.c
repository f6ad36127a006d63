// SPDX-License-Identifier: MIT
/*
 * supervise.c - one poll loop: the partition's descriptor, signals, what is printed (detached), and now and then
 * the console.
 *
 * A worker that dies is replaced: its partition finds its files and streams again, what was on its way has failed.
 *
 * The console is not where a program prints (that are its standard streams), but where the runtime and the partition's last words
 * go; here it is standard error. /dev/keel has no way to wait for it, so it is looked at every CONSOLE_MS.
 */
#include "supervise.h"
#include "device.h"
#include "joblog.h"
#include "visible.h"
#include "worker.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONSOLE_MS	300	/* less than a second: so long an attachment lasts */
#define PIECE		4096
#define WORKER_ENDS	5	/* of a worker in a row, then it is the partition's end */
#define WORKER_GOOD_MS	10000	/* who has served so long begins anew */

/* ---- how it ended -------------------------------------------------------------------------------- */

/* The signal that Linux sends a process for this exception. */
static int signal_of(uint32_t vector)
{
	switch (vector) {
	case 0:			/* #DE */
	case 16:		/* #MF */
	case 19:		/* #XM */
		return SIGFPE;
	case 1:			/* #DB */
	case 3:			/* #BP */
		return SIGTRAP;
	case 6:			/* #UD */
		return SIGILL;
	case 17:		/* #AC */
		return SIGBUS;
	}
	return SIGSEGV;
}

int supervise_status(const struct keel_part_info *info, char *said, size_t size)
{
	char reason[4 * sizeof(info->reason) + 1];

	said[0] = '\0';
	visible_text(info->reason, reason, sizeof(reason));
	switch (info->state) {
	case KEEL_PART_EXITED:
		return info->status & 0xff;
	case KEEL_PART_FAULTED:
		snprintf(said, size, "%s (vector %u error %#" PRIx64 " rip %#" PRIx64 " rsp %#" PRIx64 " cr2 %#" PRIx64 ")",
			 reason[0] ? reason : "fault", info->fault.vector, info->fault.error, info->fault.rip, info->fault.rsp,
			 info->fault.cr2);
		return 128 + signal_of(info->fault.vector);
	case KEEL_PART_CRASHED:
		snprintf(said, size, "%s", reason[0] ? reason : "it reported a crash of its own");
		return 128 + SIGABRT;
	}
	snprintf(said, size, "stopped");
	return 128 + SIGKILL;
}

static bool has_ended(const struct supervised *s)
{
	struct keel_part_info info;

	device_part(s->handle, &info);
	return info.state >= KEEL_PART_EXITED;
}

/* ---- what is said of it ------------------------------------------------------------------------------- */

void supervise_say(const struct supervised *s, const char *fmt, ...)
{
	char text[512], line[640];
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = snprintf(line, sizeof(line), "keelctl: %s: %s\n", s->name, text);
	if (s->log)
		joblog_put(s->log, line, (size_t)n);
	else
		fputs(line, stderr);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- while it runs -------------------------------------------------------------------------------- */

int supervise_signals(void)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGNAL_RESTART);
	sigaddset(&set, SIGNAL_STAY);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die("signals: %s", strerror(errno));
	return fd;
}

/* Its console's news to standard error, or the log. */
static void show_console(const struct supervised *s)
{
	struct keel_ioc_ctl ctl = { .handle = s->handle, .op = KEEL_CTL_ATTACH };
	struct keel_ioc_buf buf = { .handle = s->handle };
	bool terminal = s->attached && isatty(STDERR_FILENO);
	struct visible v = { 0 };
	static char text[PIECE];
	int n;

	if (s->attached)
		device_call(KEEL_IOC_PART_CTL, &ctl);
	for (;;) {
		buf.addr = (uintptr_t)text;
		buf.len = sizeof(text);
		n = device_call(KEEL_IOC_CONS_READ, &buf);
		if (n <= 0)
			break;
		if (s->log)
			joblog_put(s->log, text, (size_t)n);
		else if (terminal)
			visible_put(&v, text, (size_t)n, stderr);
		else
			fwrite(text, 1, (size_t)n, stderr);
	}
	visible_end(&v, stderr);
}

/* What it has printed, into the log. False: there will be no more. */
static bool take_output(struct supervised *s)
{
	char text[PIECE];
	ssize_t n = read(s->output, text, sizeof(text));

	if (n > 0)
		joblog_put(s->log, text, (size_t)n);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static void end_it(const struct supervised *s)
{
	struct keel_ioc_ctl ctl = { .handle = s->handle, .op = KEEL_CTL_DESTROY };

	device_call(KEEL_IOC_PART_CTL, &ctl);
}

static void take_rest(struct supervised *s)
{
	while (s->output >= 0 && take_output(s))
		;
	if (s->output >= 0)
		close(s->output);
	s->output = -1;
}

/* Another worker, unless they die faster than one can be of use. What was on its way has failed with EIO. */
static bool serve_again(struct supervised *s, const char *how, int number)
{
	if (s->served_ms && now_ms() - s->served_ms >= WORKER_GOOD_MS)
		s->worker_ends = 0;
	if (!s->serve || ++s->worker_ends > WORKER_ENDS)
		return false;
	take_rest(s);
	supervise_say(s, "the process that served its files has ended (%s %d), another one does it now", how, number);
	s->serve(s);
	s->served_ms = now_ms();
	return true;
}

/* The worker has ended. Without one it would run for nobody. */
static void worker_ended(struct supervised *s)
{
	const char *how;
	int status, number;

	if (!s->worker || waitpid(s->worker, &status, WNOHANG) != s->worker)
		return;
	s->worker = 0;
	if (has_ended(s))
		return;
	how = WIFSIGNALED(status) ? "signal" : "status";
	number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
	if (serve_again(s, how, number))
		return;
	snprintf(s->said, sizeof(s->said), "the process that served its files has ended (%s %d)", how, number);
	end_it(s);
}

/* Returns the signal that shall end it, or 0. */
static int take_signals(struct supervised *s, int fd)
{
	struct signalfd_siginfo info;
	int sig = 0;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			worker_ended(s);
		} else if (info.ssi_signo == SIGNAL_STAY) {
			s->stopped = true;
		} else if (info.ssi_signo == SIGNAL_RESTART) {
			s->again = true;
			end_it(s);
		} else {
			sig = (int)info.ssi_signo;
		}
	}
	return sig;
}

static void watch(struct supervised *s)
{
	struct keel_ioc_stats stats = { .handle = s->handle };
	struct keel_part_info info;

	if (!s->watchdog.seconds || device_call(KEEL_IOC_PART_STATS, &stats) < 0)
		return;
	device_part(s->handle, &info);
	if (info.state >= KEEL_PART_EXITED || !watchdog_wedged(&s->watched, s->watchdog.seconds, &info, &stats.stats))
		return;
	supervise_say(s, "the watchdog: %u s of computing without one call%s", s->watchdog.seconds,
		      s->watchdog.action == WATCHDOG_LOG ? "" : s->watchdog.action == WATCHDOG_STOP ? "; it is ended" :
		      "; it is started again");
	if (s->watchdog.action == WATCHDOG_LOG)
		return;
	s->again = s->watchdog.action == WATCHDOG_RESTART;
	end_it(s);
}

/* Until the partition has ended. Returns the last signal that was to end it, or 0. */
static int loop(struct supervised *s, int signals)
{
	int sig = 0, got;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = s->fd, .events = POLLIN }, { .fd = signals, .events = POLLIN },
			{ .fd = s->output, .events = POLLIN },
		};

		show_console(s);
		watch(s);
		if (poll(fds, 3, CONSOLE_MS) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		/* Before a signal, which may put another pipe in its place. */
		if (fds[2].revents && !take_output(s)) {
			close(s->output);
			s->output = -1;
		}
		if (fds[1].revents) {
			got = take_signals(s, signals);
			if (got && !sig)
				end_it(s);
			sig = got ? got : sig;
		}
		if (fds[0].revents)
			return sig;
	}
}

bool supervise_pause(int signals, int ms, int *sig)
{
	struct pollfd fds = { .fd = signals, .events = POLLIN };
	const uint64_t end = now_ms() + (uint64_t)ms;
	struct signalfd_siginfo info;
	uint64_t now;

	*sig = 0;
	while ((now = now_ms()) < end) {
		poll(&fds, 1, (int)(end - now));
		while (read(signals, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo == SIGNAL_RESTART)
				return true;
			if (info.ssi_signo == SIGCHLD)
				continue;
			*sig = info.ssi_signo == SIGNAL_STAY ? 0 : (int)info.ssi_signo;
			return false;
		}
	}
	return true;
}

int supervise(struct supervised *s, int signals)
{
	struct keel_part_info info;
	char said[sizeof(s->said)];
	int sig, status;

	s->said[0] = '\0';
	s->again = s->stopped = false;
	s->watched = (struct watchdog) { 0 };
	s->worker_ends = 0;
	s->served_ms = 0;
	sig = loop(s, signals);
	device_part(s->handle, &info);
	show_console(s);
	if (s->worker)
		worker_stop(s->worker);
	s->worker = 0;
	take_rest(s);
	status = supervise_status(&info, said, sizeof(said));
	if (s->said[0])
		return EXIT_RUN;	/* it was not the partition's doing */
	/* Somebody else's control call, too, unless it is the one that makes room for the next start. */
	if (info.state == KEEL_PART_DESTROYED)
		s->stopped |= !s->again || sig;
	s->again &= info.state == KEEL_PART_DESTROYED && !s->stopped;
	if (sig && info.state == KEEL_PART_DESTROYED)
		return 128 + sig;
	strcpy(s->said, said);
	return status;
}

// SPDX-License-Identifier: MIT
/*
 * console.c - keelctl console: a peer's console on this terminal, or on pipes.
 *
 * A detached partition's output is in its log, which its keeper writes: what is new there is shown, and what is typed goes to its standard
 * input, if that is open (-di), else to its console; ^C to its console anyway.
 *
 * On a terminal, lines are edited and echoed here and sent when complete; Ctrl-C and Ctrl-D are
 * sent as the bytes 3 and 4 at once; Ctrl-] leaves. On a pipe everything read is sent; after the
 * end of the input the program prints until the peer has been silent for -t seconds or has ended.
 * Output from before the first input byte is dropped in this case (-a keeps it), so that what is
 * printed answers what was sent.
 *
 * Who sits at this terminal with the console attached gets its bytes as they are. So does a file. But on
 * a terminal that is only shown what comes out of a pipe, control characters are made visible.
 *
 * /dev/keel has no way to wait for console output, so it is looked at every POLL_MS.
 */
#include "commands.h"
#include "device.h"
#include "job.h"
#include "logtail.h"
#include "visible.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS		20
#define ATTACH_MS	300	/* between two calls that say so; one lasts a second */
#define KEY_LEAVE	0x1d	/* Ctrl-] */
#define KEY_INTERRUPT	0x03
#define KEY_EOF		0x04
#define BUF_BYTES	4096

struct console {
	const char *name;
	uint32_t handle;
	bool tty;
	bool raw;		/* bytes as they are */
	bool keep_old;		/* -a */
	bool sent;		/* something was */
	bool eof;		/* of standard input */
	bool leave;
	uint64_t idle_ms;	/* -t */
	uint64_t last_ms;	/* of the newest byte either way */
	uint64_t attached_ms;	/* when that was said last */
	bool job;		/* detached */
	struct logtail log;	/* job */
	int input;		/* job: its standard input; -1: it has none */
	struct visible visible;
	size_t start, end;	/* of what is still to be sent */
	char out[BUF_BYTES];
};

static struct termios saved;
static volatile sig_atomic_t interrupted;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- terminal --------------------------------------------------------------------------------------- */

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

static void terminal_restore(void)
{
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

/* Line editing stays with the tty; Ctrl-] and Ctrl-C end a "line", so read() returns them at once. */
static void terminal_setup(const char *name)
{
	struct termios t;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		die("terminal: %s", strerror(errno));
	t = saved;
	t.c_lflag |= ICANON | ECHO | IEXTEN;
	t.c_lflag &= (tcflag_t)~ISIG;
	t.c_cc[VEOL] = KEY_LEAVE;
	t.c_cc[VEOL2] = KEY_INTERRUPT;
	atexit(terminal_restore);
	if (tcsetattr(STDIN_FILENO, TCSADRAIN, &t) < 0)
		die("terminal: %s", strerror(errno));
	fprintf(stderr, "[console of %s, Ctrl-] leaves]\n", name);
}

/* ---- data ------------------------------------------------------------------------------------------- */

static void print_out(struct console *c, const char *text, size_t n)
{
	if (c->raw)
		fwrite(text, 1, n, stdout);
	else
		visible_put(&c->visible, text, n, stdout);
	if (ferror(stdout))
		die("standard output: %s", strerror(errno));
}

/* What it has written and nobody has seen: bytes, 0: none. */
static size_t next_piece(struct console *c, char *text, size_t size)
{
	struct keel_ioc_buf buf = { .handle = c->handle, .addr = (uintptr_t)text, .len = (uint32_t)size };
	int n;

	if (c->job)
		return logtail_read(&c->log, text, size);
	n = device_call(KEEL_IOC_CONS_READ, &buf);
	if (n < 0 && n != -EBADF)	/* a run in the foreground that is over */
		die_call("console", c->name, n);
	return n < 0 ? 0 : (size_t)n;
}

/* Reads what the peer wrote; prints it unless it is to be dropped. Returns bytes. */
static size_t receive(struct console *c, bool print)
{
	static char text[BUF_BYTES];
	size_t all = 0, n;

	do {
		n = next_piece(c, text, sizeof(text));
		if (print)
			print_out(c, text, n);
		all += n;
	} while (n && all < 16 * BUF_BYTES);
	if (all && print && fflush(stdout))
		die("standard output: %s", strerror(errno));
	if (all)
		c->last_ms = now_ms();
	return all;
}

/* To the console; returns how many bytes it took. */
static size_t to_console(const struct console *c, const char *text, size_t len)
{
	struct keel_ioc_buf buf = { .handle = c->handle, .addr = (uintptr_t)text, .len = (uint32_t)len };
	int n = device_call(KEEL_IOC_CONS_WRITE, &buf);

	if (n < 0)
		die_call("console", c->name, n);
	return (size_t)n;
}

/* To its standard input. On a terminal ^C is no byte of it, but a signal. */
static size_t to_input(const struct console *c, const char *text, size_t len)
{
	const char *key = c->tty ? memchr(text, KEY_INTERRUPT, len) : NULL;
	ssize_t n;

	if (key == text)
		return to_console(c, text, 1);
	n = write(c->input, text, key ? (size_t)(key - text) : len);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		die("console %s: its standard input: %s", c->name, strerror(errno));
	return n < 0 ? 0 : (size_t)n;
}

/* Sends as much of c->out as the peer's input takes. Returns bytes. */
static size_t transmit(struct console *c)
{
	size_t n;

	if (c->start == c->end)
		return 0;
	if (!c->sent && !c->tty && !c->keep_old)
		while (receive(c, false))
			;
	c->sent = true;
	if (c->input >= 0)
		n = to_input(c, c->out + c->start, c->end - c->start);
	else
		n = to_console(c, c->out + c->start, c->end - c->start);
	c->start += n;
	if (n)
		c->last_ms = now_ms();
	return n;
}

/* Reads standard input, which has something, into the empty c->out. */
static void take_input(struct console *c)
{
	ssize_t n = read(STDIN_FILENO, c->out, sizeof(c->out));
	char *key;

	if (n < 0) {
		if (errno == EINTR || errno == EAGAIN)
			return;
		die("standard input: %s", strerror(errno));
	}
	c->start = 0;
	c->end = (size_t)n;
	if (c->tty) {
		if (!n && c->input < 0)		/* a FIFO has no such thing */
			c->out[c->end++] = KEY_EOF;
		key = memchr(c->out, KEY_LEAVE, c->end);
		if (key) {
			c->end = (size_t)(key - c->out);
			c->leave = true;
		}
	} else if (!n) {
		c->eof = true;
		c->last_ms = now_ms();
	}
}

static bool ended(const struct console *c)
{
	struct keel_part_info info;

	struct job_state state;
	bool over;

	if (c->job) {
		over = job_look(c->name, false, &state) || !state.running;
		job_forget(&state);
		return over;
	}
	return !device_part_try(c->handle, &info) || info.state == KEEL_PART_EMPTY || info.state >= KEEL_PART_EXITED;
}

/*
 * The serial port, which may be this very terminal, also shows the peer's lines: not while we do. A metakernel
 * that does not know this shows them twice.
 */
static void attach(struct console *c, bool on)
{
	struct keel_ioc_ctl ctl = { .handle = c->handle, .op = on ? KEEL_CTL_ATTACH : KEEL_CTL_DETACH };

	if (!c->tty || (on && c->attached_ms && now_ms() - c->attached_ms < ATTACH_MS))
		return;
	c->attached_ms = now_ms();
	device_call(KEEL_IOC_PART_CTL, &ctl);
}

static int console_loop(struct console *c)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	size_t moved;

	while (!interrupted) {
		attach(c, true);
		moved = transmit(c);
		moved += receive(c, true);
		if (c->leave && c->start == c->end)
			return 0;
		if (!moved && c->eof && c->start == c->end && now_ms() - c->last_ms >= c->idle_ms)
			return 0;
		if (!moved && ended(c)) {
			receive(c, true);
			fprintf(stderr, "keelctl: %s has ended (keelctl %s says how)\n", c->name, c->job ? "inspect" : "ps");
			return c->start == c->end && c->eof ? 0 : EXIT_FAILED;
		}
		/* poll() ignores a negative descriptor: then it is only the pause. */
		in.fd = c->eof || c->leave || c->start != c->end ? -1 : STDIN_FILENO;
		if (poll(&in, 1, moved ? 0 : POLL_MS) > 0 && in.revents)
			take_input(c);
	}
	return EXIT_FAILED;
}

/* Whether it is a detached one that runs; opens what it has. */
static bool open_job(struct console *c)
{
	struct job_state state;
	char path[PATH_MAX];
	bool runs = !job_look(c->name, false, &state) && state.running;

	job_forget(&state);
	if (!runs)
		return false;
	logtail_open(&c->log, c->name, c->keep_old);
	job_path(path, c->name, ".in");
	c->input = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	return true;
}

int cmd_console(int argc, char **argv)
{
	static struct console c = { .idle_ms = 1000, .input = -1 };
	struct sigaction sa = { .sa_handler = on_signal };
	char *end;
	double t;
	int opt, status;

	while ((opt = getopt(argc, argv, "at:")) != -1) {
		switch (opt) {
		case 'a':
			c.keep_old = true;
			break;
		case 't':
			t = strtod(optarg, &end);
			if (*end || end == optarg || !(t >= 0 && t <= 86400))
				die("console -t %s: expected seconds", optarg);
			c.idle_ms = (uint64_t)(t * 1000);
			break;
		default:
			return usage_error();
		}
	}
	if (optind != argc - 1)
		return usage_error();
	c.name = argv[optind];
	c.handle = device_find(c.name);
	if (!c.handle)
		die("console %s: that is this Linux itself", c.name);
	c.job = open_job(&c);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	c.tty = isatty(STDIN_FILENO);
	c.raw = c.tty || !isatty(STDOUT_FILENO);
	if (c.tty)
		terminal_setup(c.name);
	status = console_loop(&c);
	attach(&c, false);
	visible_end(&c.visible, stdout);
	return status;
}

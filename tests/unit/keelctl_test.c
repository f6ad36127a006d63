// SPDX-License-Identifier: MIT
/*
 * keelctl_test.c - keelctl's commands against a made-up machine: ioctl() on /dev/keel is answered here.
 *
 * Shows: what ps, caps, stats, log print; that console sends all of a pipe, prints what comes
 * back and ends by itself; that failures say what is wrong and give status 1, bad usage 2.
 */
#include "unit.h"

#include "commands.h"
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int __wrap_ioctl(int fd, unsigned long request, void *arg);

/* ---- the machine: handle 0 linux, 1 lua, 2 ada (faulted), 3 a channel; 4 none, 5 a channel ------------- */

static struct keel_part_info parts[3];
static char console_out[8192];	/* lua's, waiting to be read */
static size_t console_len;
static bool no_control;
static const char plain_log[] = "[keel] line one\n[keel] line two\n", *machine_log = plain_log;

static int fail_with(int err)
{
	errno = err;
	return -1;
}

static int cap_info(struct keel_ioc_cap *c)
{
	static const struct keel_cap_info caps[] = {
		{ KEEL_CAP_PARTITION, KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL, 0, "linux" },
		{ KEEL_CAP_PARTITION, KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL, 0, "lua" },
		{ KEEL_CAP_PARTITION, KEEL_RIGHT_INFO, 0, "ada" },
		{ KEEL_CAP_CHANNEL, KEEL_RIGHT_SERVE, 0, "lua" },
		{ KEEL_CAP_NONE, 0, 0, "" },
		{ KEEL_CAP_CHANNEL, KEEL_RIGHT_USE, 0, "other" },
		{ KEEL_CAP_LOG, KEEL_RIGHT_INFO, 0, "log" },
	}, of_lua[] = {
		{ KEEL_CAP_PARTITION, KEEL_RIGHT_INFO, 0, "lua" },
		{ KEEL_CAP_CHANNEL, KEEL_RIGHT_USE, 0, "lua" },
		{ KEEL_CAP_LOG, KEEL_RIGHT_INFO, 0, "log" },
	};

	if (c->part == 2)
		return fail_with(EPERM);
	if (c->part == 1) {
		if (c->handle >= NELEM(of_lua))
			return fail_with(EBADF);
		c->info = of_lua[c->handle];
		return 0;
	}

	if (c->handle >= NELEM(caps))
		return fail_with(EBADF);
	c->info = caps[c->handle];
	return 0;
}

static int part_stats(struct keel_ioc_stats *s)
{
	unsigned int i;

	for (i = 0; i < KEEL_STAT_NR; i++)
		s->stats.count[i] = i == KEEL_STAT_FILL ? 0 : 1000 + i;
	return 0;
}

static int chan_info(struct keel_ioc_chan *c)
{
	memset(&c->info, 0, sizeof(c->info));
	c->info.state = KEEL_CHAN_SERVER_UP | KEEL_CHAN_WINDOW;
	c->info.generation = 5;
	c->info.window_bytes = 1 << 20;
	return 0;
}

static int log_read(struct keel_ioc_buf *b)
{
	size_t n = strlen(machine_log + b->position);

	n = n > 10 ? 10 : n;
	memcpy((void *)(uintptr_t)b->addr, machine_log + b->position, n);
	b->position += n;
	return (int)n;
}

static int cons_read(const struct keel_ioc_buf *b)
{
	size_t n = console_len < b->len ? console_len : b->len;

	memcpy((void *)(uintptr_t)b->addr, console_out, n);
	console_len -= n;
	memmove(console_out, console_out + n, console_len);
	return (int)n;
}

/* lua answers each byte with its upper-case form, and takes three at a time; Q ends it. */
static int cons_write(const struct keel_ioc_buf *b)
{
	const char *text = (const char *)(uintptr_t)b->addr;
	uint32_t n = b->len < 3 ? b->len : 3, i;

	for (i = 0; i < n; i++) {
		if (text[i] == 'Q')
			parts[1].state = KEEL_PART_EXITED;
		console_out[console_len++] =
			(char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 32 : text[i]);
	}
	return (int)n;
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	struct keel_ioc_part *part = arg;
	struct keel_ioc_ctl *ctl = arg;

	(void)fd;
	switch (request) {
	case KEEL_IOC_CAP_INFO:
		return cap_info(arg);
	case KEEL_IOC_PART_INFO:
		if (part->handle >= NELEM(parts))
			return fail_with(EBADF);
		part->info = parts[part->handle];
		return 0;
	case KEEL_IOC_PART_STATS:
		return part_stats(arg);
	case KEEL_IOC_CHAN_INFO:
		return chan_info(arg);
	case KEEL_IOC_LOG_READ:
		return log_read(arg);
	case KEEL_IOC_PART_CTL:
		if (no_control)
			return fail_with(EPERM);
		parts[ctl->handle].state = ctl->op == KEEL_CTL_DESTROY ? KEEL_PART_DESTROYED
								       : KEEL_PART_RUNNING;
		printf("ctl %u %u\n", ctl->handle, ctl->op);
		return 0;
	case KEEL_IOC_CONS_READ:
		return cons_read(arg);
	case KEEL_IOC_CONS_WRITE:
		return cons_write(arg);
	}
	return fail_with(ENOTTY);
}

int usage_error(void)	/* main.c's */
{
	return EXIT_USAGE;
}

/* ---- running a command ------------------------------------------------------------------------------------ */

static char output[16384];	/* what it printed, both streams */

static bool on_terminal;	/* its output is a terminal */

/* A terminal that passes every byte, or a pipe: out[0] is our end. */
static void output_open(int out[2])
{
	struct termios t;

	if (!on_terminal) {
		assert_int_equal(pipe(out), 0);
		return;
	}
	out[0] = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(out[0] >= 0 && !grantpt(out[0]) && !unlockpt(out[0]));
	out[1] = open(ptsname(out[0]), O_RDWR | O_NOCTTY);
	assert_true(out[1] >= 0 && !tcgetattr(out[1], &t));
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(out[1], TCSANOW, &t), 0);
}

/* Runs fn in a child with `input` on standard input. Returns its exit status. */
static int run(int (*fn)(int, char **), const char *input, const char *a, const char *b, const char *c,
	       const char *d)
{
	char *argv[] = { (char *)(uintptr_t)"cmd", (char *)(uintptr_t)a, (char *)(uintptr_t)b,
			 (char *)(uintptr_t)c, (char *)(uintptr_t)d, NULL };
	int in[2], out[2], status, argc = 0;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	while (argv[argc])
		argc++;
	assert_int_equal(pipe(in), 0);
	output_open(out);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(out[1], 2);
		close(in[1]);
		close(out[0]);
		device_open("/dev/null");
		optind = 0;
		status = fn(argc, argv);
		fflush(stdout);
		_exit(status);
	}
	close(in[0]);
	close(out[1]);
	assert_true(write(in[1], input, strlen(input)) == (ssize_t)strlen(input));
	close(in[1]);
	while ((n = read(out[0], output + len, sizeof(output) - 1 - len)) > 0)
		len += (size_t)n;
	output[len] = '\0';
	close(out[0]);
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int setup(void **state)
{
	(void)state;
	memset(parts, 0, sizeof(parts));
	strcpy(parts[0].name, "linux");
	parts[0].state = KEEL_PART_RUNNING;
	parts[0].ring = 1;
	parts[0].nvcpus = 1;
	parts[0].mem_bytes = (uint64_t)400 << 20;
	parts[0].cpu_ns = 1234567890;
	parts[0].shadow_pages = 2048;
	parts[0].shadow_used = 77;
	parts[1] = parts[0];
	strcpy(parts[1].name, "lua");
	parts[1].mem_bytes = 2 << 20;
	parts[2] = parts[1];
	strcpy(parts[2].name, "ada");
	parts[2].state = KEEL_PART_FAULTED;
	strcpy(parts[2].reason, "page fault in ring 1");
	parts[2].fault.vector = 14;
	parts[2].fault.error = 2;
	parts[2].fault.rip = 0x401234;
	parts[2].fault.cr2 = 0xdead0000;
	console_len = 0;
	no_control = false;
	on_terminal = false;
	machine_log = plain_log;
	return 0;
}

#define SHOWS(text) assert_non_null(strstr(output, text))
#define HIDES(text) assert_null(strstr(output, text))

static void ps_lists_partitions_and_why_they_ended(void **state)
{
	(void)state;
	parts[1].state = KEEL_PART_EXITED;
	parts[1].status = 3;
	assert_int_equal(run(cmd_ps, "", NULL, NULL, NULL, NULL), 0);
	SHOWS("linux            running     1    1    0    400M       1.235       77/2048");
	SHOWS("lua              exited ");
	SHOWS("  status 3\n");
	SHOWS("  page fault in ring 1\n");
	SHOWS("vector 14 error 0x2 rip 0x401234 rsp 0 cr2 0xdead0000\n");
	assert_int_equal(run(cmd_ps, "", "x", NULL, NULL, NULL), EXIT_USAGE);
}

static void ps_survives_names_and_reasons_without_an_end(void **state)
{
	(void)state;
	memset(parts[2].name, 'n', sizeof(parts[2].name));
	memset(parts[2].reason, 'r', sizeof(parts[2].reason));
	parts[2].state = 99;
	assert_int_equal(run(cmd_ps, "", NULL, NULL, NULL, NULL), 0);
	SHOWS("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn ?");
}

static void caps_lists_handles_with_rights(void **state)
{
	(void)state;
	assert_int_equal(run(cmd_caps, "", NULL, NULL, NULL, NULL), 0);
	SHOWS("     1 partition  info,control   lua\n");
	SHOWS("     3 channel    serve          lua  server up, client down, generation 5, window 1M\n");
	SHOWS("     6 log        info           log\n");
	HIDES("none ");
	/* Of another partition, whose channels are not for us to ask about. */
	assert_int_equal(run(cmd_caps, "", "lua", NULL, NULL, NULL), 0);
	SHOWS("     0 partition  info           lua\n     1 channel    use            lua\n     2 log        info           log\n");
	HIDES("linux");
	assert_int_equal(run(cmd_caps, "", "ada", NULL, NULL, NULL), EXIT_FAILED);
	SHOWS("keelctl: handles of ada: this Linux does not hold the right");
	assert_int_equal(run(cmd_caps, "", "lua", "ada", NULL, NULL), EXIT_USAGE);
}

static void stats_for_people_and_for_programs(void **state)
{
	static const char *const names[] = KEEL_STAT_NAMES;
	char line[64];
	unsigned int i;

	(void)state;
	assert_int_equal(run(cmd_stats, "", "lua", NULL, NULL, NULL), 0);
	SHOWS("total                  1000\n");
	HIDES("\nfill ");			/* zero: left out */
	assert_int_equal(run(cmd_stats, "", "-p", "lua", NULL, NULL), 0);
	for (i = 0; i < NELEM(names); i++) {
		snprintf(line, sizeof(line), "%s=%u\n", names[i], i == KEEL_STAT_FILL ? 0 : 1000 + i);
		SHOWS(line);
	}
	assert_int_equal(run(cmd_stats, "", "nobody", NULL, NULL, NULL), EXIT_FAILED);
	SHOWS("keelctl: nobody: no such partition");
	assert_int_equal(run(cmd_stats, "", NULL, NULL, NULL, NULL), EXIT_USAGE);
}

static void log_is_printed_to_its_end(void **state)
{
	(void)state;
	assert_int_equal(run(cmd_log, "", NULL, NULL, NULL, NULL), 0);
	assert_string_equal(output, machine_log);
}

static void stop_and_restart_name_the_partition(void **state)
{
	(void)state;
	assert_int_equal(run(cmd_stop, "", "lua", NULL, NULL, NULL), 0);
	SHOWS("ctl 1 0\n");
	assert_int_equal(run(cmd_restart, "", "lua", NULL, NULL, NULL), 0);
	SHOWS("ctl 1 1\n");
	no_control = true;
	assert_int_equal(run(cmd_stop, "", "lua", NULL, NULL, NULL), EXIT_FAILED);
	SHOWS("does not hold the right");
	assert_int_equal(run(cmd_stop, "", "other", NULL, NULL, NULL), EXIT_FAILED);	/* a channel */
}

static void console_sends_a_pipe_and_prints_the_answer(void **state)
{
	char big[4001];

	(void)state;
	assert_int_equal(run(cmd_console, "hello\nworld\n", "-t", "0.2", "lua", NULL), 0);
	assert_string_equal(output, "HELLO\nWORLD\n");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(run(cmd_console, big, "-t", "0.2", "lua", NULL), 0);
	assert_int_equal(strlen(output), 4000);
	assert_int_equal(strspn(output, "X"), 4000);
}

static void console_drops_old_output_unless_asked(void **state)
{
	(void)state;
	strcpy(console_out, "old\n");
	console_len = 4;
	assert_int_equal(run(cmd_console, "", "-t", "0.1", "lua", NULL), 0);
	assert_string_equal(output, "old\n");	/* nothing was sent: print what is there */
	assert_int_equal(run(cmd_console, "a\n", "-t", "0.1", "-a", "lua"), 0);
	assert_string_equal(output, "old\nA\n");
}

static void console_says_when_the_peer_ends(void **state)
{
	(void)state;
	assert_int_equal(run(cmd_console, "abcQ", "-t", "5", "lua", NULL), 0);
	SHOWS("ABCQ");
	SHOWS("lua has ended");
	assert_int_equal(run(cmd_console, "a", "-t", "x", "lua", NULL), EXIT_FAILED);
	assert_int_equal(run(cmd_console, "a", "linux", NULL, NULL, NULL), EXIT_FAILED);
	SHOWS("this Linux itself");
}

#define EVIL	"a\tb \x1b[2J\r\x07\x7f \xc2\x9b" "31m \x9b" "32m \xc3\xa4 \xe2\x82\xac \xff"
#define SEEN	"a\tb ^[[2J^M^G^? \\xc2\\x9b31m \\x9b32m \xc3\xa4 \xe2\x82\xac \\xff"

static void escape_sequences_are_visible_in_the_log(void **state)
{
	(void)state;
	machine_log = "[keel] " EVIL "\n[keel] cut \xe2\x82";	/* in pieces of ten bytes */
	assert_int_equal(run(cmd_log, "", NULL, NULL, NULL, NULL), 0);
	assert_string_equal(output, "[keel] " SEEN "\n[keel] cut \\xe2\\x82");
}

static void escape_sequences_are_visible_in_ps(void **state)
{
	(void)state;
	strcpy(parts[2].name, "\x1b[1mada");
	strcpy(parts[2].reason, EVIL);
	assert_int_equal(run(cmd_ps, "", NULL, NULL, NULL, NULL), 0);
	SHOWS("^[[1mada ");
	SHOWS("  " SEEN "\n");
	HIDES("\x1b");
}

/* On a terminal that shows a pipe's answer; a file gets the bytes as they are. */
static void escape_sequences_are_visible_where_nobody_attached(void **state)
{
	(void)state;
	on_terminal = true;
	assert_int_equal(run(cmd_console, "\x1b[2J\n", "-t", "0.1", "lua", NULL), 0);
	assert_string_equal(output, "^[[2J\n");
	on_terminal = false;
	assert_int_equal(run(cmd_console, "\x1b[2J\n", "-t", "0.1", "lua", NULL), 0);
	assert_string_equal(output, "\x1b[2J\n");
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ps_lists_partitions_and_why_they_ended),
		T(ps_survives_names_and_reasons_without_an_end),
		T(caps_lists_handles_with_rights),
		T(stats_for_people_and_for_programs),
		T(log_is_printed_to_its_end),
		T(stop_and_restart_name_the_partition),
		T(console_sends_a_pipe_and_prints_the_answer),
		T(console_drops_old_output_unless_asked),
		T(console_says_when_the_peer_ends),
		T(escape_sequences_are_visible_in_the_log),
		T(escape_sequences_are_visible_in_ps),
		T(escape_sequences_are_visible_where_nobody_attached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: MIT
/*
 * control.c - keelctl stop, kill, restart.
 *
 * A detached partition has a process that would start it again: that hears of it first. Others know only the metakernel.
 */
#include "commands.h"
#include "device.h"
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ASK_S		5	/* from the request to the end */
#define AFTER_MS	10000	/* until what it had is given back */
#define LOOK_MS		20

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void control(const char *command, const char *name, uint32_t op)
{
	struct keel_ioc_ctl ctl = { .handle = device_find(name), .op = op };
	int err = device_call(KEEL_IOC_PART_CTL, &ctl);

	if (err < 0)
		die_call(command, name, err);
}

/* Whether nobody looks after it any more; waits at most so long for that. */
static bool gone(const char *name, uint64_t ms)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
	const uint64_t end = now_ms() + ms;
	struct job_state state;
	bool is;

	for (;;) {
		is = job_look(name, false, &state) || !state.running;
		job_forget(&state);
		if (is || now_ms() >= end)
			return is;
		nanosleep(&pause, NULL);
	}
}

/* As ^C on its console: the runtime takes that for SIGINT. */
static void ask(const char *name)
{
	int h = device_find_try(name);
	char key = 3;
	struct keel_ioc_buf buf = { .handle = (uint32_t)h, .addr = (uintptr_t)&key, .len = 1 };

	if (h >= 0)
		device_call(KEEL_IOC_CONS_WRITE, &buf);
}

/* A detached one, until it is gone; it may be between two starts. */
static void end_job(const char *command, const char *name)
{
	struct keel_ioc_ctl ctl = { .op = KEEL_CTL_DESTROY };
	const uint64_t end = now_ms() + AFTER_MS;
	int h, err;

	do {
		h = device_find_try(name);
		ctl.handle = (uint32_t)h;
		err = h < 0 ? 0 : device_call(KEEL_IOC_PART_CTL, &ctl);
		if (err == -EPERM)
			die_call(command, name, err);
		if (gone(name, 10 * LOOK_MS))
			return;
	} while (now_ms() < end);
	die("%s %s: its process does not end", command, name);
}

static int stop(const char *command, const char *name, uint64_t ask_ms)
{
	if (job_signal(name, SIGNAL_STAY)) {
		control(command, name, KEEL_CTL_DESTROY);
		return 0;
	}
	if (ask_ms) {
		ask(name);
		if (gone(name, ask_ms))
			return 0;
	}
	end_job(command, name);
	return 0;
}

int cmd_stop(int argc, char **argv)
{
	double seconds = ASK_S;
	char *end;
	int opt;

	while ((opt = getopt(argc, argv, "t:")) != -1) {
		if (opt != 't')
			return usage_error();
		seconds = strtod(optarg, &end);
		if (*end || end == optarg || !(seconds >= 0 && seconds <= 86400))
			die("stop -t %s: expected seconds", optarg);
	}
	if (optind != argc - 1)
		return usage_error();
	return stop("stop", argv[optind], (uint64_t)(seconds * 1000));
}

int cmd_kill(int argc, char **argv)
{
	if (argc != 2)
		return usage_error();
	return stop("kill", argv[1], 0);
}

/* ---- restart --------------------------------------------------------------------------------------- */

/* The same command line once more, in the same place, under the same name. Returns only if there is none. */
static void run_again(const char *name)
{
	static char self[] = "/proc/self/exe", run[] = "run", option[] = "--name", device[] = "-d";
	struct job_state state;
	char **argv;
	int i, n = 0;

	if (job_look(name, false, &state) || !state.directory)
		return;
	argv = calloc((size_t)state.nwords + 8, sizeof(*argv));
	if (!argv || chdir(state.directory) < 0)
		die("restart %s: %s: %s", name, state.directory, strerror(errno));
	for (i = 0; i < state.nenv; i++)
		putenv(state.env[i]);
	argv[n++] = self;
	argv[n++] = device;
	argv[n++] = strdup(device_path);
	argv[n++] = run;
	argv[n++] = option;
	argv[n++] = strdup(name);
	for (i = 0; i < state.nwords; i++)
		argv[n++] = state.words[i];
	job_remove(name);
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
	execv(self, argv);
	die("restart %s: %s", name, strerror(errno));
}

/* Its process has been told: until it has done so. */
static int wait_restart(const char *name, unsigned int before)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
	const uint64_t end = now_ms() + AFTER_MS;
	struct job_state state;
	bool done, ended;

	do {
		nanosleep(&pause, NULL);
		ended = job_look(name, false, &state) || !state.running;
		done = state.restarts != before;
		job_forget(&state);
		if (ended)
			die("restart %s: it has ended (keelctl logs %s may say why)", name, name);
		if (done)
			return 0;
	} while (now_ms() < end);
	die("restart %s: it does not start", name);
}

int cmd_restart(int argc, char **argv)
{
	struct job_state state;
	unsigned int before;

	if (argc != 2)
		return usage_error();
	before = job_look(argv[1], false, &state) ? 0 : state.restarts;
	job_forget(&state);
	if (!job_signal(argv[1], SIGNAL_RESTART))
		return wait_restart(argv[1], before);
	run_again(argv[1]);
	control("restart", argv[1], KEEL_CTL_RESTART);
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * life.c - see run.h: the ends of a partition, and what comes after each.
 *
 * A detached partition is kept by the driver while it lives, so that the end of this process, however it comes, is not
 * its end: `adopt` goes on from NAME.job. It is not kept any more as soon as nobody could go on with it.
 */
#include "device.h"
#include "restart.h"
#include "run.h"
#include "worker.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct run *living;	/* for last_words() */
static bool adopting;		/* it is not ours to end yet: another one may have more luck */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void keep(const struct run *r, bool on)
{
	if (r->o.detach && ioctl(r->fd, KEEL_IOC_PART_KEEP, (unsigned long)on) < 0 && on)
		die("%s: keeping it: %s", r->name, strerror(errno));
}

/* It has ended, or nobody needs it. Linux has its memory again when this returns. */
static void give_back(struct run *r)
{
	keep(r, false);
	close(r->fd);
	r->fd = -1;
}

/* We cannot go on. Who waits for it hears why, and nothing is left that nobody looks after. */
static void last_words(const char *message)
{
	if (adopting)
		return;
	if (living->fd >= 0)
		give_back(living);
	if (living->job.told >= 0)
		job_give_up(&living->job);
	else
		job_ended(&living->job, EXIT_RUN, message);
}

static void serve(struct supervised *s)
{
	struct run *r = s->of;
	struct worker w = { .name = r->name, .device = device_path, .chan = r->made.chan, .policy = &r->policy };
	char log[PATH_MAX];

	job_path(log, r->name, ".server");
	w.log = r->o.detach ? log : "/dev/null";	/* nobody would remove it, if we were killed */
	if (r->o.detach)
		job_streams(&r->job, s);
	s->worker = worker_start(&w);
	if (r->o.detach)
		job_streams_taken(&r->job);
}

static void begin(struct run *r, struct supervised *s, bool goes_on)
{
	struct keel_part_start regs;

	s->handle = r->made.handle;
	s->fd = r->fd;
	if (!goes_on)
		run_lay_out(r, &regs);
	serve(s);
	if (!goes_on) {
		run_boot(r, &regs);
		r->job.started = time(NULL);
	}
	if (r->o.detach)
		job_started(&r->job);
	keep(r, true);
	adopting = false;
}

/* After an end: whether there is another start. Waits for its time. */
static bool again(const struct run *r, const struct supervised *s, struct restart *restart, int *status, uint64_t lived_ms)
{
	int delay = s->again ? 0 : s->stopped ? -1 : restart_next(&r->o.restart, restart, *status, lived_ms), sig;

	if (delay < 0)
		return false;
	if (!s->again && s->said[0])
		supervise_say(s, "%s; it starts again in %d ms", s->said, delay);
	else if (!s->again)
		supervise_say(s, "status %d; it starts again in %d ms", *status, delay);
	if (supervise_pause(r->signals, delay, &sig))
		return true;
	if (sig)
		*status = 128 + sig;
	return false;
}

int run_life(struct run *r, bool goes_on)
{
	struct supervised s = { .name = r->name, .output = -1, .attached = !r->o.detach, .serve = serve, .of = r,
				.watchdog = r->o.watchdog };
	struct restart restart = { 0 };
	uint64_t began;
	int status;

	living = r;
	adopting = goes_on;
	if (r->o.detach) {
		die_also = last_words;
		r->job.remove = r->o.remove;
		r->job.input = r->o.interactive;
		job_log(&r->job, goes_on);
	}
	for (;; goes_on = false) {
		began = now_ms();
		begin(r, &s, goes_on);
		status = supervise(&s, r->signals);
		give_back(r);
		if (!again(r, &s, &restart, &status, now_ms() - began))
			break;
		run_create_again(r);
		r->job.restarts++;
	}
	if (r->o.detach)
		job_ended(&r->job, status, s.said);
	else if (s.said[0])
		supervise_say(&s, "%s", s.said);
	return status;
}

// SPDX-License-Identifier: MIT
/*
 * clock.c - time from the TSC, at the rate and wall-clock origin the metakernel gives.
 *
 * The processor-time clocks (os.clock in Lua) count from the start of the partition and go on while
 * it waits or another partition runs: there is no cheaper exact answer here.
 */
#include <errno.h>
#include <time.h>
#include <rt/machine.h>
#include <rt/rt.h>

#define NS_PER_S	1000000000ULL
#define NS_PER_MS	1000000ULL
#define MAX_WAIT_NS	(10ULL * 365 * 86400 * NS_PER_S)	/* keeps the products below 2^64 */

static uint64_t start_tsc, tsc_khz;

static uint64_t tsc_to_ns(uint64_t tsc)
{
	return tsc / tsc_khz * NS_PER_MS + tsc % tsc_khz * NS_PER_MS / tsc_khz;
}

void clock_init(uint64_t entry_tsc)
{
	start_tsc = entry_tsc;
	tsc_khz = rt_info->tsc_khz ? rt_info->tsc_khz : 1000000;
}

uint64_t clock_deadline(uint64_t ns)
{
	if (ns > MAX_WAIT_NS)
		ns = MAX_WAIT_NS;
	return rdtsc() + ns / NS_PER_MS * tsc_khz + ns % NS_PER_MS * tsc_khz / NS_PER_MS;
}

static int clock_ns(int id, uint64_t *ns)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		*ns = vp_load(offsetof(struct keel_vcpu_page, wall_ns)) +
		      tsc_to_ns(rdtsc() - vp_load(offsetof(struct keel_vcpu_page, wall_tsc)));
		return 0;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		*ns = tsc_to_ns(rdtsc() - start_tsc);
		return 0;
	}
	return -EINVAL;
}

int clock_gettime_rt(int id, struct timespec *ts)
{
	uint64_t ns;
	int err = clock_ns(id, &ns);

	if (err)
		return err;
	ts->tv_sec = (time_t)(ns / NS_PER_S);
	ts->tv_nsec = (long)(ns % NS_PER_S);
	return 0;
}

int clock_nanosleep_rt(int id, int flags, const struct timespec *req)
{
	uint64_t ns, now = 0, deadline;
	int err;

	if (req->tv_sec < 0 || req->tv_nsec < 0 || (uint64_t)req->tv_nsec >= NS_PER_S)
		return -EINVAL;
	if (flags & TIMER_ABSTIME) {
		err = clock_ns(id, &now);
		if (err)
			return err;
	}
	ns = (uint64_t)req->tv_sec > MAX_WAIT_NS / NS_PER_S
		? MAX_WAIT_NS : (uint64_t)req->tv_sec * NS_PER_S + (uint64_t)req->tv_nsec;
	if (ns <= now)
		return 0;
	deadline = clock_deadline(ns - now);
	event_wait(0, deadline);
	return 0;
}

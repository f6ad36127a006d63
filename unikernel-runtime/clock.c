// SPDX-License-Identifier: MIT
/*
 * clock.c - three clocks.
 *
 *	monotonic	the TSC, from the entry of the partition on: never set, never jumps
 *	wall		what Linux says (session_wall: the window's header, at most a second old while
 *			somebody asks), carried on with the TSC; before there is a Linux, and without one,
 *			what the metakernel read from the CMOS clock at boot
 *	processor	the time this partition has run, as the metakernel counts it
 */
#include <errno.h>
#include <sys/time.h>
#include <time.h>
#include <rt/calls.h>
#include <rt/machine.h>
#include <rt/rt.h>

#define NS_PER_S	1000000000ULL
#define NS_PER_MS	1000000ULL
#define NS_PER_US	1000ULL
#define MAX_WAIT_NS	(10ULL * 365 * 86400 * NS_PER_S)	/* keeps the products below 2^64 */

static uint64_t start_tsc, tsc_khz, start_cpu_ns;

/* A hypercall may only write inside one page. */
static struct keel_part_info self __attribute__((aligned(256)));

static uint64_t tsc_to_ns(uint64_t tsc)
{
	return tsc / tsc_khz * NS_PER_MS + tsc % tsc_khz * NS_PER_MS / tsc_khz;
}

/* Handle 0 is the partition itself. False: it may not know (then elapsed time must do). */
static bool cpu_ns(uint64_t *ns)
{
	if (hc2(KEEL_HC_PART_INFO, 0, va_to_pa(&self)) < 0)
		return false;
	*ns = self.cpu_ns - start_cpu_ns;
	return true;
}

void clock_init(uint64_t entry_tsc)
{
	start_tsc = entry_tsc;
	tsc_khz = rt_info->tsc_khz ? rt_info->tsc_khz : 1000000;
	/* The count goes on when a partition is restarted. */
	if (!cpu_ns(&start_cpu_ns))
		start_cpu_ns = 0;
}

uint64_t clock_deadline(uint64_t ns)
{
	if (ns > MAX_WAIT_NS)
		ns = MAX_WAIT_NS;
	return rdtsc() + ns / NS_PER_MS * tsc_khz + ns % NS_PER_MS * tsc_khz / NS_PER_MS;
}

static uint64_t monotonic_ns(void)
{
	return tsc_to_ns(rdtsc() - start_tsc);
}

static uint64_t wall_ns(void)
{
	uint64_t ns, tsc, now;

	if (!session_wall(&ns, &tsc)) {
		ns = vp_load(offsetof(struct keel_vcpu_page, wall_ns));
		tsc = vp_load(offsetof(struct keel_vcpu_page, wall_tsc));
	}
	now = rdtsc();
	return now >= tsc ? ns + tsc_to_ns(now - tsc) : ns - tsc_to_ns(tsc - now);
}

static int clock_ns(int id, uint64_t *ns)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		*ns = wall_ns();
		return 0;
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		if (cpu_ns(ns))
			return 0;
		/* fallthrough */
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
		*ns = monotonic_ns();
		return 0;
	}
	return -EINVAL;
}

long sys_clock_gettime(const long *a)
{
	struct timespec *ts = (struct timespec *)a[1];
	uint64_t ns;
	int err = clock_ns((int)a[0], &ns);

	if (err)
		return err;
	ts->tv_sec = (time_t)(ns / NS_PER_S);
	ts->tv_nsec = (long)(ns % NS_PER_S);
	return 0;
}

long sys_clock_getres(const long *a)
{
	struct timespec *ts = (struct timespec *)a[1];
	uint64_t ns;
	int err = clock_ns((int)a[0], &ns);

	if (!err && ts)
		*ts = (struct timespec){ .tv_nsec = 1 };
	return err;
}

long sys_gettimeofday(const long *a)
{
	struct timeval *tv = (struct timeval *)a[0];
	uint64_t ns = wall_ns();

	if (tv) {
		tv->tv_sec = (time_t)(ns / NS_PER_S);
		tv->tv_usec = (suseconds_t)(ns % NS_PER_S / NS_PER_US);
	}
	return 0;
}

long clock_sleep(int id, int flags, const struct timespec *req)
{
	uint64_t ns, now = 0, deadline;
	int err, woken;

	if (req->tv_sec < 0 || req->tv_nsec < 0 || (uint64_t)req->tv_nsec >= NS_PER_S)
		return -EINVAL;
	err = flags & TIMER_ABSTIME ? clock_ns(id, &now) : 0;
	if (err)
		return err;
	ns = (uint64_t)req->tv_sec >= UINT64_MAX / NS_PER_S
		? UINT64_MAX : (uint64_t)req->tv_sec * NS_PER_S + (uint64_t)req->tv_nsec;
	if (ns <= now)
		return 0;
	deadline = clock_deadline(ns - now);
	while ((woken = signal_wait(0, deadline)) > 0)
		;
	remote_forget();	/* whoever sleeps may look again at what others change meanwhile */
	return woken;
}

/* The time that was left, for who asks: the deadline itself is not kept over the call. */
static long sleep_call(int id, int flags, const struct timespec *req, struct timespec *left)
{
	uint64_t before = monotonic_ns(), gone, want;
	long err = clock_sleep(id, flags, req);

	if (err != -EINTR || !left || flags & TIMER_ABSTIME)
		return err;
	gone = monotonic_ns() - before;
	want = (uint64_t)req->tv_sec * NS_PER_S + (uint64_t)req->tv_nsec;
	want = want > gone ? want - gone : 0;
	*left = (struct timespec){ (time_t)(want / NS_PER_S), (long)(want % NS_PER_S) };
	return err;
}

long sys_nanosleep(const long *a)
{
	return sleep_call(CLOCK_MONOTONIC, 0, (const struct timespec *)a[0], (struct timespec *)a[1]);
}

long sys_clock_nanosleep(const long *a)
{
	return sleep_call((int)a[0], (int)a[1], (const struct timespec *)a[2], (struct timespec *)a[3]);
}

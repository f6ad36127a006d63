// SPDX-License-Identifier: MIT
/*
 * session.c - find the channel, map its window, keep a session of driver calls on it.
 *
 * The rings and the allocator are keel/drivercall_client.h; this file adds what a partition needs
 * around them: capability scan, page tables, waiting. One request (or two at once) is in flight at
 * a time, because the runtime has one thread.
 *
 * Generations: any change at the other side (keeld ends, Linux restarts it) moves the number in
 * CHAN_INFO and rings. The session is then over: calls in flight return -EIO, files opened in it
 * give -EIO, and the next session_open() asks for a new one.
 * Trusts: nothing in the window. A completion that does not match a request ends the session.
 */
#include <errno.h>
#include <rt/machine.h>
#include <rt/rt.h>
#include <rt/session.h>

#define NS_PER_S	1000000000ULL
#define SERVER_WAIT_NS	(120 * NS_PER_S)	/* Linux boots meanwhile; under emulation slowly */
#define ATTACH_WAIT_NS	(10 * NS_PER_S)		/* for a server that says it is up */

#define NO_CHANNEL	(-1)
#define NOT_LOOKED	(-2)

struct keel_dc_client session;
static bool is_open;
static int chan = NOT_LOOKED;		/* handle */
static uint64_t mapped_pa, mapped_bytes;
static uint64_t next_tag = 1;		/* user_data: one per request, never reused */

/* A hypercall may only write inside one page. */
static union {
	struct keel_cap_info cap;
	struct keel_chan_info chan;
} answer __attribute__((aligned(128)));
static_assert(sizeof(answer) <= 128, "answer lies in one page");

static uint64_t chan_event(void)
{
	return 1ULL << chan;
}

static void kick(void)
{
	hc1(KEEL_HC_CHAN_KICK, (uint64_t)chan);
}

/* First channel we may use as a client. */
static bool find_channel(void)
{
	if (chan != NOT_LOOKED)
		return chan != NO_CHANNEL;
	for (int h = 0; h < KEEL_MAX_HANDLES; h++) {
		if (hc2(KEEL_HC_CAP_INFO, (uint64_t)h, va_to_pa(&answer.cap)) < 0)
			continue;
		if (answer.cap.type == KEEL_CAP_CHANNEL && answer.cap.rights & KEEL_RIGHT_USE) {
			chan = h;
			return true;
		}
	}
	chan = NO_CHANNEL;
	return false;
}

static bool chan_info(void)
{
	return hc2(KEEL_HC_CHAN_INFO, (uint64_t)chan, va_to_pa(&answer.chan)) >= 0;
}

/* Say that we are up, once the server has given a window: not possible before. */
static bool chan_up(void)
{
	if (answer.chan.state & KEEL_CHAN_CLIENT_UP)
		return true;
	return hc2(KEEL_HC_CHAN_STATE, (uint64_t)chan, 1) >= 0 && chan_info();
}

/* The server is up and the session's number is still the channel's. */
static bool still_there(void)
{
	return chan_info() && answer.chan.state & KEEL_CHAN_SERVER_UP &&
	       answer.chan.generation == session.generation;
}

static int map_window(void)
{
	uint64_t pa = answer.chan.window_pa, bytes = answer.chan.window_bytes;
	int err;

	if (pa == mapped_pa && bytes == mapped_bytes)
		return 0;
	if (bytes < KEEL_DC_MIN_WINDOW || (pa | bytes) & (PAGE_BYTES - 1))
		return -EPROTO;
	mapped_bytes = 0;
	err = paging_map(paging_window_va(), pa, bytes / PAGE_BYTES);
	if (err)
		return err;
	mapped_pa = pa;
	mapped_bytes = bytes;
	return 0;
}

/* Ask for the session of the generation in `answer`. -EAGAIN: it moved on, look again. */
static int attach(void)
{
	uint64_t deadline = clock_deadline(ATTACH_WAIT_NS);
	int err = map_window();

	if (err)
		return err;
	keel_dc_attach(&session, (void *)paging_window_va(), mapped_bytes, answer.chan.generation);
	kick();
	while ((err = keel_dc_attached(&session)) == -KEEL_EAGAIN) {
		if (!event_wait(chan_event(), deadline))
			return -ETIMEDOUT;
		if (!still_there())
			return -EAGAIN;
	}
	return err ? -EPROTO : 0;
}

int session_open(void)
{
	const uint32_t ready = KEEL_CHAN_SERVER_UP | KEEL_CHAN_WINDOW;
	uint64_t deadline;
	int err;

	if (is_open && still_there() && !keel_dc_stale(&session))
		return 0;
	is_open = false;
	if (!find_channel())
		return -ENXIO;

	deadline = clock_deadline(SERVER_WAIT_NS);
	for (;;) {
		event_take(chan_event());
		if (!chan_info())
			return -EIO;
		if ((answer.chan.state & ready) == ready) {
			err = chan_up() ? attach() : -EIO;
			if (err != -EAGAIN) {
				is_open = !err;
				return err;
			}
		} else if (!event_wait(chan_event(), deadline)) {
			return -ETIMEDOUT;
		}
	}
}

bool session_is(uint32_t generation)
{
	return is_open && session.generation == generation && !keel_dc_stale(&session);
}

static int lost(void)
{
	is_open = false;
	return -EIO;
}

int session_call(struct keel_sqe *sqe, int32_t *res, unsigned n)
{
	uint64_t first = next_tag;
	unsigned done = 0;	/* bit i: answer i is there */

	next_tag += n;
	for (unsigned i = 0; i < n; i++) {
		sqe[i].user_data = first + i;
		if (keel_dc_submit(&session, &sqe[i]))
			return lost();
	}
	if (keel_dc_need_kick(&session))
		kick();

	while (done != (1U << n) - 1) {
		struct keel_cqe cqe;
		int got;

		event_take(chan_event());	/* before the look: a later bell ends the wait */
		got = keel_dc_poll(&session, &cqe);
		if (got < 0)
			return lost();
		if (got == 0) {
			if (!keel_dc_may_sleep(&session))
				continue;
			event_wait(chan_event(), RT_FOREVER);
			/* A bell without an answer: has the other side gone? */
			if (keel_ring_avail(&session.cq) == 0 && !still_there())
				return lost();
			continue;
		}
		if (cqe.user_data - first >= n || done & 1U << (cqe.user_data - first))
			return lost();
		res[cqe.user_data - first] = cqe.res;
		done |= 1U << (cqe.user_data - first);
	}
	return 0;
}

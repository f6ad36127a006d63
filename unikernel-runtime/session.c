// SPDX-License-Identifier: MIT
/*
 * session.c - find the channel, map its window, keep a session of driver calls on it.
 *
 * The rings and the allocator are keel/drivercall_client.h; this file adds what a partition needs
 * around them: capability scan, page tables, waiting. One request is waited for at a time, because the
 * runtime has one thread; beside it some may be on their way whose answers nobody needs ("posted"), and one for each
 * standard stream ("started"), which a handler of a signal may find there.
 *
 * Generations: any change at the other side (keeld ends, Linux restarts it) moves the number in
 * CHAN_INFO and rings. The session is then over: calls in flight return -EIO, files opened in it
 * give -EIO, and the next session_open() asks for a new one. CHAN_INFO is an entry into the
 * metakernel, so it is asked only when a bell came that brought no answer, and every RECHECK_NS.
 * Trusts: nothing in the window. A completion that does not match a request ends the session.
 */
#include <errno.h>
#include <string.h>
#include <rt/machine.h>
#include <rt/rt.h>
#include <rt/session.h>

#define NS_PER_S	1000000000ULL
#define SERVER_WAIT_NS	(120 * NS_PER_S)	/* Linux boots meanwhile; under emulation slowly */
#define ATTACH_WAIT_NS	(10 * NS_PER_S)		/* for a server that says it is up */
#define RECHECK_NS	(10 * NS_PER_S)		/* the bell of a death may fall together with another */
#define CLOCK_WAIT_NS	(NS_PER_S / 10)		/* who asks the time does not wait for long */

#define NO_CHANNEL	(-1)
#define NOT_LOOKED	(-2)

#define RUN_TIME_CHAN	1			/* handle, in a partition made at run time */

#define POSTED		(1ULL << 63)		/* in user_data */
#define MAX_POSTED	8

struct keel_dc_client session;
static bool is_open;
static bool given_up;			/* waited once, and nobody came */
static int chan = NOT_LOOKED;		/* handle */
static uint64_t mapped_pa, mapped_bytes;
static uint64_t next_tag = 1;		/* user_data: one per request, never reused */
static unsigned posted;			/* of them unanswered */
static struct {
	uint64_t tag;			/* 0: nothing is on its way */
	bool answered;
	int32_t res;
} started[RT_STREAMS];
static unsigned int nstarted;		/* that have a tag: most calls look no further */

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

/* First channel we may use as a client, and whose bell is in vcpu_page.events (event.c knows no others). */
static bool find_channel(void)
{
	if (chan != NOT_LOOKED)
		return chan != NO_CHANNEL;
	for (int h = 0; h < KEEL_EV_DIRECT; h++) {
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
static int attach(uint64_t wait_ns)
{
	uint64_t deadline = clock_deadline(wait_ns);
	int err = map_window();

	if (err)
		return err;
	posted = 0;
	memset(started, 0, sizeof(started));
	nstarted = 0;
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

/* Whether the session is open, as far as one can tell without a bell. */
static bool alive(void)
{
	if (is_open && (keel_dc_stale(&session) || (event_take(chan_event()) && !still_there())))
		is_open = false;
	return is_open;
}

/* Wait for a server at most until the deadline, and for its answer for attach_ns. */
static int find_server(uint64_t deadline, uint64_t attach_ns)
{
	const uint32_t ready = KEEL_CHAN_SERVER_UP | KEEL_CHAN_WINDOW;
	int err;

	for (;;) {
		event_take(chan_event());
		if (!chan_info())
			return -EIO;
		if ((answer.chan.state & ready) == ready) {
			err = chan_up() ? attach(attach_ns) : -EIO;
			if (err != -EAGAIN) {
				is_open = !err;
				return err;
			}
		} else if (!event_wait(chan_event(), deadline)) {
			return -ETIMEDOUT;
		}
	}
}

int session_open(void)
{
	int err;

	if (alive())
		return 0;
	if (!find_channel())
		return -ENXIO;
	err = find_server(clock_deadline(given_up ? 0 : SERVER_WAIT_NS), ATTACH_WAIT_NS);
	given_up = err == -ETIMEDOUT;
	return err;
}

bool session_at_once(void)
{
	if (alive())
		return true;
	/* One look, so that who has no such channel does not pay for the search. */
	if (chan == NOT_LOOKED && (hc2(KEEL_HC_CHAN_INFO, RUN_TIME_CHAN, va_to_pa(&answer.chan)) < 0 ||
				   !(answer.chan.state & KEEL_CHAN_SERVER_UP)))
		return false;
	return find_channel() && !find_server(clock_deadline(0), ATTACH_WAIT_NS);
}

bool session_is(uint32_t generation)
{
	return is_open && session.generation == generation && !keel_dc_stale(&session);
}

/* ---- requests ------------------------------------------------------------------------------------ */

static int lost(void)
{
	is_open = false;
	return -EIO;
}

static int submit(struct keel_sqe *sqe, uint64_t tag)
{
	sqe->user_data = tag;
	if (keel_dc_submit(&session, sqe))
		return lost();
	if (keel_dc_need_kick(&session))
		kick();
	return 0;
}

/* Keep the answer to something started; false: it is to nothing that is. */
static bool keep(const struct keel_cqe *cqe)
{
	for (unsigned n = 0; nstarted && n < RT_STREAMS; n++) {
		if (!started[n].tag || started[n].tag != cqe->user_data || started[n].answered)
			continue;
		started[n].answered = true;
		started[n].res = cqe->res;
		return true;
	}
	return false;
}

/* Take one answer: 1, and *cqe is it; 0: to something posted or started, or there is none; or -EIO. */
static int take(struct keel_cqe *cqe, bool *any)
{
	int got = keel_dc_poll(&session, cqe);

	*any = got > 0;
	if (got < 0)
		return lost();
	if (!got || keep(cqe))
		return 0;
	if (!(cqe->user_data & POSTED))
		return 1;
	if (!posted)
		return lost();
	posted--;
	return 0;
}

/*
 * Take the answers there are, up to the one to `tag`: 1. 0: none is left, and the next one rings; or -EIO. `bell`: it
 * has rung, so that something must have happened.
 */
static inline __attribute__((always_inline)) int look(uint64_t tag, struct keel_cqe *cqe, bool bell)
{
	for (;;) {
		bool any;
		int got;

		bell |= event_take(chan_event());	/* before the look: a later bell ends the wait */
		got = take(cqe, &any);
		if (got < 0 || (got > 0 && cqe->user_data != tag))
			return lost();
		if (got > 0)
			return 1;
		if (any) {
			bell = false;
			continue;
		}
		/* A bell without an answer: has the other side gone? */
		if (bell && !still_there())
			return lost();
		bell = false;
		if (keel_dc_may_sleep(&session))
			return 0;
	}
}

/*
 * Wait for the answer to `tag`, or with tag 0 until nothing posted is left. 0, -EIO, or -ETIMEDOUT
 * after the deadline (RT_FOREVER: none).
 */
static int wait_answer(uint64_t tag, struct keel_cqe *cqe, uint64_t deadline)
{
	bool bell = false;
	int got;

	if (!(tag | posted))
		return 0;
	while (!(got = look(tag, cqe, bell))) {
		if (!(tag | posted))
			return 0;
		bell = event_wait(chan_event(), deadline ? deadline : clock_deadline(RECHECK_NS));
		if (!bell && deadline)
			return -ETIMEDOUT;
		bell = true;
	}
	return got < 0 ? got : 0;
}

int session_ask(struct keel_sqe *sqe, struct keel_cqe *cqe)
{
	uint64_t tag = next_tag++;
	int err = submit(sqe, tag);

	return err ? err : wait_answer(tag, cqe, RT_FOREVER);
}

int session_start(unsigned n, struct keel_sqe *sqe)
{
	uint64_t tag = next_tag++;
	int err = submit(sqe, tag);

	started[n].answered = false;
	started[n].tag = err ? 0 : tag;
	nstarted += !err;
	return err;
}

int session_wait(unsigned n)
{
	const uint32_t generation = session.generation;
	const uint64_t tag = started[n].tag;
	struct keel_cqe cqe;
	bool bell = false;

	while (session_is(generation) && started[n].tag == tag && !started[n].answered) {
		int woken;

		if (look(0, &cqe, bell) || started[n].answered)
			break;
		woken = signal_wait(chan_event(), clock_deadline(RECHECK_NS));
		if (woken < 0)
			return woken;
		bell = !woken;
	}
	return 0;
}

uint64_t session_look(void)
{
	struct keel_cqe cqe;

	if (is_open)
		look(0, &cqe, true);
	return is_open ? chan_event() : 0;
}

bool session_answer(unsigned n, int32_t *res)
{
	if (!started[n].answered)
		return false;
	*res = started[n].res;
	started[n].tag = 0;
	nstarted--;
	started[n].answered = false;
	return true;
}

void session_post(struct keel_sqe *sqe)
{
	if (posted >= MAX_POSTED && !session_settle())
		return;
	if (is_open && !submit(sqe, next_tag++ | POSTED))
		posted++;
}

bool session_settle(void)
{
	struct keel_cqe cqe;

	if (!is_open || !posted)
		return false;
	wait_answer(0, &cqe, RT_FOREVER);
	return is_open;
}

/* ---- the time ------------------------------------------------------------------------------------- */

/* Have the server tell the time: a NOP makes it do so. It has that long to come, and to answer. */
static void ask_time(void)
{
	struct keel_sqe nop = keel_dc_sqe(KEEL_OP_NOP, 0, 0);
	struct keel_cqe cqe;

	if (!alive() && (!find_channel() || find_server(clock_deadline(0), CLOCK_WAIT_NS)))
		return;
	if (posted < MAX_POSTED)	/* else it answers nothing at the moment */
		session_post(&nop);
	if (is_open)
		wait_answer(0, &cqe, clock_deadline(CLOCK_WAIT_NS));
}

bool session_wall(uint64_t *ns, uint64_t *tsc)
{
	static uint64_t known_ns, known_tsc, asked;
	const struct keel_dc_header *h = (void *)paging_window_va();
	uint64_t second = clock_deadline(NS_PER_S) - rdtsc(), now = rdtsc();

	if (mapped_bytes && keel_dc_clock(h, ns, tsc)) {
		known_ns = *ns;
		known_tsc = *tsc;
	}
	if (now - known_tsc >= second && now - asked >= second) {
		asked = now;
		ask_time();
		if (mapped_bytes && keel_dc_clock(h, ns, tsc)) {
			known_ns = *ns;
			known_tsc = *tsc;
		}
	}
	*ns = known_ns;
	*tsc = known_tsc;
	return known_tsc != 0;
}

// SPDX-License-Identifier: MIT
/*
 * pair.c - a doorbell between two partitions, and messages that need none.
 *
 * The sleeper has the higher priority, serves the channel and waits for its event. The ringer reads
 * the TSC into the window, rings, and is preempted; the sleeper reads the TSC with its first
 * instruction after the hypercall. For a round trip the ringer sleeps, too, until it is answered.
 *
 * On two CPUs (pair2.dts) nobody is preempted, and the ringer has costs of its own: until its hypercall returns. With
 * -icount the CPUs count on one clock, on which QEMU runs one at a time, so that ticks are of both; who says PAUSE
 * hands over, as a CPU does that has nothing to do.
 */
#include <keel/msg.h>
#include <keel/stream.h>
#include "peer.h"

#define ROUNDS		64
#define TIME_UP_MS	10000	/* of the whole run: a doorbell that never comes ends it */
#define TIME_UP		(1UL << KEEL_EV_TIMER)
#define POLL_MS		200
#define MESSAGES	64u
#define STREAM		0x10000u
#define WINDOW_VA	0x20000000000UL

struct window {
	volatile uint64_t rung, woke;		/* TSC */
	volatile uint64_t answered;		/* rounds */
	volatile uint64_t cpu;			/* the sleeper's */
	volatile uint64_t polls, asked, told;	/* is the sleeper to poll; numbers */
};

static union {
	struct keel_cap_info cap;
	struct keel_chan_info chan;
} answer __attribute__((aligned(128)));	/* in one page */

static uint64_t find_channel(void)
{
	for (uint64_t h = 0; h < KEEL_MAX_HANDLES; h++)
		if (hcall(KEEL_HC_CAP_INFO, h, pa_of(&answer), 0) == 0 && answer.cap.type == KEEL_CAP_CHANNEL)
			return h;
	stop("no channel");
}

/* Until the other side has rung. -> TSC right after the wait. */
static inline __attribute__((always_inline)) uint64_t wait_for(uint64_t chan)
{
	uint64_t woke = rdtsc(), mask = 1UL << chan | TIME_UP, events;

	while (events = take_events() & mask, !events) {
		hcall(KEEL_HC_BLOCK, 0, 0, 0);
		woke = rdtsc();
	}
	if (events & TIME_UP)
		stop("no doorbell");
	return woke;
}

static uint64_t own_cpu(void)
{
	uint32_t a = 1, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return b >> 24;
}

void be_sleeper(void)
{
	uint64_t chan = find_channel();
	struct window *w = pages(1);

	if (hcall(KEEL_HC_CHAN_OFFER, chan, pa_of(w), 1) || hcall(KEEL_HC_CHAN_STATE, chan, 1, 0) < 0)
		stop("no window");
	w->cpu = own_cpu();
	for (;;) {
		w->woke = wait_for(chan);
		w->answered++;
		while (w->polls) {
			w->told = w->asked;
			__asm__ volatile("pause");
		}
		hcall(KEEL_HC_CHAN_KICK, chan, 0, 0);
	}
}

static struct window *map_window(uint64_t chan)
{
	while (hcall(KEEL_HC_CHAN_INFO, chan, pa_of(&answer), 0) == 0 && !(answer.chan.state & KEEL_CHAN_WINDOW)) {
		if (vcpu_page->events & TIME_UP)
			stop("no window");
		hcall(KEEL_HC_BLOCK, 0, 0, 0);
	}
	*leaf(WINDOW_VA) = answer.chan.window_pa | PTE_P | PTE_W | PTE_A | PTE_D;
	return (struct window *)WINDOW_VA;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Ring, and sleep until there is an answer. -> least ticks to the sleeper's first instruction, and to the answer */
static void round_trips(uint64_t chan, const struct window *w, uint64_t *wake, uint64_t *trip)
{
	uint64_t ticks = overhead();

	*wake = *trip = UINT64_MAX;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t seen = w->answered, rung, back;

		take_events();
		rung = rdtsc();
		hcall(KEEL_HC_CHAN_KICK, chan, 0, 0);
		back = wait_for(chan);
		if (w->answered == seen)
			stop("no answer");
		*wake = least(*wake, w->woke - rung - ticks);
		*trip = least(*trip, back - rung - ticks);
	}
}

static void measure_here(uint64_t chan, const struct window *w)
{
	uint64_t wake, trip;

	if (w->cpu != own_cpu())
		stop("not on one CPU");
	round_trips(chan, w, &wake, &trip);
	result("kick_wake", wake);
	result("kick_roundtrip", trip);
}

/* Ring, and wait on the own CPU. -> as above; own: to the ringer's next instruction */
static void wake_other(uint64_t chan, const struct window *w, uint64_t *wake, uint64_t *own)
{
	uint64_t ticks = overhead();

	*wake = *own = UINT64_MAX;
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t seen = w->answered, rung = rdtsc(), returned;

		hcall(KEEL_HC_CHAN_KICK, chan, 0, 0);
		returned = rdtsc();
		while (w->answered == seen && rdtsc() - rung < info->tsc_khz * POLL_MS)
			__asm__ volatile("pause");
		if (w->answered != seen + 1)
			stop("no answer");
		*wake = least(*wake, w->woke - rung - ticks);
		*own = least(*own, returned - rung - ticks);
	}
}

/* Both poll: no entry. -> least ticks there and back */
static uint64_t polled_trip(uint64_t chan, struct window *w)
{
	uint64_t ticks = overhead(), trip = UINT64_MAX;

	w->polls = 1;
	hcall(KEEL_HC_CHAN_KICK, chan, 0, 0);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		uint64_t began = rdtsc();

		w->asked = i;
		while (w->told != i && rdtsc() - began < info->tsc_khz * POLL_MS)
			__asm__ volatile("pause");
		if (w->told != i)
			stop("no answer");
		trip = least(trip, rdtsc() - began - ticks);
	}
	w->polls = 0;
	return trip;
}

static void measure_cross(uint64_t chan, struct window *w)
{
	uint64_t wake, own, trip, unused;

	if (w->cpu == own_cpu())
		stop("both on one CPU");
	wake_other(chan, w, &wake, &own);
	round_trips(chan, w, &unused, &trip);
	result("kick_wake_cross", wake);
	result("kick_wake_cross_ringer", own);
	result("kick_roundtrip_cross", trip);
	result("polled_roundtrip_cross", polled_trip(chan, w));
}

void be_ringer(bool cross)
{
	uint64_t chan = find_channel();
	struct window *w;

	known_loop();
	hcall(KEEL_HC_TIMER, rdtsc() + info->tsc_khz * TIME_UP_MS, 0, 0);
	w = map_window(chan);
	if (hcall(KEEL_HC_CHAN_STATE, chan, 1, 0) < 0)
		stop("not up");
	if (cross)
		measure_cross(chan, w);
	else
		measure_here(chan, w);
	say("BENCH-END\n");
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_POWEROFF, 0, 0);
	stop("still here");
}

/* ---- Messages ------------------------------------------------------------------------------------- */

struct message {
	uint64_t word[8];
};

static void send(struct keel_ring *r, struct message *slots, const struct message *m)
{
	if (keel_ring_room(r, 1) <= 0)
		stop("ring is full");
	slots[keel_ring_slot(r, r->own)] = *m;
	keel_ring_publish(r, 1);
}

static void receive(struct keel_ring *r, const struct message *slots, struct message *m)
{
	if (keel_ring_any(r) <= 0)
		stop("ring is empty");
	*m = slots[keel_ring_slot(r, r->own)];
	keel_ring_consume(r, 1);
}

/*
 * What both sides of a ring do for a message of 64 bytes while they poll. Neither enters the
 * metakernel, so one partition can be both.
 */
static void measure_polled(void)
{
	struct keel_ring_ctl *ctl = pages(1);
	struct message *slots = pages(MESSAGES * sizeof(struct message) / PAGE), m = { { 0 } };
	struct keel_ring producer, consumer;
	uint64_t best = UINT64_MAX;

	keel_ring_init(&producer, ctl, MESSAGES);
	keel_ring_init(&consumer, ctl, MESSAGES);
	for (int i = 0; i < BEST_OF; i++) {
		uint64_t ticks = rdtsc();

		for (unsigned int n = 0; n < MESSAGES; n++)
			send(&producer, slots, &m);
		for (unsigned int n = 0; n < MESSAGES; n++)
			receive(&consumer, slots, &m);
		best = least(best, rdtsc() - ticks);
	}
	result("polled_64", best / MESSAGES);
}

/* The same with keel/msg.h: a length goes along, and is checked. */
static void measure_messages(void)
{
	struct keel_ring_ctl *ctl = pages(1);
	void *slots = pages(2 * MESSAGES * 64 / PAGE);
	uint64_t text[8] = { 0 }, best = UINT64_MAX;
	struct keel_msg in, out;

	keel_msg_init(&in, ctl, slots, MESSAGES, 128);
	keel_msg_init(&out, ctl, slots, MESSAGES, 128);
	for (int i = 0; i < BEST_OF; i++) {
		uint64_t ticks = rdtsc();

		for (unsigned int n = 0; n < MESSAGES; n++)
			if (keel_msg_send(&in, text, sizeof(text)))
				stop("ring is full");
		for (unsigned int n = 0; n < MESSAGES; n++)
			if (keel_msg_receive(&out, text, sizeof(text)) != sizeof(text))
				stop("ring is empty");
		best = least(best, rdtsc() - ticks);
	}
	result("msg_64", best / MESSAGES);
}

/* A message through a stream, which copies it twice, and the same bytes by one memcpy(). */
static void measure_stream(const char *name, const char *copied, uint32_t bytes)
{
	static struct keel_ring_ctl *ctl;
	static uint8_t *memory, *text;
	uint64_t best = UINT64_MAX, once = UINT64_MAX;
	struct keel_stream in, out;

	if (!ctl) {
		ctl = pages(1);
		memory = pages(STREAM / PAGE);
		text = pages(STREAM / PAGE);
	}
	*ctl = (struct keel_ring_ctl) { 0 };
	keel_stream_init(&in, ctl, memory, STREAM);
	keel_stream_init(&out, ctl, memory, STREAM);
	for (int i = 0; i < BEST_OF; i++) {
		uint64_t ticks = rdtsc();

		if (keel_stream_write(&in, text, bytes) != (int)bytes || keel_stream_read(&out, text, bytes) != (int)bytes)
			stop("stream is full");
		best = least(best, rdtsc() - ticks);
		ticks = rdtsc();
		memcpy(memory, text, bytes);
		once = least(once, rdtsc() - ticks);
	}
	result(name, best - overhead());
	result(copied, once - overhead());
}

void measure_ring(void)
{
	measure_polled();
	measure_messages();
	measure_stream("stream_64", "memcpy_64", 64);
	measure_stream("stream_4k", "memcpy_4k", 4096);
	measure_stream("stream_64k", "memcpy_64k", STREAM);
}

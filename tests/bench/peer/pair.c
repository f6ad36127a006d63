// SPDX-License-Identifier: MIT
/*
 * pair.c - a doorbell between two partitions, and messages that need none.
 *
 * The sleeper has the higher priority, serves the channel and waits for its event. The ringer reads
 * the TSC into the window, rings, and is preempted; the sleeper reads the TSC with its first
 * instruction after the hypercall. For a round trip the ringer sleeps, too, until it is answered.
 */
#include <keel/ring.h>
#include "peer.h"

#define ROUNDS		64
#define MESSAGES	64u
#define WINDOW_VA	0x20000000000UL

struct window {
	volatile uint64_t rung, woke;		/* TSC */
	volatile uint64_t answered;		/* rounds */
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
static uint64_t wait_for(uint64_t chan)
{
	uint64_t woke = rdtsc();

	while (!(take_events() & 1UL << chan)) {
		hcall(KEEL_HC_BLOCK, 0, 0, 0);
		woke = rdtsc();
	}
	return woke;
}

void be_sleeper(void)
{
	uint64_t chan = find_channel();
	struct window *w = pages(1);

	if (hcall(KEEL_HC_CHAN_OFFER, chan, pa_of(w), 1) || hcall(KEEL_HC_CHAN_STATE, chan, 1, 0) < 0)
		stop("no window");
	for (;;) {
		w->woke = wait_for(chan);
		w->answered++;
		hcall(KEEL_HC_CHAN_KICK, chan, 0, 0);
	}
}

static struct window *map_window(uint64_t chan)
{
	while (hcall(KEEL_HC_CHAN_INFO, chan, pa_of(&answer), 0) == 0 && !(answer.chan.state & KEEL_CHAN_WINDOW))
		hcall(KEEL_HC_BLOCK, 0, 0, 0);
	*leaf(WINDOW_VA) = answer.chan.window_pa | PTE_P | PTE_W | PTE_A | PTE_D;
	return (struct window *)WINDOW_VA;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void be_ringer(void)
{
	uint64_t chan = find_channel(), wake = UINT64_MAX, trip = UINT64_MAX, ticks = overhead();
	struct window *w;

	known_loop();
	w = map_window(chan);
	if (hcall(KEEL_HC_CHAN_STATE, chan, 1, 0) < 0)
		stop("not up");
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t seen = w->answered, rung, back;

		take_events();
		rung = rdtsc();
		hcall(KEEL_HC_CHAN_KICK, chan, 0, 0);
		back = wait_for(chan);
		if (w->answered == seen)
			stop("no answer");
		wake = least(wake, w->woke - rung - ticks);
		trip = least(trip, back - rung - ticks);
	}
	result("kick_wake", wake);
	result("kick_roundtrip", trip);
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
	if (keel_ring_avail(r) <= 0)
		stop("ring is empty");
	*m = slots[keel_ring_slot(r, r->own)];
	keel_ring_consume(r, 1);
}

/*
 * What both sides of a ring do for a message of 64 bytes while they poll. Neither enters the
 * metakernel, so one partition can be both.
 */
void measure_ring(void)
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

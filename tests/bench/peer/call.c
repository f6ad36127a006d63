// SPDX-License-Identifier: MIT
/*
 * call.c - a call between two partitions of one priority on one CPU: to the server's first instruction, and to the answer.
 *
 * The caller's clock travels along as the first word; the server answers with how long the way was. On two CPUs
 * (call2.dts) ticks are of both, as in pair.c.
 */
#include "peer.h"

#define ROUNDS	64

struct words {
	uint64_t word[4];
};

/* -> the TSC of the first instruction behind it, for which RAX and RDX, the second word, give way. */
static inline __attribute__((always_inline)) uint64_t enter(long nr, uint64_t rdi, struct words *w)
{
	register uint64_t r10 __asm__("r10") = w->word[2], r8 __asm__("r8") = w->word[3];
	uint64_t low = (uint64_t)nr, high = w->word[1];

	__asm__ volatile("int $15; rdtsc" : "+a"(low), "+d"(high), "+S"(w->word[0]), "+r"(r10), "+r"(r8)
			 : "D"(rdi) : "memory");
	w->word[2] = r10;
	w->word[3] = r8;
	return high << 32 | low;
}

void be_server(void)
{
	uint64_t chan = chan_named("calls"), came, flags = KEEL_REPLY_NONE;
	struct words w = { { 0 } };

	if (hcall(KEEL_HC_CHAN_OFFER, chan, pa_of(pages(1)), 1) || hcall(KEEL_HC_CHAN_STATE, chan, 1, 0) < 0)
		stop("no window");
	for (;;) {
		came = enter(KEEL_HC_REPLY_WAIT, flags, &w);
		w.word[0] = came - w.word[0];
		flags = 0;
	}
}

void be_caller(bool cross)
{
	uint64_t chan = chan_named("calls"), ticks, way = UINT64_MAX, trip = UINT64_MAX;

	known_loop();
	while (hcall(KEEL_HC_CALL, chan, 0, 0) == -KEEL_EPIPE)
		hcall(KEEL_HC_YIELD, UINT64_MAX, 0, 0);
	ticks = overhead();
	for (int i = 0; i < ROUNDS; i++) {
		struct words w = { { 0 } };
		uint64_t went = rdtsc(), back;

		w.word[0] = went;
		back = enter(KEEL_HC_CALL, chan, &w);
		if (!w.word[0] || w.word[0] > back - went)
			stop("no answer");
		way = w.word[0] - ticks < way ? w.word[0] - ticks : way;
		trip = back - went - ticks < trip ? back - went - ticks : trip;
	}
	result(cross ? "call_one_way_cross" : "call_one_way", way);
	result(cross ? "call_roundtrip_cross" : "call_roundtrip", trip);
	say("BENCH-END\n");
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_POWEROFF, 0, 0);
	stop("still here");
}

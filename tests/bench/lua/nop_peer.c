// SPDX-License-Identifier: MIT
/*
 * nop_peer.c - driver calls that do nothing: the ring, both doorbells and keeld's loop, no file. One
 * at a time as the runtime does it, several with one doorbell.
 */
#include <rt/machine.h>
#include <rt/rt.h>
#include <rt/session.h>
#include "bench_lua.h"

static int channel(void)
{
	static struct keel_cap_info cap __attribute__((aligned(64)));	/* in one page */

	for (int h = 0; h < KEEL_MAX_HANDLES; h++)
		if (hc2(KEEL_HC_CAP_INFO, (uint64_t)h, va_to_pa(&cap)) == 0 && cap.type == KEEL_CAP_CHANNEL)
			return h;
	return -1;
}

static int one(void)
{
	struct keel_sqe sqe = keel_dc_sqe(KEEL_OP_NOP, 0, 0);
	int32_t res;

	return session_call(&sqe, &res, 1) || res ? -1 : 1;
}

int bench_nop(int n)
{
	static int chan = -1;
	uint64_t event;
	int sent, answered = 0;

	if (session_open())
		return -1;
	if (n == 1)
		return one();
	if (chan < 0)
		chan = channel();
	event = 1ULL << chan;
	for (sent = 0; sent < n; sent++) {
		struct keel_sqe sqe = keel_dc_sqe(KEEL_OP_NOP, 0, (uint64_t)sent);

		if (keel_dc_submit(&session, &sqe))
			return -1;
	}
	if (keel_dc_need_kick(&session))
		hc1(KEEL_HC_CHAN_KICK, (uint64_t)chan);
	while (answered < n) {
		struct keel_cqe cqe;
		int got;

		event_take(event);
		got = keel_dc_poll(&session, &cqe);
		if (got < 0)
			return -1;
		answered += got;
		if (!got && keel_dc_may_sleep(&session))
			event_wait(event, RT_FOREVER);
	}
	return n;
}

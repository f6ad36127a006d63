/* SPDX-License-Identifier: MIT */
/*
 * rt/session.h - one session of driver calls with the server at the other end of the channel.
 */
#ifndef RT_SESSION_H
#define RT_SESSION_H

#include <keel/drivercall_client.h>

extern struct keel_dc_client session;	/* window, layout and buffer allocator, when open */

/*
 * Make sure a session is open; if none is, wait for the server, but not a second time for one that
 * never came. 0, -ENXIO (no channel in the manifest), -ETIMEDOUT (no server came), -EPROTO (it speaks
 * another protocol), -ENOMEM.
 */
int session_open(void);

/* Whether the session `generation` is the open one. Files of any other are dead. */
bool session_is(uint32_t generation);

/*
 * Submit a request and wait for its answer. 0, or -EIO if the session ended (then *cqe is not valid,
 * and buffers in the window are void). user_data is filled in here. The caller has just seen
 * session_open() succeed or session_is() true.
 */
int session_ask(struct keel_sqe *sqe, struct keel_cqe *cqe);

/* The same for n requests, one after the other, of whose answers only the results matter. */
static inline int session_call(struct keel_sqe *sqe, int32_t *res, unsigned n)
{
	struct keel_cqe cqe;
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++) {
		err = session_ask(&sqe[i], &cqe);
		res[i] = err ? err : cqe.res;
	}
	return err;
}

/*
 * Requests that take as long as a person at a terminal: one at a time for each standard stream n, beside those
 * above. start: 0 or -EIO. wait: until it is answered or the session over (0), or a handler ran (-EINTR), which may
 * have taken the answer. answer: whether it is there; taken, the next one may be started.
 */
int session_start(unsigned n, struct keel_sqe *sqe);
int session_wait(unsigned n);
bool session_answer(unsigned n, int32_t *res);

/* Look for answers without waiting. The event bits that tell of the next one. */
uint64_t session_look(void);

/*
 * A session, if that takes no waiting for a server that is still to come: as for session_open(). Only a partition made
 * at run time has its channel where this looks, and a server from its first instruction.
 */
bool session_at_once(void);

/* A buffer in the window of *bytes or less; read-ahead makes room for it. 0: there is none. */
uint64_t remote_buffer(size_t *bytes);

/* Submit a request whose answer does not matter, and go on. */
void session_post(struct keel_sqe *sqe);

/* Wait for the answers to all that was posted. False: there was nothing to wait for. */
bool session_settle(void);

#endif /* RT_SESSION_H */

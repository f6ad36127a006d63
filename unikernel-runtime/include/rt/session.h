/* SPDX-License-Identifier: MIT */
/*
 * rt/session.h - one session of driver calls with the server at the other end of the channel.
 */
#ifndef RT_SESSION_H
#define RT_SESSION_H

#include <keel/drivercall_client.h>

extern struct keel_dc_client session;	/* window, layout and buffer allocator, when open */

/*
 * Make sure a session is open; if none is, wait for the server. 0, -ENXIO (no channel in the
 * manifest), -ETIMEDOUT (no server came), -EPROTO (it speaks another protocol), -ENOMEM.
 */
int session_open(void);

/* Whether the session `generation` is the open one. Files of any other are dead. */
bool session_is(uint32_t generation);

/*
 * Submit n <= SESSION_BATCH requests, wait for all answers, put their results in res[]. 0, or -EIO
 * if the session ended (then res is not valid, and buffers in the window are void). user_data is
 * filled in here. The caller has just seen session_open() succeed or session_is() true.
 */
#define SESSION_BATCH	2
int session_call(struct keel_sqe *sqe, int32_t *res, unsigned n);

#endif /* RT_SESSION_H */

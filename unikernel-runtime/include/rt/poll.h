/* SPDX-License-Identifier: MIT */
/*
 * rt/poll.h - a running program looks for ^C by itself, because no interrupt can come: RT_POLL() in its
 * loops costs two instructions, and a look at the vCPU page each RT_POLL_EVERY times.
 */
#ifndef RT_POLL_H
#define RT_POLL_H

#define RT_POLL_EVERY	4096

extern int rt_poll_left;
void rt_poll(void);

#define RT_POLL()	(__builtin_expect(--rt_poll_left < 0, 0) ? rt_poll() : (void)0)

#endif /* RT_POLL_H */

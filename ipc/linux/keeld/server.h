/* SPDX-License-Identifier: MIT */
/* server.h - serves one channel's driver calls. */
#ifndef KEELD_SERVER_H
#define KEELD_SERVER_H

#include "policy.h"
#include "transport.h"

struct server;

/* The policy stays the caller's. 0 or negative errno. */
int server_new(struct server **s, const struct policy *policy);
void server_delete(struct server *s);

/*
 * Standard streams: file numbers 0, 1 and 2 of every session to come are duplicates of these descriptors, and the session's
 * header says so. They stay the caller's.
 */
void server_give_stdio(struct server *s, const int fds[3]);

/*
 * Lays the window out, puts the channel up and serves until the transport says -ECANCELED (0), the
 * client breaks the rings (-EBADMSG: take the channel down, and up again), or the channel fails (other
 * negative errno). On return no request is in flight and every file is closed. May be called
 * again with another transport.
 */
int server_run(struct server *s, struct transport *t);

#endif

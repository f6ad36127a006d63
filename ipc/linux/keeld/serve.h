/* SPDX-License-Identifier: MIT */
/* serve.h - a channel of /dev/keel, served for as long as there is one. */
#ifndef KEELD_SERVE_H
#define KEELD_SERVE_H

#include "server.h"
#include <stdint.h>

/*
 * Serves until a signal ends the process; again and again while only the client is to blame. ready_fd: when the
 * channel is up for the first time a byte is written there, and it is closed; -1: nobody waits for that.
 * 0 or negative errno, which the log has.
 */
int serve_channel(struct server *s, const char *device, uint32_t handle, int ready_fd);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * transport.h - what the server needs of a channel: a window, a doorbell each way, and its state.
 *
 * The real one is /dev/keel (transport_keel.c). Tests put a memfd and eventfds behind it.
 */
#ifndef KEELD_TRANSPORT_H
#define KEELD_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#define WAIT_FOREVER	UINT32_MAX

struct transport {
	void *window;
	uint64_t window_bytes;
	/* Puts the server's side up. 0 or negative errno. */
	int (*up)(struct transport *t);
	/* Rings the client. -EPIPE: its side is down. */
	int (*kick)(struct transport *t);
	/*
	 * Sleeps until a doorbell or change of state, also one since the last wait; with `kick`
	 * rings the client first. 0; -ETIME after timeout_ms (0: only looks, WAIT_FOREVER); -EINTR;
	 * -EPIPE as above; -ECANCELED: the service shall end.
	 */
	int (*wait)(struct transport *t, bool kick, uint32_t timeout_ms);
	/* The channel's generation, and whether the client's side is up. */
	int (*state)(struct transport *t, uint32_t *generation, bool *client_up);
	int fd;			/* readable (poll) when a wait would not sleep */
	uint32_t handle;
};

/* ---- /dev/keel ------------------------------------------------------------------------------------- */

/*
 * Becomes the server of channel `handle` and maps its window; the channel stays down until up().
 * 0 or negative errno.
 */
int transport_keel_open(struct transport *t, const char *device, uint32_t handle);
/* Unmaps and closes: the channel goes down. */
void transport_keel_close(struct transport *t);

#endif

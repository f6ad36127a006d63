// SPDX-License-Identifier: MIT
/* serve.c - see serve.h: keeld's children, and the worker of each `keelctl run`. */
#include "serve.h"
#include "log.h"
#include "transport.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REUP_MS		100	/* of a channel whose client broke the rules */
#define BUSY_TRIES	50	/* as far apart */

static int ready = -1;
static int (*channel_up)(struct transport *t);

static int up_and_tell(struct transport *t)
{
	int err = channel_up(t);

	if (ready >= 0 && !err) {
		err = write(ready, "", 1) == 1 ? 0 : -errno;
		close(ready);
		ready = -1;
	}
	return err;
}

int serve_channel(struct server *s, const char *device, uint32_t handle, int ready_fd)
{
	const struct timespec pause = { .tv_nsec = REUP_MS * 1000000L };
	struct transport t;
	int err, tries;

	ready = ready_fd;
	for (;;) {
		/* The server before, which was killed, may still be on its way out. */
		for (tries = 0; (err = transport_keel_open(&t, device, handle)) == -EBUSY && tries < BUSY_TRIES; tries++)
			nanosleep(&pause, NULL);
		if (err) {
			log_line("%s: serving the channel: %s", device, strerror(-err));
			return err;
		}
		channel_up = t.up;
		t.up = up_and_tell;
		err = server_run(s, &t);
		transport_keel_close(&t);
		if (err != -EBADMSG)
			return err;
		/* Not faster than this, however often the client does it. */
		nanosleep(&pause, NULL);
	}
}

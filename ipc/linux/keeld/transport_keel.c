// SPDX-License-Identifier: MIT
/* transport_keel.c - a channel behind /dev/keel. The descriptor is the server's side: closing it is "down". */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <keel/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int keel_up(struct transport *t)
{
	return ioctl(t->fd, KEEL_IOC_CHAN_UP) < 0 ? -errno : 0;
}

static int keel_kick(struct transport *t)
{
	return ioctl(t->fd, KEEL_IOC_CHAN_KICK) < 0 ? -errno : 0;
}

static int keel_wait(struct transport *t, bool kick, uint32_t timeout_ms)
{
	static_assert(WAIT_FOREVER == KEEL_WAIT_FOREVER, "passed on as it is");

	return ioctl(t->fd, kick ? KEEL_IOC_CHAN_KICK_WAIT : KEEL_IOC_CHAN_WAIT,
		     (unsigned long)timeout_ms) < 0 ? -errno : 0;
}

static int keel_state(struct transport *t, uint32_t *generation, bool *client_up)
{
	struct keel_ioc_chan chan = { .handle = t->handle };

	if (ioctl(t->fd, KEEL_IOC_CHAN_INFO, &chan) < 0)
		return -errno;
	*generation = chan.info.generation;
	*client_up = chan.info.state & KEEL_CHAN_CLIENT_UP;
	return 0;
}

int transport_keel_open(struct transport *t, const char *device, uint32_t handle)
{
	struct keel_ioc_serve serve = { .handle = handle, .eventfd = -1 };
	int err;

	*t = (struct transport) {
		.up = keel_up,
		.kick = keel_kick,
		.wait = keel_wait,
		.state = keel_state,
		.handle = handle,
	};
	t->fd = open(device, O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		return -errno;
	if (ioctl(t->fd, KEEL_IOC_CHAN_SERVE, &serve) < 0) {
		err = -errno;
		goto close_fd;
	}
	t->window_bytes = serve.window_bytes;
	t->window = mmap(NULL, serve.window_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (t->window == MAP_FAILED) {
		err = -errno;
		goto close_fd;
	}
	return 0;

close_fd:
	close(t->fd);
	return err;
}

void transport_keel_close(struct transport *t)
{
	/* Both: the mapping holds the descriptor's file open as well. */
	munmap(t->window, t->window_bytes);
	close(t->fd);
}

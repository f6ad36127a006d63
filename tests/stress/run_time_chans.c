// SPDX-License-Identifier: MIT
/*
 * run_time_chans - handles and channels of Linux's own making: connected, served, closed in every order with the partitions they
 * belong to. Failure: a handle where there is none, one that outlives what it is of, a right too many, a window that does
 * not come back or can still be reached by the other side.
 */
#include <poll.h>

#include "small_part.h"

#define ROUNDS		61
#define WINDOW		(2ul << 20)
#define BOTH		(KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL)

/* The word into the window; a doorbell; the word into the last page of it, for ever */
static const uint8_t code[] = {
	0xc7, 0x04, 0x25, 0x00, 0x00, 0x50, 0x00, 0x0d, 0xf0, 0x0d, 0x60,
	0xb8, 0x17, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0xcd, 0x0f,
	0xc7, 0x04, 0x25, 0x00, 0x10, 0x50, 0x00, 0x0d, 0xf0, 0x0d, 0x60, 0xeb, 0xf3,
};

static unsigned int handles_of(uint32_t part)
{
	unsigned int n = 0;

	for (uint32_t h = 0; h < KEEL_MAX_HANDLES; h++)
		n += cap(part, h).type != KEEL_CAP_NONE;
	return n;
}

static struct keel_ioc_connect connected(uint32_t server, uint32_t client)
{
	struct keel_ioc_connect c = { .server = server, .client = client, .max_bytes = WINDOW };

	NEED(ioctl(dev, KEEL_IOC_CONNECT, &c) == 0);
	return c;
}

static int closed(uint32_t part, uint32_t chan)
{
	struct keel_ioc_close c = { .part = part, .chan = chan };

	return ioctl(dev, KEEL_IOC_CHAN_CLOSE, &c) ? errno : 0;
}

/* -> the handle there, or -errno */
static int granted(uint32_t handle, uint32_t part, uint32_t rights)
{
	struct keel_ioc_grant g = { .handle = handle, .part = part, .rights = rights };

	return ioctl(dev, KEEL_IOC_CAP_GRANT, &g) ? -errno : (int)g.made;
}

static uint32_t log_handle(void)
{
	uint32_t h = 0;

	while (cap(0, h).type != KEEL_CAP_LOG)
		NEED(++h < KEEL_MAX_HANDLES);
	return h;
}

static void test_delegation(void)
{
	unsigned int had = handles_of(0);
	struct part a, b;
	int info, log, own;

	create(&a, "a");
	create(&b, "b");
	info = granted(a.made.handle, b.made.handle, KEEL_RIGHT_INFO);
	log = granted(log_handle(), b.made.handle, KEEL_RIGHT_INFO);
	NEED(info > 0 && log > 0 && info != log);
	CHECK(cap(b.made.handle, (uint32_t)info).rights == KEEL_RIGHT_INFO && !strcmp(cap(b.made.handle, (uint32_t)info).name, "a"));
	CHECK(cap(b.made.handle, (uint32_t)log).type == KEEL_CAP_LOG);
	CHECK(granted(log_handle(), b.made.handle, BOTH) == -EPERM);
	CHECK(granted(a.made.handle, b.made.handle, 0) == -EINVAL);
	CHECK(granted(a.made.handle, 0, BOTH) == -EINVAL);
	CHECK(granted(250, b.made.handle, 1) == -EBADF && granted(a.made.handle, 250, 1) == -EBADF);
	CHECK(ioctl(dev, KEEL_IOC_CAP_REVOKE, 250) == -1 && errno == EBADF);
	CHECK(handles_of(b.made.handle) == 3);
	NEED(ioctl(dev, KEEL_IOC_CAP_REVOKE, log_handle()) == 0);
	CHECK(cap(b.made.handle, (uint32_t)log).type == KEEL_CAP_NONE && cap(0, log_handle()).type == KEEL_CAP_LOG);
	NEED(close(a.fd) == 0);			/* and with it every handle of it */
	CHECK(cap(b.made.handle, (uint32_t)info).type == KEEL_CAP_NONE);
	own = granted(b.made.handle, b.made.handle, BOTH);	/* of itself, more than it has */
	CHECK(own == info && handles_of(b.made.handle) == 2);
	NEED(close(b.fd) == 0);
	CHECK(handles_of(0) == had);
}

static void test_peer_to_peer(void)
{
	struct keel_ioc_connect c, d;
	struct part a, b;

	create(&a, "a");
	create(&b, "b");
	c = connected(a.made.handle, b.made.handle);
	d = connected(b.made.handle, a.made.handle);
	CHECK(c.server_chan == 1 && c.client_chan == 1 && d.server_chan == 2 && d.client_chan == 2);
	CHECK(cap(a.made.handle, 1).rights == KEEL_RIGHT_SERVE && cap(b.made.handle, 1).rights == KEEL_RIGHT_USE);
	CHECK(ioctl(dev, KEEL_IOC_CONNECT, &(struct keel_ioc_connect) { a.made.handle, a.made.handle, PAGE, 0, 0 }) == -1 && errno == EINVAL);
	CHECK(ioctl(dev, KEEL_IOC_CONNECT, &(struct keel_ioc_connect) { a.made.handle, 250, PAGE, 0, 0 }) == -1 && errno == EBADF);
	CHECK(closed(b.made.handle, 1) == 0 && closed(a.made.handle, 1) == EBADF && closed(a.made.handle, 0) == EBADF);
	CHECK(handles_of(a.made.handle) == 2 && handles_of(b.made.handle) == 2);
	NEED(close(a.fd) == 0);
	CHECK(handles_of(b.made.handle) == 1);
	NEED(close(b.fd) == 0);
}

/* Closed while the client writes into it; or its client ends first, and what is left is closed, or taken over by the next. */
static void serve_and_close(unsigned int round)
{
	struct keel_ioc_serve serve = { .eventfd = -1 };
	int server = open("/dev/keel", O_RDWR | O_CLOEXEC);
	volatile uint32_t *window;
	struct keel_ioc_chan chan;
	struct keel_ioc_connect c;
	struct part a;

	create(&a, "a");
	c = connected(0, a.made.handle);
	NEED(c.client_chan == 1);
	CHECK(closed(a.made.handle, 1) == EPERM);	/* Linux has its own handle */
	serve.handle = chan.handle = c.server_chan;
	NEED(server >= 0 && ioctl(server, KEEL_IOC_CHAN_SERVE, &serve) == 0 && serve.window_bytes == WINDOW);
	window = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, server, 0);
	NEED(window != MAP_FAILED && window[0] == 0);
	NEED(ioctl(dev, KEEL_IOC_CHAN_INFO, &chan) == 0 && ioctl(server, KEEL_IOC_CHAN_UP) == 0);
	boot(&a, chan.info.window_pa, 2, code, sizeof(code));
	while (window[PAGE / 4] != WRITTEN && !stress_failures)
		CHECK(ioctl(server, KEEL_IOC_CHAN_WAIT, 1) == 0 || errno == ETIME);
	if (round % 3 == 0) {
		struct pollfd pfd = { .fd = a.fd, .events = POLLIN };

		CHECK(closed(0, c.server_chan) == 0);
		window[PAGE / 4] = 5;		/* ours, as long as it is mapped, */
		CHECK(poll(&pfd, 1, WAIT_MS) == 1);	/* and its writing has ended the other side */
		CHECK(window[PAGE / 4] == 5 && window[0] == 0);
		CHECK(closed(0, c.server_chan) == EPERM);
	}
	NEED(close(a.fd) == 0);
	if (round % 3 == 1)
		CHECK(closed(0, c.server_chan) == EBADF);
	CHECK(ioctl(server, KEEL_IOC_CHAN_KICK) == -1 && errno == EBADF);
	NEED(munmap((void *)(uintptr_t)window, WINDOW) == 0 && close(server) == 0);
}

int main(void)
{
	uint64_t before, after;

	if (!open_dev())
		return SKIP;
	test_delegation();
	test_peer_to_peer();
	for (unsigned int i = 0; i < 3; i++)
		serve_and_close(i);
	before = mem_free();
	for (unsigned int i = 0; i < ROUNDS && !stress_failures; i++)
		serve_and_close(i);
	after = mem_free();
	printf("%lu KiB free before %d channels, %lu after\n", before, ROUNDS, after);
	CHECK(after + before / 100 > before);
	return stress_end("run_time_chans");
}

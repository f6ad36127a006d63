/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * keel/ioctl.h - /dev/keel: what Linux user space can ask of the metakernel.
 *
 * /dev/keel is one misc character device, mode 0600. Handles are those of the Linux partition
 * (KEEL_HC_CAP_INFO): 0 is Linux itself, then other partitions and channels in manifest order.
 * Every call returns 0 or more, or -1 with errno: ENODEV (not running on Keel), EBADF (no such
 * handle), EPERM (right missing), EFAULT, EINVAL, and what each call names.
 */
#ifndef KEEL_IOCTL_H
#define KEEL_IOCTL_H

#ifdef __KERNEL__
# include <linux/ioctl.h>
#else
# include <sys/ioctl.h>
#endif
#include <keel/abi.h>

struct keel_ioc_cap   { uint32_t handle, reserved; struct keel_cap_info info; };
struct keel_ioc_part  { uint32_t handle, reserved; struct keel_part_info info; };
struct keel_ioc_stats { uint32_t handle, reserved; struct keel_part_stats stats; };
struct keel_ioc_chan  { uint32_t handle, reserved; struct keel_chan_info info; };
struct keel_ioc_ctl   { uint32_t handle, op; };			/* op: KEEL_CTL_* */
struct keel_ioc_buf   {	/* console and log */
	uint32_t handle;	/* ignored by LOG_READ */
	uint32_t len;		/* <= 4096 */
	uint64_t addr;		/* user pointer */
	uint64_t position;	/* LOG_READ: in: where to start; out: where to go on */
};
struct keel_ioc_serve {
	uint32_t handle;	/* a channel with KEEL_RIGHT_SERVE */
	int32_t  eventfd;	/* signalled at each doorbell or change of state; -1 for none */
	uint64_t window_bytes;	/* in: 0 for the manifest's size; out: size given */
};

#define KEEL_IOC_CAP_INFO	_IOWR('K', 0x40, struct keel_ioc_cap)
#define KEEL_IOC_PART_INFO	_IOWR('K', 0x41, struct keel_ioc_part)
#define KEEL_IOC_PART_STATS	_IOWR('K', 0x42, struct keel_ioc_stats)
#define KEEL_IOC_CHAN_INFO	_IOWR('K', 0x43, struct keel_ioc_chan)
#define KEEL_IOC_PART_CTL	_IOW('K', 0x44, struct keel_ioc_ctl)
#define KEEL_IOC_CONS_READ	_IOWR('K', 0x45, struct keel_ioc_buf)	/* -> bytes */
#define KEEL_IOC_CONS_WRITE	_IOWR('K', 0x46, struct keel_ioc_buf)	/* -> bytes */
#define KEEL_IOC_LOG_READ	_IOWR('K', 0x47, struct keel_ioc_buf)	/* -> bytes */
/*
 * Become the server of a channel through this file descriptor (EBUSY if another one is). The first
 * time the driver allocates the window from Linux's memory and offers it; it keeps it for the
 * channel's life. mmap(fd, offset 0) then maps it (ordinary pages: O_DIRECT, io_uring and vhost
 * can pin them). The state stays down until KEEL_IOC_CHAN_UP; closing the descriptor (also by
 * dying) puts it down.
 */
#define KEEL_IOC_CHAN_SERVE	_IOWR('K', 0x48, struct keel_ioc_serve)
#define KEEL_IOC_CHAN_UP	_IO('K', 0x49)
#define KEEL_IOC_CHAN_KICK	_IO('K', 0x4a)
/*
 * Sleep until the next doorbell or change of state; the argument, by value, is the time limit in
 * milliseconds: 0 only looks, KEEL_WAIT_FOREVER. One that came since the last wait ends it at once.
 * KICK_WAIT rings the client first (EPIPE: it is down, nothing was waited for). ETIME, EINTR,
 * EBADF. poll(2) says POLLIN when a wait would not sleep.
 */
#define KEEL_IOC_CHAN_WAIT	_IO('K', 0x4b)
#define KEEL_IOC_CHAN_KICK_WAIT	_IO('K', 0x4c)
#define KEEL_WAIT_FOREVER	0xffffffffu

#endif /* KEEL_IOCTL_H */

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

/*
 * `part`, in: the table it is looked up in, a partition with KEEL_RIGHT_CONTROL; 0: Linux's. Out, of Linux's own: KEEL_IOC_CAP_*
 */
struct keel_ioc_cap   { uint32_t handle, part; struct keel_cap_info info; };
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

#define KEEL_IOC_CAP_MADE	1	/* a channel that came with PART_CREATE; who made that serves it */

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

/*
 * A partition of the caller's own. PART_CREATE allocates its memory (contiguous), what the metakernel keeps of it, and
 * a channel with this Linux as server, and returns a file descriptor that stands for it: mmap(fd, offset 0, shared) is
 * the memory, zeroed, to lay an image out in, until PART_BOOT; that unmaps it (SIGBUS from then on),
 * gives the memory away and starts vCPU 0. poll(2) says POLLIN when the partition has ended, KEEL_IOC_PART_INFO
 * with its handle how; POLLPRI, once each time, that it has used its budget up. Closing the descriptor, also by dying,
 * ends the partition and takes everything back; its handles are void then. The channel is served as any other, by
 * KEEL_IOC_CHAN_SERVE with `chan` on a descriptor of /dev/keel.
 * PART_CREATE: EINVAL, ENOMEM (no contiguous piece of that size is to be had), EEXIST (the name is in
 * use), ENOSPC (no more partitions or handles). PART_BOOT: EINVAL, EBUSY (it was started before), ENOSPC (the CPUs do not
 * have the budget).
 */
struct keel_ioc_create {
	char	 name[KEEL_NAME_LEN];
	uint32_t priority, nvcpus, shadow_pages, flags;	/* as in struct keel_part_create */
	uint64_t cpus;
	uint64_t mem_bytes;	/* multiple of 4096, KEEL_PART_EXTENTS * 16 MiB at most */
	uint64_t window_bytes;	/* likewise, of the channel; 0: it gets none */
	uint64_t mem_pa;	/* out */
	uint32_t handle, chan;	/* out */
	uint64_t budget_ns, period_ns;	/* as in struct keel_part_create */
	uint64_t tsc_khz;	/* out: for its struct keel_start_info */
	uint64_t reserved;	/* 0 */
};
#define KEEL_IOC_PART_CREATE	_IOWR('K', 0x4d, struct keel_ioc_create)	/* -> file descriptor */
#define KEEL_IOC_PART_BOOT	_IOW('K', 0x4e, struct keel_part_start)	/* on that descriptor */
/* KEEL_HC_PART_BUDGET: EBUSY (it does not run), ENOSPC (the CPUs do not have that). */
struct keel_ioc_budget { uint32_t handle, reserved; uint64_t budget_ns, period_ns; };
#define KEEL_IOC_PART_BUDGET	_IOW('K', 0x4f, struct keel_ioc_budget)

/*
 * How much memory a partition made by PART_CREATE is to have, on any descriptor of /dev/keel. More is given to it in
 * pieces of at least 2 MiB, less is asked of it: it gives back pieces that it had been given so and no longer uses, in
 * its own time (Linux has them again at once then). EBADF: no such partition. EINVAL: less than it was
 * made with, not a multiple of 4096, or too much; EBUSY: it does not run. ENOMEM, ENOSPC: part of it may have been given.
 */
struct keel_ioc_memory {
	uint32_t handle, reserved;
	uint64_t bytes;		/* in: wanted, 0: as it is; out: what it has now */
	uint64_t least_bytes;	/* out: what it was made with */
};
#define KEEL_IOC_PART_MEMORY	_IOWR('K', 0x56, struct keel_ioc_memory)

/*
 * A partition that outlives who made it. PART_KEEP on its descriptor, with 1 by value: closing the descriptor, also by
 * dying, does not end the partition any more; it runs on and keeps its memory, and its channel's server is down as soon as
 * who served that is gone. With 0: closing ends it again. PART_OPEN on /dev/keel gives a new descriptor for
 * a kept partition that nobody holds, with all that the first could do; it is still kept.
 * PART_KEEP: EINVAL. PART_OPEN: ENOENT (no such partition is kept), EBUSY (somebody holds it), EINVAL.
 */
struct keel_ioc_open {
	char	 name[KEEL_NAME_LEN];
	uint64_t mem_bytes;	/* out */
	uint32_t handle, chan;	/* out */
	uint64_t reserved[4];	/* 0 */
};
#define KEEL_IOC_PART_KEEP	_IO('K', 0x54)
#define KEEL_IOC_PART_OPEN	_IOWR('K', 0x55, struct keel_ioc_open)	/* -> file descriptor */

/*
 * Delegation and channels between partitions, as the hypercalls of these names (docs/abi.md). In CONNECT and CLOSE 0 is Linux; a
 * channel that it serves is served by KEEL_IOC_CHAN_SERVE, and CLOSE of one also takes it from who serves it. Of Linux's own
 * only those of CONNECT can be closed (EPERM).
 */
struct keel_ioc_connect {
	uint32_t server, client;	/* partitions */
	uint64_t max_bytes;
	uint32_t server_chan, client_chan;	/* out: each side's handle */
};
struct keel_ioc_grant {
	uint32_t handle, part;	/* what; to whom */
	uint32_t rights;
	uint32_t made;		/* out: the handle there */
};
struct keel_ioc_close { uint32_t part, chan; };	/* one of the sides, and its handle */
#define KEEL_IOC_CONNECT	_IOWR('K', 0x50, struct keel_ioc_connect)
#define KEEL_IOC_CAP_GRANT	_IOWR('K', 0x51, struct keel_ioc_grant)
#define KEEL_IOC_CAP_REVOKE	_IO('K', 0x52)	/* by value: the handle */
#define KEEL_IOC_CHAN_CLOSE	_IOW('K', 0x53, struct keel_ioc_close)

/*
 * Memory of several partitions: an extent (KEEL_HC_MEM_SHARE) of memory that Linux had, zeroed, and a file descriptor that stands for it.
 * mmap(fd, offset 0, shared) is it, to read and to write (ordinary pages, as a channel's window). It ends, and Linux has its memory
 * again, when nobody has it any more: no descriptor, no mapping, no partition that got it by PART_SHARE.
 * EINVAL, ENOMEM, ENOSPC (no more extents, or handles), EPERM (this Linux has no `control`).
 */
struct keel_ioc_share {
	uint64_t bytes;		/* multiple of 4096, KEEL_GIVE_MAX * 4096 at most */
	uint64_t pa;		/* out */
	uint32_t handle;	/* out: Linux's */
	uint32_t reserved0;	/* 0 */
	uint64_t reserved[2];	/* 0 */
};
#define KEEL_IOC_MEM_SHARE	_IOWR('K', 0x57, struct keel_ioc_share)	/* -> file descriptor */
/*
 * On a partition's descriptor, before PART_BOOT or later: an extent is for that partition, too, which has it until it is taken
 * back, whoever else lets go of it. EBADF, EINVAL (no descriptor of an extent; rights without READ, or others), EBUSY (it has that
 * one), ENOSPC (it has KEEL_PART_SHARES, or there are no more handles).
 */
struct keel_ioc_part_share {
	int32_t	 extent;	/* its descriptor */
	uint32_t rights;	/* KEEL_RIGHT_READ, or with KEEL_RIGHT_WRITE */
	uint32_t handle;	/* out: there */
	uint32_t reserved;	/* 0 */
};
#define KEEL_PART_SHARES	8
#define KEEL_IOC_PART_SHARE	_IOWR('K', 0x58, struct keel_ioc_part_share)
/*
 * Extents that are kept, for whoever wants the same content again. MEM_KEEP on an extent's descriptor: it is kept under this key, also
 * when nobody else has it; nobody can map it any more. MEM_OPEN on /dev/keel gives a descriptor of what is kept under a key.
 * KEEL_MEM_KEPT at most, and of so many pages of RAM (KEEL_MEM_KEPT_PART) one: who has not been opened for longest is kept no more; and when
 * memory is asked for that is not there, nobody that only the driver has.
 * MEM_KEEP: EBUSY (it is mapped to be written, or is kept), EEXIST (the key is in use), ENOSPC (it is too large for that). MEM_OPEN: ENOENT. Both: EINVAL.
 */
struct keel_ioc_kept {
	uint64_t key[8];	/* whatever tells one content from another */
	uint64_t bytes, pa;	/* out */
	uint32_t handle;	/* out: Linux's */
	uint32_t reserved;	/* 0 */
};
#define KEEL_MEM_KEPT		8
#define KEEL_MEM_KEPT_PART	64
#define KEEL_IOC_MEM_KEEP	_IOWR('K', 0x59, struct keel_ioc_kept)
#define KEEL_IOC_MEM_OPEN	_IOWR('K', 0x5a, struct keel_ioc_kept)	/* -> file descriptor */

#endif /* KEEL_IOCTL_H */

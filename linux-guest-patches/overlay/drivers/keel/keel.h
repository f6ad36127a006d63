/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * keel.h - what the files of drivers/keel share.
 */
#ifndef _DRIVERS_KEEL_KEEL_H
#define _DRIVERS_KEEL_KEEL_H

#include <linux/gfp_types.h>
#include <linux/types.h>
#include <asm/keel.h>

/* On Keel, and on one whose ABI is ours. From initcalls. */
bool keel_usable(void);

/* Called with a non-empty set of event bits, in hard interrupt context. */
struct keel_listener {
	u64	mask;			/* bits of interest */
	void	(*notify)(u64 events);
};

/* At most once per bit, never undone; before the first event or from initcalls. */
void keel_listen(const struct keel_listener *listener);

/* Contiguous memory for the metakernel or a partition. va NULL: none. */
struct keel_piece {
	void		*va;
	unsigned long	npages;
};

/* Without `zero` the metakernel does that, or nobody need. Never the OOM killer: 0 or -ENOMEM. */
int keel_piece_alloc(struct keel_piece *piece, unsigned long npages, bool zero);
void keel_piece_free(struct keel_piece *piece);	/* and va is NULL */
/* From its beginning, in mmap(2): 0 or negative errno. */
struct vm_area_struct;
int keel_piece_map(const struct keel_piece *piece, struct vm_area_struct *vma);

/*
 * dev.c: how a call ends that returns a descriptor. file: or what went wrong instead; err: the rest of the answer did not get through.
 * -> fd, which stands for the file, or negative errno, and both are gone
 */
struct file;
long keel_fd_answer(int fd, struct file *file, long err);

/* share.c: memory of several partitions. */
struct file *keel_extent_get(int fd, u32 *handle);	/* or -EBADF, -EINVAL */
bool keel_kept_drop(void);	/* what nobody but the driver has; whether that was any */
struct keel_ioc_share;
struct keel_ioc_kept;
long keel_mem_share(struct keel_ioc_share __user *arg);
long keel_mem_open(struct keel_ioc_kept __user *arg);

struct keel_ioc_create;
struct keel_ioc_memory;
struct keel_ioc_open;
long keel_part_create(struct keel_ioc_create __user *arg);
long keel_part_memory(struct keel_ioc_memory __user *arg);
long keel_part_open(struct keel_ioc_open __user *arg);

struct keel_ioc_buf;
struct keel_ioc_ctl;
struct keel_ioc_budget;
struct keel_ioc_connect;
struct keel_ioc_grant;
struct keel_ioc_close;
long keel_cons(struct keel_ioc_buf __user *arg, bool write);	/* KEEL_IOC_CONS_* */
long keel_log_read(struct keel_ioc_buf __user *arg);
long keel_part_ctl(struct keel_ioc_ctl __user *arg);
long keel_part_budget(struct keel_ioc_budget __user *arg);
long keel_connect(struct keel_ioc_connect __user *arg);
long keel_grant(struct keel_ioc_grant __user *arg);
long keel_close(struct keel_ioc_close __user *arg);

/* A channel made at run time. When it ends its server loses it and its window is the caller's. */
void keel_chan_begin(u32 handle, bool connected);
bool keel_chan_closes(u32 handle);	/* was it connected? Once */
void keel_chan_end(u32 handle, struct keel_piece *window);

#endif /* _DRIVERS_KEEL_KEEL_H */

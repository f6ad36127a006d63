// SPDX-License-Identifier: GPL-2.0-only
/*
 * caps.c - control of other partitions, handles for them, channels between any two: what /dev/keel has of it.
 *
 * Trusts: the metakernel, which checks handles, rights and sizes.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/errno.h>
#include <linux/nospec.h>
#include <linux/printk.h>
#include <linux/uaccess.h>
#include <keel/ioctl.h>
#include "keel.h"

long keel_connect(struct keel_ioc_connect __user *arg)
{
	struct keel_ioc_connect req;
	long ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	ret = keel_hypercall3(KEEL_HC_CHAN_CONNECT, req.server, req.client, req.max_bytes);
	if (ret < 0)
		return ret;
	req.server_chan = (u32)ret;
	req.client_chan = ret >> 32;
	if (!req.server)
		keel_chan_begin(req.server_chan, true);
	return copy_to_user(arg, &req, sizeof(req)) ? -EFAULT : 0;
}

long keel_grant(struct keel_ioc_grant __user *arg)
{
	struct keel_ioc_grant req;
	long ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	ret = keel_hypercall3(KEEL_HC_CAP_GRANT, req.handle, req.part, req.rights);
	if (ret < 0)
		return ret;
	return put_user((u32)ret, &arg->made) ? -EFAULT : 0;
}

long keel_close(struct keel_ioc_close __user *arg)
{
	struct keel_piece window = { };
	struct keel_ioc_close req;
	long ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (!req.part) {
		/* Only once, and only what CONNECT has made: part.c ends the others */
		if (req.chan >= KEEL_MAX_HANDLES)
			return -EBADF;
		req.chan = array_index_nospec(req.chan, KEEL_MAX_HANDLES);
		if (!keel_chan_closes(req.chan))
			return -EPERM;
		keel_chan_end(req.chan, &window);
	}
	ret = keel_hypercall2(KEEL_HC_CHAN_CLOSE, req.part, req.chan);
	if (!ret || ret == -EBADF)	/* it has ended with its client: the window is back */
		keel_piece_free(&window);
	else if (window.va)
		pr_err("channel %u does not close (%ld): its window is lost, %lu KiB\n", req.chan, ret,
		       window.npages << (PAGE_SHIFT - 10));
	return ret;
}

long keel_part_ctl(struct keel_ioc_ctl __user *arg)
{
	struct keel_ioc_ctl ctl;

	if (copy_from_user(&ctl, arg, sizeof(ctl)))
		return -EFAULT;
	return keel_hypercall2(KEEL_HC_PART_CTL, ctl.handle, ctl.op);
}

long keel_part_budget(struct keel_ioc_budget __user *arg)
{
	struct keel_ioc_budget budget;

	if (copy_from_user(&budget, arg, sizeof(budget)))
		return -EFAULT;
	return keel_hypercall3(KEEL_HC_PART_BUDGET, budget.handle, budget.budget_ns, budget.period_ns);
}

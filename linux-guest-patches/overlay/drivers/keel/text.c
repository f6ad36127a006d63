// SPDX-License-Identifier: GPL-2.0-only
/* text.c - what /dev/keel has of consoles and of the metakernel's log. */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>
#include <keel/ioctl.h>
#include "keel.h"

static DEFINE_MUTEX(keel_text_lock);
static void *keel_text_page;	/* what the metakernel reads and writes; under the lock */

long keel_cons(struct keel_ioc_buf __user *arg, bool write)
{
	unsigned int hc = write ? KEEL_HC_PART_CONS_WRITE : KEEL_HC_PART_CONS_READ;
	struct keel_ioc_buf buf;
	long ret;

	if (copy_from_user(&buf, arg, sizeof(buf)))
		return -EFAULT;
	if (buf.len > PAGE_SIZE)
		return -EINVAL;

	mutex_lock(&keel_text_lock);
	if (write && copy_from_user(keel_text_page, u64_to_user_ptr(buf.addr), buf.len))
		ret = -EFAULT;
	else
		ret = keel_hypercall3(hc, buf.handle, __pa(keel_text_page), buf.len);
	if (!write && ret > 0 && copy_to_user(u64_to_user_ptr(buf.addr), keel_text_page, ret))
		ret = -EFAULT;
	mutex_unlock(&keel_text_lock);
	return ret;
}

long keel_log_read(struct keel_ioc_buf __user *arg)
{
	struct keel_ioc_buf buf;
	unsigned long flags;
	u64 position;
	long ret;

	if (copy_from_user(&buf, arg, sizeof(buf)))
		return -EFAULT;
	if (buf.len > PAGE_SIZE)
		return -EINVAL;

	mutex_lock(&keel_text_lock);
	/* The second result must not be overwritten by another hypercall or a return to user mode */
	local_irq_save(flags);
	ret = keel_hypercall3(KEEL_HC_LOG_READ, __pa(keel_text_page), buf.len, buf.position);
	position = keel_vcpu->ret1;
	local_irq_restore(flags);
	if (ret > 0 && copy_to_user(u64_to_user_ptr(buf.addr), keel_text_page, ret))
		ret = -EFAULT;
	mutex_unlock(&keel_text_lock);

	if (ret >= 0 && put_user(position, &arg->position))
		return -EFAULT;
	return ret;
}

static int __init keel_text_init(void)
{
	keel_text_page = keel_guest() ? (void *)__get_free_page(GFP_KERNEL) : NULL;
	return keel_guest() && !keel_text_page ? -ENOMEM : 0;
}
fs_initcall(keel_text_init);		/* before /dev/keel is there */

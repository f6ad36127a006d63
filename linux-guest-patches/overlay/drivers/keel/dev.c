// SPDX-License-Identifier: GPL-2.0-only
/*
 * dev.c - /dev/keel: peers and channels for user space (keel/ioctl.h).
 *
 * A channel's window is allocated here once and belongs to the channel from then on: whoever serves
 * the channel next gets the same pages. They are given back when a channel ends, which those of the manifest
 * never do (part.c has the others). They are ordinary pages with struct page, mapped with
 * vm_insert_page(), so that direct I/O, io_uring and vhost can pin them, also beyond the channel's end.
 *
 * A server that waits has just answered, and the next call often comes within microseconds. So
 * the CPU is halted once right in the waiting call, as the idle task would do it, and only when
 * something else than the doorbell ended that (the tick, at the latest) does the task sleep. Two
 * task switches and leaving and entering idle cost several times the call itself. The doorbell may
 * come to another CPU: that one sends an interrupt to where a task lingers.
 *
 * Locks:   keel_dev_lock guards everything but `eventfd`, `rung`, `lingers` and `wait`; keel_event_lock guards
 *          the first, and is taken by the event interrupt. A descriptor has a channel from KEEL_IOC_CHAN_SERVE
 *          until it is closed or the channel ends; who kicks or waits without a lock may then ring or be rung
 *          by the next channel with that handle, once. keel_window_lock, the innermost, is between mmap(2), which
 *          has mmap_lock, and a channel's end.
 * Trusts:  the metakernel. Handles and sizes from user space are checked there, and here only
 *          where they index our own tables.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <trace/events/ipi.h>
#include <keel/ioctl.h>
#include "keel.h"

struct keel_channel {
	struct keel_piece	window;		/* once offered, as long as the channel is */
	bool			over;		/* it has ended; one that follows it begins anew */
	bool			made;		/* by part.c */
	bool			connected;	/* by KEEL_IOC_CONNECT: may be closed */
	struct file		*server;	/* descriptor that serves it now */
	struct eventfd_ctx	*eventfd;	/* under keel_event_lock */
	bool			rung;		/* since the last wait */
	int			lingers;	/* CPU where a task lingers for it, + 1; or 0 */
	wait_queue_head_t	wait;
};

static DEFINE_MUTEX(keel_dev_lock);
static DEFINE_MUTEX(keel_window_lock);
static DEFINE_SPINLOCK(keel_event_lock);
static struct keel_channel keel_channels[KEEL_MAX_HANDLES];
static void *keel_page;		/* what the metakernel reads and writes; under keel_dev_lock */

/* The channel a descriptor serves, or NULL. */
static struct keel_channel *keel_served(struct file *file)
{
	/* acquire; pairs with the release in keel_chan_serve_locked() */
	return smp_load_acquire(&file->private_data);
}

#define keel_handle(chan)	((unsigned int)((chan) - keel_channels))

/* ---- Events --------------------------------------------------------------------------------------- */

static void keel_signal_eventfd(struct keel_channel *chan)
{
	unsigned long flags;

	spin_lock_irqsave(&keel_event_lock, flags);
	if (chan->eventfd)
		eventfd_signal(chan->eventfd);
	spin_unlock_irqrestore(&keel_event_lock, flags);
}

static __always_inline void keel_rung(struct keel_channel *chan)
{
	int cpu;

	WRITE_ONCE(chan->rung, true);
	if (wq_has_sleeper(&chan->wait))
		wake_up(&chan->wait);
	/* After wq_has_sleeper()'s barrier; pairs with keel_chan_linger() */
	cpu = READ_ONCE(chan->lingers) - 1;
	if (cpu >= 0 && cpu != smp_processor_id())
		smp_send_reschedule(cpu);
	if (READ_ONCE(chan->eventfd))
		keel_signal_eventfd(chan);
}

/* Set before KEEL_EV_CHANNEL was: one that comes later sets that again. */
static noinline void keel_rung_by_words(void)
{
	unsigned int i, word;

	for (word = 0; word < ARRAY_SIZE(keel_vcpu->chan_events); word++) {
		unsigned long bits = xchg(&keel_vcpu->chan_events[word], 0);

		for_each_set_bit(i, &bits, 64)
			keel_rung(&keel_channels[64 * word + i]);
	}
}

static void keel_dev_notify(u64 events)
{
	unsigned long bits = events;
	unsigned int i;

	for_each_set_bit(i, &bits, KEEL_EV_DIRECT)
		keel_rung(&keel_channels[i]);
	if (unlikely(events & BIT_ULL(KEEL_EV_CHANNEL)))
		keel_rung_by_words();
}

static const struct keel_listener keel_dev_listener = {
	.mask	= (BIT_ULL(KEEL_EV_DIRECT) - 1) | BIT_ULL(KEEL_EV_CHANNEL),
	.notify	= keel_dev_notify,
};

static struct eventfd_ctx *keel_set_eventfd(struct keel_channel *chan, struct eventfd_ctx *ctx)
{
	struct eventfd_ctx *old;
	unsigned long flags;

	spin_lock_irqsave(&keel_event_lock, flags);
	old = chan->eventfd;
	chan->eventfd = ctx;
	spin_unlock_irqrestore(&keel_event_lock, flags);
	return old;
}

/* ---- Calls that fill a structure: copy in, hypercall into our page, copy out -------------------- */

static long keel_get_info(unsigned int hc, void __user *arg, size_t info_offset, size_t info_bytes)
{
	u64 handle;	/* of CAP_INFO with that of a partition above it */
	long ret;

	if (get_user(handle, (u64 __user *)arg))
		return -EFAULT;
	if (hc != KEEL_HC_CAP_INFO)
		handle = (u32)handle;

	mutex_lock(&keel_dev_lock);
	memset(keel_page, 0, info_bytes);
	ret = keel_hypercall2(hc, handle, __pa(keel_page));
	if (ret >= 0 && copy_to_user(arg + info_offset, keel_page, info_bytes))
		ret = -EFAULT;
	mutex_unlock(&keel_dev_lock);
	return ret;
}

static long keel_cap_info(struct keel_ioc_cap __user *arg)
{
	u32 handle, part;
	long ret;

	if (get_user(handle, &arg->handle) || get_user(part, &arg->part))
		return -EFAULT;
	ret = keel_get_info(KEEL_HC_CAP_INFO, arg, offsetof(struct keel_ioc_cap, info), sizeof(struct keel_cap_info));
	if (ret < 0 || part || handle >= KEEL_MAX_HANDLES)
		return ret;
	handle = array_index_nospec(handle, KEEL_MAX_HANDLES);
	return put_user(READ_ONCE(keel_channels[handle].made) ? KEEL_IOC_CAP_MADE : 0, &arg->part) ? -EFAULT : ret;
}

/* ---- Serving a channel ------------------------------------------------------------------------------ */

/* May we serve this handle, and how large may its window be? */
static long keel_chan_limits(u32 handle, size_t *max_bytes)
{
	const struct keel_cap_info *cap = keel_page;
	const struct keel_chan_info *chan = keel_page;
	long ret;

	ret = keel_hypercall2(KEEL_HC_CAP_INFO, handle, __pa(keel_page));
	if (ret)
		return ret;
	if (cap->type != KEEL_CAP_CHANNEL)
		return -EBADF;
	if (!(cap->rights & KEEL_RIGHT_SERVE))
		return -EPERM;

	ret = keel_hypercall2(KEEL_HC_CHAN_INFO, handle, __pa(keel_page));
	if (ret)
		return ret;
	*max_bytes = chan->max_bytes;
	return 0;
}

/* The channel's window: allocated and offered by the first caller. */
static long keel_chan_window(struct keel_channel *chan, size_t bytes)
{
	struct keel_piece window;
	long ret;

	if (chan->window.va)
		return 0;
	if (!bytes || !PAGE_ALIGNED(bytes))
		return -EINVAL;

	ret = keel_piece_alloc(&window, bytes >> PAGE_SHIFT, false);
	if (ret)
		return ret;
	ret = keel_hypercall3(KEEL_HC_CHAN_OFFER, keel_handle(chan), __pa(window.va), window.npages);
	if (ret)
		keel_piece_free(&window);
	else
		chan->window = window;
	return ret;
}

static long keel_chan_serve_locked(struct file *file, struct keel_ioc_serve *serve,
				   struct eventfd_ctx *ctx)
{
	struct keel_channel *chan;
	size_t max_bytes;
	long ret;

	if (keel_served(file))
		return -EBUSY;

	ret = keel_chan_limits(serve->handle, &max_bytes);
	if (ret)
		return ret;
	chan = &keel_channels[array_index_nospec(serve->handle, KEEL_MAX_HANDLES)];
	if (chan->over)
		return -EBADF;
	if (chan->server)
		return -EBUSY;
	if (serve->window_bytes > max_bytes)
		return -EINVAL;

	ret = keel_chan_window(chan, serve->window_bytes ?: max_bytes);
	if (ret)
		return ret;

	chan->server = file;
	WRITE_ONCE(chan->rung, false);
	/* release; pairs with the acquire in keel_served(): the window first */
	smp_store_release(&file->private_data, chan);
	keel_set_eventfd(chan, ctx);
	serve->window_bytes = chan->window.npages << PAGE_SHIFT;
	return 0;
}

static long keel_chan_serve(struct file *file, struct keel_ioc_serve __user *arg)
{
	struct eventfd_ctx *ctx = NULL;
	struct keel_ioc_serve serve;
	long ret;

	if (copy_from_user(&serve, arg, sizeof(serve)))
		return -EFAULT;
	if (serve.handle >= KEEL_MAX_HANDLES)
		return -EBADF;
	if (serve.eventfd >= 0) {
		ctx = eventfd_ctx_fdget(serve.eventfd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	}

	mutex_lock(&keel_dev_lock);
	ret = keel_chan_serve_locked(file, &serve, ctx);
	mutex_unlock(&keel_dev_lock);

	if (ret) {
		if (ctx)
			eventfd_ctx_put(ctx);
		return ret;
	}
	return put_user(serve.window_bytes, &arg->window_bytes) ? -EFAULT : 0;
}

static long keel_chan_up(struct file *file)
{
	struct keel_channel *chan;
	long ret = -EBADF;

	mutex_lock(&keel_dev_lock);
	chan = keel_served(file);
	if (chan)
		ret = keel_hypercall2(KEEL_HC_CHAN_STATE, keel_handle(chan), 1);
	mutex_unlock(&keel_dev_lock);
	return ret;
}

static long keel_chan_kick(struct file *file)
{
	struct keel_channel *chan = keel_served(file);

	return chan ? keel_hypercall1(KEEL_HC_CHAN_KICK, keel_handle(chan)) : -EBADF;
}

void keel_chan_end(u32 handle, struct keel_piece *window)
{
	struct keel_channel *chan = &keel_channels[handle];
	struct eventfd_ctx *ctx;

	mutex_lock(&keel_dev_lock);
	WRITE_ONCE(chan->made, false);
	chan->over = true;
	chan->connected = false;
	mutex_lock(&keel_window_lock);
	if (chan->server)
		WRITE_ONCE(chan->server->private_data, NULL);
	*window = chan->window;
	chan->window.va = NULL;
	mutex_unlock(&keel_window_lock);
	chan->server = NULL;
	ctx = keel_set_eventfd(chan, NULL);
	mutex_unlock(&keel_dev_lock);
	wake_up_all(&chan->wait);
	if (ctx) {
		eventfd_signal(ctx);	/* who waits for that finds out */
		eventfd_ctx_put(ctx);
	}
}

void keel_chan_begin(u32 handle, bool connected)
{
	struct keel_channel *chan = &keel_channels[handle];
	struct keel_piece old;

	/* What one before it left, which ended with its client */
	keel_chan_end(handle, &old);
	keel_piece_free(&old);
	mutex_lock(&keel_dev_lock);
	chan->over = false;
	WRITE_ONCE(chan->made, !connected);
	chan->connected = connected;
	WRITE_ONCE(chan->rung, false);
	mutex_unlock(&keel_dev_lock);
}

bool keel_chan_closes(u32 handle)
{
	return xchg(&keel_channels[handle].connected, false);
}

/* ---- Waiting for the client ------------------------------------------------------------------------- */

static bool keel_chan_take(struct keel_channel *chan)
{
	return READ_ONCE(chan->rung) && xchg(&chan->rung, false);
}

/* After a take: if the channel has ended, it may have been a doorbell of its successor. */
static long keel_chan_taken(struct file *file, struct keel_channel *chan)
{
	if (likely(keel_served(file) == chan))
		return 0;
	WRITE_ONCE(chan->rung, true);
	wake_up_all(&chan->wait);
	return -EBADF;
}

/* Halts this CPU until its next interrupt, if nobody else has a use for it. */
static void keel_chan_linger(struct keel_channel *chan)
{
	local_irq_disable();
	smp_store_mb(chan->lingers, smp_processor_id() + 1);	/* before `rung` is read */
	if (READ_ONCE(chan->rung) || need_resched() || !single_task_running() ||
	    signal_pending(current))
		local_irq_enable();
	else
		safe_halt();	/* turns interrupts on */
	WRITE_ONCE(chan->lingers, 0);
}

static long keel_chan_wait(struct file *file, bool kick, unsigned long timeout_ms)
{
	struct keel_channel *chan = keel_served(file);
	long ret;

	if (!chan)
		return -EBADF;
	if (kick) {
		ret = keel_hypercall1(KEEL_HC_CHAN_KICK, keel_handle(chan));
		if (ret)
			return ret;
	}
	if (keel_chan_take(chan))
		return keel_chan_taken(file, chan);
	if (!timeout_ms)
		return -ETIME;

	keel_chan_linger(chan);
	if (keel_chan_take(chan))
		return keel_chan_taken(file, chan);
	/* Not restarted: the time limit would start again, and the caller looks again anyway */
	ret = wait_event_interruptible_timeout(chan->wait,
					       keel_served(file) != chan || keel_chan_take(chan),
					       timeout_ms >= KEEL_WAIT_FOREVER ?
					       MAX_SCHEDULE_TIMEOUT :
					       msecs_to_jiffies(timeout_ms));
	if (ret < 0)
		return -EINTR;
	return ret ? keel_chan_taken(file, chan) : -ETIME;
}

/* ---- File operations -------------------------------------------------------------------------------- */

static int keel_dev_open(struct inode *inode, struct file *file)
{
	file->private_data = NULL;	/* misc_open() left the miscdevice here */
	return 0;
}

long keel_fd_answer(int fd, struct file *file, long err)
{
	if (!IS_ERR(file) && !err) {
		fd_install(fd, file);
		return fd;
	}
	put_unused_fd(fd);
	if (IS_ERR(file))
		return PTR_ERR(file);
	fput(file);
	return err;
}

static long keel_dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case KEEL_IOC_CAP_INFO:
		return keel_cap_info(p);
	case KEEL_IOC_PART_INFO:
		return keel_get_info(KEEL_HC_PART_INFO, p, offsetof(struct keel_ioc_part, info),
				     sizeof(struct keel_part_info));
	case KEEL_IOC_PART_STATS:
		return keel_get_info(KEEL_HC_PART_STATS, p, offsetof(struct keel_ioc_stats, stats),
				     sizeof(struct keel_part_stats));
	case KEEL_IOC_CHAN_INFO:
		return keel_get_info(KEEL_HC_CHAN_INFO, p, offsetof(struct keel_ioc_chan, info),
				     sizeof(struct keel_chan_info));
	case KEEL_IOC_PART_CTL:
		return keel_part_ctl(p);
	case KEEL_IOC_CONS_READ:
		return keel_cons(p, false);
	case KEEL_IOC_CONS_WRITE:
		return keel_cons(p, true);
	case KEEL_IOC_LOG_READ:
		return keel_log_read(p);
	case KEEL_IOC_CHAN_SERVE:
		return keel_chan_serve(file, p);
	case KEEL_IOC_CHAN_UP:
		return keel_chan_up(file);
	case KEEL_IOC_CHAN_KICK:
		return keel_chan_kick(file);
	case KEEL_IOC_CHAN_WAIT:
		return keel_chan_wait(file, false, arg);
	case KEEL_IOC_CHAN_KICK_WAIT:
		return keel_chan_wait(file, true, arg);
	case KEEL_IOC_PART_BUDGET:
		return keel_part_budget(p);
	case KEEL_IOC_PART_CREATE:
		return keel_part_create(p);
	case KEEL_IOC_PART_MEMORY:
		return keel_part_memory(p);
	case KEEL_IOC_PART_OPEN:
		return keel_part_open(p);
	case KEEL_IOC_MEM_SHARE:
		return keel_mem_share(p);
	case KEEL_IOC_MEM_OPEN:
		return keel_mem_open(p);
	case KEEL_IOC_CONNECT:
		return keel_connect(p);
	case KEEL_IOC_CAP_GRANT:
		return keel_grant(p);
	case KEEL_IOC_CAP_REVOKE:
		return keel_hypercall1(KEEL_HC_CAP_REVOKE, arg);
	case KEEL_IOC_CHAN_CLOSE:
		return keel_close(p);
	}
	return -ENOTTY;
}

static __poll_t keel_dev_poll(struct file *file, struct poll_table_struct *table)
{
	struct keel_channel *chan = keel_served(file);

	if (!chan)
		return EPOLLERR;
	poll_wait(file, &chan->wait, table);
	if (keel_served(file) != chan)
		return EPOLLERR;
	return READ_ONCE(chan->rung) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int keel_dev_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct keel_channel *chan;
	int ret;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff)
		return -EINVAL;
	mutex_lock(&keel_window_lock);
	chan = keel_served(file);
	ret = chan ? keel_piece_map(&chan->window, vma) : -EBADF;
	mutex_unlock(&keel_window_lock);
	return ret;
}

static int keel_dev_release(struct inode *inode, struct file *file)
{
	struct eventfd_ctx *ctx = NULL;
	struct keel_channel *chan;

	mutex_lock(&keel_dev_lock);
	chan = keel_served(file);
	if (chan) {
		keel_hypercall2(KEEL_HC_CHAN_STATE, keel_handle(chan), 0);
		ctx = keel_set_eventfd(chan, NULL);
		chan->server = NULL;
	}
	mutex_unlock(&keel_dev_lock);
	if (ctx)
		eventfd_ctx_put(ctx);
	return 0;
}

static const struct file_operations keel_dev_fops = {
	.owner		= THIS_MODULE,
	.open		= keel_dev_open,
	.unlocked_ioctl	= keel_dev_ioctl,
	.poll		= keel_dev_poll,
	.mmap		= keel_dev_mmap,
	.release	= keel_dev_release,
	.llseek		= noop_llseek,
};

static struct miscdevice keel_dev = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "keel",
	.mode	= 0600,
	.fops	= &keel_dev_fops,
};

static int __init keel_dev_init(void)
{
	unsigned int i;

	if (!keel_usable())
		return 0;
	for (i = 0; i < KEEL_MAX_HANDLES; i++)
		init_waitqueue_head(&keel_channels[i].wait);
	keel_page = (void *)__get_free_page(GFP_KERNEL);
	if (!keel_page)
		return -ENOMEM;
	keel_listen(&keel_dev_listener);
	return misc_register(&keel_dev);
}
device_initcall(keel_dev_init);

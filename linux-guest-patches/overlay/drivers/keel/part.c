// SPDX-License-Identifier: GPL-2.0-only
/*
 * part.c - partitions of a program's own: KEEL_IOC_PART_CREATE and the descriptor it returns.
 *
 * All a partition needs comes out of Linux's page allocator: its memory, the metakernel's quota for
 * it, its channel's window. While they are away they stay allocated here, so nobody in Linux touches
 * them. The memory is mapped page frame by page frame (VM_PFNMAP): nothing can pin it, so when the
 * mappings are gone at KEEL_IOC_PART_BOOT, nobody has it. A mapping also holds the descriptor.
 *
 * Everything comes back at once, by KEEL_HC_PART_RECLAIM, when the descriptor goes. What the metakernel
 * does not give back is not freed. Of a partition that is kept only the descriptor goes: it stays in the
 * list, and KEEL_IOC_PART_OPEN makes a new one.
 *
 * While one runs it gets more by KEEL_IOC_PART_MEMORY, in pieces, and may give such pieces back (resize.c). What it shares with
 * others is not its own (share.c): it only keeps that from ending.
 *
 * Locks:   keel_parts_lock guards the list, `kept`, `held`, keel_part_info and pieces that were given later. `lock` of each partition is between a
 *          page fault and PART_BOOT, and guards what it shares; it may be taken with mmap_lock held. Neither is held while user memory
 *          is copied.
 * Trusts:  the metakernel. What it checks (names, priorities, CPUs, addresses) is not checked here.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/anon_inodes.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <asm/tsc.h>
#include <keel/ioctl.h>
#include "keel.h"
#include "part.h"

#define KEEL_AROUND_PAGES	16	/* mapped by one fault */
#define KEEL_RECLAIM_MS		10000

DEFINE_MUTEX(keel_parts_lock);
LIST_HEAD(keel_parts);
static struct keel_part_info *keel_part_info;	/* what the metakernel writes */

/* ---- Making one ------------------------------------------------------------------------------------- */

/* Gives the metakernel a quota of so many pages: 0, the partition is there. */
static long keel_part_try(struct keel_part *part, unsigned long npages)
{
	long ret = keel_piece_alloc(&part->quota, npages, false);

	if (ret)
		return ret;
	part->args->create.quota_pa = __pa(part->quota.va);
	part->args->create.quota_pages = npages;
	ret = keel_hypercall1(KEEL_HC_PART_CREATE, __pa(part->args));
	if (ret < 0) {
		keel_piece_free(&part->quota);
		return ret;
	}
	part->handle = ret;
	return 0;
}

/* The first try is too little, and says how much it takes. */
static long keel_part_register(struct keel_part *part, const struct keel_ioc_create *req)
{
	struct keel_part_create *create = &part->args->create;
	unsigned long flags, needed;
	long ret;

	memset(create, 0, sizeof(*create));
	memcpy(create->name, req->name, sizeof(create->name));
	create->priority = req->priority;
	create->nvcpus = req->nvcpus;
	create->shadow_pages = req->shadow_pages;
	create->flags = req->flags;
	create->cpus = req->cpus;
	create->budget_ns = req->budget_ns;
	create->period_ns = req->period_ns;
	create->quota_pa = __pa(part->memory.va);
	/* The second result must not be overwritten by another hypercall or a return to user mode */
	local_irq_save(flags);
	ret = keel_hypercall1(KEEL_HC_PART_CREATE, __pa(part->args));
	needed = keel_vcpu->ret1;
	local_irq_restore(flags);
	if (ret != -ENOMEM)
		return ret < 0 ? ret : -EIO;
	return needed <= KEEL_MAX_PAGES ? keel_part_try(part, needed) : -ENOMEM;
}

static void keel_part_unmake(struct keel_part *part);

static struct keel_part *keel_part_make(const struct keel_ioc_create *req)
{
	struct keel_part *part = kzalloc(sizeof(*part), GFP_KERNEL);
	long ret = -ENOMEM;

	if (!part)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&part->link);
	init_waitqueue_head(&part->wait);
	mutex_init(&part->lock);
	strscpy(part->name, req->name);
	part->held = true;
	part->args = kmalloc(roundup_pow_of_two(sizeof(*part->args)), GFP_KERNEL);
	if (part->args)
		ret = keel_piece_alloc(&part->memory, req->mem_bytes >> PAGE_SHIFT, true);
	if (!ret)
		ret = keel_part_register(part, req);
	if (!ret && req->window_bytes) {
		ret = keel_hypercall2(KEEL_HC_CHAN_CREATE, part->handle, req->window_bytes);
		if (ret > 0) {
			part->chan = ret;
			keel_chan_begin(part->chan, false);
			ret = 0;
		}
	}
	if (ret) {
		keel_part_unmake(part);
		return ERR_PTR(ret);
	}
	mutex_lock(&keel_parts_lock);
	list_add(&part->link, &keel_parts);
	mutex_unlock(&keel_parts_lock);
	return part;
}

/* ---- Taking it back --------------------------------------------------------------------------------- */

static long keel_part_reclaim(struct keel_part *part)
{
	unsigned long end = jiffies + msecs_to_jiffies(KEEL_RECLAIM_MS);
	long ret;

	keel_hypercall2(KEEL_HC_PART_CTL, part->handle, KEEL_CTL_DESTROY);
	for (;;) {
		ret = keel_hypercall1(KEEL_HC_PART_RECLAIM, part->handle);
		/* Busy: a CPU is about to leave it */
		if (ret != -EBUSY || time_after(jiffies, end))
			return ret;
		usleep_range(50, 200);
	}
}

static void keel_part_unmake(struct keel_part *part)
{
	struct keel_piece window = { };
	unsigned int i;
	long ret = 0;

	mutex_lock(&keel_parts_lock);
	list_del(&part->link);
	mutex_unlock(&keel_parts_lock);

	if (part->chan)
		keel_chan_end(part->chan, &window);
	if (part->handle)
		ret = keel_part_reclaim(part);
	if (ret) {
		pr_err("partition %s is not given back (%ld): its memory is lost, %llu KiB\n", part->name, ret,
		       (keel_part_bytes(part) >> 10) + ((part->quota.npages + window.npages) << (PAGE_SHIFT - 10)));
	} else {
		for (i = 0; i < part->nmore; i++)
			keel_piece_free(&part->more[i]);
		keel_piece_free(&window);
		keel_piece_free(&part->quota);
		keel_piece_free(&part->memory);
	}
	for (i = 0; i < part->nshared; i++)
		fput(part->shared[i]);
	kfree(part->args);
	kfree(part);
}

/* ---- Its descriptor --------------------------------------------------------------------------------- */

static vm_fault_t keel_part_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct keel_part *part = vma->vm_file->private_data;
	unsigned long pfn = __pa(part->memory.va) >> PAGE_SHIFT;
	unsigned long from = ALIGN_DOWN(vmf->pgoff, KEEL_AROUND_PAGES), i;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	pgprot_t prot = vma->vm_page_prot;

	/* As after a write to each: what is not dirty would be a fault again, and is never loaded beside another */
	if (vma->vm_flags & VM_WRITE)
		prot = __pgprot(pgprot_val(prot) | _PAGE_DIRTY);
	mutex_lock(&part->lock);
	if (!part->booted)
		ret = vmf_insert_pfn_prot(vma, vmf->address, pfn + vmf->pgoff, prot);
	if (ret == VM_FAULT_NOPAGE) {
		unsigned long end = min(from + KEEL_AROUND_PAGES, vma->vm_pgoff + vma_pages(vma));

		/* Those that are mapped already stay as they are */
		for (i = max(from, vma->vm_pgoff); i < end; i++)
			vmf_insert_pfn_prot(vma, vma->vm_start + ((i - vma->vm_pgoff) << PAGE_SHIFT), pfn + i, prot);
	}
	mutex_unlock(&part->lock);
	return ret;
}

static const struct vm_operations_struct keel_part_vm_ops = {
	.fault	= keel_part_fault,
};

static int keel_part_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct keel_part *part = file->private_data;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff > part->memory.npages ||
	    vma_pages(vma) > part->memory.npages - vma->vm_pgoff)
		return -EINVAL;
	vm_flags_set(vma, VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &keel_part_vm_ops;
	return 0;
}

/* Should a later piece be refused, the earlier ones are away until the descriptor is closed. */
static long keel_part_give(struct keel_part *part)
{
	unsigned long left = part->memory.npages, n;
	phys_addr_t pa = __pa(part->memory.va);
	long ret = 0;

	for (; left && !ret; left -= n, pa += n << PAGE_SHIFT) {
		n = min(left, (unsigned long)KEEL_GIVE_MAX);
		ret = keel_hypercall3(KEEL_HC_PART_GIVE, part->handle, pa, n);
	}
	return ret;
}

static long keel_part_boot(struct file *file, const struct keel_part_start __user *arg)
{
	struct keel_part *part = file->private_data;
	struct keel_part_start start;
	bool booted;
	long ret;

	if (copy_from_user(&start, arg, sizeof(start)))
		return -EFAULT;
	mutex_lock(&part->lock);
	booted = part->booted;
	part->booted = true;
	mutex_unlock(&part->lock);
	if (booted)
		return -EBUSY;

	/* Faults that saw `booted` clear are over */
	unmap_mapping_range(file->f_mapping, 0, 0, 1);
	ret = keel_part_give(part);
	if (ret)
		return ret;
	part->args->start = start;
	return keel_hypercall2(KEEL_HC_PART_START, part->handle, __pa(part->args));
}

static long keel_part_keep(struct keel_part *part, unsigned long on)
{
	if (on > 1)
		return -EINVAL;
	mutex_lock(&keel_parts_lock);
	part->kept = on;
	mutex_unlock(&keel_parts_lock);
	return 0;
}

/* It has the extent as long as it is there itself: then who made that may go. */
static long keel_part_grant(struct keel_part *part, struct file *extent, u32 handle, u32 rights)
{
	long ret = -ENOSPC;

	mutex_lock(&part->lock);
	if (part->nshared < KEEL_PART_SHARES)
		ret = keel_hypercall3(KEEL_HC_CAP_GRANT, handle, part->handle, rights);
	if (ret > 0)
		part->shared[part->nshared++] = extent;
	mutex_unlock(&part->lock);
	return ret;
}

static long keel_part_share(struct keel_part *part, struct keel_ioc_part_share __user *arg)
{
	struct keel_ioc_part_share req;
	struct file *extent;
	u32 handle;
	long ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (req.reserved || (req.rights & ~KEEL_RIGHT_WRITE) != KEEL_RIGHT_READ)
		return -EINVAL;
	extent = keel_extent_get(req.extent, &handle);
	if (IS_ERR(extent))
		return PTR_ERR(extent);
	ret = keel_part_grant(part, extent, handle, req.rights);
	if (ret < 0) {
		fput(extent);
		return ret;
	}
	return put_user((u32)ret, &arg->handle) ? -EFAULT : 0;
}

static long keel_part_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case KEEL_IOC_PART_BOOT:
		return keel_part_boot(file, (void __user *)arg);
	case KEEL_IOC_PART_KEEP:
		return keel_part_keep(file->private_data, arg);
	case KEEL_IOC_PART_SHARE:
		return keel_part_share(file->private_data, (void __user *)arg);
	}
	return -ENOTTY;
}

static __poll_t keel_part_poll(struct file *file, struct poll_table_struct *table)
{
	struct keel_part *part = file->private_data;
	__poll_t mask;

	poll_wait(file, &part->wait, table);
	mask = READ_ONCE(part->ended) ? EPOLLIN | EPOLLRDNORM : 0;
	/* For who asks for it, and once */
	if ((poll_requested_events(table) & EPOLLPRI) && xchg(&part->spent, 0))
		mask |= EPOLLPRI;
	return mask;
}

/* The descriptor is gone, or could not be made. */
static void keel_part_let_go(struct keel_part *part)
{
	bool kept;

	mutex_lock(&keel_parts_lock);
	kept = part->kept;
	part->held = false;
	mutex_unlock(&keel_parts_lock);
	/* One that is not kept nobody can take hold of again */
	if (!kept)
		keel_part_unmake(part);
}

static int keel_part_release(struct inode *inode, struct file *file)
{
	keel_part_let_go(file->private_data);
	return 0;
}

static const struct file_operations keel_part_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= keel_part_ioctl,
	.poll		= keel_part_poll,
	.mmap		= keel_part_mmap,
	.release	= keel_part_release,
	.llseek		= noop_llseek,
};

/* The file, which holds the partition from now on, or an error and it is let go. */
static struct file *keel_part_file(struct keel_part *part)
{
	/* An inode of its own: what is unmapped at PART_BOOT are the mappings of an inode */
	struct file *file = anon_inode_create_getfile("[keel-partition]", &keel_part_fops, part, O_RDWR, NULL);

	if (IS_ERR(file))
		keel_part_let_go(part);
	return file;
}

static bool keel_part_sizes_ok(const struct keel_ioc_create *req)
{
	return req->mem_bytes && PAGE_ALIGNED(req->mem_bytes) && PAGE_ALIGNED(req->window_bytes) &&
	       req->mem_bytes >> PAGE_SHIFT <= KEEL_MAX_PAGES && req->window_bytes >> PAGE_SHIFT <= KEEL_MAX_PAGES;
}

long keel_part_create(struct keel_ioc_create __user *arg)
{
	struct keel_ioc_create req;
	struct keel_part *part;
	struct file *file;
	int fd;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (!keel_part_sizes_ok(&req) || req.reserved)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	part = keel_part_make(&req);
	file = IS_ERR(part) ? ERR_CAST(part) : keel_part_file(part);
	if (IS_ERR(file))
		return keel_fd_answer(fd, file, 0);
	req.mem_pa = __pa(part->memory.va);
	req.handle = part->handle;
	req.chan = part->chan;
	req.tsc_khz = tsc_khz;
	return keel_fd_answer(fd, file, copy_to_user(arg, &req, sizeof(req)) ? -EFAULT : 0);
}

/* A kept one that nobody holds: it is the caller's to hold. */
static struct keel_part *keel_part_take(const char *name)
{
	struct keel_part *part, *found = ERR_PTR(-ENOENT);

	mutex_lock(&keel_parts_lock);
	list_for_each_entry(part, &keel_parts, link) {
		if (strcmp(part->name, name))
			continue;
		/* Neither held nor kept: it is on its way out */
		found = part->held ? ERR_PTR(-EBUSY) : part->kept ? part : found;
		break;
	}
	if (!IS_ERR(found))
		found->held = true;
	mutex_unlock(&keel_parts_lock);
	return found;
}

long keel_part_open(struct keel_ioc_open __user *arg)
{
	struct keel_ioc_open req;
	struct keel_part *part;
	struct file *file;
	int fd;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (!memchr(req.name, 0, sizeof(req.name)) || memchr_inv(req.reserved, 0, sizeof(req.reserved)))
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	part = keel_part_take(req.name);
	file = IS_ERR(part) ? ERR_CAST(part) : keel_part_file(part);
	if (IS_ERR(file))
		return keel_fd_answer(fd, file, 0);
	req.mem_bytes = (u64)part->memory.npages << PAGE_SHIFT;
	req.handle = part->handle;
	req.chan = part->chan;
	return keel_fd_answer(fd, file, copy_to_user(arg, &req, sizeof(req)) ? -EFAULT : 0);
}

/* ---- Their ends, and those of their budgets ---------------------------------------------------------- */

static void keel_part_look(struct keel_part *part)
{
	if (part->ended || keel_hypercall2(KEEL_HC_PART_INFO, part->handle, __pa(keel_part_info)))
		return;
	if (keel_part_info->exhausted != part->exhausted)
		WRITE_ONCE(part->spent, 1);
	else if (keel_part_info->state < KEEL_PART_EXITED)
		return;
	part->exhausted = keel_part_info->exhausted;
	WRITE_ONCE(part->ended, keel_part_info->state >= KEEL_PART_EXITED);
	wake_up_all(&part->wait);
}

static void keel_parts_look(struct work_struct *work)
{
	struct keel_part *part;

	mutex_lock(&keel_parts_lock);
	list_for_each_entry(part, &keel_parts, link) {
		keel_part_shrink(part);
		keel_part_look(part);
	}
	mutex_unlock(&keel_parts_lock);
}

static DECLARE_WORK(keel_parts_work, keel_parts_look);

static void keel_part_notify(u64 events)
{
	queue_work(system_highpri_wq, &keel_parts_work);
}

static const struct keel_listener keel_part_listener = {
	.mask	= BIT_ULL(KEEL_EV_PARTITION) | BIT_ULL(KEEL_EV_BUDGET),
	.notify	= keel_part_notify,
};

static int __init keel_part_init(void)
{
	if (!keel_usable())
		return 0;
	keel_part_info = kmalloc(roundup_pow_of_two(sizeof(*keel_part_info)), GFP_KERNEL);
	if (!keel_part_info)
		return -ENOMEM;
	keel_listen(&keel_part_listener);
	return 0;
}
device_initcall(keel_part_init);

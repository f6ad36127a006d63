// SPDX-License-Identifier: GPL-2.0-only
/*
 * share.c - memory of several partitions: KEEL_IOC_MEM_SHARE, the descriptor it returns, and what is kept of it.
 *
 * An extent lives as long as its file: descriptors, mappings and partitions (part.c) have that, and, if it is kept, the table below. Its
 * frames are not Linux's own meanwhile, and not free: nobody makes page tables of them. They are ordinary pages to whoever maps or
 * pins them.
 *
 * What is kept cannot be mapped any more: who finds it relies on what is in it. Nothing else is known of its content but a key.
 *
 * Locks:   keel_kept_lock guards the table. It is not held while memory is looked for or user memory copied.
 * Trusts:  the metakernel, and whoever may open /dev/keel.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <keel/ioctl.h>
#include "keel.h"

struct keel_extent {
	struct keel_piece	piece;
	u32			handle;
};

static DEFINE_MUTEX(keel_kept_lock);
static struct keel_kept {
	struct file	*file;
	u64		key[8];
} keel_kept[KEEL_MEM_KEPT];		/* who was opened last first */
static unsigned int keel_nkept;

/* ---- One extent -------------------------------------------------------------------------------------- */

static const struct file_operations keel_extent_fops;

static struct keel_extent *keel_extent_make(unsigned long npages)
{
	struct keel_extent *ext = kzalloc(sizeof(*ext), GFP_KERNEL);
	long ret;

	if (!ext)
		return ERR_PTR(-ENOMEM);
	ret = keel_piece_alloc(&ext->piece, npages, true);
	if (!ret)
		ret = keel_hypercall2(KEEL_HC_MEM_SHARE, __pa(ext->piece.va), npages);
	if (ret < 0) {
		keel_piece_free(&ext->piece);
		kfree(ext);
		return ERR_PTR(ret);
	}
	ext->handle = ret;
	return ext;
}

/* Whoever has it from us faults from then on. */
static void keel_extent_unmake(struct keel_extent *ext)
{
	long ret = keel_hypercall2(KEEL_HC_CHAN_CLOSE, 0, ext->handle);

	if (ret)
		pr_err("extent %u does not close (%ld): its memory is lost, %lu KiB\n", ext->handle, ret,
		       ext->piece.npages << (PAGE_SHIFT - 10));
	else
		keel_piece_free(&ext->piece);
	kfree(ext);
}

static int keel_extent_release(struct inode *inode, struct file *file)
{
	keel_extent_unmake(file->private_data);
	return 0;
}

static int keel_extent_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct keel_extent *ext = file->private_data;

	return keel_piece_map(&ext->piece, vma);
}

/* An inode of its own: that one is asked whether somebody may write. */
static struct file *keel_extent_file(unsigned long npages)
{
	struct keel_extent *ext = keel_extent_make(npages);
	struct file *file;

	if (IS_ERR(ext))
		return ERR_CAST(ext);
	file = anon_inode_create_getfile("[keel-extent]", &keel_extent_fops, ext, O_RDWR, NULL);
	if (IS_ERR(file))
		keel_extent_unmake(ext);
	return file;
}

struct file *keel_extent_get(int fd, u32 *handle)
{
	struct file *file = fget(fd);
	struct keel_extent *ext;

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op != &keel_extent_fops) {
		fput(file);
		return ERR_PTR(-EINVAL);
	}
	ext = file->private_data;
	*handle = ext->handle;
	return file;
}

long keel_mem_share(struct keel_ioc_share __user *arg)
{
	struct keel_ioc_share req;
	struct keel_extent *ext;
	struct file *file;
	int fd;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (!req.bytes || !PAGE_ALIGNED(req.bytes) || req.bytes >> PAGE_SHIFT > KEEL_GIVE_MAX || req.reserved0 ||
	    memchr_inv(req.reserved, 0, sizeof(req.reserved)))
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	file = keel_extent_file(req.bytes >> PAGE_SHIFT);
	if (IS_ERR(file))
		return keel_fd_answer(fd, file, 0);
	ext = file->private_data;
	req.pa = __pa(ext->piece.va);
	req.handle = ext->handle;
	return keel_fd_answer(fd, file, copy_to_user(arg, &req, sizeof(req)) ? -EFAULT : 0);
}

/* ---- Those that are kept ------------------------------------------------------------------------------ */

static unsigned long keel_pages_of(const struct file *file)
{
	const struct keel_extent *ext = file->private_data;

	return ext->piece.npages;
}

static struct keel_kept *keel_kept_find(const u64 *key)
{
	struct keel_kept *kept;

	for (kept = keel_kept; kept < keel_kept + keel_nkept; kept++)
		if (!memcmp(kept->key, key, sizeof(kept->key)))
			return kept;
	return NULL;
}

/* Its file is the caller's now. */
static struct file *keel_kept_remove(struct keel_kept *kept)
{
	struct file *file = kept->file;

	keel_nkept--;
	memmove(kept, kept + 1, (keel_kept + keel_nkept - kept) * sizeof(*kept));
	return file;
}

static void keel_kept_insert(struct file *file, const u64 *key)
{
	memmove(keel_kept + 1, keel_kept, keel_nkept * sizeof(*keel_kept));
	keel_nkept++;
	keel_kept[0].file = file;
	memcpy(keel_kept[0].key, key, sizeof(keel_kept[0].key));
}

/* Those not opened for longest make room for so many pages. Who has one of them goes on having it. */
static bool keel_kept_make_room(unsigned long npages)
{
	unsigned long most = totalram_pages() / KEEL_MEM_KEPT_PART, sum = npages;
	unsigned int i;

	for (i = 0; i < keel_nkept; i++)
		sum += keel_pages_of(keel_kept[i].file);
	while (keel_nkept && npages <= most && (sum > most || keel_nkept == KEEL_MEM_KEPT)) {
		struct file *file = keel_kept_remove(&keel_kept[keel_nkept - 1]);

		sum -= keel_pages_of(file);
		fput(file);
	}
	return npages <= most;
}

static long keel_kept_add(struct file *file, const u64 *key)
{
	unsigned int i;

	for (i = 0; i < keel_nkept; i++)
		if (keel_kept[i].file == file)
			return -EBUSY;
	if (keel_kept_find(key))
		return -EEXIST;
	if (!keel_kept_make_room(keel_pages_of(file)))
		return -ENOSPC;
	if (mapping_deny_writable(file->f_mapping))
		return -EBUSY;
	keel_kept_insert(get_file(file), key);
	return 0;
}

/* The key comes in; what is kept under it goes back. */
static long keel_kept_ask(struct keel_ioc_kept *req, const struct keel_ioc_kept __user *arg)
{
	if (copy_from_user(req, arg, sizeof(*req)))
		return -EFAULT;
	return req->reserved ? -EINVAL : 0;
}

static long keel_kept_answer(struct keel_ioc_kept *req, struct keel_ioc_kept __user *arg, const struct file *file)
{
	const struct keel_extent *ext = file->private_data;

	req->bytes = (u64)ext->piece.npages << PAGE_SHIFT;
	req->pa = __pa(ext->piece.va);
	req->handle = ext->handle;
	return copy_to_user(arg, req, sizeof(*req)) ? -EFAULT : 0;
}

static long keel_extent_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct keel_ioc_kept req;
	long ret;

	if (cmd != KEEL_IOC_MEM_KEEP)
		return -ENOTTY;
	ret = keel_kept_ask(&req, (void __user *)arg);
	if (ret)
		return ret;
	mutex_lock(&keel_kept_lock);
	ret = keel_kept_add(file, req.key);
	mutex_unlock(&keel_kept_lock);
	return ret ? ret : keel_kept_answer(&req, (void __user *)arg, file);
}

static const struct file_operations keel_extent_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= keel_extent_ioctl,
	.mmap		= keel_extent_mmap,
	.release	= keel_extent_release,
	.llseek		= noop_llseek,
};

static struct file *keel_kept_take(const u64 *key)
{
	struct file *file = ERR_PTR(-ENOENT);
	struct keel_kept *kept;

	mutex_lock(&keel_kept_lock);
	kept = keel_kept_find(key);
	if (kept) {
		file = keel_kept_remove(kept);
		keel_kept_insert(file, key);
		get_file(file);
	}
	mutex_unlock(&keel_kept_lock);
	return file;
}

long keel_mem_open(struct keel_ioc_kept __user *arg)
{
	struct keel_ioc_kept req;
	struct file *file;
	long ret;
	int fd;

	ret = keel_kept_ask(&req, arg);
	if (ret)
		return ret;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = keel_kept_take(req.key);
	if (IS_ERR(file))
		return keel_fd_answer(fd, file, 0);
	return keel_fd_answer(fd, file, keel_kept_answer(&req, arg, file));
}

/* At once: who asks wants the memory. Nobody can get hold of one that only the table has, but by the table. */
bool keel_kept_drop(void)
{
	unsigned int i = 0, had;

	mutex_lock(&keel_kept_lock);
	had = keel_nkept;
	while (i < keel_nkept) {
		if (file_count(keel_kept[i].file) == 1)
			__fput_sync(keel_kept_remove(&keel_kept[i]));
		else
			i++;
	}
	had -= keel_nkept;
	mutex_unlock(&keel_kept_lock);
	return had;
}

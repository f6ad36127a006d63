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
 * Memory is refused early rather than found at any price: these are large pieces, and the program that asks
 * can tell its user, where the OOM killer would choose somebody.
 *
 * While one runs it gets more by KEEL_IOC_PART_MEMORY, in pieces, and may give such pieces back.
 *
 * Locks:   keel_parts_lock guards the list, `kept`, `held`, keel_part_info and pieces that were given later. `lock` of each partition is between a
 *          page fault and PART_BOOT; it may be taken with mmap_lock held. Neither is held while user memory
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
#include <keel/ioctl.h>
#include "keel.h"

#define KEEL_LARGE_PAGES	512	/* of 4 KiB, in a large one */
#define KEEL_AROUND_PAGES	16	/* mapped by one fault */
#define KEEL_BLOCK_BYTES	(MAX_ORDER_NR_PAGES * PAGE_SIZE)	/* of the page allocator, at most */
#define KEEL_BLOCKS		8	/* looked at, to find some in a row */
#define KEEL_RESERVE		16	/* of so many pages of RAM, one is not for partitions */
#define KEEL_RECLAIM_MS		10000
#define KEEL_MAX_PAGES		((u64)KEEL_PART_EXTENTS * KEEL_GIVE_MAX)

#define KEEL_MORE_PAGES		512	/* in a piece that is given later; */
#define KEEL_MUCH_PAGES		8192	/* if that much is missing they are larger */

struct keel_part {
	struct list_head	link;
	wait_queue_head_t	wait;
	struct keel_piece	memory, quota;
	u32			handle;		/* 0: the metakernel has not made it */
	u32			chan;		/* 0: it has none */
	struct mutex		lock;
	bool			booted;		/* under `lock` */
	bool			ended;
	/* Given since it has started; under keel_parts_lock */
	struct keel_piece	more[KEEL_PART_EXTENTS];
	unsigned int		nmore;
	bool			kept;		/* by the driver, when nobody holds it */
	bool			held;		/* there is a descriptor */
	u64			exhausted;	/* as often as has been told, */
	int			spent;		/* and that nobody has polled yet */
	/* What hypercalls read. kmalloc() aligns a power of two to itself, so it is in one page */
	union {
		struct keel_part_create	create;
		struct keel_part_start	start;
	}			*args;
	char			name[KEEL_NAME_LEN];
};

static DEFINE_MUTEX(keel_parts_lock);
static LIST_HEAD(keel_parts);
static struct keel_part_info *keel_part_info;	/* what the metakernel writes */

/* ---- Pieces of memory ------------------------------------------------------------------------------- */

static bool keel_memory_left(u64 npages)
{
	return si_mem_available() > (long)(npages + totalram_pages() / KEEL_RESERVE);
}

/* The first of nblocks that lie side by side. */
static void *keel_blocks_in_a_row(void *const sorted[], unsigned int n, unsigned int nblocks)
{
	unsigned int i, row = 0;

	for (i = 0; i < n; i++) {
		row = i && sorted[i] == sorted[i - 1] + KEEL_BLOCK_BYTES ? row + 1 : 1;
		if (row == nblocks)
			return sorted[i + 1 - nblocks];
	}
	return NULL;
}

/* One more, in its place among the others. */
static bool keel_block_add(void *sorted[], unsigned int n, gfp_t gfp)
{
	void *block = (void *)__get_free_pages(gfp, MAX_PAGE_ORDER);

	for (; block && n && sorted[n - 1] > block; n--)
		sorted[n] = sorted[n - 1];
	sorted[n] = block;
	return block;
}

/* Single pages of all blocks; those behind npages are free again. */
static void keel_blocks_split(void *va, unsigned long npages, unsigned int nblocks)
{
	unsigned int i;

	for (i = 0; i < nblocks; i++)
		split_page(virt_to_page(va + i * KEEL_BLOCK_BYTES), MAX_PAGE_ORDER);
	for (; npages < nblocks * MAX_ORDER_NR_PAGES; npages++)
		__free_page(virt_to_page(va + npages * PAGE_SIZE));
}

/*
 * A few blocks in a row, as there are when memory is not in pieces: alloc_contig_pages() searches, isolates and moves for
 * it, in ten times as many instructions.
 */
static void *keel_blocks_alloc(unsigned long npages, gfp_t gfp)
{
	unsigned int nblocks = DIV_ROUND_UP(npages, MAX_ORDER_NR_PAGES), n, i;
	void *sorted[KEEL_BLOCKS], *va = NULL;

	if (nblocks > KEEL_BLOCKS / 2)
		return NULL;
	for (n = 0; !va && n < KEEL_BLOCKS && keel_block_add(sorted, n, gfp); n++)
		va = keel_blocks_in_a_row(sorted, n + 1, nblocks);
	for (i = 0; i < n; i++)
		if (!va || sorted[i] < va || sorted[i] >= va + nblocks * KEEL_BLOCK_BYTES)
			free_pages((unsigned long)sorted[i], MAX_PAGE_ORDER);
	if (va)
		keel_blocks_split(va, npages, nblocks);
	return va;
}

static void keel_zero(void *va, unsigned long npages)
{
	for (; npages; npages--, va += PAGE_SIZE) {
		clear_page(va);
		if (!(npages % KEEL_LARGE_PAGES))
			cond_resched();
	}
}

/*
 * Contiguous, but single pages, each with a reference count of its own. Beginning with a large page, if
 * there is one in it. The allocator's own blocks first: alloc_contig_pages() stops the world a little.
 */
int keel_piece_alloc(struct keel_piece *piece, unsigned long npages, gfp_t zero)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | zero;
	unsigned long rounded = npages < KEEL_LARGE_PAGES ? npages : ALIGN(npages, KEEL_LARGE_PAGES);
	struct page *pages;

	if (!keel_memory_left(rounded))
		return -ENOMEM;
	piece->npages = npages;
	piece->va = NULL;
	if (npages <= MAX_ORDER_NR_PAGES)
		piece->va = alloc_pages_exact(npages << PAGE_SHIFT, gfp | __GFP_NORETRY);
	if (piece->va)
		return 0;
	piece->va = keel_blocks_alloc(npages, GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY);
	if (piece->va) {
		if (zero)
			keel_zero(piece->va, npages);
		return 0;
	}
	/* It looks at multiples of the size, so that a multiple of a large page begins with one */
	pages = alloc_contig_pages(rounded, gfp, numa_mem_id(), NULL);
	if (!pages)
		return -ENOMEM;
	if (rounded != npages)
		free_contig_range(page_to_pfn(pages) + npages, rounded - npages);
	piece->va = page_address(pages);
	return 0;
}

/* Whether nobody else has any of these single pages: then they are one block again. */
static bool keel_pages_join(struct page *page, unsigned int npages)
{
	unsigned int i;

	for (i = 0; i < npages; i++) {
		if (page_ref_freeze(page + i, 1))
			continue;
		while (i--)
			page_ref_unfreeze(page + i, 1);
		return false;
	}
	page_ref_unfreeze(page, 1);
	return true;
}

/*
 * Some of the pages may still be mapped or pinned: they are free when that ends. Large pages, which most
 * of it is, go as they are: one by one they would be sorted into blocks again, at 500 instructions each.
 */
void keel_piece_free(struct keel_piece *piece)
{
	unsigned long pfn, end, step;

	if (!piece->va)
		return;
	pfn = __pa(piece->va) >> PAGE_SHIFT;
	for (end = pfn + piece->npages; pfn < end; pfn += step) {
		struct page *page = pfn_to_page(pfn);
		bool large = !(pfn % KEEL_LARGE_PAGES) && end - pfn >= KEEL_LARGE_PAGES &&
			     keel_pages_join(page, KEEL_LARGE_PAGES);

		step = large ? KEEL_LARGE_PAGES : 1;
		__free_pages(page, ilog2(step));
		if (!(pfn % KEEL_LARGE_PAGES))
			cond_resched();
	}
	piece->va = NULL;
}

/* ---- Making one ------------------------------------------------------------------------------------- */

/* Gives the metakernel a quota of so many pages: 0, the partition is there. */
static long keel_part_try(struct keel_part *part, unsigned long npages)
{
	long ret = keel_piece_alloc(&part->quota, npages, 0);

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
		ret = keel_piece_alloc(&part->memory, req->mem_bytes >> PAGE_SHIFT, __GFP_ZERO);
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

static u64 keel_part_bytes(const struct keel_part *part)
{
	u64 npages = part->memory.npages;
	unsigned int i;

	for (i = 0; i < part->nmore; i++)
		npages += part->more[i].npages;
	return npages << PAGE_SHIFT;
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
	kfree(part->args);
	kfree(part);
}

/* ---- More and less memory ---------------------------------------------------------------------------- */

/* The partition with a handle, or NULL; keel_parts_lock is held. */
static struct keel_part *keel_part_by_handle(u32 handle)
{
	struct keel_part *part;

	list_for_each_entry(part, &keel_parts, link)
		if (part->handle == handle)
			return part;
	return NULL;
}

/* Give it a piece. The piece is its from then on, if this returns 0. */
static long keel_part_add(u32 handle, const struct keel_piece *piece)
{
	struct keel_part *part;
	long ret = -EBADF;

	mutex_lock(&keel_parts_lock);
	part = keel_part_by_handle(handle);
	if (part)
		ret = part->nmore < KEEL_PART_EXTENTS ?
			keel_hypercall3(KEEL_HC_PART_GROW, handle, __pa(piece->va), piece->npages) : -ENOSPC;
	if (!ret)
		part->more[part->nmore++] = *piece;
	mutex_unlock(&keel_parts_lock);
	return ret;
}

static long keel_part_grow(u32 handle, u64 npages)
{
	u64 n = npages > KEEL_MUCH_PAGES ? KEEL_GIVE_MAX : KEEL_MORE_PAGES;
	struct keel_piece piece;
	long ret = 0;

	npages = ALIGN(npages, KEEL_MORE_PAGES);
	for (; npages && !ret; npages -= min(n, npages)) {
		ret = keel_piece_alloc(&piece, min(n, npages), 0);
		if (ret)
			break;
		ret = keel_part_add(handle, &piece);
		if (ret)
			keel_piece_free(&piece);
		if (fatal_signal_pending(current))
			ret = -EINTR;
	}
	return ret;
}

/* What it has given back; keel_parts_lock is held. */
static void keel_part_shrink(struct keel_part *part)
{
	unsigned int i = 0;

	while (i < part->nmore) {
		struct keel_piece *piece = &part->more[i];

		if (keel_hypercall2(KEEL_HC_PART_SHRINK, part->handle, __pa(piece->va))) {
			i++;
			continue;
		}
		keel_piece_free(piece);
		*piece = part->more[--part->nmore];
	}
}

/* How much it has, and at the least. */
static long keel_part_sizes(struct keel_ioc_memory *req)
{
	struct keel_part *part;

	mutex_lock(&keel_parts_lock);
	part = keel_part_by_handle(req->handle);
	if (part) {
		keel_part_shrink(part);
		req->bytes = keel_part_bytes(part);
		req->least_bytes = (u64)part->memory.npages << PAGE_SHIFT;
	}
	mutex_unlock(&keel_parts_lock);
	return part ? 0 : -EBADF;
}

long keel_part_memory(struct keel_ioc_memory __user *arg)
{
	struct keel_ioc_memory req;
	u64 wanted;
	long ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	wanted = req.bytes;
	if (req.reserved || !PAGE_ALIGNED(wanted) || wanted >> PAGE_SHIFT > KEEL_MAX_PAGES)
		return -EINVAL;
	ret = keel_part_sizes(&req);
	if (!ret && wanted && wanted < req.least_bytes)
		ret = -EINVAL;
	if (!ret && wanted)
		ret = keel_hypercall2(KEEL_HC_PART_MEMORY, req.handle, wanted);
	if (!ret && wanted > req.bytes)
		ret = keel_part_grow(req.handle, (wanted - req.bytes) >> PAGE_SHIFT);
	if (!ret)
		ret = keel_part_sizes(&req);
	if (!ret && copy_to_user(arg, &req, sizeof(req)))
		ret = -EFAULT;
	return ret;
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

static long keel_part_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case KEEL_IOC_PART_BOOT:
		return keel_part_boot(file, (void __user *)arg);
	case KEEL_IOC_PART_KEEP:
		return keel_part_keep(file->private_data, arg);
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
	if (!keel_part_sizes_ok(&req) || memchr_inv(req.reserved, 0, sizeof(req.reserved)))
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;

	part = keel_part_make(&req);
	file = IS_ERR(part) ? ERR_CAST(part) : keel_part_file(part);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	req.mem_pa = __pa(part->memory.va);
	req.handle = part->handle;
	req.chan = part->chan;
	if (copy_to_user(arg, &req, sizeof(req))) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return fd;
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
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	req.mem_bytes = (u64)part->memory.npages << PAGE_SHIFT;
	req.handle = part->handle;
	req.chan = part->chan;
	if (copy_to_user(arg, &req, sizeof(req))) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return fd;
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

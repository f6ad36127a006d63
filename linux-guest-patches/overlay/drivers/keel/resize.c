// SPDX-License-Identifier: GPL-2.0-only
/*
 * resize.c - more and less memory for a partition while it runs: KEEL_IOC_PART_MEMORY.
 *
 * More is given in pieces; of less the partition is told, and gives pieces back in its own time, of which an
 * event tells (part.c). What it was made with stays.
 *
 * Locks: keel_parts_lock, for the list and for `more`; not held while memory is looked for.
 */
#define pr_fmt(fmt) "keel: " fmt

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include "part.h"

#define KEEL_MORE_PAGES		512	/* in a piece that is given later; */
#define KEEL_MUCH_PAGES		8192	/* if that much is missing they are larger */

u64 keel_part_bytes(const struct keel_part *part)
{
	u64 npages = part->memory.npages;
	unsigned int i;

	for (i = 0; i < part->nmore; i++)
		npages += part->more[i].npages;
	return npages << PAGE_SHIFT;
}

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
		ret = keel_piece_alloc(&piece, min(n, npages), false);
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
void keel_part_shrink(struct keel_part *part)
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

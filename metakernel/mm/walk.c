// SPDX-License-Identifier: MIT
/*
 * walk.c - see walk.h.
 *
 * Locks:   none: each entry is loaded once and changed by one compare and exchange, as a CPU would. Whether a table is
 *          still the partition's is asked before it is read; who takes frames away waits until all who asked are out of
 *          the metakernel (part/chan.c).
 */
#include "part/chan.h"
#include "part/part.h"
#include "mm/frames.h"
#include "mm/walk.h"
#include "lib/string.h"

/* Where a walk is: the next table, and the product of rights so far. */
struct way {
	paddr_t table;
	uint64_t rights, nx;
};

enum step { STEP_ABSENT, STEP_LEAF, STEP_DOWN };

/* One level, a constant for each caller: a walk is most of what a fill costs. */
static inline __attribute__((always_inline)) enum step walk_level(const struct partition *p, vaddr_t va,
								  struct walk *w, struct way *way,
								  unsigned int level)
{
	uint64_t mask = (1UL << (12 + 9 * level)) - 1, *ep, e;

	if (frames_owner(way->table >> PAGE_SHIFT) != p->owner)
		return STEP_ABSENT;	/* no such memory: as absent as an all-ones bus is invalid */
	ep = (uint64_t *)pa_to_va(way->table) + ((va >> (12 + 9 * level)) & 511);
	e = __atomic_load_n(ep, __ATOMIC_RELAXED);
	w->ep[level] = ep;
	w->ev[level] = e;
	if (!(e & PTE_P))
		return STEP_ABSENT;
	if (level && (level == 3 || !(e & PTE_PS))) {
		way->rights &= e;
		way->nx |= e & PTE_NX;
		way->table = e & PTE_ADDR;
		return STEP_DOWN;
	}
	w->level = level;
	w->empty = false;
	w->leaf = e;
	w->pa = (e & PTE_ADDR & ~mask) | (va & mask);
	w->upper_rights = way->rights | way->nx;
	w->rights = (way->rights & e) | ((way->nx | e) & PTE_NX);
	return STEP_LEAF;
}

bool guest_walk(const struct vcpu *v, vaddr_t va, struct walk *w)
{
	const struct partition *p = v->part;
	struct way way = { .table = v->cr3 & PTE_ADDR, .rights = PTE_W | PTE_U };
	enum step step = walk_level(p, va, w, &way, 3);

	if (step == STEP_DOWN)
		step = walk_level(p, va, w, &way, 2);
	if (step == STEP_DOWN)
		step = walk_level(p, va, w, &way, 1);
	if (step == STEP_DOWN)
		step = walk_level(p, va, w, &way, 0);
	return step == STEP_LEAF;
}

bool walk_set_accessed(struct walk *w, bool write)
{
	unsigned int level;

	for (level = 3; level > w->level; level--)
		if (!walk_set_bits(w->ep[level], &w->ev[level], PTE_A))
			return false;
	if (!walk_set_bits(w->ep[level], &w->ev[level], write ? PTE_A | PTE_D : PTE_A))
		return false;
	w->leaf = w->ev[level];
	return true;
}

/* ---- Reading and writing guest memory for emulation --------------------------------------------- */

static void *guest_ptr(struct vcpu *v, vaddr_t va, bool write)
{
	struct walk w;
	uint16_t owner;

	if (!is_canonical(va) || va >= KEEL_HOLE_BASE || !guest_walk(v, va, &w) ||
	    (write && !(w.rights & PTE_W)))
		return NULL;
	/* RAM only: never touch a device for an emulated instruction. What it shares with others it may read: its code, for one. */
	owner = frames_owner(w.pa >> PAGE_SHIFT);
	if (owner != v->part->owner && (write || !(owner & FRAMES_CHANNEL) || !chan_rights(owner, v->part)))
		return NULL;
	if (!walk_set_accessed(&w, write))
		return NULL;
	return pa_to_va(w.pa);
}

int mmu_read_guest(struct vcpu *v, vaddr_t va, void *buf, unsigned int len)
{
	unsigned int n;

	for (; len; len -= n, va += n, buf = (char *)buf + n) {
		unsigned int room = (unsigned int)(PAGE_SIZE - (va & (PAGE_SIZE - 1)));
		const void *from = guest_ptr(v, va, false);

		n = len < room ? len : room;
		if (!from)
			return -KEEL_EFAULT;
		memcpy(buf, from, n);
	}
	return 0;
}

int mmu_write_guest(struct vcpu *v, vaddr_t va, const void *buf, unsigned int len)
{
	unsigned int n;

	for (; len; len -= n, va += n, buf = (const char *)buf + n) {
		unsigned int room = (unsigned int)(PAGE_SIZE - (va & (PAGE_SIZE - 1)));
		void *to = guest_ptr(v, va, true);

		n = len < room ? len : room;
		if (!to)
			return -KEEL_EFAULT;
		memcpy(to, buf, n);
	}
	return 0;
}

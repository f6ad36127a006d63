// SPDX-License-Identifier: MIT
/*
 * mmu.c - filling, dropping and re-reading shadow page tables.
 *
 *   root[pcid].l4 ── 0..255 ── user half: own tables, filled from that root's guest pgd
 *                 ├─ 256..510 ─ kernel half: L3 tables shared by all roots (listed in kl4)
 *                 └─ 511 ── kl3 ── 0..510 ── kernel half
 *                               └─ 511 ── kl2 ── 0..510 ── kernel half
 *                                            └─ 511 ── hole_pt (trampoline; never filled or dropped)
 *
 * Owns:       the partition's shadow pool. Free pages are all zero: a table is cleared by the
 *             cache lines noted in shadow_page.groups, so a free costs what was used of it.
 * Invariants: I2: every present leaf passes leaf_allowed() when it is written, and the frame cannot
 *             change owner before mmu_flush_all(). No G bit (rule 16). Absent entries are zero
 *             (rule 19). Upper levels allow everything; a leaf is the product of all rights.
 *             Leaves are 4 KiB or 2 MiB.
 * Trusts:     nothing in guest tables: each entry is loaded once, tables must lie in frames the
 *             partition owns outright (rule 20), accessed and dirty bits go in by one cmpxchg.
 * Context:    one CPU. Every change is made under the metakernel's CR3 and the way back loads CR3
 *             without PCID, which flushes all non-global translations: freed tables are safe to
 *             reuse at once (rule 18). With hardware PCIDs this needs epochs.
 */
#include <hal/cpu.h>
#include "mmu.h"
#include "frames.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"

#define ENTRY_LIMIT	512
#define LARGE_BYTES	0x200000UL
#define FAULT_AROUND	16	/* measured: 1 -> 8 -> 16 saves misses on exec, 64 gives nothing */
#define RESYNC_TABLES	96	/* leaf tables re-read by one flush at most; else drop (I5) */
#define SPLIT		(1UL << 9)	/* software bit in an L2 entry: small shadows of a large page */
#define GIANT		(1UL << 10)	/* software bit in an L2 entry: part of a 1 GiB page */
#define UPPER		(PTE_P | PTE_W | PTE_U)

struct walk {
	unsigned int level;	/* of the leaf: 0 4 KiB, 1 2 MiB, 2 1 GiB */
	uint64_t leaf;		/* guest leaf entry as loaded */
	paddr_t pa;		/* of va */
	uint64_t rights;	/* product: PTE_W, PTE_U, PTE_NX */
	uint64_t upper_rights;	/* product without the leaf */
	bool empty;		/* nothing there: the partition's page of all ones stands in */
	uint64_t *ep[4];	/* entries on the way, by level */
	uint64_t ev[4];		/* their values */
};

static struct { paddr_t base, end; } mmio[64];
static unsigned int nmmio;

void mmu_allow_mmio(paddr_t base, uint64_t bytes)
{
	if (nmmio == ARRAY_SIZE(mmio)) {
		log_printf("too many MMIO windows: none at %#lx\n", base);
		return;
	}
	mmio[nmmio].base = base;
	mmio[nmmio++].end = base + bytes;
}

/* Does one window hold all of it? */
static bool mmio_window(paddr_t pa, uint64_t bytes)
{
	unsigned int i;

	for (i = 0; i < nmmio; i++)
		if (pa >= mmio[i].base && pa < mmio[i].end && bytes <= mmio[i].end - pa)
			return true;
	return false;
}

bool mmu_mmio_allowed(paddr_t pa)
{
	return mmio_window(pa, 1);
}

/* I2 for one 4 KiB frame. */
static bool leaf_allowed(const struct partition *p, paddr_t pa)
{
	uint16_t owner = frames_owner(pa >> PAGE_SHIFT);

	if (owner == p->owner)
		return true;
	if (owner & FRAMES_CHANNEL)
		return chan_attached(owner, p);
	return owner == FRAMES_NONE && p->man->devices && mmu_mmio_allowed(pa);
}

/* I2 for a 2 MiB range: only what one owner summary or one MMIO window can answer. */
static bool leaf_allowed_large(const struct partition *p, paddr_t pa)
{
	uint16_t owner = frames_owner_2m(pa >> PAGE_SHIFT);

	if (owner == p->owner)
		return true;
	return owner == FRAMES_NONE && p->man->devices && mmio_window(pa, LARGE_BYTES);
}

/* ---- Pool ------------------------------------------------------------------------------------- */

static uint32_t page_index(const struct shadow_pool *s, const uint64_t *table)
{
	return (uint32_t)((uint64_t)((const uint64_t (*)[512])table - (const uint64_t (*)[512])s->page));
}

static uint64_t *table_alloc(struct shadow_pool *s)
{
	uint32_t i = s->free_head;

	if (i == UINT32_MAX)
		return NULL;
	s->free_head = s->meta[i].next_free;
	s->nused++;
	return s->page[i];
}

/* Visit the entries of a table that may be non-zero. */
#define for_each_used(s, table, i, g)							\
	for (g = (s)->meta[page_index(s, table)].groups; g; g &= g - 1)			\
		for (i = (unsigned int)__builtin_ctzl(g) * 8;				\
		     i < (unsigned int)__builtin_ctzl(g) * 8 + 8; i++)

static void table_clear(struct shadow_pool *s, uint64_t *table)
{
	struct shadow_page *m = &s->meta[page_index(s, table)];
	uint64_t g;

	for (g = m->groups; g; g &= g - 1) {
		uint64_t *e = table + __builtin_ctzl(g) * 8;

		e[0] = e[1] = e[2] = e[3] = e[4] = e[5] = e[6] = e[7] = 0;
	}
	m->groups = 0;
	m->giant = 0;
}

static void table_free(struct shadow_pool *s, uint64_t *table)
{
	uint32_t i = page_index(s, table);

	s->last.tag = NO_TAG;
	table_clear(s, table);
	s->meta[i].next_free = s->free_head;
	s->free_head = i;
	s->nused--;
}

static void entry_set(struct shadow_pool *s, uint64_t *table, unsigned int i, uint64_t value)
{
	table[i] = value;
	s->meta[page_index(s, table)].groups |= 1UL << (i >> 3);
}

static uint64_t *entry_table(uint64_t entry)
{
	return pa_to_va(entry & PTE_ADDR);
}

static void free_l2(struct shadow_pool *s, uint64_t *l2)
{
	unsigned int i;
	uint64_t g;

	for_each_used(s, l2, i, g)
		if ((l2[i] & (PTE_P | PTE_PS)) == PTE_P)
			table_free(s, entry_table(l2[i]));
	table_free(s, l2);
}

static void free_l3(struct shadow_pool *s, uint64_t *l3)
{
	unsigned int i;
	uint64_t g;

	for_each_used(s, l3, i, g)
		if (l3[i] & PTE_P)
			free_l2(s, entry_table(l3[i]));
	table_free(s, l3);
}

static int pool_init(struct shadow_pool *s, paddr_t pa, struct shadow_page *meta, uint32_t npages)
{
	uint32_t i;

	s->page = pa_to_va(pa);
	s->meta = meta;
	s->npages = npages;
	s->nused = 0;
	memset(s->page, 0, npages * PAGE_SIZE);	/* the boot loader has been here */
	for (i = 0; i < npages; i++) {
		meta[i].groups = meta[i].giant = 0;
		meta[i].next_free = i + 1 < npages ? i + 1 : UINT32_MAX;
	}
	s->free_head = 0;
	s->last.tag = NO_TAG;
	return 0;
}

/* ---- Dropping --------------------------------------------------------------------------------- */

static void drop_user(struct vcpu *v, struct shadow_root *r)
{
	struct shadow_pool *s = &v->part->pool;
	uint64_t g;
	unsigned int i;

	if (!r->l4)
		return;
	for_each_used(s, r->l4, i, g)
		if (i < 256 && (r->l4[i] & PTE_P)) {
			free_l3(s, entry_table(r->l4[i]));
			r->l4[i] = 0;
		}
	s->meta[page_index(s, r->l4)].groups &= ~0xffffffffUL;
}

static void drop_kernel(struct vcpu *v)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int i, n;
	uint64_t g;

	for_each_used(s, v->kl4, i, g)
		if (i != 511 && (v->kl4[i] & PTE_P)) {
			free_l3(s, entry_table(v->kl4[i]));
			v->kl4[i] = 0;
			for (n = 0; n < NROOTS; n++)
				if (v->root[n].l4)
					v->root[n].l4[i] = 0;
		}
	for_each_used(s, v->kl3, i, g)
		if (i != 511 && (v->kl3[i] & PTE_P)) {
			free_l2(s, entry_table(v->kl3[i]));
			v->kl3[i] = 0;
		}
	for_each_used(s, v->kl2, i, g)
		if (i != 511 && (v->kl2[i] & PTE_P)) {
			if (!(v->kl2[i] & PTE_PS))
				table_free(s, entry_table(v->kl2[i]));
			v->kl2[i] = 0;
		}
}

void mmu_flush_all(struct vcpu *v)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int n;

	s->last.tag = NO_TAG;
	for (n = 0; n < NROOTS; n++) {
		drop_user(v, &v->root[n]);
		if (v->root[n].l4 && n != v->cur) {
			table_free(s, v->root[n].l4);
			v->root[n].l4 = NULL;
		}
	}
	drop_kernel(v);
}

/* A root for slot n, with the shared upper half in it. NULL when the pool is empty. */
static uint64_t *root_build(struct vcpu *v, unsigned int n)
{
	struct shadow_pool *s = &v->part->pool;
	uint64_t *l4 = table_alloc(s);
	unsigned int i;
	uint64_t g;

	if (!l4)
		return NULL;
	for_each_used(s, v->kl4, i, g)
		entry_set(s, l4, i, v->kl4[i]);
	v->root[n].l4 = l4;
	v->root[n].pgd = 0;
	return l4;
}

static void root_select(struct vcpu *v, unsigned int n)
{
	if (!v->root[n].l4 && !root_build(v, n)) {
		/* The pool is exhausted: throw everything away, our own root included. */
		mmu_flush_all(v);
		if (!root_build(v, n)) {
			table_free(&v->part->pool, v->root[v->cur].l4);
			v->root[v->cur].l4 = NULL;
			ASSERT(root_build(v, n));
		}
	}
	v->cur = n;
}

paddr_t mmu_root_pa(const struct vcpu *v)
{
	return va_to_pa(v->root[v->cur].l4);
}

int mmu_init_vcpu(struct vcpu *v)
{
	struct partition *p = v->part;
	struct shadow_pool *s = &p->pool;
	paddr_t pa = frames_alloc_mk(p->man->shadow_pages);
	uint64_t meta_bytes = (uint64_t)p->man->shadow_pages * sizeof(struct shadow_page);
	paddr_t meta_pa = frames_alloc_mk((meta_bytes + PAGE_SIZE - 1) / PAGE_SIZE);

	if (!pa || !meta_pa)
		return -KEEL_ENOMEM;
	pool_init(s, pa, pa_to_va(meta_pa), p->man->shadow_pages);
	v->kl4 = table_alloc(s);
	v->kl3 = table_alloc(s);
	v->kl2 = table_alloc(s);
	entry_set(s, v->kl4, 511, va_to_pa(v->kl3) | UPPER);
	entry_set(s, v->kl3, 511, va_to_pa(v->kl2) | UPPER);
	entry_set(s, v->kl2, 511, va_to_pa(v->hole_pt) | UPPER);
	root_select(v, 0);
	return 0;
}

/* ---- Guest walk --------------------------------------------------------------------------------- */

static bool guest_walk(const struct vcpu *v, vaddr_t va, struct walk *w)
{
	const struct partition *p = v->part;
	paddr_t table = v->cr3 & PTE_ADDR;
	uint64_t rights = PTE_W | PTE_U, nx = 0;
	unsigned int level;

	for (level = 3; ; level--) {
		uint64_t *ep, e;

		if (frames_owner(table >> PAGE_SHIFT) != p->owner)
			return false;	/* no such memory: as absent as an all-ones bus is invalid */
		ep = (uint64_t *)pa_to_va(table) + ((va >> (12 + 9 * level)) & 511);
		e = __atomic_load_n(ep, __ATOMIC_RELAXED);
		w->ep[level] = ep;
		w->ev[level] = e;
		if (!(e & PTE_P))
			return false;
		if (level == 0 || (level < 3 && (e & PTE_PS))) {
			uint64_t mask = (1UL << (12 + 9 * level)) - 1;

			w->level = level;
			w->empty = false;
			w->leaf = e;
			w->pa = (e & PTE_ADDR & ~mask) | (va & mask);
			w->upper_rights = rights | nx;
			w->rights = (rights & e) | ((nx | e) & PTE_NX);
			return true;
		}
		rights &= e;
		nx |= e & PTE_NX;
		table = e & PTE_ADDR;
	}
}

/* One try each; false means somebody else changed the entry: run the instruction again. */
static bool set_bits(uint64_t *ep, uint64_t *value, uint64_t bits)
{
	if ((*value & bits) == bits)
		return true;
	if (!__atomic_compare_exchange_n(ep, value, *value | bits, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return false;
	*value |= bits;
	return true;
}

static bool set_accessed(struct walk *w, bool write)
{
	unsigned int level;

	for (level = 3; level > w->level; level--)
		if (!set_bits(w->ep[level], &w->ev[level], PTE_A))
			return false;
	if (!set_bits(w->ep[level], &w->ev[level], write ? PTE_A | PTE_D : PTE_A))
		return false;
	w->leaf = w->ev[level];
	return true;
}

static bool access_allowed(uint64_t rights, uint64_t error)
{
	bool user = error & PF_U;

	if (user && !(rights & PTE_U))
		return false;
	if ((error & PF_W) && !(rights & PTE_W))
		return false;
	if ((error & PF_I) && (rights & PTE_NX))
		return false;
	return !((error & PF_I) && !user && (rights & PTE_U));	/* SMEP */
}

/* ---- Filling ------------------------------------------------------------------------------------ */

static uint64_t *sub_table(struct shadow_pool *s, uint64_t *table, unsigned int i)
{
	uint64_t *t;

	if ((table[i] & (PTE_P | PTE_PS)) == PTE_P)
		return entry_table(table[i]);
	t = table_alloc(s);
	if (t)
		entry_set(s, table, i, va_to_pa(t) | UPPER);
	return t;
}

/* The shadow L2 table for va, built as needed; NULL when the pool is empty. */
static uint64_t *shadow_l2(struct vcpu *v, vaddr_t va)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int i4 = (va >> 39) & 511, i3 = (va >> 30) & 511, n;
	uint64_t *l3;

	if (i4 == 511)
		return i3 == 511 ? v->kl2 : sub_table(s, v->kl3, i3);
	if (i4 < 256) {
		l3 = sub_table(s, v->root[v->cur].l4, i4);
	} else {
		l3 = sub_table(s, v->kl4, i4);
		for (n = 0; l3 && n < NROOTS; n++)
			if (v->root[n].l4)
				entry_set(s, v->root[n].l4, i4, va_to_pa(l3) | UPPER);
	}
	return l3 ? sub_table(s, l3, i3) : NULL;
}

/* Shadow flags of a leaf; clean pages stay read-only until a write sets D. */
static uint64_t leaf_flags(uint64_t leaf, uint64_t rights)
{
	uint64_t f = PTE_P | PTE_A | PTE_D | (rights & (PTE_U | PTE_NX)) |
		     (leaf & (PTE_PWT | PTE_PCD));

	if ((rights & PTE_W) && (leaf & PTE_D))
		f |= PTE_W;
	return f;
}

/*
 * Flags of a 4 KiB leaf with a memory type other than write-back: not for a channel's frames, which
 * two partitions map (rule 21); for others remembered until they change owner.
 */
static uint64_t cache_checked(paddr_t pa, uint64_t flags)
{
	if (!(flags & (PTE_PWT | PTE_PCD | PTE_PS)))
		return flags;
	if (frames_owner(pa >> PAGE_SHIFT) & FRAMES_CHANNEL)
		return flags & ~(PTE_PWT | PTE_PCD | PTE_PS);
	frames_note_uncached(pa >> PAGE_SHIFT, 1);
	return flags;
}

/* What decides where a leaf points and with which memory type; PAT stays where it is. */
#define LEAF_PLACE	(PTE_ADDR | PTE_PWT | PTE_PCD | PTE_PS)

/*
 * What a 4 KiB guest entry may become without a fault: only if already accessed and its own. What
 * `old`, the leaf there is, points to has been checked and has not changed owner since.
 */
static uint64_t small_leaf(const struct partition *p, uint64_t old, uint64_t e, uint64_t upper)
{
	paddr_t pa = e & PTE_ADDR;
	uint64_t flags;

	if ((e & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
		return 0;
	flags = (e & PTE_PS) | leaf_flags(e, (upper & e & (PTE_W | PTE_U)) | ((upper | e) & PTE_NX));
	if ((old & PTE_P) && !((old ^ e) & LEAF_PLACE))
		return pa | flags;
	return leaf_allowed(p, pa) ? pa | cache_checked(pa, flags) : 0;
}

/*
 * Neighbours come along. After a write they are rarely there yet, and looking costs, unless Linux
 * mapped several pages at one fault (multi-size THP): the one next door tells.
 */
static void fill_around(struct vcpu *v, uint64_t *l1, unsigned int i1, const uint64_t *guest,
			uint64_t upper_rights, bool write)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int first = i1 & ~(FAULT_AROUND - 1U), i;

	if (write && (l1[i1 ^ 1] || (__atomic_load_n(&guest[i1 ^ 1], __ATOMIC_RELAXED) &
				     (PTE_P | PTE_D)) != (PTE_P | PTE_D)))
		return;
	for (i = first; i < first + FAULT_AROUND; i++) {
		if (l1[i] || i == i1)
			continue;
		l1[i] = small_leaf(v->part, 0, __atomic_load_n(&guest[i], __ATOMIC_RELAXED),
				   upper_rights);
	}
	s->meta[page_index(s, l1)].groups |= 3UL << (first >> 3);
}

static bool install(struct vcpu *v, vaddr_t va, const struct walk *w, bool write)
{
	struct shadow_pool *s = &v->part->pool;
	const struct partition *p = v->part;
	unsigned int i2 = (va >> 21) & 511, i1 = (va >> 12) & 511;
	uint64_t flags = leaf_flags(w->leaf, w->rights);
	uint64_t *l2 = shadow_l2(v, va), *l1;

	if (!l2)
		return false;
	if (w->level == 2) {
		flags |= GIANT;
		s->meta[page_index(s, l2)].giant = 1;
	}
	if (w->level) {
		paddr_t base = w->pa & ~(LARGE_BYTES - 1);

		if (!w->empty && leaf_allowed_large(p, base)) {
			if ((l2[i2] & (PTE_P | PTE_PS)) == PTE_P)
				table_free(s, entry_table(l2[i2]));
			if (w->leaf & (PTE_PWT | PTE_PCD | PTE_PAT_LARGE))
				frames_note_uncached(base >> PAGE_SHIFT, 512);
			entry_set(s, l2, i2, base | flags | PTE_PS | (w->leaf & PTE_PAT_LARGE));
			return true;
		}
		if (w->leaf & PTE_PAT_LARGE)
			flags |= PTE_PS;	/* PAT moves from bit 12 to bit 7 */
	} else {
		flags |= w->leaf & PTE_PS;
	}
	if (l2[i2] & PTE_PS)
		l2[i2] = 0;
	l1 = sub_table(s, l2, i2);
	if (!l1)
		return false;
	if (w->level)
		l2[i2] |= SPLIT | (flags & GIANT);
	entry_set(s, l1, i1, (w->pa & PTE_ADDR) | cache_checked(w->pa, flags & ~GIANT));
	if (w->level || w->empty)
		return true;
	s->last = (struct shadow_last) { va >> 21, w->ep[0] - i1, l1, w->upper_rights };
	fill_around(v, l1, i1, s->last.guest, w->upper_rights, write);
	return true;
}

/*
 * Most faults come in the same 2 MiB as the one before: skip the walk. False: not that place, or
 * anything out of the ordinary; the slow way decides. The guest table cannot have changed owner:
 * that flushes.
 */
static bool fill_last(struct vcpu *v, vaddr_t va, uint64_t error)
{
	struct shadow_pool *s = &v->part->pool;
	const struct shadow_last *last = &s->last;
	unsigned int i1 = (va >> 12) & 511;
	uint64_t e, rights;
	paddr_t pa;

	if (va >> 21 != last->tag)
		return false;
	e = __atomic_load_n(&last->guest[i1], __ATOMIC_RELAXED);
	pa = e & PTE_ADDR;
	rights = (last->upper_rights & e & (PTE_W | PTE_U)) | ((last->upper_rights | e) & PTE_NX);
	if (!(e & PTE_P) || !access_allowed(rights, error) || !leaf_allowed(v->part, pa) ||
	    !set_bits(&last->guest[i1], &e, error & PF_W ? PTE_A | PTE_D : PTE_A))
		return false;
	entry_set(s, last->l1, i1, pa | cache_checked(pa, (e & PTE_PS) | leaf_flags(e, rights)));
	fill_around(v, last->l1, i1, last->guest, last->upper_rights, error & PF_W);
	return true;
}

static void install_sure(struct vcpu *v, vaddr_t va, const struct walk *w, bool write)
{
	if (install(v, va, w, write))
		return;
	mmu_flush_all(v);	/* the pool holds at least 64 pages: one fill always fits now */
	ASSERT(install(v, va, w, write));
}

/*
 * A device the partition may not touch (HPET, APICs) reads as all ones, like an address where
 * nothing answers: firmware code that looks for it (ACPI methods) then finds it absent. The page is
 * the partition's own and mapped read-only, so I2 holds; writes stay faults.
 */
static bool empty_bus(const struct partition *p, struct walk *w, uint64_t error)
{
	if (!p->ones_pa || (error & (PF_W | PF_I)) || frames_owner(w->pa >> PAGE_SHIFT) != FRAMES_NONE)
		return false;
	w->empty = true;
	w->pa = p->ones_pa | (w->pa & PAGE_MASK);
	w->rights = (w->rights & ~PTE_W) | PTE_NX;
	return true;
}

enum mmu_result mmu_fault(struct vcpu *v, vaddr_t va, uint64_t error, uint64_t *guest_error)
{
	struct walk w;

	*guest_error = error & (PF_W | PF_U | PF_I);
	if (va >= KEEL_HOLE_BASE) {
		*guest_error |= PF_P;
		return MMU_GUEST;
	}
	if (fill_last(v, va, error))
		return MMU_FILLED;
	if (!guest_walk(v, va, &w))
		return MMU_GUEST;
	*guest_error |= PF_P;
	if (!access_allowed(w.rights, error))
		return MMU_GUEST;
	if (!leaf_allowed(v->part, w.pa) && !empty_bus(v->part, &w, error))
		return MMU_FORBIDDEN;
	if (!set_accessed(&w, error & PF_W))
		return MMU_RETRY;
	install_sure(v, va, &w, error & PF_W);
	return MMU_FILLED;
}

int mmu_fill_hint(struct vcpu *v, vaddr_t va, uint64_t error)
{
	struct walk w;

	if (va >> 47)
		return -KEEL_EFAULT;
	if (fill_last(v, va, error | PF_U))
		return 0;
	if (!guest_walk(v, va, &w) || !access_allowed(w.rights, error | PF_U) ||
	    !leaf_allowed(v->part, w.pa))
		return -KEEL_EFAULT;
	if (set_accessed(&w, error & PF_W))
		install_sure(v, va, &w, error & PF_W);
	return 0;
}

/* ---- Re-reading and flushing ---------------------------------------------------------------------- */

/* Re-read the guest table behind a shadow L1; entries that vanished or lost A go. */
static void resync_l1(struct vcpu *v, uint64_t *l1, paddr_t guest_pa, uint64_t upper)
{
	struct shadow_pool *s = &v->part->pool;
	const uint64_t *guest = pa_to_va(guest_pa);
	unsigned int i;
	uint64_t g;

	for_each_used(s, l1, i, g)
		if (l1[i])
			l1[i] = small_leaf(v->part, l1[i],
					   __atomic_load_n(&guest[i], __ATOMIC_RELAXED), upper);
}

/* Next guest level for a resync: 0 if it is absent, large, or not the partition's memory. */
static paddr_t guest_next(const struct vcpu *v, const uint64_t *table, unsigned int i,
			  uint64_t *upper)
{
	uint64_t e = __atomic_load_n(&table[i], __ATOMIC_RELAXED);
	paddr_t pa = e & PTE_ADDR;

	if (!(e & PTE_P) || (e & PTE_PS) || frames_owner(pa >> PAGE_SHIFT) != v->part->owner)
		return 0;
	*upper = (*upper & e & (PTE_W | PTE_U)) | ((*upper | e) & PTE_NX);
	return pa;
}

static unsigned int resync_l2(struct vcpu *v, uint64_t *l2, paddr_t guest_pa, uint64_t upper)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int i, n = 0;
	uint64_t g;

	for_each_used(s, l2, i, g) {
		uint64_t rights = upper;
		paddr_t next;

		if (!(l2[i] & PTE_P))
			continue;
		next = (l2[i] & (PTE_PS | SPLIT)) || n == RESYNC_TABLES ? 0 :
		       guest_next(v, pa_to_va(guest_pa), i, &rights);
		if (next) {
			resync_l1(v, entry_table(l2[i]), next, rights);
			n++;
			continue;
		}
		if (!(l2[i] & PTE_PS))
			table_free(s, entry_table(l2[i]));
		l2[i] = 0;
	}
	return n;
}

/*
 * A flush of a user half whose top-level table did not change: re-reading keeps all entries that
 * are still right (after fork nearly all are), where dropping them costs a fault each.
 */
static void resync_user(struct vcpu *v, struct shadow_root *r)
{
	struct shadow_pool *s = &v->part->pool;
	paddr_t pgd = r->pgd & PTE_ADDR;
	unsigned int i, j, n = 0;
	uint64_t g, g3;

	if (frames_owner(pgd >> PAGE_SHIFT) != v->part->owner) {
		drop_user(v, r);
		return;
	}
	for_each_used(s, r->l4, i, g) {
		uint64_t *l3, rights4 = PTE_W | PTE_U;
		paddr_t guest3;

		if (i >= 256 || !(r->l4[i] & PTE_P))
			continue;
		l3 = entry_table(r->l4[i]);
		guest3 = guest_next(v, pa_to_va(pgd), i, &rights4);
		for_each_used(s, l3, j, g3) {
			uint64_t rights = rights4;
			paddr_t guest2;

			if (!(l3[j] & PTE_P))
				continue;
			guest2 = guest3 ? guest_next(v, pa_to_va(guest3), j, &rights) : 0;
			if (guest2 && n < RESYNC_TABLES) {
				n += resync_l2(v, entry_table(l3[j]), guest2, rights);
				continue;
			}
			free_l2(s, entry_table(l3[j]));
			l3[j] = 0;
		}
	}
}

void mmu_flush_user(struct vcpu *v)
{
	struct shadow_root *r = &v->root[v->cur];

	v->part->pool.last.tag = NO_TAG;
	if (r->pgd == (v->cr3 & PTE_ADDR))
		resync_user(v, r);
	else
		drop_user(v, r);
}

void mmu_load_cr3(struct vcpu *v, uint64_t value)
{
	bool pcide = v->cr4 & CR4_PCIDE;
	bool flush = !pcide || !(value & CR3_NOFLUSH);
	uint64_t pcid = pcide ? value & 0xfff : 0;
	unsigned int n = pcid < NROOTS ? (unsigned int)pcid : NROOTS - 1;
	struct shadow_root *r = &v->root[n];

	if (pcid >= NROOTS - 1)
		flush = true;		/* the last slot is shared by all higher PCIDs */
	value &= ~CR3_NOFLUSH;
	v->part->pool.last.tag = NO_TAG;
	v->cr3 = value;
	v->vp->cr3 = value;
	root_select(v, n);
	if (flush || r->pgd != (value & PTE_ADDR)) {
		if (r->pgd == (value & PTE_ADDR))
			resync_user(v, r);
		else
			drop_user(v, r);
		stat_inc(v, KEEL_STAT_CR3_FLUSH);
	} else {
		stat_inc(v, KEEL_STAT_CR3_KEEP);
	}
	r->pgd = value & PTE_ADDR;
	if (!(v->cr4 & CR4_PGE) && flush)
		drop_kernel(v);
}

void mmu_age(struct vcpu *v)
{
	unsigned int n;

	for (n = 0; n < NROOTS; n++)
		drop_user(v, &v->root[n]);
}

/* One INVLPG drops a 1 GiB page, so all its pieces. */
static void drop_giant(struct shadow_pool *s, uint64_t *l2)
{
	unsigned int i;
	uint64_t g;

	for_each_used(s, l2, i, g) {
		if (!(l2[i] & GIANT))
			continue;
		if (!(l2[i] & PTE_PS))
			table_free(s, entry_table(l2[i]));
		l2[i] = 0;
	}
	s->meta[page_index(s, l2)].giant = 0;
}

static void flush_l2_entry(struct vcpu *v, uint64_t *l2, vaddr_t va)
{
	struct shadow_pool *s = &v->part->pool;
	unsigned int i2 = (va >> 21) & 511;

	if (s->meta[page_index(s, l2)].giant)
		drop_giant(s, l2);
	if (!(l2[i2] & PTE_P))
		return;
	if (l2[i2] & PTE_PS) {
		l2[i2] = 0;
	} else if (l2[i2] & SPLIT) {
		/* One INVLPG drops a large page, so all its small shadows. */
		table_free(s, entry_table(l2[i2]));
		l2[i2] = 0;
	} else {
		entry_table(l2[i2])[(va >> 12) & 511] = 0;
	}
}

/* As INVLPG: also forgets the cached way to any leaf table. */
static void flush_page(struct vcpu *v, vaddr_t va)
{
	unsigned int i4 = (va >> 39) & 511, i3 = (va >> 30) & 511;
	uint64_t *l3;

	/* An address that is not canonical has the indices of one that is, maybe of the hole. */
	if (!is_canonical(va) || va >= KEEL_HOLE_BASE)
		return;
	v->part->pool.last.tag = NO_TAG;
	if (i4 == 511 && i3 == 511) {
		flush_l2_entry(v, v->kl2, va);
		return;
	}
	if (i4 == 511) {
		l3 = v->kl3;
	} else {
		uint64_t e = i4 < 256 ? v->root[v->cur].l4[i4] : v->kl4[i4];

		if (!(e & PTE_P))
			return;
		l3 = entry_table(e);
	}
	if (l3[i3] & PTE_P)
		flush_l2_entry(v, entry_table(l3[i3]), va);
}

void mmu_flush_range(struct vcpu *v, vaddr_t va, uint64_t npages)
{
	if (npages > ENTRY_LIMIT) {
		mmu_flush_all(v);
		return;
	}
	for (; npages; npages--, va += PAGE_SIZE)
		flush_page(v, va);
}

/* ---- Reading and writing guest memory for emulation --------------------------------------------- */

static void *guest_ptr(struct vcpu *v, vaddr_t va, bool write)
{
	struct walk w;

	if (!is_canonical(va) || va >= KEEL_HOLE_BASE || !guest_walk(v, va, &w) ||
	    (write && !(w.rights & PTE_W)))
		return NULL;
	/* RAM of its own only: never touch a device for an emulated instruction. */
	if (frames_owner(w.pa >> PAGE_SHIFT) != v->part->owner || !set_accessed(&w, write))
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

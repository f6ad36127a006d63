// SPDX-License-Identifier: MIT
/*
 * check.c - debug builds: does every shadow table still say only what it may?
 *
 * A second opinion on mmu.c: it walks all tables of a vCPU and judges each entry by the frame table,
 * the channels and the manifest alone, sharing no code with what wrote the entry. Whatever is wrong
 * is our bug: panic, naming the entry into the metakernel it was found in.
 *
 * Locks:      LOCK_CHECK while it walks; of tables only those of a vCPU that this CPU has. LOCK_LIFE for who has what.
 * Invariants: I1 for what is made at run time; I2 for each leaf; no G bit (rule 16); absent entries are zero (rule 19); upper levels
 *             allow everything; the hole is exactly as built; a pool page is in one table, below a dropped one, or free.
 */
#include <hal/boot.h>
#include <hal/cpu.h>
#include <hal/ioapic.h>
#include <hal/irq.h>
#include "mm/check.h"
#include "mm/flush.h"
#include "mm/frames.h"
#include "mm/leaf.h"
#include "mm/pool.h"
#include "mm/pte.h"
#include "mm/root.h"
#include "part/chan.h"
#include "part/manifest.h"
#include "part/part.h"
#include "run/cpu.h"
#include "run/event.h"
#include "run/irq.h"
#include "run/vcpu.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/string.h"

#define CHECK_EVERY	1009	/* entries: a prime, so that no loop of a partition hides from it */
#define FREE_EVERY	8	/* every so many checks: do free pages know where they are not zero? */
#define PTE_G		(1UL << 8)
#define PTE_SOFT	(7UL << 9)
#define UPPER		(PTE_P | PTE_W | PTE_U)
#define LEAF_BITS	(PTE_P | PTE_W | PTE_U | PTE_PWT | PTE_PCD | PTE_A | PTE_D | PTE_NX)
#define LARGE_BYTES	0x200000UL

static const struct regs *entry;	/* being checked, for the report */
static uint64_t nentries, nchecks;
static uint64_t seen[MANIFEST_MAX_SHADOW / 64];
static uint32_t nseen;
static uint64_t expected_hole[512] __aligned(4096);

#define REQUIRE(cond, v, va, e) do { if (!(cond)) bad((v), (va), (e), #cond); } while (0)

static void __noreturn bad(const struct vcpu *v, vaddr_t va, uint64_t e, const char *what)
{
	panic("%s: shadow entry %#lx for %#lx: expected %s; found in entry %lu: vector %lu rip %#lx rax %#lx",
	      v->part->man->name, e, va, what, nentries, entry ? entry->vector : 0,
	      entry ? entry->rip : 0, entry ? entry->rax : 0);
}

/* A page of the pool, met for the first time. */
static uint32_t visit(const struct vcpu *v, const uint64_t *table, vaddr_t va)
{
	const struct shadow_pool *s = &v->pool;
	uint64_t at = (uint64_t)table, base = (uint64_t)s->page, i = (at - base) / PAGE_SIZE;

	REQUIRE(at >= base && i < s->npages && !(at & PAGE_MASK), v, va, at);
	REQUIRE(!(seen[i / 64] & 1UL << (i % 64)), v, va, at);
	seen[i / 64] |= 1UL << (i % 64);
	nseen++;
	return (uint32_t)i;
}

/* A live table of this level. */
static uint32_t visit_table(const struct vcpu *v, const uint64_t *table, vaddr_t va, unsigned int level)
{
	uint32_t page = visit(v, table, va);

	REQUIRE(v->pool.meta[page].level == level, v, va, (uint64_t)table);
	return page;
}

static void check_groups(const struct vcpu *v, uint32_t page, unsigned int i, vaddr_t va, uint64_t e)
{
	/* an entry outside the noted lines would survive the table's next use */
	REQUIRE(!e || (v->pool.meta[page].groups & 1UL << (i / 8)), v, va, e);
}

/*
 * Given away, and perhaps not forgotten yet (part/made.c): memory of a partition that is not started, which its creator has
 * to forget before the start; and a quota, as long as there is a note. Looks at slots without a lock.
 */
static bool on_its_way(const struct vcpu *v, paddr_t pa, uint16_t owner)
{
	bool noted = shoot_noted(&v->shootdown);
	unsigned int i;

	for (i = manifest.nparts; i < nparts; i++) {
		const struct partition *to = &parts[i];

		if (to->creator != v->part)
			continue;
		if (owner == to->owner && (to->state == KEEL_PART_EMPTY || (noted && !v->loaded)))
			return true;
		if (owner == FRAMES_MK && noted && (pa - to->request.quota_pa) / PAGE_SIZE < to->request.quota_pages)
			return true;
	}
	return false;
}

static void check_frame(const struct vcpu *v, vaddr_t va, uint64_t e, paddr_t pa)
{
	const struct partition *p = v->part;
	uint16_t owner = frames_owner(pa >> PAGE_SHIFT);

	if (owner == p->owner) {
		REQUIRE(pa != p->ones_pa || !p->ones_pa || !(e & PTE_W), v, va, e);
		return;
	}
	if (owner & FRAMES_CHANNEL) {
		const struct chan *c = &chans[owner & (MAX_CHANS - 1)];

		if (c->side[1])
			REQUIRE(c->side[0] == p || c->side[1] == p, v, va, e);
		else
			REQUIRE(!(e & (PTE_P | PTE_W) & ~chan_rights(owner, p)) || shoot_noted(&v->shootdown), v, va, e);
		/* the same memory type for both sides (rule 21), once it is known that the frame was offered */
		REQUIRE(!(e & (PTE_PWT | PTE_PCD)) || shoot_noted(&v->shootdown), v, va, e);
		return;
	}
	if (on_its_way(v, pa, owner))
		return;
	REQUIRE(owner == FRAMES_NONE && p->man->devices && leaf_mmio_rights(pa), v, va, e);
	REQUIRE(!(e & PTE_W) || leaf_mmio_rights(pa) & PTE_W, v, va, e);
}

static uint64_t check_l1(const struct vcpu *v, const uint64_t *l1, vaddr_t base)
{
	uint32_t page = visit_table(v, l1, base, TABLE_LEAVES);
	uint64_t leaves = 0;
	unsigned int i;

	for (i = 0; i < 512; i++) {
		uint64_t e = l1[i];
		vaddr_t va = base | (vaddr_t)i << 12;

		check_groups(v, page, i, va, e);
		if (!e)
			continue;
		REQUIRE(e & PTE_P, v, va, e);
		REQUIRE(!(e & ~(LEAF_BITS | PTE_PS | PTE_ADDR)), v, va, e);	/* PTE_PS is PAT here */
		check_frame(v, va, e, e & PTE_ADDR);
		leaves++;
	}
	return leaves;
}

static void check_large(const struct vcpu *v, vaddr_t va, uint64_t e)
{
	paddr_t pa = e & PTE_ADDR & ~(LARGE_BYTES - 1), at;

	REQUIRE(!(e & ~(LEAF_BITS | PTE_PS | PTE_PAT_LARGE | PTE_SOFT) & ~pa), v, va, e);
	for (at = pa; at < pa + LARGE_BYTES; at += PAGE_SIZE)
		check_frame(v, va, e, at);
}

static void check_upper(const struct vcpu *v, vaddr_t va, uint64_t e, uint64_t soft)
{
	REQUIRE((e & ~(PTE_ADDR | PTE_A | soft)) == UPPER, v, va, e);
}

/* last: how many entries to look at; 511 for the table that also leads to the hole. */
static uint64_t check_l2(const struct vcpu *v, const uint64_t *l2, vaddr_t base, unsigned int last)
{
	uint32_t page = visit_table(v, l2, base, TABLE_L2);
	uint64_t leaves = 0;
	unsigned int i;

	for (i = 0; i < last; i++) {
		uint64_t e = l2[i];
		vaddr_t va = base | (vaddr_t)i << 21;

		check_groups(v, page, i, va, e);
		if (!e)
			continue;
		REQUIRE(e & PTE_P, v, va, e);
		if (e & PTE_PS) {
			check_large(v, va, e);
			leaves++;
			continue;
		}
		check_upper(v, va, e, PTE_SOFT);
		leaves += check_l1(v, pa_to_va(e & PTE_ADDR), va);
	}
	return leaves;
}

static uint64_t check_l3(const struct vcpu *v, const uint64_t *l3, vaddr_t base, unsigned int last)
{
	uint32_t page = visit_table(v, l3, base, TABLE_L3);
	uint64_t leaves = 0;
	unsigned int i;

	for (i = 0; i < last; i++) {
		uint64_t e = l3[i];
		vaddr_t va = base | (vaddr_t)i << 30;

		check_groups(v, page, i, va, e);
		if (!e)
			continue;
		check_upper(v, va, e, 0);
		leaves += check_l2(v, pa_to_va(e & PTE_ADDR), va, 512);
	}
	return leaves;
}

static vaddr_t upper_va(unsigned int i4)
{
	return (vaddr_t)i4 << 39 | (i4 >= 256 ? 0xffffUL << 48 : 0);
}

static uint64_t check_root(const struct vcpu *v, const uint64_t *l4)
{
	uint32_t page = visit_table(v, l4, 0, TABLE_ROOT);
	uint64_t leaves = 0;
	unsigned int i;

	for (i = 0; i < 512; i++) {
		uint64_t e = l4[i];

		check_groups(v, page, i, upper_va(i), e);
		if (i >= 256) {
			REQUIRE((e | PTE_A) == (v->kl4[i] | PTE_A), v, upper_va(i), e);
			continue;
		}
		if (!e)
			continue;
		check_upper(v, upper_va(i), e, 0);
		leaves += check_l3(v, pa_to_va(e & PTE_ADDR), upper_va(i), 512);
	}
	return leaves;
}

/* The way to the last 2 MiB and what is there: exactly what entry.c builds. */
static void check_hole(const struct vcpu *v)
{
	unsigned int i;

	REQUIRE((v->kl4[511] & ~PTE_A) == (va_to_pa(v->kl3) | UPPER), v, KEEL_HOLE_BASE, v->kl4[511]);
	REQUIRE((v->kl3[511] & ~PTE_A) == (va_to_pa(v->kl2) | UPPER), v, KEEL_HOLE_BASE, v->kl3[511]);
	REQUIRE((v->kl2[511] & ~PTE_A) == (va_to_pa(v->hole_pt) | UPPER), v, KEEL_HOLE_BASE, v->kl2[511]);
	memset(expected_hole, 0, sizeof(expected_hole));
	entry_init_hole(expected_hole, va_to_pa(v->ro), va_to_pa(v->vp), va_to_pa(v->stack));
	for (i = 0; i < 512; i++) {
		uint64_t e = v->hole_pt[i] & ~(PTE_A | PTE_D);
		vaddr_t va = KEEL_HOLE_BASE | (vaddr_t)i << 12;

		REQUIRE(e == (expected_hole[i] & ~(PTE_A | PTE_D)), v, va, v->hole_pt[i]);
		REQUIRE(!e || frames_owner((e & PTE_ADDR) >> PAGE_SHIFT) == FRAMES_MK, v, va, e);
	}
}

static uint64_t check_kernel_half(const struct vcpu *v)
{
	uint64_t leaves = 0;
	unsigned int i;

	visit_table(v, v->kl4, 0, TABLE_ROOT);
	for (i = 0; i < 511; i++) {
		uint64_t e = v->kl4[i];

		REQUIRE(i >= 256 || !e, v, upper_va(i), e);
		if (!e)
			continue;
		check_upper(v, upper_va(i), e, 0);
		leaves += check_l3(v, pa_to_va(e & PTE_ADDR), upper_va(i), 512);
	}
	leaves += check_l3(v, v->kl3, upper_va(511), 511);
	return leaves + check_l2(v, v->kl2, upper_va(511) | 511UL << 30, 511);
}

static void check_unused(const struct vcpu *v, uint32_t i, unsigned int level)
{
	const struct shadow_pool *s = &v->pool;
	unsigned int j;

	REQUIRE(s->meta[i].level == level, v, 0, i);
	for (j = 0; nchecks % FREE_EVERY == 0 && j < 512; j++)
		check_groups(v, i, j, (vaddr_t)j, s->page[i][j]);
}

/* A table that waits to be swept, and what only it leads to: of no root, and each once. */
static void check_dropped(const struct vcpu *v, const uint64_t *table, unsigned int level)
{
	unsigned int i;

	check_unused(v, visit(v, table, 0), level);
	for (i = 0; level != TABLE_LEAVES && i < (level == TABLE_ROOT ? 256 : 512); i++)
		if ((table[i] & (PTE_P | PTE_PS)) == PTE_P)
			check_dropped(v, pa_to_va(table[i] & PTE_ADDR), level - 1);
}

/* After all live tables have been visited: the rest of the pool, each page in one place. */
static void check_pool(const struct vcpu *v)
{
	const struct shadow_pool *s = &v->pool;
	uint32_t i, nlive = nseen, nlisted = 0;

	for (i = s->free_head; i != NO_PAGE; i = s->meta[i].next, nlisted++) {
		REQUIRE(i < s->npages, v, 0, i);
		check_unused(v, visit(v, s->page[i], 0), TABLE_LEAVES);
	}
	for (i = s->dropped_head; i != NO_PAGE; i = s->meta[i].next, nlisted++) {
		REQUIRE(i < s->npages, v, 0, i);
		check_dropped(v, s->page[i], s->meta[i].level);
	}
	REQUIRE(nseen == s->npages, v, 0, (uint64_t)nseen << 32 | s->npages);
	REQUIRE(nlisted + s->nused == s->npages, v, 0, nlisted);
	REQUIRE(nlive <= s->nused, v, 0, nlive);
}

uint64_t mmu_check(const struct vcpu *v)
{
	static struct lock lock = LOCK_INIT(LOCK_CHECK);
	uint64_t leaves;
	unsigned int n;

	lock_take(&lock);
	memset(seen, 0, sizeof(seen));
	nseen = 0;
	nchecks++;
	check_hole(v);
	leaves = check_kernel_half(v);
	for (n = 0; n < NROOTS; n++)
		if (v->root[n].l4)
			leaves += check_root(v, v->root[n].l4);
	REQUIRE(v->root[v->cur].l4, v, 0, v->cur);
	check_pool(v);
	lock_release(&lock);
	return leaves;
}

static void check_owned(paddr_t pa, uint64_t bytes, uint16_t owner, const char *what, unsigned int i)
{
	paddr_t at;

	for (at = pa; at < pa + bytes; at += PAGE_SIZE)
		if (frames_owner(at >> PAGE_SHIFT) != owner)
			panic("%s of %u: frame %#lx has owner %u, not %u; found in entry %lu", what, i, at >> PAGE_SHIFT,
			      frames_owner(at >> PAGE_SHIFT), owner, nentries);
}

/* I1: quotas and windows are whose they should be, and of who is not there nothing is left. Nobody comes or goes meanwhile. */
static void check_holdings(void)
{
	unsigned int i;

	lock_take(&life_lock);
	for (i = manifest.nparts; i < nparts; i++) {
		const struct partition *p = &parts[i];

		if (p->creator)
			check_owned(p->request.quota_pa, p->request.quota_pages * PAGE_SIZE, FRAMES_MK, "quota", i);
		else
			ASSERT(!frames_count((uint16_t)(FRAMES_PARTITION + i)));
	}
	for (i = 0; i < nchans; i++)
		if (chans[i].state & KEEL_CHAN_WINDOW)
			check_owned(chans[i].window_pa, chans[i].window_bytes, chans[i].owner, "window", i);
	lock_release(&life_lock);
}

void check_entry(const struct vcpu *v, const struct regs *r)
{
	if (++nentries % CHECK_EVERY)
		return;
	entry = r;
	mmu_check(v);
	if (nchecks % FREE_EVERY == 0)
		check_holdings();
}

/* ---- Who has what ------------------------------------------------------------------------------------ */

static unsigned int omitted;

bool check_omits(unsigned int what)
{
	return omitted & what;
}

void check_obeyed(const struct partition *p, uint64_t set, uint64_t ticket)
{
	for (; set && !check_omits(CHECK_OMIT_LOOK); set &= set - 1) {
		const struct vcpu *v = &p->vcpu[bit_lowest(set)];

		if (__atomic_load_n(&cpus[v->cpu]->current, __ATOMIC_SEQ_CST) == v && shoot_noted(&v->shootdown) &&
		    v->shootdown.since < ticket)
			panic("%s: vCPU %u runs on CPU %u with what it should have forgotten by ticket %lu", p->man->name, v->id,
			      v->cpu, ticket);
	}
}

void check_holder(const struct shadow_pool *s)
{
	const struct vcpu *v = (const struct vcpu *)((const char *)s - offsetof(struct vcpu, pool));

	if (__atomic_load_n(&v->loaded, __ATOMIC_SEQ_CST) && v->cpu != this_cpu->index)
		panic("%s: CPU %u changes tables of vCPU %u, which CPU %u has", v->part->man->name, this_cpu->index, v->id,
		      v->cpu);
}

/* ---- Faults of our own making, for the tests -------------------------------------------------------- */

static uint64_t overflow_stack(uint64_t depth)
{
	volatile char frame[512];

	frame[0] = (char)depth;
	return depth ? overflow_stack(depth - 1) + (uint64_t)frame[0] : 0;
}

/* Something of another vCPU's into the tables of this one: its stack page, its table. */
static void plant_other(struct vcpu *v, uint64_t what)
{
	const struct vcpu *other = &v->part->vcpu[(v->id + 1) % v->part->nvcpus];
	uint64_t *t;

	mmu_flush_all(v);
	t = table_alloc(&v->pool, TABLE_LEAVES);
	entry_set(&v->pool, t, 0, va_to_pa(other->stack) | LEAF_BITS);
	entry_set(&v->pool, v->kl2, 0, va_to_pa(what ? other->kl2 : t) | UPPER);
	mmu_check(v);
}

/* Put something into the tables that must not be there: the next check has to find it. */
static void plant(struct vcpu *v, uint64_t what)
{
	switch (what) {
	case 0:		/* a writable leaf on a frame of the metakernel */
		mmu_flush_all(v);
		v->kl2[0] = 0x200000 | LEAF_BITS | PTE_PS;
		v->pool.meta[((uint64_t)v->kl2 - (uint64_t)v->pool.page) / PAGE_SIZE].groups |= 1;
		break;
	case 1:		/* a global hole */
		v->hole_pt[(KEEL_VCPU_VA >> PAGE_SHIFT) & 511] |= PTE_G;
		break;
	case 2:		/* a writable trampoline */
		v->hole_pt[0] |= PTE_W;
		break;
	}
	mmu_check(v);
}

static uint64_t add_up(uint64_t sum, const void *from, const void *end)
{
	const uint64_t *w;

	for (w = from; w < (const uint64_t *)end; w++)
		sum = (sum ^ *w) * 0x100000001b3;
	return sum;
}

/* What nobody writes once partitions run: text, constants, the manifest, and the tables that map them. */
static uint64_t metakernel_sum(void)
{
	const uint64_t *l4 = pa_to_va(hal_boot_cr3() & PTE_ADDR), *l3 = pa_to_va(l4[511] & PTE_ADDR);
	const uint64_t *l2 = pa_to_va(l3[510] & PTE_ADDR), *l1 = pa_to_va(l2[0] & PTE_ADDR);
	uint64_t sum = 0;
	unsigned int i;

	sum = add_up(sum, __text_start, __tramp_text_end);
	sum = add_up(sum, __rodata_start, __rodata_end);
	sum = add_up(sum, &manifest, (const char *)&manifest + sizeof(manifest) / 8 * 8);
	for (i = 0; i < 512; i++)	/* without accessed and dirty bits */
		sum = (sum ^ (l1[i] & ~(PTE_A | PTE_D))) * 0x100000001b3;
	return sum >> 1;
}

int64_t check_hcall(struct vcpu *v, struct regs *r)
{
	switch (r->rdi) {
	case 0:
		return 1;
	case 1:
		hal_apic_ipi_self((uint8_t)r->rsi);
		return 0;
	case 2:
		hal_apic_ipi_self((uint8_t)r->rsi);
		event_iret(v, r);
		return (int64_t)r->rax;
	case 3:
		hal_apic_nmi_self();
		return 0;
	case 4:
		asm volatile("ud2");
		return 0;
	case 5:
		asm volatile("divl %0" : : "r" (0), "a" (1), "d" (0));
		return 0;
	case 6:
		return *(volatile int64_t *)0x7fff00001000;
	case 7:
		*(volatile uint8_t *)KEEL_TRAMP_VA = 0;
		return 0;
	case 8:
		asm volatile("jmpq *%0" : : "r" (0x7fff00001000));
		return 0;
	case 9:
		return (int64_t)overflow_stack(1000);
	case 10:
		entry = r;
		return (int64_t)mmu_check(v);
	case 14:
		return hal_ioapic_read((unsigned int)r->rsi, (uint8_t)r->rdx);
	case 15:
		return (int64_t)metakernel_sum();
	case 16:	/* the lines that come now are not one too many in this second */
		v->part->log_second = 0;
		return 0;
	case 17:	/* an emulated CPU does not reach what a storm is */
		irq_storm_limit = (unsigned int)r->rsi;
		return 0;
	case 18:
		omitted = (unsigned int)r->rsi;
		return 0;
	case 19: case 20:
		plant_other(v, r->rdi - 19);
		return 0;
	case 11: case 12: case 13:
		plant(v, r->rdi - 11);
		return 0;
	}
	return -KEEL_ENOSYS;
}

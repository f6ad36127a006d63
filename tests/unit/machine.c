// SPDX-License-Identifier: MIT
/*
 * machine.c - see machine.h.
 */
#include "machine.h"

#include <sys/mman.h>

#include "lib/log.h"
#include "lib/panic.h"

char *unit_arena;
size_t unit_arena_bytes;
struct partition part;
static struct vcpu vcpu_memory;
struct vcpu *const vcpu = &vcpu_memory;
struct manifest_part man;
paddr_t machine_lost;

static struct keel_vcpu_page vcpu_page;
static void *frame_table;
static paddr_t next_table;
static uint64_t *hole_copy;
static bool windows_made;

/* ---- What mmu.c calls --------------------------------------------------------------------------- */

void *unit_pa_to_va(paddr_t pa)
{
	fail_msg("physical address %#lx is no memory", pa);
	abort();
}

paddr_t unit_va_to_pa(const void *va)
{
	assert_true((const char *)va >= unit_arena && (const char *)va < unit_arena + unit_arena_bytes);
	return (paddr_t)((const char *)va - unit_arena);
}

void panic_at(const char *file, int line, const struct panic_regs *regs, const char *fmt, ...)
{
	(void)regs;
	fail_msg("panic at %s:%d: %s", file, line, fmt);
	abort();
}

void log_printf(const char *fmt, ...)
{
	(void)fmt;
}

uint64_t chan_rights(uint16_t owner, const struct partition *p)
{
	assert_ptr_equal(p, &part);
	return owner == (FRAMES_CHANNEL | 0) ? PTE_P | PTE_W : owner == (FRAMES_CHANNEL | 2) ? PTE_P : 0;
}

/* ---- Memory ------------------------------------------------------------------------------------- */

static void give(paddr_t base, paddr_t end, uint16_t owner)
{
	assert_int_equal(frames_claim(base >> 12, (end - base) >> 12, FRAMES_FREE, owner), 0);
}

bool frame_ok(paddr_t pa)
{
	if (machine_lost && (pa & ~0xfffUL) == machine_lost)
		return false;
	if ((pa >= OWN && pa < OWN_END) || (pa >= MIXED && pa < MIXED + 0x100000))
		return true;
	if (pa >= OWN_1G && pa < MACHINE_END)
		return pa < HOLE_1G || pa >= HOLE_1G + 0x200000;
	if (pa >= CHAN && pa < CHAN + 0x100000)
		return true;
	return man.devices && ((pa >= 0xa0000 && pa < 0x100000) ||
			       (pa >= MMIO && pa < MMIO + 0x200000) ||
			       (pa >= 0xfd000000 && pa < 0xfe000000));
}

/* The partition's outright, so that its page tables may lie there. */
static bool frame_own(paddr_t pa)
{
	return frame_ok(pa) && pa >= OWN && !(pa >= CHAN && pa < RAM_END) && pa < MACHINE_END;
}

static void memory_start(void)
{
	if (!unit_arena) {
		unit_arena_bytes = MACHINE_END;
		unit_arena = mmap(NULL, unit_arena_bytes, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		assert_ptr_not_equal(unit_arena, MAP_FAILED);
		frame_table = malloc(frames_bytes(MACHINE_END >> 12));
		assert_non_null(frame_table);
	}
	madvise(unit_arena, unit_arena_bytes, MADV_DONTNEED);
	memset(unit_arena + 0x100000, 0xa5, OWN - 0x100000);	/* as a boot loader leaves it */
	frames_init(frame_table, MACHINE_END >> 12);
	frames_add_ram(0x100, (MMIO >> 12) - 0x100);
	frames_add_ram(OWN_1G >> 12, (MACHINE_END - OWN_1G) >> 12);
	give(OWN, OWN_END, OWNER);
	give(MIXED, MIXED + 0x100000, OWNER);
	give(MIXED + 0x100000, CHAN, OTHER);
	give(CHAN, CHAN_OTHER, FRAMES_CHANNEL | 0);
	give(CHAN_OTHER, MMIO, FRAMES_CHANNEL | 1);
	give(OWN_1G, HOLE_1G, OWNER);
	give(HOLE_1G, HOLE_1G + 0x200000, OTHER);
	give(HOLE_1G + 0x200000, MACHINE_END, OWNER);
	next_table = OWN;
	if (!windows_made) {
		leaf_allow_mmio(0xa0000, 0x60000, true);
		leaf_allow_mmio(MMIO, 0x200000, true);
		leaf_allow_mmio(TABLES, 0x200000, false);
		leaf_allow_mmio(0xfd000000, 0x1000000, true);
		windows_made = true;
	}
}

void *part_take(struct partition *p, uint64_t npages)
{
	paddr_t pa = frames_alloc_mk(npages);

	(void)p;
	return pa ? memset(pa_to_va(pa), 0, npages * PAGE_SIZE) : NULL;
}

void machine_start(uint32_t npages, bool devices)
{
	unsigned int i;

	memory_start();
	memset(&part, 0, sizeof(part));
	memset(vcpu, 0, sizeof(*vcpu));
	memset(&man, 0, sizeof(man));
	memset(&vcpu_page, 0, sizeof(vcpu_page));
	machine_lost = 0;
	man.shadow_pages = npages;
	man.devices = devices;
	part.owner = OWNER;
	part.man = &man;
	part.nvcpus = 1;
	part.vcpu = vcpu;
	vcpu->part = &part;
	vcpu->vp = &vcpu_page;
	vcpu->cr4 = CR4_PAE | CR4_PGE | CR4_PCIDE;
	vcpu->hole_pt = pa_to_va(frames_alloc_mk(1));
	for (i = 0; i < 512; i++)
		vcpu->hole_pt[i] = 0xa5a5000000000000UL + i;
	free(hole_copy);
	hole_copy = malloc(PAGE_SIZE);
	assert_non_null(hole_copy);
	memcpy(hole_copy, vcpu->hole_pt, PAGE_SIZE);
	if (devices) {
		part.ones_pa = frames_alloc_mk(1);
		assert_int_equal(frames_claim(part.ones_pa >> 12, 1, FRAMES_MK, OWNER), 0);
	}
	assert_int_equal(mmu_init_vcpu(vcpu), 0);
	mmu_load_cr3(vcpu, table_new());
}

void machine_stop(void)
{
	free(hole_copy);
	hole_copy = NULL;
}

paddr_t table_new(void)
{
	paddr_t pa = next_table;

	next_table += PAGE_SIZE;
	assert_true(next_table < OWN + 0x1000000);
	memset(pa_to_va(pa), 0, PAGE_SIZE);
	return pa;
}

uint64_t *pte_at(paddr_t table, unsigned int i)
{
	return (uint64_t *)pa_to_va(table) + i;
}

uint64_t *guest_pte(paddr_t pgd, vaddr_t va, unsigned int level)
{
	paddr_t table = pgd;
	unsigned int l;

	for (l = 3; l > level; l--) {
		uint64_t *e = pte_at(table, (va >> (12 + 9 * l)) & 511);

		if (!*e)
			*e = table_new() | URW;
		table = *e & PTE_ADDR;
	}
	return pte_at(table, (va >> (12 + 9 * level)) & 511);
}

/* ---- Walks --------------------------------------------------------------------------------------- */

/* SDM vol. 3A, 4.5. Entries may be of either kind of table; owned: stop at tables not the guest's. */
static struct view walk_tables(paddr_t table, vaddr_t va, bool owned)
{
	struct view w = { .write = true, .user = true, .exec = true };
	unsigned int level = 4;

	while (level--) {
		uint64_t e;

		if (owned && !frame_own(table))
			return (struct view) { 0 };
		e = *pte_at(table, (va >> (12 + 9 * level)) & 511);
		if (!(e & 1))
			return (struct view) { 0 };
		w.write = w.write && (e & 2);
		w.user = w.user && (e & 4);
		w.exec = w.exec && !(e >> 63);
		if (level && !((e & 0x80) && level < 3)) {
			table = e & 0x000ffffffffff000UL;
			continue;
		}
		w.present = true;
		w.level = level;
		w.accessed = e & 0x20;
		w.dirty = e & 0x40;
		w.cache = e & 0x18;
		if (level ? e & 0x1000 : e & 0x80)
			w.cache |= 0x80;
		switch (level) {
		case 0: w.pa = (e & 0x000ffffffffff000UL) | (va & 0xfff); break;
		case 1: w.pa = (e & 0x000fffffffe00000UL) | (va & 0x1fffff); break;
		default: w.pa = (e & 0x000fffffc0000000UL) | (va & 0x3fffffff); break;
		}
		break;
	}
	return w;
}

struct view guest_view(paddr_t pgd, vaddr_t va)
{
	return walk_tables(pgd, va, true);
}

struct view shadow_view(vaddr_t va)
{
	if (va >= KEEL_HOLE_BASE)
		return (struct view) { 0 };
	return walk_tables(vcpu->root_pa, va, false);
}

bool view_allows(const struct view *w, uint64_t error)
{
	if (!w->present || ((error & PF_U) && !w->user) || ((error & PF_W) && !w->write))
		return false;
	return !(error & PF_I) || (w->exec && ((error & PF_U) || !w->user));
}

enum mmu_result cpu_access(vaddr_t va, uint64_t error, uint64_t *guest_error)
{
	uint64_t dummy;
	enum mmu_result got = MMU_FILLED;
	struct view w = shadow_view(va);

	if (view_allows(&w, error))
		return MMU_FILLED;
	got = mmu_fault(vcpu, va, error | (w.present ? PF_P : 0), guest_error ? guest_error : &dummy);
	w = shadow_view(va);
	if (got == MMU_FILLED)		/* what it says must be so */
		assert_true(view_allows(&w, error));
	return got;
}

/* ---- The checker ----------------------------------------------------------------------------------- */

uint32_t machine_used(void)
{
	pool_sweep(&vcpu->pool, UINT32_MAX);
	return vcpu->pool.nused;
}

static uint8_t seen[65536];
static uint32_t nseen;

static uint64_t *pool_table(uint64_t e, unsigned int level)
{
	uint64_t *t = pa_to_va(e & PTE_ADDR);
	uint64_t i = (uint64_t)(t - vcpu->pool.page[0]) / 512;

	assert_int_equal(e & ~(PTE_ADDR | SOFT_SPLIT | SOFT_GIANT), URW);
	assert_true(i < vcpu->pool.npages);
	assert_int_equal(vcpu->pool.meta[i].level, level);
	assert_int_equal(seen[i], 0);	/* once */
	seen[i] = 1;
	nseen++;
	return t;
}

static void check_groups(const uint64_t *t)
{
	uint64_t n = (uint64_t)(t - vcpu->pool.page[0]) / 512, i;

	for (i = 0; i < 512; i++)
		if (t[i])
			assert_true(vcpu->pool.meta[n].groups >> (i / 8) & 1);
}

static void check_leaf(uint64_t e, unsigned int level)
{
	paddr_t pa = e & PTE_ADDR & (level ? ~0x1fffffUL : ~0UL), at;

	assert_int_equal(e & (1UL << 8), 0);		/* G */
	assert_int_equal(e & PTE_A, PTE_A);		/* the CPU must not write into shadows */
	assert_int_equal(e & 0x7ff0000000000000UL, 0);
	if (!level && part.ones_pa && pa == part.ones_pa) {
		assert_int_equal(e & (PTE_W | PTE_NX), PTE_NX);
		return;
	}
	for (at = pa; at < pa + (level ? 0x200000UL : 0x1000UL); at += 0x1000)
		if (!frame_ok(at))
			fail_msg("leaf %#lx maps %#lx", e, at);
	if (pa >= CHAN && pa < CHAN_OTHER)
		assert_int_equal(e & (PTE_PWT | PTE_PCD | PTE_PS), 0);	/* rule 21 */
}

static void check_l1(const uint64_t *t)
{
	unsigned int i;

	check_groups(t);
	for (i = 0; i < 512; i++)
		if (t[i] & PTE_P)
			check_leaf(t[i], 0);
		else
			assert_int_equal(t[i], 0);
}

static void check_l2(const uint64_t *t)
{
	unsigned int i;

	check_groups(t);
	for (i = 0; i < 512; i++) {
		if (t == vcpu->kl2 && i == 511)
			assert_int_equal(t[i], va_to_pa(vcpu->hole_pt) | URW);
		else if (!(t[i] & PTE_P))
			assert_int_equal(t[i], 0);
		else if (t[i] & PTE_PS)
			check_leaf(t[i] & ~SOFT_GIANT, 1);
		else
			check_l1(pool_table(t[i], TABLE_LEAVES));
	}
}

static void check_l3(const uint64_t *t)
{
	unsigned int i;

	check_groups(t);
	for (i = 0; i < 512; i++) {
		assert_int_equal(t[i] & PTE_PS, 0);
		if (t[i])
			check_l2(pool_table(t[i], TABLE_L2));
	}
}

static void check_root(const uint64_t *l4)
{
	unsigned int i;

	check_groups(l4);
	for (i = 0; i < 512; i++) {
		if (i >= 256)
			assert_int_equal(l4[i], vcpu->kl4[i]);
		else if (l4[i])
			check_l3(pool_table(l4[i], TABLE_L3));
	}
}

static void check_unused(uint32_t i)
{
	assert_true(i < vcpu->pool.npages);
	assert_int_equal(seen[i], 0);		/* of no root, nor anywhere else before */
	seen[i] = 1;
	nseen++;
	check_groups(vcpu->pool.page[i]);
}

/* What a dropped table still leads to, level by level. */
static void check_dropped(uint32_t i, unsigned int level)
{
	const uint64_t *t = vcpu->pool.page[i];
	unsigned int n;

	check_unused(i);
	assert_int_equal(vcpu->pool.meta[i].level, level);
	for (n = 0; level && n < (level == TABLE_ROOT ? 256 : 512); n++)
		if ((t[n] & PTE_P) && !(level == TABLE_L2 && (t[n] & PTE_PS)))
			check_dropped((uint32_t)(((uint64_t *)pa_to_va(t[n] & PTE_ADDR) - vcpu->pool.page[0]) / 512),
				      level - 1);
}

static void check_rest(void)
{
	uint32_t i, nlisted = 0;

	assert_true(nseen <= vcpu->pool.nused);
	for (i = vcpu->pool.free_head; i != NO_PAGE; i = vcpu->pool.meta[i].next, nlisted++) {
		check_unused(i);
		assert_int_equal(vcpu->pool.meta[i].level, TABLE_LEAVES);
	}
	for (i = vcpu->pool.dropped_head; i != NO_PAGE; i = vcpu->pool.meta[i].next, nlisted++) {
		assert_int_not_equal(vcpu->pool.meta[i].level, TABLE_LEAVES);
		check_dropped(i, vcpu->pool.meta[i].level);
	}
	assert_int_equal(nseen, vcpu->pool.npages);
	assert_int_equal(nlisted + vcpu->pool.nused, vcpu->pool.npages);
}

void check_shadow(void)
{
	unsigned int n, i;

	memset(seen, 0, sizeof(seen));
	nseen = 0;
	assert_non_null(vcpu->root[vcpu->cur].l4);
	pool_table(va_to_pa(vcpu->kl4) | URW, TABLE_ROOT);
	check_groups(vcpu->kl4);
	for (i = 0; i < 511; i++) {
		assert_true(i >= 256 || !vcpu->kl4[i]);
		if (vcpu->kl4[i])
			check_l3(pool_table(vcpu->kl4[i], TABLE_L3));
	}
	assert_int_equal(vcpu->kl4[511], va_to_pa(vcpu->kl3) | URW);
	assert_int_equal(vcpu->kl3[511], va_to_pa(vcpu->kl2) | URW);
	check_l3(pool_table(vcpu->kl4[511], TABLE_L3));
	assert_memory_equal(vcpu->hole_pt, hole_copy, PAGE_SIZE);
	for (n = 0; n < NROOTS; n++)
		if (vcpu->root[n].l4)
			check_root(pool_table(va_to_pa(vcpu->root[n].l4) | URW, TABLE_ROOT));
	check_rest();
}

// SPDX-License-Identifier: MIT
/*
 * Property: whatever a partition does to its tables, and in whatever order it flushes and faults, the CPU
 * may do through the shadow only what the partition's own tables allowed at some moment since the last
 * flush of that address; and a fault answers as those tables say.
 *
 * The model knows no shadow. For each address it notes every translation the guest's tables held since
 * the flush that last covered it, by a walker of its own, and forgets them at the flush. As a CPU may
 * remember the way to a leaf table (SDM vol. 3A, 4.10.3), it also notes what each such way since the
 * last flush of anything leads to now.
 * Failure looks like: a shadow entry with no such translation, named with seed and step.
 */
#include "machine.h"

#define STEPS		60000
#define NPGDS		3
#define NPCIDS		9
#define NSLOTS		NROOTS
#define NOTES		400
#define CR3_KEEP	(1UL << 63)

static const vaddr_t vas[] = {
	0x400000, 0x401000, 0x402000, 0x411000,			/* fault-around and beyond */
	0x40000000, 0x40001000, 0x40200000, 0x7fe00000, 0x40e00000, 0x40e01000,
	0x7ffffffff000,
	0xffff888000000000, 0xffff888000001000, 0xffff888000200000,
	0xffffffff80000000, 0xffffffff80001000, 0xffffffff80200000,
	0xffffffffc0000000, 0xffffffffc0001000, 0xffffffffc0e00000, 0xffffffffffdff000,
};
#define NVAS NELEM(vas)

struct note {
	paddr_t pa;
	uint64_t cache;
	unsigned int level;
	bool write, user, exec;
};

struct notes {
	unsigned int n;
	struct note note[NOTES];
};

/* A way to a leaf table: where it is, and the rights on the way there. */
struct way {
	paddr_t table;
	bool write, user, exec;
};

#define WAYS 300
static struct { unsigned int n; struct way way[WAYS]; } ways[NVAS];
static paddr_t pgds[NPGDS];
static uint64_t *entry[NPGDS][NVAS][4];
static paddr_t child[NPGDS][NVAS][4];		/* the table entry[][][level] leads to */
static struct notes lower[NSLOTS][NVAS], upper[NVAS];
static paddr_t slot_pgd[NSLOTS];
static unsigned int slot;
static uint64_t seed;

static bool is_upper(size_t v)
{
	return vas[v] >> 63;
}

static struct notes *notes_of(size_t v)
{
	return is_upper(v) ? &upper[v] : &lower[slot][v];
}

/* ---- The model ------------------------------------------------------------------------------------- */

static bool same(const struct note *a, const struct note *b)
{
	return a->pa == b->pa && a->cache == b->cache && a->level == b->level &&
	       a->write == b->write && a->user == b->user && a->exec == b->exec;
}

static bool empty_bus(paddr_t pa)
{
	return part.ones_pa && frames_owner(pa >> 12) == FRAMES_NONE;
}

static void note_view(struct notes *all, const struct view *g)
{
	unsigned int i;
	struct note n = {
		.pa = g->pa & PTE_ADDR, .cache = g->cache, .level = g->level, .user = g->user,
		.write = g->write && g->dirty, .exec = g->exec,
	};

	if (!g->present || !g->accessed || (!frame_ok(g->pa) && !empty_bus(g->pa)))
		return;
	if (!frame_ok(g->pa)) {
		n.pa = part.ones_pa;
		n.write = n.exec = false;
	} else if (n.pa >= CHAN && n.pa < CHAN_OTHER) {
		n.cache = 0;
	}
	for (i = 0; i < all->n && !same(&all->note[i], &n); i++)
		;
	if (i < all->n)
		return;
	assert_true(all->n < NOTES);
	all->note[all->n++] = n;
}

/* The leaf that a way known for vas[v] leads to now. */
static struct view way_view(size_t v, const struct way *w)
{
	uint64_t e = *pte_at(w->table, (vas[v] >> 12) & 511);

	return (struct view) {
		.present = e & PTE_P, .accessed = e & PTE_A, .dirty = e & PTE_D,
		.write = w->write && (e & PTE_W), .user = w->user && (e & PTE_U),
		.exec = w->exec && !(e & PTE_NX), .pa = e & PTE_ADDR,
		.cache = e & (PTE_PWT | PTE_PCD | PTE_PS),
	};
}

static void note_way(size_t v)
{
	paddr_t table = vcpu->cr3 & PTE_ADDR;
	struct way w = { .write = true, .user = true, .exec = true };
	unsigned int i;

	for (unsigned int level = 3; level; level--) {
		uint64_t e;

		if (frames_owner(table >> 12) != OWNER)
			return;
		e = *pte_at(table, (vas[v] >> (12 + 9 * level)) & 511);
		if (!(e & PTE_P) || (level < 3 && (e & PTE_PS)))
			return;
		w.write = w.write && (e & PTE_W);
		w.user = w.user && (e & PTE_U);
		w.exec = w.exec && !(e & PTE_NX);
		table = e & PTE_ADDR;
	}
	if (frames_owner(table >> 12) != OWNER)
		return;
	w.table = table;
	for (i = 0; i < ways[v].n; i++) {
		const struct way *o = &ways[v].way[i];

		if (o->table == w.table && o->write == w.write && o->user == w.user && o->exec == w.exec)
			return;
	}
	assert_true(ways[v].n < WAYS);
	ways[v].way[ways[v].n++] = w;
}

static void forget_ways(void)
{
	for (size_t v = 0; v < NVAS; v++)
		ways[v].n = 0;
}

/* Would some remembered way allow it? */
static bool way_allows(size_t v, uint64_t error)
{
	for (unsigned int i = 0; i < ways[v].n; i++) {
		struct view w = way_view(v, &ways[v].way[i]);

		if (view_allows(&w, error) && frame_ok(w.pa))
			return true;
	}
	return false;
}

/* What the tables allow now, for all addresses, joins what they allowed before. */
static void take_notes(void)
{
	for (size_t v = 0; v < NVAS; v++) {
		struct view g = guest_view(vcpu->cr3 & PTE_ADDR, vas[v]);

		note_view(notes_of(v), &g);
		note_way(v);
		for (unsigned int i = 0; i < ways[v].n; i++) {
			struct view w = way_view(v, &ways[v].way[i]);

			note_view(notes_of(v), &w);
		}
	}
}

static void forget_lower(unsigned int s)
{
	for (size_t v = 0; v < NVAS; v++)
		lower[s][v].n = 0;
}

static void forget_all(void)
{
	for (unsigned int s = 0; s < NSLOTS; s++)
		forget_lower(s);
	for (size_t v = 0; v < NVAS; v++)
		upper[v].n = 0;
	forget_ways();
}

/* One INVLPG: the translation for va, with all of the page it belonged to. */
static void forget_page(vaddr_t va)
{
	for (size_t v = 0; v < NVAS; v++) {
		struct notes *all = notes_of(v);
		unsigned int i, kept = 0;

		for (i = 0; i < all->n; i++)
			if ((vas[v] ^ va) >> (12 + 9 * all->note[i].level))
				all->note[kept++] = all->note[i];
		all->n = kept;
	}
}

static void compare(unsigned int step)
{
	for (size_t v = 0; v < NVAS; v++) {
		struct view s = shadow_view(vas[v]);
		const struct notes *all = notes_of(v);
		unsigned int i;

		if (!s.present)
			continue;
		for (i = 0; i < all->n; i++) {
			const struct note *n = &all->note[i];

			if (n->pa == (s.pa & PTE_ADDR) && n->cache == s.cache && s.write <= n->write &&
			    s.user <= n->user && s.exec <= n->exec)
				break;
		}
		if (i == all->n)
			fail_msg("step %u: va %#lx maps %#lx w%d u%d x%d cache %#lx, never allowed since the flush",
				 step, vas[v], s.pa, s.write, s.user, s.exec, s.cache);
	}
}

/* ---- Operations ------------------------------------------------------------------------------------- */

static bool chance(unsigned int percent)
{
	return unit_below(&seed, 100) < percent;
}

static uint64_t some_rights(void)
{
	return (chance(95) ? PTE_P : 0) | (chance(75) ? PTE_W : 0) | (chance(75) ? PTE_U : 0) |
	       (chance(20) ? PTE_NX : 0);
}

static uint64_t some_leaf(unsigned int level)
{
	static const paddr_t small[] = {
		OWN + 0x2000000, OWN + 0x2001000, OWN + 0x2002000, OWN + 0x2200000, MIXED,
		MIXED + 0x100000, FOREIGN, CHAN, CHAN + 0x1000, CHAN_OTHER, MMIO, NO_MMIO, OWN_1G,
		HOLE_1G, 0xfee00000, 0xb8000,
	};
	static const paddr_t large[] = {
		OWN + 0x2000000, OWN + 0x2200000, MIXED, FOREIGN, CHAN & ~0x1fffffUL, MMIO, NO_MMIO,
		OWN_1G, HOLE_1G, 0xfee00000, 0,
	};
	static const paddr_t giant[] = { OWN_1G, OWN_1G, 0, 0xc0000000 };
	uint64_t pa = !level ? small[unit_below(&seed, NELEM(small))] :
		      level == 1 ? large[unit_below(&seed, NELEM(large))] :
				   giant[unit_below(&seed, NELEM(giant))];

	return pa | some_rights() | (chance(60) ? PTE_A : 0) | (chance(50) ? PTE_D : 0) |
	       (chance(10) ? PTE_PWT : 0) | (chance(10) ? PTE_PCD : 0) | (level ? PTE_PS : 0) |
	       (chance(10) ? level ? PTE_PAT_LARGE : PTE_PS : 0) | (chance(10) ? 1UL << 8 : 0);
}

static void op_edit(void)
{
	unsigned int g = unit_below(&seed, NPGDS), level = chance(60) ? 0 : unit_below(&seed, 4);
	size_t v = unit_below(&seed, NVAS);
	uint64_t *e = entry[g][v][level];

	if (chance(15))
		*e &= ~(chance(50) ? PTE_A : PTE_D);
	else if (!level || (level < 3 && chance(25)))
		*e = some_leaf(level);
	else if (chance(8))
		*e = FOREIGN | URW;			/* a table that is not its own */
	else
		*e = child[g][v][level] | (chance(70) ? URW : some_rights());
}

static void op_access(void)
{
	static const uint64_t kinds[] = { 0, PF_W, PF_I, PF_U, PF_U | PF_W, PF_U | PF_I };
	size_t v = unit_below(&seed, NVAS);
	vaddr_t va = vas[v] + unit_below(&seed, 4096);
	uint64_t kind = kinds[unit_below(&seed, NELEM(kinds))], error = 0;
	struct view s = shadow_view(va), g = guest_view(vcpu->cr3 & PTE_ADDR, va);
	bool way = way_allows(v, kind);
	enum mmu_result want, got = cpu_access(va, kind, &error);

	if (view_allows(&s, kind) || (way && got == MMU_FILLED))
		return;
	want = !view_allows(&g, kind) ? MMU_GUEST :
	       frame_ok(g.pa) || (empty_bus(g.pa) && !(kind & (PF_W | PF_I))) ? MMU_FILLED : MMU_FORBIDDEN;
	assert_int_equal(got, want);
	if (got == MMU_GUEST)
		assert_int_equal(error, kind | (g.present ? PF_P : 0));
}

/* Change what lies above and beside a place just used: a remembered way to its leaf table is stale then. */
static void op_stale_way(void)
{
	static const uint8_t neighbours[][2] = { { 0, 1 }, { 1, 2 }, { 2, 3 }, { 3, 0 }, { 4, 5 }, { 8, 9 },
						 { 11, 12 }, { 14, 15 }, { 17, 18 } };
	const uint8_t *n = neighbours[unit_below(&seed, NELEM(neighbours))];
	unsigned int g = slot_pgd[slot] == pgds[0] ? 0 : slot_pgd[slot] == pgds[1] ? 1 : 2;
	unsigned int level = 1 + unit_below(&seed, 3);

	cpu_access(vas[n[0]], chance(50) ? PF_W : 0, NULL);
	take_notes();
	*entry[g][n[0]][level] = chance(20) ? 0 : chance(20) ? FOREIGN | URW :
				 child[g][n[0]][level] | some_rights();
	take_notes();
	if (chance(80))
		*entry[g][n[1]][0] = some_leaf(0);
	take_notes();
	if (chance(30))
		mmu_fill_hint(vcpu, vas[n[1]], chance(50) ? PF_W : 0);
	else
		cpu_access(vas[n[1]], chance(50) ? PF_W : PF_U, NULL);
}

static void op_hint(void)
{
	size_t v = unit_below(&seed, NVAS);
	uint64_t kind = chance(50) ? PF_W : 0;
	struct view g = guest_view(vcpu->cr3 & PTE_ADDR, vas[v]);
	bool ok = !is_upper(v) && view_allows(&g, kind | PF_U) && frame_ok(g.pa);
	bool way = !is_upper(v) && way_allows(v, kind | PF_U);
	int got = mmu_fill_hint(vcpu, vas[v], kind);

	if (!way || got)
		assert_int_equal(got, ok ? 0 : -KEEL_EFAULT);
}

static void op_flush_range(void)
{
	vaddr_t va = vas[unit_below(&seed, NVAS)] & ~0xfffUL;
	unsigned int n = chance(70) ? 1 : unit_below(&seed, 40);

	if (chance(10))
		va += 0x1000UL * unit_below(&seed, 512);
	mmu_flush_range(vcpu, va, n);
	for (unsigned int i = 0; i < n; i++, va += 0x1000)
		if (is_canonical(va) && va < KEEL_HOLE_BASE) {	/* nothing of its own is mapped there */
			forget_page(va);
			forget_ways();
		}
}

static void op_load_cr3(void)
{
	unsigned int pcid = unit_below(&seed, NPCIDS), g = unit_below(&seed, NPGDS);
	bool keep = chance(60);

	mmu_load_cr3(vcpu, pgds[g] | pcid | (keep ? CR3_KEEP : 0));
	slot = pcid < NSLOTS - 1 ? pcid : NSLOTS - 1;
	if (!keep || slot == NSLOTS - 1 || slot_pgd[slot] != pgds[g])
		forget_lower(slot);
	slot_pgd[slot] = pgds[g];
	forget_ways();
}

static void op_change_owner(void)
{
	paddr_t pa = OWN + 0x2001000;
	bool back = machine_lost;

	assert_int_equal(frames_claim(pa >> 12, 1, back ? OTHER : OWNER, back ? OWNER : OTHER), 0);
	machine_lost = back ? 0 : pa;
	mmu_flush_all(vcpu);
	forget_all();
}

static void one_step(unsigned int step)
{
	unsigned int what = unit_below(&seed, 1000);

	if (what < 350)
		op_edit();
	else if (what < 800)
		op_access();
	else if (what < 820)
		op_hint();
	else if (what < 850)
		op_stale_way();
	else if (what < 900)
		op_flush_range();
	else if (what < 950)
		op_load_cr3();
	else if (what < 980) {
		mmu_flush_user(vcpu);
		forget_lower(slot);
		forget_ways();
	} else if (what < 985) {
		mmu_age(vcpu);		/* may forget, must not remember */
	} else if (what < 992) {
		mmu_flush_all(vcpu);
		forget_all();
	} else {
		op_change_owner();
	}
	take_notes();
	compare(step);
	if (!(step % 50))
		check_shadow();
}

static void build_tables(void)
{
	for (unsigned int g = 0; g < NPGDS; g++) {
		pgds[g] = table_new();
		if (g)		/* the upper half is shared, as kernels have it */
			memcpy(pte_at(pgds[g], 256), pte_at(pgds[0], 256), PAGE_SIZE / 2);
		for (size_t v = 0; v < NVAS; v++)
			for (unsigned int level = 4; level--; )
				entry[g][v][level] = guest_pte(pgds[g], vas[v], level);
	}
	for (unsigned int g = 0; g < NPGDS; g++)
		for (size_t v = 0; v < NVAS; v++)
			for (unsigned int level = 1; level < 4; level++)
				child[g][v][level] = *entry[g][v][level] & PTE_ADDR;
}

static void run(uint64_t start, uint32_t npages, bool devices)
{
	machine_start(npages, devices);
	seed = start;
	forget_all();
	memset(slot_pgd, 0, sizeof(slot_pgd));
	build_tables();
	mmu_load_cr3(vcpu, pgds[0]);
	slot = 0;
	slot_pgd[0] = pgds[0];
	take_notes();
	for (unsigned int step = 0; step < STEPS; step++)
		one_step(step);
	mmu_flush_all(vcpu);
	assert_int_equal(machine_used(), 4);
	check_shadow();
	machine_stop();
}

static void with_the_smallest_pool(void **state)
{
	(void)state;
	run(1, 64, false);
}

static void with_devices(void **state)
{
	(void)state;
	run(2, 64, true);
}

static void with_a_pool_that_never_runs_out(void **state)
{
	(void)state;
	run(3, 1024, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_the_smallest_pool),
		cmocka_unit_test(with_devices),
		cmocka_unit_test(with_a_pool_that_never_runs_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

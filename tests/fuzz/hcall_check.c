// SPDX-License-Identifier: MIT
/*
 * hcall_check.c - what must be so after each entry into the metakernel, worked out from its own books but by other code.
 *
 * Frames:    each has the owner that one, and only one, record gives it: boot, a quota, an extent, or a window (I1);
 *            counts and summaries are those of the table.
 * Content:   what comes to a partition from another, from a channel or from the metakernel is zero then, and so is a
 *            window when it is there (I3).
 * Handles:   each leads to something that exists, with its holder at that end of it; each channel's ends have theirs.
 * vCPUs:     in one list each; READY is queued, once; loaded is current somewhere; BLOCKED has nothing that waits.
 * Tables:    no leaf of any vCPU, running or not, leads to a frame that is not its partition's, a window's or a device's,
 *            but for what the partition gave away as long as it has a note to forget it; and now and then mm/check.c's
 *            opinion (I2).
 */
#include "hcall.h"
#include "corpus.h"

#include <stdio.h>

#include "mm/check.h"
#include "run/event.h"
#include "run/roster.h"
#include "metakernel/part/made.c"

/* Says what is wrong, then as PROMISE(). */
#define REQUIRE(x, fmt, ...) do { if (!(x)) { \
	fprintf(stderr, "expected %s: " fmt "\n", #x, __VA_ARGS__); __builtin_trap(); } } while (0)

/* Owners of all frames, as the table has them: FRAME_UNCACHED beside. */
static uint16_t booted[MACHINE_PAGES], before[MACHINE_PAGES], want[MACHINE_PAGES];
static uint32_t state_before[MAX_CHANS];
static bool has_booted;

/* ---- Frames ----------------------------------------------------------------------------------------- */

static bool same(const uint16_t *owners)
{
	return !memcmp(owners, frames_state.table, sizeof(before));
}

/* The first time at boot. */
void check_begin(void)
{
	if (!has_booted)
		memcpy(booted, frames_state.table, sizeof(booted));
	has_booted = true;
	memcpy(before, frames_state.table, sizeof(before));
	for (unsigned int i = 0; i < MAX_CHANS; i++)
		state_before[i] = chans[i].state;
}

static void expect(uint64_t pfn, uint64_t npages, uint16_t from, uint16_t to)
{
	REQUIRE(pfn < MACHINE_PAGES && npages <= MACHINE_PAGES - pfn, "pfn %#lx + %lu", pfn, npages);
	for (; npages--; pfn++) {
		REQUIRE(want[pfn] == from, "frame %#lx was given by %u, not by %u, to %u", pfn, want[pfn], from, to);
		want[pfn] = to;
	}
}

/* Has furnish() been there, and quota_back() not yet begun? */
static bool has_books(const struct partition *p)
{
	return p->stage >= MADE_VCPUS && p->stage <= MADE_EMPTYING;
}

static void expect_made(const struct partition *p)
{
	const struct keel_part_create *r = &p->request;

	if (!p->creator)
		return;
	expect(r->quota_pa >> PAGE_SHIFT, r->quota_pages, p->creator->owner, FRAMES_MK);
	if (!has_books(p))
		return;
	for (unsigned int i = 0; i < p->made->nextents; i++)
		expect(p->made->extent[i].pfn, p->made->extent[i].npages, p->creator->owner,
		       p->made->extent[i].state == EXTENT_OWN ? p->owner : FRAMES_MK);
}

static void check_owners(void)
{
	memcpy(want, booted, sizeof(want));
	for (unsigned int i = 0; i < nparts; i++)
		expect_made(&parts[i]);
	for (unsigned int i = 0; i < nchans; i++)
		if (chans[i].max_bytes && chans[i].window_bytes)
			expect(chans[i].window_pa >> PAGE_SHIFT, chans[i].window_bytes >> PAGE_SHIFT, chans[i].side[0]->owner,
			       chans[i].owner);
	for (unsigned int i = 0; i < MACHINE_PAGES && !same(want); i++)
		REQUIRE(frames_owner(i) == want[i], "frame %#x has owner %u, and should have %u", i, frames_owner(i), want[i]);
}

static void check_books(void)
{
	static uint64_t count[65536];

	for (unsigned int i = 0; i < MACHINE_PAGES; i += FRAMES_PER_2M) {
		uint16_t all = frames_owner(i);

		for (unsigned int n = 0; n < FRAMES_PER_2M; n++) {
			uint16_t owner = frames_owner(i + n);

			count[owner]++;
			if (owner != all)
				all = FRAMES_MIXED;
		}
		REQUIRE(frames_owner_2m(i) == all, "summary of %#x", i);
	}
	for (unsigned int i = 0; i < MACHINE_PAGES; i++) {
		uint16_t owner = frames_owner(i);

		REQUIRE(!count[owner] || count[owner] == frames_count(owner), "owner %u", owner);
		count[owner] = 0;
	}
	for (unsigned int i = manifest.nparts; i < MAX_PARTS; i++)
		REQUIRE(parts[i].creator || !frames_count((uint16_t)(FRAMES_PARTITION + i)), "slot %u", i);
}

static bool is_zero(uint64_t pfn)
{
	const uint64_t *w = pa_to_va(pfn << PAGE_SHIFT);

	for (unsigned int i = 0; i < PAGE_SIZE / 8; i++)
		if (w[i])
			return false;
	return true;
}

/* A frame that changed hands in this entry: may its new owner find what the old one had there? */
static bool may_have_content(uint16_t from, uint16_t to)
{
	unsigned int chan = from & (MAX_CHANS - 1);

	if (to == FRAMES_MK || to & FRAMES_CHANNEL)
		return true;		/* nobody sees it yet */
	if (from & FRAMES_CHANNEL)
		return chan < manifest.nchans;	/* an offer that was not finished: its own again */
	return to >= FRAMES_PARTITION + manifest.nparts;	/* PART_GIVE: content included */
}

static void check_content(void)
{
	for (unsigned int i = 0; i < MACHINE_PAGES && !same(before); i++) {
		uint16_t from = before[i] & (uint16_t)~FRAME_UNCACHED, to = frames_owner(i);

		if (to != from && !may_have_content(from, to))
			REQUIRE(is_zero(i), "frame %#x goes from %u to %u", i, from, to);
	}
	for (unsigned int i = 0; i < nchans; i++)
		if (chans[i].state & ~state_before[i] & KEEL_CHAN_WINDOW)
			for (uint64_t n = 0; n < chans[i].window_bytes >> PAGE_SHIFT; n++)
				REQUIRE(is_zero((chans[i].window_pa >> PAGE_SHIFT) + n), "window of channel %u", i);
}

struct range check_given(const struct partition *p)
{
	if (!has_books(p) || !p->made->nextents)
		return (struct range) { 0, 0 };
	return (struct range) { p->made->extent[0].pfn << PAGE_SHIFT, p->made->extent[0].npages };
}

/* ---- Handles ---------------------------------------------------------------------------------------- */

static void check_part_cap(const struct partition *p, union cap c)
{
	const struct partition *to = &parts[c.index];

	REQUIRE(c.index < nparts && (c.index < manifest.nparts || to->creator), "%s: partition %u", p->man->name, c.index);
	REQUIRE(!(c.rights & ~(KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL)), "%s: rights %#x", p->man->name, c.rights);
}

static void check_chan_cap(const struct partition *p, union cap c, unsigned int handle)
{
	const struct chan *ch = &chans[c.index];
	unsigned int side = c.rights & KEEL_RIGHT_SERVE ? 0 : 1;

	REQUIRE(c.index < nchans && ch->max_bytes, "%s: channel %u", p->man->name, c.index);
	REQUIRE(c.rights == KEEL_RIGHT_SERVE || c.rights == KEEL_RIGHT_USE, "%s: rights %#x", p->man->name, c.rights);
	REQUIRE(ch->side[side] == p && ch->handle[side] == handle, "%s: handle %u", p->man->name, handle);
}

static void check_lent_cap(const struct partition *p, union cap c, unsigned int handle)
{
	const struct chan *ch = &chans[c.index];

	REQUIRE(c.index < nchans && ch->max_bytes && ch->home == p && ch->home_handle == handle, "%s: lent channel %u", p->man->name, c.index);
	REQUIRE(ch->side[1] != p && ch->side[1]->caps[ch->handle[1]].type == KEEL_CAP_CHANNEL, "channel %u is lent to nobody", c.index);
}

static void check_memory_cap(const struct partition *p, union cap c)
{
	REQUIRE(c.index < nchans && chans[c.index].max_bytes && !chans[c.index].side[1], "%s: extent %u", p->man->name, c.index);
	REQUIRE(!(c.rights & ~(KEEL_RIGHT_READ | KEEL_RIGHT_WRITE)), "%s: rights %#x", p->man->name, c.rights);
	REQUIRE(chans[c.index].side[0] == p || chan_lets(&chans[c.index], p), "%s: extent %u without a right", p->man->name, c.index);
}

static bool holds(const struct partition *p, unsigned int index)
{
	for (unsigned int i = 0; i < KEEL_MAX_HANDLES; i++)
		if (p->caps[i].type == KEEL_CAP_MEMORY && p->caps[i].index == index)
			return true;
	return false;
}

/* Nobody has a right to an extent without a handle, whoever had its slot before. */
static void check_extents(void)
{
	for (unsigned int c = 0; c < nchans; c++)
		for (unsigned int i = 0; i < MAX_PARTS; i++)
			REQUIRE(!chans[c].max_bytes || chans[c].side[1] || (!chans[c].closer && holds(&parts[i], c)) || !chan_rights(chans[c].owner, &parts[i]) ||
				chans[c].side[0] == &parts[i], "slot %u and extent %u", i, c);
}

static void check_caps(const struct partition *p)
{
	for (unsigned int i = 0; i < KEEL_MAX_HANDLES; i++) {
		union cap c = p->caps[i];

		REQUIRE(!c.word || (c.type > KEEL_CAP_NONE && c.type <= KEEL_CAP_IRQ), "%s: handle %u", p->man->name, i);
		if (c.type == KEEL_CAP_LENT)
			check_lent_cap(p, c, i);
		if (c.type == KEEL_CAP_PORTS || c.type == KEEL_CAP_IRQ)
			REQUIRE(c.rights == KEEL_RIGHT_USE, "%s: rights %#x", p->man->name, c.rights);
		if (c.type == KEEL_CAP_PARTITION)
			check_part_cap(p, c);
		if (c.type == KEEL_CAP_CHANNEL)
			check_chan_cap(p, c, i);
		if (c.type == KEEL_CAP_MEMORY)
			check_memory_cap(p, c);
	}
}

static void check_handles(void)
{
	check_extents();
	for (unsigned int i = 0; i < nparts; i++) {
		const struct partition *p = &parts[i];
		union cap c = { .type = KEEL_CAP_PARTITION, .rights = KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL, .index = (uint8_t)i };

		if (i < manifest.nparts || p->alive)
			check_caps(p);
		if (p->creator)
			REQUIRE(p->creator->caps[p->handle].word == c.word, "slot %u", i);
	}
	for (unsigned int i = 0; i < nchans; i++) {
		const struct chan *c = &chans[i];

		if (!c->max_bytes || c->closer)	/* the client of a closed one may be gone before the window is back */
			continue;
		REQUIRE(!c->home || c->home->caps[c->home_handle].type == KEEL_CAP_LENT, "channel %u is nobody's to lend", i);
		for (unsigned int side = 0; side < (c->side[1] ? 2 : 1); side++)
			REQUIRE(c->side[side]->caps[c->handle[side]].index == i, "channel %u", i);
	}
}

/* ---- vCPUs ------------------------------------------------------------------------------------------ */

/* Are its vCPUs in the world? All of one being made are not yet, nor all of one being taken apart. */
static unsigned int vcpus_of(const struct partition *p)
{
	if (p->index < manifest.nparts)
		return p->nvcpus;
	if (!p->creator)
		return 0;
	if (p->stage == MADE_VCPUS)
		return (unsigned int)p->done;
	return p->stage >= MADE_READY && p->stage <= MADE_WITHDRAWN ? p->nvcpus : 0;
}

static unsigned int listed(const struct vcpu *v)
{
	unsigned int n = 0;
	const struct vcpu *at;

	for (unsigned int i = 0; i < ncpus; i++)
		for (at = cpus[i]->vcpus; at; at = at->sibling)
			n += at == v;
	for (at = movers; at; at = at->sibling)
		n += at == v;
	return n;
}

static unsigned int queued(const struct vcpu *v)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < ncpus; i++)
		for (const struct runq_node *q = runq_peek(&cpus[i]->runq); q; q = runq_next(&cpus[i]->runq, q))
			n += q == &v->node && i == v->cpu;
	return n;
}

static unsigned int nqueued(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < ncpus; i++)
		for (const struct runq_node *q = runq_peek(&cpus[i]->runq); q; q = runq_next(&cpus[i]->runq, q))
			n++;
	return n;
}

static bool current(const struct vcpu *v)
{
	return cpus[v->cpu]->current == v;
}

static void check_vcpu(const struct vcpu *v)
{
	const char *name = v->part->man->name;

	REQUIRE(listed(v) == 1, "%s: vCPU %u in %u lists", name, v->id, listed(v));
	REQUIRE(queued(v) == (v->state == VCPU_READY), "%s: vCPU %u of state %u is queued %u times", name, v->id, v->state,
		queued(v));
	REQUIRE(v->loaded == current(v), "%s: vCPU %u", name, v->id);
	REQUIRE(v->state != VCPU_RUNNING || v->loaded, "%s: vCPU %u", name, v->id);
	REQUIRE(v->state == VCPU_OFF || v->part->alive, "%s: vCPU %u is on", name, v->id);
	REQUIRE(v->state != VCPU_BLOCKED || (!v->irr[0] && !v->irr[1] && !v->irr[2] && !v->irr[3] && !v->vp->events),
		"%s: vCPU %u sleeps on an event", name, v->id);
	/* The way out: what IRETQ takes, and for rings 1 and 3 only (rule 10). */
	if (v->state == VCPU_RUNNING)
		REQUIRE((v->regs->cs & 3) && (v->regs->rflags & 0x37200) == 0x200 && is_canonical(v->regs->rip),
			"%s: cs %#lx rflags %#lx rip %#lx", name, v->regs->cs, v->regs->rflags, v->regs->rip);
}

static void check_vcpus(void)
{
	unsigned int on, ready = 0;

	for (unsigned int i = 0; i < nparts; i++) {
		on = 0;
		for (unsigned int n = 0; n < vcpus_of(&parts[i]); n++) {
			const struct vcpu *v = &parts[i].vcpu[n];

			check_vcpu(v);
			on += vcpu_on(v);
			ready += v->state == VCPU_READY;
		}
		REQUIRE(on || !parts[i].alive, "%s runs without a vCPU", parts[i].man->name);
	}
	REQUIRE(ready == nqueued(), "%u ready, %u queued", ready, nqueued());
}

/* ---- Tables ----------------------------------------------------------------------------------------- */

/*
 * Has the vCPU's partition given it away, and may the vCPU still know it? Until who has it now is started, or until what is
 * kept of that one is written; one that no CPU has as long as there is a note, for it obeys before it runs.
 */
static bool on_its_way(const struct vcpu *v, uint16_t owner, uint64_t pfn)
{
	bool will_obey = shoot_noted(&v->shootdown) && !v->loaded;

	for (unsigned int i = manifest.nparts; i < nparts; i++) {
		const struct partition *to = &parts[i];
		const struct keel_part_create *r = &to->request;

		if (to->creator != v->part)
			continue;
		if (owner == to->owner && (to->state == KEEL_PART_EMPTY || will_obey))
			return true;
		if (owner == FRAMES_MK && pfn - (r->quota_pa >> PAGE_SHIFT) < r->quota_pages &&
		    (to->stage == MADE_CLAIMED || will_obey))
			return true;
	}
	return false;
}

static bool may_map(const struct vcpu *v, uint64_t pfn, uint64_t e)
{
	const struct partition *p = v->part;
	uint16_t owner = frames_owner(pfn);

	if (owner == p->owner)
		return true;
	if (owner & FRAMES_CHANNEL) {
		const struct chan *c = &chans[owner & (MAX_CHANS - 1)];

		if (!c->side[1] && c->side[0] != p)
			return !(e & (PTE_P | PTE_W) & ~chan_rights(owner, p)) || shoot_noted(&v->shootdown);
		/* a window that is not there yet: what it was may not have been forgotten */
		return (c->side[0] == p && (c->state & KEEL_CHAN_WINDOW || shoot_noted(&v->shootdown))) ||
		       (c->side[1] == p && c->state & KEEL_CHAN_WINDOW);
	}
	return (owner == FRAMES_NONE && p->man->devices) || on_its_way(v, owner, pfn);
}

/* All below a table, by the entries that it says it has. */
static void check_below(const struct vcpu *v, const uint64_t *table, unsigned int level)
{
	const struct shadow_pool *s = &v->pool;
	unsigned int i;
	uint64_t g;

	for_each_used(s, table, i, g) {
		bool large = table[i] & PTE_PS && level == TABLE_L2;
		uint64_t e = table[i], pfn = (e & PTE_ADDR) >> PAGE_SHIFT, n = large ? 512 : 1;

		if (!(table[i] & PTE_P) || table[i] == (va_to_pa(v->hole_pt) | UPPER))
			continue;
		if (level != TABLE_LEAVES && !large) {
			check_below(v, entry_table(table[i]), level - 1);
			continue;
		}
		for (pfn &= ~(n - 1); n--; pfn++)
			REQUIRE(may_map(v, pfn, e), "%s: vCPU %u maps frame %#lx of %u", v->part->man->name, v->id, pfn,
				frames_owner(pfn));
	}
}

static void check_leaves(const struct vcpu *v)
{
	for (unsigned int n = 0; n < NROOTS; n++)
		if (v->root[n].l4)
			check_below(v, v->root[n].l4, TABLE_ROOT);
}

static void check_tables(bool thorough)
{
	for (unsigned int i = 0; i < nparts; i++)
		for (unsigned int n = 0; n < vcpus_of(&parts[i]); n++) {
			check_leaves(&parts[i].vcpu[n]);
			if (thorough)
				mmu_check(&parts[i].vcpu[n]);
		}
}

void check_all(bool thorough)
{
	check_owners();
	check_content();
	check_handles();
	check_vcpus();
	check_tables(thorough);
	if (!same(before))
		check_books();
	check_begin();
}

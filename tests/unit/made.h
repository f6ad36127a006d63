/* SPDX-License-Identifier: MIT */
/*
 * made.h - metakernel/part/made.c with the channels, between a creator's memory and vCPUs that are made up: the harness of
 * made_test.c and resize_test.c.
 */
#ifndef TESTS_UNIT_MADE_H
#define TESTS_UNIT_MADE_H

#include "unit.h"

#include "part/part.h"

/* A handle leads somewhere from the moment it is there: another CPU may use it at once. */
static int cap_add_checked(struct partition *p, unsigned int type, unsigned int rights, unsigned int index);

#define cap_add	cap_add_checked
#define offer	chan_piece
#define free_slot chan_free_slot
#define gone chan_gone
#include "metakernel/part/chan.c"
#undef offer
#undef free_slot
#undef gone
#include "metakernel/part/made.c"
#undef cap_add

#define PAGES(bytes)	((bytes) / PAGE_SIZE)
#define MEM		0x400000UL	/* the creator's */
#define MEM_BYTES	0x2000000UL
#define QUOTA		(MEM + 0x3000)
#define GIVEN		(MEM + 0x800000)
#define GIVEN_BYTES	0x200000UL
#define WINDOW		(MEM + 0xc00000)
#define WINDOW_BYTES	0x100000UL
#define ARENA		(MEM + MEM_BYTES + 0x200000UL)
#define OWNER		FRAMES_PARTITION
#define MANY		100000
#define NVCPUS		2

char *unit_arena;
size_t unit_arena_bytes;
struct partition parts[MAX_PARTS];
unsigned int nparts, ncpus = 2;
uint64_t spare_cpus;
struct cpu *cpus[MAX_CPUS];
struct manifest manifest;
struct lock life_lock = LOCK_INIT(LOCK_LIFE);

static struct partition *const by = &parts[0];
static struct vcpu creator_vcpus[2];
static void *table;
static uint8_t *before;
static bool obeyed, left;		/* the creator's vCPUs have; every CPU has */
static unsigned int nshoots, nasked, nmade, nconsoles, nroster;
static int no_promise;			/* of a budget: the error */
static bool running;			/* the first vCPU of it */

static int cap_add_checked(struct partition *p, unsigned int type, unsigned int rights, unsigned int index)
{
	if (type == KEEL_CAP_CHANNEL) {
		assert_true(chans[index].max_bytes && chans[index].side[0] != chans[index].side[1]);
		assert_true(chans[index].side[0] == p || chans[index].side[1] == p);
	} else if (p == by) {
		assert_ptr_equal(parts[index].creator, by);
	}
	return cap_add(p, type, rights, index);
}

void *unit_pa_to_va(paddr_t pa)
{
	fail_msg("%#lx is no memory", pa);
	abort();
}

paddr_t unit_va_to_pa(const void *va)
{
	return (paddr_t)((const char *)va - unit_arena);
}

void panic_at(const char *at, int line, const struct panic_regs *r, const char *fmt, ...)
{
	(void)r;
	fail_msg("panic at %s:%d: %s", at, line, fmt);
	abort();
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
	return (size_t)snprintf(dst, size, "%s", src);
}

struct hal_cpu hal_cpu_info = { .xsave_size = 5000 };

static struct partition *loser;		/* whose vCPUs have to forget something */

void shoot_note(struct vcpu *v, const struct shoot *what)
{
	assert_ptr_equal(v->part, loser);
	assert_int_equal(what->what, SHOOT_ALL);
}

uint64_t shoot_ring(struct partition *p, uint64_t set)
{
	assert_ptr_equal(p, loser);
	assert_int_equal(set, 3);
	obeyed = false;
	return ++nshoots;
}

#include "forget.h"

bool shoot_obeyed(const struct partition *p, uint64_t set, uint64_t ticket)
{
	assert_ptr_equal(p, loser);
	assert_int_equal(set, 3);
	assert_true(ticket == nshoots);
	return obeyed;
}

uint64_t shoot_everybody(const struct partition *p)
{
	return (1UL << p->nvcpus) - 1;
}

static unsigned int nmemory, ncame_back;	/* events */

void part_raise(struct partition *p, unsigned int bit)
{
	assert_true(p->alive);
	nmemory += bit == KEEL_EV_MEMORY;
	ncame_back += bit == KEEL_EV_PARTITION && p == by;
}

void cpus_ask(uint32_t what)
{
	assert_int_equal(what, WORK_FORGET);
	left = false;
	nasked++;
}

bool cpus_asked(uint32_t what)
{
	assert_int_equal(what, WORK_FORGET);
	return left;
}

void *part_take(struct partition *p, uint64_t npages)
{
	char *at = made_take(p, npages);

	for (uint64_t i = 0; at && i < npages * PAGE_SIZE; i++)
		assert_int_equal(at[i], 0);
	return at;
}

/* What is kept there is nobody else's to see. */
static void take_secret(struct partition *p, uint64_t npages)
{
	void *at = part_take(p, npages);

	assert_non_null(at);
	memset(at, 0x77, npages * PAGE_SIZE);
}

int part_take_vcpus(struct partition *p, unsigned int n)
{
	p->vcpu = part_take(p, pages_of(n * sizeof(struct vcpu)));
	memset((void *)p->vcpu, 0, n * sizeof(struct vcpu));
	p->nvcpus = n;
	return 0;
}

int part_take_console(struct partition *p)
{
	p->cons_out = part_take(p, pages_of(2 * sizeof(struct cons_ring)));
	return 0;
}

int part_make_vcpu(struct partition *p, unsigned int n)
{
	static struct regs regs;
	static struct keel_vcpu_page vcpu_page;

	take_secret(p, 4 + pages_of(hal_cpu()->xsave_size));
	take_secret(p, p->man->shadow_pages);
	take_secret(p, mmu_meta_pages(p->man->shadow_pages));
	p->vcpu[n].part = p;
	p->vcpu[n].regs = &regs;
	p->vcpu[n].vp = &vcpu_page;
	nmade++;
	nroster++;
	return 0;
}

void roster_remove(struct vcpu *v)
{
	assert_false(v->loaded);
	nroster--;
}

bool part_gone(const struct partition *p)
{
	unsigned int i;

	for (i = 0; i < p->nvcpus && sched_gone(&p->vcpu[i]); i++)
		;
	return i == p->nvcpus;
}

bool sched_gone(struct vcpu *v)
{
	return !(v == v->part->vcpu && running);
}

void console_add(struct partition *p)
{
	assert_string_equal(p->man->name, p->request.name);
	nconsoles++;
}

void console_remove(struct partition *p)
{
	p->cons_out = NULL;
	nconsoles--;
}

void call_end(const struct chan *c, const struct vcpu *only) { (void)c, (void)only; }
void vcpu_reset(struct vcpu *v, paddr_t cr3)
{
	v->cr3 = cr3;
	memset(v->regs, 0, sizeof(*v->regs));
}

void part_start(struct partition *p)
{
	assert_true(obeyed);
	p->alive = running = true;
}

int promise(struct partition *p, uint64_t budget_ns, uint64_t period_ns)
{
	assert_int_equal(p->nvcpus, p->request.nvcpus);		/* it is of each, and all are there */
	p->budget_ns = no_promise ? p->budget_ns : budget_ns + period_ns;
	return no_promise;
}

/* ---- Harness ---------------------------------------------------------------------------------------- */

static struct keel_part_create request(void)
{
	struct keel_part_create want = {
		.name = "made", .priority = 9, .nvcpus = NVCPUS, .shadow_pages = 64, .cpus = 2,
		.quota_pa = QUOTA, .quota_pages = 1, .budget_ns = 2, .period_ns = 10,
	};

	return want;
}

static int start(void **state)
{
	(void)state;
	unit_arena_bytes = ARENA;
	unit_arena = malloc(ARENA);
	before = malloc(ARENA);
	table = malloc(frames_bytes(PAGES(ARENA)));
	memset(unit_arena, 0xa5, ARENA);
	frames_init(table, PAGES(ARENA));
	frames_add_ram(0, PAGES(ARENA));
	assert_int_equal(frames_claim(PAGES(MEM), PAGES(MEM_BYTES), FRAMES_FREE, OWNER), 0);
	memset(parts, 0, sizeof(parts));
	memset(chans, 0, sizeof(chans));
	memset(&manifest, 0, sizeof(manifest));
	memset(creator_vcpus, 0, sizeof(creator_vcpus));
	manifest.nparts = nparts = 1;
	nchans = 0;
	strcpy(manifest.parts[0].name, "linux");
	manifest.parts[0].priority = 8;
	by->man = &manifest.parts[0];
	by->owner = OWNER;
	by->alive = true;
	by->nvcpus = 2;
	by->vcpu = creator_vcpus;
	creator_vcpus[0].part = creator_vcpus[1].part = by;
	assert_int_equal(cap_add(by, KEEL_CAP_PARTITION, KEEL_RIGHT_INFO | KEEL_RIGHT_CONTROL, 0), 0);
	life_lock = (struct lock)LOCK_INIT(LOCK_LIFE);		/* a case that failed may have held them */
	chan_lock = (struct lock)LOCK_INIT(LOCK_CHAN);
	nshoots = nasked = nmade = nconsoles = nroster = nmemory = ncame_back = 0;
	loser = by;
	no_promise = 0;
	running = false;
	obeyed = left = true;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	free(unit_arena);
	free(before);
	free(table);
	return 0;
}

static uint64_t needed(void)
{
	struct keel_part_create want = request();
	uint64_t need = 0;

	assert_int_equal(made_begin(by, &want, &need), -KEEL_ENOMEM);
	return need;
}

/* Bytes of memory that a piece has changed. */
static uint64_t changed(void)
{
	uint64_t n = 0;

	for (uint64_t pa = 0; pa < ARENA; pa += PAGE_SIZE)
		n += memcmp(before + pa, unit_arena + pa, PAGE_SIZE) ? PAGE_SIZE : 0;
	return n;
}

static int create(const char *name)
{
	struct keel_part_create want = request();
	uint64_t need;
	int slot, handle, pieces = 0;

	want.quota_pages = needed();
	strcpy(want.name, name);
	slot = made_begin(by, &want, &need);
	if (slot < 0)
		return slot;
	assert_in_range(slot, 1, MAX_PARTS - 1);
	obeyed = left = true;
	do {
		handle = made_go_on(by, (uint64_t)slot);
		assert_in_range(++pieces, 1, MANY);
	} while (handle == -KEEL_EAGAIN);
	return handle;
}

static int boot(int handle)
{
	struct keel_part_start s = { .rip = 0x401000, .rsp = 0x402000, .rdi = 0x403000, .cr3_pa = GIVEN };
	int err;

	for (int i = 0; i < 3; i++) {
		err = made_start(by, (uint64_t)handle, &s);
		if (err != -KEEL_EAGAIN)
			return err;
		assert_false(running);		/* the giver has still to forget what it gave */
	}
	obeyed = true;
	return made_start(by, (uint64_t)handle, &s);
}

static int take_back(int handle)
{
	unsigned int vcpus;
	int err, pieces = 0;

	do {
		memcpy(before, unit_arena, ARENA);
		vcpus = nroster;
		err = made_reclaim(by, (uint64_t)handle);
		assert_in_range(vcpus - nroster, 0, 1);		/* whose lists may be long */
		assert_in_range(changed(), 0, CLEAN_PAGES * PAGE_SIZE + PAGE_SIZE);	/* and its books */
		assert_in_range(++pieces, 1, MANY);
		left = true;
	} while (err == -KEEL_EAGAIN);
	return err;
}

/* KEEL_HC_CHAN_CREATE -> the creator's handle */
static inline int connect_to(int handle, uint64_t bytes)
{
	return (int)chan_connect(by, &parts[part_cap(by, (uint64_t)handle, KEEL_CAP_PARTITION).index], bytes);
}

static inline void offer_window(int chan)
{
	int err;

	do {
		err = chan_offer(by, (uint64_t)chan, WINDOW, PAGES(WINDOW_BYTES));
		obeyed = true;
	} while (err == -KEEL_EAGAIN);
	assert_int_equal(err, 0);
}

static void expect_all_back(void)
{
	assert_int_equal(frames_count(OWNER), PAGES(MEM_BYTES));
	assert_int_equal(frames_count(FRAMES_MK), 0);
	assert_int_equal(nroster, 0);
	assert_int_equal(nconsoles, 0);
	for (unsigned int i = 1; i < KEEL_MAX_HANDLES; i++)
		assert_int_equal(by->caps[i].word, 0);
}

static void expect_zero(paddr_t pa, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i++)
		if (unit_arena[pa + i])
			fail_msg("%#lx is not clean", pa + i);
}

#endif

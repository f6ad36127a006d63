// SPDX-License-Identifier: MIT
/*
 * Property: a partition made at run time consists of its creator's memory and all of that comes back, zeroed,
 * once nobody can look at it; nothing is written to what was given before the giver has forgotten it; handles mean
 * something from one end to the other, and nothing afterwards.
 * Failure looks like: frames with a third owner, content of one in the hands of the other, a write before the
 * shoot-down or a return before each CPU has left the metakernel, a piece without a bound, a handle too many.
 */
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
	obeyed = true;
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
static int connect_to(int handle, uint64_t bytes)
{
	return (int)chan_connect(by, &parts[part_cap(by, (uint64_t)handle, KEEL_CAP_PARTITION).index], bytes);
}

static void offer_window(int chan)
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

/* ---- Cases ------------------------------------------------------------------------------------------ */

static void whole_life_gives_everything_back(void **state)
{
	uint64_t quota = needed() * PAGE_SIZE;
	int handle, chan;

	(void)state;
	for (int round = 0; round < 3; round++) {
		memset(unit_arena + MEM, 0xa5, MEM_BYTES);
		handle = create("made");
		assert_int_equal(handle, 1);
		assert_int_equal(frames_count(FRAMES_MK), quota / PAGE_SIZE);
		assert_int_equal(parts[1].quota_next, QUOTA + quota);		/* all of it is used */
		assert_null(made_take(&parts[1], 1));
		assert_null(made_take(&parts[1], UINT64_MAX / PAGE_SIZE));
		assert_int_equal(made_give(by, 1, GIVEN, PAGES(GIVEN_BYTES)), 0);
		assert_int_equal((uint8_t)unit_arena[GIVEN + 5], 0xa5);			/* content included */
		chan = connect_to(1, WINDOW_BYTES);
		assert_int_equal(chan, 2);
		offer_window(chan);
		memset(unit_arena + WINDOW, 0x66, WINDOW_BYTES);
		assert_int_equal(part_cap(&parts[1], 1, KEEL_CAP_CHANNEL).rights, KEEL_RIGHT_USE);
		assert_int_equal(boot(handle), 0);
		assert_int_equal((uint8_t)unit_arena[GIVEN + GIVEN_BYTES - 1], 0xa5);
		assert_int_equal(parts[1].vcpu->regs->rdi, 0x403000);
		assert_int_equal(parts[1].budget_ns, 12);		/* promised while it may run */
		assert_int_equal(made_reclaim(by, 1), -KEEL_EBUSY);
		parts[1].alive = running = false;
		chan_part_died(&parts[1]);
		assert_int_equal(take_back(1), 0);
		expect_all_back();
		assert_int_equal(parts[1].budget_ns, 0);
		expect_zero(QUOTA, quota);
		expect_zero(GIVEN, GIVEN_BYTES);
		expect_zero(WINDOW, WINDOW_BYTES);
		assert_int_equal((uint8_t)unit_arena[QUOTA + quota], 0xa5);		/* and nothing else */
		assert_int_equal(nshoots, 3u * ((unsigned int)round + 1));
	}
}

static void nothing_is_written_before_the_giver_forgot(void **state)
{
	struct keel_part_create want = request();
	uint64_t need;
	int slot;

	(void)state;
	want.quota_pages = needed();
	slot = made_begin(by, &want, &need);
	memcpy(before, unit_arena, ARENA);
	for (int i = 0; i < 5; i++)
		assert_int_equal(made_go_on(by, (uint64_t)slot), -KEEL_EAGAIN);
	assert_int_equal(changed(), 0);
	assert_int_equal(frames_owner(PAGES(QUOTA)), FRAMES_MK);
	assert_int_equal(made_go_on(&parts[2], (uint64_t)slot), -KEEL_EINVAL);		/* not by another */
	assert_int_equal(made_go_on(by, (uint64_t)slot + 1), -KEEL_EINVAL);
	assert_int_equal(made_go_on(by, UINT64_MAX >> 8), -KEEL_EINVAL);
	assert_int_equal(made_reclaim(by, 1), -KEEL_EBUSY);
	assert_int_equal(made_give(by, 1, GIVEN, 1), -KEEL_EBUSY);
}

static void nothing_returns_before_all_cpus_have_left(void **state)
{
	int handle;

	(void)state;
	handle = create("made");
	assert_int_equal(made_give(by, 1, GIVEN, 16), 0);
	assert_int_equal(boot(handle), 0);
	parts[1].alive = false;
	for (int i = 0; i < 3; i++)		/* a CPU has still to let go of its vCPU */
		assert_int_equal(made_reclaim(by, 1), -KEEL_EAGAIN);
	assert_int_equal(nasked, 0);
	assert_int_equal(nroster, NVCPUS);
	running = false;
	for (int i = 0; !nasked; i++) {
		assert_int_equal(made_reclaim(by, 1), -KEEL_EAGAIN);
		assert_in_range(i, 0, NVCPUS + 2);
	}
	assert_int_equal(nroster, 0);
	assert_string_equal(parts[1].man->name, "");
	memcpy(before, unit_arena, ARENA);
	for (int i = 0; i < 3; i++)
		assert_int_equal(made_reclaim(by, 1), -KEEL_EAGAIN);
	assert_int_equal(changed(), 0);
	assert_int_equal(frames_count(OWNER), PAGES(MEM_BYTES) - needed() - 16);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void one_that_never_ran_gives_everything_back(void **state)
{
	(void)state;
	assert_int_equal(create("made"), 1);
	assert_int_equal(made_give(by, 1, GIVEN, 3), 0);
	assert_int_equal(made_give(by, 1, GIVEN + 0x10000, 100), 0);
	assert_int_equal(connect_to(1, WINDOW_BYTES), 2);
	assert_int_equal(connect_to(1, WINDOW_BYTES), 3);		/* as many as it likes */
	no_promise = -KEEL_ENOSPC;
	assert_int_equal(boot(1), -KEEL_ENOSPC);
	no_promise = 0;
	assert_int_equal(take_back(1), 0);
	expect_all_back();
	assert_int_equal(made_reclaim(by, 1), -KEEL_EBADF);
	assert_int_equal(chan_kick(by, 2), -KEEL_EBADF);

	/* Without a handle left there is no channel, and it is not lost. */
	assert_int_equal(create("made"), 1);
	while (cap_add(by, KEEL_CAP_CHANNEL, 0, MAX_CHANS - 1) > 0)
		;
	assert_int_equal(connect_to(1, WINDOW_BYTES), -KEEL_ENOSPC);
	assert_int_equal(part_cap(&parts[1], 1, KEEL_CAP_CHANNEL).word, 0);
	cap_remove(by, KEEL_CAP_CHANNEL, MAX_CHANS - 1);
	assert_int_equal(connect_to(1, WINDOW_BYTES), 2);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void wrong_requests_are_refused(void **state)
{
	struct keel_part_create good = request(), want;
	uint64_t need;

	(void)state;
	good.quota_pages = needed();
#define REFUSED(change, error) do { want = good; change; \
	assert_int_equal(made_begin(by, &want, &need), -(error)); } while (0)
	REFUSED(want.name[0] = 0, KEEL_EINVAL);
	REFUSED(want.name[0] = 'A', KEEL_EINVAL);
	REFUSED(memset(want.name, 'a', sizeof(want.name)), KEEL_EINVAL);
	REFUSED(want.budget_ns = 0, KEEL_EINVAL);	/* and a priority above the creator's */
	REFUSED(want.priority = 32, KEEL_EINVAL);
	REFUSED(want.nvcpus = 0, KEEL_EINVAL);
	REFUSED(want.nvcpus = 65, KEEL_EINVAL);
	REFUSED(want.shadow_pages = 63, KEEL_EINVAL);
	REFUSED(want.shadow_pages = UINT32_MAX, KEEL_EINVAL);
	REFUSED(want.flags = 1, KEEL_EINVAL);
	REFUSED(want.reserved[4] = 1, KEEL_EINVAL);
	REFUSED(want.cpus = 4, KEEL_EINVAL);
	REFUSED(want.quota_pa++, KEEL_EINVAL);
	REFUSED(want.quota_pages--, KEEL_ENOMEM);
	REFUSED(want.quota_pages = KEEL_GIVE_MAX + 1, KEEL_ENOMEM);
	REFUSED(want.quota_pages = UINT64_MAX, KEEL_ENOMEM);
	REFUSED(want.quota_pa = MEM - PAGE_SIZE, KEEL_EFAULT);
	REFUSED(want.quota_pa = MEM + MEM_BYTES - PAGE_SIZE, KEEL_EFAULT);
	REFUSED(want.quota_pa = ~0xfffUL, KEEL_EFAULT);
	REFUSED(strcpy(want.name, "linux"), KEEL_EEXIST);
	expect_all_back();
	assert_int_equal(create("made"), 1);
	assert_int_equal(create("made"), -KEEL_EEXIST);
	assert_int_equal(made_give(by, 0, GIVEN, 1), -KEEL_EPERM);
	assert_int_equal(made_give(by, 2, GIVEN, 1), -KEEL_EBADF);
	assert_int_equal(made_give(by, 1, GIVEN + 1, 1), -KEEL_EINVAL);
	assert_int_equal(made_give(by, 1, GIVEN, 0), -KEEL_EINVAL);
	assert_int_equal(made_give(by, 1, GIVEN, KEEL_GIVE_MAX + 1), -KEEL_EINVAL);
	assert_int_equal(made_give(by, 1, QUOTA, 1), -KEEL_EFAULT);
	assert_int_equal(made_give(by, 1, MEM - PAGE_SIZE, 1), -KEEL_EFAULT);
	assert_int_equal(connect_to(1, 0), -KEEL_EINVAL);
	assert_int_equal(connect_to(1, PAGE_SIZE + 1), -KEEL_EINVAL);
	assert_int_equal(connect_to(1, MANIFEST_MAX_WINDOW + PAGE_SIZE), -KEEL_EINVAL);
	assert_int_equal(boot(1), -KEEL_EINVAL);	/* no tables of its own */
	for (unsigned int i = 0; i < KEEL_PART_EXTENTS; i++)
		assert_int_equal(made_give(by, 1, GIVEN + 2 * i * PAGE_SIZE, 1), 0);
	assert_int_equal(made_give(by, 1, GIVEN + 2 * KEEL_PART_EXTENTS * PAGE_SIZE, 1), -KEEL_ENOSPC);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void slots_and_handles_run_out_and_come_back(void **state)
{
	struct keel_part_create want = request();
	uint64_t need, quota = needed() / NVCPUS + 10;
	char name[32];
	int n, slot;

	(void)state;
	want.nvcpus = 1;
	for (n = 0; n < 100; n++) {
		snprintf(want.name, sizeof(want.name), "made-%d", n);
		want.quota_pages = quota;
		want.quota_pa = MEM + (uint64_t)n * quota * PAGE_SIZE;
		if ((uint64_t)(n + 1) * quota > PAGES(MEM_BYTES))
			fail_msg("the test has too little memory");
		slot = made_begin(by, &want, &need);
		if (slot < 0)
			break;
		obeyed = true;
		while (made_go_on(by, (uint64_t)slot) == -KEEL_EAGAIN)
			;
	}
	assert_int_equal(slot, -KEEL_ENOSPC);
	assert_int_equal(n, MAX_PARTS - 1);
	left = true;
	for (n = 1; n < (int)MAX_PARTS; n++) {
		int err;

		while ((err = made_reclaim(by, (uint64_t)n)) == -KEEL_EAGAIN)
			left = true;
		assert_int_equal(err, 0);
	}
	expect_all_back();
	snprintf(name, sizeof(name), "made-%d", 5);
	assert_int_equal(create(name), 1);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

/* ---- More and less memory ------------------------------------------------------------------------------ */

#define MORE		(MEM + 0x600000)
#define MORE_PAGES	100

static int grow_all(paddr_t pa, uint64_t npages)
{
	int err, pieces = 0;

	loser = by;
	do {
		memcpy(before, unit_arena, ARENA);
		err = made_resize(by, 1, KEEL_HC_PART_GROW, pa, npages);
		assert_in_range(changed(), 0, CLEAN_PAGES * PAGE_SIZE + PAGE_SIZE);	/* and its books */
		assert_in_range(++pieces, 1, MANY);
		obeyed = true;
	} while (err == -KEEL_EAGAIN);
	return err;
}

static int shrink_all(paddr_t pa)
{
	int err, pieces = 0;

	do {
		memcpy(before, unit_arena, ARENA);
		err = made_resize(by, 1, KEEL_HC_PART_SHRINK, pa, 0);
		assert_in_range(changed(), 0, CLEAN_PAGES * PAGE_SIZE + PAGE_SIZE);	/* and its books */
		assert_in_range(++pieces, 1, MANY);
		obeyed = true;
	} while (err == -KEEL_EAGAIN);
	return err;
}

static void started(void)
{
	assert_int_equal(create("made"), 1);
	assert_int_equal(made_give(by, 1, GIVEN, 16), 0);
	assert_int_equal(boot(1), 0);
}

static int release(paddr_t pa)
{
	loser = &parts[1];
	return made_release(&parts[1], pa);
}

/* Pages of the n-th piece that a partition has, at pa; -KEEL_EINVAL: there is none. */
static int64_t piece_of(struct partition *p, uint64_t n, paddr_t *pa)
{
	uint64_t npages;
	int err = made_extent(p, n, pa, &npages);

	return err ? err : (int64_t)npages;
}

static void memory_comes_and_goes_without_a_trace(void **state)
{
	paddr_t pa;

	(void)state;
	started();
	for (unsigned int round = 1; round <= 100; round++) {
		memset(unit_arena + MORE, 0xa5, MORE_PAGES * PAGE_SIZE);	/* the creator's secret */
		assert_int_equal(grow_all(MORE, MORE_PAGES), 0);
		assert_int_equal(nmemory, round);
		expect_zero(MORE, MORE_PAGES * PAGE_SIZE);
		assert_int_equal(frames_count(parts[1].owner), 16 + MORE_PAGES);
		assert_int_equal(piece_of(&parts[1], 1, &pa), MORE_PAGES);
		assert_int_equal(pa, MORE);
		assert_int_equal(piece_of(&parts[1], 2, &pa), -KEEL_EINVAL);

		memset(unit_arena + MORE, 0x5a, MORE_PAGES * PAGE_SIZE);	/* its own */
		assert_int_equal(made_resize(by, 1, KEEL_HC_PART_SHRINK, MORE, 0), -KEEL_EBUSY);
		assert_int_equal(release(MORE), 0);
		assert_int_equal(ncame_back, round);
		assert_int_equal(piece_of(&parts[1], 1, &pa), 0);
		assert_int_equal(frames_count(parts[1].owner), 16);
		assert_int_equal(shrink_all(MORE), 0);
		expect_zero(MORE, MORE_PAGES * PAGE_SIZE);
		assert_int_equal(frames_owner(PAGES(MORE)), OWNER);
		assert_int_equal(frames_count(OWNER), PAGES(MEM_BYTES) - needed() - 16);
	}
	parts[1].alive = running = false;
	loser = by;
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void nothing_moves_before_the_loser_forgot(void **state)
{
	(void)state;
	started();
	memcpy(before, unit_arena, ARENA);
	for (int i = 0; i < 3; i++)
		assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EAGAIN);
	assert_memory_equal(before + MORE, unit_arena + MORE, 4 * PAGE_SIZE);
	assert_int_equal(frames_owner(PAGES(MORE)), FRAMES_MK);
	assert_int_equal(nmemory, 0);
	assert_int_equal(release(MORE), -KEEL_EINVAL);		/* it is not there yet */
	assert_int_equal(grow_all(MORE, 4), 0);
	assert_int_equal(release(MORE), 0);
	memcpy(before, unit_arena, ARENA);
	for (int i = 0; i < 3; i++)
		assert_int_equal(made_resize(by, 1, KEEL_HC_PART_SHRINK, MORE, 0), -KEEL_EAGAIN);
	assert_memory_equal(before + MORE, unit_arena + MORE, 4 * PAGE_SIZE);
	assert_int_equal(frames_owner(PAGES(MORE)), FRAMES_MK);
	assert_int_equal(release(MORE), -KEEL_EINVAL);		/* twice */
}

/* It ends while one piece comes, another leaves and a third is its own. */
static void an_end_in_between_loses_nothing(void **state)
{
	(void)state;
	started();
	assert_int_equal(grow_all(MORE, 4), 0);
	assert_int_equal(grow_all(MORE + 0x10000, 4), 0);
	assert_int_equal(release(MORE), 0);
	loser = by;
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE + 0x20000, 4), -KEEL_EAGAIN);
	parts[1].alive = running = false;
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE + 0x20000, 4), -KEEL_EBUSY);
	assert_int_equal(frames_owner(PAGES(MORE + 0x20000)), OWNER);		/* an error: the creator's */
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE + 0x20000, 4), -KEEL_EBUSY);
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

static void wrong_sizes_are_refused(void **state)
{
	paddr_t pa;

	(void)state;
	assert_int_equal(create("made"), 1);
	assert_int_equal(made_give(by, 1, GIVEN, 16), 0);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EBUSY);		/* not started */
	assert_int_equal(boot(1), 0);
	assert_int_equal(made_resize(by, 0, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EPERM);
	assert_int_equal(made_resize(by, 7, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EBADF);
	assert_int_equal(made_resize(&parts[1], 0, KEEL_HC_PART_GROW, MORE, 4), -KEEL_EPERM);	/* by itself */
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE + 1, 4), -KEEL_EINVAL);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, 0), -KEEL_EINVAL);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, KEEL_GIVE_MAX + 1), -KEEL_EINVAL);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, GIVEN, 4), -KEEL_EFAULT);	/* it has that */
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, QUOTA, 1), -KEEL_EFAULT);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, ~0xfffUL, 1), -KEEL_EFAULT);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_SHRINK, GIVEN, 0), -KEEL_EBUSY);
	assert_int_equal(release(GIVEN + PAGE_SIZE), -KEEL_EINVAL);	/* in the middle */
	assert_int_equal(release(QUOTA), -KEEL_EINVAL);
	assert_int_equal(made_release(by, GIVEN), -KEEL_EINVAL);
	assert_int_equal(piece_of(by, 0, &pa), -KEEL_EINVAL);
	assert_int_equal(piece_of(&parts[1], UINT64_MAX, &pa), -KEEL_EINVAL);
	for (unsigned int i = 1; i < KEEL_PART_EXTENTS; i++)
		assert_int_equal(grow_all(MORE + 2 * i * PAGE_SIZE, 1), 0);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_GROW, MORE, 1), -KEEL_ENOSPC);
	assert_int_equal(made_resize(by, 1, KEEL_HC_PART_MEMORY, 12345, 0), 0);
	assert_int_equal(parts[1].vcpu->vp->mem_target, 12345);
	parts[1].alive = running = false;
	loser = by;
	assert_int_equal(take_back(1), 0);
	expect_all_back();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(memory_comes_and_goes_without_a_trace, start, stop),
		cmocka_unit_test_setup_teardown(nothing_moves_before_the_loser_forgot, start, stop),
		cmocka_unit_test_setup_teardown(an_end_in_between_loses_nothing, start, stop),
		cmocka_unit_test_setup_teardown(wrong_sizes_are_refused, start, stop),
		cmocka_unit_test_setup_teardown(whole_life_gives_everything_back, start, stop),
		cmocka_unit_test_setup_teardown(nothing_is_written_before_the_giver_forgot, start, stop),
		cmocka_unit_test_setup_teardown(nothing_returns_before_all_cpus_have_left, start, stop),
		cmocka_unit_test_setup_teardown(one_that_never_ran_gives_everything_back, start, stop),
		cmocka_unit_test_setup_teardown(wrong_requests_are_refused, start, stop),
		cmocka_unit_test_setup_teardown(slots_and_handles_run_out_and_come_back, start, stop),
	};

	return cmocka_run_group_tests_name("made", tests, NULL, NULL);
}

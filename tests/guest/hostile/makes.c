// SPDX-License-Identifier: MIT
/*
 * makes.c - partitions that come and go: made of memory of this one's, each a hostile one that makes random hypercalls; and
 * between the calls that make them, the same calls with random arguments.
 *
 *   slot    quota (QUOTA_PAGES) | memory (MEMORY_PAGES): four pages of tables, code, orders, scratch, stack | window
 *
 * Failure: a call that does not do what it should, memory that comes back and is not zero, a partition that does not
 * end or does not come apart.
 */
#include "hostile.h"

#define SLOTS		3
#define QUOTA_PAGES	96
#define MEMORY_PAGES	24
#define WINDOW_PAGES	8
#define SLOT_PAGES	(QUOTA_PAGES + MEMORY_PAGES + WINDOW_PAGES)
#define SPARE_PAGES	16	/* what random calls give away */
#define CODE_PAGE	4
#define ORDERS_PAGE	5
#define SCRATCH_PAGE	8	/* and MEMORY_PAGES / 2 from there on */
#define CALLS		8000	/* of one partition at most, if it lives so long */
#define TRIES		2000	/* of 1 ms, for one to end */

struct orders {
	uint64_t random, count, mem_pa;
};

static struct made {
	int64_t handle, chan;	/* 0: none */
	uint8_t *at;
	bool started;
} slots[SLOTS];
static uint8_t *spare;
static struct keel_part_create *create_buffer;
static struct keel_part_start *start_buffer;
static struct keel_part_info *info;
static struct keel_part_stats *stats;
static uint64_t ncalls, nmade, nown;

/* ---- What each of them runs: no stack to speak of, nothing of the image's ----------------------------- */

static inline __attribute__((always_inline)) uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x * 0x2545f4914f6cdd1d >> 3;
}

static inline __attribute__((always_inline)) uint64_t int15(uint64_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	register uint64_t r10 asm("r10") = d, r8 asm("r8") = d;

	asm volatile("int $15" : "+a" (n) : "D" (a), "S" (b), "d" (c), "r" (r10), "r" (r8) : "memory");
	return n;
}

static inline __attribute__((always_inline)) uint64_t argument(uint64_t *x, uint64_t mem_pa)
{
	uint64_t r = next(x);

	if (!(r & 3))
		return r >> 2 & 63;
	if ((r & 3) == 1)
		return mem_pa + (SCRATCH_PAGE + (r >> 2) % (MEMORY_PAGES / 2)) * PAGE;
	return (r & 3) == 2 ? r << 3 : KEEL_PEER_VA + (r >> 2) % (MEMORY_PAGES * PAGE);
}

/* What ends it, or leads it astray, only now and then. */
#define SELDOM	(1UL << KEEL_HC_SET_ENTRY | 1UL << KEEL_HC_LOAD_IDT | 1UL << KEEL_HC_LOAD_CR3 | 1UL << KEEL_HC_IRET | \
		 1UL << KEEL_HC_SHUTDOWN | 1UL << KEEL_HC_VCPU_START | 1UL << KEEL_HC_VCPU_STOP)

static __attribute__((noinline, noreturn, section(".text.child"))) void child(const struct orders *o)
{
	uint64_t x = o->random, mem_pa = o->mem_pa, i, n, a, b;

	for (i = 0; i < o->count; i++) {
		n = next(&x) & 63;
		a = argument(&x, mem_pa);
		b = argument(&x, mem_pa);
		if ((SELDOM >> n & 1) && next(&x) & 0xfff)
			continue;
		if (n == KEEL_HC_BLOCK) {
			asm volatile("rdtsc; shl $32, %%rdx; or %%rdx, %%rax" : "=a" (b) : : "rdx");
			a = 0;
			b += next(&x) & 0xffff;
		}
		if (n == KEEL_HC_CONSOLE_WRITE && next(&x) & 0x3ff)
			b = 0;
		int15(n, a, b, argument(&x, mem_pa), argument(&x, mem_pa));
	}
	for (;;)
		int15(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_EXIT, 7, 0, 0);
}

/* ---- Making ------------------------------------------------------------------------------------------- */

static uint8_t *memory_of(const struct made *m)
{
	return m->at + QUOTA_PAGES * PAGE;
}

static uint8_t *window_of(const struct made *m)
{
	return memory_of(m) + MEMORY_PAGES * PAGE;
}

static void lay_out(uint8_t *at)
{
	uint64_t *t = (uint64_t *)at, pa = pa_of(at);
	struct orders *o = (struct orders *)(at + ORDERS_PAGE * PAGE);
	unsigned int i;

	memset(at, 0, 4 * PAGE);
	t[0] = (pa + PAGE) | TABLE;
	t[512] = (pa + 2 * PAGE) | TABLE;
	t[1024 + (KEEL_PEER_VA >> 21)] = (pa + 3 * PAGE) | TABLE;
	for (i = 0; i < MEMORY_PAGES; i++)
		t[1536 + i] = (pa + i * PAGE) | PTE_P | PTE_W | PTE_A | PTE_D;
	memcpy(at + CODE_PAGE * PAGE, (const void *)(uintptr_t)child, PAGE);
	*o = (struct orders) { .random = random64() | 1, .count = random64() % CALLS, .mem_pa = pa };
}

static int64_t create(const struct made *m)
{
	*create_buffer = (struct keel_part_create) {
		.name = { 'm', (char)('0' + (m - slots)) }, .priority = (uint32_t)(random64() % 9),
		.nvcpus = 1, .shadow_pages = KEEL_MIN_SHADOW_PAGES, .quota_pa = pa_of(m->at), .quota_pages = QUOTA_PAGES,
	};
	return hcall(KEEL_HC_PART_CREATE, pa_of(create_buffer), 0, 0);
}

static int64_t start(const struct made *m)
{
	*start_buffer = (struct keel_part_start) {
		.rip = KEEL_PEER_VA + CODE_PAGE * PAGE, .rsp = KEEL_PEER_VA + MEMORY_PAGES * PAGE - 8,
		.rdi = KEEL_PEER_VA + ORDERS_PAGE * PAGE, .cr3_pa = pa_of(memory_of(m)),
	};
	return hcall(KEEL_HC_PART_START, (uint64_t)m->handle, pa_of(start_buffer), 0);
}

static const char *begin(struct made *m)
{
	int64_t err;

	m->handle = create(m);
	EXPECT(m->handle > 0, "no partition: %ld", m->handle);
	nmade++;
	lay_out(memory_of(m));
	err = hcall(KEEL_HC_PART_GIVE, (uint64_t)m->handle, pa_of(memory_of(m)), MEMORY_PAGES);
	EXPECT(!err, "GIVE: %ld", err);
	if (random64() & 1) {
		m->chan = hcall(KEEL_HC_CHAN_CREATE, (uint64_t)m->handle, WINDOW_PAGES * PAGE, 0);
		EXPECT(m->chan > 0, "no channel: %ld", m->chan);
		err = hcall(KEEL_HC_CHAN_OFFER, (uint64_t)m->chan, pa_of(window_of(m)), 1 + random64() % WINDOW_PAGES);
		EXPECT(!err, "OFFER: %ld", err);
	}
	if (!(random64() % 8))
		return NULL;		/* it is taken back as it is */
	err = start(m);
	EXPECT(!err, "START: %ld", err);
	m->started = true;
	return NULL;
}

static bool all_zero(const uint8_t *at, uint64_t bytes)
{
	const uint64_t *w = (const uint64_t *)at;

	while (bytes && !*w) {
		w++;
		bytes -= 8;
	}
	return !bytes;
}

static const char *end(struct made *m)
{
	int64_t err = hcall(KEEL_HC_PART_RECLAIM, (uint64_t)m->handle, 0, 0);

	EXPECT(!err, "RECLAIM: %ld", err);
	EXPECT(all_zero(m->at, (QUOTA_PAGES + MEMORY_PAGES) * PAGE), "memory comes back with something in it");
	EXPECT(!m->chan || all_zero(window_of(m), PAGE), "a window comes back with something in it");
	err = hcall(KEEL_HC_PART_INFO, (uint64_t)m->handle, pa_of(info), 0);
	EXPECT(err == -KEEL_EBADF, "its handle is still good for something: %ld", err);
	memset(window_of(m), 0x5a, WINDOW_PAGES * PAGE);
	memset(m->at, 0x5a, (QUOTA_PAGES + MEMORY_PAGES) * PAGE);
	*m = (struct made) { .at = m->at };
	return NULL;
}

/* All that it asked for, whatever became of it. */
static void count_calls(const struct made *m)
{
	if (hcall(KEEL_HC_PART_STATS, (uint64_t)m->handle, pa_of(stats), 0))
		return;
	ncalls += stats->count[KEEL_STAT_TOTAL] - stats->count[KEEL_STAT_PF_FILL] - stats->count[KEEL_STAT_PF_GUEST] -
		  stats->count[KEEL_STAT_IRQ] - stats->count[KEEL_STAT_EXC];
}

static const char *look(struct made *m, bool now)
{
	int64_t err;

	if (m->started) {
		if (now || !(random64() % 64))
			hcall(KEEL_HC_PART_CTL, (uint64_t)m->handle, KEEL_CTL_DESTROY, 0);
		err = hcall(KEEL_HC_PART_INFO, (uint64_t)m->handle, pa_of(info), 0);
		EXPECT(!err, "INFO: %ld", err);
		if (info->state < KEEL_PART_EXITED)
			return NULL;
		count_calls(m);
	}
	return end(m);
}

/* ---- Nonsense ----------------------------------------------------------------------------------------- */

static uint64_t any_handle_made(void)
{
	const struct made *m = &slots[random64() % SLOTS];

	switch (random64() % 4) {
	case 0: return (uint64_t)m->handle;
	case 1: return (uint64_t)m->chan;
	case 2: return random64() % 12;
	default: return random64();
	}
}

/* Of the pages of no slot, or of nobody that this partition is. */
static uint64_t any_page(void)
{
	uint64_t pa = random64() & 1 ? random64() & PTE_ADDR : random64() % 0x10000000 & PTE_ADDR;

	return random64() & 1 || own_pa(pa) ? pa_of(spare + random64() % SPARE_PAGES * PAGE) : pa;
}

static uint64_t any_count(void)
{
	return random64() % 8 ? random64() % (SPARE_PAGES / 2) : random64();
}

/*
 * A request with something wrong in most cases. What comes of one is given back, so that it counts for nothing.
 */
static const char *create_any(void)
{
	int64_t handle, err;

	create(&slots[0]);	/* fills the buffer; its quota is not there, or this is refused because of the name */
	create_buffer->name[0] = 'x';
	create_buffer->quota_pa = any_page();
	create_buffer->quota_pages = any_count();
	((uint8_t *)create_buffer)[random64() % sizeof(*create_buffer)] = (uint8_t)random64();
	handle = hcall(KEEL_HC_PART_CREATE, pa_of(create_buffer), 0, 0);
	if (handle <= 0)
		return NULL;
	err = hcall(KEEL_HC_PART_RECLAIM, (uint64_t)handle, 0, 0);
	EXPECT(!err, "RECLAIM of what should not be: %ld", err);
	return NULL;
}

/* Nothing that would take apart what is being made, but whatever else, with what belongs to others. */
static const char *any_call(void)
{
	const struct made *m = &slots[random64() % SLOTS];
	uint64_t n = KEEL_HC_PART_GIVE + random64() % 12, h = any_handle_made();

	nown++;
	switch (n) {
	case KEEL_HC_PART_GIVE:
		if (m->started)		/* -KEEL_EBUSY; to others it would go */
			hcall(n, random64() & 1 ? (uint64_t)m->handle : ~h, any_page(), any_count());
		return NULL;
	case KEEL_HC_CHAN_CREATE:
	case KEEL_HC_PART_START:
		hcall(n, m->started ? (uint64_t)m->handle : ~h, any_page(), 0);
		return NULL;
	case KEEL_HC_PART_RECLAIM:
		hcall(n, ~h, 0, 0);
		return NULL;
	case KEEL_HC_PART_RECLAIM + 1:
		hcall(KEEL_HC_CHAN_OFFER, m->chan && m->started ? (uint64_t)m->chan : ~h, any_page(), any_count());
		return NULL;
	case KEEL_HC_PART_RECLAIM + 2:
		hcall(KEEL_HC_CHAN_STATE, h, random64() & 1, 0);
		return NULL;
	case KEEL_HC_PART_RECLAIM + 3:
		hcall(KEEL_HC_CHAN_KICK, h, 0, 0);
		return NULL;
	case KEEL_HC_PART_RECLAIM + 4:
		hcall(KEEL_HC_CAP_INFO, h, pa_of(info), 0);
		return NULL;
	case KEEL_HC_PART_RECLAIM + 5:
		hcall(KEEL_HC_PART_CONS_READ, h, pa_of(info), 64);
		return NULL;
	case KEEL_HC_PART_RECLAIM + 6:
		hcall(KEEL_HC_PART_CONS_WRITE, h, pa_of(info), random64() % 64);
		return NULL;
	}
	return slots[0].handle ? create_any() : NULL;
}

/* ---- All of it ---------------------------------------------------------------------------------------- */

static const char *turn(bool over)
{
	struct made *m = &slots[random64() % SLOTS];
	const char *why = NULL;
	unsigned int i;

	if (m->handle)
		why = look(m, over);
	else if (!over)
		why = begin(m);
	for (i = 0; i < 16 && !why && !over; i++)
		why = any_call();
	__atomic_exchange_n(&vcpu_page->events, 0, __ATOMIC_ACQUIRE);
	nap_us(1000);
	return why;
}

static bool any_left(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		if (slots[i].handle)
			return true;
	return false;
}

static const char *run(uint64_t count)
{
	const char *why = NULL;
	unsigned int tries;

	while (!why && ncalls < count)
		why = turn(false);
	for (tries = 0; !why && any_left(); tries++) {
		EXPECT(tries < TRIES, "a partition does not end");
		why = turn(true);
	}
	return why;
}

void makes(const char *arg)
{
	uint64_t count = number(&arg);
	const char *why;
	unsigned int i;

	create_buffer = page_alloc(1);
	start_buffer = page_alloc(1);
	info = page_alloc(1);
	stats = page_alloc(1);
	spare = page_alloc(SPARE_PAGES);
	for (i = 0; i < SLOTS; i++) {
		slots[i].at = page_alloc(SLOT_PAGES);
		memset(slots[i].at, 0x5a, SLOT_PAGES * PAGE);
	}
	why = run(count);
	if (why)
		say("HOSTILE makes FAIL %s\n", why);
	else
		say("HOSTILE makes ok: %lu partitions, %lu calls of theirs, %lu of its own\n", nmade, ncalls, nown);
	finish(!why, !!why);
}

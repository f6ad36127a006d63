// SPDX-License-Identifier: MIT
/*
 * irqs2.c - as irqs.c, with two CPUs: what vCPUs ask of each other, and partitions that are made, while the other
 * vCPU asks for something long itself. Results are called NAME_2cpus.
 *
 * With -icount QEMU runs one CPU at a time, and goes on to the other one where this one says PAUSE. Whatever runs here says
 * so behind each hypercall, and so does the metakernel where it waits: then no hypercall of the other CPU is in the middle of
 * one here, but where a timer ends a CPU's turn. Those are not counted (metakernel/lib/measure.c).
 */
#include "peer.h"

#define BOTH		3UL
#define MANY		64u		/* vCPUs of `many` */
#define TABLES		512u		/* more than one FLUSH_USER re-reads */
#define ROUNDS		8
#define STACK_BYTES	16384u
#define VECTOR		0x40
#define GIVEN_PAGES	KEEL_GIVE_MAX
#define CODE_PAGE	4u		/* behind four pages of tables */

enum mode { IDLE, FLUSHES_ALL, FLUSHES_USER, FLUSHES_RANGE, ASKS, FILLS };

static volatile enum mode mode;
static volatile uint64_t started;
static uint8_t stack[STACK_BYTES] __attribute__((aligned(16)));

static void say_pause(void)
{
	__asm__ volatile("pause");
}

static long flush_set(uint64_t set, uint64_t kind, uint64_t npages)
{
	long ret = hcall5(KEEL_HC_FLUSH_SET, set, kind, info->cr3_pa, AREA, npages);

	say_pause();
	return ret;
}

/* ---- The other vCPU -------------------------------------------------------------------------------- */

void companion_main(void);
extern void companion_entry(void);

__asm__(".text\n"
	".globl companion_entry\n"
	"companion_entry: movq %rdi, %rsp\n"
	"	xorl %ebp, %ebp\n"
	"	call companion_main\n"
	"	ud2\n");

void companion_main(void)
{
	__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		switch (mode) {
		case FLUSHES_ALL:
			hcall(KEEL_HC_FLUSH, KEEL_FLUSH_ALL, 0, 0);
			break;
		case FLUSHES_USER:
			hcall(KEEL_HC_FLUSH, KEEL_FLUSH_USER, 0, 0);
			break;
		case FLUSHES_RANGE:
			hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, AREA, 512);
			break;
		case ASKS:
			flush_set(BOTH, KEEL_FLUSH_USER, 0);
			break;
		case FILLS:
			use_tables(TABLES);
			mode = IDLE;
			break;
		case IDLE:
			break;
		}
		say_pause();
	}
}

/* It has many tables, and so have we. */
static void fill_both(void)
{
	mode = FILLS;
	use_tables(TABLES);
	while (mode == FILLS)
		say_pause();
}

static void start_companion(void)
{
	if (vcpu_page->nvcpus < 2 ||
	    hcall5(KEEL_HC_VCPU_START, 1, (uint64_t)companion_entry, info->cr3_pa, (uint64_t)stack + STACK_BYTES, 0))
		stop("no second vCPU");
	while (!started)
		say_pause();
}

/* ---- Shoot-downs ------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint64_t kind, npages;
	enum mode other;
} shoots[] = {
	{ "flush_set_all_2cpus", KEEL_FLUSH_ALL, 0, IDLE },
	{ "flush_set_user_2cpus", KEEL_FLUSH_USER, 0, IDLE },
	{ "flush_set_range_512_2cpus", KEEL_FLUSH_RANGE, 512, IDLE },
	{ "flush_set_beside_flush_all_2cpus", KEEL_FLUSH_ALL, 0, FLUSHES_ALL },
	{ "flush_set_beside_flush_user_2cpus", KEEL_FLUSH_USER, 0, FLUSHES_USER },
	{ "flush_set_beside_flush_range_2cpus", KEEL_FLUSH_RANGE, 512, FLUSHES_RANGE },
	{ "flush_set_both_ask_2cpus", KEEL_FLUSH_USER, 0, ASKS },
};

static void shoot(unsigned int i)
{
	for (int round = 0; round < ROUNDS; round++) {
		if (round % 4 == 0) {
			fill_both();
			mode = shoots[i].other;
		}
		if (round == 0)
			irqs_begin();
		if (flush_set(BOTH, shoots[i].kind, shoots[i].npages))
			stop("no FLUSH_SET");
	}
	mode = IDLE;
	irqs_report(shoots[i].name);
}

/* ---- A partition with 64 vCPUs, which runs first ------------------------------------------------------ */

static volatile uint64_t woken;
static uint8_t small_stacks[MANY][256] __attribute__((aligned(16)));

void many_main(void);
extern void many_entry(void);

__asm__("many_entry: movq %rdi, %rsp\n"
	"	xorl %ebp, %ebp\n"
	"	call many_main\n"
	"	ud2\n");

/* Sleeps until an interrupt comes. */
void many_main(void)
{
	__atomic_fetch_add(&started, 1, __ATOMIC_SEQ_CST);
	hcall(KEEL_HC_BLOCK, 0, 0, 0);
	__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
	hcall(KEEL_HC_VCPU_STOP, 0, 0, 0);
	stop("not stopped");
}

static void wait_for(const volatile uint64_t *count)
{
	while (*count < MANY - 1)
		sleep_ms(1);
	sleep_ms(10);		/* until the last one that has counted sleeps, or is off */
}

void be_many(void)
{
	irqs_begin();
	for (uint64_t i = 1; i < MANY; i++)
		if (hcall5(KEEL_HC_VCPU_START, i, (uint64_t)many_entry, info->cr3_pa, (uint64_t)small_stacks[i] + 256, 0))
			stop("no vCPU");
	irqs_report("start_64_2cpus");
	wait_for(&started);
	irqs_begin();
	for (uint64_t kind = KEEL_FLUSH_ALL; kind <= KEEL_FLUSH_RANGE; kind++)
		flush_set(~0UL, kind, 512);
	irqs_report("flush_set_64_2cpus");
	irqs_begin();
	hcall(KEEL_HC_IPI_SET, VECTOR, ~1UL, 0);
	irqs_report("ipi_set_64_2cpus");
	wait_for(&woken);
	hcall(KEEL_HC_SHUTDOWN, KEEL_SHUTDOWN_EXIT, 0, 0);
	stop("still here");
}

static void wait_for_end(uint64_t part)
{
	static struct keel_part_info state __attribute__((aligned(256)));

	do {
		sleep_ms(10);
		if (hcall(KEEL_HC_PART_INFO, part, pa_of(&state), 0))
			stop("no state");
	} while (state.state < KEEL_PART_EXITED);
}

/* ---- Partitions that are made -------------------------------------------------------------------------- */

static union {
	struct keel_part_create create;
	struct keel_part_start start;
} args __attribute__((aligned(128)));

/* Tables for its first pages, and a program that says PAUSE for ever. */
static void lay_out(uint64_t *memory)
{
	static const uint8_t code[] = { 0xf3, 0x90, 0xeb, 0xfc };
	uint64_t flags = PTE_P | PTE_W | PTE_A | PTE_D, pa = pa_of(memory);

	for (unsigned int level = 0; level < 3; level++)
		memory[level * 512 + (level == 2 ? KEEL_PEER_VA >> 21 : 0)] = (pa + (level + 1) * PAGE) | flags;
	for (unsigned int i = 0; i < 8; i++)
		memory[3 * 512 + i] = (pa + i * PAGE) | flags;
	for (unsigned int i = 0; i < sizeof(code); i++)
		((volatile uint8_t *)memory)[CODE_PAGE * PAGE + i] = code[i];
}

static long create(uint64_t quota_pa, uint64_t npages)
{
	args.create = (struct keel_part_create) {
		.name = "made", .priority = 8, .nvcpus = 32, .shadow_pages = KEEL_MIN_SHADOW_PAGES,
		.quota_pa = quota_pa, .quota_pages = npages,
	};
	return hcall(KEEL_HC_PART_CREATE, pa_of(&args), 0, 0);
}

static void need(bool good, const char *what, const char *name)
{
	if (!good)
		stop(what);
	irqs_report(name);
	irqs_begin();
}

/* As large as one GIVE and one window are, that the other vCPU has to forget; its vCPU runs when it goes. */
static void make_and_take_back(void)
{
	uint64_t *memory = room(GIVEN_PAGES), npages;
	void *quota, *window = room(GIVEN_PAGES);
	long part, chan, ret;

	lay_out(memory);
	if (create(pa_of(memory), 1) != -KEEL_ENOMEM)
		stop("no quota is enough");
	npages = vcpu_page->ret1;
	quota = room(npages);
	irqs_begin();
	part = create(pa_of(quota), npages);
	need(part > 0, "no partition", "part_create_32_2cpus");
	ret = hcall(KEEL_HC_PART_GIVE, (uint64_t)part, pa_of(memory), GIVEN_PAGES);
	need(ret == 0, "no GIVE", "part_give_16m_2cpus");
	chan = hcall(KEEL_HC_CHAN_CREATE, (uint64_t)part, GIVEN_PAGES * PAGE, 0);
	ret = hcall(KEEL_HC_CHAN_OFFER, (uint64_t)chan, pa_of(window), GIVEN_PAGES);
	need(chan > 0 && ret == 0, "no window", "chan_offer_16m_2cpus");
	args.start = (struct keel_part_start) {
		.rip = KEEL_PEER_VA + CODE_PAGE * PAGE, .rsp = KEEL_PEER_VA + 8 * PAGE, .cr3_pa = pa_of(memory),
	};
	ret = hcall(KEEL_HC_PART_START, (uint64_t)part, pa_of(&args), 0);
	need(ret == 0, "no start", "part_start_2cpus");
	sleep_ms(50);		/* it has its turns */
	irqs_begin();
	ret = hcall(KEEL_HC_PART_CTL, (uint64_t)part, KEEL_CTL_DESTROY, 0);
	need(ret == 0, "no end", "part_destroy_2cpus");
	while (ret = hcall(KEEL_HC_PART_RECLAIM, (uint64_t)part, 0, 0), ret == -KEEL_EBUSY)
		say_pause();
	need(ret == 0, "not given back", "part_reclaim_2cpus");
	if (memory[CODE_PAGE * 512] || *(volatile uint64_t *)quota)
		stop("not zeroed");
}

void measure_irqs_2cpus(void)
{
	wait_for_end(part_named("many"));
	make_area();
	start_companion();
	for (unsigned int i = 0; i < sizeof(shoots) / sizeof(shoots[0]); i++)
		shoot(i);
	make_and_take_back();
	say_value("IRQS-OFF any_2cpus ", (uint64_t)hcall(HC_MEASURE, 3, 0, 0));
	say(" 0\n");
}

// SPDX-License-Identifier: MIT
/*
 * irqs.c - how long does the metakernel keep interrupts off? One partition provokes each path that could be
 * long, with as much for it to do as the manifest allows, and asks a MEASURE=1 metakernel for the longest stretch.
 *
 * `IRQS-OFF PATH INSTRUCTIONS WHAT` is a result: WHAT is the vector, and the hypercall above bit 16.
 */
#include "peer.h"

#define TABLES		2048u		/* shadow tables to fill; the manifest gives 2304 pages */
#define MORE_TABLES	2560u		/* more than there are */
#define WINDOW_PAGES	4096u
#define READ		4UL
#define PTE_PCD		0x10UL
#define LINE		120u
#define COPY		4096u

struct path {
	const char *name;
	void (*prepare)(void);		/* not measured */
	void (*provoke)(void);
};

static uint64_t *top, *l3, *l2, *l1;
static uint64_t other_root;
static char *buffer;
static uint64_t window_pa, window_channel;

void irqs_begin(void)
{
	hcall(HC_MEASURE, 0, 0, 0);
}

void irqs_report(const char *name)
{
	long longest = hcall(HC_MEASURE, 1, 0, 0), what = hcall(HC_MEASURE, 2, 0, 0);

	if (longest < 0)
		stop("this metakernel does not measure");
	say("IRQS-OFF ");
	say(name);
	say_value(" ", (uint64_t)longest);
	say_value(" ", (uint64_t)what & 0xffffff);
	say("\n");
}

/* ---- Many tables ---------------------------------------------------------------------------------- */

/*
 * An area of which every 2 MiB are the same guest table: 512 times as many shadow tables as guest ones, for
 * the price of three.
 */
void make_area(void)
{
	uint64_t frames = pa_of(pages(16));

	(void)leaf(AREA);
	top = (uint64_t *)(KEEL_PEER_VA + (info->cr3_pa - info->mem_pa));
	l3 = pages(1);
	l2 = pages(1);
	l1 = pages(1);
	for (unsigned int i = 0; i < 512; i++) {
		l1[i] = (frames + i % 16 * PAGE) | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
		l2[i] = pa_of(l1) | PTE_P | PTE_W | PTE_U | PTE_A;
		l3[i] = pa_of(l2) | PTE_P | PTE_W | PTE_U | PTE_A;
	}
	top[AREA >> 39 & 511] = pa_of(l3) | PTE_P | PTE_W | PTE_U | PTE_A;
}

/* Every entry of n tables: one hint has 16 pages looked at. PAUSE: with -icount another CPU has its turn there. */
void use_tables(unsigned int n)
{
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_ALL, 0, 0);
	for (uint64_t va = AREA; va < AREA + n * 512ul * PAGE; va += 16 * PAGE) {
		hcall(KEEL_HC_FILL, va, READ, 0);
		__asm__ volatile("pause");
	}
}

static void use_all(void)
{
	use_tables(TABLES);
}

static void use_more(void)
{
	use_tables(MORE_TABLES);
}

static void use_512_pages(void)
{
	use_tables(1);
}

static void nothing(void)
{
}

void sleep_ms(uint64_t ms)
{
	uint64_t until = rdtsc() + ms * info->tsc_khz;

	while (rdtsc() < until) {
		take_events();
		hcall(KEEL_HC_BLOCK, 0, until, 0);
	}
}

/* ---- Paths ------------------------------------------------------------------------------------------ */

static void flush_all(void)
{
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_ALL, 0, 0);
}

static void flush_user(void)
{
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_USER, 0, 0);
}

static void flush_range(void)
{
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, AREA, 512);
}

static void load_cr3(void)
{
	hcall(KEEL_HC_LOAD_CR3, info->cr3_pa, 0, 0);
}

/* And back: the second load meets the tables of neither. */
static void load_other_cr3(void)
{
	hcall(KEEL_HC_LOAD_CR3, other_root, 0, 0);
	hcall(KEEL_HC_LOAD_CR3, info->cr3_pa, 0, 0);
}

/* Longer than from one ageing to the next. */
static void age(void)
{
	sleep_ms(9000);
}

static void restart(void)
{
	if (hcall(KEEL_HC_PART_CTL, part_named("big"), KEEL_CTL_RESTART, 0))
		stop("no restart");
}

static void destroy(void)
{
	if (hcall(KEEL_HC_PART_CTL, part_named("big"), KEEL_CTL_DESTROY, 0))
		stop("no end");
}

static void fault(void)
{
	if (hcall(KEEL_HC_PART_CTL, part_named("deep"), KEEL_CTL_RESTART, 0))
		stop("no restart");
	sleep_ms(1);
}

static void window_for(const char *channel, uint64_t more)
{
	char *window = pages(WINDOW_PAGES);

	window_channel = chan_named(channel);
	window_pa = pa_of(window);
	for (unsigned int i = 0; i < WINDOW_PAGES; i++) {
		*leaf((uint64_t)window + i * PAGE) |= more;
		hcall(KEEL_HC_FLUSH, KEEL_FLUSH_RANGE, (uint64_t)window + i * PAGE, 1);
		*(volatile char *)(window + i * PAGE) = 1;
	}
}

static void window_cached(void)
{
	window_for("cached", 0);
}

static void window_uncached(void)
{
	window_for("uncached", PTE_PCD);
}

static void offer(void)
{
	if (hcall(KEEL_HC_CHAN_OFFER, window_channel, window_pa, WINDOW_PAGES))
		stop("no window");
}

static void fill_buffer(const char *pattern)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < COPY; i++) {
		buffer[i] = pattern[n++];
		n = pattern[n] ? n : 0;
	}
}

static void newlines(void)
{
	fill_buffer("\n");
}

static void short_lines(void)
{
	fill_buffer("a\n");
}

static void escapes(void)
{
	fill_buffer("\033");
	for (unsigned int i = LINE; i < COPY; i += LINE + 1)
		buffer[i] = '\n';
	buffer[COPY - 1] = '\n';
}

static void write_console(void)
{
	for (int i = 0; i < 16; i++)
		hcall(KEEL_HC_CONSOLE_WRITE, pa_of(buffer), COPY, 0);
}

static void copies(void)
{
	uint64_t big = part_named("big");

	hcall(KEEL_HC_LOG_READ, pa_of(buffer), COPY, 0);
	hcall(KEEL_HC_PART_CONS_WRITE, big, pa_of(buffer), COPY);
	hcall(KEEL_HC_PART_CONS_READ, big, pa_of(buffer), COPY);
	hcall(KEEL_HC_CONSOLE_READ, pa_of(buffer), COPY, 0);
	hcall(KEEL_HC_PART_INFO, big, pa_of(buffer), 0);
	hcall(KEEL_HC_PART_STATS, big, pa_of(buffer), 0);
}

/* As many handles as a table takes; each is one more record of which it is asked where it comes from. */
static void grants(void)
{
	uint64_t big = part_named("big"), deep = part_named("deep");
	unsigned int n = 0;

	while (hcall(KEEL_HC_CAP_GRANT, big, deep, KEEL_RIGHT_INFO) > 0)
		n++;
	if (n < KEEL_MAX_HANDLES - 2)
		stop("too few handles");
}

static void revoke(void)
{
	if (hcall(KEEL_HC_CAP_REVOKE, part_named("big"), 0, 0))
		stop("not revoked");
}

static void window_connected(void)
{
	if (hcall(KEEL_HC_CHAN_CONNECT, 0, part_named("big"), WINDOW_PAGES * PAGE) < 0)
		stop("no channel");
	window_for("big", PTE_PCD);
	offer();
}

static void close_it(void)
{
	if (hcall(KEEL_HC_CHAN_CLOSE, 0, window_channel, 0))
		stop("not closed");
}

static const struct path paths[] = {
	{ "null_call", nothing, nothing },
	{ "fill_pool_full", nothing, use_more },
	{ "flush_all", use_all, flush_all },
	{ "flush_user", use_all, flush_user },
	{ "flush_range_512", use_512_pages, flush_range },
	{ "cr3_load", use_all, load_cr3 },
	{ "cr3_load_other", use_all, load_other_cr3 },
	{ "ageing", use_all, age },
	{ "restart_1g", nothing, restart },
	{ "destroy", nothing, destroy },
	{ "restart_1g_ended", nothing, restart },
	{ "fault_report", nothing, fault },
	{ "offer_16m", window_cached, offer },
	{ "offer_16m_uncached", window_uncached, offer },
	{ "console_newlines", newlines, write_console },
	{ "console_short_lines", short_lines, write_console },
	{ "console_escapes", escapes, write_console },
	{ "copies", nothing, copies },
	{ "revoke_254", grants, revoke },
	{ "close_16m_uncached", window_connected, close_it },
};

void measure_irqs(void)
{
	buffer = pages(1);
	other_root = pa_of(pages(1));
	make_area();
	for (unsigned int i = 0; i < 512; i++)
		((uint64_t *)(KEEL_PEER_VA + (other_root - info->mem_pa)))[i] = top[i];
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		paths[i].prepare();
		irqs_begin();
		paths[i].provoke();
		irqs_report(paths[i].name);
		sleep_ms(1000);		/* until the port has shown it */
	}
	say_value("IRQS-OFF any ", (uint64_t)hcall(HC_MEASURE, 3, 0, 0));
	say(" 0\n");
}

/* The other partitions: one whose tables are all in use, and one that faults with many callers. */
_Noreturn void be_big(void)
{
	make_area();
	use_all();
	for (;;) {
		hcall(KEEL_HC_BLOCK, 0, 0, 0);
		take_events();
	}
}

__attribute__((noinline)) static void deeper(unsigned int depth)
{
	if (depth)
		deeper(depth - 1);
	else
		*(volatile uint64_t *)0x123456789000 = 1;
	__asm__ volatile("");
}

_Noreturn void be_deep(void)
{
	deeper(40);
	stop("no fault");
}

// SPDX-License-Identifier: MIT
/*
 * caps.c - three peers without a Linux: `boss`, who has control, gives `watch` the log and the state of `talk`, and takes
 * both back; connects itself with `talk` and the two others with each other; and closes the first channel while `talk` writes
 * into its window. Or `lend`, who lets `read` and `write` have memory of its own, until one has done what it may not and
 * the other is stopped in the middle. Or `wide`, whose window for `far` is larger than what changes owner at a time. Or `broker`, who lends its end of a channel with `store` to `work`. Or `drive`, who has
 * the devices and gives `uart` the second serial port.
 *
 * Each says what it finds, and BAD before what should not be. tests/system/test_caps.py looks at what comes of it.
 */
#include <stdbool.h>
#include <keel/note.h>

#define PAGE		4096UL
#define WINDOW_VA	0x8000000000UL	/* where nothing else is */
#define WINDOW_PAGES	16UL
#define TICK_MS		20

void peer_main(const struct keel_start_info *si);
void *memset(void *p, int c, size_t n);

static const struct keel_start_info *info;
static uint64_t next_free;
static union {
	struct keel_cap_info cap;
	struct keel_chan_info chan;
	struct keel_part_info part;
	char text[512];
} answer __attribute__((aligned(512)));		/* in one page */

#define vcpu_page ((volatile struct keel_vcpu_page *)KEEL_VCPU_VA)

void *memset(void *p, int c, size_t n)
{
	void *d = p;

	__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return p;
}

static long hcall(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	__asm__ volatile("int $15" : "+a"(nr) : "D"(a), "S"(b), "d"(c) : "memory");
	return nr;
}

static uint64_t pa_of(const void *p)
{
	return info->mem_pa + ((uint64_t)p - KEEL_PEER_VA);
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return !*a && !*b;
}

static void say(const char *text)
{
	static char line[256] __attribute__((aligned(256)));
	size_t n = 0;

	while (text[n] && n < sizeof(line) - 1) {
		line[n] = text[n];
		n++;
	}
	line[n++] = '\n';
	hcall(KEEL_HC_CONSOLE_WRITE, pa_of(line), n, 0);
}

static void expect(bool ok, const char *what)
{
	if (ok) {
		say(what);
		return;
	}
	say("BAD:");
	say(what);
}

static _Noreturn void end(uint64_t how, uint64_t status)
{
	for (;;)
		hcall(KEEL_HC_SHUTDOWN, how, status, 0);
}

/* Until a doorbell, or some time has passed. */
static void nap(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	hcall(KEEL_HC_BLOCK, 0, ((uint64_t)high << 32 | low) + TICK_MS * info->tsc_khz, 0);
	__atomic_exchange_n(&vcpu_page->events, 0, __ATOMIC_SEQ_CST);
}

/* The n-th handle of this type and name; 0: none, but for what is the caller itself. */
static uint64_t handle_of(unsigned int type, const char *name, unsigned int n)
{
	for (uint64_t h = 1; h < KEEL_MAX_HANDLES; h++)
		if (!hcall(KEEL_HC_CAP_INFO, h, pa_of(&answer), 0) && answer.cap.type == type && same(answer.cap.name, name) && !n--)
			return h;
	return 0;
}

static uint64_t wait_for_handle(unsigned int type, const char *name)
{
	uint64_t h;

	while (h = handle_of(type, name, 0), !h)
		nap();
	return h;
}

static void *pages(uint64_t n)
{
	void *p = (void *)next_free;

	next_free += n * PAGE;
	return memset(p, 0, n * PAGE);
}

static uint64_t *leaf(uint64_t va)
{
	uint64_t *table = (uint64_t *)(KEEL_PEER_VA + (info->cr3_pa - info->mem_pa));

	for (unsigned int shift = 39; shift > 12; shift -= 9) {
		uint64_t *e = &table[va >> shift & 511];

		if (!(*e & 1))
			*e = pa_of(pages(1)) | 0x27;
		table = (uint64_t *)(KEEL_PEER_VA + ((*e & 0xffffffffff000) - info->mem_pa));
	}
	return &table[va >> 12 & 511];
}

/* A client's view of the window, when there is one. */
static volatile uint64_t *map_window(uint64_t chan)
{
	while (hcall(KEEL_HC_CHAN_INFO, chan, pa_of(&answer), 0) || !(answer.chan.state & KEEL_CHAN_WINDOW))
		nap();
	for (uint64_t i = 0; i < answer.chan.window_bytes; i += PAGE)
		*leaf(WINDOW_VA + i) = (answer.chan.window_pa + i) | 0x63;
	return (volatile uint64_t *)WINDOW_VA;
}

static volatile uint64_t *serve(uint64_t chan)
{
	volatile uint64_t *window = pages(WINDOW_PAGES);

	expect(!hcall(KEEL_HC_CHAN_OFFER, chan, pa_of((const void *)window), WINDOW_PAGES), "a window is given");
	hcall(KEEL_HC_CHAN_STATE, chan, 1, 0);
	return window;
}

/* What it is given, and that it is nothing more; until it is taken. */
static void watch(void)
{
	uint64_t talk = wait_for_handle(KEEL_CAP_PARTITION, "talk"), log = wait_for_handle(KEEL_CAP_LOG, "log");
	volatile uint64_t *window;
	uint64_t chan;

	expect(!hcall(KEEL_HC_PART_INFO, talk, pa_of(&answer), 0) && same(answer.part.name, "talk"), "watch sees the state of talk");
	expect(hcall(KEEL_HC_LOG_READ, pa_of(&answer), 16, 0) == 16, "watch reads the log");
	expect(hcall(KEEL_HC_PART_CTL, talk, KEEL_CTL_DESTROY, 0) == -KEEL_EPERM, "watch cannot end talk");
	expect(hcall(KEEL_HC_PART_CONS_READ, talk, pa_of(&answer), 16) == -KEEL_EPERM, "watch cannot read its console");
	expect(hcall(KEEL_HC_CAP_GRANT, log, talk, KEEL_RIGHT_INFO) == -KEEL_EPERM, "watch cannot give talk anything");
	expect(hcall(KEEL_HC_CHAN_CONNECT, 0, talk, PAGE) == -KEEL_EPERM, "watch cannot connect itself");
	chan = wait_for_handle(KEEL_CAP_CHANNEL, "talk");
	window = serve(chan);		/* for talk */
	while (window[0] != 42)
		nap();
	say("watch hears talk");
	hcall(KEEL_HC_CHAN_KICK, chan, 0, 0);
	while (!hcall(KEEL_HC_PART_INFO, talk, pa_of(&answer), 0))
		nap();
	expect(hcall(KEEL_HC_LOG_READ, pa_of(&answer), 16, 0) == -KEEL_EPERM, "watch has lost both at once");
	end(KEEL_SHUTDOWN_EXIT, 0);
}

/* Says something to watch, then fills the window it has of boss, for ever. */
static void talk(void)
{
	uint64_t boss = wait_for_handle(KEEL_CAP_CHANNEL, "talk"), watcher;
	volatile uint64_t *window;

	while (watcher = handle_of(KEEL_CAP_CHANNEL, "talk", 1), !watcher)
		nap();
	window = map_window(watcher);
	window[0] = 42;
	hcall(KEEL_HC_CHAN_KICK, watcher, 0, 0);
	for (uint64_t i = 0; i < WINDOW_PAGES; i++)
		*leaf(WINDOW_VA + i * PAGE) = 0;
	hcall(KEEL_HC_FLUSH, KEEL_FLUSH_ALL, 0, 0);
	window = map_window(boss);
	for (uint64_t i = 1;; i++)
		window[i % (WINDOW_PAGES * PAGE / 8)] = i;
}

static bool all_zero(const volatile uint64_t *p)
{
	for (uint64_t i = 0; i < WINDOW_PAGES * PAGE / 8; i++)
		if (p[i])
			return false;
	return true;
}

static void boss(void)
{
	uint64_t watcher = handle_of(KEEL_CAP_PARTITION, "watch", 0), talker = handle_of(KEEL_CAP_PARTITION, "talk", 0);
	uint64_t log = handle_of(KEEL_CAP_LOG, "log", 0);
	long chan = hcall(KEEL_HC_CHAN_CONNECT, 0, talker, WINDOW_PAGES * PAGE), other;
	volatile uint64_t *window;

	expect(chan > 0, "boss is connected with talk");
	window = serve((uint32_t)chan);
	other = hcall(KEEL_HC_CHAN_CONNECT, watcher, talker, WINDOW_PAGES * PAGE);
	expect(other > 0 && other >> 32 != chan >> 32, "watch is connected with talk");
	expect(hcall(KEEL_HC_CAP_GRANT, talker, watcher, KEEL_RIGHT_INFO) > 0 &&
	       hcall(KEEL_HC_CAP_GRANT, log, watcher, KEEL_RIGHT_INFO) > 0, "boss gives");
	expect(!hcall(KEEL_HC_CAP_INFO, watcher << 32 | (uint32_t)other, pa_of(&answer), 0) && answer.cap.type == KEEL_CAP_CHANNEL &&
	       answer.cap.rights == KEEL_RIGHT_SERVE, "boss sees what watch holds");
	while (!window[WINDOW_PAGES * PAGE / 8 - 1])
		nap();		/* talk is in the middle of it */
	expect(hcall(KEEL_HC_CHAN_CLOSE, talker, (uint64_t)chan >> 32, 0) == -KEEL_EPERM &&
	       !hcall(KEEL_HC_CHAN_CLOSE, 0, (uint32_t)chan, 0), "boss closes");
	expect(all_zero(window), "its window is its own, and zero");
	expect(hcall(KEEL_HC_CHAN_KICK, (uint32_t)chan, 0, 0) == -KEEL_EBADF, "its handle is void");
	do
		nap();
	while (!hcall(KEEL_HC_PART_INFO, talker, pa_of(&answer), 0) && answer.part.state < KEEL_PART_EXITED);
	expect(answer.part.state == KEEL_PART_FAULTED && answer.part.fault.cr2 >= WINDOW_VA &&
	       answer.part.fault.cr2 < WINDOW_VA + WINDOW_PAGES * PAGE, "talk has ended where the window was");
	expect(all_zero(window), "and it is still zero");
	expect(!hcall(KEEL_HC_CAP_REVOKE, log, 0, 0) && !hcall(KEEL_HC_CAP_REVOKE, talker, 0, 0), "boss takes back");
	do
		nap();
	while (!hcall(KEEL_HC_PART_INFO, watcher, pa_of(&answer), 0) && answer.part.state < KEEL_PART_EXITED);
	end(KEEL_SHUTDOWN_POWEROFF, 0);
}

/* ---- Memory ------------------------------------------------------------------------------------------ */

#define LENT_PAGES	4UL
enum lent { WRITTEN = 1, COUNT, GO, FORBIDDEN, KEPT = LENT_PAGES * PAGE / 8 - 1 };	/* words of it */

static volatile uint64_t *map_lent(uint64_t *handle)
{
	*handle = wait_for_handle(KEEL_CAP_MEMORY, "lend");
	return map_window(*handle);
}

static void reader(void)
{
	uint64_t handle;
	volatile uint64_t *lent = map_lent(&handle);

	expect(lent[KEPT] == KEPT && answer.chan.window_bytes == LENT_PAGES * PAGE, "read sees what is lent");
	expect(hcall(KEEL_HC_CHAN_CLOSE, 0, handle, 0) == -KEEL_EPERM, "read cannot end it");
	expect(hcall(KEEL_HC_CHAN_KICK, handle, 0, 0) == -KEEL_EBADF, "read finds no channel in it");
	expect(hcall(KEEL_HC_MEM_SHARE, pa_of(pages(1)), 1, 0) == -KEEL_EPERM, "read cannot make one");
	expect(hcall(KEEL_HC_CONSOLE_WRITE, answer.chan.window_pa, 1, 0) == -KEEL_EFAULT, "read cannot use it as a buffer");
	while (!lent[GO])
		nap();
	lent[FORBIDDEN] = 1;
	say("BAD: read has written");
}

static void writer(void)
{
	uint64_t handle;
	volatile uint64_t *lent = map_lent(&handle);

	lent[WRITTEN] = 7;
	for (;;)
		lent[COUNT]++;
}

static bool faults_in_it(uint64_t part, enum lent word)
{
	do
		nap();
	while (!hcall(KEEL_HC_PART_INFO, part, pa_of(&answer), 0) && answer.part.state < KEEL_PART_EXITED);
	return answer.part.state == KEEL_PART_FAULTED && answer.part.fault.cr2 == WINDOW_VA + 8 * word;
}

static void lend(void)
{
	uint64_t reads = handle_of(KEEL_CAP_PARTITION, "read", 0), writes = handle_of(KEEL_CAP_PARTITION, "write", 0), count;
	volatile uint64_t *lent = pages(LENT_PAGES);
	uint64_t pa = pa_of((const void *)lent);
	long h;

	lent[KEPT] = KEPT;
	expect(hcall(KEEL_HC_MEM_SHARE, pa + 8, 1, 0) == -KEEL_EINVAL && hcall(KEEL_HC_MEM_SHARE, pa, 0, 0) == -KEEL_EINVAL &&
	       hcall(KEEL_HC_MEM_SHARE, pa, KEEL_GIVE_MAX + 1, 0) == -KEEL_EINVAL &&
	       hcall(KEEL_HC_MEM_SHARE, info->mem_pa + info->mem_bytes - PAGE, 2, 0) == -KEEL_EFAULT, "what is not memory of its own is refused");
	h = hcall(KEEL_HC_MEM_SHARE, pa, LENT_PAGES, 0);
	expect(h > 0 && hcall(KEEL_HC_MEM_SHARE, pa, 1, 0) == -KEEL_EFAULT, "lend makes an extent, once");
	expect(hcall(KEEL_HC_CAP_INFO, 0, pa, 0) == -KEEL_EFAULT, "it is no buffer any more");
	expect(lent[KEPT] == KEPT, "lend has it as before");
	expect(hcall(KEEL_HC_CAP_GRANT, (uint64_t)h, reads, KEEL_RIGHT_READ | KEEL_RIGHT_INFO) == -KEEL_EPERM &&
	       hcall(KEEL_HC_CAP_GRANT, (uint64_t)h, reads, KEEL_RIGHT_READ) > 0 &&
	       hcall(KEEL_HC_CAP_GRANT, (uint64_t)h, writes, KEEL_RIGHT_READ | KEEL_RIGHT_WRITE) > 0, "lend gives");
	expect(hcall(KEEL_HC_CAP_DROP, (uint64_t)h, 0, 0) == -KEEL_EBUSY, "lend cannot just drop it");
	while (lent[WRITTEN] != 7 || !lent[COUNT])
		nap();
	say("lend sees what was written");
	lent[GO] = 1;
	expect(faults_in_it(reads, FORBIDDEN) && !lent[FORBIDDEN], "read has ended where it may not write");
	expect(!hcall(KEEL_HC_CAP_REVOKE, (uint64_t)h, 0, 0), "lend takes back");
	count = lent[COUNT];
	expect(faults_in_it(writes, COUNT) && lent[COUNT] == count, "write has ended in the middle, and wrote no more");
	expect(!hcall(KEEL_HC_CHAN_CLOSE, 0, (uint64_t)h, 0) && lent[KEPT] == KEPT, "lend ends it and keeps what is in it");
	expect(!hcall(KEEL_HC_CAP_INFO, 0, pa, 0) && hcall(KEEL_HC_CHAN_INFO, (uint64_t)h, pa, 0) == -KEEL_EBADF, "it is all its own again");
	end(KEEL_SHUTDOWN_POWEROFF, 0);
}

/* ---- An end of a channel ------------------------------------------------------------------------------ */

/* Gives the window, and ends when somebody counts in it. */
static void store(void)
{
	volatile uint64_t *window = serve(wait_for_handle(KEEL_CAP_CHANNEL, "broker"));

	while (!window[COUNT])
		nap();
	expect(window[WRITTEN] == 7 && window[GO] == 3, "store hears broker, then work");
	end(KEEL_SHUTDOWN_EXIT, 0);
}

static void work(void)
{
	uint64_t chan = wait_for_handle(KEEL_CAP_CHANNEL, "broker");
	volatile uint64_t *window = map_window(chan);

	expect(!hcall(KEEL_HC_CHAN_STATE, chan, 1, 0) && !hcall(KEEL_HC_CHAN_KICK, chan, 0, 0), "work is the client");
	expect(hcall(KEEL_HC_CHAN_CLOSE, 0, chan, 0) == -KEEL_EPERM, "work cannot close what it was lent");
	window[GO] = 3;
	for (;;)
		window[COUNT]++;
}

static void broker(void)
{
	uint64_t server = handle_of(KEEL_CAP_PARTITION, "store", 0), worker = handle_of(KEEL_CAP_PARTITION, "work", 0), mine, count;
	long made = hcall(KEEL_HC_CHAN_CONNECT, server, 0, WINDOW_PAGES * PAGE);
	volatile uint64_t *window;

	expect(made > 0, "broker is connected with store");
	mine = (uint64_t)made >> 32;
	window = map_window(mine);
	window[WRITTEN] = 7;
	expect(hcall(KEEL_HC_CAP_GRANT, mine, server, KEEL_RIGHT_USE) == -KEEL_EINVAL &&
	       hcall(KEEL_HC_CAP_GRANT, mine, worker, KEEL_RIGHT_USE) > 0, "broker lends its end");
	expect(hcall(KEEL_HC_CHAN_KICK, mine, 0, 0) == -KEEL_EBADF && hcall(KEEL_HC_CHAN_INFO, mine, pa_of(&answer), 0) == -KEEL_EBADF &&
	       hcall(KEEL_HC_CAP_GRANT, mine, worker, KEEL_RIGHT_USE) == -KEEL_EBUSY, "broker has not got it");
	expect(!hcall(KEEL_HC_CAP_INFO, mine, pa_of(&answer), 0) && answer.cap.type == KEEL_CAP_LENT && same(answer.cap.name, "broker"),
	       "and sees that it is lent");
	do
		nap();
	while (!hcall(KEEL_HC_PART_INFO, server, pa_of(&answer), 0) && answer.part.state < KEEL_PART_EXITED);
	expect(!hcall(KEEL_HC_CAP_REVOKE, mine, 0, 0), "broker takes it back");
	count = window[COUNT];
	expect(faults_in_it(worker, COUNT) && window[COUNT] == count, "work has ended in the middle, and wrote no more");
	expect(hcall(KEEL_HC_CHAN_KICK, mine, 0, 0) == -KEEL_EPIPE, "broker is the client again");
	end(KEEL_SHUTDOWN_POWEROFF, 0);
}

/* ---- A window of several pieces ----------------------------------------------------------------------- */

#define WIDE_PAGES	(2 * KEEL_GIVE_MAX + 3)
#define WIDE_WORDS	(WIDE_PAGES * PAGE / 8)

/* Writes a word of each of some pages, the last one included, and looks at it from wide's side after that. */
static void far(void)
{
	uint64_t chan = wait_for_handle(KEEL_CAP_CHANNEL, "far");

	while (hcall(KEEL_HC_CHAN_INFO, chan, pa_of(&answer), 0) || !(answer.chan.state & KEEL_CHAN_WINDOW))
		nap();
	expect(answer.chan.window_bytes == WIDE_PAGES * PAGE, "far sees all of it");
	for (uint64_t page = 0; page < WIDE_PAGES; page += WIDE_PAGES / 13)
		*leaf(WINDOW_VA + page * PAGE) = (answer.chan.window_pa + page * PAGE) | 0x63;
	*leaf(WINDOW_VA + (WIDE_PAGES - 1) * PAGE) = (answer.chan.window_pa + (WIDE_PAGES - 1) * PAGE) | 0x63;
	for (uint64_t page = 0; page < WIDE_PAGES; page += WIDE_PAGES / 13)
		((volatile uint64_t *)WINDOW_VA)[page * PAGE / 8] = page + 1;
	((volatile uint64_t *)WINDOW_VA)[WIDE_WORDS - 1] = 42;
	hcall(KEEL_HC_CHAN_KICK, chan, 0, 0);
	for (;;)
		nap();
}

static uint64_t sum(const volatile uint64_t *words)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < WIDE_WORDS; i++)
		n += words[i];
	return n;
}

static void wide(void)
{
	uint64_t to = handle_of(KEEL_CAP_PARTITION, "far", 0), want = 42;
	volatile uint64_t *window = pages(WIDE_PAGES);
	uint64_t pa = pa_of((const void *)window);
	long chan = hcall(KEEL_HC_CHAN_CONNECT, 0, to, WIDE_PAGES * PAGE);

	window[WIDE_WORDS - 1] = 1;
	expect(chan > 0 && hcall(KEEL_HC_CHAN_OFFER, (uint32_t)chan, pa, WIDE_PAGES + 1) == -KEEL_EINVAL &&
	       hcall(KEEL_HC_CHAN_OFFER, (uint32_t)chan, info->mem_pa + info->mem_bytes - 2 * KEEL_GIVE_MAX * PAGE, WIDE_PAGES) == -KEEL_EFAULT,
	       "more than is its own is refused as a whole");
	expect(window[WIDE_WORDS - 1] == 1, "and nothing is lost");
	expect(!hcall(KEEL_HC_CHAN_OFFER, (uint32_t)chan, pa, WIDE_PAGES), "wide gives a window of several pieces");
	while (window[WIDE_WORDS - 1] != 42)
		nap();
	for (uint64_t page = 0; page < WIDE_PAGES; page += WIDE_PAGES / 13)
		want += page + 1;
	expect(sum(window) == want, "wide sees what far has written, and zeroes");
	expect(!hcall(KEEL_HC_CHAN_CLOSE, 0, (uint32_t)chan, 0) && !sum(window), "closed, it is zero");
	expect(!hcall(KEEL_HC_CAP_INFO, 0, pa + (WIDE_PAGES - 1) * PAGE, 0) && !hcall(KEEL_HC_CAP_INFO, 0, pa, 0), "and its own");
	end(KEEL_SHUTDOWN_POWEROFF, 0);
}

/* ---- Devices ----------------------------------------------------------------------------------------- */

/* The second serial port, a 16550 (PC16550D, 8.0): data, interrupt enable and identification, modem control, line status, scratch. */
#define COM2		0x2f8
#define COM2_IRQ	3
#define COM2_VECTOR	0x51
enum { DATA, ENABLE, IDENTIFY, MODEM = 4, STATUS, SCRATCH = 7 };
#define ON_DATA		0x01	/* of ENABLE */
#define LOOP		0x10	/* of MODEM: what is sent is received */
#define HAS_DATA	0x01	/* of STATUS */
#define RTE(n)		(0x10 + 2 * (n))	/* of an IOAPIC (82093AA, 3.2.4) */
#define RTE_LEVEL	0x8000

static uint8_t in(uint16_t reg)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)(COM2 + reg)));
	return value;
}

static void out(uint16_t reg, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((uint16_t)(COM2 + reg)));
}

static bool rung(uint64_t handle)
{
	return __atomic_load_n(&vcpu_page->events, __ATOMIC_SEQ_CST) >> handle & 1;
}

static void wait_for_bell(uint64_t handle)
{
	while (!rung(handle))
		hcall(KEEL_HC_BLOCK, 0, 0, 0);
	__atomic_exchange_n(&vcpu_page->events, 0, __ATOMIC_SEQ_CST);
}

static void uart(void)
{
	uint64_t irq = wait_for_handle(KEEL_CAP_IRQ, "vector 0x51 of CPU 0"), ports = wait_for_handle(KEEL_CAP_PORTS, "0x2f8-0x2ff");

	expect(ports && hcall(KEEL_HC_DEVICE_MAKE, KEEL_CAP_PORTS, COM2, 8) == -KEEL_EPERM, "uart cannot make one");
	out(MODEM, LOOP);
	out(DATA, 'K');
	expect(in(STATUS) & HAS_DATA && in(DATA) == 'K', "uart has the port");
	out(ENABLE, ON_DATA);
	for (int i = 0; i < 3; i++) {
		out(DATA, (uint8_t)i);
		wait_for_bell(irq);
		nap();			/* the line is up all the time */
		expect(!rung(irq) && in(DATA) == i, "uart is interrupted, once");
		expect(!hcall(KEEL_HC_IRQ_DONE, irq, 0, 0), "and says that it is done");
	}
	out(SCRATCH, 0x5a);
	for (;;)
		out(SCRATCH, in(SCRATCH));
}

static bool refused(uint64_t type, uint64_t first, uint64_t n)
{
	return hcall(KEEL_HC_DEVICE_MAKE, type, first, n) == -KEEL_EINVAL;
}

static void drive(void)
{
	uint64_t to = handle_of(KEEL_CAP_PARTITION, "uart", 0);
	long ports, irq;

	expect(refused(KEEL_CAP_PORTS, 0xcf8, 8) && refused(KEEL_CAP_PORTS, 0x70, 1) && refused(KEEL_CAP_PORTS, 0x3f8, 8) &&
	       refused(KEEL_CAP_PORTS, 0xfff8, 9) && refused(KEEL_CAP_PORTS, COM2, 0) && refused(KEEL_CAP_PORTS, ~0UL, 2) &&
	       refused(KEEL_CAP_IRQ, 0x1f, 0) && refused(KEEL_CAP_IRQ, COM2_VECTOR, 1) && refused(KEEL_CAP_LOG, 0, 1), "what cannot be handed out is refused");
	ports = hcall(KEEL_HC_DEVICE_MAKE, KEEL_CAP_PORTS, COM2, 8);
	irq = hcall(KEEL_HC_DEVICE_MAKE, KEEL_CAP_IRQ, COM2_VECTOR, 0);
	expect(ports > 0 && irq > 0, "drive makes parts of its devices");
	hcall(KEEL_HC_IOAPIC_WRITE, 0, RTE(COM2_IRQ) + 1, vcpu_page->apic_id << 24);
	hcall(KEEL_HC_IOAPIC_WRITE, 0, RTE(COM2_IRQ), COM2_VECTOR | RTE_LEVEL);
	expect(hcall(KEEL_HC_CAP_GRANT, (uint64_t)ports, to, KEEL_RIGHT_USE) > 0 &&
	       hcall(KEEL_HC_CAP_GRANT, (uint64_t)irq, to, KEEL_RIGHT_USE) > 0, "drive gives");
	while (in(SCRATCH) != 0x5a)
		nap();
	expect(!(vcpu_page->pending & 0xff), "no interrupt has come to drive");
	expect(!hcall(KEEL_HC_CAP_REVOKE, (uint64_t)ports, 0, 0) && !hcall(KEEL_HC_CAP_REVOKE, (uint64_t)irq, 0, 0), "drive takes back");
	do
		nap();
	while (!hcall(KEEL_HC_PART_INFO, to, pa_of(&answer), 0) && answer.part.state < KEEL_PART_EXITED);
	expect(answer.part.state == KEEL_PART_FAULTED && answer.part.fault.vector == 13, "uart has ended at the port");
	expect(in(SCRATCH) == 0x5a, "nothing more was written");
	out(DATA, 'L');
	while (!(vcpu_page->pending & 0xff))
		nap();
	expect(in(DATA) == 'L', "the interrupt is drive's again");
	expect(!hcall(KEEL_HC_CAP_DROP, (uint64_t)ports, 0, 0) && !hcall(KEEL_HC_CAP_DROP, (uint64_t)irq, 0, 0) &&
	       hcall(KEEL_HC_DEVICE_MAKE, KEEL_CAP_PORTS, 0x300, 8) == ports, "their places are free");
	end(KEEL_SHUTDOWN_POWEROFF, 0);
}

void peer_main(const struct keel_start_info *si)
{
	static const struct { const char *name; void (*main)(void); } roles[] = {
		{ "boss", boss }, { "watch", watch }, { "talk", talk }, { "lend", lend }, { "read", reader }, { "write", writer },
		{ "broker", broker }, { "store", store }, { "work", work }, { "wide", wide }, { "far", far }, { "drive", drive }, { "uart", uart },
	};

	info = si;
	next_free = si->free_va;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (same(si->cmdline, roles[i].name))
			roles[i].main();
}

__asm__(".section .text.start, \"ax\"\n"
	".globl _start\n"
	"_start: xorl %ebp, %ebp\n"
	"	call peer_main\n"
	"	ud2\n"
	".previous\n"
	".section .note.GNU-stack, \"\", @progbits\n"
	".previous\n");

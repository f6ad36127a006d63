// SPDX-License-Identifier: MIT
/*
 * run_time_parts - partitions of Linux's own: made, mapped, started, ended in every way, closed. The peers are a few
 * instructions and a page table, laid out here. Failure: a wrong status, memory that is still mapped after it was given
 * away, a name that stays in use, memory that does not come back.
 */
#include <poll.h>
#include <setjmp.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <time.h>

#include "keel_dev.h"

#define ROUNDS		200		/* PARTS_ROUNDS in the environment: another number */
#define LARGE		(6ul << 20)	/* more than a block of the page allocator, and not whole ones */
#define HUGE		(40ul << 20)	/* more than it finds in a row */
#define SMALL		(8 * PAGE)
#define WINDOW		(8ul << 20)
#define POLL_MS		20000

#define CODE_PAGE	4u		/* of its memory: four pages of tables, then this */
#define CODE_VA		(KEEL_PEER_VA + CODE_PAGE * PAGE)
#define WINDOW_VA	0x500000u	/* the same page of tables */
#define PTE_KERNEL	0x63u		/* present, writable, accessed, dirty */

struct part {
	int fd;
	struct keel_ioc_create made;
	uint8_t *memory;
};

static const uint8_t code_exit[] = {	/* SHUTDOWN_EXIT, status 7 */
	0xb8, 0x12, 0, 0, 0, 0xbf, 3, 0, 0, 0, 0xbe, 7, 0, 0, 0, 0xcd, 0x0f,
};
static const uint8_t code_spin[] = { 0xeb, 0xfe };
static const uint8_t code_write[] = {	/* a word into the window; a doorbell; and for ever */
	0xc7, 0x04, 0x25, 0x00, 0x00, 0x50, 0x00, 0x0d, 0xf0, 0x0d, 0x60,
	0xb8, 0x17, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0xcd, 0x0f, 0xeb, 0xfe,
};
#define WRITTEN	0x600df00du

static struct keel_ioc_create request(const char *name, uint64_t mem_bytes, uint64_t window_bytes)
{
	struct keel_ioc_create req = {
		.priority = 1, .nvcpus = 1, .shadow_pages = KEEL_MIN_SHADOW_PAGES,
		.mem_bytes = mem_bytes, .window_bytes = window_bytes,
	};

	strcpy(req.name, name);
	return req;
}

static void create(struct part *p, const char *name, uint64_t mem_bytes, uint64_t window_bytes)
{
	p->made = request(name, mem_bytes, window_bytes);
	p->fd = ioctl(dev, KEEL_IOC_PART_CREATE, &p->made);
	NEED(p->fd >= 0);
	p->memory = mmap(NULL, mem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	NEED(p->memory != MAP_FAILED);
}

static void end(struct part *p)
{
	NEED(munmap(p->memory, p->made.mem_bytes) == 0 && close(p->fd) == 0);
}

static void set_pte(struct part *p, unsigned int page, unsigned int index, uint64_t pa)
{
	((uint64_t *)(void *)(p->memory + page * PAGE))[index] = pa | PTE_KERNEL;
}

/* Tables for its first pages at KEEL_PEER_VA, and this code. A system call writes it, as one that reads an image would. */
static void lay_out(struct part *p, const uint8_t *code, size_t bytes)
{
	int pipes[2];

	for (unsigned int level = 0; level < 3; level++)
		set_pte(p, level, level == 2 ? KEEL_PEER_VA >> 21 : 0, p->made.mem_pa + (level + 1) * PAGE);
	for (unsigned int i = 0; i < SMALL / PAGE; i++)
		set_pte(p, 3, i, p->made.mem_pa + i * PAGE);
	NEED(pipe(pipes) == 0 && write(pipes[1], code, bytes) == (ssize_t)bytes);
	NEED(read(pipes[0], p->memory + CODE_PAGE * PAGE, bytes) == (ssize_t)bytes);
	close(pipes[0]);
	close(pipes[1]);
}

static int boot_at(struct part *p, uint64_t rip)
{
	struct keel_part_start start = {
		.rip = rip, .rsp = KEEL_PEER_VA + SMALL, .cr3_pa = p->made.mem_pa,
	};

	return ioctl(p->fd, KEEL_IOC_PART_BOOT, &start);
}

static struct keel_part_info info_of(struct part *p)
{
	struct keel_ioc_part part = { .handle = p->made.handle };

	NEED(ioctl(dev, KEEL_IOC_PART_INFO, &part) == 0);
	return part.info;
}

/* Linux's frames by the metakernel's books. */
static uint64_t linux_bytes(void)
{
	struct keel_ioc_part part = { .handle = 0 };

	NEED(ioctl(dev, KEEL_IOC_PART_INFO, &part) == 0);
	return part.info.mem_bytes;
}

static int ended(struct part *p, int ms)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	int n = poll(&pfd, 1, ms);

	NEED(n >= 0);
	return n == 1 && pfd.revents == POLLIN;
}

/* ---- What is refused ------------------------------------------------------------------------------- */

static int refused(struct keel_ioc_create req, int with)
{
	int fd = ioctl(dev, KEEL_IOC_PART_CREATE, &req);
	int error = errno;

	if (fd >= 0)
		close(fd);
	return fd == -1 && error == with;
}

static void test_wrong_requests(void)
{
	struct keel_ioc_create req;
	struct sysinfo si;

	CHECK(refused(request("a", 0, 0), EINVAL));
	CHECK(refused(request("a", PAGE + 1, 0), EINVAL));
	CHECK(refused(request("a", PAGE, 1), EINVAL));
	CHECK(refused(request("a", KEEL_PART_EXTENTS * KEEL_GIVE_MAX * PAGE + PAGE, 0), EINVAL));
	CHECK(refused(request("a", UINT64_MAX - PAGE + 1, 0), EINVAL));
	CHECK(refused(request("", PAGE, 0), EINVAL));
	CHECK(refused(request("a name", PAGE, 0), EINVAL));
	req = request("a", PAGE, 0), req.priority = 31;
	CHECK(refused(req, EINVAL));
	req = request("a", PAGE, 0), req.flags = 1;
	CHECK(refused(req, EINVAL));
	req = request("a", PAGE, 0), req.reserved = 1;
	CHECK(refused(req, EINVAL));
	req = request("a", PAGE, 0), req.nvcpus = 0;
	CHECK(refused(req, EINVAL));
	CHECK(ioctl(dev, KEEL_IOC_PART_CREATE, NULL) == -1 && errno == EFAULT);
	NEED(sysinfo(&si) == 0);
	if (si.totalram < 1ul << 30)	/* as large as one may be, but not here; and nobody is killed for it */
		CHECK(refused(request("a", 1ul << 30, 0), ENOMEM));
}

/* ---- Its life -------------------------------------------------------------------------------------- */

/* All of its memory is zero, and is not when it ends: nobody after us finds what we have left. */
static void look_and_leave(struct part *p)
{
	uint64_t *word = (uint64_t *)(void *)p->memory, *end = word + p->made.mem_bytes / sizeof(*word);

	for (; word < end; word += PAGE / sizeof(*word)) {
		CHECK(word[0] == 0 && word[PAGE / sizeof(*word) - 1] == 0);
		word[PAGE / sizeof(*word) - 1] = 0xeeeeeeeeeeeeeeee;
	}
}

static void live(uint64_t mem_bytes)
{
	uint64_t before = linux_bytes();
	struct part p;

	create(&p, "brief", mem_bytes, 0);
	look_and_leave(&p);
	lay_out(&p, code_exit, sizeof(code_exit));
	NEED(boot_at(&p, CODE_VA) == 0);
	CHECK(linux_bytes() + mem_bytes < before);
	NEED(ended(&p, POLL_MS));
	CHECK(info_of(&p).state == KEEL_PART_EXITED && info_of(&p).status == 7);
	end(&p);
	CHECK(linux_bytes() == before);
}

static void test_memory_comes_back(void)
{
	const char *asked = getenv("PARTS_ROUNDS");
	int rounds = asked ? atoi(asked) : ROUNDS;
	uint64_t before, after;

	live(HUGE);
	live(LARGE);
	live(SMALL);
	before = mem_free();
	for (int i = 0; i < rounds && !stress_failures; i++)
		live(i % 16 ? SMALL : i % 64 ? LARGE : HUGE);
	after = mem_free();
	printf("%lu KiB free before %d partitions, %lu after\n", before, rounds, after);
	CHECK(after + before / 100 > before);
}

static sigjmp_buf fault_jump;
static volatile sig_atomic_t fault_signal;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	fault_signal = sig;
	siglongjmp(fault_jump, 1);
}

/* The signal that a read of this byte ends in, or 0. */
static int signal_of(const volatile uint8_t *byte)
{
	fault_signal = 0;
	if (!sigsetjmp(fault_jump, 1))
		(void)*byte;
	return fault_signal;
}

static void test_mapping_ends_at_boot(void)
{
	struct part p, q;
	struct iovec to = { .iov_base = &q, .iov_len = 8 }, from;
	pid_t pid;

	create(&p, "mapped", SMALL, 0);
	from = (struct iovec) { .iov_base = p.memory, .iov_len = 8 };
	CHECK(process_vm_readv(getpid(), &to, 1, &from, 1, 0) == -1 && errno == EFAULT);	/* pins it */
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, p.fd, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, SMALL + PAGE, PROT_READ, MAP_SHARED, p.fd, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, p.fd, SMALL) == MAP_FAILED && errno == EINVAL);
	pid = stress_fork();
	if (!pid)
		_exit(signal_of(p.memory));
	CHECK(stress_wait(pid) == SIGSEGV);
	CHECK(refused(request("mapped", PAGE, 0), EEXIST));
	CHECK(refused(request("linux", PAGE, 0), EEXIST));

	lay_out(&p, code_spin, sizeof(code_spin));
	CHECK(signal_of(p.memory) == 0 && !ended(&p, 0));
	NEED(boot_at(&p, CODE_VA) == 0);
	for (unsigned int i = 0; i < SMALL; i += PAGE)
		CHECK(signal_of(p.memory + i) == SIGBUS);
	CHECK(read(open("/dev/zero", O_RDONLY | O_CLOEXEC), p.memory, 8) == -1 && errno == EFAULT);
	CHECK(boot_at(&p, CODE_VA) == -1 && errno == EBUSY);
	CHECK(!ended(&p, 0));
	end(&p);		/* while it computes */
	create(&q, "mapped", SMALL, 0);
	end(&q);		/* and before it is started */
}

/*
 * What is away is nobody's here: who comes by it in the kernel all the same gets a fault, here one that is an error, and the metakernel's
 * log has a line. (A store would be an Oops.)
 */
static void test_stray_read(void)
{
	int mem = open("/dev/mem", O_RDONLY | O_CLOEXEC);
	uint8_t byte = 0x55;
	struct part p;
	off_t pa;

	create(&p, "away", SMALL, 0);
	lay_out(&p, code_spin, sizeof(code_spin));
	pa = (off_t)(p.made.mem_pa + CODE_PAGE * PAGE);
	NEED(mem >= 0 && pread(mem, &byte, 1, pa) == 1 && byte == code_spin[0]);
	NEED(boot_at(&p, CODE_VA) == 0);

	byte = 0x55;
	CHECK(pread(mem, &byte, 1, pa) == -1 && errno == EFAULT && byte == 0x55);
	CHECK(!ended(&p, 0));
	close(mem);
	end(&p);
}

static void test_wrong_starts(void)
{
	struct part p;

	create(&p, "wrong", LARGE, 0);
	lay_out(&p, code_exit, sizeof(code_exit));
	CHECK(ioctl(p.fd, KEEL_IOC_PART_BOOT, NULL) == -1 && errno == EFAULT);
	NEED(boot_at(&p, KEEL_PEER_VA + SMALL) == 0 && ended(&p, POLL_MS));		/* nothing is mapped there */
	CHECK(info_of(&p).state == KEEL_PART_FAULTED && info_of(&p).fault.rip == KEEL_PEER_VA + SMALL);
	end(&p);

	create(&p, "wrong", SMALL, 0);
	p.made.mem_pa += SMALL;		/* tables that are not its own */
	CHECK(boot_at(&p, CODE_VA) == -1 && errno == EINVAL);
	CHECK(boot_at(&p, CODE_VA) == -1 && errno == EBUSY);
	end(&p);
}

static void test_killed_program(void)
{
	struct part p;
	int pipes[2];
	char byte;
	pid_t pid;

	NEED(pipe(pipes) == 0);
	pid = stress_fork();
	if (!pid) {
		create(&p, "orphan", LARGE, 0);
		lay_out(&p, code_spin, sizeof(code_spin));
		NEED(boot_at(&p, CODE_VA) == 0 && write(pipes[1], "", 1) == 1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	NEED(read(pipes[0], &byte, 1) == 1);
	close(pipes[0]);
	CHECK(refused(request("orphan", PAGE, 0), EEXIST));
	NEED(kill(pid, SIGKILL) == 0 && stress_wait(pid) == 1000 + SIGKILL);
	create(&p, "orphan", PAGE, 0);
	end(&p);
}

/* ---- Its channel ----------------------------------------------------------------------------------- */

static void test_channel_ends_with_it(void)
{
	int server = open("/dev/keel", O_RDWR | O_CLOEXEC), event = eventfd(0, EFD_CLOEXEC);
	struct pollfd pfd = { .fd = server, .events = POLLIN };
	struct keel_ioc_serve serve = { .eventfd = event };
	struct keel_ioc_chan chan;
	volatile uint32_t *window;
	struct part p;
	pid_t pid;

	create(&p, "served", SMALL, WINDOW);
	serve.handle = p.made.chan;
	NEED(server >= 0 && event >= 0 && ioctl(server, KEEL_IOC_CHAN_SERVE, &serve) == 0);
	CHECK(serve.window_bytes == WINDOW);
	window = mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, server, 0);
	NEED(window != MAP_FAILED && window[0] == 0);
	chan.handle = p.made.chan;
	NEED(ioctl(dev, KEEL_IOC_CHAN_INFO, &chan) == 0);
	lay_out(&p, code_write, sizeof(code_write));
	set_pte(&p, 3, (WINDOW_VA - KEEL_PEER_VA) / PAGE, chan.info.window_pa);
	NEED(ioctl(server, KEEL_IOC_CHAN_UP) == 0 && boot_at(&p, CODE_VA) == 0);
	while (window[0] != WRITTEN && !stress_failures)
		CHECK(ioctl(server, KEEL_IOC_CHAN_WAIT, POLL_MS) == 0);
	NEED(eventfd_read(event, &(eventfd_t) { 0 }) == 0);	/* waits: the word may be there before the doorbell */

	/* One more waits for it when it ends, and writes into the window all the time */
	pid = stress_fork();
	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		close(p.fd);
		while (ioctl(server, KEEL_IOC_CHAN_WAIT, 1) == 0 || errno == ETIME)
			for (unsigned int i = 0; i < WINDOW / PAGE; i++)
				window[i * PAGE / 4 + 1] = i;
		_exit(errno);
	}
	end(&p);
	CHECK(stress_wait(pid) == EBADF);
	CHECK(ioctl(server, KEEL_IOC_CHAN_KICK) == -1 && errno == EBADF);
	CHECK(ioctl(server, KEEL_IOC_CHAN_UP) == -1 && errno == EBADF);
	CHECK(poll(&pfd, 1, 0) == 1 && pfd.revents == POLLERR);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, server, 0) == MAP_FAILED && errno == EBADF);
	window[1] = 1;		/* the mapping is ours until we let go of it */
	CHECK(window[1] == 1);
	NEED(munmap((void *)(uintptr_t)window, WINDOW) == 0 && close(server) == 0 && close(event) == 0);
}

/* ---- Its time --------------------------------------------------------------------------------------- */

#define US	1000ul
#define MS	1000000ul

static void create_limited(struct part *p, const char *name, uint64_t budget_ns, uint64_t period_ns)
{
	p->made = request(name, SMALL, 0);
	p->made.priority = 31;		/* above Linux */
	p->made.cpus = 1;
	p->made.budget_ns = budget_ns;
	p->made.period_ns = period_ns;
	p->fd = ioctl(dev, KEEL_IOC_PART_CREATE, &p->made);
	NEED(p->fd >= 0);
	p->memory = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	NEED(p->memory != MAP_FAILED);
	lay_out(p, code_spin, sizeof(code_spin));
}

static int change_budget(const struct part *p, uint64_t budget_ns, uint64_t period_ns)
{
	struct keel_ioc_budget b = { .handle = p->made.handle, .budget_ns = budget_ns, .period_ns = period_ns };

	return ioctl(dev, KEEL_IOC_PART_BUDGET, &b) == 0 ? 0 : errno;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	NEED(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/*
 * At least so many periods long, until it has used its budget up, and no more than that. A host may delay the interrupt that ends
 * it by any time, which it then waits for: without a limit, or with too much, this does not end. Exact numbers are
 * test_budget.py's.
 */
static void watch(struct part *p, unsigned int periods)
{
	struct keel_part_info before, after;
	uint64_t from = now_ns(), passed, most, used;

	before = info_of(p);
	do {
		after = info_of(p);
		passed = now_ns() - from;
		used = after.cpu_ns - before.cpu_ns;
		most = (passed / before.period_ns + 1) * before.budget_ns;
	} while (passed < periods * before.period_ns || after.exhausted == before.exhausted || used > most);
	printf("%lu us of CPU time in %lu us, exhausted %lu times\n", used / US, passed / US, after.exhausted - before.exhausted);
	CHECK(used);
}

static int told(struct part *p)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLPRI };

	return poll(&pfd, 1, POLL_MS) == 1 && pfd.revents == POLLPRI;
}

static void test_budgets(void)
{
	struct part p, q;

	create_limited(&p, "limited", 2 * MS, 10 * MS);
	CHECK(change_budget(&p, 1 * MS, 10 * MS) == EBUSY);
	NEED(boot_at(&p, CODE_VA) == 0);
	CHECK(info_of(&p).budget_ns == 2 * MS && info_of(&p).period_ns == 10 * MS);
	for (int i = 0; i < 3; i++)
		CHECK(told(&p));
	watch(&p, 20);
	CHECK(change_budget(&p, 0, 0) == EINVAL);		/* it may be above us because it has one */
	CHECK(change_budget(&p, 11 * MS, 10 * MS) == EINVAL);
	CHECK(change_budget(&p, UINT64_MAX, UINT64_MAX) == EINVAL);
	CHECK(change_budget(&p, 97 * MS, 100 * MS) == ENOSPC);
	CHECK(info_of(&p).budget_ns == 2 * MS);
	CHECK(change_budget(&p, 300 * US, 1 * MS) == 0);
	CHECK(info_of(&p).budget_ns == 300 * US && info_of(&p).period_ns == 1 * MS);
	watch(&p, 100);
	CHECK(change_budget(&p, 500 * US, 1 * MS) == 0);

	create_limited(&q, "too-much", 500 * US, 1 * MS);	/* the other half, but for our 5 % */
	CHECK(boot_at(&q, CODE_VA) == -1 && errno == ENOSPC);
	end(&q);
	create_limited(&q, "enough", 400 * US, 1 * MS);
	NEED(boot_at(&q, CODE_VA) == 0);
	watch(&q, 100);
	end(&p);
	CHECK(change_budget(&q, 900 * US, 1 * MS) == 0);	/* what the other had is to be had again */
	end(&q);
	CHECK(change_budget(&q, 1 * MS, 10 * MS) == EBADF);
	create_limited(&p, "odd", 11 * MS, 10 * MS);
	CHECK(boot_at(&p, CODE_VA) == -1 && errno == EINVAL);
	end(&p);
}

int main(void)
{
	if (!open_dev())
		return SKIP;
	stress_handle(SIGBUS, on_fault, 0);
	stress_handle(SIGSEGV, on_fault, 0);
	test_wrong_requests();
	live(SMALL);
	test_mapping_ends_at_boot();
	test_stray_read();
	test_wrong_starts();
	test_killed_program();
	for (int i = 0; i < 20 && !stress_failures; i++)
		test_channel_ends_with_it();
	test_budgets();
	test_memory_comes_back();
	return stress_end("run_time_parts");
}

// SPDX-License-Identifier: MIT
/*
 * run_time_shares - memory of Linux's that partitions share: made, given to read or to write, taken back, kept under a key, let go of in every
 * order. Failure: a request taken that is wrong, a word that does not come to the other side, a reader that writes, memory
 * that goes while somebody has it, or does not come back when nobody has.
 */
#include <poll.h>
#include <sys/sysinfo.h>

#include "small_part.h"

#define ROUNDS		40
#define MOST		(KEEL_GIVE_MAX * PAGE)
#define SIZE		(16 * PAGE)
#define READ		KEEL_RIGHT_READ
#define BOTH		(KEEL_RIGHT_READ | KEEL_RIGHT_WRITE)

struct extent {
	int fd;
	struct keel_ioc_share made;
	volatile uint32_t *memory;	/* NULL: not mapped */
};

/* Waits for the word, and ends with the next one as its status */
static const uint8_t code_read[] = {
	0x8b, 0x04, 0x25, 0x00, 0x00, 0x50, 0x00, 0x3d, 0x0d, 0xf0, 0x0d, 0x60, 0x75, 0xf2,
	0x8b, 0x34, 0x25, 0x04, 0x00, 0x50, 0x00, 0xb8, 0x12, 0, 0, 0, 0xbf, 3, 0, 0, 0, 0xcd, 0x0f,
};
/* Writes the word, and waits for another one there */
static const uint8_t code_write[] = {
	0xc7, 0x04, 0x25, 0x00, 0x00, 0x50, 0x00, 0x0d, 0xf0, 0x0d, 0x60,
	0x81, 0x3c, 0x25, 0x00, 0x00, 0x50, 0x00, 0x0d, 0xf0, 0x0d, 0x60, 0x74, 0xf3,
	0xb8, 0x12, 0, 0, 0, 0xbf, 3, 0, 0, 0, 0xbe, 7, 0, 0, 0, 0xcd, 0x0f,
};

/* ---- Partitions and extents -------------------------------------------------------------------------- */

static struct keel_part_info info_of(const struct part *p)
{
	struct keel_ioc_part part = { .handle = p->made.handle };

	NEED(ioctl(dev, KEEL_IOC_PART_INFO, &part) == 0);
	return part.info;
}

static struct keel_part_info ended(const struct part *p)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };

	NEED(poll(&pfd, 1, WAIT_MS) == 1 && pfd.revents == POLLIN);
	return info_of(p);
}

/* It still waits for its word, or does so again. */
static int runs(const struct part *p)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };

	return poll(&pfd, 1, 50) == 0;
}

/* It may not do what it did with the first word that is shared. */
static int faulted(const struct part *p)
{
	struct keel_part_info info = ended(p);

	return info.state == KEEL_PART_FAULTED && info.fault.vector == 14 && info.fault.cr2 == SHARED_VA;
}

static unsigned int extents_there(void)
{
	unsigned int n = 0;

	for (uint32_t h = 0; h < KEEL_MAX_HANDLES; h++)
		n += cap(0, h).type == KEEL_CAP_MEMORY;
	return n;
}

static int share_try(struct extent *e, uint64_t bytes)
{
	*e = (struct extent) { .made.bytes = bytes };
	e->fd = ioctl(dev, KEEL_IOC_MEM_SHARE, &e->made);
	return e->fd < 0 ? errno : 0;
}

static void share(struct extent *e, uint64_t bytes)
{
	NEED(share_try(e, bytes) == 0);
	e->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, 0);
	NEED(e->memory != MAP_FAILED);
}

static void unmap(struct extent *e)
{
	if (e->memory)
		NEED(munmap((void *)(uintptr_t)e->memory, e->made.bytes) == 0);
	e->memory = NULL;
}

static void let_go(struct extent *e)
{
	unmap(e);
	NEED(close(e->fd) == 0);
}

/* -> the handle there, or -errno */
static int given(const struct part *p, int extent, uint32_t rights)
{
	struct keel_ioc_part_share s = { .extent = extent, .rights = rights };

	return ioctl(p->fd, KEEL_IOC_PART_SHARE, &s) ? -errno : (int)s.handle;
}

/* ---- What is refused --------------------------------------------------------------------------------- */

static void test_wrong_requests(void)
{
	struct keel_ioc_share req = { .bytes = PAGE, .reserved = { 0, 1 } };
	struct keel_ioc_part_share s = { .rights = READ, .reserved = 1 };
	struct extent e;
	struct part p;

	CHECK(share_try(&e, 0) == EINVAL && share_try(&e, PAGE + 1) == EINVAL && share_try(&e, 100) == EINVAL);
	CHECK(share_try(&e, MOST + PAGE) == EINVAL && share_try(&e, UINT64_MAX & ~(PAGE - 1)) == EINVAL);
	CHECK(ioctl(dev, KEEL_IOC_MEM_SHARE, &req) == -1 && errno == EINVAL);
	req = (struct keel_ioc_share) { .bytes = PAGE, .reserved0 = 1 };
	CHECK(ioctl(dev, KEEL_IOC_MEM_SHARE, &req) == -1 && errno == EINVAL);
	CHECK(ioctl(dev, KEEL_IOC_MEM_SHARE, NULL) == -1 && errno == EFAULT);
	CHECK(ioctl(dev, KEEL_IOC_PART_SHARE, &s) == -1 && errno == ENOTTY);
	create(&p, "wrong");
	share(&e, SIZE);
	CHECK(given(&p, -1, READ) == -EBADF && given(&p, 1000, READ) == -EBADF);
	CHECK(given(&p, dev, READ) == -EINVAL && given(&p, p.fd, READ) == -EINVAL && given(&p, 0, READ) == -EINVAL);
	CHECK(given(&p, e.fd, 0) == -EINVAL && given(&p, e.fd, KEEL_RIGHT_WRITE) == -EINVAL);
	CHECK(given(&p, e.fd, READ | KEEL_RIGHT_CONTROL) == -EINVAL && given(&p, e.fd, UINT32_MAX) == -EINVAL);
	s.extent = e.fd;
	CHECK(ioctl(p.fd, KEEL_IOC_PART_SHARE, &s) == -1 && errno == EINVAL);
	CHECK(ioctl(p.fd, KEEL_IOC_PART_SHARE, NULL) == -1 && errno == EFAULT);
	CHECK(given(&p, e.fd, READ) > 0 && given(&p, e.fd, READ) == -EBUSY && given(&p, e.fd, BOTH) == -EBUSY);
	let_go(&e);
	CHECK(given(&p, e.fd, READ) == -EBADF);
	NEED(close(p.fd) == 0);
}

static void test_mappings(void)
{
	struct keel_ioc_chan chan = { 0 };
	volatile uint32_t *again;
	struct extent e;

	share(&e, SIZE);
	for (unsigned int i = 0; i < SIZE / 4; i++)
		CHECK(e.memory[i] == 0);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, e.fd, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, e.fd, PAGE) == MAP_FAILED && errno == EINVAL);
	CHECK(mmap(NULL, SIZE + PAGE, PROT_READ, MAP_SHARED, e.fd, 0) == MAP_FAILED && errno == EINVAL);
	again = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, e.fd, 0);
	NEED(again != MAP_FAILED);
	e.memory[SIZE / 4 - 1] = WRITTEN;
	CHECK(again[SIZE / 4 - 1] == WRITTEN);
	CHECK(cap(0, e.made.handle).type == KEEL_CAP_MEMORY && cap(0, e.made.handle).rights == BOTH);
	chan.handle = e.made.handle;
	CHECK(ioctl(dev, KEEL_IOC_CHAN_INFO, &chan) == 0 && chan.info.window_pa == e.made.pa && chan.info.window_bytes == SIZE);
	CHECK(ioctl(dev, KEEL_IOC_CHAN_CLOSE, &(struct keel_ioc_close) { 0, e.made.handle }) == -1 && errno == EPERM);
	let_go(&e);			/* but a mapping is left */
	CHECK(again[SIZE / 4 - 1] == WRITTEN && cap(0, e.made.handle).type == KEEL_CAP_MEMORY);
	NEED(munmap((void *)(uintptr_t)again, SIZE) == 0);
	CHECK(cap(0, e.made.handle).type == KEEL_CAP_NONE);
}

/* ---- Who has it -------------------------------------------------------------------------------------- */

/* One writes, Linux too, one reads; before and after their start. Who may only read faults when it writes, and nothing is changed. */
static void test_words_arrive(void)
{
	struct part reader, writer, wrong, late;
	struct extent e;
	int handle;

	share(&e, SIZE);
	create(&reader, "reader");
	create(&writer, "writer");
	create(&wrong, "wrong");
	create(&late, "late");
	handle = given(&reader, e.fd, READ);
	CHECK(handle > 0 && cap(reader.made.handle, (uint32_t)handle).rights == READ);
	handle = given(&writer, e.fd, BOTH);
	CHECK(handle > 0 && cap(writer.made.handle, (uint32_t)handle).rights == BOTH);
	CHECK(given(&wrong, e.fd, READ) > 0);
	e.memory[1] = 42;
	boot(&wrong, e.made.pa, 1, code_write, sizeof(code_write));
	CHECK(faulted(&wrong) && e.memory[0] == 0);
	boot(&late, e.made.pa, 1, code_read, sizeof(code_read));
	CHECK(faulted(&late) && given(&late, e.fd, READ) > 0);		/* too late for that one, but no error */
	boot(&reader, e.made.pa, 1, code_read, sizeof(code_read));
	CHECK(runs(&reader));
	boot(&writer, e.made.pa, 1, code_write, sizeof(code_write));
	CHECK(ended(&reader).state == KEEL_PART_EXITED && info_of(&reader).status == 42);
	CHECK(e.memory[0] == WRITTEN && runs(&writer));
	e.memory[0] = 0;
	CHECK(ended(&writer).status == 7);
	NEED(close(reader.fd) == 0 && close(writer.fd) == 0 && close(wrong.fd) == 0 && close(late.fd) == 0);
	let_go(&e);
	CHECK(cap(0, e.made.handle).type == KEEL_CAP_NONE);
}

/* Given to one that runs; taken back. */
static void test_taken_back(void)
{
	struct part first, second;
	struct extent e;

	share(&e, SIZE);
	create(&first, "first");
	create(&second, "second");
	CHECK(given(&first, e.fd, READ) > 0 && given(&second, e.fd, BOTH) > 0);
	boot(&first, e.made.pa, 1, code_read, sizeof(code_read));
	boot(&second, e.made.pa + PAGE, 1, code_write, sizeof(code_write));
	CHECK(runs(&first) && runs(&second) && e.memory[PAGE / 4] == WRITTEN);
	NEED(ioctl(dev, KEEL_IOC_CAP_REVOKE, e.made.handle) == 0);
	CHECK(faulted(&first) && faulted(&second));
	e.memory[0] = 5;
	CHECK(e.memory[0] == 5);
	NEED(close(first.fd) == 0 && close(second.fd) == 0);
	let_go(&e);
}

/* Who made it is killed, with the partition's descriptor elsewhere: that has it, until it goes itself. */
static void test_outlives_its_maker(void)
{
	struct extent e, *seen;
	struct part p;
	int pipes[2];
	pid_t pid;

	create(&p, "heir");
	seen = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	NEED(seen != MAP_FAILED && pipe(pipes) == 0);
	pid = stress_fork();
	if (!pid) {
		share(&e, SIZE);
		e.memory[1] = 9;
		NEED(given(&p, e.fd, READ) > 0);
		*seen = e;
		NEED(write(pipes[1], "", 1) == 1);
		for (;;)
			pause();
	}
	NEED(read(pipes[0], &(char) { 0 }, 1) == 1);
	boot(&p, seen->made.pa, 1, code_read, sizeof(code_read));
	CHECK(runs(&p));
	NEED(kill(pid, SIGKILL) == 0 && stress_wait(pid) == 1000 + SIGKILL);
	CHECK(runs(&p) && cap(0, seen->made.handle).type == KEEL_CAP_MEMORY);
	NEED(close(p.fd) == 0);
	CHECK(cap(0, seen->made.handle).type == KEEL_CAP_NONE);
	NEED(close(pipes[0]) == 0 && close(pipes[1]) == 0 && munmap(seen, PAGE) == 0);
}

static void test_no_more(void)
{
	static struct extent many[KEEL_MAX_HANDLES];
	unsigned int n = 0, i, had = extents_there();
	struct part p;
	int err;

	while ((err = share_try(&many[n], PAGE)) == 0)
		NEED(++n < KEEL_MAX_HANDLES);
	CHECK(err == ENOSPC && n > 64);
	for (i = 0; i < n; i++)
		NEED(close(many[i].fd) == 0);
	CHECK(extents_there() == had);

	create(&p, "many");
	for (i = 0; i <= KEEL_PART_SHARES; i++) {
		NEED(share_try(&many[i], PAGE) == 0);
		CHECK(i < KEEL_PART_SHARES ? given(&p, many[i].fd, READ) > 0 : given(&p, many[i].fd, READ) == -ENOSPC);
		NEED(close(many[i].fd) == 0);
	}
	CHECK(extents_there() == had + KEEL_PART_SHARES);
	NEED(close(p.fd) == 0);
	CHECK(extents_there() == had);
}

/* ---- What is kept ------------------------------------------------------------------------------------ */

static struct keel_ioc_kept key_of(uint64_t key)
{
	return (struct keel_ioc_kept) { .key = { 0x5e5e5e5e, [7] = key } };
}

static int keep(const struct extent *e, uint64_t key)
{
	struct keel_ioc_kept kept = key_of(key);

	if (ioctl(e->fd, KEEL_IOC_MEM_KEEP, &kept))
		return errno;
	CHECK(kept.pa == e->made.pa && kept.bytes == e->made.bytes && kept.handle == e->made.handle);
	return 0;
}

/* -> a descriptor, or -errno */
static int open_kept(uint64_t key, struct keel_ioc_kept *kept)
{
	int fd;

	*kept = key_of(key);
	fd = ioctl(dev, KEEL_IOC_MEM_OPEN, kept);
	return fd < 0 ? -errno : fd;
}

static int is_kept(uint64_t key)
{
	struct keel_ioc_kept kept;
	int fd = open_kept(key, &kept);

	CHECK(fd >= 0 || fd == -ENOENT);
	return fd >= 0 && close(fd) == 0;
}

static void test_kept(void)
{
	struct keel_ioc_kept kept = key_of(1);
	struct extent e, other;
	struct sysinfo si;
	struct part p;
	int fd;

	share(&e, SIZE);
	NEED(share_try(&other, PAGE) == 0);
	CHECK(!is_kept(1) && keep(&e, 1) == EBUSY);	/* it is mapped */
	e.memory[0] = WRITTEN;
	e.memory[1] = 3;
	unmap(&e);
	kept.reserved = 1;
	CHECK(ioctl(e.fd, KEEL_IOC_MEM_KEEP, &kept) == -1 && errno == EINVAL);
	CHECK(ioctl(dev, KEEL_IOC_MEM_OPEN, &kept) == -1 && errno == EINVAL);
	CHECK(ioctl(e.fd, KEEL_IOC_MEM_KEEP, NULL) == -1 && errno == EFAULT);
	CHECK(ioctl(dev, KEEL_IOC_MEM_OPEN, NULL) == -1 && errno == EFAULT);
	CHECK(ioctl(dev, KEEL_IOC_MEM_KEEP, &kept) == -1 && errno == ENOTTY);
	CHECK(keep(&e, 1) == 0 && keep(&e, 1) == EBUSY && keep(&e, 2) == EBUSY && keep(&other, 1) == EEXIST);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, e.fd, 0) == MAP_FAILED && errno == EPERM);
	let_go(&e);
	let_go(&other);
	fd = open_kept(1, &kept);
	CHECK(fd >= 0 && kept.pa == e.made.pa && kept.bytes == SIZE && kept.handle == e.made.handle);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
	create(&p, "user");
	CHECK(given(&p, fd, READ) > 0);
	boot(&p, kept.pa, 1, code_read, sizeof(code_read));
	CHECK(ended(&p).status == 3);
	NEED(close(fd) == 0 && close(p.fd) == 0);
	CHECK(is_kept(1) && !is_kept(2));
	NEED(sysinfo(&si) == 0);
	if (si.totalram / KEEL_MEM_KEPT_PART < MOST) {
		NEED(share_try(&other, MOST) == 0);
		CHECK(keep(&other, 2) == ENOSPC);
		let_go(&other);
	}
}

/* The first KEEL_MEM_KEPT, and whoever is opened stays; what is asked for in vain makes all go that nobody has. */
static void test_kept_go(void)
{
	struct keel_ioc_create large = { .name = "large", .priority = 1, .nvcpus = 1, .shadow_pages = KEEL_MIN_SHADOW_PAGES };
	struct keel_ioc_kept kept;
	struct sysinfo si;
	struct extent e;
	int fd;

	for (unsigned int i = 0; i < KEEL_MEM_KEPT; i++) {
		NEED(share_try(&e, SIZE) == 0);
		CHECK(keep(&e, 100 + i) == 0);
		let_go(&e);
	}
	CHECK(!is_kept(1) && is_kept(100));		/* which is the newest now */
	for (unsigned int i = 0; i < 2; i++) {
		NEED(share_try(&e, SIZE) == 0);
		CHECK(keep(&e, 200 + i) == 0);
		let_go(&e);
	}
	CHECK(!is_kept(101) && !is_kept(102) && is_kept(103) && is_kept(100) && is_kept(201));
	CHECK(extents_there() == KEEL_MEM_KEPT);
	fd = open_kept(103, &kept);
	NEED(fd >= 0 && sysinfo(&si) == 0);
	large.mem_bytes = 1ul << 30;
	if (si.totalram < large.mem_bytes) {
		CHECK(ioctl(dev, KEEL_IOC_PART_CREATE, &large) == -1 && errno == ENOMEM);
		CHECK(extents_there() == 1 && is_kept(103) && !is_kept(100));
	}
	NEED(close(fd) == 0);
}

/* ---- Again and again --------------------------------------------------------------------------------- */

/* Let go of before, while and after a partition has it; kept or not. */
static void test_memory_comes_back(void)
{
	uint64_t before = mem_free(), after;
	struct extent e;
	struct part p;

	for (unsigned int i = 0; i < ROUNDS && !stress_failures; i++) {
		create(&p, "brief");
		share(&e, i % 8 ? SIZE : MOST);
		CHECK(given(&p, e.fd, i % 2 ? READ : BOTH) > 0);
		boot(&p, e.made.pa, 1, code_read, sizeof(code_read));
		if (i % 5 == 0) {
			unmap(&e);
			CHECK(keep(&e, 1000 + i) == (i % 8 ? 0 : ENOSPC) || i % 8 == 0);
		}
		if (i % 3 == 0)
			let_go(&e);
		NEED(close(p.fd) == 0);
		if (i % 3)
			let_go(&e);
	}
	after = mem_free();
	printf("%lu KiB free before %d extents, %lu after\n", before, ROUNDS, after);
	CHECK(after + before / 100 > before);
}

int main(void)
{
	struct extent e;
	int err;

	if (!open_dev())
		return SKIP;
	err = share_try(&e, PAGE);
	if (err == EPERM) {
		printf("this Linux may not share: EPERM\n");
		return SKIP;
	}
	NEED(err == 0 && close(e.fd) == 0);
	test_wrong_requests();
	test_mappings();
	for (int i = 0; i < 10 && !stress_failures; i++) {
		test_words_arrive();
		test_taken_back();
		test_outlives_its_maker();
	}
	test_no_more();
	test_kept();
	test_kept_go();
	test_memory_comes_back();
	return stress_end("run_time_shares");
}

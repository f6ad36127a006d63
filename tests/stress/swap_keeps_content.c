// SPDX-License-Identifier: MIT
/*
 * swap_keeps_content - more memory than the machine has is written and read back, by two processes,
 * with swap on compressed memory (zram) and then on a file on the disk: pages leave, come back, are
 * shared by fork, and keep their content. Needs the accessed and dirty bits to be kept right.
 * Failure: wrong content, or the out-of-memory killer. Meant for a machine of about 160 MB.
 */
#include "stress.h"
#include "swap.h"

#define BEYOND	(60ul << 20)	/* how much more than is free */
#define TOO_MUCH (400ul << 20)
#define FILE_MB	96u

static unsigned long vmstat(const char *name)
{
	FILE *file = fopen("/proc/vmstat", "r");
	unsigned long value = 0, one;
	char key[64];

	NEED(file);
	while (fscanf(file, "%63s %lu", key, &one) == 2)
		if (!strcmp(key, name))
			value = one;
	fclose(file);
	return value;
}

static unsigned long available(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	unsigned long kilobytes = 0;
	char line[100];

	NEED(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %lu", &kilobytes) == 1)
			break;
	fclose(file);
	return kilobytes << 10;
}

/* Half of each page is one word repeated: compressible, but no page is like another. */
static void fill_page(volatile uint64_t *page, uint64_t tag)
{
	for (size_t i = 0; i < PAGE / 16; i += 8)
		page[i] = tag + i;
}

static int page_holds(const volatile uint64_t *page, uint64_t tag)
{
	for (size_t i = 0; i < PAGE / 16; i += 8)
		if (page[i] != tag + i)
			return 0;
	return 1;
}

static void use(volatile uint64_t *area, size_t pages, uint64_t tag, uint64_t seed)
{
	for (size_t i = 0; i < pages; i++)
		fill_page(area + i * 512, tag << 40 | i << 16);
	/* Random writes among the reads: dirty pages must not be taken for clean ones. */
	for (size_t i = 0; i < pages / 3 && !stress_failures; i++) {
		size_t k = stress_random(&seed) % pages;

		CHECK(page_holds(area + k * 512, tag << 40 | k << 16));
		if (i % 2 == 0)
			area[k * 512 + 300] = tag + k;
	}
	for (size_t i = 0; i < pages && !stress_failures; i++) {
		CHECK(page_holds(area + i * 512, tag << 40 | i << 16));
		CHECK(area[i * 512 + 300] == 0 || area[i * 512 + 300] == tag + i);
	}
}

static size_t press(void)
{
	unsigned long bytes = available() + BEYOND;
	size_t pages = bytes / PAGE / 2;
	volatile uint64_t *area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	pid_t pid;

	NEED(area != MAP_FAILED);
	for (size_t i = 0; i < pages; i++)	/* shared with the child, in part already swapped */
		fill_page(area + i * 512, 77ull << 40 | i << 16);
	pid = stress_fork();
	for (size_t i = pid ? 0 : pages / 4; i < pages / 2; i++)
		CHECK(page_holds(area + i * 512, 77ull << 40 | i << 16));
	use(area, pages, pid ? 1 : 2, pid ? 5 : 6);
	if (pid == 0)
		_exit(stress_failures != 0);
	CHECK(stress_wait(pid) == 0);
	munmap((void *)(uintptr_t)area, pages * PAGE);
	return pages;
}

/* Until enough has gone out and come in: that is Linux's choice, and may be little the first time. */
static void under_pressure(const char *with)
{
	unsigned long begun_out = vmstat("pswpout"), begun_in = vmstat("pswpin"), out = 0, in = 0;
	size_t pages = 0;

	for (int round = 0; round < 8 && (out <= 1000 || in <= 20) && !stress_failures; round++) {
		pages = press();
		out = vmstat("pswpout") - begun_out;
		in = vmstat("pswpin") - begun_in;
	}
	printf("%s: 2 x %lu MB, %lu pages out, %lu in\n", with, (unsigned long)(pages >> 8), out, in);
	CHECK(out > 1000 && in > 20);
}

static void fill_file(const char *path)
{
	static const uint8_t zeros[64 << 10];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	NEED(fd >= 0);
	for (unsigned int i = 0; i < FILE_MB << 4; i++)
		NEED(write(fd, zeros, sizeof(zeros)) == (ssize_t)sizeof(zeros));
	NEED(fsync(fd) == 0);
	close(fd);
}

int main(void)
{
	if (available() > TOO_MUCH) {
		printf("the machine has more than 400 MB free\n");
		return SKIP;
	}
	write_to("/proc/sys/vm/swappiness", "100\n");
	if (swap_on_zram(128) == 0) {
		under_pressure("zram");
		swap_off_zram();
	} else {
		printf("no zram\n");
		stress_failures++;
	}
	if (access("/mnt/lost+found", F_OK) == 0) {
		fill_file("/mnt/swap");
		make_swap("/mnt/swap", FILE_MB << 20);
		under_pressure("file");
		CHECK(swapoff("/mnt/swap") == 0);
		CHECK(unlink("/mnt/swap") == 0);
	} else {
		printf("no disk at /mnt\n");
		stress_failures++;
	}
	sync();
	return stress_end("swap_keeps_content");
}

/* SPDX-License-Identifier: MIT */
/* swap.h - swap areas for programs that want pages to leave: on a file, or on compressed memory. */
#ifndef TESTS_STRESS_SWAP_H
#define TESTS_STRESS_SWAP_H

#include <fcntl.h>
#include <sys/swap.h>

#include "stress.h"

static inline int write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* The header of a swap area: version 1, last page, magic at the end of the first page. */
static inline void make_swap(const char *path, uint64_t bytes)
{
	static uint8_t header[PAGE];
	uint32_t words[2] = { 1, (uint32_t)(bytes / PAGE - 1) };
	int fd = open(path, O_RDWR);

	NEED(fd >= 0);
	memcpy(header + 1024, words, sizeof(words));
	memcpy(header + PAGE - 10, "SWAPSPACE2", 10);
	NEED(pwrite(fd, header, PAGE, 0) == (ssize_t)PAGE && fsync(fd) == 0);
	close(fd);
	NEED(swapon(path, 0) == 0);
}

/* 0, or -1 where there is no zram. */
static inline int swap_on_zram(uint32_t mebibytes)
{
	char size[16];

	snprintf(size, sizeof(size), "%uM\n", mebibytes);
	if (!write_to("/sys/block/zram0/disksize", size))
		return -1;
	make_swap("/dev/zram0", (uint64_t)mebibytes << 20);
	return 0;
}

static inline void swap_off_zram(void)
{
	CHECK(swapoff("/dev/zram0") == 0);
	CHECK(write_to("/sys/block/zram0/reset", "1\n"));
}

#endif /* TESTS_STRESS_SWAP_H */

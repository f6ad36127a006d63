// SPDX-License-Identifier: MIT
/*
 * disk_keeps_files - files written to the ext4 disk at /mnt (in pieces, by mmap, with O_DIRECT,
 * several processes at once; overwritten, truncated, renamed, removed) read back right after a sync,
 * also past the page cache, and are on the disk after power-off. /mnt/stress/LIST has a line `HASH
 * SIZE NAME` for each file; the harness reads the disk image on the host, compares, and runs e2fsck.
 * Failure: other content, here or there, or a file system with errors.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "stress.h"

#define WRITERS	4
#define FILES	25
#define LARGEST	(192u << 10)
#define DIR_PATH "/mnt/stress"

static uint8_t content[LARGEST + PAGE] __attribute__((aligned(4096)));

static size_t make_content(uint64_t seed)
{
	size_t size = 1 + stress_random(&seed) % LARGEST;

	for (size_t i = 0; i < sizeof(content); i += 8)
		*(uint64_t *)(void *)&content[i] = stress_random(&seed);
	return size;
}

static void write_pieces(int fd, size_t size, uint64_t seed)
{
	for (size_t at = 0; at < size;) {
		size_t n = 1 + stress_random(&seed) % 20000;

		n = n < size - at ? n : size - at;
		NEED(pwrite(fd, content + at, n, (off_t)at) == (ssize_t)n);
		at += n;
	}
}

static void write_mapped(int fd, size_t size)
{
	uint8_t *map;

	NEED(ftruncate(fd, (off_t)size) == 0);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(map != MAP_FAILED);
	memcpy(map, content, size);
	CHECK(msync(map, size, MS_SYNC) == 0);
	NEED(munmap(map, size) == 0);
}

static void write_direct(const char *path, size_t size)
{
	int fd = open(path, O_RDWR | O_DIRECT);
	size_t whole = (size + PAGE - 1) & ~(PAGE - 1);

	NEED(fd >= 0);
	NEED(pwrite(fd, content, whole, 0) == (ssize_t)whole);
	NEED(ftruncate(fd, (off_t)size) == 0);
	close(fd);
}

static void write_file(const char *path, uint64_t seed)
{
	size_t size = make_content(seed);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);

	NEED(fd >= 0);
	switch (seed % 3) {
	case 0:
		write_pieces(fd, size, seed);
		break;
	case 1:
		write_mapped(fd, size);
		break;
	default:
		write_direct(path, size);
	}
	if (seed % 2)
		CHECK(fsync(fd) == 0);
	close(fd);
}

static void writer(uint64_t number)
{
	char path[64], other[80];

	for (uint64_t i = 0; i < FILES; i++) {
		snprintf(path, sizeof(path), DIR_PATH "/%lu-%lu", (unsigned long)number, (unsigned long)i);
		write_file(path, number * 1000 + i * 7 + 1);
		if (i % 5 == 4) {
			write_file(path, number * 2000 + i);	/* again, with other content */
		} else if (i % 5 == 3) {
			NEED(unlink(path) == 0);
		} else if (i % 5 == 2) {
			snprintf(other, sizeof(other), "%s-renamed", path);
			NEED(rename(path, other) == 0);
			NEED(symlink(other, path) == 0 && unlink(path) == 0);
		} else if (i % 5 == 1) {
			NEED(truncate(path, 1000) == 0);
		}
	}
	exit(stress_failures != 0);
}

static uint64_t hash_file(const char *path, int flags, size_t *size)
{
	int fd = open(path, O_RDONLY | flags);
	uint64_t hash = STRESS_HASH;
	ssize_t n;

	NEED(fd >= 0);
	for (*size = 0; (n = read(fd, content, 64 << 10)) > 0; *size += (size_t)n)
		hash = stress_hash(hash, content, (size_t)n);
	CHECK(n == 0);
	close(fd);
	return hash;
}

static void list_files(void)
{
	FILE *list = fopen("/mnt/LIST", "w");
	DIR *dir = opendir(DIR_PATH);
	unsigned int files = 0;
	struct dirent *entry;
	char path[300];

	NEED(list && dir);
	while ((entry = readdir(dir))) {
		size_t size, direct_size;
		uint64_t hash;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), DIR_PATH "/%s", entry->d_name);
		hash = hash_file(path, 0, &size);
		CHECK(hash_file(path, O_DIRECT, &direct_size) == hash && size == direct_size);
		fprintf(list, "%016lx %zu %s\n", (unsigned long)hash, size, entry->d_name);
		files++;
	}
	closedir(dir);
	CHECK(files == WRITERS * (FILES - FILES / 5));
	NEED(fflush(list) == 0 && fsync(fileno(list)) == 0 && fclose(list) == 0);
}

/* What the writers should have left, made anew from the seeds. */
static void check_contents(void)
{
	static uint8_t found[LARGEST + PAGE];
	char path[64];

	for (uint64_t number = 0; number < WRITERS; number++) {
		for (uint64_t i = 0; i < FILES; i++) {
			size_t size;
			int fd;

			if (i % 5 == 3)
				continue;
			snprintf(path, sizeof(path), DIR_PATH "/%lu-%lu%s", (unsigned long)number, (unsigned long)i,
				 i % 5 == 2 ? "-renamed" : "");
			size = make_content(i % 5 == 4 ? number * 2000 + i : number * 1000 + i * 7 + 1);
			size = i % 5 != 1 ? size : 1000;
			fd = open(path, O_RDONLY);
			NEED(fd >= 0);
			CHECK(read(fd, found, sizeof(found)) == (ssize_t)size);
			if (i % 5 != 1)		/* a short file is filled up with zeros */
				CHECK(memcmp(found, content, size) == 0);
			close(fd);
		}
	}
}

int main(void)
{
	pid_t pids[WRITERS];

	if (access("/mnt/lost+found", F_OK)) {
		printf("no disk at /mnt\n");
		return SKIP;
	}
	NEED(mkdir(DIR_PATH, 0755) == 0);
	for (uint64_t i = 0; i < WRITERS; i++) {
		pids[i] = stress_fork();
		if (pids[i] == 0)
			writer(i);
	}
	for (int i = 0; i < WRITERS; i++)
		CHECK(stress_wait(pids[i]) == 0);
	check_contents();
	sync();
	FILE *drop = fopen("/proc/sys/vm/drop_caches", "w");
	if (drop) {
		fputs("3\n", drop);
		fclose(drop);
	}
	check_contents();
	list_files();
	sync();
	return stress_end("disk_keeps_files");
}

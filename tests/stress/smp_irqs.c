// SPDX-License-Identifier: MIT
/*
 * smp_irqs - interrupts move from CPU to CPU while their devices work: somebody writes affinities of
 * all interrupts, as irqbalance would, but without pause; meanwhile files are written to the disk
 * at /mnt and read past the cache, blocks likewise on a disk with a level-triggered line (/dev/vdb),
 * and bytes go to a server outside and back (ECHO_PORT, at QEMU's 10.0.2.2). Failure: other bytes
 * than were written, an interrupt that did not follow, or a request that never ends.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "smp.h"
#include "swap.h"

#define BLOCK		(64u << 10)
#define BLOCKS		24u
#define PIECE		(16u << 10)

static int stop;
static uint64_t moves, refusals, done[3];

static int stopping(void)
{
	return __atomic_load_n(&stop, __ATOMIC_ACQUIRE) || stress_failures;
}

static void fill(void *block, size_t bytes, uint64_t *seed)
{
	for (size_t i = 0; i < bytes / 8; i++)
		((uint64_t *)block)[i] = stress_random(seed);
}

/* Blocks out and, past the cache, in again, in another order; each block has its own sequence. */
static void use_blocks(int fd, uint64_t round)
{
	static __thread uint8_t block[BLOCK] __attribute__((aligned(4096))), again[BLOCK] __attribute__((aligned(4096)));

	for (uint64_t i = 0; i < BLOCKS; i++) {
		uint64_t seed = round * 1000 + i + 1;

		fill(block, BLOCK, &seed);
		NEED(pwrite(fd, block, BLOCK, (off_t)(i * BLOCK)) == BLOCK);
	}
	NEED(fsync(fd) == 0);
	for (uint64_t k = 0; k < BLOCKS; k++) {
		uint64_t i = k * 7 % BLOCKS, seed = round * 1000 + i + 1;

		fill(block, BLOCK, &seed);
		NEED(pread(fd, again, BLOCK, (off_t)(i * BLOCK)) == BLOCK);
		CHECK(memcmp(block, again, BLOCK) == 0);
	}
}

static void *use_file(void *arg)
{
	for (uint64_t round = 1; !stopping(); round++) {
		int fd = open("/mnt/moved", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);

		NEED(fd >= 0);
		use_blocks(fd, round);
		close(fd);
		__atomic_fetch_add(&done[0], 1, __ATOMIC_RELAXED);
	}
	NEED(unlink("/mnt/moved") == 0);
	return arg;
}

static void *use_raw(void *arg)
{
	int fd = open("/dev/vdb", O_RDWR | O_DIRECT);

	NEED(fd >= 0);
	for (uint64_t round = 1; !stopping(); round++) {
		use_blocks(fd, round);
		__atomic_fetch_add(&done[1], 1, __ATOMIC_RELAXED);
	}
	close(fd);
	return arg;
}

static void *use_network(void *arg)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(getenv("ECHO_PORT"))) };
	static uint8_t piece[PIECE], again[PIECE];
	uint64_t seed = 3;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	NEED(inet_pton(AF_INET, "10.0.2.2", &server.sin_addr) == 1);
	NEED(fd >= 0 && connect(fd, (const struct sockaddr *)&server, sizeof(server)) == 0);
	while (!stopping()) {
		fill(piece, PIECE, &seed);
		NEED(send(fd, piece, PIECE, 0) == PIECE);
		NEED(recv(fd, again, PIECE, MSG_WAITALL) == PIECE);
		CHECK(memcmp(piece, again, PIECE) == 0);
		__atomic_fetch_add(&done[2], 1, __ATOMIC_RELAXED);
	}
	close(fd);
	return arg;
}

/* Each interrupt to some CPU. Those that the kernel keeps for itself refuse. */
static void move_all(uint64_t *seed)
{
	DIR *irqs = opendir("/proc/irq");
	struct dirent *entry;

	NEED(irqs);
	while ((entry = readdir(irqs))) {
		char path[300], mask[20];

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/irq/%s/smp_affinity_list", entry->d_name);
		snprintf(mask, sizeof(mask), "%d\n", (int)(stress_random(seed) % (uint64_t)smp_cpus));
		if (write_to(path, mask))
			moves++;
		else
			refusals++;
	}
	closedir(irqs);
}

/* Of the lines in /proc/interrupts that name a virtio device: on how many CPUs did it interrupt, at most? */
static int most_cpus_of_one(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[1024];
	int most = 0;

	NEED(file);
	while (fgets(line, sizeof(line), file)) {
		char *at = strchr(line, ':');
		int cpus = 0;

		if (!at++ || !strstr(line, "virtio"))
			continue;
		for (int i = 0; i < smp_cpus; i++)
			cpus += strtoul(at, &at, 10) > 0;
		printf("%s", line);
		most = cpus > most ? cpus : most;
	}
	fclose(file);
	return most;
}

int main(void)
{
	static void *(*const works[])(void *) = { use_file, use_raw, use_network };
	int64_t end = smp_now() + smp_seconds(10) * 1000000000;
	pthread_t threads[3];
	uint64_t seed = 12;

	if (smp_begin() == SKIP)
		return SKIP;
	NEED(getenv("ECHO_PORT"));
	for (int i = 0; i < 3; i++)
		NEED(pthread_create(&threads[i], NULL, works[i], NULL) == 0);
	while (smp_now() < end && !stress_failures) {
		move_all(&seed);
		usleep(500);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < 3; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
	printf("%lu moves, %lu refused; %lu files, %lu areas, %lu pieces\n", moves, refusals, done[0], done[1], done[2]);
	CHECK(moves > 20 && done[0] && done[1] && done[2]);
	CHECK(most_cpus_of_one() == smp_cpus);
	return stress_end("smp_irqs");
}

// SPDX-License-Identifier: MIT
/*
 * pipes_keep_data - 8 MB go through a chain of processes by pipes and socket pairs in pieces of odd
 * sizes, some read into fresh and some into copy-on-write pages; the checksum at the end is the one
 * at the start. Failure: another checksum or length, or a hang.
 */
#include <poll.h>
#include <sys/socket.h>

#include "stress.h"

#define TOTAL	(8u << 20)
#define RELAYS	4
#define BUFFER	(64u << 10)

static uint8_t buffer[BUFFER];

static void put(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		NEED(n > 0);
		data += n;
		len -= (size_t)n;
	}
}

static uint64_t produce(int fd)
{
	uint64_t state = 42, hash = STRESS_HASH;

	for (size_t left = TOTAL; left;) {
		size_t n = 1 + stress_random(&state) % BUFFER;

		n = n < left ? n : left;
		for (size_t i = 0; i < n; i++)
			buffer[i] = (uint8_t)(stress_random(&state) >> 56);
		hash = stress_hash(hash, buffer, n);
		put(fd, buffer, n);
		left -= n;
	}
	close(fd);
	return hash;
}

static void relay(int from, int to, uint64_t state)
{
	ssize_t n;

	for (;;) {
		size_t most = 1 + stress_random(&state) % BUFFER;
		struct pollfd wait = { .fd = from, .events = POLLIN };
		uint8_t *fresh = buffer;

		if (stress_random(&state) % 4 == 0) {
			fresh = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			NEED(fresh != MAP_FAILED);
		}
		NEED(poll(&wait, 1, -1) == 1);
		n = read(from, fresh, most);
		NEED(n >= 0);
		if (n > 0)
			put(to, fresh, (size_t)n);
		if (fresh != buffer)
			munmap(fresh, BUFFER);
		if (n == 0)
			break;
	}
	close(to);
}

static void make_pair(int fd[2], int number)
{
	if (number % 2) {
		NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
		int swap = fd[0];
		fd[0] = fd[1];
		fd[1] = swap;
	} else {
		NEED(pipe(fd) == 0);
	}
}

int main(void)
{
	int up[2], down[2], back[2], source;
	uint64_t sent, hash = STRESS_HASH;
	size_t total = 0;
	pid_t pids[RELAYS + 1];
	ssize_t n;

	NEED(pipe(back) == 0);
	make_pair(up, 0);
	source = up[0];
	pids[RELAYS] = stress_fork();
	if (pids[RELAYS] == 0) {
		close(source);
		sent = produce(up[1]);
		put(back[1], (uint8_t *)&sent, sizeof(sent));
		_exit(0);
	}
	close(up[1]);
	for (int i = 0; i < RELAYS; i++) {
		make_pair(down, i + 1);
		pids[i] = stress_fork();
		if (pids[i] == 0) {
			close(down[0]);
			relay(source, down[1], (uint64_t)i + 1);
			_exit(0);
		}
		close(source);
		close(down[1]);
		source = down[0];
	}
	while ((n = read(source, buffer, sizeof(buffer))) > 0) {
		hash = stress_hash(hash, buffer, (size_t)n);
		total += (size_t)n;
	}
	CHECK(n == 0);
	CHECK(total == TOTAL);
	CHECK(read(back[0], &sent, sizeof(sent)) == sizeof(sent) && sent == hash);
	for (int i = 0; i <= RELAYS; i++)
		CHECK(stress_wait(pids[i]) == 0);
	return stress_end("pipes_keep_data");
}

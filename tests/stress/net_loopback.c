// SPDX-License-Identifier: MIT
/*
 * net_loopback - TCP and UDP over the loopback interface deliver what was sent: 4 MB by TCP in odd
 * pieces through a server that sends everything back, 2,000 datagrams, 200 short connections.
 * Failure: another checksum, a lost datagram (loopback loses none while the socket has room), a hang.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "stress.h"

#define TOTAL		(4u << 20)
#define DATAGRAMS	2000
#define CONNECTIONS	200

static uint8_t buffer[32 << 10];

static int make_socket(int type, struct sockaddr_in *address)
{
	socklen_t len = sizeof(*address);
	int fd = socket(AF_INET, type, 0);

	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	NEED(fd >= 0 && bind(fd, (struct sockaddr *)address, len) == 0);
	NEED(getsockname(fd, (struct sockaddr *)address, &len) == 0);
	return fd;
}

static void echo_connections(int listener)
{
	for (int i = 0; i <= CONNECTIONS; i++) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n;

		NEED(fd >= 0);
		while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
			for (ssize_t sent = 0; sent < n;) {
				ssize_t k = send(fd, buffer + sent, (size_t)(n - sent), 0);

				NEED(k > 0);
				sent += k;
			}
		NEED(n == 0);
		close(fd);
	}
	_exit(0);
}

static int connect_to(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	NEED(fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0);
	return fd;
}

static void big_echo(const struct sockaddr_in *address)
{
	int fd = connect_to(address);
	uint64_t seed = 9, out = STRESS_HASH, back = STRESS_HASH;
	size_t sent = 0, received = 0, have = 0, at = 0;
	static uint8_t piece[16 << 10], in[16 << 10];

	while (received < TOTAL) {
		struct pollfd wait = { .fd = fd, .events = (short)(POLLIN | (sent < TOTAL ? POLLOUT : 0)) };

		NEED(poll(&wait, 1, -1) == 1);
		if (wait.revents & POLLOUT && sent < TOTAL) {
			if (at == have) {
				have = 1 + stress_random(&seed) % sizeof(piece);
				have = have < TOTAL - sent ? have : TOTAL - sent;
				for (at = 0; at < have; at++)
					piece[at] = (uint8_t)(stress_random(&seed) >> 40);
				at = 0;
				out = stress_hash(out, piece, have);
			}
			ssize_t n = send(fd, piece + at, have - at, MSG_DONTWAIT);
			NEED(n > 0 || errno == EAGAIN);
			if (n > 0) {
				at += (size_t)n;
				sent += (size_t)n;
			}
			if (sent == TOTAL)
				NEED(shutdown(fd, SHUT_WR) == 0);
		}
		if (wait.revents & (POLLIN | POLLHUP)) {
			ssize_t n = recv(fd, in, sizeof(in), 0);

			NEED(n > 0);
			back = stress_hash(back, in, (size_t)n);
			received += (size_t)n;
		}
	}
	CHECK(recv(fd, in, sizeof(in), 0) == 0);
	CHECK(out == back);
	close(fd);
}

static void short_connections(const struct sockaddr_in *address)
{
	for (uint32_t i = 0; i < CONNECTIONS; i++) {
		int fd = connect_to(address);
		uint32_t answer = 0;

		NEED(send(fd, &i, 4, 0) == 4);
		CHECK(recv(fd, &answer, 4, MSG_WAITALL) == 4 && answer == i);
		close(fd);
	}
}

static void datagrams(void)
{
	struct sockaddr_in here, there;
	int a = make_socket(SOCK_DGRAM, &here), b = make_socket(SOCK_DGRAM, &there);
	uint64_t message[50], seed = 4;

	for (uint64_t i = 0; i < DATAGRAMS; i++) {
		uint64_t want[50];
		size_t len = 8 * (1 + i % 50);

		for (size_t k = 0; k < 50; k++)
			want[k] = stress_random(&seed);
		NEED(sendto(a, want, len, 0, (struct sockaddr *)&there, sizeof(there)) == (ssize_t)len);
		CHECK(recv(b, message, sizeof(message), 0) == (ssize_t)len);
		CHECK(memcmp(message, want, len) == 0);
	}
	close(a);
	close(b);
}

int main(void)
{
	struct sockaddr_in address;
	int listener = make_socket(SOCK_STREAM, &address);
	pid_t server;

	NEED(listen(listener, 16) == 0);
	server = stress_fork();
	if (server == 0)
		echo_connections(listener);
	big_echo(&address);
	short_connections(&address);
	CHECK(stress_wait(server) == 0);
	datagrams();
	return stress_end("net_loopback");
}

// SPDX-License-Identifier: MIT
/*
 * ops_io.c - system calls, files in memory, and messages between two processes.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "linux_bench.h"

void op_getppid(unsigned int n)
{
	begin();
	while (n--)
		syscall(SYS_getppid);
	end();
}

void op_read_zero(unsigned int n)
{
	int fd = open("/dev/zero", O_RDONLY);
	char byte;

	must(fd >= 0, "/dev/zero");
	begin();
	while (n--)
		must(read(fd, &byte, 1) == 1, "read");
	end();
	close(fd);
}

void op_stat(unsigned int n)
{
	struct stat st;

	begin();
	while (n--)
		must(stat(NOTHING, &st) == 0, "stat");
	end();
}

void op_open_close(unsigned int n)
{
	begin();
	while (n--) {
		int fd = open(NOTHING, O_RDONLY);

		must(fd >= 0, NOTHING);
		close(fd);
	}
	end();
}

/* A small file's life, in memory: made, written, read back, removed. */
void op_file_4k(unsigned int n)
{
	static char data[PAGE];

	begin();
	while (n--) {
		int fd = open("/tmp/bench", O_RDWR | O_CREAT | O_EXCL, 0600);

		must(fd >= 0, "/tmp/bench");
		must(write(fd, data, PAGE) == (ssize_t)PAGE, "write");
		must(pread(fd, data, PAGE, 0) == (ssize_t)PAGE, "pread");
		close(fd);
		unlink("/tmp/bench");
	}
	end();
}

/* ---- There and back: two switches ----------------------------------------------------------------- */

/* The other side sends each byte back until there are no more. */
static pid_t echo(int in, int out, int not_mine)
{
	pid_t pid = fork();
	char c;

	if (pid)
		return pid;
	close(not_mine);
	while (read(in, &c, 1) == 1)
		must(write(out, &c, 1) == 1, "write");
	_exit(0);
}

static void round_trips(unsigned int n, int in, int out)
{
	char c = 0;

	must(write(out, &c, 1) == 1 && read(in, &c, 1) == 1, "first round trip");
	begin();
	while (n--) {
		must(write(out, &c, 1) == 1, "write");
		must(read(in, &c, 1) == 1, "read");
	}
	end();
}

void op_pipe_rt(unsigned int n)
{
	int there[2], back[2];
	pid_t pid;

	must(pipe(there) == 0 && pipe(back) == 0, "pipe");
	pid = echo(there[0], back[1], there[1]);
	round_trips(n, back[0], there[1]);
	close(there[1]);
	close(there[0]);
	close(back[0]);
	close(back[1]);
	wait_for(pid);
}

void op_unix_rt(unsigned int n)
{
	int pair[2];
	pid_t pid;

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
	pid = echo(pair[1], pair[1], pair[0]);
	close(pair[1]);
	round_trips(n, pair[0], pair[0]);
	close(pair[0]);
	wait_for(pid);
}

void op_tcp_rt(unsigned int n)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0), mine = socket(AF_INET, SOCK_STREAM, 0), other, one = 1;
	pid_t pid;

	must(listener >= 0 && mine >= 0, "socket");
	must(bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(listener, 1) == 0, "listen");
	must(getsockname(listener, (struct sockaddr *)&addr, &bytes) == 0, "getsockname");
	must(connect(mine, (struct sockaddr *)&addr, sizeof(addr)) == 0, "connect");
	other = accept(listener, NULL, NULL);
	must(other >= 0, "accept");
	setsockopt(mine, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(other, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pid = echo(other, other, mine);
	close(other);
	round_trips(n, mine, mine);
	close(mine);
	close(listener);
	wait_for(pid);
}

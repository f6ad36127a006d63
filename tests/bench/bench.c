// SPDX-License-Identifier: MIT
/*
 * bench.c - what an operation of Linux costs, natively or on Keel. Prints `BENCH NAME NANOSECONDS`
 * for each: the best of several series, per operation. Under `keel-run --icount` a nanosecond is one
 * instruction, which makes the numbers exact and the same on every machine.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERIES	3
#define PAGE	4096ul

static char *self;

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void op_getppid(unsigned int n)
{
	while (n--)
		syscall(SYS_getppid);
}

static void op_touch(unsigned int n)
{
	uint8_t *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	for (unsigned int i = 0; i < n; i++)
		((volatile uint8_t *)p)[i * PAGE] = 1;
	munmap(p, n * PAGE);
}

static void wait_for(pid_t pid)
{
	must(pid > 0, "fork");
	must(waitpid(pid, NULL, 0) == pid, "waitpid");
}

static void op_fork(unsigned int n)
{
	while (n--) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		wait_for(pid);
	}
}

static void op_exec(unsigned int n)
{
	while (n--) {
		pid_t pid = vfork();

		if (pid == 0) {
			execl(self, self, "-", (char *)NULL);
			_exit(1);
		}
		wait_for(pid);
	}
}

/* One operation is there and back: two switches. */
static void op_pipe(unsigned int n)
{
	int there[2], back[2];
	char c = 0;
	pid_t pid;

	must(pipe(there) == 0 && pipe(back) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		close(there[1]);
		while (read(there[0], &c, 1) == 1)
			must(write(back[1], &c, 1) == 1, "write");
		_exit(0);
	}
	while (n--) {
		must(write(there[1], &c, 1) == 1, "write");
		must(read(back[0], &c, 1) == 1, "read");
	}
	close(there[1]);
	close(there[0]);
	close(back[0]);
	close(back[1]);
	wait_for(pid);
}

static void op_mmap(unsigned int n)
{
	while (n--) {
		uint8_t *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		must(p != MAP_FAILED, "mmap");
		((volatile uint8_t *)p)[5 * PAGE] = 1;
		munmap(p, 16 * PAGE);
	}
}

static void op_read_file(unsigned int n)
{
	static char buffer[PAGE];
	int fd = open(self, O_RDONLY);

	must(fd >= 0, self);
	while (n--)
		must(pread(fd, buffer, sizeof(buffer), 0) > 0, "pread");
	close(fd);
}

static const struct {
	const char *name;
	void (*run)(unsigned int n);
	unsigned int n;
} ops[] = {
	{ "getppid", op_getppid, 2000 },
	{ "touch-page", op_touch, 2000 },
	{ "mmap-munmap", op_mmap, 500 },
	{ "fork-exit", op_fork, 100 },
	{ "vfork-exec", op_exec, 50 },
	{ "pipe-round-trip", op_pipe, 1000 },
	{ "read-4k", op_read_file, 1000 },
};

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "-"))
		return 0;
	self = argv[0];
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		uint64_t best = UINT64_MAX;

		for (int series = 0; series < SERIES; series++) {
			uint64_t start = now_ns(), took;

			ops[i].run(ops[i].n);
			took = (now_ns() - start) / ops[i].n;
			if (took < best)
				best = took;
		}
		printf("BENCH %s %llu\n", ops[i].name, (unsigned long long)best);
	}
	return 0;
}

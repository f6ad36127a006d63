// SPDX-License-Identifier: MIT
/*
 * ops_make.c - `make -j2` of a C project with this machine's own make, gcc and binutils (scripts/mkprogdisk), on two CPUs.
 */
#include <glob.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "linux_bench.h"

#define DISK	"/mnt"

static void __attribute__((noreturn)) make(void)
{
	if (chroot(DISK) < 0 || chdir("/tmp") < 0 || setenv("PATH", "/usr/bin:/bin", 1) < 0)
		_exit(2);
	execl("/usr/bin/make", "make", "-s", "-j2", "-f", "/src/Makefile", (char *)NULL);
	_exit(2);
}

/* Untimed: what was built goes, and was all there. */
static void remove_built(void)
{
	glob_t built;

	must(glob(DISK "/tmp/*", 0, NULL, &built) == 0 && built.gl_pathc > 20, "what was to be built");
	for (size_t i = 0; i < built.gl_pathc; i++)
		must(unlink(built.gl_pathv[i]) == 0, built.gl_pathv[i]);
	globfree(&built);
}

/* Of /proc/stat: user, nice and system time of each CPU. `BUSY TICKS TICKS` is how much of a build each has done. */
static void busy_ticks(unsigned long ticks[2])
{
	FILE *f = fopen("/proc/stat", "r");
	unsigned long user, nice, kernel;
	unsigned int cpu;
	char line[256];

	must(f != NULL, "/proc/stat");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "cpu%u %lu %lu %lu", &cpu, &user, &nice, &kernel) == 4 && cpu < 2)
			ticks[cpu] = user + nice + kernel;
	fclose(f);
}

static void op_make(unsigned int n)
{
	unsigned long before[2] = { 0 }, after[2] = { 0 };
	int status;
	pid_t pid;

	(void)n;
	busy_ticks(before);
	begin();
	pid = fork();
	if (pid == 0)
		make();
	must(pid > 0 && waitpid(pid, &status, 0) == pid, "make");
	end();
	must(status == 0, "make's status");
	busy_ticks(after);
	printf("BUSY %lu %lu\n", after[0] - before[0], after[1] - before[1]);
	remove_built();
}

const struct bench_op bench_ops[] = {
	{ "make_j2", op_make, 1 },
	{ NULL, NULL, 0 },
};

// SPDX-License-Identifier: MIT
/*
 * ops_run.c - a program of its own, as somebody at the prompt has it: on Keel a peer by `keelctl run`, natively a process, both
 * Lua with the same script. `RUN-KIB NAME KIB` is memory, of one of several that wait for input.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "linux_bench.h"

#define DIR	"/bench/lua"
#define SCRIPT	"hello.lua"	/* prints a line, and waits for the end of its input */
#define PEERS	8
#define PEER_KIB 8192		/* -m: what each one has asked for */

struct program {
	pid_t pid;
	int in, out;
};

static int on_keel(void)
{
	return access("/dev/keel", F_OK) == 0;
}

static void __attribute__((noreturn)) become_it(void)
{
	if (chdir(DIR) < 0)
		_exit(2);
	if (on_keel())
		execl("/bin/keelctl", "keelctl", "run", "-m", "8M", "lua", SCRIPT, (char *)NULL);
	else
		execl(DIR "/bench_lua", "lua", SCRIPT, (char *)NULL);
	_exit(2);
}

static struct program start(void)
{
	struct program p;
	int in[2], out[2];

	must(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0, "pipe");
	p.pid = fork();
	must(p.pid >= 0, "fork");
	if (p.pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		become_it();
	}
	close(in[0]);
	close(out[1]);
	p.in = in[1];
	p.out = out[0];
	return p;
}

static void read_line(const struct program *p)
{
	char line[16];
	size_t n = 0;

	while (n < sizeof(line) && (!n || line[n - 1] != '\n'))
		must(read(p->out, line + n++, 1) == 1, "the program's line");
	must(n == 6 && memcmp(line, "hello\n", n) == 0, "the program's first line");
}

static void finish(struct program *p)
{
	int status;

	close(p->in);
	must(waitpid(p->pid, &status, 0) == p->pid && status == 0, "the program's end");
	close(p->out);
}

/* From fork() until its first line is here. */
static void op_first_line(unsigned int n)
{
	struct program p;

	(void)n;
	begin();
	p = start();
	read_line(&p);
	end();
	finish(&p);
}

/* From the end of its input until it is gone. */
static void op_end(unsigned int n)
{
	struct program p = start();

	(void)n;
	read_line(&p);
	begin();
	finish(&p);
	end();
}

/* Also what lies in the lists of CPUs, ready for the next one, which MemFree is without. */
static long free_kib(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	long pages = 0, n;
	char line[128];

	must(f != NULL, "/proc/zoneinfo");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " nr_free_pages %ld", &n) == 1 || sscanf(line, " count: %ld", &n) == 1)
			pages += n;
	fclose(f);
	return pages * (long)(PAGE / 1024);
}

/* Processes that serve it are in it, and what Linux keeps of them. */
static void op_memory(unsigned int n)
{
	struct program p[PEERS];
	long before = free_kib(), own = on_keel() ? PEER_KIB : 0;

	(void)n;
	for (int i = 0; i < PEERS; i++) {
		p[i] = start();
		read_line(&p[i]);
	}
	begin();
	printf("RUN-KIB memory_of_one %ld\n", (before - free_kib()) / PEERS - own);
	end();
	for (int i = 0; i < PEERS; i++)
		finish(&p[i]);
}

const struct bench_op bench_ops[] = {
	{ "first_line", op_first_line, 1 },
	{ "end", op_end, 1 },
	{ "memory", op_memory, 1 },
	{ NULL, NULL, 0 },
};

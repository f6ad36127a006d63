// SPDX-License-Identifier: MIT
/*
 * drivercall.c - what file operations cost a peer, by driver calls, and a Linux process: one source for both.
 *
 * As a unikernel it also makes the calls by themselves (drivercall_raw.c). Prints, as linux_bench does,
 * "BENCH-LOOP instructions ticks" and "BENCH name operations ticks-per-operation"; times are TSC
 * ticks, which count instructions under -icount. A series is repeated, the best one counts: the
 * first one fills caches.
 */
#include "drivercall.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SERIES	4
#define FILE_IN		"/mnt/words.txt"
#define FILE_OUT	"/mnt/bench.out"
#define FILE_BYTES	(1 << 20)

static char buffer[65536];

void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stdout, "BENCH-FAIL %s\n", what);
	fflush(stdout);
	*(volatile char *)0 = 0;
}

static FILE *open_in(void)
{
	FILE *f = fopen(FILE_IN, "r");

	check(f != NULL, FILE_IN);
	return f;
}

static uint64_t op_open_close(unsigned int n)
{
	uint64_t start = now_tsc();

	while (n--)
		fclose(open_in());
	return now_tsc() - start;
}

/* n pieces, one after the other; without a buffer of stdio's, so each is a read(). */
static uint64_t read_pieces(unsigned int n, size_t bytes)
{
	FILE *f = open_in();
	uint64_t start, end;

	setvbuf(f, NULL, _IONBF, 0);
	check(fread(buffer, 1, bytes, f) == bytes, "read");
	start = now_tsc();
	while (n--)
		check(fread(buffer, 1, bytes, f) == bytes, "read");
	end = now_tsc();
	fclose(f);
	return end - start;
}

static uint64_t op_read_1(unsigned int n)
{
	return read_pieces(n, 1);
}

static uint64_t op_read_4k(unsigned int n)
{
	return read_pieces(n, 4096);
}

static uint64_t op_read_64k(unsigned int n)
{
	return read_pieces(n, 65536);
}

/* One byte from each of many places, with stdio's own buffer, as Lua's files have it. */
static uint64_t op_seek_read(unsigned int n)
{
	FILE *f = open_in();
	uint64_t start, end;
	long at = 0;

	start = now_tsc();
	while (n--) {
		at = (at + 700001) % FILE_BYTES;
		fseek(f, at, SEEK_SET);
		check(fread(buffer, 1, 1, f) == 1, "read");
	}
	end = now_tsc();
	fclose(f);
	return end - start;
}

static uint64_t op_write_flush(unsigned int n)
{
	FILE *f = fopen(FILE_OUT, "w");
	uint64_t start, end;

	check(f != NULL, FILE_OUT);
	start = now_tsc();
	while (n--) {
		check(fputc('x', f) == 'x', "write");
		check(fflush(f) == 0, "flush");
	}
	end = now_tsc();
	fclose(f);
	return end - start;
}

/* A line at a time, of the whole file and over again: an operation is one line. */
static uint64_t op_lines(unsigned int n)
{
	FILE *f = open_in();
	uint64_t start = now_tsc(), end;

	while (n)
		if (fgets(buffer, sizeof(buffer), f))
			n--;
		else
			fseek(f, 0, SEEK_SET);
	end = now_tsc();
	fclose(f);
	return end - start;
}

static const struct bench_op ops[] = {
	{ "open_close", op_open_close, 500 },
	{ "read_1", op_read_1, 2000 },
	{ "read_4k", op_read_4k, 200 },
	{ "read_64k", op_read_64k, 14 },
	{ "seek_read", op_seek_read, 500 },
	{ "write_flush", op_write_flush, 500 },
	{ "lines", op_lines, 26000 },
};

void bench_run(const struct bench_op *op)
{
	uint64_t best = UINT64_MAX, ticks;
	int series;

	for (series = 0; series < SERIES; series++) {
		ticks = op->run(op->n);
		if (series && ticks < best)
			best = ticks;
	}
	fprintf(stdout, "BENCH %s %u %llu.%llu\n", op->name, op->n, (unsigned long long)(best / op->n),
		(unsigned long long)(best % op->n * 10 / op->n));
	fflush(stdout);
}

static void known_loop(void)
{
	uint64_t rounds = 1000000, start = now_tsc(), ticks;

	__asm__ volatile("1: decq %0; jnz 1b" : "+r"(rounds) :: "cc");
	ticks = now_tsc() - start;
	fprintf(stdout, "BENCH-LOOP %u %llu\n", 2000000u, (unsigned long long)ticks);
}

int main(int argc, char **argv)
{
	unsigned int i;

	(void)argc;
	(void)argv;
	known_loop();
	fclose(open_in());		/* a peer waits here for Linux to come up */
	bench_raw();
	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		bench_run(&ops[i]);
	fputs("BENCH-DONE\n", stdout);
	return 0;
}
